package mcphttp_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/catalog"
)

var update = flag.Bool("update", false, "rewrite what the conversations in testdata expect")

// TestConversations replays testdata/conversations, each against a gateway of its
// own. A conversation is a txtar archive, whose parts are steps:
//
//	request NAME, response NAME  a request, and its answer; other steps may stand between
//	open NAME, opened NAME       a request whose answer is a stream, and its head
//	event NAME                   the next event of the stream
//	ended NAME                   the stream has no more events
//	leave NAME                   the client closes the request or stream
//	started, stopped             a call of the tool "wait" begins, or has ended with an error or none
//	release                      one call of the tool "wait" may end well
//
// What a gateway makes up is named in the order in which it appears: $session1,
// $stream1, $event1, $state1. The rest has to be as it is written, byte for byte.
func TestConversations(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/conversations/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no conversations", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := newConversation(t)
			told, steps := parseArchive(string(text))
			for i := range steps {
				steps[i].body = c.step(steps[i])
			}
			got := formatArchive(told, steps)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("-update rewrites what is expected, if that is as it should be:\n%s", diff)
			}
		})
	}
}

// conversation is one that is being replayed.
type conversation struct {
	*testing.T
	g     *gateway
	ctx   context.Context
	names *names
	open  map[string]*exchanged
}

// exchanged is a request under way and its answer.
type exchanged struct {
	leave  context.CancelFunc
	answer chan *http.Response // nil if the client left
	stream *bufio.Reader
}

// newConversation serves a gateway whose list of tools can change and whose tools
// ask.
func newConversation(t *testing.T) *conversation {
	heard := make(chan struct{})
	var hooks server.Hooks
	hooks.AddOnRegisterSession(func(context.Context, server.ClientSession) { close(heard) })
	g := newGatewayWith(t, catalog.Pack{
		Options: []server.ServerOption{server.WithToolCapabilities(true), server.WithLogging(), server.WithHooks(&hooks)},
		Install: func(s *server.MCPServer, _ func(string)) { s.AddTools(growing(s), asking(), telling(s), rich()) },
	}, nil)
	// Longer than any step takes, and shorter than anybody wants to wait.
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	ran := make(chan struct{})
	go func() { defer close(ran); g.run(ctx) }()
	t.Cleanup(func() { stop(); <-ran })
	select {
	case <-heard:
	case <-ctx.Done():
		t.Fatal("nobody listens to what changes")
	}
	return &conversation{T: t, g: g, ctx: ctx, names: newNames(), open: make(map[string]*exchanged)}
}

// growing is a tool that adds another one.
func growing(s *server.MCPServer) server.ServerTool {
	return server.ServerTool{Tool: mcp.NewTool("grow"), Handler: func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.AddTool(mcp.NewTool("grown"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("grown"), nil
		})
		return mcp.NewToolResultText("there is another tool"), nil
	}}
}

// asking is a tool that asks the person something first.
func asking() server.ServerTool {
	return server.ServerTool{Tool: mcp.NewTool("ask"), Handler: func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if answer := server.ElicitationResponse(req.Params.InputResponses, "sure"); answer != nil {
			return mcp.NewToolResultText(string(answer.Action)), nil
		}
		return server.NewInputRequestBuilder("asked").Elicit("sure", mcp.ElicitationParams{
			Message: "Sure?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
		}).ToolResult(), nil
	}}
}

// telling is a tool that tells how far it is, and logs.
func telling(s *server.MCPServer) server.ServerTool {
	return server.ServerTool{Tool: mcp.NewTool("tell"), Handler: func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if meta := req.Params.Meta; meta != nil && meta.ProgressToken != nil {
			for done := range 2 {
				if err := s.SendNotificationToClient(ctx, "notifications/progress", map[string]any{
					"progressToken": meta.ProgressToken, "progress": done + 1, "total": 2,
				}); err != nil {
					return nil, err
				}
			}
		}
		err := s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelWarning, "tell", "told"))
		return mcp.NewToolResultText("told"), err
	}}
}

