package entra_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/secret"
)

const redirect = "http://localhost:9/callback"

func newSim(t testing.TB) *entrasim.Sim {
	t.Helper()
	sim, err := entrasim.New("localhost:0", entrasim.Demo(redirect))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- sim.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return sim
}

func config(sim *entrasim.Sim) entra.Config {
	return entra.Config{
		Authority: sim.URL(), Tenant: entrasim.DemoTenant, ClientID: entrasim.DemoClientID,
		ClientSecret: secret.New(sim.Secret(entrasim.DemoClientID)), RedirectURL: redirect, InsecureAllowHTTP: true,
		Logger: slog.New(slog.DiscardHandler),
	}
}

func provider(t testing.TB, cfg entra.Config) *entra.Provider {
	t.Helper()
	p, err := entra.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request() entra.AuthRequest {
	return entra.AuthRequest{State: "state", Nonce: "nonce-" + oauth.NewVerifier(), Verifier: oauth.NewVerifier()}
}

// login signs in as somebody and returns what Exchange made of it.
func login(t testing.TB, p *entra.Provider, req entra.AuthRequest, who string) (store.Identity, error) {
	t.Helper()
	return exchange(t, p, req, who, time.Now())
}

func exchange(t testing.TB, p *entra.Provider, req entra.AuthRequest, who string, now time.Time) (store.Identity, error) {
	t.Helper()
	address, err := p.AuthURL(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	callback, err := entrasim.SignIn(t.Context(), address, who)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	return p.Exchange(t.Context(), u.Query().Get("code"), req, now)
}

const (
	ada  = entrasim.DemoTenant + "/" + entrasim.DemoAdmin
	olga = entrasim.DemoTenant + "/" + entrasim.DemoOverage
	gus  = entrasim.DemoTenant + "/" + entrasim.DemoGuest
)

func TestLogin(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	for _, tenant := range []string{entrasim.DemoTenant, strings.ToUpper(entrasim.DemoTenant), entrasim.DemoDomain} {
		cfg := config(sim)
		cfg.Tenant = tenant
		p := provider(t, cfg)
		id, err := login(t, p, request(), ada)
		if err != nil {
			t.Fatalf("tenant %s: %v", tenant, err)
		}
		if id.Tenant != entrasim.DemoTenant || id.Object != entrasim.DemoAdmin || id.Name != "Ada Admin" || id.Username != "ada@contoso.example" ||
			len(id.Roles) != 2 || len(id.Groups) != 1 || id.GroupsUnknown || id.Guest {
			t.Errorf("identity %+v", id)
		}
	}
	p := provider(t, config(sim))
	if id, err := login(t, p, request(), olga); err != nil || !id.GroupsUnknown || id.Groups != nil {
		t.Errorf("overage: %+v, %v", id, err)
	}
	if id, err := login(t, p, request(), gus); err != nil || !id.Guest {
		t.Errorf("guest: %+v, %v", id, err)
	}
	if v := sim.Violations(); len(v) > 0 {
		t.Errorf("Microsoft was asked what it would refuse: %v", v)
	}
}

func TestTheRequestAsksForTheIDTokenOnly(t *testing.T) {
	t.Parallel()
	req := request()
	address, err := provider(t, config(newSim(t))).AuthURL(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"client_id": {entrasim.DemoClientID}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {"openid profile email"},
		"state": {req.State}, "nonce": {req.Nonce}, "code_challenge": {oauth.ChallengeS256(req.Verifier)}, "code_challenge_method": {"S256"},
		"response_mode": {"query"}, "prompt": {"select_account"},
	}
	if u.Query().Encode() != want.Encode() {
		t.Errorf("asked with\n%s, want\n%s", u.Query().Encode(), want.Encode())
	}
}

func kind(err error) entra.Kind {
	if e, ok := errors.AsType[*entra.Error](err); ok {
		return e.Kind
	}
	return 0
}

// TestIDTokensThatAreRefused changes one claim at a time.
func TestIDTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	now := time.Now()
	for _, tt := range []struct {
		name   string
		change func(map[string]any)
		says   string
	}{
		{"for another application", set("aud", "0de30000-0000-4000-8000-000000000bad"), "audience"},
		{"of another issuer", set("iss", "https://evil.example/v2.0"), "issue"},
		{"of another tenant's issuer", func(c map[string]any) {
			c["iss"] = strings.Replace(c["iss"].(string), entrasim.DemoTenant, entrasim.DemoOtherTenant, 1)
			c["tid"] = entrasim.DemoOtherTenant
		}, "issue"},
		{"with another tid than its issuer", set("tid", entrasim.DemoOtherTenant), "another issuer"},
		{"without tid", func(c map[string]any) { delete(c, "tid") }, "another issuer"},
		{"with another nonce", set("nonce", "x"), "nonce"},
		{"without nonce", func(c map[string]any) { delete(c, "nonce") }, "nonce"},
		{"of version 1.0", set("ver", "1.0"), "version"},
		{"without oid", func(c map[string]any) { delete(c, "oid") }, "oid"},
		{"with an oid that is no GUID", set("oid", "*"), "oid"},
		{"that has expired", set("exp", now.Add(-3*time.Minute).Unix()), "expired"},
		{"that is not valid yet", set("nbf", now.Add(10*time.Minute).Unix()), "nbf"},
		{"with roles that are no list", set("roles", "Mcp.Admin"), "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := newSim(t)
			sim.MutateClaims(tt.change)
			_, err := login(t, provider(t, config(sim)), request(), ada)
			if kind(err) != entra.KindMisconfigured || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want one about %q", err, tt.says)
			}
		})
	}
}

