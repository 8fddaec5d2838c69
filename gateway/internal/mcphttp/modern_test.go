package mcphttp_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

func TestModernDiscover(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	got := g.send(modernRequest(`"d"`, "server/discover", ""))
	p := got.parse(t)
	if got.status != http.StatusOK || string(p.ID) != `"d"` {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if want := []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}; !slices.Equal(p.Result.SupportedVersions, want) {
		t.Errorf("supported versions: got %v, want %v", p.Result.SupportedVersions, want)
	}
	checkModernResult(t, p)
	if p.Result.TTLMs == nil || p.Result.CacheScope != "private" {
		t.Errorf("the answer cannot be cached as private: %s", got.body)
	}
	if !strings.Contains(got.body, `"capabilities":{"tools":{}}`) {
		t.Errorf("more or less is advertised than tools: %s", got.body)
	}
	if got.header.Get("Mcp-Session-Id") != "" {
		t.Error("a modern answer has a session")
	}
}

// checkModernResult checks what every result of 2026-07-28 has.
func checkModernResult(t *testing.T, p parts) {
	t.Helper()
	if p.Result.ResultType != "complete" {
		t.Errorf("resultType: got %q", p.Result.ResultType)
	}
	if info := string(p.Result.Meta["io.modelcontextprotocol/serverInfo"]); !strings.Contains(info, `"mcp-gateway"`) {
		t.Errorf("serverInfo: got %s", info)
	}
}

func TestModernListAndCall(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	got := g.send(modernRequest("1", "tools/list", "").as("bob"))
	p := got.parse(t)
	checkModernResult(t, p)
	if len(p.Result.Tools) != 2 || p.Result.Tools[0].Name != "math_add" || p.Result.Tools[1].Name != "wait" {
		t.Errorf("bob sees %v", p.Result.Tools)
	}
	if p.Result.TTLMs == nil || p.Result.CacheScope != "private" {
		t.Errorf("the list cannot be cached as private: %s", got.body)
	}
	got = g.send(modernCall("2", "math_add", `{"a":23,"b":19}`))
	p = got.parse(t)
	checkModernResult(t, p)
	if got.status != http.StatusOK || string(p.Result.StructuredContent) != `{"result":42}` || got.text(t) != "42" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestModernAccepts(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	ok := modernCall("1", "math_add", `{"a":1,"b":2}`)
	tests := map[string]struct {
		in     request
		status int
	}{
		"a session id, which means nothing":  {ok.with("Mcp-Session-Id", "made-up"), http.StatusOK},
		"Last-Event-ID, which means nothing": {ok.with("Last-Event-ID", "7"), http.StatusOK},
		"headers with space around":          {ok.with("Mcp-Name", "  math_add  "), http.StatusOK},
		"a name in base64":                   {ok.with("Mcp-Name", "=?base64?bWF0aF9hZGQ=?="), http.StatusOK},
		"a notification without headers":     {request{body: strings.Replace(ok.body, `"id":1,`, "", 1)}, http.StatusAccepted},
		"a number in _meta that no float64 holds": {request{
			header: ok.header, body: strings.Replace(ok.body, `"_meta":{`, `"_meta":{"x":1e999,`, 1),
		}, http.StatusOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.send(test.in)
			if got.status != test.status {
				t.Fatalf("got %d %s, want %d", got.status, got.body, test.status)
			}
			if got.status == http.StatusAccepted {
				if got.body != "" {
					t.Errorf("a notification is answered with %s", got.body)
				}
				return
			}
			checkModernResult(t, got.parse(t))
		})
	}
}

