package app_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/shared/wire"
)

// stepScopes are two scopes; math_divide needs both.
const stepScopes = "scopes:\n" +
	"  - {name: calc.divide, description: divide numbers, tools: [math_divide]}\n" +
	"  - {name: calc.all, description: calculate, tools: [\"math_div*\", math_multiply]}\n"

const divideCall = `{"jsonrpc":"2.0","id":"d","method":"tools/call","params":{"name":"math_divide","arguments":{"a":42,"b":2}}}`

// withScope signs a person in with a scope parameter.
func (g *gateway) withScope(clientID, who, scope string) tokenAnswer {
	g.t.Helper()
	a := newAuthorization(clientID)
	code := g.visit(newBrowser(g.t), a, clientRedirect, who, true, func(q url.Values) { q.Set("scope", scope) }).Get("code")
	got := g.redeem(a, code, nil)
	if got.status != http.StatusOK {
		g.t.Fatalf("redeem: %+v", got)
	}
	return got
}

// challenge reads the parameters of a Bearer challenge, each of which is a
// quoted string.
func challenge(t *testing.T, header http.Header) map[string]string {
	t.Helper()
	if len(header["Www-Authenticate"]) == 0 {
		return nil
	}
	rest, ok := strings.CutPrefix(header.Get("WWW-Authenticate"), "Bearer ")
	if !ok || len(header["Www-Authenticate"]) != 1 {
		t.Fatalf("challenges %q", header["Www-Authenticate"])
	}
	params := make(map[string]string)
	for part := range strings.SplitSeq(rest, `", `) {
		name, value, _ := strings.Cut(strings.TrimSuffix(part, `"`), `="`)
		params[name] = value
	}
	delete(params, "error_description")
	return params
}

// wantsStepUp checks that an answer asks for a scope.
func (g *gateway) wantsStepUp(t *testing.T, resp *http.Response, body, scope, path string) {
	t.Helper()
	want := map[string]string{
		"error": "insufficient_scope", "scope": scope, "resource_metadata": g.url + "/.well-known/oauth-protected-resource" + path,
	}
	if diff := cmp.Diff(want, challenge(t, resp.Header)); resp.StatusCode != http.StatusForbidden || diff != "" {
		t.Errorf("status %d, challenge (-want +got):\n%s", resp.StatusCode, diff)
	}
	if !strings.Contains(body, `"error":{"code":-32600`) || !strings.Contains(body, "permission") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		t.Errorf("body: %s", body)
	}
}

// postTo sends a message to an endpoint.
func (g *gateway) postTo(path, bearer, body string, header http.Header) (*http.Response, string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Authorization", "Bearer "+bearer)
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(data)
}

