// Package entra signs people in with Microsoft Entra ID: it builds the
// authorization request, redeems the code, checks the ID token and says who
// the person is, or in plain words why the sign-in did not work. It is the
// only package that talks to Microsoft.
//
// It refuses to own the browser's part (state, cookies and pages are
// authserver's) and what people may do (access). No token of Microsoft's
// leaves it, and nothing of an MCP client's request goes in (DESIGN D1).
//
// It implements the relying party of OpenID Connect Core 1.0 §3.1 with PKCE
// (RFC 7636), for one tenant or for those on a list.
package entra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/secret"
)

// Config says which application in which tenant people sign in through.
type Config struct {
	// Authority is Microsoft's host for the cloud in use. Default:
	// https://login.microsoftonline.com.
	Authority string
	// Tenant is the directory whose people may sign in: its GUID or one of its
	// domains. Or it is "organizations", "common" (those and personal accounts) or
	// "consumers" (personal accounts, whose tenant's GUID means the same), which
	// only work with AllowedTenants.
	Tenant string
	// AllowedTenants are the GUIDs of the directories whose people may sign in,
	// among those that Tenant stands for. Nobody else may, and there is no word for
	// all. Personal accounts are those of the tenant
	// 9188040d-6c67-4c5b-b112-36a304b66dad. Empty if Tenant is one directory.
	AllowedTenants []string
	// DenyGuests keeps out who belongs to a tenant and has their account elsewhere.
	// The application must have the optional claim acct; without it in a token,
	// nobody is let in.
	DenyGuests bool
	// ClientID is the GUID of the application (client) in that tenant.
	ClientID string
	// The application proves itself with exactly one of the next three.
	//
	// ClientSecret is the value, not the id, of one of its secrets.
	ClientSecret secret.Value
	// ClientSecretExpires is when that ends, as somebody wrote it down; zero: nobody
	// did, and Watch cannot warn.
	ClientSecretExpires time.Time
	// CertificateFile is a PEM file with a certificate that the application knows,
	// and its RSA key. It is read again when it changes.
	CertificateFile string
	// FederatedTokenFile holds the token that the platform gives the gateway
	// (workload identity federation). It is read for each request.
	FederatedTokenFile string
	// RedirectURL is where Microsoft sends the browser back. The
	// application must have exactly this URL, of the platform "Web".
	RedirectURL string
	// Prompt is what Microsoft shows first: "select_account" (default), so
	// that people with several accounts get to choose, or "login", which
	// always asks for the password. "none" is refused: without a page nobody
	// can sign in for the first time.
	Prompt string
	// Groups are the ids of those that access rules name: whoever is in too many
	// for a token is asked about at Microsoft Graph. None: nobody is.
	Groups []string
	// Graph is the origin of Microsoft Graph, such as https://graph.microsoft.com.
	// Only needed with Groups.
	Graph string
	// InsecureAllowHTTP permits an authority and Graph on http, on a loopback
	// address only. For the development stack.
	InsecureAllowHTTP bool
	// HTTPClient is how Microsoft is reached. Nil: one that uses the proxy
	// of the environment. Redirects are never followed, and a client without
	// a timeout gets one of 10 seconds.
	HTTPClient *http.Client
	// Logger gets one line per code redeemed. Nil: nobody.
	Logger *slog.Logger
}

// scopes are what the gateway always asks for: an ID token ("profile" brings oid and
// tid) and a refresh token. Nothing of the client's, and no resource.
var scopes = []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess}

const (
	defaultAuthority = "https://login.microsoftonline.com"
	defaultPrompt    = "select_account"
)

// Provider signs people in. It is safe for concurrent use.
type Provider struct {
	authority   *url.URL
	tenant      string   // as configured, lower-case: GUID, domain or the name of several
	allowed     []string // tenants, lower-case; none if tenant is one
	denyGuests  bool
	clientID    string
	credential  credential
	redirectURL string
	prompt      string
	scopes      []string
	groups      []string // that matter, lower-case
	graph       *url.URL // nil if none do
	http        *http.Client
	logger      *slog.Logger
	endpoints   *cached[endpoints]
	keys        *cached[[]signingKey]
}

