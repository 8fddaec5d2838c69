package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/bridge/internal/lab"
	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/shared/secret"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, change := range map[string]func(*oauth.Config){
		"no server":           func(c *oauth.Config) { c.Server = "" },
		"http":                func(c *oauth.Config) { c.Server = "http://mcp.example/mcp" },
		"another scheme":      func(c *oauth.Config) { c.Server = "ftp://mcp.example/mcp" },
		"user in the URL":     func(c *oauth.Config) { c.Server = "https://me:pw@mcp.example/mcp" },
		"fragment":            func(c *oauth.Config) { c.Server = "https://mcp.example/mcp#x" },
		"no store":            func(c *oauth.Config) { c.Store = nil },
		"no folder":           func(c *oauth.Config) { c.Dir = "" },
		"no browser":          func(c *oauth.Config) { c.Open = nil },
		"secret without id":   func(c *oauth.Config) { c.ClientSecret = secret.New("the secret") },
		"relative resource":   func(c *oauth.Config) { c.Resource = "mcp" },
		"resource fragment":   func(c *oauth.Config) { c.Resource = "https://mcp.example/#x" },
		"document over http":  func(c *oauth.Config) { c.ClientMetadataURL = "http://bridge.example/c" },
		"document at a root":  func(c *oauth.Config) { c.ClientMetadataURL = "https://bridge.example/" },
		"document without it": func(c *oauth.Config) { c.ClientMetadataURL = "::" },
	} {
		cfg := oauth.Config{Server: "https://mcp.example/mcp", Store: r.store(), Dir: r.dir, Open: r.show}
		change(&cfg)
		if _, err := oauth.New(cfg); r.seen(err) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	cfg := oauth.Config{Server: "http://mcp.example/mcp", Store: r.store(), Dir: r.dir, Open: r.show, AllowHTTP: true}
	if _, err := oauth.New(cfg); err != nil {
		t.Errorf("http that is allowed: %v", err)
	}
}

// TestRefreshOnceAmongProcesses: forty requests in two processes find a token
// about to end, and nobody is signed out.
func TestRefreshOnceAmongProcesses(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]time.Duration{"about to end": 30 * time.Second, "ended": -time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.signedIn()
			r.age(left)
			a, b := r.process(), r.process()
			var all sync.WaitGroup
			for range 20 {
				for _, c := range []*oauth.Client{a, b} {
					all.Go(func() {
						token, err := c.Token(t.Context())
						if err != nil || token == "" {
							t.Errorf("token: %v", err)
						}
					})
				}
			}
			all.Wait()
			r.good(r.token(a))
			r.good(r.token(b))
			if n := r.as.Counts(); n.Refreshes != 1 || n.Authorizations != 1 {
				t.Errorf("counts %+v", n)
			}
		})
	}
}

func TestRejectedRefreshesOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.signedIn()
	b := r.process()
	used := r.token(a)
	if r.token(b) != used {
		t.Fatal("two tokens")
	}
	r.as.ExpireAccess()
	var all sync.WaitGroup
	for range 20 {
		for _, c := range []*oauth.Client{a, b} {
			all.Go(func() {
				if err := r.rejected(c, used); err != nil {
					t.Errorf("rejected: %v", err)
				}
			})
		}
	}
	all.Wait()
	r.good(r.token(a))
	r.good(r.token(b))
	if n := r.as.Counts(); n.Refreshes != 1 {
		t.Errorf("counts %+v", n)
	}
}