func TestIDTokensThatAreJustGood(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, change := range map[string]func(map[string]any){
		"expired within the leeway":                  func(c map[string]any) { c["exp"] = now.Add(-time.Minute).Unix() },
		"issued by a clock ahead of us":              func(c map[string]any) { c["nbf"] = now.Add(2 * time.Minute).Unix() },
		"acct as text":                               func(c map[string]any) { c["acct"] = "0" },
		"a name with control characters, cut at 256": func(c map[string]any) { c["name"] = "\u202eA\x00" + strings.Repeat("x", 400) },
		"hasgroups":                                  func(c map[string]any) { c["hasgroups"] = true },
	} {
		sim := newSim(t)
		sim.MutateClaims(change)
		id, err := login(t, provider(t, config(sim)), request(), ada)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len([]rune(id.Name)) > 256 || strings.ContainsAny(id.Name, "\x00\u202e") {
			t.Errorf("%s: name %q", name, id.Name)
		}
		if name == "hasgroups" && (!id.GroupsUnknown || id.Groups != nil) {
			t.Errorf("%s: %+v", name, id)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	t.Run("a gentle roll disturbs nobody", func(t *testing.T) {
		t.Parallel()
		sim := newSim(t)
		p := provider(t, config(sim))
		now := time.Now()
		steps := []func(){func() {}, sim.Publish, sim.Roll, sim.Retire}
		for i, step := range steps {
			step()
			if _, err := exchange(t, p, request(), ada, now.Add(time.Duration(i)*10*time.Minute)); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
	})
	t.Run("a key for personal accounts does not sign for an organization", func(t *testing.T) {
		t.Parallel()
		sim := newSim(t)
		sim.SignPersonal()
		_, err := login(t, provider(t, config(sim)), request(), ada)
		if kind(err) != entra.KindMisconfigured || !strings.Contains(err.Error(), "key of another issuer") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("a key that is not published is refused, and does not make us hammer Microsoft", func(t *testing.T) {
		t.Parallel()
		sim := newSim(t)
		p := provider(t, config(sim))
		if _, err := login(t, p, request(), ada); err != nil {
			t.Fatal(err)
		}
		sim.Roll() // not published
		// Were the keys fetched again, this failure would be reported.
		sim.Fail(entrasim.Failure{Stage: entrasim.StageKeys, Status: 500, Raw: "x"})
		for range 3 {
			if _, err := login(t, p, request(), ada); kind(err) != entra.KindMisconfigured || !strings.Contains(err.Error(), "does not publish") {
				t.Errorf("err = %v", err)
			}
		}
	})
	t.Run("good keys survive an outage, for a day", func(t *testing.T) {
		t.Parallel()
		sim := newSim(t)
		p := provider(t, config(sim))
		now := time.Now()
		if _, err := exchange(t, p, request(), ada, now); err != nil {
			t.Fatal(err)
		}
		sim.MutateClaims(func(c map[string]any) { c["exp"] = now.Add(48 * time.Hour).Unix() })
		for _, tt := range []struct {
			after time.Duration
			want  entra.Kind
		}{{2 * time.Hour, 0}, {23 * time.Hour, 0}, {25 * time.Hour, entra.KindUnavailable}} {
			sim.Fail(entrasim.Failure{Stage: entrasim.StageKeys, Status: 500, Raw: "x"})
			if _, err := exchange(t, p, request(), ada, now.Add(tt.after)); kind(err) != tt.want {
				t.Errorf("after %s: %v", tt.after, err)
			}
		}
	})
}

// TestTheCodeIsPostedOnce: probing for how to authenticate would post it twice
// and hide the first error behind AADSTS54005.
func TestTheCodeIsPostedOnce(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	cfg := config(sim)
	cfg.ClientSecret = secret.New("wrong")
	_, err := login(t, provider(t, cfg), request(), ada)
	e, ok := errors.AsType[*entra.Error](err)
	if !ok || e.AADSTS != 7000215 || e.TraceID == "" || e.CorrelationID == "" || e.Kind != entra.KindMisconfigured {
		t.Errorf("err = %+v", err)
	}
	if sim.TokenCalls() != 1 {
		t.Errorf("%d token requests, want 1", sim.TokenCalls())
	}
}

func TestARedirectOfTheTokenEndpointIsNotFollowed(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer evil.Close()
	sim := newSim(t)
	sim.Fail(entrasim.Failure{Stage: entrasim.StageToken, Location: evil.URL})
	_, err := login(t, provider(t, config(sim)), request(), ada)
	if kind(err) != entra.KindMisconfigured || visits.Load() != 0 {
		t.Errorf("err = %v, %d visits", err, visits.Load())
	}
}

func TestDiscoveryIsHeldAgainstTheConfiguration(t *testing.T) {
	t.Parallel()
	doc := `{"issuer":"ISSUER","authorization_endpoint":"BASE/a","token_endpoint":"TOKEN","jwks_uri":"BASE/k"}`
	for _, tt := range []struct{ name, issuer, token, says string }{
		{"another tenant", "BASE/" + entrasim.DemoOtherTenant + "/v2.0", "BASE/t", "not of tenant"},
		{"a template", "BASE/{tenantid}/v2.0", "BASE/t", "not that of one tenant"},
		{"another host", "https://evil.example/" + entrasim.DemoTenant + "/v2.0", "BASE/t", "not that of one tenant"},
		{"version 1", "BASE/" + entrasim.DemoTenant + "/", "BASE/t", "not that of one tenant"},
		{"a token endpoint elsewhere", "BASE/" + entrasim.DemoTenant + "/v2.0", "https://evil.example/t", "not at"},
	} {
		var base string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.NewReplacer("ISSUER", tt.issuer, "TOKEN", tt.token).Replace(doc)))
		}))
		base = srv.URL
		tt.issuer, tt.token = strings.ReplaceAll(tt.issuer, "BASE", base), strings.ReplaceAll(tt.token, "BASE", base)
		doc := strings.ReplaceAll(doc, "BASE", base)
		srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.NewReplacer("ISSUER", tt.issuer, "TOKEN", tt.token).Replace(doc)))
		})
		p := provider(t, entra.Config{
			Authority: base, Tenant: entrasim.DemoTenant, ClientID: entrasim.DemoClientID, ClientSecret: secret.New("x"),
			RedirectURL: redirect, InsecureAllowHTTP: true, Logger: slog.New(slog.DiscardHandler),
		})
		if _, err := p.AuthURL(t.Context(), request()); kind(err) != entra.KindMisconfigured || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
		srv.Close()
	}
}

