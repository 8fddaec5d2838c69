package mcphttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// bursts is how many notifications of each kind the tool "burst" sends.
const bursts = 200

// fullSchema has what the library's own type for schemas does not.
const fullSchema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","allOf":[{"if":{"required":["a"]},"then":{"required":["b"]}}],` +
	`"properties":{"a":{"$ref":"#/definitions/n"},"b":{"const":12345678901234567890}},"definitions":{"n":{"type":"number","x-vendor":{"k":1e999}}}}`

func (g *lively) livelyTools() []server.ServerTool {
	return []server.ServerTool{
		{Tool: mcp.NewTool("script"), Handler: g.runScript},
		{Tool: mcp.NewTool("deaf"), Handler: g.deaf},
		{Tool: mcp.NewTool("trap"), Handler: func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{StructuredContent: trap{}}, nil
		}},
		{Tool: mcp.NewTool("burst"), Handler: burst},
		{Tool: mcp.NewToolWithRawSchema("schema", "", json.RawMessage(fullSchema)), Handler: burst},
		{Tool: mcp.NewTool("rounds"), Handler: askInRounds},
		{Tool: mcp.Tool{Name: "rich", InputSchema: mcp.ToolInputSchema{Type: "object"}, RawOutputSchema: json.RawMessage(`{"type":"array"}`)}, Handler: richTool},
	}
}

// runScript is the tool "script": it does what the test tells it, then answers.
func (g *lively) runScript(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	raw, _ := req.GetRawArguments().(json.RawMessage)
	var arguments struct{ Key string }
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	for {
		select {
		case <-ctx.Done():
			g.waits.stopped <- context.Cause(ctx)
			return nil, ctx.Err()
		case s := <-g.script(arguments.Key):
			if s.do != nil {
				s.do(ctx, server.ServerFromContext(ctx), req)
			}
			close(s.done)
			if s.do == nil {
				return mcp.NewToolResultText("done " + arguments.Key), nil
			}
		}
	}
}

// deaf is a tool that does not notice when its call is over.
func (g *lively) deaf(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	g.waits.started <- struct{}{}
	<-g.waits.release
	return mcp.NewToolResultText("done"), nil
}

// burst sends both kinds of notification at once, and answers how many were refused.
func burst(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	s := server.ServerFromContext(ctx)
	var lost [2]int
	var both sync.WaitGroup
	both.Go(func() {
		for i := range bursts {
			if s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelError, "t", i)) != nil {
				lost[0]++
			}
		}
	})
	both.Go(func() {
		for i := range bursts {
			if req.Params.Meta != nil && req.Params.Meta.ProgressToken != nil &&
				s.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": req.Params.Meta.ProgressToken, "progress": i}) != nil {
				lost[1]++
			}
		}
	})
	both.Wait()
	return mcp.NewToolResultText(strconv.Itoa(lost[0] + lost[1])), nil
}

// askInRounds asks for whatever its arguments say, and answers with the state and
// what the client said.
func askInRounds(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if answer, ok := server.InputResponse(req.Params.InputResponses, "q"); ok {
		raw, err := json.Marshal(answer)
		return mcp.NewToolResultText(fmt.Sprintf("state %s answer %s", req.Params.RequestState, raw)), err
	}
	raw, _ := req.GetRawArguments().(json.RawMessage)
	var arguments struct{ Ask string }
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	b := server.NewInputRequestBuilder("secret-state")
	switch arguments.Ask {
	case "form":
		b.Elicit("q", mcp.ElicitationParams{Message: "who?", RequestedSchema: map[string]any{"type": "object"}})
	case "url":
		b.Elicit("q", mcp.ElicitationParams{Mode: "url", Message: "go", URL: "https://x.example/", ElicitationID: "e"})
	case "sampling":
		b.Sample("q", mcp.CreateMessageParams{MaxTokens: 1})
	case "roots":
		b.Roots("q")
	}
	return b.ToolResult(), nil
}

// richTool answers with what older revisions do not have.
func richTool(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{
		Content: []mcp.Content{
			mcp.NewResourceLink("file:///a", "a", "", "text/plain"), mcp.NewAudioContent("AAAA", "audio/wav"), mcp.NewTextContent("t"),
		},
		StructuredContent: []int{1}, RawStructuredContent: json.RawMessage(`[1]`),
	}, nil
}
