package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

func TestCheckObjectAccepts(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"an empty object":                     `{}`,
		"space around it":                     " {} \n",
		"each key once":                       `{"a":1,"b":{"a":[{"a":1},{"a":2}]}}`,
		"a key of a message in other case":    `{"METHOD":1,"Params":{"NAME":1}}`,
		"an unknown key in two cases":         `{"x":1,"X":2}`,
		"an acted key in other case, deeper":  `{"a":{"A":1}}`,
		"an acted key with escapes":           `{"\u0061":1}`,
		"a key that only begins like one":     `{"ab":1}`,
		"nesting up to the limit":             `{"x":` + strings.Repeat("[", wire.MaxDepth-1) + strings.Repeat("]", wire.MaxDepth-1) + `}`,
		"a value that is spelled like a pair": `{"a":"\"a\":1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := wire.CheckObject([]byte(in), "a", "this"); err != nil {
				t.Errorf("%s is refused: %v", in, err)
			}
		})
	}
}

func TestCheckObjectRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		code     int
		reason   string
	}{
		{name: "nothing", in: ``, code: wire.CodeParse, reason: "a value is expected"},
		{name: "half an object", in: `{"a":1`, code: wire.CodeParse, reason: "a comma or the end is expected"},
		{name: "a list", in: `[{}]`, code: wire.CodeInvalidRequest, reason: "not an object"},
		{name: "null", in: `null`, code: wire.CodeInvalidRequest, reason: "not an object"},
		{name: "two objects", in: `{}{}`, code: wire.CodeParse, reason: "data after the document"},
		{name: "bytes that are not UTF-8", in: "{\"a\":\"\xff\"}", code: wire.CodeParse, reason: "UTF-8"},
		{name: "a byte order mark", in: "\ufeff{}", code: wire.CodeParse, reason: "a value is expected"},
		{name: "a key twice", in: `{"x":1,"x":1}`, code: wire.CodeInvalidRequest, reason: `"x" stands twice`},
		{name: "a key twice, once escaped", in: `{"x":1,"\u0078":1}`, code: wire.CodeInvalidRequest, reason: `"x" stands twice`},
		{name: "a key twice, deeper", in: `{"x":[{"y":1,"y":1}]}`, code: wire.CodeInvalidRequest, reason: `"y" stands twice`},
		{name: "an acted key in other case", in: `{"A":1}`, code: wire.CodeInvalidRequest, reason: `"A" looks like "a"`},
		{name: "an acted key with a long s", in: "{\"thi\u017f\":1}", code: wire.CodeInvalidRequest, reason: `looks like "this"`},
		{name: "NUL in a key", in: `{"a\u0000":1}`, code: wire.CodeInvalidRequest, reason: "NUL"},
		{name: "nesting beyond the limit", in: `{"x":` + strings.Repeat("[", wire.MaxDepth) + strings.Repeat("]", wire.MaxDepth) + `}`, code: wire.CodeInvalidRequest, reason: "deeper than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := wire.CheckObject([]byte(tt.in), "a", "this")
			if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != tt.code || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("got %v, want code %d and %q", err, tt.code, tt.reason)
			}
		})
	}
}

// FuzzCheckObject: what is accepted means the same to a parser that is exact
// about keys and to encoding/json, which is not.
func FuzzCheckObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"name":"x"}`, `{"Name":"x"}`, `{"name":"x","name":"y"}`, `{"name":"x","NAME":"y"}`, `{"x":{"name":1}}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if wire.CheckObject(data, "name") != nil {
			return
		}
		var exact map[string]json.RawMessage
		if err := json.Unmarshal(data, &exact); err != nil {
			t.Fatalf("%q is accepted and no object: %v", data, err)
		}
		var folded struct {
			Name json.RawMessage `json:"name"`
		}
		if err := json.Unmarshal(data, &folded); err != nil || string(folded.Name) != string(exact["name"]) {
			t.Errorf("%q: name is %s to one and %s to the other (%v)", data, folded.Name, exact["name"], err)
		}
	})
}
