// Package oauth is the bridge's OAuth client for one server and account: it finds
// the authorization server, registers, signs a person in, keeps the access token
// fresh and signs out again. It implements the client side of the MCP
// authorization chapter.
//
// It refuses to send MCP messages, to retry one, and to decide when a person is
// asked: it says that a sign-in is needed, and runs one when told to.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"mcp-gateway/bridge/internal/browser"
	"mcp-gateway/bridge/internal/flight"
	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/secret"
)

// The answers a caller acts on.
var (
	// ErrSignIn: the person must sign in.
	ErrSignIn = errors.New("sign-in needed")
	// ErrNotNeeded: the server answers without a token and names no place to
	// sign in at.
	ErrNotNeeded = errors.New("the server needs no sign-in")
)

// NoResource is the Resource that leaves the resource parameter out.
const NoResource = "none"

const (
	requestTimeout = 15 * time.Second
	signInTimeout  = 10 * time.Minute
	// afterFailure is how long a token that still lives is used without another
	// try to renew it.
	afterFailure = 10 * time.Second
	// stepUps per stepUpWindow: a server that is never content must not send a
	// person to the browser for ever.
	stepUps      = 3
	stepUpWindow = 5 * time.Minute
)

// Config is what a Client works with.
type Config struct {
	// Server is the URL of the MCP server as the person gave it. It names the
	// stored sign-in and is the resource unless Resource says otherwise.
	Server  string
	Account string
	// ClientID and ClientSecret are of a client registered beforehand, or empty.
	ClientID     string
	ClientSecret secret.Value
	// ClientMetadataURL is the client_id where the authorization server takes
	// the URL of a client metadata document; "" does without.
	ClientMetadataURL string
	// Scopes are the person's own choice; nil leaves it to what the server says.
	Scopes []string
	// Resource is the value of the resource parameter (RFC 8707): "" decides,
	// NoResource leaves it out.
	Resource string
	Store    *keychain.Store
	// Dir is where processes agree on who asks the person.
	Dir string
	// HTTP sends all requests; nil is a client of its own.
	HTTP *http.Client
	// Way is how the person signs in; empty means InBrowser.
	Way Way
	// Open shows the person what they need. When it fails, the sign-in goes on:
	// it is logged and published too.
	Open func(ctx context.Context, p Prompt) error
	// Paste lets the person paste the address that their browser was sent to: it
	// calls take with each that they paste, until one is taken, or tells why there
	// will be none. ByPaste needs it.
	Paste func(ctx context.Context, take func(text string) error) error
	// AllowHTTP admits http beyond this computer.
	AllowHTTP bool
	// Logger is silent if nil.
	Logger *slog.Logger
}

// Client holds the sign-in of one server and account. It is safe for concurrent
// use, and other processes may hold the same sign-in.
type Client struct {
	cfg    Config
	key    keychain.Key
	server *url.URL
	http   *http.Client
	logger *slog.Logger
	// slot is held while tokens change hands: a mutex whose wait a context ends.
	slot chan struct{}

	mu        sync.Mutex // guards below; a file lock orders no memory
	record    keychain.Record
	unsaved   *unsaved
	challenge *challenge // what the server last said about signing in
	wanted    bool       // ErrSignIn was returned and no sign-in has come since
	refused   string     // the access token that led to it
	stepped   []time.Time
	retryAt   time.Time
}

// unsaved is a renewed record that the store did not take: after a rotation the
// stored refresh token is dead, and this is the only copy of its successor.
type unsaved struct {
	record keychain.Record
	from   string // the refresh token it was renewed with
}

// challenge is what a WWW-Authenticate header says about signing in.
type challenge struct {
	metadata string // URL of the resource's metadata, unchecked
	scope    string
	stepUp   bool // the token was good and its scope was not
}

