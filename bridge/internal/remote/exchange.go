package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/wire"
)

const (
	// maxSends is how often a request is sent when its token is refused.
	maxSends = 3
	// maxResumes is how often in a row a stream is resumed in vain.
	maxResumes = 10
	// tail is how long the end of a stream may take after the response, so
	// that the connection can be used again.
	tail = 100 * time.Millisecond
)

// Header values that do not change.
var (
	acceptBoth   = []string{"application/json, text/event-stream"}
	acceptStream = []string{"text/event-stream"}
	typeJSON     = []string{"application/json"}
)

// exchange is one request and all of its answer.
type exchange struct {
	m       wire.Message
	raw     []byte
	session session
	modern  string // the revision of a modern message, else ""
	sent    func()
	opened  func(session string) // hears the Mcp-Session-Id of the answer
	receive Receive
}

// header are the headers of a message (MCP Streamable HTTP: Protocol Version
// Header, Session Management; 2026-07-28: Standard Request Headers).
func (x exchange) header() http.Header {
	h := http.Header{"Accept": acceptBoth}
	if x.raw != nil {
		h["Content-Type"] = typeJSON
	}
	if x.modern == "" {
		if x.session.id != "" {
			h[wire.HeaderSessionID] = []string{x.session.id}
		}
		if x.session.version != "" {
			h[wire.HeaderProtocolVersion] = []string{x.session.version}
		}
		return h
	}
	h[wire.HeaderProtocolVersion] = []string{x.modern}
	h[wire.HeaderMethod] = []string{wire.EncodeHeader(x.m.Method)}
	if member := namedBy(x.m.Method); member != "" {
		value, _ := wire.Member(x.m.Params, member)
		if name, ok := wire.String(value); ok {
			h[wire.HeaderName] = []string{wire.EncodeHeader(name)}
		}
	}
	return h
}

// namedBy is the parameter that Mcp-Name repeats, or "".
func namedBy(method string) string {
	switch method {
	case "tools/call", "prompts/get":
		return "name"
	case "resources/read":
		return "uri"
	default:
		return ""
	}
}

// exchange posts a request and reads its answer to the end.
func (c *Conn) exchange(ctx context.Context, x exchange) error {
	resp, err := c.send(ctx, request{method: http.MethodPost, url: c.cfg.URL, body: x.raw, header: x.header(), sent: x.sent})
	if err != nil {
		return err
	}
	if x.opened != nil {
		x.opened(resp.Header.Get(wire.HeaderSessionID))
	}
	if resp.StatusCode/100 != 2 {
		defer discard(resp)
		return c.refusal(resp, x)
	}
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind {
	case "application/json":
		defer discard(resp)
		body, err := readBody(resp)
		if err != nil {
			return interrupted(ctx, err)
		}
		if !x.receive(body) {
			return fmt.Errorf("%w: it answers with another message", ErrInterrupted)
		}
		return nil
	case "text/event-stream":
		return c.follow(ctx, x, resp)
	default:
		defer discard(resp)
		return &StatusError{Status: resp.StatusCode, Said: "no answer to a request of MCP, but " + clean(resp.Header.Get("Content-Type"))}
	}
}

// refusal is an answer with an error status. A JSON-RPC error is the response,
// unless it says no more than that the server is busy: that passes.
func (c *Conn) refusal(resp *http.Response, x exchange) error {
	err := c.refusedRequest(resp, x.session, x.m.ID)
	status, ok := err.(*StatusError) //nolint:errorlint // a wrapped one is about the session
	switch {
	case !ok || status.rpc == nil, status.Status == http.StatusServiceUnavailable, status.Status == http.StatusTooManyRequests:
		return err
	case x.m.Method == "initialize" && !isModernRefusal(status.rpc):
		return err // the older transport may be spoken here
	}
	if !x.receive(status.rpc) {
		return err
	}
	return nil
}

// isModernRefusal reports whether an error is one that only a server of the modern
// era sends (MCP 2026-07-28 basic, Versioning).
func isModernRefusal(rpc []byte) bool {
	m, err := wire.Parse(rpc)
	if err != nil {
		return false
	}
	code, _ := wire.Member(m.Error, "code")
	return slices.Contains([]string{"-32020", "-32021", "-32022"}, string(code))
}