func TestRejectedOtherwise(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.signedIn()
	for _, status := range []int{200, 400, 403, 404, 429, 500} {
		if err := c.Rejected(t.Context(), r.token(c), status, http.Header{}); err == nil || errors.Is(err, oauth.ErrSignIn) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	// A header that cannot be read is no challenge, and no obstacle.
	if err := c.Rejected(t.Context(), "older", http.StatusUnauthorized, http.Header{"Www-Authenticate": {`Bearer "`}}); err != nil {
		t.Error(err)
	}
	if n := r.as.Counts(); n.Refreshes != 0 {
		t.Errorf("counts %+v", n)
	}
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.signedIn()
	other := r.process()
	used := r.token(other)
	r.as.Revoke()
	if err := r.rejected(c, used); !errors.Is(err, oauth.ErrSignIn) {
		t.Fatalf("got %v", err)
	}
	if err := r.rejected(other, used); !errors.Is(err, oauth.ErrSignIn) {
		t.Fatalf("the other process: %v", err)
	}
	rec := r.stored()
	if rec.AccessToken != "" || rec.RefreshToken != "" || rec.ClientID == "" {
		t.Error("want the registration kept and the tokens gone")
	}
	if r.token(c) != "" {
		t.Error("a token after all")
	}
	if err := c.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The other process finds the new sign-in.
	if err := r.rejected(other, used); err != nil {
		t.Error(err)
	}
	r.good(r.token(other))
	if n := r.as.Counts(); n.Registrations != 1 || n.Authorizations != 2 || n.Refreshes != 1 {
		t.Errorf("counts %+v", n)
	}
}

func TestServerInTrouble(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	for name, knobs := range map[string]func(*lab.Knobs){
		"502":         func(k *lab.Knobs) { k.FailToken = http.StatusBadGateway },
		"429":         func(k *lab.Knobs) { k.FailToken, k.FailTokenCode = http.StatusTooManyRequests, "invalid_grant" },
		"404":         func(k *lab.Knobs) { k.FailToken = http.StatusNotFound },
		"unavailable": func(k *lab.Knobs) { k.FailToken, k.FailTokenCode = 400, "temporarily_unavailable" },
		"nonsense": func(k *lab.Knobs) {
			k.KeepRefresh, k.Token = true, func(doc map[string]any) { doc["token_type"] = "mac" }
		},
	} {
		r.as.Set(func(k *lab.Knobs) { *k = lab.Knobs{}; knobs(k) })
		r.age(30 * time.Second)
		if token := r.token(r.process()); token != r.stored().AccessToken {
			t.Errorf("%s: the living token is not used", name)
		}
		r.age(-time.Second)
		c := r.process()
		if token, err := c.Token(t.Context()); token != "" || r.seen(err) == nil || errors.Is(err, oauth.ErrSignIn) {
			t.Errorf("%s: %q, %v", name, token, err)
		}
		if err := r.rejected(c, r.stored().AccessToken); err == nil || errors.Is(err, oauth.ErrSignIn) {
			t.Errorf("%s: rejected: %v", name, err)
		}
	}
	r.as.Set(func(k *lab.Knobs) { *k = lab.Knobs{} })
	r.good(r.token(r.process()))
	if n := r.as.Counts().Authorizations; n != 1 {
		t.Errorf("%d authorizations", n)
	}
}

// TestTroubleIsNotRepeated: while the token lives, a failed renewal is not tried
// with every request.
func TestTroubleIsNotRepeated(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	r.age(30 * time.Second)
	r.as.Set(func(k *lab.Knobs) { k.FailToken = http.StatusBadGateway })
	c := r.process()
	for range 5 {
		_ = r.token(c)
	}
	if n := strings.Count(r.logs.String(), "not renewed yet"); n != 1 {
		t.Errorf("%d tries", n)
	}
}

func TestRefusedRefresh(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct{ signIn, kept bool }{
		"invalid_grant":       {true, false},
		"invalid_client":      {true, false},
		"unauthorized_client": {true, false},
		"invalid_scope":       {true, true},
	} {
		r := newRig(t)
		r.signedIn()
		r.age(-time.Second)
		r.as.Set(func(k *lab.Knobs) {
			k.FailToken, k.FailTokenCode, k.FailTokenDescription = 400, code, "you sent"
		})
		_, err := r.process().Token(t.Context())
		if errors.Is(r.seen(err), oauth.ErrSignIn) != want.signIn || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v", code, err)
		}
		if kept := r.stored().RefreshToken != ""; kept != want.kept {
			t.Errorf("%s: tokens kept: %t", code, kept)
		}
	}
	// A client registered beforehand is not replaced, and signing in would not help.
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.Clients = map[string]string{"pre": "the secret"} })
	pre := func(c *oauth.Config) { c.ClientID, c.ClientSecret = "pre", secret.New("the secret") }
	r.signedIn(pre)
	r.age(-time.Second)
	r.as.Set(func(k *lab.Knobs) { k.Clients = map[string]string{"pre": "changed"} })
	_, err := r.process(pre).Token(t.Context())
	if r.seen(err) == nil || errors.Is(err, oauth.ErrSignIn) || !strings.Contains(err.Error(), "--client-id") || r.stored().RefreshToken == "" {
		t.Errorf("registered beforehand: %v", err)
	}
}