func TestAnUnknownTenantIsNamed(t *testing.T) {
	t.Parallel()
	cfg := config(newSim(t))
	cfg.Tenant = "nobody.example"
	_, err := provider(t, cfg).AuthURL(t.Context(), request())
	if e, ok := errors.AsType[*entra.Error](err); !ok || e.AADSTS != 90002 || e.Kind != entra.KindMisconfigured {
		t.Errorf("err = %v", err)
	}
}

func TestNewReportsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := entra.New(entra.Config{Authority: "http://login.example", Tenant: "common", ClientID: "me", Prompt: "always", RedirectURL: "/callback", Logger: slog.New(slog.DiscardHandler)})
	for _, want := range []string{"must be https", "people of any organization", "not a GUID", "secret is missing", `prompt "always"`, "not a URL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	for _, authority := range []string{"http://localhost:1", "https://login.example/path", "https://u@login.example", "login.example", "ftp://x"} {
		if _, err := entra.New(entra.Config{Authority: authority, Tenant: "a.example", ClientID: entrasim.DemoClientID, ClientSecret: secret.New("x"), RedirectURL: redirect}); err == nil {
			t.Errorf("authority %s was accepted", authority)
		}
	}
}

func TestCallbackErrorTakesNoTextFromTheLink(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		query  url.Values
		kind   entra.Kind
		code   string
		aadsts int
	}{
		{"cancelled", url.Values{"error": {"access_denied"}, "error_subcode": {"cancel"}, "error_description": {"AADSTS65004: User declined.\r\nTrace ID: 47a2f1e0-0000-4000-8000-000000000000\r\n"}}, entra.KindDenied, "access_denied", 65004},
		{"unknown number", url.Values{"error": {"access_denied"}, "error_description": {"AADSTS4242424: evil text"}}, entra.KindDenied, "access_denied", 4242424},
		{"an outage", url.Values{"error": {"temporarily_unavailable"}}, entra.KindUnavailable, "temporarily_unavailable", 0},
		{"an invented error", url.Values{"error": {"evil text"}, "error_description": {"evil text"}}, entra.KindMisconfigured, "server_error", 0},
	} {
		e := entra.CallbackError(tt.query)
		if e.Kind != tt.kind || e.Code != tt.code || e.AADSTS != tt.aadsts || e.Summary == "" || e.Help == "" {
			t.Errorf("%s: %+v", tt.name, e)
		}
		if strings.Contains(e.Summary+e.Help+e.Code+e.TraceID+e.Error(), "evil") {
			t.Errorf("%s: text of the link is shown: %+v", tt.name, e)
		}
	}
}

