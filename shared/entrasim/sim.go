// Package entrasim is a simulated Microsoft Entra ID, for tests and for the
// development stack. It owns the shapes that Microsoft's v2.0 endpoints have on
// the wire for applications that sign people in: discovery, keys, authorize with
// a page to pick a person, token, sign-out, and the errors of each. It is stricter than
// Microsoft: what a correct client would never send is refused and recorded
// (Sim.Violations). Microsoft's own library for Go and dex's connector are
// held against it, in the tests of the gateway's package entra.
//
// It is a whole server in one package, one file per endpoint, and larger than
// the house likes: its parts share one directory and mean nothing alone.
//
// It refuses to be a real identity provider. Nobody proves who they are, so it
// answers on loopback only, and neither product may link it.
package entrasim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxBody bounds a form: a code takes 2 kB, nothing else takes much.
	maxBody = 64 << 10
	// maxViolations bounds the list in a development stack that runs for days.
	maxViolations = 1000
)

// Options of a simulator. Demo fills them with a demonstration directory.
type Options struct {
	// Tenants, Users and Apps are the directory.
	Tenants []Tenant
	Users   []User
	Apps    []App
	// BaseURL is the authority, such as http://localhost:8789, without a slash
	// at the end. Empty: the address that each request came to.
	BaseURL string
	// Now is the clock; nil is time.Now. Tests share theirs with the gateway.
	Now func() time.Time
	// Logger hears of violations; nil is silent.
	Logger *slog.Logger
}

// Sim is one simulated Entra ID. It is safe for concurrent use.
type Sim struct {
	dir      directory
	base     *url.URL // nil: taken from each request
	now      func() time.Time
	logger   *slog.Logger
	handler  http.Handler
	personal *Key // signs for personal accounts, under their fixed issuer

	mu         sync.Mutex // guards below
	published  map[*Key]bool
	signing    *Key
	keyCount   int
	codes      map[string]*signIn
	refresh    map[string]*signIn
	sessions   map[string]*session // by the claim sid
	oneTime    bool                // refresh tokens are
	revoked    map[*User]time.Time // what they were given before is refused
	disabled   map[*User]bool
	access     map[string]graphAccess // to Graph, by access token
	assertions map[string]int64       // until when each counts as used
	planned    map[endpoint][]Outcome
	claims     []func(map[string]any)
	headers    []func(map[string]any)
	violations []string
}

// New checks the options, reports every problem at once, and makes the keys.
func New(o Options) (*Sim, error) {
	dir, err := newDirectory(o)
	if err != nil {
		return nil, fmt.Errorf("simulated directory: %w", err)
	}
	s := &Sim{
		dir: dir, now: o.Now, logger: o.Logger,
		published: make(map[*Key]bool), planned: make(map[endpoint][]Outcome),
		codes: make(map[string]*signIn), refresh: make(map[string]*signIn), sessions: make(map[string]*session),
		revoked: make(map[*User]time.Time), disabled: make(map[*User]bool), access: make(map[string]graphAccess),
		assertions: make(map[string]int64),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if o.BaseURL != "" {
		if s.base, err = url.Parse(o.BaseURL); err != nil {
			return nil, fmt.Errorf("base URL: %w", err)
		}
		if s.base.Host == "" || s.base.Path != "" {
			return nil, fmt.Errorf("base URL %q is not scheme://host", o.BaseURL)
		}
	}
	if err := s.firstKeys(); err != nil {
		return nil, err
	}
	s.handler = s.routes()
	return s, nil
}

func (s *Sim) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", s.keys)
	mux.HandleFunc("GET /common/discovery/instance", s.instance)
	mux.HandleFunc("GET /{tenant}/oauth2/v2.0/authorize", s.showSignIn)
	// Another site must not sign somebody in behind their back.
	mux.Handle("POST /{tenant}/oauth2/v2.0/authorize",
		http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.finishSignIn)))
	mux.HandleFunc("/{tenant}/oauth2/v2.0/token", s.token)
	mux.HandleFunc("GET /{tenant}/oauth2/v2.0/logout", s.signOut)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/logout", s.signOut)
	// Microsoft Graph, which has a host of its own.
	mux.HandleFunc("GET /v1.0/me", s.onGraph(s.me))
	mux.HandleFunc("GET /v1.0/me/transitiveMemberOf/microsoft.graph.group", s.onGraph(s.memberOf))
	mux.HandleFunc("POST /v1.0/me/getMemberGroups", s.onGraph(s.memberGroups, "GroupMember.Read.All", "Directory.Read.All"))
	mux.HandleFunc("POST /v1.0/me/getMemberObjects", s.onGraph(s.memberGroups))
	mux.HandleFunc("GET /favicon.ico", http.NotFound) // browsers ask unbidden
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.violate(r, fmt.Sprintf("%s %s is not simulated", r.Method, strconv.Quote(r.URL.Path)))
		http.NotFound(w, r)
	})
	return mux
}

// Handler answers as login.microsoftonline.com would. It refuses every request
// that came in over an address other than loopback, and, against DNS
// rebinding, every request for a host that is neither loopback nor the
// authority's own.
func (s *Sim) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if tcp, ok := local.(*net.TCPAddr); (ok && !tcp.IP.IsLoopback()) || !s.knowsHost(r.Host) {
			http.Error(w, "the simulated sign-in answers on loopback only", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		s.handler.ServeHTTP(w, s.withTrace(r))
	})
}

// Serve answers on the listener until ctx ends. A listener that others could
// reach is closed and refused.
func (s *Sim) Serve(ctx context.Context, l net.Listener) error {
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("the simulated sign-in listens on loopback only, not on %s", l.Addr()), l.Close())
	}
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxBody,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	// There is nothing to drain: whoever stops a simulator wants it gone.
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the simulated sign-in: %w", err)
	}
	return nil
}

// Violations lists what clients sent that a correct client would not have, in
// order: unknown parameters, resource, a missing scope, a wrong redirect URI,
// client or tenant, a GET of the token endpoint, a code used twice, and so on.
func (s *Sim) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

func (s *Sim) violate(r *http.Request, what string) {
	s.logger.WarnContext(r.Context(), "request that Microsoft would refuse", slog.String("violation", what))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.violations) < maxViolations {
		s.violations = append(s.violations, what)
	}
}

// authorityURL is scheme://host of the authority, as the caller knows it.
func (s *Sim) authorityURL(r *http.Request) string {
	switch {
	case s.base != nil:
		return s.base.Scheme + "://" + s.base.Host
	case r.TLS != nil:
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}

func (s *Sim) knowsHost(host string) bool {
	if s.base != nil && strings.EqualFold(host, s.base.Host) {
		return true
	}
	name := (&url.URL{Host: host}).Hostname()
	return name == "localhost" || net.ParseIP(name).IsLoopback()
}

// newGUID makes a random GUID (RFC 9562 §5.4).
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
