// Package mcphttp is /mcp: MCP over Streamable HTTP in both eras, legacy with
// sealed sessions (2024-11-05 to 2025-11-25) and modern without any
// (2026-07-28), decided per request; and /sse, the HTTP+SSE transport of 2024-11-05
// for clients that know no other. It owns what HTTP and the envelope say:
// Host and Origin, body limit, strict JSON, era, header checks, sessions,
// cancellation, deadlines, and the order decide, run, write down, answer.
//
// It refuses to authenticate (internal/resource has done that; without a
// principal nothing is served) and to know any tool. An answer is one JSON
// document, or a stream of events if there is something to say before it.
package mcphttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/wire"
)

type catalog interface {
	// Has reports whether there is a tool of that name.
	Has(tool string) bool
	headers
	// Serves reports whether something is advertised, such as "prompts".
	Serves(what string) bool
	// Handle runs one request for a client, with the arguments of a call beside
	// it.
	Handle(ctx context.Context, client server.ClientSession, message, arguments json.RawMessage) mcp.JSONRPCMessage
	// Listen calls changed for each list that changes ("tools", "prompts",
	// "resources") and updated for each resource, until ctx ends.
	Listen(ctx context.Context, changed func(list string), updated func(uri string))
}

type auditor interface {
	// Ready: nothing is run that could not be written down.
	Ready(ctx context.Context) error
	// Append is durable when it returns nil, even if ctx has ended.
	Append(ctx context.Context, e store.Event) error
}

// Config is what a Handler is made of. Without a default a field is needed.
type Config struct {
	// Catalog and Policy: the same Policy must be in the Catalog.
	Catalog catalog
	Policy  *access.Policy
	Audit   auditor
	Ring    *keyring.Ring
	// PublicURL is the gateway's; its host and its origin are allowed.
	PublicURL string
	// AllowedHosts are further Host headers, as host or host:port (without
	// a port, any). Loopback is always allowed. Default none.
	AllowedHosts []string
	// AllowedOrigins are further origins of web pages, as scheme://host[:port].
	// Loopback, on any port, is always allowed. Default none.
	AllowedOrigins []string
	// MaxBody bounds a request's body, in bytes. Default 4 MiB.
	MaxBody int64
	// CallTimeout ends a tool call. Default 60 s.
	CallTimeout time.Duration
	// MaxConcurrentPerPrincipal bounds the requests of one person that are
	// served at a time. Default 64.
	MaxConcurrentPerPrincipal int
	// SessionLifetime ends a legacy session; the client then starts another
	// one without signing in. Default 24 h.
	SessionLifetime time.Duration
	// Revoked returns a context that also ends when the grant of a principal is
	// revoked, or has been since it was verified, and what to call when that is of no
	// interest any more. Without it streams end with their token only, and calls never.
	Revoked func(ctx context.Context, p *access.Principal) (context.Context, context.CancelFunc)
	// Address is where a request comes from, for the audit trail.
	Address func(*http.Request) netip.Addr
	Logger  *slog.Logger
}

// Handler answers /mcp.
type Handler struct {
	cfg      Config
	origins  origins
	sessions *sessions
	states   *states
	streams  *streams
	listens  *listens
	calls    calls
	// bodies and slots bound the requests of one person: those that are read, and
	// those that are served.
	bodies, slots slots
	// lastID numbers the requests handed to the catalog: the clients' own ids
	// may collide and need not fit a number.
	lastID atomic.Int64
}

// New returns a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Catalog == nil || cfg.Policy == nil || cfg.Audit == nil || cfg.Ring == nil || cfg.Address == nil || cfg.Logger == nil {
		return nil, errors.New("mcphttp: catalog, policy, audit, key ring, address and logger are needed")
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 4 << 20
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = time.Minute
	}
	if cfg.MaxConcurrentPerPrincipal <= 0 {
		cfg.MaxConcurrentPerPrincipal = 64
	}
	if cfg.SessionLifetime <= 0 {
		cfg.SessionLifetime = 24 * time.Hour
	}
	if cfg.Revoked == nil {
		cfg.Revoked = func(ctx context.Context, _ *access.Principal) (context.Context, context.CancelFunc) {
			return context.WithCancel(ctx)
		}
	}
	origins, err := newOrigins(cfg)
	if err != nil {
		return nil, fmt.Errorf("mcphttp: %w", err)
	}
	return &Handler{
		cfg: cfg, origins: origins,
		sessions: newSessions(cfg.Ring, cfg.SessionLifetime), states: newStates(), streams: newStreams(), listens: newListens(),
		bodies: slots{limit: cfg.MaxConcurrentPerPrincipal}, slots: slots{limit: cfg.MaxConcurrentPerPrincipal},
	}, nil
}

// ServeHTTP answers one request of the principal in its context.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := access.PrincipalFrom(r.Context())
	if p == nil {
		h.unguarded(r.Context()).write(w)
		return
	}
	switch {
	case r.Method == http.MethodPost:
		h.post(w, r, p)
	case namesModern(r.Header) && (r.Method == http.MethodGet || r.Method == http.MethodDelete):
		notAllowed(w, "POST", "a modern client has no session and no stream of its own: it posts "+methodListen)
	case r.Method == http.MethodGet:
		h.get(w, r, p)
	case r.Method == http.MethodDelete:
		h.endSession(r, p).write(w)
	default:
		notAllowed(w, "POST, GET, DELETE", "only POST, GET and DELETE are served")
	}
}

