package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

// call is a tools/call as clients of 2026-07-28 send it.
const call = `{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"math_add",` +
	`"arguments":{"a":9007199254740993,"b":0.10},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
	`"io.modelcontextprotocol/clientInfo":{"name":"client","version":"1.0"},"io.modelcontextprotocol/clientCapabilities":{}}}}`

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in     string
		kind   wire.Kind
		id     string
		method string
		params string
		result string
		error  string
	}{
		"a request whose id fits no integer type": {
			in:   ` { "jsonrpc" : "2.0" , "id" : 12345678901234567890 , "method" : "a" , "params" : { "x" : [ 1.50 , -0e+7 ] } } ` + "\n",
			kind: wire.KindRequest, id: "12345678901234567890", method: "a", params: `{ "x" : [ 1.50 , -0e+7 ] }`,
		},
		"a request whose id is a string with escapes": {
			in:   `{"jsonrpc":"2.0","id":"\u0061\"","method":"a"}`,
			kind: wire.KindRequest, id: `"\u0061\""`, method: "a",
		},
		"a negative id":                     {in: `{"jsonrpc":"2.0","id":-7,"method":"a"}`, kind: wire.KindRequest, id: "-7", method: "a"},
		"a method with escapes":             {in: `{"jsonrpc":"2.0","id":1,"method":"tools\/list"}`, kind: wire.KindRequest, id: "1", method: "tools/list"},
		"a key with escapes":                {in: `{"jsonrpc":"2.0","id":1,"meth\u006fd":"a"}`, kind: wire.KindRequest, id: "1", method: "a"},
		"a notification":                    {in: `{"jsonrpc":"2.0","method":"a","params":{}}`, kind: wire.KindNotification, method: "a", params: `{}`},
		"a response with a result":          {in: `{"jsonrpc":"2.0","id":1,"result":null}`, kind: wire.KindResponse, id: "1", result: "null"},
		"a response with an error":          {in: `{"jsonrpc":"2.0","id":1,"error":{"code":1}}`, kind: wire.KindResponse, id: "1", error: `{"code":1}`},
		"an error for an id not read":       {in: `{"jsonrpc":"2.0","id":null,"error":{}}`, kind: wire.KindResponse, error: `{}`},
		"an error without an id":            {in: `{"jsonrpc":"2.0","error":{}}`, kind: wire.KindResponse, error: `{}`},
		"members nobody knows":              {in: `{"jsonrpc":"2.0","id":1,"method":"a","x":{"METHOD":true}}`, kind: wire.KindRequest, id: "1", method: "a"},
		"the same key in different objects": {in: `{"jsonrpc":"2.0","id":1,"method":"a","params":{"a":{"a":[{"a":1},{"a":2}]}}}`, kind: wire.KindRequest, id: "1", method: "a", params: `{"a":{"a":[{"a":1},{"a":2}]}}`},
		"a key in other case in arguments":  {in: `{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":{"name":1,"Name":2}}}`, kind: wire.KindRequest, id: "1", method: "a", params: `{"arguments":{"name":1,"Name":2}}`},
		"NUL in a value":                    {in: `{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":"\u0000"}}`, kind: wire.KindRequest, id: "1", method: "a", params: `{"x":"\u0000"}`},
		"nesting up to the limit":           {in: nested(wire.MaxDepth), kind: wire.KindRequest, id: "1", method: "a", params: `{"x":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}`},
		"many keys":                         {in: `{"jsonrpc":"2.0","id":1,"method":"a","params":` + manyKeys("") + `}`, kind: wire.KindRequest, id: "1", method: "a", params: manyKeys("")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := wire.Parse([]byte(test.in))
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if m.Kind != test.kind || m.Method != test.method {
				t.Errorf("got kind %d and method %q, want %d and %q", m.Kind, m.Method, test.kind, test.method)
			}
			for part, pair := range map[string][2]string{
				"id": {string(m.ID), test.id}, "params": {string(m.Params), test.params},
				"result": {string(m.Result), test.result}, "error": {string(m.Error), test.error},
			} {
				if pair[0] != pair[1] {
					t.Errorf("got %s %s, want %s", part, pair[0], pair[1])
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	// head is a good start, so that one thing is wrong at a time.
	const head = `{"jsonrpc":"2.0","id":7,"method":"a"`
	tests := map[string]struct {
		in     string
		code   int
		reason string
		id     string // what can be echoed
	}{
		"nothing":                          {in: "", code: wire.CodeParse, reason: "a value is expected"},
		"an open object":                   {in: head, code: wire.CodeParse, reason: "a comma or the end"},
		"a comma before the end":           {in: head + ",}", code: wire.CodeParse, reason: "a key is expected"},
		"a key without quotes":             {in: head + ",x:1}", code: wire.CodeParse, reason: "a key is expected"},
		"a key without colon":              {in: head + `,"x" 1}`, code: wire.CodeParse, reason: "a colon is expected"},
		"a key without value":              {in: head + `,"x":}`, code: wire.CodeParse, reason: "a value is expected"},
		"a list without comma":             {in: head + `,"x":[1 2]}`, code: wire.CodeParse, reason: "a comma or the end"},
		"a word that is none":              {in: head + `,"x":nul}`, code: wire.CodeParse, reason: "a value is expected"},
		"a word with a tail":               {in: head + `,"x":nullx}`, code: wire.CodeParse, reason: "a comma or the end"},
		"a number with a leading zero":     {in: head + `,"x":01}`, code: wire.CodeParse, reason: "a comma or the end"},
		"a number with a plus":             {in: head + `,"x":+1}`, code: wire.CodeParse, reason: "a value is expected"},
		"a lone minus":                     {in: head + `,"x":-}`, code: wire.CodeParse, reason: "no digits"},
		"a point without digits":           {in: head + `,"x":1.}`, code: wire.CodeParse, reason: "after the point"},
		"an exponent without digits":       {in: head + `,"x":1e+}`, code: wire.CodeParse, reason: "in its exponent"},
		"NaN":                              {in: head + `,"x":NaN}`, code: wire.CodeParse, reason: "a value is expected"},
		"an open string":                   {in: head + `,"x":"a}`, code: wire.CodeParse, reason: "has no end"},
		"an escape that is none":           {in: head + `,"x":"\x41"}`, code: wire.CodeParse, reason: "no such escape"},
		"a short escape":                   {in: head + `,"x":"\u12G4"}`, code: wire.CodeParse, reason: "four hex digits"},
		"a line break in a string":         {in: head + ",\"x\":\"\n\"}", code: wire.CodeParse, reason: "control character"},
		"a NUL byte in a string":           {in: head + ",\"x\":\"\x00\"}", code: wire.CodeParse, reason: "control character"},
		"a NUL byte between":               {in: head + ",\x00\"x\":1}", code: wire.CodeParse, reason: "a key is expected"},
		"a byte order mark":                {in: "\ufeff" + head + "}", code: wire.CodeParse, reason: "a value is expected"},
		"invalid UTF-8":                    {in: head + ",\"x\":\"\xff\"}", code: wire.CodeParse, reason: "UTF-8"},
		"a surrogate in UTF-8":             {in: head + ",\"x\":\"\xed\xa0\x80\"}", code: wire.CodeParse, reason: "UTF-8"},
		"a second message":                 {in: head + "}" + head + "}", code: wire.CodeParse, reason: "data after the message"},
		"a NUL byte after":                 {in: head + "}\x00", code: wire.CodeParse, reason: "data after the message"},
		"a batch":                          {in: "[" + head + "}]", code: wire.CodeInvalidRequest, reason: "batches"},
		"a string":                         {in: `"a"`, code: wire.CodeInvalidRequest, reason: "not an object"},
		"null":                             {in: `null`, code: wire.CodeInvalidRequest, reason: "not an object"},
		"an empty object":                  {in: `{}`, code: wire.CodeInvalidRequest, reason: "jsonrpc is missing"},
		"no version":                       {in: `{"id":7,"method":"a"}`, code: wire.CodeInvalidRequest, reason: "jsonrpc is missing", id: "7"},
		"JSON-RPC 1":                       {in: `{"jsonrpc":"1.0","id":7,"method":"a"}`, code: wire.CodeInvalidRequest, reason: `not "2.0"`, id: "7"},
		"a version that is a number":       {in: `{"jsonrpc":2.0,"id":7,"method":"a"}`, code: wire.CodeInvalidRequest, reason: `not "2.0"`, id: "7"},
		"an id that is null":               {in: `{"jsonrpc":"2.0","id":null,"method":"a"}`, code: wire.CodeInvalidRequest, reason: "id is null"},
		"a result with an id that is null": {in: `{"jsonrpc":"2.0","id":null,"result":1}`, code: wire.CodeInvalidRequest, reason: "id is null"},
		"an id that is a fraction":         {in: `{"jsonrpc":"2.0","id":1.5,"method":"a"}`, code: wire.CodeInvalidRequest, reason: "id is not"},
		"an id with an exponent":           {in: `{"jsonrpc":"2.0","id":1e3,"method":"a"}`, code: wire.CodeInvalidRequest, reason: "id is not"},
		"an id that is a boolean":          {in: `{"jsonrpc":"2.0","id":true,"method":"a"}`, code: wire.CodeInvalidRequest, reason: "id is not"},
		"an id that is an object":          {in: `{"jsonrpc":"2.0","id":{},"method":"a"}`, code: wire.CodeInvalidRequest, reason: "id is not"},
		"two ids":                          {in: `{"jsonrpc":"2.0","id":7,"method":"a","id":8}`, code: wire.CodeInvalidRequest, reason: `"id" stands twice`},
		"two ids, one escaped":             {in: `{"jsonrpc":"2.0","id":7,"method":"a","\u0069d":8}`, code: wire.CodeInvalidRequest, reason: `"id" stands twice`},
		"a method that is a number":        {in: `{"jsonrpc":"2.0","id":7,"method":1}`, code: wire.CodeInvalidRequest, reason: "method is not", id: "7"},
		"an empty method":                  {in: `{"jsonrpc":"2.0","id":7,"method":""}`, code: wire.CodeInvalidRequest, reason: "method is not", id: "7"},
		"two methods":                      {in: head + `,"method":"b"}`, code: wire.CodeInvalidRequest, reason: `"method" stands twice`, id: "7"},
		"METHOD":                           {in: head + `,"METHOD":"b"}`, code: wire.CodeInvalidRequest, reason: `"METHOD" looks like "method"`, id: "7"},
		"only Method":                      {in: `{"jsonrpc":"2.0","id":7,"Method":"b"}`, code: wire.CodeInvalidRequest, reason: `"Method" looks like "method"`, id: "7"},
		"params with a long s":             {in: head + `,"param\u017f":{}}`, code: wire.CodeInvalidRequest, reason: `looks like "params"`, id: "7"},
		"params with a long s unescaped":   {in: head + `,"paramſ":{}}`, code: wire.CodeInvalidRequest, reason: `looks like "params"`, id: "7"},
		"params that are a list":           {in: head + `,"params":[]}`, code: wire.CodeInvalidRequest, reason: "params is not", id: "7"},
		"params that are null":             {in: head + `,"params":null}`, code: wire.CodeInvalidRequest, reason: "params is not", id: "7"},
		"two names":                        {in: head + `,"params":{"name":"a","name":"b"}}`, code: wire.CodeInvalidRequest, reason: `"name" stands twice`, id: "7"},
		"Name":                             {in: head + `,"params":{"name":"a","Name":"b"}}`, code: wire.CodeInvalidRequest, reason: `"Name" looks like "name"`, id: "7"},
		"_META":                            {in: head + `,"params":{"_META":{}}}`, code: wire.CodeInvalidRequest, reason: `looks like "_meta"`, id: "7"},
		"tasKId with a Kelvin sign":        {in: head + `,"params":{"tas` + "\u212a" + `Id":1}}`, code: wire.CodeInvalidRequest, reason: `looks like "taskId"`, id: "7"},
		"a protocol version in other case": {in: head + `,"params":{"_meta":{"io.modelcontextprotocol/ProtocolVersion":""}}}`, code: wire.CodeInvalidRequest, reason: "looks like", id: "7"},
		"two arguments of one name":        {in: head + `,"params":{"arguments":{"a":1,"a":2}}}`, code: wire.CodeInvalidRequest, reason: `"a" stands twice`, id: "7"},
		"one name spelled in two ways":     {in: head + `,"params":{"arguments":{"a":1,"\u0061":2}}}`, code: wire.CodeInvalidRequest, reason: `"a" stands twice`, id: "7"},
		"two lone surrogates":              {in: head + `,"params":{"arguments":{"\ud800":1,"\ud801":2}}}`, code: wire.CodeInvalidRequest, reason: `stands twice`, id: "7"},
		"a duplicate among many keys":      {in: head + `,"params":` + manyKeys(`,"k3":0`) + `}`, code: wire.CodeInvalidRequest, reason: `"k3" stands twice`, id: "7"},
		"a late duplicate among many":      {in: head + `,"params":` + manyKeys(`,"k39":0`) + `}`, code: wire.CodeInvalidRequest, reason: `"k39" stands twice`, id: "7"},
		"a duplicate after an object":      {in: head + `,"params":{"a":{"b":1},"c":[{"d":1}],"a":2}}`, code: wire.CodeInvalidRequest, reason: `"a" stands twice`, id: "7"},
		"a duplicate in a list":            {in: head + `,"params":{"a":[{"b":1,"b":2}]}}`, code: wire.CodeInvalidRequest, reason: `"b" stands twice`, id: "7"},
		"NUL in a key":                     {in: head + `,"params":{"name\u0000":"a"}}`, code: wire.CodeInvalidRequest, reason: "NUL", id: "7"},
		"a method and a result":            {in: head + `,"result":{}}`, code: wire.CodeInvalidRequest, reason: "also a result", id: "7"},
		"a method and an error":            {in: head + `,"error":{}}`, code: wire.CodeInvalidRequest, reason: "also a result or an error", id: "7"},
		"a result and an error":            {in: `{"jsonrpc":"2.0","id":7,"result":1,"error":{}}`, code: wire.CodeInvalidRequest, reason: "not one of", id: "7"},
		"neither method nor result":        {in: `{"jsonrpc":"2.0","id":7}`, code: wire.CodeInvalidRequest, reason: "not one of", id: "7"},
		"a result without id":              {in: `{"jsonrpc":"2.0","result":1}`, code: wire.CodeInvalidRequest, reason: "no id"},
		"an error that is a string":        {in: `{"jsonrpc":"2.0","id":7,"error":"a"}`, code: wire.CodeInvalidRequest, reason: "error is not", id: "7"},
		"lists nested too deeply":          {in: nested(wire.MaxDepth + 1), code: wire.CodeInvalidRequest, reason: "deeper than 64"},
		"objects nested too deeply":        {in: strings.Repeat(`{"a":`, 100_000), code: wire.CodeInvalidRequest, reason: "deeper than 64"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := wire.Parse([]byte(test.in))
			e, ok := errors.AsType[*wire.Error](err)
			if !ok {
				t.Fatalf("accepted, or another error: %v", err)
			}
			if e.Code != test.code || !strings.Contains(e.Error(), test.reason) {
				t.Errorf("got %d %q, want %d and %q in it", e.Code, e.Reason, test.code, test.reason)
			}
			if string(m.ID) != test.id {
				t.Errorf("got id %s, want %s", m.ID, test.id)
			}
			if batch := name == "a batch"; batch != errors.Is(err, wire.ErrBatch) {
				t.Errorf("is it ErrBatch: got %v, want %v", !batch, batch)
			}
		})
	}
}

// nested is a request with that many containers around its innermost value.
func nested(depth int) string {
	return `{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":` +
		strings.Repeat("[", depth-2) + strings.Repeat("]", depth-2) + `}}`
}

// manyKeys is an object with more keys than are compared one by one.
func manyKeys(tail string) string {
	var b strings.Builder
	for i := range 40 {
		b.WriteString(`,"k` + string(rune('0'+i/10)) + string(rune('0'+i%10)) + `":0`)
	}
	keys := strings.ReplaceAll(b.String()[1:], `"k0`, `"k`)
	return "{" + keys + tail + "}"
}

func TestReplaceIDLeavesTheRestAsItWas(t *testing.T) {
	t.Parallel()
	m, err := wire.Parse([]byte(`{ "id" : "a" ,"jsonrpc":"2.0","method":"x","params":{"id":"a","n":9007199254740993} }`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{ "id" : 42 ,"jsonrpc":"2.0","method":"x","params":{"id":"a","n":9007199254740993} }`
	if got := string(m.ReplaceID(json.RawMessage("42"))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMembersAreTheBytesThatWereSent(t *testing.T) {
	t.Parallel()
	m, err := wire.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"x","params":` +
		"{ \"s\" : \"a,}]\\\"\" ,\"n\":1.50\n,\t\"\\u006f\" : {\"x\":[1, {\"}\":2}]} , \"a\":[ ],\"t\":true }}"))
	if err != nil {
		t.Fatal(err)
	}
	want := [][2]string{{"s", `"a,}]\""`}, {"n", "1.50"}, {"o", `{"x":[1, {"}":2}]}`}, {"a", "[ ]"}, {"t", "true"}}
	i := 0
	for name, value := range wire.Members(m.Params) {
		if i == len(want) || name != want[i][0] || string(value) != want[i][1] {
			t.Fatalf("member %d: got %s: %s, want %v", i, name, value, want)
		}
		if got, ok := wire.Member(m.Params, name); !ok || string(got) != string(value) {
			t.Errorf("Member(%s): got %s, want %s", name, got, value)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("got %d members, want %d", i, len(want))
	}
	for _, object := range []string{``, `7`, `"s"`, `[{"s":1}]`, `{}`, `{"s"`, `{"s":`, `{"S":1}`, `{"t":"\"s\":1"}`} {
		if value, ok := wire.Member(json.RawMessage(object), "s"); ok {
			t.Errorf("%s: found %s", object, value)
		}
	}
	for range wire.Members(m.Params) {
		break // stopping early must be possible
	}
}

// FuzzParse: no panic; what is accepted means the same to encoding/json, also
// after its id was replaced.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		call, nested(64), `{"jsonrpc":"2.0","id":"\u0061","method":"a","params":{"a":[1,-2.5e7,null,true,"\ud83d\ude00"]}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"x"}}`, `{"jsonrpc":"2.0","id":null,"error":{}}`, `[]`, `{"ID":1}`, `{"id":1,"i\u0064":2}`, "\x00", `{"a`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := wire.Parse(data)
		if err != nil {
			return
		}
		agree(t, data, m, m.ID)
		if m.ID == nil {
			return
		}
		replaced := m.ReplaceID(json.RawMessage(`"new"`))
		again, err := wire.Parse(replaced)
		if err != nil {
			t.Fatalf("%s is refused with another id: %v", data, err)
		}
		agree(t, replaced, again, json.RawMessage(`"new"`))
		if back := again.ReplaceID(m.ID); !bytes.Equal(back, data) {
			t.Fatalf("the id put back makes %s of %s", back, data)
		}
	})
}

