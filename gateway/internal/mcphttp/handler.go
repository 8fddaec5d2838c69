// Package mcphttp serves MCP over Streamable HTTP at /mcp, for both eras of the
// protocol, on top of mcp-go's HandleMessage (DESIGN D8). It owns the wire:
// headers, statuses, sessions, ids, limits. It refuses to authenticate (package
// resource has done that) and to decide who may call what (package access).
//
// It implements the transport of MCP 2026-07-28 (stateless) and of 2025-06-18
// and 2025-11-25 (sessions).
package mcphttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/wire"
)

// The headers of the transport.
const (
	headerVersion = "Mcp-Protocol-Version"
	headerSession = "Mcp-Session-Id"
	headerMethod  = "Mcp-Method"
	headerName    = "Mcp-Name"
)

// Config is what a Handler is made of. Everything is needed but the lists.
type Config struct {
	Server *server.MCPServer
	Policy *access.Policy
	Audit  auditor
	Ring   *keyring.Ring
	// PublicURL is the gateway's own; its host and origin are allowed.
	PublicURL string
	// AllowedHosts and AllowedOrigins are allowed besides: hosts as
	// host[:port], origins as scheme://host[:port]. Loopback always is.
	AllowedHosts   []string
	AllowedOrigins []string
	// MaxBody is the largest message, in bytes.
	MaxBody int64
	// CallTimeout is how long a call may take.
	CallTimeout time.Duration
	// MaxConcurrent is how many requests of one person run at once.
	MaxConcurrent int
	// SessionLifetime is how long a session id is good for.
	SessionLifetime time.Duration
	// Address is the remote address, for the audit trail.
	Address func(*http.Request) netip.Addr
	Logger  *slog.Logger
}

type auditor interface {
	Ready(ctx context.Context) error
	Append(ctx context.Context, e store.Event) error
}

// Handler serves /mcp to requests that carry a principal.
type Handler struct {
	cfg      Config
	gate     gate
	sessions *sessions
	slots    slots
	inflight inflight
	// lastID makes ids that are unique in this process: two clients may use
	// the same id at once, and mcp-go rounds large ones (notes on D8).
	lastID atomic.Int64
}

// New returns a Handler.
func New(cfg Config) (*Handler, error) {
	u, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	return &Handler{
		cfg:      cfg,
		gate:     newGate(u, cfg.AllowedHosts, cfg.AllowedOrigins),
		sessions: newSessions(cfg.Ring, cfg.SessionLifetime),
		slots:    slots{bound: cfg.MaxConcurrent, taken: map[string]int{}},
	}, nil
}

// ServeHTTP answers one request. Streams from the server (GET) are not served:
// every answer comes on the request's own response.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := access.PrincipalFrom(r.Context())
	if p == nil {
		h.cfg.Logger.ErrorContext(r.Context(), "no principal: the bearer check is missing in front of this handler")
		http.Error(w, "nobody is signed in", http.StatusInternalServerError)
		return
	}
	switch r.Method {
	case http.MethodPost:
		if !h.slots.take(p) {
			w.Header().Set("Retry-After", "1")
			write(w, reply{status: http.StatusTooManyRequests, body: wire.AppendError(nil, nil, wire.CodeInternal,
				"too many requests of yours are running at once; try again", nil)})
			return
		}
		defer h.slots.release(p)
		write(w, h.post(w, r, p))
	case http.MethodDelete:
		write(w, h.end(r, p, time.Now()))
	default:
		w.Header().Set("Allow", "POST, DELETE, OPTIONS")
		write(w, reply{status: http.StatusMethodNotAllowed})
	}
}

// reply is what goes out.
type reply struct {
	status int
	// body is JSON, or nil for none.
	body []byte
	// session is a new session's id.
	session string
	// retry asks the client to wait, in seconds.
	retry string
}

func write(w http.ResponseWriter, out reply) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if out.session != "" {
		h.Set(headerSession, out.session)
	}
	if out.retry != "" {
		h.Set("Retry-After", out.retry)
	}
	if out.body == nil {
		w.WriteHeader(out.status)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body)
}

// fault is an error response.
func fault(status int, id json.RawMessage, code int, message string) reply {
	return reply{status: status, body: wire.AppendError(nil, id, code, message, nil)}
}

// post reads one message and answers it in its era.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, p *access.Principal) reply {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return fault(http.StatusUnsupportedMediaType, nil, wire.CodeInvalidRequest, "Content-Type must be application/json")
	}
	if !acceptsJSON(r.Header.Values("Accept")) {
		return fault(http.StatusNotAcceptable, nil, wire.CodeInvalidRequest, "Accept must include application/json and text/event-stream")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault(http.StatusRequestEntityTooLarge, nil, wire.CodeInvalidRequest,
			fmt.Sprintf("the message has more than %d bytes", h.cfg.MaxBody))
	}
	if err != nil {
		return fault(http.StatusBadRequest, nil, wire.CodeParse, "the message ended early")
	}
	if wire.IsBatch(body) {
		return fault(http.StatusBadRequest, nil, wire.CodeInvalidRequest, "batches are not served: send one message a request")
	}
	msg, err := wire.Parse(body)
	if bad, ok := errors.AsType[*wire.Error](err); ok {
		return fault(http.StatusBadRequest, bad.ID, bad.Code, bad.Text)
	}
	if err != nil {
		return fault(http.StatusBadRequest, nil, wire.CodeParse, "the message could not be read")
	}
	// MCP 2026-07-28, Versioning: the revision in _meta or in the header
	// makes a request modern; everything else is the legacy era.
	meta := readMeta(msg.Meta)
	if meta.Version != nil || wire.IsModern(r.Header.Get(headerVersion)) {
		return h.modern(r, p, msg, meta)
	}
	return h.legacy(r, p, msg)
}

// acceptsJSON reports whether an Accept header (RFC 9110 §12.5.1) lets JSON
// through. None at all does.
func acceptsJSON(values []string) bool {
	if len(values) == 0 {
		return true
	}
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		t, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || strings.Trim(params["q"], "0.") == "" && params["q"] != "" {
			continue
		}
		if t == "application/json" || t == "application/*" || t == "*/*" {
			return true
		}
	}
	return false
}

// meta is what the transport reads of params._meta.
type meta struct {
	Version      *json.RawMessage `json:"io.modelcontextprotocol/protocolVersion"`
	Capabilities json.RawMessage  `json:"io.modelcontextprotocol/clientCapabilities"`
}

func readMeta(raw json.RawMessage) meta {
	var m meta
	if raw != nil {
		_ = json.Unmarshal(raw, &m) // scanned before; other shapes leave it empty
	}
	return m
}

// revision is the declared revision, or empty.
func (m meta) revision() string {
	var s string
	if m.Version != nil {
		_ = json.Unmarshal(*m.Version, &s) // anything but a string is no revision
	}
	return s
}

func isObject(raw json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{"))
}
