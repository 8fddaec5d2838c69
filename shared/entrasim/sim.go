// Package entrasim is a simulated Microsoft Entra ID for tests and for the
// development stack: discovery, keys, a sign-in page with demonstration people,
// the token endpoint on the code leg. It answers in the shapes that Microsoft
// documents and that recorded traffic shows, is strict about what it is asked,
// and can be told to fail in the ways the real one does.
//
// It is never linked into a product and serves on loopback only. What it does
// is not proof of what Microsoft does: facts from memory are knobs here, not
// assertions.
package entrasim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Tenant is a directory.
type Tenant struct {
	// ID is a lower-case GUID.
	ID string
	// Domain resolves to the tenant, like its GUID.
	Domain string
	Name   string
}

// User is a person in a tenant.
type User struct {
	// Tenant is the directory the person is signed in to here.
	Tenant string
	// Object is the oid: a GUID, distinct within its tenant only.
	Object   string
	Name     string
	Username string
	Email    string
	// About says on the sign-in page what the person is good for.
	About string
	// Roles and Groups are put into tokens as they stand.
	Roles  []string
	Groups []string
	// Overage leaves groups out and marks that there are too many.
	Overage bool
	// Home is the tenant a guest comes from.
	Home string
}

// App is a registered application, single-tenant.
type App struct {
	ClientID string
	Secret   string
	// SecretExpired makes the secret one that has run out.
	SecretExpired bool
	Tenant        string
	// RedirectURIs of platform Web; localhost matches on any port.
	RedirectURIs []string
	// AssignmentRequired lets in only people who have a role.
	AssignmentRequired bool
}

// Options say what there is.
type Options struct {
	Tenants []Tenant
	Users   []User
	Apps    []App
}

// Sim is a running simulation. It is safe for concurrent use.
type Sim struct {
	listener net.Listener
	base     string

	mu sync.Mutex
	// guards below
	opts       Options
	keys       *keyring
	codes      map[string]code
	violations []string
	failures   []Failure
	mutate     func(claims map[string]any)
	offset     time.Duration
	tokenCalls int
}

// code is an authorization code that was given out.
type code struct {
	app       App
	user      User
	redirect  string
	nonce     string
	challenge string
	scope     string
	issued    time.Time
	used      bool
}

// New makes a simulation that will listen on addr ("localhost:0"), which must
// be loopback. Serve starts it.
func New(addr string, opts Options) (*Sim, error) {
	listener, err := net.Listen("tcp", addr) //nolint:noctx // returns at once
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	tcp, ok := listener.Addr().(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("the simulated Microsoft sign-in serves on loopback only, not on %s", listener.Addr()), listener.Close())
	}
	keys, err := newKeyring()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &Sim{
		listener: listener, base: fmt.Sprintf("http://localhost:%d", tcp.Port),
		opts: opts, keys: keys, codes: map[string]code{},
	}, nil
}

// URL is the authority: scheme, host and port.
func (s *Sim) URL() string { return s.base }

// Serve answers until ctx ends.
func (s *Sim) Serve(ctx context.Context) error {
	srv := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("simulated Microsoft sign-in: %w", err)
	}
	return nil
}

func (s *Sim) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", s.keysDocument)
	mux.HandleFunc("GET /{tenant}/oauth2/v2.0/authorize", s.authorizePage)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/authorize", s.authorizeChoice)
	mux.HandleFunc("/{tenant}/oauth2/v2.0/token", s.tokenEndpoint)
	return withHeaders(mux)
}

// withHeaders adds what every answer of Entra has.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Ms-Request-Id", newGUID())
		h.Set("X-Ms-Ests-Server", "2.1.0 - entrasim")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		h.Set("Cache-Control", "no-store, no-cache")
		next.ServeHTTP(w, r)
	})
}

// now is the simulation's clock, which Advance moves.
func (s *Sim) now() time.Time { return time.Now().Add(s.offset) }

// Advance moves the simulation's clock.
func (s *Sim) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

// Violations lists what was asked that the real one would refuse or ignore.
func (s *Sim) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// TokenCalls is how many requests the token endpoint had.
func (s *Sim) TokenCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokenCalls
}

func (s *Sim) violate(format string, args ...any) {
	s.violations = append(s.violations, fmt.Sprintf(format, args...))
}

// tenant finds a directory by GUID, in any case, or by domain.
func (s *Sim) tenant(name string) (Tenant, bool) {
	for _, t := range s.opts.Tenants {
		if strings.EqualFold(name, t.ID) || t.Domain != "" && strings.EqualFold(name, t.Domain) {
			return t, true
		}
	}
	return Tenant{}, false
}

func (s *Sim) app(clientID, tenant string) (App, bool) {
	for _, a := range s.opts.Apps {
		if a.ClientID == clientID && a.Tenant == tenant {
			return a, true
		}
	}
	return App{}, false
}

// matchesRedirect compares as Entra does: exactly, but for the port of
// http://localhost.
func matchesRedirect(registered []string, uri string) bool {
	return slices.ContainsFunc(registered, func(r string) bool {
		return r == uri || withoutLocalPort(r) == withoutLocalPort(uri)
	})
}

func withoutLocalPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.Hostname() != "localhost" {
		return uri
	}
	u.Host = "localhost"
	return u.String()
}
