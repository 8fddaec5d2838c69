package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/account"
	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/authserver"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/grant"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/limit"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/gateway/internal/route"
	"mcp-gateway/gateway/internal/session"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/buildinfo"
)

// core is what the gateway and its administration share.
type core struct {
	db     *sqlite.Store
	ring   *keyring.Ring
	trail  *audit.Log
	tokens *token.Service
}

func newCore(cfg *config.Config, ring *keyring.Ring, db *sqlite.Store, logger *slog.Logger) core {
	return core{db: db, ring: ring, trail: audit.New(db, logger), tokens: token.New(token.Config{
		Resource: cfg.PublicURL, AccessLifetime: cfg.Tokens.AccessLifetime, RefreshIdle: cfg.Tokens.RefreshIdle, RefreshGrace: cfg.Tokens.RefreshGrace,
	}, db)}
}

// outside is what a gateway is given besides its configuration: how documents of
// clients are fetched, and what tests serve.
type outside struct {
	fetch *http.Client
	pack  catalog.Pack
}

// gateway is a whole gateway: a handler, what passes on what changes until its
// context ends, and what ends the streams.
type gateway struct {
	handler http.Handler
	routes  []route.Route // what handler serves
	run     func(context.Context)
	// watchLogin warns before nobody can sign in any longer.
	watchLogin func(context.Context)
	endStreams func()
	// awaitStreams ends them too, and returns when they are over or ctx is.
	awaitStreams func(ctx context.Context) error
}

// build wires the parts. It starts nothing and calls nobody.
func build(cfg *config.Config, c core, outside outside, logger *slog.Logger) (gateway, error) {
	db, ring, trail, tokens := c.db, c.ring, c.trail, c.tokens
	policy, err := access.New(rules(cfg.Access), toolScopes(cfg.Scopes)...)
	if err != nil {
		return gateway{}, err
	}
	public, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return gateway{}, fmt.Errorf("public URL: %w", err)
	}
	addresses := limit.Addresses{Trusted: cfg.TrustedProxies}
	login, err := newLogin(cfg, logger)
	if err != nil {
		return gateway{}, err
	}
	clients := client.NewDirectory(client.Config{
		Ring: ring, Store: db, PublicURL: cfg.PublicURL, HTTP: outside.fetch, Logger: logger,
		Registered: registered(cfg.RegisteredClients), Policy: admission(cfg.Clients),
	})
	accounts := account.New(account.Config{
		Interval: cfg.Microsoft.RecheckInterval, Grace: cfg.Microsoft.OutageGrace,
		Login: login, Store: db, Ring: ring, Tokens: tokens, Logger: logger,
	})
	limits := limits(cfg.HTTP, addresses)
	sessions := session.New(session.Config{
		Store: db, TenantOf: login.TenantOf, MaxID: entra.MaxSession, AuthorityOrigin: cfg.Microsoft.AuthorityHost,
		Limit: limits.Authorize, Logger: logger,
	})
	auth, err := authserver.New(authserver.Config{
		PublicURL: cfg.PublicURL, LoginOrigins: loginOrigins(cfg.Microsoft),
		Lifetimes: authserver.Lifetimes{
			Consent: signInTime, Login: signInTime, Code: cfg.Tokens.CodeLifetime,
			Grant: cfg.Tokens.RefreshAbsolute, Unchecked: min(account.Unchecked, cfg.Tokens.RefreshAbsolute), Consented: consentTime,
		},
		Scopes: pageScopes(cfg.Scopes), Introspection: len(cfg.ResourceServers) > 0, DeviceSignIn: cfg.Clients.DeviceSignIn,
		Clients: clients, Login: login, Accounts: accounts, Sessions: sessions, Store: db, Devices: db, Ring: ring, Audit: trail, Address: addresses.Of, Logger: logger,
		Grants: grant.NewDispatcher(grant.Config{
			Issuer: cfg.PublicURL, Scope: authserver.ScopeMCP, ResourceServers: resourceServers(cfg.ResourceServers),
			ClientCredentials: slices.ContainsFunc(cfg.RegisteredClients, config.RegisteredClient.ActsForItself),
			Clients:           clients, Codes: db, Tokens: tokens, Accounts: accounts, Audit: trail, Logger: logger,
			Devices:    devices(cfg, db),
			IsResource: func(r string) bool { return authserver.IsResource(cfg.PublicURL, r) },
		}),
		Limits: limits,
	})
	if err != nil {
		return gateway{}, err
	}
	tools, err := catalog.New(catalog.Config{Policy: policy, Version: buildinfo.Version(), Pack: outside.pack, Logger: logger})
	if err != nil {
		return gateway{}, err
	}
	mcp, err := mcphttp.New(mcphttp.Config{
		Catalog: tools, Policy: policy, Audit: trail, Ring: ring, PublicURL: cfg.PublicURL,
		AllowedHosts: cfg.HTTP.AllowedHosts, AllowedOrigins: cfg.HTTP.AllowedOrigins, MaxBody: cfg.HTTP.MaxBodyBytes,
		CallTimeout: cfg.HTTP.CallTimeout, MaxConcurrentPerPrincipal: cfg.HTTP.MaxConcurrentCalls,
		Revoked: tokens.Watch, Address: addresses.Of, Logger: logger,
	})
	if err != nil {
		return gateway{}, err
	}
	routes := slices.Concat(auth.Routes(), sessions.Routes(), transports(cfg, mcp, tokens, logger), plainRoutes(cfg, public.Host, db))
	mux, err := route.Mux(routes)
	if err != nil {
		return gateway{}, err
	}
	return gateway{
		handler: observe(mux, public.Scheme == "https", addresses, logger), routes: routes,
		run: mcp.Run, watchLogin: login.Watch, endStreams: mcp.EndStreams, awaitStreams: mcp.AwaitStreams,
	}, nil
}

