package wire_test

import (
	"encoding/json"
	"testing"

	"mcp-gateway/shared/wire"
)

func TestMeta(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]string{
		`{"_meta":{"a":1,"b":"x"}}`:     `"x"`,
		`{"\u005fmeta":{"\u0062":[ ]}}`: `[ ]`,
		`{"_meta":{"a":1}}`:             "",
		`{"b":2}`:                       "",
		`{"_meta":[{"b":1}]}`:           "",
		`{"_meta":null}`:                "",
	} {
		m, err := wire.Parse([]byte(`{"jsonrpc":"2.0","method":"m","params":` + params + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := m.Meta("b"); string(got) != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, want %q", params, got, ok, want)
		}
	}
	if got, ok := (wire.Message{}).Meta("b"); ok {
		t.Errorf("no params: %q", got)
	}
}

func TestIDKey(t *testing.T) {
	for plain, spelled := range map[string]string{
		`"<"`: `"\u003c"`, `"a/b"`: `"a\/b"`, `"é"`: `"\u00e9"`, `"😀"`: `"\ud83d\ude00"`, `"&"`: `"\u0026"`, "\"\u2028\"": `"\u2028"`, "\"\x7f\"": `"\u007f"`,
	} {
		if a, b := wire.IDKey(json.RawMessage(plain)), wire.IDKey(json.RawMessage(spelled)); a != b {
			t.Errorf("%s and %s have the keys %q and %q", plain, spelled, a, b)
		}
	}
	t.Parallel()
	for _, same := range [][]string{{`"a"`, `"\u0061"`}, {`"é/"`, `"\u00e9\/"`}, {"7", "7"}, {`""`, `""`}} {
		if a, b := wire.IDKey(json.RawMessage(same[0])), wire.IDKey(json.RawMessage(same[1])); a != b {
			t.Errorf("%s and %s: %q and %q", same[0], same[1], a, b)
		}
	}
	seen := map[string]string{}
	for _, id := range []string{`"7"`, `7`, `"a"`, `"A"`, `12345678901234567890`, `12345678901234567891`, `""`, ``, `"\\u0061"`} {
		key := wire.IDKey(json.RawMessage(id))
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s are one", id, other)
		}
		seen[key] = id
	}
}
