package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

func TestParseKeepsPayloadsByteForByte(t *testing.T) {
	t.Parallel()
	const params = `{ "name":"math_add", "arguments":{"a":9007199254740993,"b":1.50},"_meta":{"progressToken":12345678901234567890}}`
	const data = ` {"jsonrpc":"2.0", "id":12345678901234567890 ,"method":"tools/call","params":` + params + `} ` + "\n"
	m, err := wire.Parse([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if m.Kind != wire.Request || m.Method != "tools/call" || m.Name != "math_add" {
		t.Errorf("got %+v", m)
	}
	if string(m.ID) != "12345678901234567890" || string(m.Params) != params {
		t.Errorf("id = %s, params = %s", m.ID, m.Params)
	}
	if string(m.Meta) != `{"progressToken":12345678901234567890}` {
		t.Errorf("meta = %s", m.Meta)
	}
	if got, want := string(m.WithID("7")), strings.Replace(data, "12345678901234567890 ,", "7 ,", 1); got != want {
		t.Errorf("WithID = %s, want %s", got, want)
	}
}

func TestEnvelopeEmptiesTheArguments(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"name":"n","arguments":{"a":[1e999]},"_meta":{}}}`: `{"jsonrpc":"2.0","id":7,"method":"x","params":{"name":"n","arguments":{},"_meta":{}}}`,
		`{"params":{"arguments": [1] },"method":"x","id":"one","jsonrpc":"2.0"}`:                           `{"params":{"arguments": {} },"method":"x","id":7,"jsonrpc":"2.0"}`,
		`{"jsonrpc":"2.0","id":1,"method":"x"}`:                                                            `{"jsonrpc":"2.0","id":7,"method":"x"}`,
	} {
		m, err := wire.Parse([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(m.Envelope("7")); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParseKinds(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]wire.Kind{
		`{"jsonrpc":"2.0","id":"a","method":"ping"}`:                                   wire.Request,
		`{"jsonrpc":"2.0","id":-1,"method":"ping","params":{}}`:                        wire.Request,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`:                       wire.Notification,
		`{"jsonrpc":"2.0","id":1,"result":{}}`:                                         wire.Response,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`:                    wire.Response,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`:                 wire.Response,
		`{"jsonrpc":"2.0","id":"\u00e9","method":"x","unknown":[1,{"a":[true,null]}]}`: wire.Request,
	} {
		m, err := wire.Parse([]byte(data))
		if err != nil || m.Kind != want {
			t.Errorf("%s: kind = %v, %v, want %v", data, m.Kind, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, data string
		code       int
		text       string
	}{
		{"nothing", ``, wire.CodeInvalidRequest, "JSON object"},
		{"a batch", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, wire.CodeInvalidRequest, "JSON object"},
		{"a duplicate method", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, wire.CodeParse, "twice"},
		{"a duplicate method by escape", `{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}`, wire.CodeParse, "twice"},
		{"a method in upper case", `{"jsonrpc":"2.0","id":1,"METHOD":"tools/call"}`, wire.CodeParse, "another case"},
		{"a method in upper case beside the right one", `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, wire.CodeParse, "another case"},
		{"params with a long s", `{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{}}`, wire.CodeParse, "another case"},
		{"a Kelvin sign", `{"jsonrpc":"2.0","id":1,"method":"x","params":{"tas\u212a":{}}}`, wire.CodeParse, "another case"},
		{"a tool name in upper case", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}`, wire.CodeParse, "another case"},
		{"a duplicate tool name", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}`, wire.CodeParse, "twice"},
		{"a duplicate key deep in arguments", `{"jsonrpc":"2.0","id":1,"method":"x","params":{"arguments":{"o":[{"a":1,"a":2}]}}}`, wire.CodeParse, "twice"},
		{"a revision in another case in _meta", `{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolversion":"2026-07-28"}}}`, wire.CodeParse, "another case"},
		{"text after the message", `{"jsonrpc":"2.0","id":1,"method":"ping"}{}`, wire.CodeParse, "after"},
		{"a cut-off message", `{"jsonrpc":"2.0","id":1,"method":"ping"`, wire.CodeParse, "missing"},
		{"invalid UTF-8", "{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}", wire.CodeParse, "UTF-8"},
		{"a control character", "{\"jsonrpc\":\"2.0\",\"id\":\"\x00\",\"method\":\"ping\"}", wire.CodeParse, "control"},
		{"an id of null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, wire.CodeInvalidRequest, "null"},
		{"a fractional id", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, wire.CodeInvalidRequest, "integer"},
		{"an id with an exponent", `{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, wire.CodeInvalidRequest, "integer"},
		{"an object as id", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, wire.CodeInvalidRequest, "integer"},
		{"another version", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, wire.CodeInvalidRequest, "2.0"},
		{"no version", `{"id":1,"method":"ping"}`, wire.CodeInvalidRequest, "2.0"},
		{"array params", `{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, wire.CodeInvalidRequest, "object"},
		{"a method that is no string", `{"jsonrpc":"2.0","id":1,"method":7}`, wire.CodeInvalidRequest, "string"},
		{"request and response at once", `{"jsonrpc":"2.0","id":1,"method":"x","result":{}}`, wire.CodeInvalidRequest, "not several"},
		{"result and error", `{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, wire.CodeInvalidRequest, "not several"},
		{"a result without id", `{"jsonrpc":"2.0","result":{}}`, wire.CodeInvalidRequest, "neither"},
		{"a leading zero", `{"jsonrpc":"2.0","id":01,"method":"ping"}`, wire.CodeParse, "missing"},
		{"a trailing comma", `{"jsonrpc":"2.0","id":1,"method":"ping",}`, wire.CodeParse, "key"},
		{"deep nesting", `{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, wire.CodeParse, "deeply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wire.Parse([]byte(tt.data))
			e, ok := errors.AsType[*wire.Error](err)
			if !ok {
				t.Fatalf("accepted, or another error: %v", err)
			}
			if e.Code != tt.code || !strings.Contains(e.Text, tt.text) {
				t.Errorf("got %d %q, want %d and %q", e.Code, e.Text, tt.code, tt.text)
			}
		})
	}
}

func TestParseErrorCarriesTheID(t *testing.T) {
	t.Parallel()
	_, err := wire.Parse([]byte(`{"jsonrpc":"2.0","id":"seven","method":"x","params":[]}`))
	if e, ok := errors.AsType[*wire.Error](err); !ok || string(e.ID) != `"seven"` {
		t.Errorf("err = %#v, want the id seven", err)
	}
}

func TestAppendError(t *testing.T) {
	t.Parallel()
	got := string(wire.AppendError(nil, json.RawMessage(`12345678901234567890`), wire.CodeInvalidParams, `a "b"`, json.RawMessage(`{"x":1}`)))
	if want := `{"jsonrpc":"2.0","id":12345678901234567890,"error":{"code":-32602,"message":"a \"b\"","data":{"x":1}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(wire.AppendError(nil, nil, wire.CodeParse, "x", nil)); !strings.Contains(got, `"id":null`) {
		t.Errorf("no id: %s", got)
	}
}

func TestAppendResult(t *testing.T) {
	t.Parallel()
	got := string(wire.AppendResult([]byte("x"), json.RawMessage(`"a"`), json.RawMessage(`{"n":9007199254740993}`)))
	if want := `x{"jsonrpc":"2.0","id":"a","result":{"n":9007199254740993}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIsBatch(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]bool{"[]": true, " \n[{}]": true, "{}": false, "": false, `"["`: false} {
		if got := wire.IsBatch([]byte(data)); got != want {
			t.Errorf("IsBatch(%q) = %v", data, got)
		}
	}
}

func TestDecodeHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value, want string
		ok          bool
	}{
		{"math_add", "math_add", true}, {" math_add\t", "math_add", true}, {"=?base64?w6k=?=", "é", true},
		{"=?base64?!!?=", "", false}, {"=?base64?w6k=", "=?base64?w6k=", true}, {"", "", true},
	} {
		got, ok := wire.DecodeHeader(tt.value)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("DecodeHeader(%q) = %q, %v, want %q, %v", tt.value, got, ok, tt.want, tt.ok)
		}
	}
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	if !wire.IsModern("2026-07-28") || !wire.IsModern("2027-03-01") || wire.IsModern("2025-11-25") || wire.IsModern("") {
		t.Error("the modern era begins with 2026-07-28")
	}
	if wire.IsServed("2027-03-01") || !wire.IsServed(wire.LatestLegacy) {
		t.Error("served revisions are wrong")
	}
}

// FuzzParse: what is accepted means the same to encoding/json, and an id can be
// replaced without touching anything else.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"b":[1,2,{"c":"\ud83d\ude00"}]},"_meta":{"progressToken":"x"}}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"é","result":{"a":-0.5e+10}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":null,"error":{}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","method":"a","params":{"\u006eame":"x","a":{"b":{"c":[[]]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := wire.Parse(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted invalid JSON: %q", data)
		}
		var got struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", data, err)
		}
		if got.Method != m.Method || string(got.Params) != string(m.Params) || m.ID != nil && string(got.ID) != string(m.ID) {
			t.Fatalf("%q: encoding/json reads %+v, we %+v", data, got, m)
		}
		if m.ID == nil {
			return
		}
		again, err := wire.Parse(m.WithID("4711"))
		if err != nil || string(again.ID) != "4711" || string(again.Params) != string(m.Params) || string(again.WithID(string(m.ID))) != string(data) {
			t.Fatalf("replacing the id of %q is not reversible: %v", data, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := []byte(`{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"math_add","arguments":{"a":23,"b":19},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
