package catalog_test

import (
	"encoding/json"
	"log/slog"
	"math/big"
	"strings"
	"testing"
)

func TestMathIsExact(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	tests := map[string]struct{ tool, a, b, want string }{
		"23 + 19":                              {"math_add", "23", "19", "42"},
		"an integer beyond 2^53":               {"math_add", "9007199254740993", "1", "9007199254740994"},
		"tenths":                               {"math_add", "0.1", "0.2", "0.3"},
		"a whole sum of decimals":              {"math_add", "0.50", "1.5", "2"},
		"numbers far apart":                    {"math_add", "1e40", "1e-5", "1" + strings.Repeat("0", 40) + ".00001"},
		"minus zero":                           {"math_add", "-0", "-0.0", "0"},
		"exponents in every spelling":          {"math_add", "1E+2", "1e-0002", "100.01"},
		"a difference below zero":              {"math_subtract", "1", "1.25", "-0.25"},
		"a difference of nearly equal numbers": {"math_subtract", "12345678901234567890.1", "12345678901234567890", "0.1"},
		"integers of twenty digits":            {"math_multiply", "12345678901234567890", "98765432109876543210", "1219326311370217952237463801111263526900"},
		"the largest product":                  {"math_multiply", "1e1000", "1e1000", "1" + strings.Repeat("0", 2000)},
		"the smallest product":                 {"math_multiply", "1e-1000", "-1e-1000", "-0." + strings.Repeat("0", 1999) + "1"},
		"a quotient with an end":               {"math_divide", "1", "-8", "-0.125"},
		"a whole quotient":                     {"math_divide", "1219326311370217952237463801111263526900", "98765432109876543210", "12345678901234567890"},
		"a long quotient with an end":          {"math_divide", "1", "1267650600228229401496703205376", "0.0000000000000000000000000000007888609052210118054117285652827862296732064351090230047702789306640625"},
		"zero divided":                         {"math_divide", "0", "7", "0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, c, test.tool, `{"a":`+test.a+`,"b":`+test.b+`}`)
			if want := `{"result":` + test.want + `}`; string(got.StructuredContent) != want {
				t.Errorf("structured: got %s, want %s", got.StructuredContent, want)
			}
			if got.IsError || len(got.Content) != 1 || got.Content[0].Text != test.want {
				t.Errorf("content: got %+v, want the text %s", got.Content, test.want)
			}
		})
	}
}

func TestAQuotientWithoutEndIsRoundedAndSaysSo(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	tests := map[string]struct{ a, b, want string }{
		"a third":                 {"1", "3", "0.3333333333333333333333333333333333"},
		"two thirds, up":          {"2", "3", "0.6666666666666666666666666666666667"},
		"minus two thirds":        {"-2", "3", "-0.6666666666666666666666666666666667"},
		"with an integer part":    {"1000000", "7", "142857.1428571428571428571428571429"},
		"the longest plain":       {"1e33", "3", "333333333333333333333333333333333.3"},
		"34 digits, none made up": {"2e34", "3", "6666666666666666666666666666666667"},
		"too long to be plain":    {"2e35", "3", "6.666666666666666666666666666666667e+34"},
		"huge":                    {"1e1000", "7", "1.428571428571428571428571428571429e+999"},
		"small":                   {"1e-6", "3", "0.0000003333333333333333333333333333333333"},
		"tiny":                    {"1e-1000", "3", "3.333333333333333333333333333333333e-1001"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, c, "math_divide", `{"a":`+test.a+`,"b":`+test.b+`}`)
			if want := `{"result":` + test.want + `,"rounded":true}`; string(got.StructuredContent) != want {
				t.Errorf("got %s, want %s", got.StructuredContent, want)
			}
			if got.Content[0].Text != test.want {
				t.Errorf("got text %s, want %s", got.Content[0].Text, test.want)
			}
		})
	}
}

