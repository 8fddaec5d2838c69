package mcphttp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// token is the RoundTripper of a client that has signed in.
type token string

func (tok token) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(tok))
	return http.DefaultTransport.RoundTrip(r)
}

// connect signs the official SDK's client in, in the era of the version.
func (g *gateway) connect(user, version string) *mcp.ClientSession {
	g.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "sdk", Version: "1"}, nil)
	transport := &mcp.StreamableClientTransport{Endpoint: g.url + "/mcp", HTTPClient: &http.Client{Transport: token(user)}}
	s, err := client.Connect(g.t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func TestTheOfficialClient(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"":           "2026-07-28", // it asks with server/discover first
		"2026-07-28": "2026-07-28",
		"2025-11-25": "2025-11-25",
		"2025-06-18": "2025-06-18",
		"2025-03-26": "2025-03-26",
		"2024-11-05": "2024-11-05",
	} {
		t.Run("asking for "+version, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, nil)
			s := g.connect("bob", version)
			init := s.InitializeResult()
			if init.ProtocolVersion != want || init.ServerInfo == nil || init.ServerInfo.Name != "mcp-gateway" || init.Instructions == "" {
				t.Errorf("connected with %+v", init)
			}
			tools, err := s.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(tools.Tools) != 2 || tools.Tools[0].Name != "math_add" || tools.Tools[0].OutputSchema == nil {
				t.Errorf("listed %+v", tools.Tools)
			}
			got, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "math_add", Arguments: map[string]any{"a": 23, "b": 19}})
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := got.Content[0].(*mcp.TextContent); !ok || text.Text != "42" || got.IsError {
				t.Errorf("called: %+v", got)
			}
			got, err = s.CallTool(t.Context(), &mcp.CallToolParams{Name: "math_add", Arguments: map[string]any{"a": "x", "b": 19}})
			if err != nil || !got.IsError {
				t.Errorf("called with a string: %+v, %v", got, err)
			}
			if _, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"}); err == nil || !strings.Contains(err.Error(), "you may not call it") {
				t.Errorf("called what bob may not: %v", err)
			}
			if err := s.Close(); err != nil { // ends a legacy session
				t.Error(err)
			}
		})
	}
}