// newLogin is the login with Microsoft. It calls nobody.
func newLogin(cfg *config.Config, logger *slog.Logger) (*entra.Provider, error) {
	m := cfg.Microsoft
	login, err := entra.New(entra.Config{
		Authority: m.AuthorityHost, Tenant: m.TenantID, AllowedTenants: m.AllowedTenants, DenyGuests: m.Guests == "deny",
		ClientID: m.ClientID, ClientSecret: m.ClientSecret, ClientSecretExpires: m.ClientSecretExpires,
		CertificateFile: m.ClientCertificateFile, FederatedTokenFile: m.FederatedTokenFile,
		RedirectURL: cfg.PublicURL + "/callback", Prompt: m.Prompt, Groups: groups(cfg.Access), Graph: m.GraphURL,
		InsecureAllowHTTP: cfg.InsecureDevelopment, Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("microsoft: %w", err)
	}
	return login, nil
}

// CheckLogin reports what serving would find wrong with the files that the gateway
// proves itself to Microsoft with, and else until when that is good. It calls nobody.
func CheckLogin(ctx context.Context, cfg *config.Config) (entra.Expiry, error) {
	login, err := newLogin(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return entra.Expiry{}, err
	}
	return login.Expiry(ctx), nil
}

// signInTime is how long a consent page can be answered, how long the person may
// take at Microsoft, and how long a device waits for them.
const signInTime = 10 * time.Minute

// consentTime is how long a consent is remembered.
const consentTime = 90 * 24 * time.Hour

// personalLogin is where Microsoft signs personal accounts in, whatever authority
// they came to.
const personalLogin = "https://login.live.com"

// loginOrigins are where a browser may be taken by the redirects of a sign-in.
func loginOrigins(m config.Microsoft) []string {
	if m.AllowsPersonal() {
		return []string{m.AuthorityHost, personalLogin}
	}
	return []string{m.AuthorityHost}
}

// rules turns the configuration's access rules into the policy's.
func rules(configured []config.Rule) []access.Rule {
	out := make([]access.Rule, len(configured))
	for i, r := range configured {
		out[i] = access.Rule{Name: r.Name, Tools: r.Tools}
		add := func(kind access.SubjectKind, values []string) {
			for _, v := range values {
				out[i].Subjects = append(out[i].Subjects, access.Subject{Kind: kind, Value: v})
			}
		}
		add(access.KindUser, r.Users)
		add(access.KindGroup, r.Groups)
		add(access.KindRole, r.Roles)
		add(access.KindTenant, r.Tenants)
		add(access.KindClient, r.Clients)
	}
	return out
}

// groups are those that rules name.
func groups(configured []config.Rule) []string {
	var all []string
	for _, r := range configured {
		for _, g := range r.Groups {
			all = append(all, g[strings.LastIndexByte(g, '/')+1:]) // without the tenant
		}
	}
	return all
}

// toolScopes and pageScopes are the configured scopes as the policy and as the
// consent page know them.
func toolScopes(configured []config.Scope) []access.Scope {
	out := make([]access.Scope, len(configured))
	for i, s := range configured {
		out[i] = access.Scope{Name: s.Name, Tools: s.Tools}
	}
	return out
}

func pageScopes(configured []config.Scope) []authserver.Scope {
	out := make([]authserver.Scope, len(configured))
	for i, s := range configured {
		out[i] = authserver.Scope{Name: s.Name, Words: s.Description}
	}
	return out
}

func limits(cfg config.HTTP, addresses limit.Addresses) authserver.Limits {
	wrap := func(r config.Rate) func(http.Handler) http.Handler {
		l := limit.NewLimiter(limit.Config{PerMinute: r.PerMinute, Burst: r.Burst})
		return func(next http.Handler) http.Handler { return l.Wrap(next, addresses.Of) }
	}
	guesses := limit.NewGuesses(limit.Config{PerMinute: cfg.Device.PerMinute, Burst: cfg.Device.Burst}, wrongCodes)
	return authserver.Limits{
		Register: wrap(cfg.Register), Authorize: wrap(cfg.Authorize), Token: wrap(cfg.Token), Device: wrap(cfg.Device),
		Guess: guesses.Allow,
	}
}

// wrongCodes is how many codes of devices all addresses together may get wrong: in
// the signInTime that a code lives, 1,320 of the 25,600,000,000 that there are.
var wrongCodes = limit.Config{PerMinute: 120, Burst: 120}

// devices is the grant of devices, if it is served.
func devices(cfg *config.Config, db *sqlite.Store) grant.Devices {
	if !cfg.Clients.DeviceSignIn {
		return grant.Devices{}
	}
	return grant.Devices{Store: db, VerificationURI: cfg.PublicURL + authserver.DevicePath, Lifetime: signInTime}
}
