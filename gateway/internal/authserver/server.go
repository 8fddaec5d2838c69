// Package authserver is the HTTP side of the authorization server: metadata,
// registration, the browser's way through consent and Microsoft, and the token,
// revocation and introspection endpoints. It owns routes, parameters and answers, and refuses to own the
// rules behind them: clients (package client), grants (grant), login (entra).
//
// It implements the endpoints of RFC 6749, with RFC 7009, 7591, 7636, 7662, 8414,
// 8628, 8707, 9207 and 9728, as OAuth 2.1 and the MCP authorization specification ask.
package authserver

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/grant"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/session"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// endpoints that a token may be asked for by name (RFC 8707), besides the root.
var resourcePaths = []string{"/mcp", "/sse"}

// Config is what a Server is made of. Everything is needed.
type Config struct {
	// PublicURL is the issuer: scheme and host, no path, no trailing slash.
	PublicURL string
	// Scopes are those that clients may ask for besides the two that there
	// always are: each opens tools that need it.
	Scopes []Scope
	// Introspection: there are resource servers that may ask about tokens.
	Introspection bool
	// LoginOrigins are the origins of Microsoft's pages, for the consent page's
	// form-action (DESIGN D19).
	LoginOrigins []string
	Lifetimes    Lifetimes
	// DeviceSignIn: people may sign in for devices.
	DeviceSignIn bool

	Clients  directory
	Login    login
	Accounts accounts
	Sessions sessions
	Grants   exchanger
	Store    loginStore
	Devices  deviceStore
	Ring     *keyring.Ring
	Audit    auditor
	// Address is the remote address of a request, behind trusted proxies.
	Address func(*http.Request) netip.Addr
	Limits  Limits
	Logger  *slog.Logger
}

// Lifetimes of what a sign-in passes through.
type Lifetimes struct {
	// Consent is how long a consent page can be answered, and Login how long
	// the person may take at Microsoft: 10 minutes each.
	Consent time.Duration
	Login   time.Duration
	// Code is an authorization code's: 60 seconds (at most 10 minutes, RFC
	// 6749 §4.1.2).
	Code time.Duration
	// Grant is after how long the person must sign in again, and Unchecked the
	// same where Microsoft cannot be asked about them meanwhile.
	Grant, Unchecked time.Duration
	// Consented is how long a consent is remembered: 90 days.
	Consented time.Duration
}

// Limits bound what anybody can call: endpoints, which they wrap, per remote
// address.
type Limits struct {
	Register, Authorize, Token, Device func(http.Handler) http.Handler
	// Guess bounds the codes of devices that people, or machines, try.
	Guess Guess
}

type directory interface {
	Resolve(ctx context.Context, id string) (client.Client, error)
	Register(meta oauth.ClientMetadata, now time.Time) (oauth.ClientInformation, error)
	Registers() bool
	ReadsDocuments() bool
}

type login interface {
	AuthURL(ctx context.Context, req entra.AuthRequest) (string, error)
	Exchange(ctx context.Context, code string, req entra.AuthRequest, now time.Time) (entra.SignIn, error)
}

type accounts interface {
	// Of is what to store of a sign-in, so that Microsoft can be asked again.
	Of(in entra.SignIn, now time.Time) *store.Account
}

// sessions are those at Microsoft, of the people who signed in.
type sessions interface {
	Remember(ctx context.Context, id session.ID, began, ends time.Time) error
	GoesOn(ctx context.Context, id session.ID, now time.Time) (bool, error)
	EndedSince(ctx context.Context, id session.ID, began, now time.Time) (bool, error)
}

// exchanger is package grant: one method for each endpoint, and Types.
type exchanger interface {
	// Types are the grant types that Exchange serves.
	Types() []string
	AuthorizeDevice(ctx context.Context, req grant.DeviceRequest, now time.Time) (oauth.DeviceAuthorization, error)
	Exchange(ctx context.Context, req grant.Request, now time.Time) (oauth.TokenResponse, error)
	Revoke(ctx context.Context, req grant.Revocation, now time.Time) error
	Introspect(ctx context.Context, req grant.Introspection, now time.Time) (oauth.IntrospectionResponse, error)
}

// loginStore is what this package asks of the store: five methods, for the two
// things that outlive a request here, sign-ins and consents.
type loginStore interface {
	CreateLogin(ctx context.Context, l store.Login) error
	ConsumeLogin(ctx context.Context, state, browser store.Hash, now time.Time) (store.Login, error)
	CreateCode(ctx context.Context, c store.Code) error
	RememberConsent(ctx context.Context, c store.Consent, now time.Time) error
	Consented(ctx context.Context, c store.Consent, now time.Time) ([]string, error)
}

// deviceStore is one method for each step of a person.
type deviceStore interface {
	DeviceByUserCode(ctx context.Context, userCode, browser store.Hash, now time.Time) (store.Device, error)
	ClaimDevice(ctx context.Context, device, browser store.Hash, now time.Time) error
	DenyDevice(ctx context.Context, device, browser store.Hash, now time.Time) error
	ApproveDevice(ctx context.Context, browser store.Hash, c store.Code, now time.Time) error
}

type auditor interface {
	Append(ctx context.Context, e store.Event) error
}

// Server answers the authorization server's endpoints.
type Server struct {
	cfg  Config
	host string
}

// New returns a Server.
func New(cfg Config) (*Server, error) {
	u, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, host: u.Host}, nil
}

// IsResource reports whether a resource parameter names this gateway: its
// root, /mcp or /sse, with or without a trailing slash (DESIGN D18), in any
// case of scheme and host ("clients SHOULD accept upper case", MCP
// authorization, Canonical Server URI).
func (s *Server) IsResource(resource string) bool { return IsResource(s.cfg.PublicURL, resource) }

// IsResource is Server.IsResource for a public URL.
func IsResource(publicURL, resource string) bool {
	u, err := url.Parse(resource)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(resource, "#") {
		return false
	}
	if !strings.EqualFold(u.Scheme+"://"+u.Host, publicURL) {
		return false
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	if path == "" {
		return true
	}
	return slices.Contains(resourcePaths, path)
}
