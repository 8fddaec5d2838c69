package mcphttp

import (
	"encoding/json"

	"mcp-gateway/shared/wire"
)

// downLevel rewrites a result for a client of an older revision, which would refuse
// what it does not know (notes: each is what the revision's schema does not have).
// All else passes byte for byte.
func downLevel(x *exchange, result json.RawMessage) json.RawMessage {
	if x.era == wire.EraModern {
		return result
	}
	switch x.msg.Method {
	case "tools/call":
		return rewrite(result, func(name string, value json.RawMessage) (json.RawMessage, bool) {
			switch {
			case name == "structuredContent" && value[0] != '{':
				return nil, false // an object until 2026-07-28
			case name == "content" && x.revision < wire.Revision20250618 && value[0] == '[':
				return rewriteList(value, func(block json.RawMessage) json.RawMessage { return downLevelContent(x.revision, block) }), true
			}
			return value, true
		})
	case "tools/list":
		return rewrite(result, func(name string, value json.RawMessage) (json.RawMessage, bool) {
			if name != "tools" || value[0] != '[' {
				return value, true
			}
			return rewriteList(value, func(tool json.RawMessage) json.RawMessage {
				return rewrite(tool, func(name string, value json.RawMessage) (json.RawMessage, bool) {
					kind, _ := wire.Member(value, "type")
					return value, name != "outputSchema" || string(kind) == `"object"`
				})
			}), true
		})
	}
	return result
}

// downLevelContent makes text of a block that a revision does not have: links to
// resources came with 2025-06-18, audio with 2025-03-26.
func downLevelContent(revision string, block json.RawMessage) json.RawMessage {
	raw, _ := wire.Member(block, "type")
	kind, _ := wire.String(raw)
	text := ""
	switch {
	case kind == "resource_link":
		uri, _ := wire.Member(block, "uri")
		text, _ = wire.String(uri)
	case kind == "audio" && revision < wire.Revision20250326:
		text = "(audio, which this client cannot play)"
	default:
		return block
	}
	return append(wire.AppendString([]byte(`{"type":"text","text":`), text), '}')
}

// rewrite returns an object with its members as change gives them; false leaves one
// out. An object that nothing changes in is returned as it is.
func rewrite(object json.RawMessage, change func(name string, value json.RawMessage) (json.RawMessage, bool)) json.RawMessage {
	out, changed := []byte{'{'}, false
	for name, value := range wire.Members(object) {
		now, keep := change(name, value)
		if changed = changed || !keep || &now[0] != &value[0]; !keep {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(wire.AppendString(out, name), ':'), now...)
	}
	if !changed {
		return object
	}
	return append(out, '}')
}

// rewriteList is rewrite for the elements of a list.
func rewriteList(list json.RawMessage, change func(json.RawMessage) json.RawMessage) json.RawMessage {
	parts, err := wire.Batch(list)
	if err != nil {
		return list
	}
	out, changed := []byte{'['}, false
	for i, part := range parts {
		now := change(part)
		changed = changed || &now[0] != &part[0]
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, now...)
	}
	if !changed {
		return list
	}
	return append(out, ']')
}
