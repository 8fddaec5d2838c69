package mcphttp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// answering are tools that ask the client something, in the era that it speaks.
func answering(s *server.MCPServer) {
	ask := func(name string, build func(*server.InputRequestBuilder)) {
		s.AddTool(mcp.NewTool(name), func(_ context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if len(call.Params.InputResponses) == 0 {
				b := server.NewInputRequestBuilder("")
				build(b)
				return b.ToolResult(), nil
			}
			said := "nothing"
			if answer := server.SamplingResponse(call.Params.InputResponses, "q"); answer != nil {
				said = fmt.Sprintf("%T", answer.Content)
			}
			return mcp.NewToolResultText(said), nil
		})
	}
	link := mcp.ElicitationParams{Mode: mcp.ElicitationModeURL, Message: "go there", ElicitationID: "e", URL: "https://example.com"}
	fill := mcp.ElicitationParams{Message: "fill it in", RequestedSchema: json.RawMessage(`{"type":"object","properties":{}}`)}
	sample := mcp.CreateMessageParams{MaxTokens: 1, Messages: []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent("x")}}}
	withTools := sample
	withTools.Tools = []mcp.Tool{mcp.NewTool("t")}
	ask("ask_form", func(b *server.InputRequestBuilder) { b.Elicit("q", fill) })
	ask("ask_link", func(b *server.InputRequestBuilder) { b.Elicit("q", link) })
	ask("ask_roots", func(b *server.InputRequestBuilder) { b.Roots("q") })
	ask("ask_model", func(b *server.InputRequestBuilder) { b.Sample("q", sample) })
	ask("ask_model_with_tools", func(b *server.InputRequestBuilder) { b.Sample("q", withTools) })
	s.AddTool(mcp.NewTool("ask_now"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		//lint:ignore SA1019 clients of before 2026-07-28 are asked in this way
		answer, err := s.RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: sample})
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultText(fmt.Sprintf("%T", answer.Content)), nil
	})
}

