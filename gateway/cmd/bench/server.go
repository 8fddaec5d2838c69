package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/oauth"
)

const (
	gateway = "mcp-gateway"
	netHTTP = "net/http"
	// tokenCallers exchange codes and refresh tokens at the same time.
	tokenCallers = 16
	publicURL    = "http://localhost:1"
	redirectURI  = "http://127.0.0.1/callback"
)

// callers are how many call at the same time; the last is the most.
var callers = []int{1, 16, 64}

// by names a server in a mode, or doing something, with n callers.
func by(server, mode string, n int) string {
	callers := "1 caller"
	if n > 1 {
		callers = strconv.Itoa(n) + " callers"
	}
	return server + " " + mode + ", " + callers
}

// serverSource measures one gateway, and the servers beside it, in one round.
func serverSource(program, folder string, o options) source {
	return source{area: areaServer, name: areaServer, measure: func(ctx context.Context) (_ []measured, err error) {
		home, err := newHome(ctx, folder, o.requests)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(home.dir)) }()
		g, took, err := startGateway(ctx, program, home.dir, home.address)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, g.stop()) }()
		own := sample{unitStart: float64(took), unitIdle: g.memory()}
		all, err := measureCalls(ctx, g, home.bearers, o.window)
		if err != nil {
			return nil, err
		}
		tokens, err := home.measureTokens(ctx, g, o.window)
		own[unitMemory] = g.memory()
		return append(append(all, tokens...), measured{name: gateway, sample: own}), err
	}}
}

// measureCalls calls every server in every mode, and as many callers at a time.
func measureCalls(ctx context.Context, g *process, bearers []string, window time.Duration) (all []measured, err error) {
	yardstick, err := startPeer(ctx, peerEcho)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, yardstick.stop()) }()
	library, err := startPeer(ctx, peerMCPGo)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, library.stop()) }()
	for _, n := range callers {
		for _, one := range []struct {
			name string
			*process
			mode
		}{
			{netHTTP, yardstick, modeEcho},
			{peerMCPGo, library, modeModern}, {gateway, g, modeModern},
			{peerMCPGo, library, modeSession}, {gateway, g, modeSession},
			{peerMCPGo, library, modeSSE}, {gateway, g, modeSSE},
		} {
			name := by(one.name, one.mode.name, n)
			got, err := load(ctx, one.process, one.mode, bearers[:n], window)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, measured{name: name, sample: got, baseline: by(netHTTP, modeEcho.name, n)})
		}
	}
	return all, nil
}

// home is a gateway's state folder, and what sign-ins would have left in it: who is
// signed in, and codes that wait to be redeemed.
type home struct {
	dir, address string
	verifier     string
	bearers      []string
	codes        []string
}

func newHome(ctx context.Context, folder string, codes int) (*home, error) {
	dir, err := os.MkdirTemp(folder, "gateway-")
	if err != nil {
		return nil, err
	}
	// The port is free now, and nobody else asks for one on loopback meanwhile.
	free, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &home{dir: dir, address: free.Addr().String(), verifier: oauth.NewVerifier()}
	// Everything is on, as delivered, but for the limit of one address: all
	// callers have one here.
	text := fmt.Sprintf("public_url: %s\nlisten: %s\nstate_dir: %q\naccess: [{name: everybody, tenants: ['*'], tools: ['*']}]\n"+
		"microsoft: {client_id: 22222222-2222-2222-2222-222222222222, tenant_id: 11111111-1111-1111-1111-111111111111}\n"+
		"registered_clients: [{id: bench, name: Bench, auth_method: none, redirect_uris: ['%s']}]\n"+
		"http: {rates: {token: {per_minute: 100000, burst: 100000}}}\n", publicURL, h.address, dir, redirectURI)
	return h, errors.Join(free.Close(), os.WriteFile(filepath.Join(dir, "gateway.yaml"), []byte(text), 0o600),
		keyring.Create(filepath.Join(dir, "keys.json"), time.Now()), h.signIn(ctx, codes+tokenCallers))
}

