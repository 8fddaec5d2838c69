// Package entra is the login with Microsoft Entra ID: it sends the browser
// there and turns the code that comes back into an identity. It owns
// everything that is particular to Entra: authorities, keys with issuers of
// their own, claims, AADSTS codes. It refuses to pass anything of an MCP
// client's request on, and to keep any of Microsoft's tokens (DESIGN D1).
//
// It implements the relying party of OpenID Connect Core §3.1 with PKCE.
package entra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"mcp-gateway/shared/secret"
)

// DefaultAuthority is the global cloud's.
const DefaultAuthority = "https://login.microsoftonline.com"

// requestTimeout bounds every request to Microsoft.
const requestTimeout = 10 * time.Second

// Config of a Provider.
type Config struct {
	// Authority is the login host with its scheme; DefaultAuthority if empty.
	// National clouds have others.
	Authority string
	// Tenant is the directory: its GUID, or one of its domains.
	Tenant string
	// ClientID is the application's id, a GUID.
	ClientID     string
	ClientSecret secret.Value
	// RedirectURL must be registered with the application, as platform Web.
	RedirectURL string
	// Prompt is sent to Microsoft; select_account if empty, because people
	// with several accounts otherwise end up in the wrong one.
	Prompt string
	// InsecureAllowHTTP permits an http authority on loopback: the
	// simulator's.
	InsecureAllowHTTP bool
	Logger            *slog.Logger
}

// Provider is one tenant's login. It is safe for concurrent use.
type Provider struct {
	cfg       Config
	http      *http.Client
	authority *url.URL
	discovery *discovery
	keys      *keySet
}

var (
	guidShape   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	domainShape = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
	prompts     = []string{"select_account", "login", "consent", "none"}
)

// New checks the configuration, all of it at once. It makes no requests.
func New(cfg Config) (*Provider, error) {
	if cfg.Authority == "" {
		cfg.Authority = DefaultAuthority
	}
	if cfg.Prompt == "" {
		cfg.Prompt = "select_account"
	}
	cfg.Tenant, cfg.ClientID = strings.ToLower(cfg.Tenant), strings.ToLower(cfg.ClientID)
	authority, err := cfg.check()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck // its documented type
	p := &Provider{cfg: cfg, authority: authority, http: &http.Client{
		Timeout:   requestTimeout,
		Transport: capped{transport},
		// Nothing of Entra's redirects; following one would carry the
		// client secret to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	p.discovery = &discovery{provider: p}
	p.keys = &keySet{provider: p}
	return p, nil
}

func (cfg *Config) check() (*url.URL, error) {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	authority, err := url.Parse(cfg.Authority)
	switch {
	case err != nil || authority.Host == "" || authority.Path != "" || authority.RawQuery != "" || authority.User != nil || authority.Fragment != "":
		problem("authority %q must be scheme and host only, like %s", cfg.Authority, DefaultAuthority)
	case authority.Scheme == "https":
	case authority.Scheme == "http" && cfg.InsecureAllowHTTP && isLoopback(authority.Hostname()):
	default:
		problem("authority %q must be https", cfg.Authority)
	}
	switch {
	case slices.Contains([]string{"common", "organizations", "consumers"}, cfg.Tenant):
		problem("tenant %q lets in people of any organization and is not supported: name your tenant's GUID or domain", cfg.Tenant)
	case !guidShape.MatchString(cfg.Tenant) && !domainShape.MatchString(cfg.Tenant):
		problem("tenant %q is neither a GUID nor a domain", cfg.Tenant)
	}
	if !guidShape.MatchString(cfg.ClientID) {
		problem("client id %q is not a GUID", cfg.ClientID)
	}
	if cfg.ClientSecret.IsZero() {
		problem("the client secret is missing")
	}
	if !slices.Contains(prompts, cfg.Prompt) {
		problem("prompt %q is none of %s", cfg.Prompt, strings.Join(prompts, ", "))
	}
	if u, err := url.Parse(cfg.RedirectURL); err != nil || u.Host == "" {
		problem("redirect URL %q is not a URL", cfg.RedirectURL)
	}
	return authority, errors.Join(problems...)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// AuthRequest is what the gateway made up for one sign-in.
type AuthRequest struct {
	// State and Nonce are random; Verifier is the PKCE code verifier.
	State, Nonce, Verifier string
}

// AuthURL returns where to send the browser. The error is an *Error.
func (p *Provider) AuthURL(ctx context.Context, req AuthRequest) (string, error) {
	doc, err := p.discovery.get(ctx, time.Now())
	if err != nil {
		return "", err
	}
	return p.oauth(doc).AuthCodeURL(req.State,
		oauth2.S256ChallengeOption(req.Verifier),
		oauth2.SetAuthURLParam("nonce", req.Nonce),
		oauth2.SetAuthURLParam("response_mode", "query"),
		oauth2.SetAuthURLParam("prompt", p.cfg.Prompt)), nil
}

// oauth is the application as x/oauth2 knows it. Scopes: only the ID token is
// wanted. offline_access would bring a refresh token that nobody keeps yet, and
// the MCP client's resource and scopes are none of Microsoft's business. The
// secret is sent in the body at once: probing for the style would redeem a code
// twice and hide the true error behind AADSTS54005.
func (p *Provider) oauth(doc document) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret.Reveal(), RedirectURL: p.cfg.RedirectURL,
		Scopes:   []string{"openid", "profile", "email"},
		Endpoint: oauth2.Endpoint{AuthURL: doc.AuthURL, TokenURL: doc.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}
}
