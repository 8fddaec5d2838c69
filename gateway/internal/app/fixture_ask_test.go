package app_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
)

// The questions of the fixture, each a JSON Schema of the answer.
const (
	askPerson = `{"type":"object","properties":{"username":{"type":"string","description":"User's response"},` +
		`"email":{"type":"string","description":"User's email address"}},"required":["username","email"]}`
	askDefaults = `{"type":"object","properties":{"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},` +
		`"score":{"type":"number","default":95.5},"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},` +
		`"verified":{"type":"boolean","default":true}},"required":[]}`
	askChoices = `{"type":"object","properties":{` +
		`"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},` +
		`"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First"},{"const":"value2","title":"Second"},{"const":"value3","title":"Third"}]},` +
		`"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},` +
		`"untitledMulti":{"type":"array","items":{"type":"string","enum":["option1","option2","option3"]}},` +
		`"titledMulti":{"type":"array","items":{"anyOf":[{"const":"value1","title":"First"},{"const":"value2","title":"Second"},{"const":"value3","title":"Third"}]}}},` +
		`"required":[]}`
)

// asking are the tools that ask a client of the legacy era in between.
func (f fixture) asking() {
	f.tool("test_sampling", "has the client's model say something",
		`{"type":"object","properties":{"prompt":{"type":"string"}},"required":["prompt"]}`,
		func(ctx context.Context, call toolCall) (*mcp.CallToolResult, error) {
			//lint:ignore SA1019 clients of before 2026-07-28 are asked in this way
			result, err := f.server.RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: sample(argument(call, "prompt"))})
			if err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			return mcp.NewToolResultText(fmt.Sprintf("LLM response: %v", result.Content)), nil
		})
	for _, t := range []struct{ name, arguments, schema string }{
		{name: "test_elicitation", schema: askPerson,
			arguments: `{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}`},
		{name: "test_elicitation_sep1034_defaults", schema: askDefaults},
		{name: "test_elicitation_sep1330_enums", schema: askChoices},
	} {
		f.tool(t.name, "asks the person something", t.arguments, func(ctx context.Context, call toolCall) (*mcp.CallToolResult, error) {
			message := argument(call, "message")
			if message == "" {
				message = "Please answer"
			}
			result, err := f.server.RequestElicitation(ctx, mcp.ElicitationRequest{Params: question(message, t.schema)})
			if err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			return mcp.NewToolResultText(fmt.Sprintf("Elicitation completed: action=%s, content=%v", result.Action, result.Content)), nil
		})
	}
}

// argument is a text among the arguments of a call, which tools read as bytes.
func argument(call toolCall, name string) string {
	var arguments map[string]any
	raw, _ := call.GetRawArguments().(json.RawMessage)
	_ = json.Unmarshal(raw, &arguments) // then there are none
	text, _ := arguments[name].(string)
	return text
}

func question(message, schema string) mcp.ElicitationParams {
	return mcp.ElicitationParams{Message: message, RequestedSchema: json.RawMessage(schema)}
}

// formOf asks for one member of that type.
func questionOf(message, name, kind string) mcp.ElicitationParams {
	return question(message, fmt.Sprintf(`{"type":"object","properties":{%q:{"type":%q}},"required":[%q]}`, name, kind, name))
}

func sample(prompt string) mcp.CreateMessageParams {
	return mcp.CreateMessageParams{MaxTokens: 100, Messages: []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(prompt)}}}
}

