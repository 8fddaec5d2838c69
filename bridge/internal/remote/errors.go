package remote

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mcp-gateway/shared/wire"
)

// maxRefusal bounds what is read of a refusal, in bytes.
const maxRefusal = 64 << 10

var (
	// ErrSession: the server does not know the session any more. The request
	// was not carried out.
	ErrSession = errors.New("the server does not know the session any more")
	// ErrInterrupted: the request was sent and its answer did not come whole.
	// It may have been carried out.
	ErrInterrupted = errors.New("the connection was lost before the answer came")
)

// UnreachableError: the request did not reach the server, so that repeating it
// does no harm.
type UnreachableError struct{ Err error }

// Error implements error.
func (e *UnreachableError) Error() string {
	cause := e.Err
	if outer, ok := errors.AsType[*url.Error](cause); ok {
		cause = outer.Err // the method and the address are the caller's to say
	}
	hint := ""
	if _, ok := errors.AsType[x509.UnknownAuthorityError](e.Err); ok {
		hint = ": if your company signs certificates itself, name its certificate with --ca-cert"
	}
	return fmt.Sprintf("it cannot be reached (%v)%s", cause, hint)
}

// Unwrap implements errors.Unwrap.
func (e *UnreachableError) Unwrap() error { return e.Err }

// StatusError is an answer that is no message.
type StatusError struct {
	Status int
	// RetryAfter is how long the server asks to wait, or 0.
	RetryAfter time.Duration
	// Said is what the server says for people, or "".
	Said string

	rpc []byte // the body if it is a JSON-RPC error, for the request that it answers
}

// Error implements error.
func (e *StatusError) Error() string {
	text := "it answers " + strconv.Itoa(e.Status)
	if name := http.StatusText(e.Status); name != "" {
		text += " " + name
	}
	if e.Said != "" {
		text += ": " + e.Said
	}
	return text
}

// refused reads an answer that is none to the request.
func (c *Conn) refused(resp *http.Response, s session) error {
	return c.refusedRequest(resp, s, nil)
}

// refusedRequest reads a refusal of the request with that id.
func (c *Conn) refusedRequest(resp *http.Response, s session, id []byte) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	e := &StatusError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	if m, err := wire.Parse(body); err == nil && m.Kind == wire.KindResponse && m.Error != nil {
		text, _ := wire.Member(m.Error, "message")
		e.Said, _ = wire.String(text)
		switch {
		case m.ID != nil:
			e.rpc = body
		case id != nil:
			e.rpc = withID(m.Error, id)
		}
	} else if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		e.Said = string(body)
	}
	e.Said = clean(e.Said)
	// "MUST respond with HTTP 404"; servers before answer 400 to a session that
	// they have lost.
	if s.id != "" && (e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest && mentionsSession(body)) {
		return fmt.Errorf("%w: %w", ErrSession, e)
	}
	return e
}

// mentionsSession reports whether a refusal is about the session.
func mentionsSession(body []byte) bool {
	return bytes.Contains(bytes.ToLower(body), []byte("session"))
}

// withID is an error response with an id that the server left out.
func withID(object, id []byte) []byte {
	out := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	return append(append(append(out, `,"error":`...), object...), '}')
}

// retryAfter reads a Retry-After header (RFC 9110 §10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// clean makes a server's words fit into a line for a person.
func clean(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strings.TrimSpace(s)
}
