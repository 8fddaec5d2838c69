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
func lacks(c mcp.ClientCapabilities, question string, params json.RawMessage) map[string]any {
	bits, none := canOf(c), struct{}{}
	missing := func(needed can, name string, part ...string) map[string]any {
		if bits&needed != 0 {
			return nil
		}
		if len(part) == 0 {
			return map[string]any{name: none}
		}
		return map[string]any{name: map[string]any{part[0]: none}}
	}
	switch question {
	case "elicitation/create":
		mode, _ := wire.Member(params, "mode")
		switch {
		case string(mode) == `"url"`:
			return missing(canBeSent, "elicitation", "url")
		case c.Elicitation != nil:
			return missing(canBeAsked, "elicitation", "form")
		}
		return missing(canBeAsked, "elicitation")
	case "sampling/createMessage":
		_, tools := wire.Member(params, "tools")
		_, choice := wire.Member(params, "toolChoice")
		if tools || choice {
			return missing(canSampleTool, "sampling", "tools")
		}
		return missing(canSample, "sampling")
	case "roots/list":
		return missing(canListRoots, "roots")
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