// follow reads the stream that answers a request, and resumes it as a legacy server
// may ask for (MCP 2025-11-25 Streamable HTTP, Resumability).
func (c *Conn) follow(ctx context.Context, x exchange, resp *http.Response) error {
	lastID, pause, vain := "", time.Second, 0
	for {
		before := lastID
		answered, err := readStream(resp, x.receive, &lastID, &pause)
		if answered {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if x.modern != "" || lastID == "" {
			return interrupted(ctx, err)
		}
		if lastID != before {
			vain = 0
		}
		if resp, err = c.resume(ctx, x.session, lastID, pause, &vain); err != nil {
			return interrupted(ctx, err)
		}
	}
}

// resume opens a stream after the event with that id. What it gives up on has been
// taken on by the server, so that no error of it may lead to a repetition.
func (c *Conn) resume(ctx context.Context, s session, lastID string, pause time.Duration, vain *int) (*http.Response, error) {
	for {
		if *vain++; *vain > maxResumes {
			return nil, errors.New("its stream brings nothing more")
		}
		if !sleep(ctx, pause) {
			return nil, ctx.Err()
		}
		resp, err := c.listen(ctx, s, lastID)
		if err == nil {
			return resp, nil
		}
		_, unreachable := errors.AsType[*UnreachableError](err)
		_, status := errors.AsType[*StatusError](err)
		passes := unreachable || status || errors.Is(err, ErrInterrupted)
		if !passes || errors.Is(err, ErrSession) || errors.Is(err, errNoStream) {
			return nil, err
		}
	}
}

// readStream gives receive the messages of a stream until one is a response, or
// the stream ends.
func readStream(resp *http.Response, receive Receive, lastID *string, pause *time.Duration) (answered bool, err error) {
	defer func() { _ = resp.Body.Close() }()
	events := wire.NewEventReader(resp.Body, maxMessage)
	for {
		event, err := events.Next()
		if err != nil {
			return answered, err
		}
		if event.HasID {
			*lastID = event.ID
		}
		if event.Retry > 0 {
			*pause = min(event.Retry, time.Minute)
		}
		if len(event.Data) == 0 || event.Name != "" && event.Name != "message" || answered {
			continue
		}
		if answered = receive(event.Data); answered {
			// The server ends the stream now: a connection that was read to
			// its end can be used again.
			timer := time.AfterFunc(tail, func() { _ = resp.Body.Close() })
			defer timer.Stop()
		}
	}
}

// interrupted is the error of a request whose answer did not come.
func interrupted(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// Only the words of the cause: as an error it could say that a repetition
	// does no harm, which is true of what it is about and not of the request.
	return fmt.Errorf("%w: %v", ErrInterrupted, cause)
}

// request is what send sends.
type request struct {
	method, url string
	body        []byte
	header      http.Header
	sent        func()
}

// send sends a request with a token, and again with another one if that is
// refused. The response is not a refusal of the token.
func (c *Conn) send(ctx context.Context, r request) (*http.Response, error) {
	for sends := 1; ; sends++ {
		token, err := c.cfg.Auth.Token(ctx)
		if err != nil {
			return nil, offline(ctx, err)
		}
		resp, err := c.sendOnce(ctx, r, token)
		if err != nil {
			return nil, err
		}
		if !refusesToken(resp) {
			return resp, nil
		}
		if sends == maxSends {
			defer discard(resp)
			return nil, c.refused(resp, session{})
		}
		discard(resp)
		if err := c.cfg.Auth.Rejected(ctx, token, resp.StatusCode, resp.Header); err != nil {
			return nil, offline(ctx, err)
		}
	}
}

// offline is the error of a request that has no token. If the network is why, it
// passes, and the server has not carried anything out.
func offline(ctx context.Context, err error) error {
	if _, ok := errors.AsType[net.Error](err); ok && ctx.Err() == nil {
		return &UnreachableError{Err: err}
	}
	return err
}

// refusesToken reports whether another token may help.
func refusesToken(resp *http.Response) bool {
	if resp.StatusCode != http.StatusForbidden {
		return resp.StatusCode == http.StatusUnauthorized
	}
	challenges, err := oauth.ParseChallenges(resp.Header.Values("WWW-Authenticate"))
	return err == nil && slices.ContainsFunc(challenges, func(c oauth.Challenge) bool {
		return c.Scheme == "bearer" && c.Params["error"] == oauth.CodeInsufficientScope
	})
}

// sendOnce sends a request, and tells one that was never written from one that may
// have arrived.
func (c *Conn) sendOnce(ctx context.Context, r request, token string) (*http.Response, error) {
	var wrote atomic.Bool
	trace := &httptrace.ClientTrace{
		// The transport tries another connection only if nothing came of this.
		GetConn:      func(string) { wrote.Store(false) },
		WroteHeaders: func() { wrote.Store(true) },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if r.sent != nil && info.Err == nil {
				r.sent()
			}
		},
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), r.method, r.url, body)
	if err != nil {
		return nil, fmt.Errorf("address of the server: %w", err)
	}
	req.Header = r.header.Clone()
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.client.Do(req)
	switch {
	case err == nil:
		return resp, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	if moved, ok := errors.AsType[*redirectError](err); ok {
		return nil, moved
	}
	if !wrote.Load() {
		return nil, &UnreachableError{Err: err}
	}
	return nil, interrupted(ctx, err)
}

// readBody reads a whole body, in one piece if its size is known.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > maxMessage {
		return nil, fmt.Errorf("an answer of %d MiB is too large", resp.ContentLength>>20)
	}
	if resp.ContentLength > 0 {
		body := make([]byte, resp.ContentLength)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage+1))
	if err == nil && len(body) > maxMessage {
		err = fmt.Errorf("an answer of more than %d MiB is too large", maxMessage>>20)
	}
	return body, err
}

// discard ends a response so that its connection can be used again, if its rest
// comes soon.
func discard(resp *http.Response) {
	timer := time.AfterFunc(tail, func() { _ = resp.Body.Close() })
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, maxRefusal)
	_ = resp.Body.Close()
}

// sleep waits, and reports false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
