package mcphttp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/wire"
)

// Requests that take several rounds (MCP 2026-07-28, SEP-2322): a result asks the
// client for input, and the client sends the request again with the answers and the
// state that came with the result. The state is "attacker-controlled input", so it
// travels sealed: it is good for this person through this client, for this request
// alone, and not for long.

// stateLife is how long a person may take to answer.
const stateLife = 15 * time.Minute

// rounds checks a result that asks for input and seals its state. Other results
// stay as they are.
func (h *Handler) rounds(x *exchange, result json.RawMessage) (json.RawMessage, *fault) {
	kind, _ := wire.Member(result, "resultType")
	if string(kind) != `"input_required"` {
		return result, nil
	}
	if requests, ok := wire.Member(result, "inputRequests"); ok && requests[0] == '{' {
		for _, request := range wire.Members(requests) {
			raw, _ := wire.Member(request, "method")
			method, _ := wire.String(raw)
			params, _ := wire.Member(request, "params")
			if needed := lacks(x.capabilities, method, params); needed != nil {
				return nil, missingCapability(needed)
			}
		}
	}
	raw, ok := wire.Member(result, "requestState")
	state, isText := wire.String(raw)
	if !ok || !isText {
		return result, nil
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(x.now.Add(stateLife).Unix()))
	sealed := h.cfg.Ring.SealText(keyring.RequestState, append(plain, state...), roundContext(x))
	// Everything else stays as it is.
	out := []byte{'{'}
	for name, value := range wire.Members(result) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(wire.AppendString(out, name), ':')
		if name == "requestState" {
			out = wire.AppendString(out, sealed)
		} else {
			out = append(out, value...)
		}
	}
	return append(out, '}'), nil
}

// openState opens the state that a client sent back.
func (h *Handler) openState(x *exchange, raw json.RawMessage) (json.RawMessage, *fault) {
	text, _ := wire.String(raw)
	plain, err := h.cfg.Ring.OpenText(keyring.RequestState, text, roundContext(x))
	if err != nil || len(plain) < 8 || x.now.Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, invalidParams("params.requestState is not one that was given out for this request, or is too old")
	}
	return wire.AppendString(nil, string(plain[8:])), nil
}

// roundContext is what a state is bound to: the person and client, the method, and
// what the request is about.
func roundContext(x *exchange) []byte {
	sum := sha256.New()
	for _, name := range []string{"name", "uri", "arguments"} {
		value, _ := wire.Member(x.msg.Params, name)
		_ = binary.Write(sum, binary.BigEndian, uint32(len(value)))
		_, _ = sum.Write(value)
	}
	context := append(owner(x.principal), x.msg.Method...)
	return sum.Sum(append(context, 0))
}
