package entra_test

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/secret"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	good := entra.Config{Tenant: tenantID, ClientID: clientID, ClientSecret: secret.New(clientSecret), RedirectURL: "https://gateway.example/callback"}
	tests := map[string]struct {
		change func(*entra.Config)
		reason string
	}{
		"the tenant is common":                        {func(c *entra.Config) { c.Tenant = "common" }, "would let in people of any organization"},
		"the tenant is organizations in capitals":     {func(c *entra.Config) { c.Tenant = "Organizations" }, "would let in people of any organization"},
		"the tenant is consumers":                     {func(c *entra.Config) { c.Tenant = "consumers" }, "would let in people of any organization"},
		"the tenant is the GUID that consumers means": {func(c *entra.Config) { c.Tenant = "9188040d-6c67-4c5b-b112-36a304b66dad" }, "would let in people of any organization"},
		"a list is for one tenant":                    {func(c *entra.Config) { c.AllowedTenants = []string{tenantID} }, "allowed tenants only go with organizations"},
		"a list is for a domain":                      {func(c *entra.Config) { c.Tenant, c.AllowedTenants = "contoso.example", []string{tenantID} }, "allowed tenants only go with organizations"},
		"an allowed tenant is any":                    {func(c *entra.Config) { c.Tenant, c.AllowedTenants = "common", []string{"*"} }, `allowed tenant "*" is not a GUID`},
		"an allowed tenant is a domain": {func(c *entra.Config) {
			c.Tenant, c.AllowedTenants = "organizations", []string{tenantID, "contoso.example"}
		}, `allowed tenant "contoso.example" is not a GUID`},
		"personal accounts come through organizations":   {func(c *entra.Config) { c.Tenant, c.AllowedTenants = "organizations", []string{personalID} }, "cannot sign in through"},
		"an organization comes through consumers":        {func(c *entra.Config) { c.Tenant, c.AllowedTenants = "consumers", []string{tenantID} }, "cannot sign in through"},
		"an organization comes through their tenant":     {func(c *entra.Config) { c.Tenant, c.AllowedTenants = personalID, []string{tenantID} }, "cannot sign in through"},
		"there is no tenant":                             {func(c *entra.Config) { c.Tenant = "" }, `tenant "" is neither a GUID nor a domain`},
		"the tenant is a display name":                   {func(c *entra.Config) { c.Tenant = "Contoso" }, "neither a GUID nor a domain"},
		"the tenant has a path":                          {func(c *entra.Config) { c.Tenant = "contoso.example/../common" }, "neither a GUID nor a domain"},
		"the client id is no GUID":                       {func(c *entra.Config) { c.ClientID = "my-app" }, `client id "my-app" is not a GUID`},
		"there is no client id":                          {func(c *entra.Config) { c.ClientID = "" }, `client id "" is not a GUID`},
		"there is no secret":                             {func(c *entra.Config) { c.ClientSecret = secret.Value{} }, "there is no client secret"},
		"the secret has a line end":                      {func(c *entra.Config) { c.ClientSecret = secret.New(clientSecret + "\n") }, "begins or ends with white space"},
		"the authority is http":                          {func(c *entra.Config) { c.Authority = "http://127.0.0.1:1" }, "authority http://127.0.0.1:1 is not https"},
		"the authority is http elsewhere, even if asked": {func(c *entra.Config) { c.Authority, c.InsecureAllowHTTP = "http://login.example", true }, "is not https"},
		"the authority is a file":                        {func(c *entra.Config) { c.Authority, c.InsecureAllowHTTP = "file://localhost", true }, "is not https"},
		"the authority has the tenant in it":             {func(c *entra.Config) { c.Authority = "https://login.microsoftonline.com/" + tenantID }, "not scheme and host alone"},
		"the authority has a user in it":                 {func(c *entra.Config) { c.Authority = "https://login.microsoftonline.com@evil.example" }, "not scheme and host alone"},
		"the authority has an empty query":               {func(c *entra.Config) { c.Authority = "https://login.microsoftonline.com?" }, "not scheme and host alone"},
		"the authority has a port only":                  {func(c *entra.Config) { c.Authority = "https://:443" }, "not scheme and host alone"},
		"the authority has no scheme":                    {func(c *entra.Config) { c.Authority = "login.microsoftonline.com" }, "not scheme and host alone"},
		"the authority is no URL":                        {func(c *entra.Config) { c.Authority = "https://login\x7f" }, "not scheme and host alone"},
		"there is no redirect URL":                       {func(c *entra.Config) { c.RedirectURL = "" }, "not a URL with a host"},
		"the redirect URL is relative":                   {func(c *entra.Config) { c.RedirectURL = "/callback" }, "not a URL with a host"},
		"the redirect URL is http elsewhere":             {func(c *entra.Config) { c.RedirectURL = "http://gateway.example/callback" }, "is not https"},
		"the redirect URL has a fragment":                {func(c *entra.Config) { c.RedirectURL += "#x" }, "Microsoft refuses it"},
		"the redirect URL has a wildcard":                {func(c *entra.Config) { c.RedirectURL = "https://*.example/callback" }, "Microsoft refuses it"},
		"the redirect URL is too long":                   {func(c *entra.Config) { c.RedirectURL += strings.Repeat("x", 256) }, "Microsoft refuses it"},
		"the prompt is none":                             {func(c *entra.Config) { c.Prompt = "none" }, `prompt "none" is neither`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			test.change(&cfg)
			_, err := entra.New(cfg)
			if err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Fatalf("got %v, want an error that says %q", err, test.reason)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%q has the secret in it", err)
			}
			if lines := strings.Count(err.Error(), "\n"); lines != 0 {
				t.Errorf("one mistake gave %d problems: %v", lines+1, err)
			}
		})
	}
}

func TestNewReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := entra.New(entra.Config{Authority: "http://x", Tenant: "common", ClientID: "x", Prompt: "x"})
	for _, problem := range []string{"authority", "tenant", "client id", "client secret", "redirect URL", "prompt"} {
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("got %v, which says nothing of the %s", err, problem)
		}
	}
}

func TestNewAcceptsWhatAdministratorsWrite(t *testing.T) {
	t.Parallel()
	good := entra.Config{Tenant: tenantID, ClientID: clientID, ClientSecret: secret.New(clientSecret), RedirectURL: "https://gateway.example/callback"}
	tests := map[string]func(*entra.Config){
		"nothing but what is needed": func(*entra.Config) {},
		"GUIDs in capitals":          func(c *entra.Config) { c.Tenant, c.ClientID = strings.ToUpper(tenantID), strings.ToUpper(clientID) },
		"a domain":                   func(c *entra.Config) { c.Tenant = "Contoso.onmicrosoft.com" },
		"an international domain":    func(c *entra.Config) { c.Tenant = "xn--mller-kva.example" },
		"several organizations": func(c *entra.Config) {
			c.Tenant, c.AllowedTenants = "Organizations", []string{tenantID, strings.ToUpper(otherID)}
		},
		"organizations and persons": func(c *entra.Config) { c.Tenant, c.AllowedTenants = "common", []string{tenantID, personalID} },
		"persons alone":             func(c *entra.Config) { c.Tenant, c.AllowedTenants = "consumers", []string{personalID} },
		"another cloud":             func(c *entra.Config) { c.Authority = "https://login.microsoftonline.us" },
		"a slash after the host":    func(c *entra.Config) { c.Authority = "https://login.microsoftonline.com/" },
		"a gateway on localhost":    func(c *entra.Config) { c.RedirectURL = redirect },
		"always the password":       func(c *entra.Config) { c.Prompt = "login" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			change(&cfg)
			if _, err := entra.New(cfg); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAuthURLAsksForALoginAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	location, err := f.provider(t).AuthURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := u.Scheme+"://"+u.Host+u.Path, f.URL+"/"+tenantID+"/oauth2/v2.0/authorize"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	want := url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {redirect}, "response_mode": {"query"},
		"scope": {"openid profile email offline_access"}, "state": {"state"}, "nonce": {nonce}, "prompt": {"select_account"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestASignInMustBeTiedTogether(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	tests := map[string]entra.AuthRequest{
		"no state":               {Nonce: nonce, Verifier: verifier},
		"no nonce":               {State: "state", Verifier: verifier},
		"no verifier":            {State: "state", Nonce: nonce},
		"a verifier of 42 bytes": {State: "state", Nonce: nonce, Verifier: verifier[:42]},
	}
	for name, req := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := p.AuthURL(t.Context(), req)
			wantError(t, err, entra.KindMisconfigured, "protocol_error", "no state, no nonce or a short verifier")
			if req.State == "" {
				return // Exchange does not need it
			}
			_, err = p.Exchange(t.Context(), authCode, req, now)
			wantError(t, err, entra.KindMisconfigured, "protocol_error", "no nonce or a short verifier")
		})
	}
	_, err := p.Exchange(t.Context(), "", request, now)
	wantError(t, err, entra.KindMisconfigured, "protocol_error", "with no code")
	if f.documents.Load()+f.redemptions.Load() != 0 {
		t.Error("Microsoft was asked although there was nothing to ask")
	}
}

func TestExchangeSendsTheCodeOnceAndSaysWhoSignedIn(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	who, err := f.provider(t).Exchange(t.Context(), authCode, request, now)
	if err != nil {
		t.Fatal(err)
	}
	want := store.Identity{Tenant: tenantID, Object: objectID, Name: "Ada Admin", Username: "ada@contoso.example"}
	if diff := cmp.Diff(want, who.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	wantForm := url.Values{
		"grant_type": {"authorization_code"}, "code": {authCode}, "redirect_uri": {redirect}, "code_verifier": {verifier},
		"client_id": {clientID}, "client_secret": {clientSecret},
	}
	if diff := cmp.Diff(wantForm, f.form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if n := f.redemptions.Load(); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
}

// One line per exchange, with what an operator needs and nothing secret.
func TestExchangeWritesOneLogLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		token http.HandlerFunc
		want  map[string]string
	}{
		"success": {nil, map[string]string{"level": "INFO", "outcome": "ok"}},
		"refusal": {
			refusal(http.StatusUnauthorized, "invalid_client", 7000215, nil),
			map[string]string{
				"level": "WARN", "outcome": "misconfigured", "code": "invalid_client", "aadsts": "7000215",
				"trace_id": traceID, "correlation_id": corrID,
			},
		},
		"nonsense": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(clientSecret + authCode)) },
			map[string]string{"level": "WARN", "outcome": "unavailable", "code": "no_answer", "aadsts": "0", "trace_id": "", "correlation_id": ""},
		},
		"a token that is none": {
			tokenOf(accessToken + "." + accessToken + "." + accessToken),
			map[string]string{"level": "WARN", "outcome": "misconfigured", "code": "id_token_rejected", "aadsts": "0", "trace_id": "", "correlation_id": ""},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.token, test.token)
			var log bytes.Buffer
			cfg := f.config()
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			_, err := newProvider(t, cfg).Exchange(t.Context(), authCode, request, now)
			if (err == nil) != (test.token == nil) {
				t.Fatalf("got error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error has something secret in it: %v", err)
			}
			line := log.String()
			if strings.Count(line, "\n") != 1 || strings.Contains(line, "canary") || strings.Contains(line, "eyJ") {
				t.Errorf("want one line without secrets, got:\n%s", line)
			}
			got := attributes(line)
			if got["msg"] == "" || got["duration"] == "" || got["grant_type"] != "authorization_code" {
				t.Errorf("message, duration or grant type is missing: %s", line)
			}
			maps.DeleteFunc(got, func(name, _ string) bool { _, listed := test.want[name]; return !listed })
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}

// attributes reads a line of slog.TextHandler; the message may have spaces.
func attributes(line string) map[string]string {
	got := make(map[string]string)
	for field := range strings.FieldsSeq(line) {
		if name, value, ok := strings.Cut(field, "="); ok {
			got[name] = strings.Trim(value, `"`)
		}
	}
	return got
}
