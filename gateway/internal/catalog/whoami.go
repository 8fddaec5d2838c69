package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
)

// identity is the answer of whoami: what the gateway believes about the caller
// and decides by.
type identity struct {
	Tenant   string `json:"tenant"`
	Object   string `json:"object"`
	Name     string `json:"name"`
	Username string `json:"username"`
	// Roles, Groups and Scopes are never null.
	Roles         []string  `json:"roles"`
	GroupCount    int       `json:"group_count"`
	Groups        []string  `json:"groups"`
	GroupsUnknown bool      `json:"groups_unknown"`
	Guest         bool      `json:"guest"`
	Client        string    `json:"client"`
	Scopes        []string  `json:"scopes"`
	TokenExpires  time.Time `json:"token_expires_at"`
}

var whoamiOutput = json.RawMessage(`{"type":"object","properties":{` +
	`"tenant":{"type":"string","description":"Directory (tenant) id; empty, as all that is about a person, for a program that asks for itself"},` +
	`"object":{"type":"string","description":"Object id of the person in that directory"},` +
	`"name":{"type":"string"},"username":{"type":"string"},` +
	`"roles":{"type":"array","items":{"type":"string"},"description":"App roles"},` +
	`"group_count":{"type":"integer"},` +
	`"groups":{"type":"array","items":{"type":"string"},"description":"Object ids of groups"},` +
	`"groups_unknown":{"type":"boolean","description":"true if there are too many groups to know them"},` +
	`"guest":{"type":"boolean","description":"true if the person's home is another directory"},` +
	`"client":{"type":"string","description":"Name of the MCP client"},` +
	`"scopes":{"type":"array","items":{"type":"string"}},` +
	`"token_expires_at":{"type":"string","format":"date-time"}},` +
	`"required":["tenant","object","name","username","roles","group_count","groups","groups_unknown","guest","client","scopes","token_expires_at"]}`)

func whoamiTool() server.ServerTool {
	return server.ServerTool{
		Tool: mcp.Tool{
			Name: "whoami", Title: "Who am I", Description: "Tells who the gateway takes you for: " +
				"identity, app roles and groups from Microsoft Entra ID, the client in use, and when its token ends.",
			RawInputSchema:  json.RawMessage(`{"type":"object","properties":{},"additionalProperties":false}`),
			RawOutputSchema: whoamiOutput,
			Annotations:     harmless("Who am I"),
		},
		Handler: whoami,
	}
}

func whoami(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if _, problems := parseArguments(rawArguments(req)); len(problems) > 0 {
		return mcp.NewToolResultError(strings.Join(problems, "; ")), nil
	}
	p := access.PrincipalFrom(ctx)
	if p == nil {
		return nil, errors.New("whoami: there is no principal in the context")
	}
	content, err := json.Marshal(identity{
		Tenant: p.Tenant, Object: p.Object, Name: p.Name, Username: p.Username,
		Roles: list(p.Roles), GroupCount: len(p.Groups), Groups: list(p.Groups),
		GroupsUnknown: p.GroupsUnknown, Guest: p.Guest,
		Client: p.ClientName, Scopes: list(p.Scopes), TokenExpires: p.ExpiresAt.UTC(),
	})
	if err != nil {
		return nil, fmt.Errorf("whoami: %w", err)
	}
	// "a tool that returns structured content SHOULD also return the
	// serialized JSON in a TextContent block" (MCP server/tools).
	return structured(string(content), content), nil
}

// list makes nil an empty array.
func list(values []string) []string { return append([]string{}, values...) }
