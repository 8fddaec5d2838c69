package entra_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"mcp-gateway/shared/entrasim"
)

// dex has a connector for Microsoft that we did not write: it signs people in with
// the access token alone, and asks Microsoft Graph who they are. What it expects
// of Microsoft and the simulator does not do shows.

const (
	// dexClient is an application whose people sign in through dex.
	dexClient, dexSecret = "behind-dex", "canary-behind-dex"
	behindDex            = "http://127.0.0.1:9/callback"
)

// dexWorld is a simulator, and dex before it.
type dexWorld struct {
	t   *testing.T
	sim *entrasim.Sim
	// brief has access tokens of Microsoft's end at once.
	brief  atomic.Bool
	issuer string
	client *oauth2.Config
	// browser keeps cookies and goes nowhere by itself.
	browser *http.Client
}

func newDexWorld(t *testing.T) *dexWorld {
	t.Helper()
	program, err := filepath.Abs(fromRoot("bin/tools/dex"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("left out: dex (run GOWORK=off CGO_ENABLED=0 go -C testdata/dex build -o ../../bin/tools/ tool)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String() // which dex takes over
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w := &dexWorld{t: t, issuer: "http://" + address + "/dex"}
	if w.sim, err = entrasim.New(entrasim.Demo(entrasim.DemoClientID, clientSecret, w.issuer+"/callback")); err != nil {
		t.Fatal(err)
	}
	microsoft := httptest.NewServer(http.HandlerFunc(w.shorten))
	t.Cleanup(microsoft.Close)
	w.start(program, address, microsoft.URL)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.client = &oauth2.Config{
		ClientID: dexClient, ClientSecret: dexSecret, RedirectURL: behindDex,
		Scopes:   []string{oidc.ScopeOpenID, "profile", "email", "groups", oidc.ScopeOfflineAccess},
		Endpoint: oauth2.Endpoint{AuthURL: w.issuer + "/auth", TokenURL: w.issuer + "/token"},
	}
	return w
}

var lifetime = regexp.MustCompile(`"expires_in":\d+`)

// shorten is the simulator, whose access tokens end at once if w is brief.
func (w *dexWorld) shorten(rw http.ResponseWriter, r *http.Request) {
	if !w.brief.Load() || !strings.HasSuffix(r.URL.Path, "/token") {
		w.sim.Handler().ServeHTTP(rw, r)
		return
	}
	rec := httptest.NewRecorder()
	w.sim.Handler().ServeHTTP(rec, r)
	rw.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
	rw.WriteHeader(rec.Code)
	_, _ = rw.Write(lifetime.ReplaceAll(rec.Body.Bytes(), []byte(`"expires_in":1`)))
}

// start runs dex until the test ends, and returns when it answers.
func (w *dexWorld) start(program, address, microsoft string) {
	w.t.Helper()
	config, err := json.Marshal(map[string]any{
		"issuer": w.issuer, "storage": map[string]any{"type": "memory"}, "web": map[string]any{"http": address},
		"oauth2":        map[string]any{"skipApprovalScreen": true},
		"staticClients": []any{map[string]any{"id": dexClient, "secret": dexSecret, "name": "Behind dex", "redirectURIs": []string{behindDex}}},
		"connectors": []any{map[string]any{"type": "microsoft", "id": "microsoft", "name": "Microsoft", "config": map[string]any{
			"clientID": entrasim.DemoClientID, "clientSecret": clientSecret, "redirectURI": w.issuer + "/callback", "tenant": entrasim.DemoTenant,
			"apiURL": microsoft, "graphURL": microsoft, "groupNameFormat": "id",
		}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "dex.json") // JSON is YAML
	if err := os.WriteFile(file, config, 0o600); err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	cmd := exec.CommandContext(ctx, program, "serve", file)
	cmd.Stdout, cmd.Stderr = w.t.Output(), w.t.Output()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	w.t.Cleanup(func() { stop(); <-ended })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		select {
		case <-ended:
			w.t.Fatal("dex has ended")
		case <-tick.C:
		}
		// It listens before it has made its keys.
		if resp, err := http.Get(w.issuer + "/keys"); err == nil {
			if _ = resp.Body.Close(); resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	w.t.Fatal("dex does not answer")
}

// page is where redirects end: on a page, or at the application (then body is empty).
type page struct {
	address string
	status  int
	body    string
}

func (w *dexWorld) follow(address string) page {
	w.t.Helper()
	for range 10 {
		if strings.HasPrefix(address, behindDex) {
			return page{address: address}
		}
		resp, err := w.browser.Get(address)
		if err != nil {
			w.t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		next, err := resp.Location()
		if err != nil {
			return page{address, resp.StatusCode, body.String()}
		}
		address = next.String()
	}
	w.t.Fatal("more than ten redirects")
	return page{}
}

// signIn goes from the application to where dex's answer about somebody leads.
func (w *dexWorld) signIn(who string) page {
	w.t.Helper()
	microsoft := w.follow(w.client.AuthCodeURL("state", oidc.Nonce(nonce)))
	if microsoft.status != http.StatusOK || !strings.Contains(microsoft.body, "Who are you today?") {
		w.t.Fatalf("not at Microsoft: %+v", microsoft)
	}
	callback, err := entrasim.SignIn(w.t.Context(), w.browser, microsoft.address, who)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.follow(callback)
}

// dexClaims are what the application is told.
type dexClaims struct {
	Name, Email string
	Groups      []string
}

// login signs somebody in, who must get in.
func (w *dexWorld) login(who string) (*oauth2.Token, dexClaims) {
	w.t.Helper()
	back := w.signIn(who)
	u, err := url.Parse(back.address)
	if err != nil || u.Query().Get("code") == "" || u.Query().Get("state") != "state" {
		w.t.Fatalf("dex answers %+v, %v", back, err)
	}
	token, err := w.client.Exchange(w.t.Context(), u.Query().Get("code"))
	if err != nil {
		w.t.Fatal(err)
	}
	return token, w.claims(token)
}

// renew has dex ask Microsoft again.
func (w *dexWorld) renew(token *oauth2.Token) (*oauth2.Token, error) {
	return w.client.TokenSource(w.t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
}

func (w *dexWorld) claims(token *oauth2.Token) (claims dexClaims) {
	w.t.Helper()
	provider, err := oidc.NewProvider(w.t.Context(), w.issuer)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: dexClient}).Verify(w.t.Context(), raw)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := id.Claims(&claims); err != nil {
		w.t.Fatal(err)
	}
	return claims
}

func (w *dexWorld) wantNoViolations() {
	w.t.Helper()
	if v := w.sim.Violations(); len(v) > 0 {
		w.t.Errorf("dex was refused what it does: %v", v)
	}
}

func TestDexSignsPeopleIn(t *testing.T) {
	t.Parallel()
	w := newDexWorld(t)
	for who, want := range map[string]dexClaims{
		entrasim.Ada:  {Name: "Ada Admin", Email: entrasim.Ada, Groups: []string{entrasim.GroupEngineering, entrasim.GroupOperations}},
		entrasim.Nora: {Name: "Nora Norole", Email: entrasim.Nora},
	} {
		if _, got := w.login(who); got.Name != want.Name || got.Email != want.Email || !slices.Equal(got.Groups, want.Groups) {
			t.Errorf("%s: got %+v, want %+v", who, got, want)
		}
	}
	if _, got := w.login(entrasim.Olga); len(got.Groups) != 250 {
		t.Errorf("Olga is in %d groups, want 250", len(got.Groups))
	}
	w.wantNoViolations()
}

// TestDexRenews with Microsoft's refresh token, and without a scope, as x/oauth2
// does it.
func TestDexRenews(t *testing.T) {
	t.Parallel()
	w := newDexWorld(t)
	w.brief.Store(true)
	token, _ := w.login(entrasim.Max)
	before := len(w.sim.RefreshTokens())
	for range 2 {
		next, err := w.renew(token)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.claims(next); got.Name != "Max Member" || !slices.Equal(got.Groups, []string{entrasim.GroupEngineering}) {
			t.Errorf("renewed: %+v", got)
		}
		token = next
	}
	if after := len(w.sim.RefreshTokens()); after <= before {
		t.Errorf("Microsoft gave %d refresh tokens before the renewals, and %d in all", before, after)
	}
	w.wantNoViolations()
}

// TestDexHearsNo from Microsoft, at a sign-in and later.
func TestDexHearsNo(t *testing.T) {
	t.Parallel()
	w := newDexWorld(t)
	for name, who := range map[string]string{"who cancels": entrasim.Cancel, "who is of another tenant": entrasim.Mallory} {
		if got := w.signIn(who); got.status < http.StatusBadRequest || !strings.HasPrefix(got.address, w.issuer) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, plan := range map[string]func(){
		"its secret is wrong": func() {
			w.sim.FailToken(entrasim.Outcome{AADSTS: 7000215})
			w.sim.FailToken(entrasim.Outcome{AADSTS: 7000215})
		},
		"Graph says no":              func() { w.sim.FailGraph(entrasim.Outcome{Status: 403, Error: "Authorization_RequestDenied"}) },
		"Graph knows the token not":  func() { w.sim.FailGraph(entrasim.Outcome{Status: 401, Error: "InvalidAuthenticationToken"}) },
		"there are too many who ask": func() { w.sim.FailGraph(entrasim.Outcome{Fault: entrasim.Throttled}) },
	} {
		plan()
		if got := w.signIn(entrasim.Ada); got.status < http.StatusBadRequest || !strings.HasPrefix(got.address, w.issuer) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	w.brief.Store(true)
	for _, tt := range []struct {
		name string
		end  func() error
	}{
		{"whose sessions were revoked", func() error { return w.sim.RevokeSessions(entrasim.Max) }},
		{"who is disabled", func() error { return w.sim.Disable(entrasim.Max, true) }},
	} {
		token, _ := w.login(entrasim.Max)
		if err := tt.end(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.renew(token); err == nil {
			t.Errorf("somebody %s is renewed", tt.name)
		}
	}
	w.wantNoViolations()
}