// New checks the whole configuration and reports every problem at once. It
// calls nobody: Microsoft may be down while the gateway starts.
func New(cfg Config) (*Provider, error) {
	p := &Provider{
		tenant: strings.ToLower(cfg.Tenant), allowed: lower(cfg.AllowedTenants), denyGuests: cfg.DenyGuests, clientID: strings.ToLower(cfg.ClientID),
		redirectURL: cfg.RedirectURL, prompt: cfg.Prompt, scopes: scopes, http: newHTTPClient(cfg.HTTPClient), logger: cfg.Logger,
		endpoints: newCached[endpoints](endpointsFresh, endpointsKept),
		keys:      newCached[[]signingKey](keysFresh, keysKept),
	}
	if p.prompt == "" {
		p.prompt = defaultPrompt
	}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	var err error
	p.authority, err = parseAuthority(cfg.Authority, cfg.InsecureAllowHTTP)
	problems := []error{err, p.useGraph(cfg), checkTenants(p.tenant, p.allowed), p.useCredential(cfg), checkRedirect(cfg.RedirectURL)}
	if !isGUID(p.clientID) {
		problems = append(problems, fmt.Errorf("client id %q is not a GUID: use the Application (client) ID of the app registration", cfg.ClientID))
	}
	if p.prompt != defaultPrompt && p.prompt != "login" {
		problems = append(problems, fmt.Errorf("prompt %q is neither select_account nor login", cfg.Prompt))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return p, nil
}

// useGraph has groups looked up at Microsoft Graph, if any matter.
func (p *Provider) useGraph(cfg Config) (err error) {
	if len(cfg.Groups) == 0 {
		return nil
	}
	p.groups = lower(cfg.Groups)
	p.scopes = append(slices.Clone(p.scopes), scopeGraph)
	p.graph, err = parseGraph(cfg.Graph, cfg.InsecureAllowHTTP)
	return err
}

// AuthRequest is what ties the two halves of one sign-in together. All three
// are random, made for one sign-in, and used once.
type AuthRequest struct {
	// State comes back with the browser. Exchange does not need it.
	State string
	// Nonce comes back in the ID token (OpenID Connect Core §3.1.2.1).
	Nonce string
	// Verifier is the PKCE code verifier (RFC 7636 §4.1).
	Verifier string
}

// minVerifier: a verifier has "a minimum length of 43 characters", RFC 7636 §4.1.
const minVerifier = 43

// AuthURL returns where to send the browser. The error is an *Error.
func (p *Provider) AuthURL(ctx context.Context, req AuthRequest) (string, error) {
	if req.State == "" || req.Nonce == "" || len(req.Verifier) < minVerifier {
		return "", misconfigured(codeProtocol, errors.New("the sign-in has no state, no nonce or a short verifier"))
	}
	at, err := p.discover(ctx, time.Now())
	if err != nil {
		return "", err
	}
	return p.oauth(at).AuthCodeURL(req.State,
		oauth2.S256ChallengeOption(req.Verifier),
		oidc.Nonce(req.Nonce),
		// A posted answer would arrive without the browser's SameSite=Lax cookie.
		oauth2.SetAuthURLParam("response_mode", "query"),
		oauth2.SetAuthURLParam("prompt", p.prompt),
	), nil
}

// SignIn is a person whom Microsoft lets in.
type SignIn struct {
	store.Identity
	// Refresh is Microsoft's refresh token, with which Renew asks whether it still
	// does; zero if Microsoft gave none.
	Refresh secret.Value
	// Incomplete: Microsoft could not be asked for all of it, and should be soon.
	Incomplete bool
	// Session is Microsoft's name for the session in the browser (claim sid,
	// OpenID Connect Front-Channel Logout 1.0 §3), at most MaxSession bytes; empty
	// if the application does not ask for that optional claim.
	Session string
}

// MaxSession bounds the name of a session, in bytes.
const MaxSession = 256

// Exchange redeems the code that came back for req and returns who signed in
// (RFC 6749 §4.1.3). The error is an *Error.
func (p *Provider) Exchange(ctx context.Context, code string, req AuthRequest, now time.Time) (SignIn, error) {
	if code == "" || req.Nonce == "" || len(req.Verifier) < minVerifier {
		return SignIn{}, misconfigured(codeProtocol, errors.New("the sign-in came back with no code, or has no nonce or a short verifier"))
	}
	return p.signIn(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirectURL}, "code_verifier": {req.Verifier},
	}, now, func(_ store.Identity, nonce string) error { return checkNonce(nonce, req.Nonce) })
}

// Renew asks whether somebody who signed in before may still come in, and who
// they are by now (OpenID Connect Core §12). The error is an *Error:
// KindDenied if they must sign in again, which may end in a refusal, and
// KindUnavailable or KindMisconfigured if that cannot be known. A refresh token
// that comes with an error takes the place of the one before, too.
func (p *Provider) Renew(ctx context.Context, before SignIn, now time.Time) (SignIn, error) {
	after, err := p.renew(ctx, before, p.scopes, now)
	if failure, ok := errors.AsType[*Error](err); ok && failure.consent() && p.graph != nil {
		// Who signed in before a rule named a group has not agreed to that permission.
		// They keep what they agreed to, and Graph is not asked until they sign in anew.
		after, err = p.renew(ctx, before, scopes, now)
	}
	if err == nil && after.Refresh.IsZero() {
		after.Refresh = before.Refresh // RFC 6749 §6: a new one is optional
	}
	return after, err
}