func TestTokenWithoutRefresh(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.NoRefresh = true })
	r.signedIn()
	r.age(30 * time.Second)
	r.good(r.token(r.process()))
	r.age(-time.Second)
	if _, err := r.process().Token(t.Context()); !errors.Is(err, oauth.ErrSignIn) {
		t.Errorf("ended: %v", err)
	}
}

func TestTokenWithoutEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.TokenLifetime, k.KeepRefresh = -1, true })
	c := r.signedIn()
	used := r.token(c)
	if !r.stored().ExpiresAt.IsZero() || r.token(r.process()) != used {
		t.Error("want no end, and the token used until it is refused")
	}
	refresh := r.stored().RefreshToken
	r.as.ExpireAccess()
	if err := r.rejected(c, used); err != nil {
		t.Fatal(err)
	}
	r.good(r.token(c))
	if r.stored().RefreshToken != refresh {
		t.Error("a refresh token that was not replaced must stay")
	}
}

// TestRenewedThoughCallerLeft: the caller goes away while the server rotates, and
// the new refresh token is kept all the same.
func TestRenewedThoughCallerLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	r.age(-time.Second)
	before := r.stored().RefreshToken
	ctx, cancel := context.WithCancel(t.Context())
	r.as.Set(func(k *lab.Knobs) { k.Token = func(map[string]any) { cancel() } })
	if _, err := r.process().Token(ctx); err != nil {
		t.Error(err)
	}
	if r.stored().RefreshToken == before {
		t.Fatal("the new refresh token is lost")
	}
	r.good(r.token(r.process()))
}

// TestRenewedButNotSaved: a store that fails at the worst moment costs nobody
// their sign-in.
func TestRenewedButNotSaved(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("left out: a store that refuses to save (Windows has no such file modes)")
	}
	r := newRig(t)
	r.signedIn()
	r.age(-time.Second)
	c := r.process()
	r.as.Set(func(k *lab.Knobs) {
		k.Token = func(map[string]any) { _ = os.Chmod(r.dir, 0o777) } // the store refuses such a folder
	})
	if _, err := c.Token(t.Context()); r.seen(err) == nil || errors.Is(err, oauth.ErrSignIn) || !strings.Contains(err.Error(), "chmod 700") {
		t.Fatalf("got %v", err)
	}
	if err := os.Chmod(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.good(r.token(c))
	r.good(r.token(r.process()))
	if n := r.as.Counts().Refreshes; n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

func TestLockIsBoundedByContext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	r.age(-time.Second)
	unlock, err := r.store().Lock(t.Context(), r.key())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.process().Token(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, oauth.ErrSignIn) {
		t.Errorf("got %v", err)
	}
}

