package mcphttp

import (
	"encoding/json"
	"errors"
	"net/http"

	"mcp-gateway/shared/wire"
)

// answer is one HTTP answer, complete.
type answer struct {
	status int
	// body is a JSON document, or nil.
	body []byte
	// session, if set, is the id of the session just begun.
	session string
	// retry tells the client to come back soon.
	retry bool
	// challenge, if set, is the WWW-Authenticate header.
	challenge string
}

func (a answer) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if a.session != "" {
		header.Set(wire.HeaderSessionID, a.session)
	}
	if a.retry {
		header.Set("Retry-After", "2")
	}
	if a.challenge != "" {
		header.Set("WWW-Authenticate", a.challenge)
	}
	if a.body != nil {
		header.Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.status)
	if a.body != nil {
		_, _ = w.Write(a.body) // the client may be gone
	}
}

// fault is a request refused or failed: an HTTP status and a JSON-RPC error.
type fault struct {
	status  int
	code    int
	message string
	data    json.RawMessage
	retry   bool
	// challenge is as in answer.
	challenge string
}

// answer is the fault as the answer to the request with that id; nil if the id
// could not be read.
func (f *fault) answer(id json.RawMessage) answer {
	return answer{status: f.status, body: wire.AppendError(nil, id, f.code, f.message, f.data), retry: f.retry, challenge: f.challenge}
}

// withStatus is the fault under another HTTP status.
func (f *fault) withStatus(status int) *fault {
	other := *f
	other.status = status
	return &other
}

// badRequest is a fault of the envelope, of HTTP or of the session.
func badRequest(message string) *fault {
	return &fault{status: http.StatusBadRequest, code: wire.CodeInvalidRequest, message: message}
}

// invalidParams is a fault of a served method's params; legacy clients read a
// JSON-RPC error only in a 200.
func invalidParams(message string) *fault {
	return &fault{status: http.StatusOK, code: wire.CodeInvalidParams, message: message}
}

// refusal is the fault for an error of wire.Parse.
func refusal(err error) *fault {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return &fault{status: http.StatusBadRequest, code: e.Code, message: e.Reason}
	}
	return badRequest("the message cannot be read")
}

var (
	// busy: one person has too much under way.
	busy = &fault{
		status: http.StatusTooManyRequests, code: wire.CodeInternal, retry: true,
		message: "too many of your requests are under way; wait for some to finish",
	}
	// mistake: there is a bug.
	mistake = &fault{status: http.StatusOK, code: wire.CodeInternal, message: "the gateway made a mistake; it is in its log"}
	// noTrail: what cannot be written down is not done.
	noTrail = &fault{
		status: http.StatusServiceUnavailable, code: wire.CodeInternal, retry: true,
		message: "the audit trail cannot be written, so nothing is called; try again",
	}
)
