// Package grant answers the token endpoint: one file per grant type behind one
// dispatcher, which makes the checks that every grant needs so that a new one
// cannot forget them. It also answers revocation and introspection. It refuses to
// know HTTP; package authserver parses the request and writes the answer.
//
// It implements RFC 6749 §4.1.3, §4.4, §5 and §6, RFC 7009 §2, RFC 7636 §4.6, RFC 7662
// §2, RFC 8628 §3.1 to §3.5 and RFC 8707 §2.2.
package grant

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/account"
	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// Request is a parsed token request. Every field is as the client sent it;
// parameters were checked for repetition before (RFC 6749 §3.2).
type Request struct {
	GrantType string
	// Client is who says to be asking, and what proves it.
	Client client.Credentials
	// Resources may repeat (RFC 8707 §2).
	Resources []string
	// Address is the remote address, for the audit trail.
	Address string

	// authorization_code
	Code        string
	RedirectURI string
	Verifier    string

	// refresh_token
	RefreshToken string

	// client_credentials. The other grants have no scope: "The authorization
	// server MAY fully or partially ignore the scope" (RFC 6749 §3.3), tokens keep
	// what the person consented to, and the answer says so.
	Scope string

	// urn:ietf:params:oauth:grant-type:device_code
	DeviceCode string
}

type directory interface {
	Authenticate(ctx context.Context, given client.Credentials, now time.Time) (client.Client, error)
}

type codeStore interface {
	Code(ctx context.Context, hash store.Hash) (store.Code, error)
	FailCode(ctx context.Context, hash store.Hash) error
}

// tokens are five methods: what this package does with tokens, each in one step.
type tokens interface {
	IssueOwn(ctx context.Context, g store.Grant, event *store.Event, now time.Time) (token.Issued, error)
	Redeem(ctx context.Context, code store.Code, withRefresh bool, event *store.Event, now time.Time) (token.Issued, error)
	Refresh(ctx context.Context, presented, clientID string, now time.Time) (token.Issued, error)
	RevokeToken(ctx context.Context, presented, clientID string, now time.Time) (store.Grant, error)
	Verify(ctx context.Context, bearer string, now time.Time) (*access.Principal, error)
}

type accounts interface {
	// Check makes sure that the person behind a refresh token may still come in.
	Check(ctx context.Context, token store.Hash, clientID string, now time.Time) error
}

type auditor interface {
	Append(ctx context.Context, e store.Event) error
}

// Config is what a Dispatcher is made of; all of it is needed, but for Devices
// and ResourceServers.
type Config struct {
	// Issuer is the gateway's public URL.
	Issuer string
	// Scope is what every token has: without it a token is good for nothing.
	Scope string
	// ClientCredentials: there is a client that may use this grant. Without one it
	// is not served.
	ClientCredentials bool

	Clients directory
	Codes   codeStore
	Tokens  tokens
	// Accounts asks Microsoft again about people who signed in a while ago.
	Accounts accounts
	Audit    auditor
	// IsResource reports whether a resource parameter names this gateway
	// (DESIGN D18).
	IsResource func(string) bool
	// ResourceServers are those that may introspect tokens: the hashes of
	// their secrets by their ids.
	ResourceServers map[string]store.Hash
	Devices         Devices
	Logger          *slog.Logger
}

// Dispatcher answers token requests and revocations.
type Dispatcher struct {
	cfg    Config
	grants map[string]func(ctx context.Context, c client.Client, req Request, now time.Time) (token.Issued, error)
}

// NewDispatcher returns a Dispatcher.
func NewDispatcher(cfg Config) *Dispatcher {
	d := &Dispatcher{cfg: cfg}
	d.grants = map[string]func(context.Context, client.Client, Request, time.Time) (token.Issued, error){
		"authorization_code": d.authorizationCode,
		"refresh_token":      d.refreshToken,
	}
	if cfg.Devices.Store != nil {
		d.grants[oauth.GrantTypeDeviceCode] = d.deviceCode
	}
	if cfg.ClientCredentials {
		d.grants["client_credentials"] = d.clientCredentials
	}
	return d
}

// Types are the grant types that are served (RFC 8414 §2, grant_types_supported).
func (d *Dispatcher) Types() []string { return slices.Sorted(maps.Keys(d.grants)) }

// Exchange answers one token request. An error that is an *oauth.Error is for
// the client; every other one is ours, and becomes server_error or
// temporarily_unavailable, never invalid_grant (DESIGN, promise 4).
func (d *Dispatcher) Exchange(ctx context.Context, req Request, now time.Time) (oauth.TokenResponse, error) {
	if req.GrantType == "" {
		return oauth.TokenResponse{}, oauth.NewError(oauth.CodeInvalidRequest, "grant_type is missing")
	}
	issue, ok := d.grants[req.GrantType]
	if !ok {
		return oauth.TokenResponse{}, oauth.NewError(oauth.CodeUnsupportedGrantType, "grant_type is none of those in the server metadata")
	}
	c, err := d.clientFor(ctx, req.Client, req.GrantType, now)
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	issued, err := issue(ctx, c, req, now)
	if err != nil {
		return oauth.TokenResponse{}, d.refused(ctx, c, req, issued.Grant, err, now)
	}
	d.tell(ctx, c, req, issued)
	return response(issued), nil
}

