// Package remote is the HTTP side of the bridge: it carries raw messages to one MCP
// server over Streamable HTTP, of both eras, or over the older HTTP+SSE, and gives
// back every message of the answers.
//
// It owns headers, sessions, streams and how they are resumed. It refuses to read
// payloads, to decide what a failure means for a call, and to send a token to
// anybody but that server.
//
// It implements MCP basic, Transports, of 2024-11-05 (HTTP with SSE) and of
// 2025-03-26 to 2026-07-28 (Streamable HTTP).
package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"mcp-gateway/shared/wire"
)

// maxMessage bounds one message of the server, in bytes.
const maxMessage = 64 << 20

// Authorizer has the tokens.
type Authorizer interface {
	// Token returns the access token, "" if there is none.
	Token(ctx context.Context) (string, error)
	// Rejected hears that a request with the token was refused. It returns nil
	// when it is worth asking Token again, else why not.
	Rejected(ctx context.Context, used string, status int, header http.Header) error
}

// Receive takes one message of the server; the bytes are its own. It reports
// whether the message is a response.
type Receive func(message []byte) (response bool)

// Config says which server.
type Config struct {
	// URL of the MCP endpoint.
	URL string
	// HTTP sends the requests, without a time limit of its own: streams last.
	HTTP *http.Client
	Auth Authorizer
	// UserAgent names the program to the server.
	UserAgent string
	Logger    *slog.Logger
}

// Options of one Request.
type Options struct {
	// Sent is called each time when the request has been written.
	Sent func()
}

// Conn is the connection to one server, and its session if it has one. It is safe
// for concurrent use.
type Conn struct {
	cfg    Config
	client *http.Client
	life   context.Context // ends with Close, and with it every stream
	end    context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex // guards below
	session session
}

// session is what the handshake of a legacy era agreed upon.
type session struct {
	id      string // Mcp-Session-Id, "" if the server has none
	version string
	old     *oldStream // of the HTTP+SSE transport, else nil
}

// New returns a Conn. It connects when it is used.
func New(cfg Config) *Conn {
	client := *cfg.HTTP
	client.CheckRedirect = checkRedirect
	c := &Conn{cfg: cfg, client: &client}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Request carries a request and gives receive every message of its answer. It
// returns nil when the response was among them.
func (c *Conn) Request(ctx context.Context, m wire.Message, raw []byte, o Options, receive Receive) error {
	if revision := modernRevision(m); revision != "" {
		return c.exchange(ctx, exchange{m: m, raw: raw, modern: revision, sent: o.Sent, receive: receive})
	}
	s := c.current()
	if s.old != nil {
		return s.old.request(ctx, m, raw, o, receive)
	}
	return c.exchange(ctx, exchange{m: m, raw: raw, session: s, sent: o.Sent, receive: receive})
}

// Notify carries a message that has no answer: a notification or a response.
func (c *Conn) Notify(ctx context.Context, m wire.Message, raw []byte) error {
	s := c.current()
	if s.old != nil {
		return s.old.post(ctx, raw, nil)
	}
	resp, err := c.send(ctx, request{method: http.MethodPost, url: c.cfg.URL, body: raw, header: exchange{m: m, raw: raw, session: s, modern: modernRevision(m)}.header()})
	if err != nil {
		return err
	}
	defer discard(resp)
	if resp.StatusCode/100 != 2 {
		return c.refused(resp, s)
	}
	return nil
}

// Initialize opens a session with the host's request and forgets the one before. A
// server that does not know Streamable HTTP is spoken to over HTTP+SSE.
func (c *Conn) Initialize(ctx context.Context, m wire.Message, raw []byte, receive Receive) error {
	var s session
	x := exchange{m: m, raw: raw, opened: func(id string) { s.id = id }, receive: func(message []byte) bool {
		if !receive(message) {
			return false
		}
		if parsed, err := wire.Parse(message); err == nil && parsed.Result != nil {
			version, _ := wire.Member(parsed.Result, "protocolVersion")
			s.version, _ = wire.String(version)
			c.begin(s)
		}
		return true
	}}
	err := c.exchange(ctx, x)
	status, ok := errors.AsType[*StatusError](err)
	if !ok || status.Status != http.StatusBadRequest && status.Status != http.StatusNotFound && status.Status != http.StatusMethodNotAllowed {
		return err
	}
	old, oldErr := c.openOld(ctx, receive)
	switch {
	case oldErr == nil:
		c.begin(session{old: old})
		return old.request(ctx, m, raw, Options{}, receive)
	case !errors.Is(oldErr, errForeign) && status.rpc != nil:
		receive(status.rpc) // what the server said first is the answer
		return nil
	case errors.Is(oldErr, errForeign):
		return oldErr
	default:
		return err
	}
}

// Close ends the session at the server, and every stream.
func (c *Conn) Close(ctx context.Context) error {
	defer c.work.Wait()
	defer c.end()
	s := c.current()
	c.begin(session{})
	if s.id == "" {
		return nil
	}
	// With the token that there is: nobody signs in to say good-bye.
	token, err := c.cfg.Auth.Token(ctx)
	if err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	resp, err := c.sendOnce(ctx, request{method: http.MethodDelete, url: c.cfg.URL, header: exchange{session: s}.header()}, token)
	if err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	defer discard(resp)
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusNotFound {
		return fmt.Errorf("end the session: %w", c.refused(resp, session{}))
	}
	return nil
}

// current returns the session.
func (c *Conn) current() session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// begin makes a session the current one. The stream of an old one ends.
func (c *Conn) begin(s session) {
	c.mu.Lock()
	before := c.session.old
	c.session = s
	c.mu.Unlock()
	if before != nil && before != s.old {
		before.cancel()
	}
}

// modernRevision returns the revision that a message of the modern era carries, or
// "" for one of a legacy era.
func modernRevision(m wire.Message) string {
	version, _ := m.Meta(wire.MetaProtocolVersion)
	if name, _ := wire.String(version); wire.NamesModern(name) {
		return name
	}
	return ""
}

// checkRedirect lets a server move a message within its own origin, as the same
// method: a token goes nowhere else, and a POST that became a GET is no message.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case origin(next.URL) != origin(first.URL):
		return &redirectError{first.URL.Redacted(), next.URL.Redacted()}
	case next.Method != first.Method:
		return fmt.Errorf("%s redirects in a way that loses the message, to %s: use that address", first.URL.Redacted(), next.URL.Redacted())
	case len(via) >= 5:
		return fmt.Errorf("%s redirects without an end", first.URL.Redacted())
	}
	return nil
}

// redirectError: the server sends its callers to somebody else.
type redirectError struct{ from, to string }

// Error implements error.
func (e *redirectError) Error() string {
	return fmt.Sprintf("%s has moved to %s: use that address, if you trust it with your sign-in", e.from, e.to)
}

// origin of an address (RFC 6454 §4).
func origin(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return u.Scheme + "://" + u.Hostname() + ":" + port
}