// signOuts are the ways to end a sign-in.
var signOuts = map[string]struct {
	knobs       func(*lab.Knobs)
	forget      bool
	revoked     bool
	failed      bool
	revocations int
}{
	"kept":          {revoked: true, revocations: 1},
	"forgotten":     {forget: true, revoked: true, revocations: 1},
	"access token":  {knobs: func(k *lab.Knobs) { k.NoRefresh = true }, revoked: true, revocations: 1},
	"no revocation": {knobs: func(k *lab.Knobs) { k.Metadata = func(doc map[string]any) { delete(doc, "revocation_endpoint") } }},
	"server down":   {failed: true},
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	for name, tt := range signOuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if tt.knobs != nil {
				r.as.Set(tt.knobs)
			}
			c := r.signedIn()
			if tt.failed {
				r.as.Set(func(k *lab.Knobs) { k.FailToken = http.StatusBadGateway })
			}
			used := r.token(c)
			revoked, err := c.SignOut(t.Context(), tt.forget)
			if revoked != tt.revoked || (r.seen(err) != nil) != tt.failed {
				t.Errorf("revoked %t, %v", revoked, err)
			}
			if err != nil && !strings.Contains(err.Error(), "signed out here") {
				t.Errorf("does not say what holds: %v", err)
			}
			rec := r.stored()
			if rec.AccessToken != "" || rec.RefreshToken != "" || (rec.ClientID != "") == tt.forget {
				t.Error("want the tokens gone, and the client only if it is to be forgotten")
			}
			if n := r.as.Counts().Revocations; n != tt.revocations || r.token(c) != "" {
				t.Errorf("%d revocations", n)
			}
			if tt.revoked && r.get(used).StatusCode != http.StatusUnauthorized {
				t.Error("the token still works")
			}
			if s, err := c.Status(t.Context()); err != nil || s.SignedIn {
				t.Errorf("status %+v, %v", s, err)
			}
		})
	}
}

func TestNothingStored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.process()
	if revoked, err := c.SignOut(t.Context(), false); revoked || err != nil {
		t.Errorf("sign out: %t, %v", revoked, err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.SignedIn || s.Server != r.as.Server() {
		t.Errorf("status %+v, %v", s, err)
	}
	if err := r.store().Save(t.Context(), keychain.Key{Server: r.as.Server(), Account: "other"}, keychain.Record{AccessToken: "x"}); err != nil {
		t.Fatal(err)
	}
	if r.token(c) != "" {
		t.Error("the token of another account")
	}
}

// TestRefreshWithoutResource: a server may begin to refuse the parameter later.
func TestRefreshWithoutResource(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	r.as.Set(func(k *lab.Knobs) { k.NoResource = "token" })
	r.age(-time.Second)
	r.good(r.token(r.process()))
	if r.stored().Resource != oauth.NoResource || r.as.LastToken().Has("resource") {
		t.Errorf("resource %q", r.stored().Resource)
	}
}

// TestShortLife: a token that lives less than the usual margin is used for most of
// its life all the same.
func TestShortLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.TokenLifetime = 50 * time.Second })
	used := r.token(r.signedIn())
	if r.token(r.process()) != used || r.as.Counts().Refreshes != 0 {
		t.Error("renewed as soon as it came")
	}
}

// roundTrip is a transport of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestRefreshTokenReplacedByStranger: a program without our lock has renewed the
// sign-in between our look at the store and our request.
func TestRefreshTokenReplacedByStranger(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	r.age(-time.Second)
	renewed := r.stored()
	old := renewed
	old.RefreshToken = "used up"
	if err := r.store().Save(t.Context(), r.key(), old); err != nil {
		t.Fatal(err)
	}
	store := r.store()
	c := r.process(func(c *oauth.Config) {
		c.HTTP = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			if err := store.Save(req.Context(), r.key(), renewed); err != nil {
				return nil, err
			}
			return http.DefaultTransport.RoundTrip(req)
		})}
	})
	r.good(r.token(c))
	if n := r.as.Counts().Refreshes; n != 2 {
		t.Errorf("%d refreshes", n)
	}
}

func BenchmarkToken(b *testing.B) {
	store, err := keychain.Open(keychain.Options{Kind: keychain.KindMemory})
	if err != nil {
		b.Fatal(err)
	}
	const server = "https://mcp.example/mcp"
	err = store.Save(b.Context(), keychain.Key{Server: server}, keychain.Record{
		AccessToken: "x", UpdatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	if err != nil {
		b.Fatal(err)
	}
	c, err := oauth.New(oauth.Config{
		Server: server, Store: store, Dir: b.TempDir(), Open: func(context.Context, oauth.Prompt) error { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if token, err := c.Token(b.Context()); token != "x" || err != nil {
			b.Fatal(err)
		}
	}
}