// unguarded is the answer to a request that nobody has authenticated.
func (h *Handler) unguarded(ctx context.Context) answer {
	h.cfg.Logger.ErrorContext(ctx, "request came without a principal")
	return (&fault{status: http.StatusInternalServerError, code: wire.CodeInternal, message: "the gateway made a mistake"}).answer(nil)
}

// exchange is one message and its circumstances.
type exchange struct {
	msg       wire.Message
	era       wire.Era
	principal *access.Principal
	// granted ends when the principal's grant does.
	granted context.Context
	// batched: it came with others, in a batch.
	batched bool
	// revision of the protocol that the client speaks.
	revision string
	// session is the legacy session, zero in the modern era, and state what is
	// remembered of it.
	session sessionID
	state   *state
	// capabilities are what the client can do, progress is its progress token and
	// logLevel what it wants to hear of logs, in the modern era.
	capabilities mcp.ClientCapabilities
	progress     json.RawMessage
	logLevel     mcp.LoggingLevel
	// out is where everything goes that is not the response.
	out outlet
	// resource is the path of the endpoint, which names its metadata, and header
	// what came with the message.
	resource string
	header   http.Header
	address  string
	now      time.Time
}

// caller is who sent a request, and how long that is good for: granted ends when its
// grant does.
type caller struct {
	*access.Principal
	granted context.Context
}

// post serves one POST: admission, parse, era, dispatch.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, p *access.Principal) {
	if !accepts(r.Header["Accept"], "application/json", "application/*") {
		badRequest("the client must accept application/json").withStatus(http.StatusNotAcceptable).answer(nil).write(w)
		return
	}
	body, f := h.readBody(w, r, p)
	if f != nil {
		f.answer(nil).write(w)
		return
	}
	granted, leave := h.cfg.Revoked(context.WithoutCancel(r.Context()), p)
	defer leave()
	c := caller{p, granted}
	msg, err := wire.Parse(body)
	if errors.Is(err, wire.ErrBatch) {
		h.batch(w, r, c, body)
		return
	}
	if err != nil {
		refusal(err).answer(msg.ID).write(w)
		return
	}
	x, f := h.exchange(r, c, msg)
	if f != nil {
		f.answer(msg.ID).write(w)
		return
	}
	if msg.Kind == wire.KindRequest && msg.Method != methodListen { // a stream is no call
		if !h.slots.take(p) {
			busy.answer(msg.ID).write(w)
			return
		}
		defer h.slots.give(p)
	}
	if x.era == wire.EraModern {
		h.modern(w, r, x)
		return
	}
	h.legacy(w, r, x)
}

// exchange is the exchange of a message that is let in.
func (h *Handler) exchange(r *http.Request, c caller, msg wire.Message) (*exchange, *fault) {
	x := &exchange{
		msg: msg, era: eraOf(r.Header, msg), principal: c.Principal, granted: c.granted,
		resource: r.URL.Path, header: r.Header, address: h.address(r), now: time.Now(),
	}
	if token, ok := msg.Meta("progressToken"); ok && (token[0] == '"' || token[0] == '-' || token[0] >= '0' && token[0] <= '9') {
		x.progress = token
	}
	if x.resource == MessagesPath { // which belongs to /sse
		x.resource = "/sse"
	}
	// What is told to the person's programs bears these again and again.
	if len(msg.ID) > maxName || len(x.progress) > maxName {
		return nil, badRequest(fmt.Sprintf("an id or a progress token is longer than %d bytes", maxName))
	}
	if c.granted.Err() != nil { // while the body came
		return nil, h.ended(x)
	}
	return x, nil
}

// maxName bounds an id and a progress token, in bytes of JSON.
const maxName = 1 << 10

// survive is deferred where a bug must not end the process, or the connection; after
// one it does what then is left to do.
func (h *Handler) survive(ctx context.Context, then func()) {
	if v := recover(); v != nil {
		h.cfg.Logger.ErrorContext(ctx, "panic", slog.Any("value", v), slog.String("stack", string(debug.Stack())))
		then()
	}
}

// eraOf decides per request (MCP 2026-07-28 basic, Versioning): modern if the
// message carries its revision in _meta, or the header names a modern one.
func eraOf(header http.Header, msg wire.Message) wire.Era {
	if _, ok := msg.Meta(wire.MetaProtocolVersion); ok {
		return wire.EraModern
	}
	if namesModern(header) {
		return wire.EraModern
	}
	return wire.EraLegacy
}

// namesModern reports whether the header names a modern revision.
func namesModern(header http.Header) bool {
	return slices.ContainsFunc(header[wire.HeaderProtocolVersion], wire.NamesModern)
}

func (h *Handler) address(r *http.Request) string {
	if addr := h.cfg.Address(r); addr.IsValid() {
		return addr.String()
	}
	return ""
}