func TestModernRefuses(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	call := modernCall("7", "math_add", `{"a":1,"b":2}`)
	without := func(part string) request {
		r := call
		r.body = strings.Replace(r.body, part, "", 1)
		return r
	}
	version := func(v string) request {
		r := call.with("MCP-Protocol-Version", v)
		r.body = strings.Replace(r.body, `Version":"2026-07-28"`, `Version":"`+v+`"`, 1)
		return r
	}
	const bad = http.StatusBadRequest
	tests := map[string]struct {
		in     request
		status int
		code   int
		reason string
	}{
		"no version header":              {call.with("MCP-Protocol-Version", ""), bad, wire.CodeHeaderMismatch, "Mcp-Protocol-Version header stands 0 times"},
		"another version in the header":  {call.with("MCP-Protocol-Version", "2025-11-25"), bad, wire.CodeHeaderMismatch, `is "2025-11-25", but params._meta`},
		"no version in the body":         {without(`"io.modelcontextprotocol/protocolVersion":"2026-07-28",`), bad, wire.CodeInvalidParams, "lacks io.modelcontextprotocol/protocolVersion"},
		"no _meta":                       {without(`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`), bad, wire.CodeInvalidParams, "lacks io.modelcontextprotocol/protocolVersion"},
		"no capabilities":                {without(`,"io.modelcontextprotocol/clientCapabilities":{}`), bad, wire.CodeInvalidParams, "clientCapabilities"},
		"capabilities that are a list":   {request{header: call.header, body: strings.Replace(call.body, `Capabilities":{}`, `Capabilities":[]`, 1)}, bad, wire.CodeInvalidParams, "clientCapabilities, an object"},
		"a version that is a number":     {request{header: call.header, body: strings.Replace(call.body, `Version":"2026-07-28"`, `Version":2026`, 1)}, bad, wire.CodeInvalidParams, "is not a string"},
		"a version to come":              {version("2027-03-01"), bad, wire.CodeUnsupportedVersion, `"2027-03-01" is not served`},
		"a legacy version in _meta":      {version("2025-11-25"), bad, wire.CodeUnsupportedVersion, `"2025-11-25" is not served`},
		"a version that is none":         {version("tomorrow"), bad, wire.CodeUnsupportedVersion, `"tomorrow" is not served`},
		"no method header":               {call.with("Mcp-Method", ""), bad, wire.CodeHeaderMismatch, "Mcp-Method header stands 0 times"},
		"another method in the header":   {call.with("Mcp-Method", "tools/list"), bad, wire.CodeHeaderMismatch, `Mcp-Method header is "tools/list"`},
		"the method in other case":       {call.with("Mcp-Method", "Tools/Call"), bad, wire.CodeHeaderMismatch, `Mcp-Method header is "Tools/Call"`},
		"no name header":                 {call.with("Mcp-Name", ""), bad, wire.CodeHeaderMismatch, "Mcp-Name header stands 0 times"},
		"another name in the header":     {call.with("Mcp-Name", "whoami"), bad, wire.CodeHeaderMismatch, `Mcp-Name header is "whoami", but params.name is "math_add"`},
		"a name in bad base64":           {call.with("Mcp-Name", "=?base64?bWF0aF9hZGQ?="), bad, wire.CodeHeaderMismatch, "not valid base64"},
		"a name beyond ASCII":            {call.with("Mcp-Name", "math_\xc3\xa4dd"), bad, wire.CodeHeaderMismatch, "need base64"},
		"no name in the body":            {without(`"name":"math_add",`), bad, wire.CodeHeaderMismatch, `but params.name is ""`},
		"initialize":                     {modernRequest("7", "initialize", ""), http.StatusNotFound, wire.CodeMethodNotFound, `"initialize" does not exist`},
		"ping":                           {modernRequest("7", "ping", ""), http.StatusNotFound, wire.CodeMethodNotFound, `"ping"`},
		"logging/setLevel":               {modernRequest("7", "logging/setLevel", `"level":"debug"`), http.StatusNotFound, wire.CodeMethodNotFound, "setLevel"},
		"subscriptions/listen":           {modernRequest("7", "subscriptions/listen", `"notifications":{}`), http.StatusNotFound, wire.CodeMethodNotFound, "listen"},
		"resources/read":                 {modernRequest("7", "resources/read", `"uri":"a:b"`), http.StatusNotFound, wire.CodeMethodNotFound, "resources/read"},
		"prompts/get of no prompt":       {modernRequest("7", "prompts/get", `"name":"p"`), http.StatusNotFound, wire.CodeMethodNotFound, "prompts/get"},
		"tasks/get":                      {modernRequest("7", "tasks/get", `"taskId":"1"`), http.StatusNotFound, wire.CodeMethodNotFound, "tasks/get"},
		"a method nobody knows":          {modernRequest("7", "tools/steal", ""), http.StatusNotFound, wire.CodeMethodNotFound, "tools/steal"},
		"a cursor that is a number":      {modernRequest("7", "tools/list", `"cursor":1`), http.StatusOK, wire.CodeInvalidParams, "params.cursor is not a string"},
		"a cursor that is nobody's":      {modernRequest("7", "tools/list", `"cursor":"?"`), http.StatusOK, wire.CodeInvalidParams, ""},
		"arguments that are a list":      {modernCall("7", "math_add", `[1,2]`), http.StatusOK, wire.CodeInvalidParams, "params.arguments is not an object"},
		"a response, to nothing":         {request{header: call.header, body: `{"jsonrpc":"2.0","id":7,"result":{}}`}, bad, wire.CodeInvalidRequest, "no request to respond to"},
		"a name in other case beside it": {request{header: call.header, body: strings.Replace(call.body, `"name":`, `"Name":"whoami","name":`, 1)}, bad, wire.CodeInvalidRequest, `"Name" looks like "name"`},
		"METHOD beside method":           {request{header: call.header, body: strings.Replace(call.body, `"method":`, `"METHOD":"ping","method":`, 1)}, bad, wire.CodeInvalidRequest, `"METHOD" looks like "method"`},
		"a second name":                  {request{header: call.header, body: strings.Replace(call.body, `"name":`, `"name":"whoami","name":`, 1)}, bad, wire.CodeInvalidRequest, `"name" stands twice`},
		"a legacy message with its header": {request{
			header: map[string]string{"MCP-Protocol-Version": "2026-07-28"}, body: initializeBodyWithID7,
		}, bad, wire.CodeHeaderMismatch, "Mcp-Method header stands 0 times"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.send(test.in)
			got.refused(t, test.status, test.code, test.reason)
			if id := string(got.parse(t).ID); id != "7" {
				t.Errorf("got id %s, want 7", id)
			}
		})
	}
}

var initializeBodyWithID7 = strings.Replace(initializeBody, `"id":0`, `"id":7`, 1)

func TestAnUnservedVersionIsToldWhatIsServed(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	r := modernRequest("1", "server/discover", "").with("MCP-Protocol-Version", "2027-03-01")
	r.body = strings.Replace(r.body, `Version":"2026-07-28"`, `Version":"2027-03-01"`, 1)
	const want = `{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"2027-03-01"}`
	if got := string(g.send(r).parse(t).Error.Data); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