// New checks the Config. It starts nothing and reads nothing.
func New(cfg Config) (*Client, error) {
	c := &Client{
		cfg: cfg, key: keychain.Key{Server: cfg.Server, Account: cfg.Account},
		logger: cfg.Logger, slot: make(chan struct{}, 1),
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	if err := c.checkURL(cfg.Server); err != nil {
		return nil, fmt.Errorf("server URL: %w", err)
	}
	c.server, _ = url.Parse(cfg.Server) // checkURL has parsed it
	switch {
	case cfg.Store == nil || cfg.Dir == "" || cfg.Open == nil:
		return nil, errors.New("oauth client: a store, a folder and a way to open URLs are required")
	case cfg.ClientID == "" && !cfg.ClientSecret.IsZero():
		return nil, errors.New("a client secret needs the client id that it belongs to")
	}
	if err := checkWay(cfg); err != nil {
		return nil, err
	}
	if cfg.Resource != "" && cfg.Resource != NoResource {
		u, err := url.Parse(cfg.Resource)
		if err != nil || !u.IsAbs() || u.Fragment != "" { // RFC 8707 §2
			return nil, errors.New("resource: want an absolute URI without a fragment, or " + NoResource)
		}
	}
	if raw := cfg.ClientMetadataURL; raw != "" {
		if u, err := url.Parse(raw); err != nil || u.Scheme != "https" || strings.Trim(u.Path, "/") == "" {
			return nil, errors.New("client metadata URL: want https and a path")
		}
	}
	c.http = noRedirects(cfg.HTTP)
	return c, nil
}

// noRedirects is a client of the same transport that follows no redirect: one
// could carry a code or a refresh token to another server.
func noRedirects(base *http.Client) *http.Client {
	h := &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if base != nil {
		h.Transport = base.Transport
	}
	return h
}

// checkURL refuses what requests may not be sent to: only https is, and http on
// this computer, or everywhere with AllowHTTP.
func (c *Client) checkURL(raw string) error {
	if strings.Contains(raw, "#") {
		return errors.New("a URL with a fragment cannot be used")
	}
	err := browser.CheckAddress(raw)
	rest, plain := strings.CutPrefix(raw, "http://")
	if err == nil || !plain || browser.CheckAddress("https://"+rest) != nil {
		return err
	}
	if !c.cfg.AllowHTTP {
		return errors.New("plain http is for this computer only: use https, or allow http if the network is yours")
	}
	return nil
}

// Token returns the access token for the next request, renewed when it is about
// to expire; "" when nothing is stored, because the server may need none.
func (c *Client) Token(ctx context.Context) (string, error) {
	now := time.Now()
	r, err := c.holding(ctx)
	if err != nil {
		return "", err
	}
	if fresh(r, now) || r.AccessToken == "" && r.RefreshToken == "" {
		return r.AccessToken, nil
	}
	if live(r, now) && (r.RefreshToken == "" || now.Before(c.pausedUntil())) {
		return r.AccessToken, nil
	}
	err = c.refresh(ctx, r.AccessToken)
	if err == nil {
		return c.held().AccessToken, nil
	}
	if live(r, time.Now()) && !errors.Is(err, ErrSignIn) {
		c.pause(time.Now().Add(afterFailure))
		c.logger.WarnContext(ctx, "access token not renewed yet, it still lives", "server", c.server.Host, "error", err.Error())
		return r.AccessToken, nil
	}
	return "", err
}

// Rejected takes the answer to a request that carried the token used. After nil,
// call Token again and retry once. ErrSignIn means that the person must sign in;
// any other error may pass by itself.
func (c *Client) Rejected(ctx context.Context, used string, status int, header http.Header) error {
	bearer := c.bearer(ctx, header)
	stepUp := status == http.StatusForbidden && bearer["error"] == oauth.CodeInsufficientScope
	if status != http.StatusUnauthorized && !stepUp {
		return fmt.Errorf("status %d is not an authorization failure", status)
	}
	c.remember(&challenge{metadata: bearer["resource_metadata"], scope: bearer["scope"], stepUp: stepUp})
	r, err := c.holding(ctx)
	switch {
	case err != nil:
		return err
	case r.AccessToken != "" && r.AccessToken != used:
		return nil // renewed meanwhile
	case stepUp:
		return c.wantScope(used, bearer["scope"])
	case r.AccessToken == "" && r.RefreshToken == "":
		return c.want(used, "the server asks for one")
	}
	return c.refresh(ctx, used)
}

// wantScope asks for a sign-in with more scope, within limits.
func (c *Client) wantScope(used, scope string) error {
	if c.cfg.Scopes != nil {
		return fmt.Errorf("the server wants the scope %q, which is not among those you chose: add it and sign in again", clean(scope))
	}
	if err := c.mayStepUp(time.Now()); err != nil {
		return err
	}
	return c.want(used, "the server wants the scope "+clean(scope))
}

// mayStepUp refuses a sign-in for more scope after too many of them.
func (c *Client) mayStepUp(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.stepped) > 0 && now.Sub(c.stepped[0]) >= stepUpWindow {
		c.stepped = c.stepped[1:]
	}
	if len(c.stepped) >= stepUps {
		return fmt.Errorf("the server still wants more scope after %d sign-ins: it grants less than it asks for; try again in a few minutes", stepUps)
	}
	return nil
}

