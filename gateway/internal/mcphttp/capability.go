package mcphttp

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"

	"mcp-gateway/shared/wire"
)

// capability is what must have been advertised before a method exists; empty for
// what always is there.
type capability string

const (
	canPrompts   capability = "prompts"
	canResources capability = "resources"
	canSubscribe capability = "resources.subscribe"
	canComplete  capability = "completions"
	canLog       capability = "logging"
)

func (h *Handler) can(needed capability) bool {
	return needed == "" || h.cfg.Catalog.Serves(string(needed))
}

// capabilitiesOf reads what a client says that it can do. What is not known here
// is left out: it may hold anything, numbers that no float64 is among it.
func capabilitiesOf(raw json.RawMessage) mcp.ClientCapabilities {
	var c mcp.ClientCapabilities
	part := func(name string, into any) {
		if value, ok := wire.Member(raw, name); ok && value[0] == '{' {
			_ = json.Unmarshal(value, into) // what cannot be read, it cannot do
		}
	}
	part("roots", &c.Roots)
	part("sampling", &c.Sampling)
	part("elicitation", &c.Elicitation)
	return c
}

// can is what a client can do, in the bits of a session id.
type can byte

const (
	canBeAsked    can = 1 << iota // elicitation by a form
	canBeSent                     // elicitation by a URL
	canSample                     // sampling
	canSampleTool                 // sampling with tools
	canListRoots
)

func canOf(c mcp.ClientCapabilities) (bits can) {
	set := func(bit can, ok bool) {
		if ok {
			bits |= bit
		}
	}
	if c.Elicitation != nil {
		// Neither means a form: there was nothing else before 2025-11-25.
		set(canBeAsked, c.Elicitation.Form != nil || c.Elicitation.URL == nil)
		set(canBeSent, c.Elicitation.URL != nil)
	}
	set(canSample, c.Sampling != nil)
	set(canSampleTool, c.Sampling != nil && c.Sampling.Tools != nil)
	set(canListRoots, c.Roots != nil)
	return bits
}

// capabilities is the inverse of canOf.
func (bits can) capabilities() (c mcp.ClientCapabilities) {
	if bits&(canBeAsked|canBeSent) != 0 {
		c.Elicitation = &mcp.ElicitationCapability{}
		if bits&canBeAsked != 0 {
			c.Elicitation.Form = &struct{}{}
		}
		if bits&canBeSent != 0 {
			c.Elicitation.URL = &struct{}{}
		}
	}
	if bits&canSample != 0 {
		c.Sampling = &mcp.SamplingCapability{}
		if bits&canSampleTool != 0 {
			c.Sampling.Tools = &struct{}{}
		}
	}
	if bits&canListRoots != 0 {
		c.Roots = capabilitiesOf(json.RawMessage(`{"roots":{}}`)).Roots
	}
	return c
}

// lacks returns which capability a question needs that the client does not have,
// as the object that says so (2026-07-28 basic, Error Codes); nil if none.
func lacks(c mcp.ClientCapabilities, question string) map[string]any {
	switch {
	case question == "elicitation/create" && c.Elicitation == nil:
		return map[string]any{"elicitation": struct{}{}}
	case question == "sampling/createMessage" && c.Sampling == nil:
		return map[string]any{"sampling": struct{}{}}
	case question == "roots/list" && c.Roots == nil:
		return map[string]any{"roots": struct{}{}}
	}
	return nil
}

// missingCapability is the fault of a client that cannot answer what it would be
// asked.
func missingCapability(needed map[string]any) *fault {
	data, err := json.Marshal(map[string]any{"requiredCapabilities": needed})
	if err != nil { // cannot be: names and empty objects
		data = nil
	}
	return &fault{
		status: http.StatusBadRequest, code: wire.CodeMissingCapability, data: data,
		message: "the client would have to be asked something, and has not said that it can be",
	}
}

func isLogLevel(level string) bool {
	return slices.Contains([]string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}, level)
}
