package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcp-gateway/shared/entrasim"
)

// bearerTransport adds a token, as an MCP client's OAuth layer does.
type bearerTransport struct{ token string }

func (b bearerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

// connect is an MCP client that we did not write.
func connect(ctx context.Context, t *testing.T, g *gateway, token, revision string) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "go-sdk", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: g.url + "/mcp", HTTPClient: &http.Client{Transport: bearerTransport{token}},
	}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect with %s: %v", revision, err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// TestEveryDemonstrationPersonInBothEras is the whole way, as each person: sign
// in, consent, get a token, list the tools, add 23 and 19, be denied.
func TestEveryDemonstrationPersonInBothEras(t *testing.T) {
	t.Parallel()
	for _, u := range upstreams {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			checkEveryPerson(t, startLogin(t, u.start, nil, "").gateway)
		})
	}
}

func checkEveryPerson(t *testing.T, g *gateway) {
	t.Helper()
	everything := []string{"math_add", "math_divide", "math_multiply", "math_subtract", "whoami"}
	members := []string{"math_add", "math_multiply", "math_subtract", "whoami"}
	// Olga is an engineer in too many groups for a token. Microsoft Graph lists them
	// all; where there is none, a rule about groups denies.
	olga := everything
	if g.sim == nil {
		olga = members
	}
	for _, person := range []struct {
		button, object string
		tools          []string
	}{
		{button: "Ada Admin", object: entrasim.AdaObject, tools: everything},
		{button: "Max Member", object: entrasim.MaxObject, tools: everything},
		{button: "Nora Norole", object: entrasim.NoraObject, tools: []string{"whoami"}},
		{button: "Olga Overage", object: entrasim.OlgaObject, tools: olga},
		{button: "Gus Guest", object: entrasim.GusObject, tools: members},
	} {
		t.Run(person.button, func(t *testing.T) {
			_, tokens := g.in(t).grant(person.button)
			for _, revision := range []string{"2025-11-25", "2026-07-28"} {
				session := connect(t.Context(), t, g, tokens.AccessToken, revision)
				checkPerson(t, session, person.object, person.tools, revision)
			}
		})
	}
	if g.sim == nil {
		return
	}
	if v := g.sim.Violations(); len(v) > 0 {
		t.Errorf("Microsoft was asked what it would refuse: %v", v)
	}
}

func checkPerson(t *testing.T, session *mcp.ClientSession, object string, tools []string, revision string) {
	t.Helper()
	ctx := t.Context()
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		t.Fatalf("%s: list: %v", revision, err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, tools) {
		t.Errorf("%s: tools = %v, want %v", revision, names, tools)
	}
	who, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatalf("%s: whoami: %v", revision, err)
	}
	var identity struct {
		Object string `json:"object"`
		Tenant string `json:"tenant"`
	}
	raw, _ := json.Marshal(who.StructuredContent)
	if err := json.Unmarshal(raw, &identity); err != nil || identity.Object != object || identity.Tenant != entrasim.DemoTenant {
		t.Errorf("%s: whoami = %s, want object %s", revision, raw, object)
	}
	sum, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "math_add", Arguments: map[string]any{"a": 23, "b": 19}})
	if !slices.Contains(tools, "math_add") {
		if err == nil || !strings.Contains(err.Error(), "may not call it") {
			t.Errorf("%s: somebody without the right called math_add: %v, %v", revision, sum, err)
		}
		return
	}
	if err != nil || sum.IsError || sum.Content[0].(*mcp.TextContent).Text != "42" {
		t.Errorf("%s: 23 + 19 = %+v, %v, want 42", revision, sum, err)
	}
}

func TestSomebodyOfAnotherTenantIsSentBackWithAccessDenied(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	b := newBrowser(t)
	a := newAuthorization(g.registration())
	consent, _ := b.open(t.Context(), g.authorizeURL(a, nil))
	microsoft, _ := b.press(t.Context(), consent, "allow")
	page, back := b.press(t.Context(), microsoft, entrasim.Mallory)
	if back != nil {
		t.Fatalf("the browser went on to %s without a page", back)
	}
	if page.status != http.StatusForbidden || !strings.Contains(page.body, "AADSTS50020") {
		t.Errorf("status %d, page:\n%s", page.status, page.body)
	}
	for _, want := range []string{"error=access_denied", "state=" + a.state, "iss=http%3A%2F%2Flocalhost"} {
		if !strings.Contains(strings.ReplaceAll(page.body, "&amp;", "&"), want) {
			t.Errorf("the way back lacks %s:\n%s", want, page.body)
		}
	}
}