func FuzzCallbackError(f *testing.F) {
	f.Add("access_denied", "AADSTS65004: x\r\nTrace ID: 47a2f1e0-0000-4000-8000-000000000000\r\nCorrelation ID: x")
	f.Add("server_error", "AADSTS99999999999999999999")
	f.Fuzz(func(t *testing.T, code, description string) {
		e := entra.CallbackError(url.Values{"error": {code}, "error_description": {description}})
		if e.Kind == 0 || e.Summary == "" || strings.ContainsAny(e.TraceID+e.CorrelationID+e.Code, "<>\r\n\"") {
			t.Fatalf("%+v", e)
		}
	})
}

func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	sim := newSim(t)
	var logs bytes.Buffer
	cfg := config(sim)
	cfg.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := provider(t, cfg)
	req := request()
	if _, err := login(t, p, req, ada); err != nil {
		t.Fatal(err)
	}
	sim.Fail(entrasim.Failure{Stage: entrasim.StageToken, Raw: `{"access_token":"canary-token"`, Status: 200, ContentType: "application/json"})
	_, err := login(t, p, req, ada)
	text := logs.String() + err.Error()
	if !strings.Contains(text, "microsoft token request") {
		t.Error("nothing was logged")
	}
	for _, secret := range []string{sim.Secret(entrasim.DemoClientID), req.Verifier, req.Nonce, "canary-token"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}
