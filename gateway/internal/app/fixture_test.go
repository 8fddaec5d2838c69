package app_test

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/catalog"
)

// The smallest image and sound that there are.
const (
	onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	silence  = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
)

// fixture is what the official suite wants to find in a server, by the names and
// with the answers that its scenarios describe.
type fixture struct {
	server *server.MCPServer
	// updated tells who listens that a resource has changed.
	updated func(uri string)
}

// fixturePack is the fixture for app.Options. without names what is broken on
// purpose.
func fixturePack(without string) catalog.Pack {
	options := []server.ServerOption{
		server.WithToolCapabilities(true),
		server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(true, true),
		server.WithCompletions(),
		server.WithPromptCompletionProvider(cities{}),
	}
	if without != "logging" {
		options = append(options, server.WithLogging())
	}
	return catalog.Pack{Options: options, Install: func(s *server.MCPServer, updated func(uri string)) {
		f := fixture{server: s, updated: updated}
		f.contents()
		f.speaking()
		f.asking()
		f.rounds()
		f.changing()
		f.prompts()
		f.resources()
	}}
}

type toolCall = mcp.CallToolRequest

// tool adds a tool. Each needs a description, and schema may be empty.
func (f fixture) tool(name, description, schema string, handler func(context.Context, toolCall) (*mcp.CallToolResult, error)) {
	if schema == "" {
		schema = `{"type":"object","properties":{}}`
	}
	f.server.AddTool(mcp.NewToolWithRawSchema(name, description, json.RawMessage(schema)), handler)
}

// contents are the tools that return one of each kind of content.
func (f fixture) contents() {
	text := func(uri, mediaType, text string) mcp.Content {
		return mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: uri, MIMEType: mediaType, Text: text})
	}
	for _, t := range []struct {
		name    string
		isError bool
		content []mcp.Content
	}{
		{name: "test_simple_text", content: []mcp.Content{mcp.NewTextContent("This is a simple text response for testing.")}},
		{name: "test_image_content", content: []mcp.Content{mcp.NewImageContent(onePixel, "image/png")}},
		{name: "test_audio_content", content: []mcp.Content{mcp.NewAudioContent(silence, "audio/wav")}},
		{name: "test_embedded_resource", content: []mcp.Content{
			text("test://embedded-resource", "text/plain", "This is an embedded resource content."),
		}},
		{name: "test_multiple_content_types", content: []mcp.Content{
			mcp.NewTextContent("Multiple content types test:"), mcp.NewImageContent(onePixel, "image/png"),
			text("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`),
		}},
		{name: "test_error_handling", isError: true, content: []mcp.Content{
			mcp.NewTextContent("This tool intentionally returns an error for testing"),
		}},
	} {
		f.tool(t.name, "returns what its name says", "", func(context.Context, toolCall) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: t.content, IsError: t.isError}, nil
		})
	}
	done := func(context.Context, toolCall) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("done"), nil
	}
	f.tool("json_schema_2020_12_tool", "has a schema with what 2020-12 brought", schema202012, done)
	f.tool("test_reconnection", "closes its stream before it returns", "", func(ctx context.Context, call toolCall) (*mcp.CallToolResult, error) {
		if s, ok := server.ClientSessionFromContext(ctx).(interface{ CloseStream() bool }); ok {
			s.CloseStream()
		}
		return done(ctx, call)
	})
	f.tool("test_x_mcp_header", "has an argument that is a header too",
		`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}},"required":["region"]}`, done)
}

// schema202012 is written as the suite writes it, since it compares.
const schema202012 = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",` +
	`"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},` +
	`"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},` +
	`"contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},` +
	`"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],` +
	`"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},` +
	`"then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}`

// speaking are the tools that say something before they return. They do not wait
// in between: what is said last must not be lost to the response behind it.
func (f fixture) speaking() {
	f.tool("test_tool_with_progress", "reports its progress", "", func(ctx context.Context, call toolCall) (*mcp.CallToolResult, error) {
		if call.Params.Meta == nil || call.Params.Meta.ProgressToken == nil {
			return mcp.NewToolResultText("nobody asked for progress"), nil
		}
		for _, progress := range []int{0, 50, 100} {
			if err := f.server.SendNotificationToClient(ctx, "notifications/progress", map[string]any{
				"progressToken": call.Params.Meta.ProgressToken, "progress": progress, "total": 100,
			}); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("progress was reported"), nil
	})
	for _, name := range []string{"test_tool_with_logging", "test_logging_tool"} {
		f.tool(name, "logs what it does", "", func(ctx context.Context, _ toolCall) (*mcp.CallToolResult, error) {
			for _, text := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
				err := f.server.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "fixture", text))
				if err != nil {
					return nil, err
				}
			}
			return mcp.NewToolResultText("Tool with logging executed successfully"), nil
		})
	}
}

// changing are the tools that change what the server has. What they add is gone
// when they return, so that scenarios do not depend on each other.
func (f fixture) changing() {
	f.tool("test_trigger_tool_change", "adds a tool and takes it away", "", func(context.Context, toolCall) (*mcp.CallToolResult, error) {
		f.tool("test_passing_tool", "is there for a moment", "", func(context.Context, toolCall) (*mcp.CallToolResult, error) {
			return nil, errors.New("nobody calls it")
		})
		f.server.DeleteTools("test_passing_tool")
		return mcp.NewToolResultText("the tools have changed"), nil
	})
	f.tool("test_trigger_prompt_change", "adds a prompt and takes it away", "", func(context.Context, toolCall) (*mcp.CallToolResult, error) {
		f.prompt("test_passing_prompt", nil, mcp.NewTextContent("nobody gets it"))
		f.server.DeletePrompts("test_passing_prompt")
		return mcp.NewToolResultText("the prompts have changed"), nil
	})
	f.tool("test_trigger_resource_update", "says that the watched resource has changed", "", func(context.Context, toolCall) (*mcp.CallToolResult, error) {
		f.updated("test://watched-resource")
		return mcp.NewToolResultText("the resource has changed"), nil
	})
}