// signIn puts people with access tokens, and codes of them, into the database.
func (h *home) signIn(ctx context.Context, codes int) (err error) {
	db, err := sqlite.Open(ctx, filepath.Join(h.dir, "gateway.db"))
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- db.Run(running) }()
	defer func() { stop(); err = errors.Join(err, <-ran, db.Close()) }()
	for i := range callers[len(callers)-1] {
		code, bearer := "mcpac_"+oauth.NewVerifier(), "mcpat_"+oauth.NewVerifier()
		now := time.Now()
		access := store.AccessToken{Hash: store.HashOf(bearer), Scopes: []string{"mcp"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
		err := db.CreateCode(ctx, h.code(code, i, now))
		if _, redeemErr := db.RedeemCode(ctx, store.Redemption{Code: store.HashOf(code), Access: access}, now); errors.Join(err, redeemErr) != nil {
			return errors.Join(err, redeemErr)
		}
		h.bearers = append(h.bearers, bearer)
	}
	for i := range codes {
		code := "mcpac_" + oauth.NewVerifier()
		if err := db.CreateCode(ctx, h.code(code, i, time.Now())); err != nil {
			return err
		}
		h.codes = append(h.codes, code)
	}
	return nil
}

// code is one for a person.
func (h *home) code(value string, person int, now time.Time) store.Code {
	hash := store.HashOf(value)
	return store.Code{
		Hash: hash, RedirectURI: redirectURI, Challenge: oauth.ChallengeS256(h.verifier), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		Grant: store.Grant{
			ID: fmt.Sprintf("%x", hash[:16]), ClientID: "bench", ClientName: "Bench", Resource: publicURL,
			Identity: store.Identity{Tenant: "11111111-1111-1111-1111-111111111111", Object: fmt.Sprintf("33333333-3333-3333-3333-%012d", person)},
			Scopes:   []string{"mcp", "offline_access"}, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
		},
	}
}

// measureTokens redeems the codes, and then refreshes: each caller the tokens of
// its own grant.
func (h *home) measureTokens(ctx context.Context, g *process, window time.Duration) (all []measured, err error) {
	var conns []*conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range tokenCallers {
		c, err := dial(ctx, g.address)
		if err != nil {
			return nil, err
		}
		c.headers = "Content-Type: application/x-www-form-urlencoded\r\n"
		conns = append(conns, c)
	}
	var next atomic.Int64
	redeeming, refreshing := make([]caller, tokenCallers), make([]caller, tokenCallers)
	for i, c := range conns {
		var held oauth.TokenResponse
		redeem := func() (err error) {
			n := next.Add(1) - 1
			if n >= int64(len(h.codes)) {
				return io.EOF
			}
			held, err = askToken(c, url.Values{
				"grant_type": {"authorization_code"}, "code": {h.codes[n]}, "code_verifier": {h.verifier}, "redirect_uri": {redirectURI},
			})
			return err
		}
		if err := redeem(); err != nil {
			return nil, err
		}
		redeeming[i].call, refreshing[i].call = redeem, func() (err error) {
			held, err = askToken(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held.RefreshToken}})
			return err
		}
	}
	for _, one := range []struct {
		name    string
		callers []caller
		window  time.Duration
	}{{exchange, redeeming, patience}, {refresh, refreshing, window}} {
		got, err := drive(ctx, g, one.callers, one.window)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.name, err)
		}
		all = append(all, measured{name: by(gateway, one.name, tokenCallers), sample: got, baseline: by(netHTTP, modeEcho.name, tokenCallers)})
	}
	return all, nil
}

func askToken(c *conn, form url.Values) (answer oauth.TokenResponse, err error) {
	form.Set("client_id", "bench")
	form.Set("resource", publicURL+"/mcp")
	body, err := c.post("/token", form.Encode(), http.StatusOK)
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	return answer, err
}