// rounds are the tools that return questions to a client of the modern era, and
// are called again with the answers (SEP-2322).
func (f fixture) rounds() {
	type questions = *server.InputRequestBuilder
	none := server.NewInputRequestBuilder
	name := questionOf("What is your name?", "name", "string")
	confirm := questionOf("Please confirm", "ok", "boolean")
	for _, t := range []struct {
		name  string
		ask   func() questions
		asked map[string]mcp.MCPMethod // what must be answered
	}{
		{name: "elicitation", ask: func() questions { return none("").Elicit("user_name", name) },
			asked: map[string]mcp.MCPMethod{"user_name": mcp.MethodElicitationCreate}},
		{name: "sampling", ask: func() questions { return none("").Sample("capital_question", sample("What is the capital of France?")) },
			asked: map[string]mcp.MCPMethod{"capital_question": mcp.MethodSamplingCreateMessage}},
		{name: "list_roots", ask: func() questions { return none("").Roots("client_roots") },
			asked: map[string]mcp.MCPMethod{"client_roots": mcp.MethodListRoots}},
		{name: "request_state", ask: func() questions { return none("confirming").Elicit("confirm", confirm) },
			asked: map[string]mcp.MCPMethod{"confirm": mcp.MethodElicitationCreate}},
		{name: "tampered_state", ask: func() questions { return none("confirming").Elicit("confirm", confirm) },
			asked: map[string]mcp.MCPMethod{"confirm": mcp.MethodElicitationCreate}},
		{name: "multiple_inputs",
			ask: func() questions {
				return none("asked for three").Elicit("user_name", name).Sample("greeting", sample("Generate a greeting")).Roots("client_roots")
			},
			asked: map[string]mcp.MCPMethod{"user_name": mcp.MethodElicitationCreate, "greeting": mcp.MethodSamplingCreateMessage, "client_roots": mcp.MethodListRoots}},
	} {
		f.tool("test_input_required_result_"+t.name, "asks before it answers", "", func(_ context.Context, call toolCall) (*mcp.CallToolResult, error) {
			for key, method := range t.asked {
				if !answered(call.Params.InputResponses, key, method) {
					return t.ask().ToolResult(), nil
				}
			}
			if state := t.ask().ToolResult().RequestState; call.Params.RequestState != state {
				return mcp.NewToolResultError("the state is " + call.Params.RequestState), nil
			}
			return mcp.NewToolResultText("state-ok: all is answered"), nil
		})
	}
	f.tool("test_input_required_result_multi_round", "asks twice", "", f.twoRounds)
	f.tool("test_input_required_result_capabilities", "asks what the client can answer", "", f.whatItCan)
	f.tool("test_missing_capability", "needs the client's model", "", func(context.Context, toolCall) (*mcp.CallToolResult, error) {
		return none("").Sample("needed", sample("Say something")).ToolResult(), nil
	})
	f.tool("test_streaming_elicitation", "asks while it could be asked on a stream", "", func(context.Context, toolCall) (*mcp.CallToolResult, error) {
		return none("").Elicit("user_name", name).ToolResult(), nil
	})
}

// answered reports whether a question has an answer of the right form.
func answered(answers mcp.InputResponses, key string, method mcp.MCPMethod) bool {
	answer, ok := answers[key]
	return ok && answer.DecodeFor(method) == nil
}

func (f fixture) twoRounds(_ context.Context, call toolCall) (*mcp.CallToolResult, error) {
	switch answers := call.Params.InputResponses; {
	case call.Params.RequestState == "second" && answered(answers, "step2", mcp.MethodElicitationCreate):
		return mcp.NewToolResultText("both are answered"), nil
	case call.Params.RequestState == "first" && answered(answers, "step1", mcp.MethodElicitationCreate):
		ask := questionOf("Step 2: What is your favorite color?", "color", "string")
		return server.NewInputRequestBuilder("second").Elicit("step2", ask).ToolResult(), nil
	default:
		ask := questionOf("Step 1: What is your name?", "name", "string")
		return server.NewInputRequestBuilder("first").Elicit("step1", ask).ToolResult(), nil
	}
}

func (f fixture) whatItCan(ctx context.Context, _ toolCall) (*mcp.CallToolResult, error) {
	client, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo)
	if !ok || access.PrincipalFrom(ctx) == nil {
		return mcp.NewToolResultError("there is no client"), nil
	}
	ask, can := server.NewInputRequestBuilder(""), client.GetClientCapabilities()
	if can.Elicitation != nil {
		ask.Elicit("user_name", questionOf("What is your name?", "name", "string"))
	}
	if can.Sampling != nil {
		ask.Sample("greeting", sample("Generate a greeting"))
	}
	return ask.ToolResult(), nil
}