// clientFor identifies the client that asks for a grant, which it must have
// registered.
func (d *Dispatcher) clientFor(ctx context.Context, given client.Credentials, grantType string, now time.Time) (client.Client, error) {
	c, err := d.client(ctx, given, now)
	if err == nil && !slices.Contains(c.GrantTypes, grantType) {
		return client.Client{}, oauth.NewError(oauth.CodeUnauthorizedClient, "the client did not register this grant type")
	}
	return c, err
}

// client identifies the client that asks (RFC 6749 §3.2.1). For a public one
// the client_id is all there is, and PKCE or the refresh token is the proof.
func (d *Dispatcher) client(ctx context.Context, given client.Credentials, now time.Time) (client.Client, error) {
	if given.ID == "" {
		return client.Client{}, oauth.NewError(oauth.CodeInvalidRequest, "client_id is missing")
	}
	c, err := d.cfg.Clients.Authenticate(ctx, given, now)
	switch {
	case errors.Is(err, client.ErrUnknown):
		return client.Client{}, oauth.NewError(oauth.CodeInvalidClient,
			"this client_id was not issued by this gateway, or its document cannot be used; register again").WithCause(err)
	case errors.Is(err, client.ErrForbidden):
		return client.Client{}, notLetIn(err)
	case errors.Is(err, client.ErrCredentials):
		return client.Client{}, oauth.NewError(oauth.CodeInvalidClient,
			"the client did not prove that it is the one it says: send the secret or assertion in the way that it registered").WithCause(err)
	}
	return c, err
}

// notLetIn is the answer to a client that an administrator keeps out.
func notLetIn(err error) error {
	return oauth.NewError(oauth.CodeUnauthorizedClient, "this gateway does not let this client in; ask its administrator").WithCause(err)
}

// checkResources refuses a token for somebody else (RFC 8707 §2.2). Missing
// means this gateway: clients of 2025-03-26 do not send it.
func (d *Dispatcher) checkResources(resources []string) error {
	for _, r := range resources {
		if !d.cfg.IsResource(r) {
			return oauth.NewError(oauth.CodeInvalidTarget, "resource is not this gateway")
		}
	}
	return nil
}

// refused turns the store's sentinels into the client's answer and writes down
// what looks like theft.
func (d *Dispatcher) refused(ctx context.Context, c client.Client, req Request, g store.Grant, err error, now time.Time) error {
	if _, ours := errors.AsType[*oauth.Error](err); ours {
		return err
	}
	var description, theft string
	switch {
	case errors.Is(err, store.ErrConsumed):
		description, theft = "it was used before; sign in again", "replay_of_"+req.GrantType
	case errors.Is(err, store.ErrExpired):
		description = "it has expired; sign in again"
	case errors.Is(err, store.ErrRevoked):
		description = "the access was revoked; sign in again"
		// The row about the replay itself may be what failed, and this is when
		// the person is signed out by it.
		if g.RevokedReason == store.ReasonRefreshReplay {
			theft = g.RevokedReason
		}
	case errors.Is(err, store.ErrNotFound):
		description = "it is unknown, or was issued to another client; sign in again"
	default:
		if late, ok := errors.AsType[*account.UnavailableError](err); ok {
			refusal := oauth.NewError(oauth.CodeTemporarilyUnavailable,
				"Microsoft cannot be asked at the moment whether this person may still come in; nothing was revoked, try again later").WithCause(err)
			refusal.RetryAfter = late.RetryAfter
			return refusal
		}
		return err
	}
	if theft != "" {
		row := event(audit.KindGrant, audit.OutcomeDenied, theft, c, g, req.Address, now)
		if err := d.cfg.Audit.Append(ctx, row); err != nil {
			return err
		}
	}
	return oauth.NewError(oauth.CodeInvalidGrant, description).WithCause(err)
}

// tell logs what was issued. A grant is in the audit trail by now (see
// authorizationCode); refreshes are only logged, since they give nothing that
// the grant did not.
func (d *Dispatcher) tell(ctx context.Context, c client.Client, req Request, issued token.Issued) {
	d.cfg.Logger.InfoContext(ctx, "token issued",
		slog.String("grant_type", req.GrantType), slog.String("grant", issued.Grant.ID),
		slog.String("client", c.Fingerprint()), slog.Bool("repeated", issued.Repeated),
		slog.Bool("refresh_token", issued.Refresh != ""), slog.Duration("expires_in", issued.ExpiresIn))
}

func event(kind, outcome, reason string, c client.Client, g store.Grant, address string, now time.Time) store.Event {
	return store.Event{
		Time: now, Kind: kind, Outcome: outcome, Reason: reason,
		Tenant: g.Identity.Tenant, Object: g.Identity.Object, GrantID: g.ID,
		Client: c.Label(), Address: address,
	}
}