const initialize = `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// session begins a legacy session and returns the headers of its requests.
func (g *gateway) session(path, bearer string) http.Header {
	g.t.Helper()
	resp, body := g.postTo(path, bearer, initialize, nil)
	id := resp.Header.Get(wire.HeaderSessionID)
	if resp.StatusCode != http.StatusOK || id == "" {
		g.t.Fatalf("initialize: %d %s", resp.StatusCode, body)
	}
	header := http.Header{"Mcp-Protocol-Version": {"2025-06-18"}}
	header.Set(wire.HeaderSessionID, id)
	return header
}

// stream opens GET /sse and returns where its messages are posted, and its
// events.
func (g *gateway) stream(bearer string) (string, *wire.EventReader) {
	g.t.Helper()
	ctx, leave := context.WithTimeout(g.t.Context(), 30*time.Second)
	g.t.Cleanup(leave)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+"/sse", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // the context ends it
	if err != nil {
		g.t.Fatal(err)
	}
	events := wire.NewEventReader(resp.Body, 1<<20)
	first, err := events.Next()
	if err != nil || first.Name != "endpoint" {
		g.t.Fatalf("the first event is %+v, %v", first, err)
	}
	return string(first.Data), events
}

// modernList lists the tools in the stateless era.
func (g *gateway) modernList(bearer string) string {
	g.t.Helper()
	_, body := g.post(bearer, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+modernMeta+`}}`,
		http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/list"}})
	return body
}

func testACallWithoutItsScopeIsToldWhatToAskFor(t *testing.T) {
	t.Parallel()
	g := start(t, stepScopes)
	tokens := g.withScope(g.registration(), "Ada", "mcp offline_access")
	bearer := tokens.AccessToken
	if body := g.modernList(bearer); !strings.Contains(body, `"math_divide"`) {
		t.Errorf("the tool is hidden, so nobody would ever ask: %s", body)
	}
	const scope = "mcp calc.divide calc.all"
	t.Run("in the modern era", func(t *testing.T) {
		resp, body := g.callModern(bearer, "math_divide", `{"a":42,"b":2}`)
		g.wantsStepUp(t, resp, body, scope, "/mcp")
		if !strings.Contains(body, `"id":12345678901234567890`) || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("not under the client's id, or to be stored: %s", body)
		}
	})
	for _, path := range []string{"/mcp", "/mcp/"} {
		t.Run("in a session at "+path, func(t *testing.T) {
			resp, body := g.postTo(path, bearer, divideCall, g.session(path, bearer))
			g.wantsStepUp(t, resp, body, scope, path)
		})
	}
	t.Run("on a stream", func(t *testing.T) {
		messages, events := g.stream(bearer)
		if resp, body := g.postTo(messages, bearer, initialize, nil); resp.StatusCode != http.StatusAccepted {
			t.Fatalf("initialize: %d %s", resp.StatusCode, body)
		}
		resp, body := g.postTo(messages, bearer, divideCall, nil)
		g.wantsStepUp(t, resp, body, scope, "/sse")
		// What is said there is not said on the stream as well.
		ping := `{"jsonrpc":"2.0","id":"p","method":"ping"}`
		if resp, body := g.postTo(messages, bearer, ping, nil); resp.StatusCode != http.StatusAccepted {
			t.Fatalf("ping: %d %s", resp.StatusCode, body)
		}
		answers := make(map[bool]bool)
		for range 2 {
			event, err := events.Next()
			if err != nil {
				t.Fatal(err)
			}
			answers[strings.Contains(string(event.Data), `"id":"d"`)] = true
		}
		if answers[true] {
			t.Error("the call was answered twice")
		}
	})
	t.Run("to a page in a browser", func(t *testing.T) {
		header := g.session("/mcp", bearer)
		header.Set("Origin", "http://localhost:6274")
		resp, body := g.postTo("/mcp", bearer, divideCall, header)
		g.wantsStepUp(t, resp, body, scope, "/mcp")
		if resp.Header.Get("Access-Control-Allow-Origin") != "http://localhost:6274" || !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
			t.Errorf("the page cannot read what to ask for: %v", resp.Header)
		}
	})
	t.Run("only that tool", func(t *testing.T) {
		if resp, body := g.callModern(bearer, "math_add", `{"a":23,"b":19}`); resp.StatusCode != http.StatusOK || !strings.Contains(body, "42") {
			t.Errorf("a tool that needs none: %d %s", resp.StatusCode, body)
		}
		resp, body := g.callModern(bearer, "math_multiply", `{"a":2,"b":3}`)
		g.wantsStepUp(t, resp, body, "mcp calc.all", "/mcp")
	})
	story := g.story()
	if n := strings.Count(story, "call denied insufficient_scope math_divide\n"); n != 5 || strings.Contains(story, "call ok administrators math_divide") {
		t.Errorf("the trail has %d denials, want 5:\n%s", n, story)
	}
}

func testAskingForTheScopeOpensTheTool(t *testing.T) {
	t.Parallel()
	g := start(t, stepScopes)
	clientID := g.registration()
	old := g.withScope(clientID, "Ada", "mcp offline_access")
	some := g.withScope(clientID, "Ada", "mcp calc.divide no.such openid")
	if some.Scope != "mcp calc.divide" {
		t.Errorf("scope %q: unknown ones are dropped", some.Scope)
	}
	resp, body := g.callModern(some.AccessToken, "math_divide", `{"a":42,"b":2}`)
	g.wantsStepUp(t, resp, body, "mcp calc.divide calc.all", "/mcp")

	params := challenge(t, resp.Header)
	full := g.withScope(clientID, "Ada", params["scope"])
	for range 3 { // a refresh keeps the scopes
		if full.Scope != "mcp calc.divide calc.all" {
			t.Errorf("scope %q", full.Scope)
		}
		if resp, body := g.callModern(full.AccessToken, "math_divide", `{"a":42,"b":2}`); resp.StatusCode != http.StatusOK || !strings.Contains(body, "21") {
			t.Errorf("with both scopes: %d %s", resp.StatusCode, body)
		}
		full = g.refresh(clientID, full.RefreshToken)
	}
	// The grants from before stay as they were, refreshed or asked for more.
	resp, body = g.callModern(old.AccessToken, "math_divide", `{"a":42,"b":2}`)
	g.wantsStepUp(t, resp, body, "mcp calc.divide calc.all", "/mcp")
	more := g.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {old.RefreshToken}, "scope": {"mcp calc.divide calc.all"}})
	if more.status != http.StatusOK || more.Scope != "mcp offline_access" {
		t.Errorf("a refresh that asks for more: %d, scope %q", more.status, more.Scope)
	}
	resp, body = g.callModern(more.AccessToken, "math_divide", `{"a":42,"b":2}`)
	g.wantsStepUp(t, resp, body, "mcp calc.divide calc.all", "/mcp")
}

// TestAScopeGivesNobodyARight: whoever may not call a tool gets the answer for
// one that does not exist, with the scope or without.
func TestAScopeGivesNobodyARight(t *testing.T) {
	t.Parallel()
	g := start(t, stepScopes)
	clientID := g.registration()
	for _, scope := range []string{"mcp", "mcp calc.divide calc.all"} {
		bearer := g.withScope(clientID, "Nora", scope).AccessToken
		answers := make(map[string]string)
		for _, tool := range []string{"math_divide", "math_multiple"} {
			resp, body := g.callModern(bearer, tool, `{"a":42,"b":2}`)
			legacy, legacyBody := g.postTo("/mcp", bearer, strings.Replace(divideCall, "math_divide", tool, 1), g.session("/mcp", bearer))
			messages, events := g.stream(bearer)
			sse, sseBody := g.postTo(messages, bearer, strings.Replace(divideCall, "math_divide", tool, 1), nil)
			event, err := events.Next()
			if err != nil {
				t.Fatal(err)
			}
			if resp.Header.Get("WWW-Authenticate")+legacy.Header.Get("WWW-Authenticate")+sse.Header.Get("WWW-Authenticate") != "" || sse.StatusCode != http.StatusAccepted {
				t.Errorf("%s, with scope %q: %d, %d, %d and a challenge", tool, scope, resp.StatusCode, legacy.StatusCode, sse.StatusCode)
			}
			answer := strings.Join([]string{resp.Status, body, legacy.Status, legacyBody, sse.Status, sseBody, string(event.Data)}, "\n")
			if strings.Count(answer, "does not exist or you may not call it") != 3 {
				t.Errorf("%s, with scope %q: %s", tool, scope, answer)
			}
			answers[tool] = strings.ReplaceAll(answer, tool, "TOOL")
		}
		if diff := cmp.Diff(answers["math_multiple"], answers["math_divide"]); diff != "" {
			t.Errorf("with scope %q one can tell which tools there are (-unknown +forbidden):\n%s", scope, diff)
		}
		if body := g.modernList(bearer); strings.Contains(body, "math_divide") {
			t.Errorf("the tool is listed: %s", body)
		}
	}
	if story := g.story(); strings.Contains(story, "insufficient_scope") || !strings.Contains(story, "call denied no_rule math_divide") {
		t.Errorf("the trail tells:\n%s", story)
	}
}

// TestAToolThatIsNotThereNeedsNoScope: a scope may cover names of tools that
// there are not, and Ada may call whatever there is.
func TestAToolThatIsNotThereNeedsNoScope(t *testing.T) {
	t.Parallel()
	g := start(t, stepScopes)
	bearer := g.withScope(g.registration(), "Ada", "mcp").AccessToken
	resp, body := g.callModern(bearer, "math_divination", `{}`)
	if resp.StatusCode == http.StatusForbidden || resp.Header.Get("WWW-Authenticate") != "" || !strings.Contains(body, "does not exist or you may not call it") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	messages, events := g.stream(bearer)
	if resp, body := g.postTo(messages, bearer, strings.Replace(divideCall, "math_divide", "math_divination", 1), nil); resp.StatusCode != http.StatusAccepted {
		t.Errorf("on a stream: %d %s", resp.StatusCode, body)
	}
	if event, err := events.Next(); err != nil || !strings.Contains(string(event.Data), "does not exist or you may not call it") {
		t.Errorf("on the stream: %s, %v", event.Data, err)
	}
}

// TestAStepUpThatCannotBeWrittenDownIsNone, as with every other call.
func TestAStepUpThatCannotBeWrittenDownIsNone(t *testing.T) {
	t.Parallel()
	g := start(t, stepScopes)
	bearer := g.withScope(g.registration(), "Ada", "mcp").AccessToken
	header := g.session("/mcp", bearer)
	messages, _ := g.stream(bearer)
	breakTrail(t, g.dir+"/gateway.db", `CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
	for path, headers := range map[string]http.Header{"/mcp": header, messages: nil} {
		resp, body := g.postTo(path, bearer, divideCall, headers)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("WWW-Authenticate") != "" || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "audit trail") {
			t.Errorf("%.14s: %d %s", path, resp.StatusCode, body)
		}
	}
}

func TestTheConfiguredScopesAreAdvertisedAndAsked(t *testing.T) {
	t.Parallel()
	g := start(t, stepScopes)
	doc, _ := g.serverMetadata()
	if diff := cmp.Diff([]string{"mcp", "calc.divide", "calc.all", "offline_access"}, doc.ScopesSupported); diff != "" {
		t.Errorf("scopes_supported (-want +got):\n%s", diff)
	}
	page, _ := newBrowser(t).open(t.Context(), g.authorizeURL(newAuthorization(g.registration()), func(q url.Values) { q.Set("scope", "calc.divide") }))
	if !strings.Contains(page.body, "divide numbers") || strings.Contains(page.body, "calculate<") || strings.Contains(page.body, "stay signed in") {
		t.Errorf("the page does not say what is asked for:\n%s", page.body)
	}
	resp, _ := g.post("", divideCall, nil)
	if got := challenge(t, resp.Header); got["scope"] != "mcp" {
		t.Errorf("who has no token is asked for %q", got["scope"])
	}
}
