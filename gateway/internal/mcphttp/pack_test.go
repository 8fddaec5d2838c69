package mcphttp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/mcphttp"
)

// newPackGateway serves more than tools.
func newPackGateway(t *testing.T, install func(s *server.MCPServer), options ...server.ServerOption) *gateway {
	t.Helper()
	return newGateway(t, func(cfg *mcphttp.Config) {
		options = append(options, server.WithPromptCapabilities(true), server.WithResourceCapabilities(true, true))
		c, err := catalog.New(catalog.Config{
			Policy: cfg.Policy, Version: "v1", Logger: slog.New(slog.DiscardHandler),
			Pack: catalog.Pack{Options: options, Install: func(s *server.MCPServer, _ func(string)) { install(s) }},
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Catalog = c
	})
}

// secret is what an error's text says that nobody outside may read.
const secret = "dial tcp 10.1.2.3:5432"

// failing are prompts and resources that fail in every way.
func failing(s *server.MCPServer) {
	s.AddPrompt(mcp.Prompt{Name: "broken"}, func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return nil, errors.New(secret)
	})
	s.AddPrompt(mcp.Prompt{Name: "panics"}, func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		panic(secret)
	})
	s.AddResourceTemplate(mcp.NewResourceTemplate("test://{kind}/x", "some"),
		func(_ context.Context, read mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			switch read.Params.URI {
			case "test://broken/x":
				return nil, errors.New(secret)
			case "test://panics/x":
				panic(secret)
			default:
				return nil, fmt.Errorf("%s: %w", secret, server.ErrResourceNotFound)
			}
		})
}

// failingCompletion fails, too.
type failingCompletion struct{}

func (failingCompletion) CompletePromptArgument(_ context.Context, _ string, argument mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	if argument.Value == "panic" {
		panic(secret)
	}
	return nil, errors.New(secret)
}

// TestAPanicInABatchIsAnAnswerOfItsOwn: each message of a batch runs on its own,
// where nothing else would keep a panic from ending the gateway.
func TestAPanicInABatchIsAnAnswerOfItsOwn(t *testing.T) {
	t.Parallel()
	g := newPackGateway(t, failing)
	begun := g.send(request{body: strings.Replace(initializeBody, "2025-11-25", "2025-03-26", 1)})
	got := g.send(request{
		header: map[string]string{"Mcp-Session-Id": begun.header.Get("Mcp-Session-Id")},
		body:   `[{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"panics"}},{"jsonrpc":"2.0","id":2,"method":"ping"}]`,
	})
	if got.status != http.StatusOK || !strings.Contains(got.body, "prompt failed") || !strings.Contains(got.body, `"id":2,"result"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestRefusalsOfPromptsAndResources: the code is that of the revision, and no text
// of an error or panic gets out.
func TestRefusalsOfPromptsAndResources(t *testing.T) {
	t.Parallel()
	g := newPackGateway(t, failing, server.WithCompletions(), server.WithPromptCompletionProvider(failingCompletion{}))
	alice := g.begin("alice")
	for _, tt := range []struct {
		name           string
		method, params string
		legacy, modern int
		reason         string
		data           string
	}{
		{name: "a resource that nobody has", method: "resources/read", params: `"uri":"test://nowhere"`,
			legacy: -32002, modern: -32602, reason: "no such resource", data: `{"uri":"test://nowhere"}`},
		{name: "a resource that its template does not have", method: "resources/read", params: `"uri":"test://gone/x"`,
			legacy: -32002, modern: -32602, reason: "no such resource", data: `{"uri":"test://gone/x"}`},
		{name: "a resource that fails", method: "resources/read", params: `"uri":"test://broken/x"`, legacy: -32603, modern: -32603, reason: "failed"},
		{name: "a resource that panics", method: "resources/read", params: `"uri":"test://panics/x"`, legacy: -32603, modern: -32603, reason: "failed"},
		{name: "a prompt that there is not", method: "prompts/get", params: `"name":"missing"`, legacy: -32602, modern: -32602, reason: "not found"},
		{name: "a prompt that fails", method: "prompts/get", params: `"name":"broken"`, legacy: -32603, modern: -32603, reason: "failed"},
		{name: "a prompt that panics", method: "prompts/get", params: `"name":"panics"`, legacy: -32603, modern: -32603, reason: "failed"},
		{name: "a prompt's argument that is no string", method: "prompts/get", params: `"name":"broken","arguments":{"a":1}`,
			legacy: -32602, modern: -32602, reason: "arguments"},
		{name: "a cursor that nobody gave out", method: "prompts/list", params: `"cursor":"made up"`, legacy: -32602, modern: -32602},
		{name: "a completion that fails", method: "completion/complete", params: `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"fail"}`,
			legacy: -32603, modern: -32603, reason: "completion failed"},
		{name: "a completion that panics", method: "completion/complete", params: `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"panic"}`,
			legacy: -32603, modern: -32603, reason: "failed"},
		{name: "a completion of what there is not", method: "completion/complete", params: `"ref":{"type":"ref/else"},"argument":{"name":"a","value":""}`,
			legacy: -32602, modern: -32602, reason: "params"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for code, r := range map[int]request{
				tt.legacy: alice.request("1", tt.method, "{"+tt.params+"}"),
				tt.modern: modernRequest("1", tt.method, tt.params),
			} {
				got := g.send(r)
				got.refused(t, http.StatusOK, code, tt.reason)
				if data := string(got.parse(t).Error.Data); data != tt.data {
					t.Errorf("data: got %s, want %s", data, tt.data)
				}
				if strings.Contains(got.body, secret) {
					t.Errorf("the reason got out: %s", got.body)
				}
			}
		})
	}
}
