package authserver_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/account"
	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/authserver"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/grant"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/route"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/secret"
)

const redirect = "http://127.0.0.1:4711/callback"

// kit is a token endpoint over the real rules and the real store, with faulty
// between them.
type kit struct {
	t        *testing.T
	db       *sqlite.Store
	sql      *sql.DB
	faulty   *faulty
	tokens   *token.Service
	accounts *account.Service
	clientID string
	url      string
	logs     *logs
	// written are the answers as the handler wrote them, also those that
	// nobody was there to hear.
	written chan *httptest.ResponseRecorder
}

// logs are those since the last request began.
type logs struct {
	mu sync.Mutex
	// guards below
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

func newKit(t *testing.T) *kit {
	t.Helper()
	k := &kit{t: t, logs: &logs{}, written: make(chan *httptest.ResponseRecorder, 1)}
	k.openStore()
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := keyring.Create(keys, time.Now()); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Load(keys, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	clients := client.NewDirectory(client.Config{
		Ring: ring, Store: k.db, Policy: client.Policy{Registration: client.AdmitAll},
		Registered: []client.Registered{{
			ID: "ci", Name: "CI", GrantTypes: []string{"client_credentials"}, AuthMethod: oauth.AuthMethodSecretPost, SecretHash: store.HashOf("secret"),
		}},
	})
	info, err := clients.Register(oauth.ClientMetadata{RedirectURIs: []string{redirect}, ClientName: "Test client"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	k.clientID = info.ClientID
	k.faulty = &faulty{db: k.db, clients: clients}
	k.tokens = token.New(token.Config{Resource: "http://localhost", AccessLifetime: 10 * time.Minute, RefreshIdle: time.Hour}, k.faulty)
	k.accounts = account.New(account.Config{
		Interval: time.Hour, Grace: time.Hour, Login: k.faulty, Store: k.faulty, Ring: ring, Tokens: k.tokens,
		Logger: slog.New(slog.NewTextHandler(k.logs, nil)),
	})
	k.serve()
	return k
}

func (k *kit) openStore() {
	k.t.Helper()
	file := filepath.Join(k.t.TempDir(), "gateway.db")
	db, err := sqlite.Open(k.t.Context(), file)
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(k.t.Context()))
	done := make(chan error, 1)
	go func() { done <- db.Run(ctx) }()
	k.db = db
	if k.sql, err = sql.Open("sqlite", file+"?_pragma=busy_timeout(5000)&_query_only=1"); err != nil {
		k.t.Fatal(err)
	}
	t := k.t
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, k.sql.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
}

func (k *kit) serve() {
	k.t.Helper()
	logger := slog.New(slog.NewTextHandler(k.logs, nil))
	free := func(next http.Handler) http.Handler { return next }
	auth, err := authserver.New(authserver.Config{
		PublicURL: "http://localhost", Clients: k.faulty.clients, Logger: logger,
		Grants: grant.NewDispatcher(grant.Config{
			Scope: "mcp", ClientCredentials: true,
			Clients: k.faulty, Codes: k.faulty, Tokens: k.tokens, Accounts: k.accounts, Audit: audit.New(k.faulty, logger), Logger: logger,
			IsResource: func(r string) bool { return authserver.IsResource("http://localhost", r) },
		}),
		Address: func(*http.Request) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) },
		Limits:  authserver.Limits{Register: free, Authorize: free, Token: free},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	mux, err := route.Mux(auth.Routes())
	if err != nil {
		k.t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		k.written <- rec
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	k.t.Cleanup(srv.Close)
	k.url = srv.URL
}

// answer is one of the token endpoint.
type answer struct {
	status     int
	retryAfter string
	// heard: the client was still there.
	heard bool
	oauth.TokenResponse
	oauth.ErrorResponse
}

// send sends a token request, of which an operation fails; op may be empty.
func (k *kit) send(form url.Values, op string, how fault) answer {
	k.t.Helper()
	ctx, hangUp := context.WithCancel(k.t.Context())
	defer hangUp()
	k.logs.reset()
	k.faulty.arm(op, how, hangUp)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.url+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	} else if !errors.Is(err, context.Canceled) {
		k.t.Fatal(err)
	}
	rec := <-k.written
	a := answer{status: rec.Code, retryAfter: rec.Header().Get("Retry-After"), heard: err == nil}
	for _, into := range []any{&a.TokenResponse, &a.ErrorResponse} {
		if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
			k.t.Fatalf("token answer %s: %v", rec.Body, err)
		}
	}
	return a
}

// code stores an authorization code and returns it with the request for it.
func (k *kit) code() (store.Code, url.Values) {
	k.t.Helper()
	code, form := k.newCode()
	if err := k.db.CreateCode(k.t.Context(), code); err != nil {
		k.t.Fatal(err)
	}
	return code, form
}

func (k *kit) newCode() (store.Code, url.Values) {
	value, verifier, now := token.NewCode(), oauth.NewVerifier(), time.Now()
	code := store.Code{
		Hash: store.HashOf(value), RedirectURI: redirect, Challenge: oauth.ChallengeS256(verifier), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
		Grant: store.Grant{
			ID: rand.Text(), ClientID: k.clientID, ClientName: "Test client", Identity: store.Identity{Tenant: "t", Object: "o"},
			Scopes: []string{"mcp", "offline_access"}, Resource: "http://localhost", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		},
	}
	return code, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {k.clientID}, "code": {value},
		"redirect_uri": {redirect}, "code_verifier": {verifier}, "resource": {"http://localhost/mcp"},
	}
}

// redeemed is a family whose code was redeemed some time ago, and comes again.
func (k *kit) redeemed(ago time.Duration) family {
	k.t.Helper()
	code, form := k.code()
	issued, err := k.tokens.Redeem(k.t.Context(), code, true, nil, time.Now().Add(-ago))
	if err != nil {
		k.t.Fatal(err)
	}
	k.verify(issued.Access, time.Now(), nil)
	return family{id: code.Grant.ID, form: form, retry: form, bearer: issued.Access}
}

// refreshable is a family with the request that refreshes it.
func (k *kit) refreshable() (f family, refresh string) {
	k.t.Helper()
	code, _ := k.code()
	return k.refreshing(code)
}

// due is a family whose person Microsoft is to be asked about.
func (k *kit) due(refusal error) family {
	k.t.Helper()
	k.faulty.refusal = refusal
	code, _ := k.newCode()
	before := time.Now().Add(-90 * time.Minute)
	code.Account = k.accounts.Of(entra.SignIn{Identity: code.Grant.Identity, Refresh: secret.New("of Microsoft")}, before)
	if err := k.db.CreateCode(k.t.Context(), code); err != nil {
		k.t.Fatal(err)
	}
	f, _ := k.refreshing(code)
	return f
}

func (k *kit) refreshing(code store.Code) (f family, refresh string) {
	k.t.Helper()
	issued, err := k.tokens.Redeem(k.t.Context(), code, true, nil, time.Now())
	if err != nil {
		k.t.Fatal(err)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {k.clientID}, "refresh_token": {issued.Refresh}}
	return family{id: code.Grant.ID, form: form, retry: form, bearer: issued.Access}, issued.Refresh
}

// reusable is a family whose first refresh token would be a replay: there is no
// grace, so the first use of the successor ended it.
func (k *kit) reusable() (f family, newest string) {
	k.t.Helper()
	f, first := k.refreshable()
	second := k.rotate(first)
	f.bearer = second.Access
	k.verify(f.bearer, time.Now(), nil)
	return f, second.Refresh
}

func (k *kit) rotate(refresh string) token.Issued {
	k.t.Helper()
	issued, err := k.tokens.Refresh(k.t.Context(), refresh, k.clientID, time.Now())
	if err != nil {
		k.t.Fatal(err)
	}
	return issued
}

func (k *kit) verify(bearer string, now time.Time, want error) {
	k.t.Helper()
	if _, err := k.tokens.Verify(k.t.Context(), bearer, now); !errors.Is(err, want) {
		k.t.Errorf("a bearer gets %v, want %v", err, want)
	}
}

// fingerprint is all that a request may change for a grant.
func (k *kit) fingerprint(grantID string) string {
	k.t.Helper()
	var text string
	err := k.sql.QueryRowContext(k.t.Context(), `SELECT
		(SELECT 'used ' || coalesce(used_at, 0) || ', wrong ' || failures FROM codes WHERE grant_id = ?1) || ', grants ' ||
		(SELECT coalesce(group_concat(id || revoked_reason), '') FROM grants WHERE id = ?1) || ', access ' ||
		(SELECT count(*) FROM access_tokens WHERE grant_id = ?1) || ', refresh ' ||
		(SELECT count(*) FROM refresh_tokens WHERE grant_id = ?1)`, grantID).Scan(&text)
	if err != nil {
		k.t.Fatal(err)
	}
	return text
}

func (k *kit) lastEvent() int64 {
	k.t.Helper()
	var id int64
	if err := k.sql.QueryRowContext(k.t.Context(), `SELECT coalesce(max(id), 0) FROM events`).Scan(&id); err != nil {
		k.t.Fatal(err)
	}
	return id
}

// trail lists the rows since one.
func (k *kit) trail(grantID string, since int64) []string {
	k.t.Helper()
	events, err := k.db.Events(k.t.Context(), since, 100)
	if err != nil {
		k.t.Fatal(err)
	}
	var rows []string
	for _, e := range events {
		if e.Kind == audit.KindRevoke && e.Tenant == "t" && e.Object == "o" {
			rows = append(rows, e.Outcome+" "+e.Reason) // of the person, and not of a client
			continue
		}
		if e.Kind != audit.KindGrant || e.GrantID != grantID || e.Object != "o" || e.Tenant != "t" || e.Address != "127.0.0.1" || !strings.HasPrefix(e.Client, "Test client (") {
			k.t.Errorf("event %+v lacks something", e)
		}
		rows = append(rows, e.Outcome+" "+e.Reason)
	}
	return rows
}
