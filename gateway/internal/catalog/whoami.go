package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
)

const whoamiOutput = `{"type":"object","properties":{` +
	`"tenant":{"type":"string","description":"The Microsoft Entra tenant."},` +
	`"object":{"type":"string","description":"The person's object id in the tenant."},` +
	`"name":{"type":"string"},"username":{"type":"string"},"guest":{"type":"boolean"},` +
	`"roles":{"type":"array","items":{"type":"string"}},` +
	`"groups":{"type":"array","items":{"type":"string"},"description":"Object ids of groups."},` +
	`"groups_unknown":{"type":"boolean","description":"True if the person is in too many groups for Microsoft to list them."},` +
	`"client":{"type":"string","description":"The program, as it calls itself."},` +
	`"scopes":{"type":"array","items":{"type":"string"}},` +
	`"token_expires":{"type":"string","format":"date-time"}},` +
	`"required":["tenant","object","roles","groups","groups_unknown","guest","scopes","token_expires"]}`

// identity is what whoami says.
type identity struct {
	Tenant        string    `json:"tenant"`
	Object        string    `json:"object"`
	Name          string    `json:"name,omitempty"`
	Username      string    `json:"username,omitempty"`
	Guest         bool      `json:"guest"`
	Roles         []string  `json:"roles"`
	Groups        []string  `json:"groups"`
	GroupsUnknown bool      `json:"groups_unknown"`
	Client        string    `json:"client,omitempty"`
	Scopes        []string  `json:"scopes"`
	TokenExpires  time.Time `json:"token_expires"`
}

func whoami() server.ServerTool {
	return tool("whoami", "Who am I?", "Says who you are signed in as, with which roles and groups, and until when.",
		`{"type":"object","properties":{},"additionalProperties":false}`, whoamiOutput,
		func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			p := access.PrincipalFrom(ctx)
			if p == nil {
				return nil, errors.New("nobody is signed in")
			}
			raw, err := json.Marshal(identity{
				Tenant: p.Tenant, Object: p.Object, Name: p.Name, Username: p.Username, Guest: p.Guest,
				Roles: list(p.Roles), Groups: list(p.Groups), GroupsUnknown: p.GroupsUnknown,
				Client: p.ClientName, Scopes: list(p.Scopes), TokenExpires: p.ExpiresAt.UTC().Truncate(time.Second),
			})
			if err != nil {
				return nil, fmt.Errorf("encode identity: %w", err)
			}
			return structured(raw, string(raw)), nil
		})
}

// list is never null in JSON.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
