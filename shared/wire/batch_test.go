package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

func TestBatchIsCutIntoItsMessages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, batch string
		want        []string
	}{
		{name: "nothing", batch: ` [ ] `},
		{name: "one", batch: `[{"id":1}]`, want: []string{`{"id":1}`}},
		{name: "some, with space between", batch: "\n[ {\"a\":[1,{}]} ,\t{} ]\r", want: []string{`{"a":[1,{}]}`, `{}`}},
		{name: "brackets and commas in strings", batch: `["],[",{"}":"\","}]`, want: []string{`"],["`, `{"}":"\","}`}},
		{name: "what is no message", batch: `[1e400,-0,null,true,[],""]`, want: []string{"1e400", "-0", "null", "true", "[]", `""`}},
		{name: "the deepest", batch: "[" + nested(63) + "]", want: []string{nested(63)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			parts, err := wire.Batch([]byte(test.batch))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, part := range parts {
				got = append(got, string(part))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestBatchRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, batch string
		code        int
		reason      string
	}{
		{name: "a message", batch: `{}`, code: wire.CodeInvalidRequest, reason: "not an array"},
		{name: "nothing at all", batch: ``, code: wire.CodeInvalidRequest, reason: "not an array"},
		{name: "no end", batch: `[{}`, code: wire.CodeParse, reason: "a comma or the end"},
		{name: "a comma and no more", batch: `[{},]`, code: wire.CodeParse, reason: "a value is expected"},
		{name: "a comma first", batch: `[,{}]`, code: wire.CodeParse, reason: "a value is expected"},
		{name: "no comma", batch: `[{} {}]`, code: wire.CodeParse, reason: "a comma or the end"},
		{name: "another end", batch: `[{}}`, code: wire.CodeParse, reason: "a comma or the end"},
		{name: "more after it", batch: `[{}]]`, code: wire.CodeParse, reason: "data after the batch"},
		{name: "Latin-1", batch: "[\"\xe4\"]", code: wire.CodeParse, reason: "UTF-8"},
		{name: "a key that stands twice in a message", batch: `[{"id":1,"i\u0064":2}]`, code: wire.CodeInvalidRequest, reason: "stands twice"},
		{name: "one that is too deep", batch: strings.Repeat("[", 65), code: wire.CodeInvalidRequest, reason: "deeper than 64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			parts, err := wire.Batch([]byte(test.batch))
			refused, ok := errors.AsType[*wire.Error](err)
			if !ok || refused.Code != test.code || !strings.Contains(refused.Reason, test.reason) || parts != nil {
				t.Errorf("got %q, %v, want %d with %q", parts, err, test.code, test.reason)
			}
		})
	}
}

// FuzzBatch: no panic; each part of what is accepted is JSON and a part of what was
// given, and together they are all of it but the white space between.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		"[]", " [ ] ", "[" + call + "," + call + "]", "[ 1 ,\n\"],[\" ,{\"}\":[\"\\\"\"]}\t]", "[" + nested(63) + "]", "[-0,1e400,null]", "[{}", "[{},]", "[{}]]", "[1 2]", "[\"\xe4\"]", "{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		parts, err := wire.Batch(data)
		if err != nil {
			if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Fatalf("%q is refused with %T", data, err)
			}
			return
		}
		joined := []byte{'['}
		for i, part := range parts {
			if !json.Valid(part) || len(bytes.TrimSpace(part)) != len(part) {
				t.Fatalf("%q has the part %q", data, part)
			}
			if i > 0 {
				joined = append(joined, ',')
			}
			joined = append(joined, part...)
		}
		joined = append(joined, ']')
		if got, want := compact(t, joined), compact(t, data); got != want {
			t.Fatalf("%q is cut into %q", want, got)
		}
	})
}

// compact is JSON without white space between its tokens.
func compact(t *testing.T, data []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		t.Fatalf("%q is no JSON: %v", data, err)
	}
	return out.String()
}