// bearer returns the parameters of the Bearer challenge. A header that cannot be
// read says nothing.
func (c *Client) bearer(ctx context.Context, header http.Header) map[string]string {
	challenges, err := oauth.ParseChallenges(header.Values("WWW-Authenticate"))
	if err != nil {
		c.logger.WarnContext(ctx, "unreadable WWW-Authenticate header", "server", c.server.Host, "error", err.Error())
		return nil
	}
	for _, ch := range challenges {
		if ch.Scheme == "bearer" {
			return ch.Params
		}
	}
	return nil
}

// SignIn has the person sign in through their browser, or waits for the process
// that asks them already.
func (c *Client) SignIn(ctx context.Context) error {
	if c.cfg.Way == ByPaste && c.cfg.Paste == nil {
		return errNoTerminal
	}
	// A sign-in that could not be kept is not worth the person's time.
	if err := c.cfg.Store.Ready(ctx); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	leader, err := flight.Login(ctx, c.cfg.Dir, c.key.ID(), c.lead)
	if err != nil || leader {
		return err
	}
	taken, err := c.takeStored(ctx)
	if err == nil && !taken {
		return fmt.Errorf("%w: the sign-in in another process did not succeed", ErrSignIn)
	}
	return err
}

// Pending is what the person needs for the sign-in that waits for them now, in
// whatever process; the zero Prompt if there is none.
func (c *Client) Pending() Prompt { return parsePending(flight.URL(c.cfg.Dir, c.key.ID())) }

// Status is what can be told of a sign-in. It holds no secret.
type Status struct {
	Server          string    `json:"server"`
	Account         string    `json:"account,omitempty"`
	SignedIn        bool      `json:"signed_in"`
	Subject         string    `json:"subject,omitempty"`
	Issuer          string    `json:"issuer,omitempty"`
	ClientID        string    `json:"client_id,omitempty"`
	Scopes          []string  `json:"scopes,omitempty"`
	ExpiresAt       time.Time `json:"expires_at,omitzero"`
	HasRefreshToken bool      `json:"has_refresh_token"`
	Store           string    `json:"store"`
}

// Status reads the store. Nothing stored is a Status too.
func (c *Client) Status(ctx context.Context) (Status, error) {
	s := Status{Server: c.cfg.Server, Account: c.cfg.Account, Store: c.cfg.Store.Where()}
	r, err := c.cfg.Store.Load(ctx, c.key)
	if errors.Is(err, keychain.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.SignedIn = r.RefreshToken != "" || live(r, time.Now())
	s.Subject, s.Issuer, s.ClientID, s.Scopes = r.Subject, r.Issuer, r.ClientID, r.Scopes
	s.ExpiresAt, s.HasRefreshToken = r.ExpiresAt, r.RefreshToken != ""
	return s, nil
}