// rich is a tool with results that older revisions do not know.
func rich() server.ServerTool {
	return server.ServerTool{Tool: mcp.NewTool("rich"), Handler: func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{
			Content: []mcp.Content{
				mcp.NewTextContent("text"), mcp.NewAudioContent("AAAA", "audio/wav"), mcp.NewResourceLink("file:///a", "a", "", ""),
			},
			StructuredContent: []int{1},
		}, nil
	}}
}

// step does one step and returns what stands in it then.
func (c *conversation) step(s archived) string {
	c.Helper()
	x := c.open[s.of]
	if x == nil && s.does != "request" && s.does != "open" && s.of != "" {
		c.Fatalf("%s %s: there was no such request", s.does, s.of)
	}
	switch s.does {
	case "request", "open":
		c.open[s.of] = c.begin(s)
		return s.body
	case "response":
		return c.response(await(c, x.answer))
	case "opened":
		resp := await(c, x.answer)
		if resp == nil {
			c.Fatalf("%s was not opened", s.of)
		}
		x.stream = bufio.NewReader(resp.Body)
		return c.head(resp)
	case "event":
		return c.names.hide(c.event(x))
	case "ended":
		if rest, err := io.ReadAll(x.stream); err != nil || len(rest) > 0 {
			c.Errorf("%s did not end: %q, %v", s.of, rest, err)
		}
	case "leave":
		x.leave()
	default:
		return c.tool(s)
	}
	return s.body
}

// tool does a step that is about the tool "wait".
func (c *conversation) tool(s archived) string {
	c.Helper()
	switch s.does {
	case "started":
		await(c, c.g.waits.started)
	case "release":
		select {
		case c.g.waits.release <- struct{}{}:
		case <-c.ctx.Done():
			c.Fatal("no call waits")
		}
	case "stopped":
		if err := await(c, c.g.waits.stopped); err != nil {
			return err.Error() + "\n"
		}
		return "well\n"
	default:
		c.Fatalf("there is no step %q", s.does)
	}
	return s.body
}

func await[T any](c *conversation, from <-chan T) (got T) {
	c.Helper()
	select {
	case got = <-from:
	case <-c.ctx.Done():
		c.Fatal("it did not come")
	}
	return got
}

// begin sends a request, whose answer comes to the channel.
func (c *conversation) begin(s archived) *exchanged {
	c.Helper()
	r := parseRequest(c.names.show(s.body))
	ctx, leave := context.WithCancel(c.ctx)
	c.Cleanup(leave)
	req, err := http.NewRequestWithContext(ctx, r.method, c.g.url+r.path, strings.NewReader(r.body))
	if err != nil {
		c.Fatal(err)
	}
	req.Header = r.header
	x := &exchanged{leave: leave, answer: make(chan *http.Response, 1)}
	go func() {
		resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // the context ends it
		if err != nil {
			resp = nil
		}
		x.answer <- resp
	}()
	return x
}

func (c *conversation) response(resp *http.Response) string {
	c.Helper()
	if resp == nil {
		return "none\n"
	}
	defer resp.Body.Close()
	head := c.head(resp)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	if len(body) == 0 {
		return head
	}
	return head + "\n" + c.names.hide(strings.TrimRight(string(body), "\n")) + "\n"
}

// head is the status and those headers that the protocol is about.
func (c *conversation) head(resp *http.Response) string {
	var text bytes.Buffer
	text.WriteString(resp.Status + "\n")
	for _, name := range []string{"Content-Type", "Mcp-Session-Id", "Allow", "Retry-After", "WWW-Authenticate"} {
		for _, value := range resp.Header.Values(name) {
			text.WriteString(name + ": " + value + "\n")
		}
	}
	return c.names.hide(text.String())
}

// event reads the next event as it is, without comments, which say only that a
// stream lives.
func (c *conversation) event(x *exchanged) string {
	c.Helper()
	var lines strings.Builder
	for {
		line, err := x.stream.ReadString('\n')
		switch {
		case err != nil:
			c.Fatalf("the stream ended: %q, %v", lines.String()+line, err)
		case line != "\n" && line[0] != ':':
			lines.WriteString(line)
		case line == "\n" && lines.Len() > 0:
			return lines.String()
		}
	}
}