func (p *Provider) renew(ctx context.Context, before SignIn, scopes []string, now time.Time) (SignIn, error) {
	return p.signIn(ctx, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {before.Refresh.Reveal()},
		// Without it Microsoft would answer for what was asked first, whatever this
		// gateway asks for by now.
		"scope": {strings.Join(scopes, " ")},
	}, now, func(who store.Identity, _ string) error {
		// Microsoft's has no nonce, that of others the first; it need not be looked
		// at ("the ID Token SHOULD NOT have a nonce Claim").
		if who.Tenant != before.Tenant || who.Object != before.Object {
			return errSomebodyElse
		}
		return nil
	})
}

// errSomebodyElse: then the refresh token beside it is somebody else's too.
var errSomebodyElse = errors.New("the renewed token is about somebody else")

// signIn asks the token endpoint and checks whom the answer is about. accept
// looks at what is special to the way in which it was asked.
func (p *Provider) signIn(ctx context.Context, form url.Values, now time.Time, accept func(who store.Identity, nonce string) error) (SignIn, error) {
	start := time.Now()
	in, err := func() (SignIn, error) {
		at, err := p.discover(ctx, now)
		if err != nil {
			return SignIn{}, err
		}
		answer, err := p.post(ctx, at, form, now)
		var in SignIn
		if err == nil {
			in, err = p.verify(ctx, at, answer.IDToken, now, accept)
		}
		if errors.Is(err, errSomebodyElse) {
			return SignIn{}, err
		}
		// Also if the keys could not be fetched, or the clock is wrong: the refresh
		// token that was redeemed may be good no longer, so the next one must not be lost.
		in.Refresh = secret.New(answer.RefreshToken)
		if err != nil {
			return in, err
		}
		p.resolveGroups(ctx, &in, answer.AccessToken)
		return in, nil
	}()
	p.report(ctx, form.Get("grant_type"), time.Since(start), err)
	return in, err
}

// oauth is the client of RFC 6749 §4.1.1 at the tenant's endpoints.
func (p *Provider) oauth(at endpoints) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.clientID, RedirectURL: p.redirectURL, Scopes: p.scopes,
		Endpoint: oauth2.Endpoint{AuthURL: at.authorize},
	}
}

// report writes the one log line of a request for tokens.
func (p *Provider) report(ctx context.Context, grantType string, took time.Duration, err error) {
	attrs := []slog.Attr{slog.String("grant_type", grantType), slog.Duration("duration", took)}
	failure, failed := errors.AsType[*Error](err)
	if !failed {
		p.logger.LogAttrs(ctx, slog.LevelInfo, "microsoft exchange", append(attrs, slog.String("outcome", "ok"))...)
		return
	}
	p.logger.LogAttrs(ctx, slog.LevelWarn, "microsoft exchange", append(attrs,
		slog.String("outcome", string(failure.Kind)), slog.String("code", failure.Code), slog.Int("aadsts", failure.AADSTS),
		slog.String("trace_id", failure.TraceID), slog.String("correlation_id", failure.CorrelationID))...)
}

func parseAuthority(raw string, allowHTTP bool) (*url.URL, error) {
	if raw == "" {
		raw = defaultAuthority
	}
	u, err := url.Parse(strings.TrimSuffix(strings.ToLower(raw), "/"))
	if err != nil || u.Hostname() == "" || u.String() != u.Scheme+"://"+u.Host {
		return nil, fmt.Errorf("authority is not scheme and host alone: use one like %s", defaultAuthority)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP || !isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("authority %s is not https, without which anybody on the way could sign in as anyone", u)
	}
	return u, nil
}

// maxRedirect and refusedInRedirect are Microsoft's rules for redirect URIs.
const (
	maxRedirect       = 256
	refusedInRedirect = "!$'(),;#*"
)

func checkRedirect(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return errors.New("redirect URL is not a URL with a host")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return fmt.Errorf("redirect URL %s is not https: only on localhost does Microsoft accept http", raw)
	}
	if len(raw) > maxRedirect || strings.ContainsAny(raw, refusedInRedirect) {
		return fmt.Errorf("redirect URL %s is longer than %d characters or has one of %s: Microsoft refuses it", raw, maxRedirect, refusedInRedirect)
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// guid is the one spelling that ids are compared in: lower-case.
var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func isGUID(s string) bool { return guid.MatchString(s) }

// lower returns ids in that spelling.
func lower(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = strings.ToLower(id)
	}
	return out
}