// agree compares a message with what encoding/json makes of the same bytes.
func agree(t *testing.T, data []byte, m wire.Message, id json.RawMessage) {
	t.Helper()
	var want struct {
		JSONRPC string
		ID      json.RawMessage
		Method  string
		Params  json.RawMessage
		Result  json.RawMessage
		Error   json.RawMessage
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatalf("encoding/json refuses %s: %v", data, err)
	}
	if string(want.ID) == "null" {
		want.ID = nil
	}
	if want.JSONRPC != "2.0" || want.Method != m.Method || !bytes.Equal(want.ID, id) || !bytes.Equal(m.ID, id) ||
		!bytes.Equal(want.Params, m.Params) || !bytes.Equal(want.Result, m.Result) || !bytes.Equal(want.Error, m.Error) {
		t.Fatalf("encoding/json reads %s as %+v, not as %+v", data, want, m)
	}
	if m.Params == nil {
		return
	}
	var params map[string]json.RawMessage
	if err := json.Unmarshal(m.Params, &params); err != nil {
		t.Fatalf("encoding/json refuses the params: %v", err)
	}
	n := 0
	for name, value := range wire.Members(m.Params) {
		if n++; !bytes.Equal(params[name], value) {
			t.Fatalf("encoding/json reads params.%s as %s, not as %s", name, params[name], value)
		}
	}
	if n != len(params) {
		t.Fatalf("encoding/json reads %d params, not %d", len(params), n)
	}
}

func BenchmarkParse(b *testing.B) {
	data := []byte(call)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := wire.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMember(b *testing.B) {
	m, err := wire.Parse([]byte(call))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := wire.Member(m.Params, "_meta"); !ok {
			b.Fatal("not found")
		}
	}
}