func TestMathRefusesWithTheArgumentsName(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	long := strings.Repeat("9", 1001)
	tests := map[string]struct{ tool, arguments, want string }{
		"division by zero":            {"math_divide", `{"a":1,"b":0}`, "cannot divide by zero: b is 0"},
		"zero by zero":                {"math_divide", `{"a":0,"b":-0.0e5}`, "cannot divide by zero: b is 0"},
		"no arguments":                {"math_add", ``, "a is missing; b is missing"},
		"none of two":                 {"math_add", `{}`, "a is missing; b is missing"},
		"one of two":                  {"math_subtract", `{"a":1}`, "b is missing"},
		"one too many":                {"math_multiply", `{"a":1,"b":2,"c":3}`, `there is no argument "c"; the tool takes a and b`},
		"a name in other case":        {"math_add", `{"a":1,"B":2}`, `there is no argument "B"; the tool takes a and b; b is missing`},
		"a number as a string":        {"math_add", `{"a":"1","b":2}`, "a must be a number, not a string"},
		"null":                        {"math_add", `{"a":1,"b":null}`, "b must be a number, not null"},
		"a boolean":                   {"math_add", `{"a":true,"b":2}`, "a must be a number, not a boolean"},
		"a list":                      {"math_add", `{"a":[1],"b":2}`, "a must be a number, not an array"},
		"an object":                   {"math_add", `{"a":{"a":1},"b":2}`, "a must be a number, not an object"},
		"both wrong, both named":      {"math_add", `{"a":"1","b":[]}`, "a must be a number, not a string; b must be a number, not an array"},
		"a number that is too long":   {"math_add", `{"a":` + long + `,"b":2}`, "a is longer than 1000 characters"},
		"an exponent too large":       {"math_add", `{"a":1,"b":1e1001}`, "b has an exponent beyond 1000"},
		"an exponent too small":       {"math_add", `{"a":1E-1001,"b":1}`, "a has an exponent beyond 1000"},
		"an exponent beyond integers": {"math_add", `{"a":1e99999999999999999999,"b":1}`, "a has an exponent beyond 1000"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, c, test.tool, test.arguments)
			if !got.IsError || len(got.Content) != 1 || got.Content[0].Text != test.want {
				t.Errorf("got %+v, want the tool error %q", got, test.want)
			}
			if got.StructuredContent != nil {
				t.Errorf("an error has structured content: %s", got.StructuredContent)
			}
		})
	}
}

func TestTheLongestNumberIsStillTaken(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	got := call(t, c, "math_add", `{"a":`+strings.Repeat("9", 1000)+`,"b":1}`)
	if want := "1" + strings.Repeat("0", 1000); got.Content[0].Text != want {
		t.Errorf("got %s, want %s", got.Content[0].Text, want)
	}
}

// FuzzMath: no panic for any JSON numbers; a sum taken apart again is exact,
// and every answer is JSON.
func FuzzMath(f *testing.F) {
	for _, seed := range [][2]string{{"0.1", "0.2"}, {"9007199254740993", "-1e3"}, {"1e1000", "1e-1000"}, {"x", "1/3"}, {"-0", "0x1p4"}} {
		f.Add(seed[0], seed[1])
	}
	c := newCatalog(f, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, a, b string) {
		if !json.Valid([]byte(a)) || !json.Valid([]byte(b)) {
			return // the edge lets nothing else through
		}
		a, b = strings.TrimSpace(a), strings.TrimSpace(b)
		sum := call(t, c, "math_add", `{"a":`+a+`,"b":`+b+`}`)
		if call(t, c, "math_divide", `{"a":`+a+`,"b":`+b+`}`); sum.IsError {
			return
		}
		var got struct{ Result json.Number }
		if err := json.Unmarshal(sum.StructuredContent, &got); err != nil {
			t.Fatal(err)
		}
		total, _ := new(big.Rat).SetString(got.Result.String())
		left, _ := new(big.Rat).SetString(a)
		right, _ := new(big.Rat).SetString(b)
		if total.Sub(total, left).Cmp(right) != 0 {
			t.Fatalf("%s + %s = %s", a, b, got.Result)
		}
	})
}
