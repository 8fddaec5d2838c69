package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/store"
)

// alice may do everything, bob may only add.
var (
	alice = &access.Principal{
		Identity: store.Identity{
			Tenant: "t1", Object: "alice", Name: "Alice", Username: "alice@example.com",
			Roles: []string{"Admin"}, Groups: []string{"g1", "g2"},
		},
		ClientID: "c1", ClientName: "Inspector", Scopes: []string{"mcp"},
		ExpiresAt: time.Date(2026, 11, 24, 12, 0, 0, 0, time.FixedZone("", 3600)),
	}
	bob = &access.Principal{Identity: store.Identity{Tenant: "t1", Object: "bob"}}
)

func newCatalog(t testing.TB, logger *slog.Logger, tools ...server.ServerTool) *catalog.Catalog {
	t.Helper()
	policy, err := access.New([]access.Rule{
		{Name: "all", Subjects: []access.Subject{{Kind: access.KindUser, Value: "alice"}}, Tools: []string{"*"}},
		{Name: "add", Subjects: []access.Subject{{Kind: access.KindUser, Value: "bob"}}, Tools: []string{"math_add"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.New(catalog.Config{Policy: policy, Version: "v1", Logger: logger, Tools: tools})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// result is what the tests read of an answer.
type result struct {
	Content []struct {
		Type string
		Text string
	}
	StructuredContent json.RawMessage
	IsError           bool
	Tools             []map[string]json.RawMessage
	Capabilities      json.RawMessage
	ServerInfo        map[string]any
	Instructions      string
	Error             struct {
		Code    int
		Message string
	}
}

// ask sends one request and reads the answer as the wire would carry it.
func ask(t testing.TB, c *catalog.Catalog, p *access.Principal, method, params, arguments string) result {
	t.Helper()
	ctx := access.WithPrincipal(t.Context(), p)
	message := c.Handle(ctx, nil, json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`), json.RawMessage(arguments))
	data, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Result result
		Error  json.RawMessage
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if out.Error != nil {
		if err := json.Unmarshal(out.Error, &out.Result.Error); err != nil {
			t.Fatal(err)
		}
	}
	return out.Result
}

func call(t testing.TB, c *catalog.Catalog, tool, arguments string) result {
	t.Helper()
	return ask(t, c, alice, "tools/call", `{"name":"`+tool+`"}`, arguments)
}

func TestEachPersonSeesTheToolsTheyMayCall(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	tests := map[string]struct {
		principal *access.Principal
		want      []string
	}{
		"everything, in order":   {alice, []string{"math_add", "math_divide", "math_multiply", "math_subtract", "whoami"}},
		"one tool":               {bob, []string{"math_add"}},
		"a stranger sees none":   {&access.Principal{Identity: store.Identity{Object: "carol"}}, nil},
		"nobody sees none":       {nil, nil},
		"a name is not an id":    {&access.Principal{Identity: store.Identity{Object: "x", Name: "alice", Username: "alice"}}, nil},
		"a client is not a user": {&access.Principal{ClientID: "alice", ClientName: "alice"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, tool := range ask(t, c, test.principal, "tools/list", "{}", "").Tools {
				var name string
				if err := json.Unmarshal(tool["name"], &name); err != nil {
					t.Fatal(err)
				}
				got = append(got, name)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestAnInvisibleToolCannotBeCalled(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	for name, p := range map[string]*access.Principal{"bob": bob, "nobody": nil} {
		got := ask(t, c, p, "tools/call", `{"name":"math_divide"}`, `{"a":1,"b":1}`)
		if got.Error.Code != mcp.INVALID_PARAMS || !strings.Contains(got.Error.Message, "not found") {
			t.Errorf("%s: got %+v, want a tool that is not found", name, got)
		}
	}
	if !c.Has("math_divide") || c.Has("math_power") {
		t.Error("Has does not tell what there is")
	}
}

func TestOnlyWhatWorksIsAdvertised(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	got := ask(t, c, alice, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"","version":""}}`, "")
	if want := `{"tools":{}}`; string(got.Capabilities) != want {
		t.Errorf("capabilities: got %s, want %s", got.Capabilities, want)
	}
	want := map[string]any{"name": "mcp-gateway", "title": "MCP Gateway", "version": "v1"}
	if diff := cmp.Diff(want, got.ServerInfo); diff != "" {
		t.Error(diff)
	}
	if got.Instructions == "" {
		t.Error("there are no instructions")
	}
}

func TestToolsSayWhatTheyTakeAndGive(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	for _, tool := range ask(t, c, alice, "tools/list", "{}", "").Tools {
		var input, output struct {
			Type       string
			Properties map[string]any
			Required   []string
		}
		if err := errors.Join(json.Unmarshal(tool["inputSchema"], &input), json.Unmarshal(tool["outputSchema"], &output)); err != nil {
			t.Fatalf("%s: %v", tool["name"], err)
		}
		if input.Type != "object" || output.Type != "object" || len(output.Required) == 0 {
			t.Errorf("%s: the schemas are %s and %s", tool["name"], tool["inputSchema"], tool["outputSchema"])
		}
		if len(tool["title"]) < 4 || len(tool["description"]) < 20 {
			t.Errorf("%s: title %s, description %s", tool["name"], tool["title"], tool["description"])
		}
		var hints struct{ ReadOnlyHint, IdempotentHint, OpenWorldHint, DestructiveHint *bool }
		if err := json.Unmarshal(tool["annotations"], &hints); err != nil {
			t.Fatal(err)
		}
		if !*hints.ReadOnlyHint || !*hints.IdempotentHint || *hints.OpenWorldHint || *hints.DestructiveHint {
			t.Errorf("%s: annotations %s", tool["name"], tool["annotations"])
		}
	}
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, slog.New(slog.DiscardHandler))
	got := call(t, c, "whoami", "")
	const want = `{"tenant":"t1","object":"alice","name":"Alice","username":"alice@example.com","roles":["Admin"],` +
		`"group_count":2,"groups":["g1","g2"],"groups_unknown":false,"guest":false,"client":"Inspector",` +
		`"scopes":["mcp"],"token_expires_at":"2026-11-24T11:00:00Z"}`
	if string(got.StructuredContent) != want || got.Content[0].Text != want {
		t.Errorf("got  %s\nand  %s\nwant %s", got.StructuredContent, got.Content[0].Text, want)
	}
	lonely := *alice
	lonely.Roles, lonely.Groups, lonely.Scopes, lonely.GroupsUnknown, lonely.Guest = nil, nil, nil, true, true
	got = ask(t, c, &lonely, "tools/call", `{"name":"whoami"}`, "{}")
	for _, part := range []string{`"roles":[]`, `"groups":[]`, `"group_count":0`, `"groups_unknown":true`, `"guest":true`, `"scopes":[]`} {
		if !strings.Contains(string(got.StructuredContent), part) {
			t.Errorf("%s lacks %s", got.StructuredContent, part)
		}
	}
	if got := call(t, c, "whoami", `{"user":"bob"}`); !got.IsError || !strings.Contains(got.Content[0].Text, `no argument "user"; the tool takes none`) {
		t.Errorf("an argument that is none: got %+v", got)
	}
}

func TestAToolsFailureStaysInside(t *testing.T) {
	t.Parallel()
	handlers := map[string]server.ToolHandlerFunc{
		"panics": func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { panic("secret-host") },
		"fails": func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return nil, errors.New("secret-host refused")
		},
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			c := newCatalog(t, slog.New(slog.NewTextHandler(&log, nil)),
				server.ServerTool{Tool: mcp.NewTool(name), Handler: handler})
			got := call(t, c, name, "")
			if got.Error.Code != mcp.INTERNAL_ERROR || got.Error.Message != "the tool failed; the reason is in the gateway's log" {
				t.Errorf("got %+v", got.Error)
			}
			if !strings.Contains(log.String(), "secret-host") || !strings.Contains(log.String(), "tool="+name) {
				t.Errorf("the log does not tell: %s", log.String())
			}
		})
	}
}

func TestAToolGetsItsArgumentsByteForByte(t *testing.T) {
	t.Parallel()
	var got string
	c := newCatalog(t, slog.New(slog.DiscardHandler), server.ServerTool{
		Tool: mcp.NewTool("echo"),
		Handler: func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			raw, _ := req.GetRawArguments().(json.RawMessage)
			got = string(raw)
			return mcp.NewToolResultText(""), nil
		},
	})
	for _, want := range []string{`{ "n" : 9007199254740993, "big":1e999,"s":"\u0061" }`, `{}`, ""} {
		if call(t, c, "echo", want); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	policy, err := access.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	handler := func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil }
	named := func(name string) []server.ServerTool {
		return []server.ServerTool{{Tool: mcp.NewTool(name), Handler: handler}}
	}
	tests := map[string]struct {
		cfg    catalog.Config
		reason string
	}{
		"no policy":                {catalog.Config{Logger: logger}, "a policy and a logger"},
		"no logger":                {catalog.Config{Policy: policy}, "a policy and a logger"},
		"a tool of a built-in one": {catalog.Config{Policy: policy, Logger: logger, Tools: named("whoami")}, "two tools"},
		"a name with a space":      {catalog.Config{Policy: policy, Logger: logger, Tools: named("a b")}, "cannot be the name"},
		"an empty name":            {catalog.Config{Policy: policy, Logger: logger, Tools: named("")}, "cannot be the name"},
		"a long name":              {catalog.Config{Policy: policy, Logger: logger, Tools: named(strings.Repeat("a", 129))}, "cannot be the name"},
		"a tool that does nothing": {catalog.Config{Policy: policy, Logger: logger, Tools: []server.ServerTool{{Tool: mcp.NewTool("a")}}}, "no handler"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := catalog.New(test.cfg); err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want %q", err, test.reason)
			}
		})
	}
}
