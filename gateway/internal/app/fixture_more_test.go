package app_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// prompt adds a prompt whose messages are the given contents.
func (f fixture) prompt(name string, arguments []string, contents ...mcp.Content) {
	p := mcp.Prompt{Name: name, Description: "is what its name says"}
	for _, argument := range arguments {
		p.Arguments = append(p.Arguments, mcp.PromptArgument{Name: argument, Description: "an argument", Required: true})
	}
	f.server.AddPrompt(p, func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return messages(contents...), nil
	})
}

func messages(contents ...mcp.Content) *mcp.GetPromptResult {
	result := &mcp.GetPromptResult{}
	for _, content := range contents {
		result.Messages = append(result.Messages, mcp.PromptMessage{Role: mcp.RoleUser, Content: content})
	}
	return result
}

func (f fixture) prompts() {
	f.prompt("test_simple_prompt", nil, mcp.NewTextContent("This is a simple prompt for testing."))
	f.prompt("test_prompt_with_image", nil, mcp.NewImageContent(onePixel, "image/png"), mcp.NewTextContent("Please analyze the image above."))
	required := func(name string) mcp.PromptArgument {
		return mcp.PromptArgument{Name: name, Description: "an argument", Required: true}
	}
	f.server.AddPrompt(mcp.Prompt{
		Name: "test_prompt_with_arguments", Description: "repeats its arguments", Arguments: []mcp.PromptArgument{required("arg1"), required("arg2")},
	}, func(_ context.Context, get mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return messages(mcp.NewTextContent(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'",
			get.Params.Arguments["arg1"], get.Params.Arguments["arg2"]))), nil
	})
	f.server.AddPrompt(mcp.Prompt{
		Name: "test_prompt_with_embedded_resource", Description: "embeds a resource", Arguments: []mcp.PromptArgument{required("resourceUri")},
	}, func(_ context.Context, get mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return messages(mcp.NewEmbeddedResource(mcp.TextResourceContents{
			URI: get.Params.Arguments["resourceUri"], MIMEType: "text/plain", Text: "Embedded resource content for testing.",
		}), mcp.NewTextContent("Please process the embedded resource above.")), nil
	})
	f.server.AddPrompt(mcp.Prompt{Name: "test_input_required_result_prompt", Description: "asks before it answers"},
		func(_ context.Context, get mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			if answered(get.Params.InputResponses, "user_context", mcp.MethodElicitationCreate) {
				return messages(mcp.NewTextContent("Here is the context.")), nil
			}
			ask := questionOf("What context should the prompt use?", "context", "string")
			return server.NewInputRequestBuilder("").Elicit("user_context", ask).PromptResult(), nil
		})
}

func (f fixture) resources() {
	for uri, contents := range map[string]mcp.ResourceContents{
		"test://static-text": mcp.TextResourceContents{
			URI: "test://static-text", MIMEType: "text/plain", Text: "This is the content of the static text resource.",
		},
		"test://static-binary":    mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: onePixel},
		"test://watched-resource": mcp.TextResourceContents{URI: "test://watched-resource", MIMEType: "text/plain", Text: "It never changes."},
	} {
		name := strings.TrimPrefix(uri, "test://")
		f.server.AddResource(mcp.Resource{URI: uri, Name: name, Description: "is what its name says"},
			func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
				return []mcp.ResourceContents{contents}, nil
			})
	}
	f.server.AddResourceTemplate(mcp.NewResourceTemplate("test://template/{id}/data", "template",
		mcp.WithTemplateDescription("says which one was read"), mcp.WithTemplateMIMEType("application/json")),
		func(_ context.Context, read mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			id := strings.TrimSuffix(strings.TrimPrefix(read.Params.URI, "test://template/"), "/data")
			return []mcp.ResourceContents{mcp.TextResourceContents{
				URI: read.Params.URI, MIMEType: "application/json",
				Text: fmt.Sprintf(`{"id":%q,"templateTest":true,"data":%q}`, id, "Data for ID: "+id),
			}}, nil
		})
}

// cities completes the arguments of prompts.
type cities struct{}

// CompletePromptArgument implements server.PromptCompletionProvider.
func (cities) CompletePromptArgument(_ context.Context, _ string, argument mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	completion := &mcp.Completion{Values: []string{}}
	for _, city := range []string{"paris", "park", "party"} {
		if strings.HasPrefix(city, argument.Value) {
			completion.Values = append(completion.Values, city)
		}
	}
	return completion, nil
}