// TestNoClientIsAskedWhatItCannotAnswer: in the modern era the error says what the
// client would need; a legacy client is not asked, and the tool fails.
func TestNoClientIsAskedWhatItCannotAnswer(t *testing.T) {
	t.Parallel()
	g := newPackGateway(t, answering)
	for _, tt := range []struct {
		name, tool string
		can        string // of the client
		lacks      string // empty if it can
	}{
		{name: "a form, and it can do nothing", tool: "ask_form", can: `{}`, lacks: `{"elicitation":{}}`},
		{name: "a form, and it can only follow links", tool: "ask_form", can: `{"elicitation":{"url":{}}}`, lacks: `{"elicitation":{"form":{}}}`},
		{name: "a form, and it can", tool: "ask_form", can: `{"elicitation":{}}`},
		{name: "a form, and it can do both", tool: "ask_form", can: `{"elicitation":{"form":{},"url":{}}}`},
		{name: "a link, and it can do nothing", tool: "ask_link", can: `{}`, lacks: `{"elicitation":{"url":{}}}`},
		{name: "a link, and it can only fill in forms, as all once did", tool: "ask_link", can: `{"elicitation":{}}`, lacks: `{"elicitation":{"url":{}}}`},
		{name: "a link, and it can", tool: "ask_link", can: `{"elicitation":{"url":{}}}`},
		{name: "the model, and it has none", tool: "ask_model", can: `{"elicitation":{}}`, lacks: `{"sampling":{}}`},
		{name: "the model, and it has", tool: "ask_model", can: `{"sampling":{}}`},
		{name: "the model with tools, which it cannot use", tool: "ask_model_with_tools", can: `{"sampling":{}}`, lacks: `{"sampling":{"tools":{}}}`},
		{name: "the model with tools, and it can use them", tool: "ask_model_with_tools", can: `{"sampling":{"tools":{}}}`},
		{name: "roots, and it has none", tool: "ask_roots", can: `{"sampling":{}}`, lacks: `{"roots":{}}`},
		{name: "roots, and it has", tool: "ask_roots", can: `{"roots":{}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := modernCall("1", tt.tool, "{}")
			r.body = strings.Replace(r.body, `clientCapabilities":{}`, `clientCapabilities":`+tt.can, 1)
			got := g.send(r)
			if tt.lacks == "" {
				if kind := got.parse(t).Result.ResultType; got.status != http.StatusOK || kind != "input_required" {
					t.Errorf("got %d %s", got.status, got.body)
				}
				return
			}
			got.refused(t, http.StatusBadRequest, -32021, "has not said that it can")
			if data := string(got.parse(t).Error.Data); data != `{"requiredCapabilities":`+tt.lacks+`}` {
				t.Errorf("data: got %s, want %s", data, tt.lacks)
			}
			old := g.send(g.beginAble("alice", tt.can).call("1", tt.tool, "{}"))
			old.refused(t, http.StatusOK, -32603, "has not said that it can")
		})
	}
}

// TestAnAnswerOfTheModelHasContent: mcp-go leaves it a map, which no tool that was
// written for mcp-go's transports expects.
func TestAnAnswerOfTheModelHasContent(t *testing.T) {
	t.Parallel()
	g := newPackGateway(t, answering)
	for _, tt := range []struct{ name, tool, content, want string }{
		{name: "a text", tool: "ask_now", content: `{"type":"text","text":"hi"}`, want: "mcp.TextContent"},
		{name: "an image", tool: "ask_now", content: `{"type":"image","data":"AA==","mimeType":"image/png"}`, want: "mcp.ImageContent"},
		{name: "several", tool: "ask_now", content: `[{"type":"text","text":"hi"}]`, want: "[]mcp.Content"},
		{name: "a kind that there is not", tool: "ask_now", content: `{"type":"smell"}`, want: "cannot be read"},
		{name: "no object at all", tool: "ask_now", content: `7`, want: "cannot be read"},
		{name: "for a tool of the modern era", tool: "ask_model", content: `{"type":"text","text":"hi"}`, want: "mcp.TextContent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := g.beginAble("alice", `{"sampling":{}}`)
			result := `{"role":"assistant","model":"m","content":` + tt.content + `}`
			if got := s.converse(s.call("1", tt.tool, "{}"), result); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// beginAble begins a session of a client that can do something.
func (g *gateway) beginAble(user, can string) session {
	g.t.Helper()
	got := g.send(request{user: user, body: strings.Replace(initializeBody, `{"roots":{"listChanged":true}}`, can, 1)})
	if got.status != http.StatusOK {
		g.t.Fatalf("initialize: %d %s", got.status, got.body)
	}
	return session{g, user, got.header.Get("Mcp-Session-Id")}
}

// converse sends a request, answers each question on its stream with result, and
// returns the response.
func (s session) converse(r request, result string) string {
	s.g.t.Helper()
	req, err := http.NewRequestWithContext(s.g.t.Context(), http.MethodPost, s.g.url+"/mcp", strings.NewReader(r.body))
	if err != nil {
		s.g.t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + s.user}, "Content-Type": {jsonType}, "Accept": {"application/json, text/event-stream"}, "Mcp-Session-Id": {s.id}}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.g.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var message struct {
			ID     json.RawMessage
			Method string
		}
		if err := json.Unmarshal([]byte(data), &message); err != nil {
			s.g.t.Fatal(err)
		}
		if message.Method == "" {
			return data
		}
		answer := s.message(`{"jsonrpc":"2.0","id":` + string(message.ID) + `,"result":` + result + `}`)
		if got := s.g.send(answer); got.status != http.StatusAccepted {
			s.g.t.Fatalf("the answer: %d %s", got.status, got.body)
		}
	}
	s.g.t.Fatal("the stream ended without the response")
	return ""
}
