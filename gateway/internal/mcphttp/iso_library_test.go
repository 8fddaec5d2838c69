package mcphttp_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

// What the library is known to do (see the tests named "unlike in the library" for
// the rest), and the gateway must not although it uses it.

func TestNoToolIsAddedForOneClientAndSeenByAnotherUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	added := server.ServerTool{Tool: mcp.NewTool("added"), Handler: burst}
	for name, r := range map[string]request{"legacy": s.script("1", "a", ""), "modern": modernScript("1", "a", "")} {
		answer := g.start(r)
		g.tell("a", func(ctx context.Context, srv *server.MCPServer, _ mcp.CallToolRequest) {
			session := server.ClientSessionFromContext(ctx)
			if with, ok := session.(server.SessionWithTools); ok {
				t.Errorf("%s: a request has tools of its own", name)
				with.SetSessionTools(map[string]server.ServerTool{"added": added})
			}
			for _, id := range []string{session.SessionID(), s.id, ""} {
				if srv.AddSessionTool(id, added.Tool, added.Handler) == nil {
					t.Errorf("%s: a tool was added for %q", name, id)
				}
			}
		})
		g.finish("a")
		answer().rest()
	}
	for name, r := range map[string]request{
		"the session": s.request("2", "tools/list", "{}"), "another": g.begin("bob").request("2", "tools/list", "{}"), "modern": modernRequest("2", "tools/list", ""),
	} {
		if got := g.send(r); strings.Contains(got.body, `"added"`) {
			t.Errorf("%s: got %s", name, got.body)
		}
	}
}

func TestWhatTheLibraryTellsEverybodyIsToldToNobody(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	get, listen, sse := g.live(s.get("")).primed(), g.live(listenFor("1", allLists)), g.open("alice")
	listen.next()
	answer := g.start(s.script("1", "a", "1"))
	g.say("a", "begin")
	for _, method := range []string{"notifications/tasks/status", "notifications/message", "notifications/progress", "notifications/elicitation/complete", "notifications/resources/updated", "x"} {
		g.server.SendNotificationToAllClients(method, map[string]any{"taskId": "secret", "uri": "secret", "progressToken": 1, "level": "emergency", "data": "secret"})
	}
	g.changeList("tools")
	for name, m := range map[string]string{"GET": get.next(), "listen": listen.next(), "/sse": sse.next()} {
		if !strings.Contains(m, "tools/list_changed") {
			t.Errorf("%s: got %s", name, m)
		}
	}
	g.finish("a")
	if rest := answer().rest(); len(rest) != 3 || strings.Contains(strings.Join(rest, ""), "secret") {
		t.Errorf("the call got %q", rest)
	}
}

func TestThereAreNoTasksToSeeUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	for _, method := range []string{"tasks/list", "tasks/get", "tasks/result", "tasks/cancel", "tasks/update"} {
		g.send(s.request("1", method, `{"taskId":"1"}`)).refused(t, http.StatusOK, wire.CodeMethodNotFound, "does not exist")
		g.send(modernRequest("1", method, `"taskId":"1"`)).refused(t, http.StatusNotFound, wire.CodeMethodNotFound, "does not exist")
	}
	if got := g.send(s.request("1", "tools/call", `{"name":"math_add","arguments":{"a":1,"b":1},"task":{"ttl":1}}`)); got.text(t) != "2" {
		t.Errorf("a call that would be a task: %s", got.body)
	}
}

func TestNoPageElsewhereReadsAStreamUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	for name, r := range map[string]request{"/sse": {path: "/sse", method: http.MethodGet}, "GET": s.get(""), "listen": listenFor("1", allLists)} {
		if got := g.live(r).header.Values("Access-Control-Allow-Origin"); len(got) != 0 {
			t.Errorf("%s: any page may read it: %q", name, got)
		}
		if got := g.send(r.with("Origin", "https://evil.example")); got.status != http.StatusForbidden {
			t.Errorf("%s: a page elsewhere got %d", name, got.status)
		}
		if got := g.live(r.with("Origin", "https://gw.example")).header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "https://gw.example" {
			t.Errorf("%s: its own page got %q", name, got)
		}
	}
}

func TestTheCallsOfAStreamAreBoundedUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, func(cfg *mcphttp.Config) { cfg.MaxConcurrentPerPrincipal = 5 })
	one, two := g.open("alice"), g.open("alice-other")
	call := func(i int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"wait"}}`, i)
	}
	for i := range 5 {
		one.post(call(i))
		<-g.waits.started
	}
	for _, s := range []*sse{one, two} {
		g.send(request{path: s.path, user: s.user, body: call(9)}).refused(t, http.StatusTooManyRequests, wire.CodeInternal, "too many of your requests")
	}
	close(g.waits.release)
	for range 5 {
		if m := one.next(); !strings.Contains(m, "waited") {
			t.Errorf("got %s", m)
		}
	}
	waitFor(t, "a free place", func() bool {
		return g.send(request{path: two.path, user: two.user, body: call(10)}).status == http.StatusAccepted
	})
	two.next()
}

func TestInitializeNamesItsSessionWhateverTheClientAcceptsUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	for _, accept := range []string{"application/json, text/event-stream", "text/event-stream, application/json;q=0.1", jsonType, "*/*", ""} {
		if l := g.live(request{body: initializeBody}.with("Accept", accept)); l.header.Get("Mcp-Session-Id") == "" || l.status != http.StatusOK {
			t.Errorf("%q: %d %v", accept, l.status, l.header)
		}
	}
}

func TestAMessageIsReadInOneWayOnlyUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s, sse := g.begin("alice"), g.open("alice")
	batches := g.beginWith("alice", wire.Revision20250326, "{}")
	for name, body := range map[string]string{
		"METHOD beside method":        `{"jsonrpc":"2.0","id":1,"METHOD":"tools/list","method":"ping"}`,
		"method twice":                `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"ping"}`,
		"METHOD alone":                `{"jsonrpc":"2.0","id":1,"METHOD":"ping"}`,
		"params with a long s":        `{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{"name":"burst"},"params":{"name":"echo"}}`,
		"a name in another case":      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"burst","name":"echo"}}`,
		"a name twice":                `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"burst","name":"echo"}}`,
		"a name followed by a NUL":    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name\u0000":"burst","name":"echo"}}`,
		"a cancellation of two calls": `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"requestId":2}}`,
	} {
		for where, r := range map[string]request{
			"a session": s.message(body), "a stream": {path: sse.path, body: body},
			"a batch": batches.message("["+body+"]").with("MCP-Protocol-Version", wire.Revision20250326),
		} {
			if got := g.send(r); got.status != http.StatusBadRequest && name != "a name followed by a NUL" {
				t.Errorf("%s in %s: got %d %s", name, where, got.status, got.body)
			}
		}
	}
}

func TestASchemaIsListedAsItIsUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	for name, r := range map[string]request{"legacy": g.begin("alice").request("1", "tools/list", "{}"), "modern": modernRequest("1", "tools/list", "")} {
		if got := g.send(r); !strings.Contains(got.body, `"inputSchema":`+fullSchema) {
			t.Errorf("%s: got %s", name, got.body)
		}
	}
}

func TestABodyIsBoundedOnEveryWayInUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s, sse := g.begin("alice"), g.open("alice")
	body := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("a", 4<<20) + `"}}`
	modern := modernRequest("1", "server/discover", "")
	modern.body = body
	for name, r := range map[string]request{"a session": s.message(body), "a batch": s.message("[" + body + "]"), "modern": modern, "a stream": {path: sse.path, body: body}} {
		if got, err := g.try(r); err == nil && got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %d %.200s", name, got.status, got.body)
		}
	}
}
