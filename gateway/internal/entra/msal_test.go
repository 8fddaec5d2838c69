package entra_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	msalerrors "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
	"golang.org/x/net/html"
	"golang.org/x/oauth2"

	"mcp-gateway/shared/entrasim"
)

// What the gateway is tested against is tested here by Microsoft's own library
// for Go: whatever MSAL expects of Entra ID and the simulator does not do shows.

const (
	microsoft = "https://login.microsoftonline.com"
	// A program's redirect URI; MSAL adds a port.
	programRedirect = "http://localhost"
)

// msalWorld is a simulator that MSAL takes for login.microsoftonline.com.
type msalWorld struct {
	t         *testing.T
	sim       *entrasim.Sim
	authority string
	client    *http.Client

	mu    sync.Mutex
	now   time.Time // guarded by mu
	paths []string  // guarded by mu; of MSAL's requests
}

// newMSALWorld makes a simulator whose authority is the one given, wherever it
// listens.
func newMSALWorld(t *testing.T, authority string, change func(*entrasim.Options)) *msalWorld {
	t.Helper()
	w := &msalWorld{t: t, now: time.Now()}
	o := entrasim.Demo(entrasim.DemoClientID, clientSecret, redirect)
	o.Apps[0].PublicRedirectURIs = []string{programRedirect}
	o.BaseURL = authority
	o.Now = func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	}
	if change != nil {
		change(&o)
	}
	sim, err := entrasim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.paths = append(w.paths, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		sim.Handler().ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	// The certificate is the test server's own, whatever name was dialled.
	transport.TLSClientConfig.ServerName = "example.com"
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	w.sim, w.authority, w.client = sim, authority, &http.Client{Transport: transport}
	return w
}

// asked is what was requested since the last time.
func (w *msalWorld) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	paths := w.paths
	w.paths = nil
	return paths
}

func (w *msalWorld) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *msalWorld) wantNoViolations() {
	w.t.Helper()
	if v := w.sim.Violations(); len(v) > 0 {
		w.t.Errorf("MSAL was refused what it does: %v", v)
	}
}

// browser signs a person in on the simulator's pages, for MSAL, which wants
// its answer by form_post: a page with a form that goes to where MSAL listens.
func (w *msalWorld) browser(who string) func(string) error {
	return func(address string) error {
		page, err := w.submit(address, url.Values{entrasim.Choice: {who}})
		if err != nil {
			return err
		}
		action, fields := formOf(page)
		if action == "" {
			return errors.New("no form on the page: " + page)
		}
		// MSAL is not behind the test's transport.
		resp, err := http.PostForm(action, fields)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
}

func (w *msalWorld) submit(address string, form url.Values) (string, error) {
	resp, err := w.client.PostForm(address, form)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// formOf is where a page's form goes, and what is in it.
func formOf(page string) (action string, fields url.Values) {
	fields = url.Values{}
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return "", nil
	}
	for n := range doc.Descendants() {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		switch n.Data {
		case "form":
			action = attr["action"]
		case "input":
			fields.Add(attr["name"], attr["value"])
		}
	}
	return action, fields
}

func TestMSALSignsAProgramIn(t *testing.T) {
	t.Parallel()
	w := newMSALWorld(t, microsoft, nil)
	client, ctx := w.program(), t.Context()
	got, err := client.AcquireTokenInteractive(ctx, []string{"User.Read"}, public.WithOpenURL(w.browser(entrasim.Ada)))
	if err != nil {
		t.Fatal(err)
	}
	wantAda(t, got)
	w.asked()

	// From its cache: only whether the host has other names is asked.
	cached, err := client.AcquireTokenSilent(ctx, []string{"User.Read"}, public.WithSilentAccount(got.Account))
	if err != nil || cached.AccessToken != got.AccessToken || cached.Metadata.TokenSource != public.TokenSourceCache {
		t.Errorf("from the cache: %v, source %v", err, cached.Metadata.TokenSource)
	}
	if asked := w.asked(); !slices.Equal(asked, []string{"GET /common/discovery/instance"}) {
		t.Errorf("asked %v", asked)
	}
	// With the refresh token: a scope that no cached token has, and a claims
	// challenge, for which none is good enough.
	for name, options := range map[string]struct {
		scopes []string
		claims string
	}{
		"another scope":      {scopes: []string{"User.Read", "email"}},
		"a claims challenge": {scopes: []string{"User.Read"}, claims: `{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}`},
	} {
		silent := []public.AcquireSilentOption{public.WithSilentAccount(got.Account)}
		if options.claims != "" {
			silent = append(silent, public.WithClaims(options.claims))
		}
		next, err := client.AcquireTokenSilent(ctx, options.scopes, silent...)
		if err != nil || next.AccessToken == got.AccessToken || next.Metadata.TokenSource != public.TokenSourceIdentityProvider {
			t.Errorf("%s: %v, source %v", name, err, next.Metadata.TokenSource)
			continue
		}
		wantAda(t, next)
		if asked := w.asked(); !slices.Equal(asked, []string{"POST /" + entrasim.DemoTenant + "/oauth2/v2.0/token"}) {
			t.Errorf("%s: asked %v", name, asked)
		}
	}
	w.advance(90 * 24 * time.Hour)
	_, err = client.AcquireTokenSilent(ctx, []string{"email", "User.Read"}, public.WithSilentAccount(got.Account), public.WithClaims(`{}`))
	wantMSALError(t, err, http.StatusBadRequest, `"error":"invalid_grant"`, "AADSTS700082")
	w.wantNoViolations()
}

func wantAda(t *testing.T, got public.AuthResult) {
	t.Helper()
	if got.IDToken.Oid != entrasim.AdaObject || got.IDToken.TenantID != entrasim.DemoTenant || got.IDToken.PreferredUsername != entrasim.Ada {
		t.Errorf("the ID token is about %+v", got.IDToken)
	}
	// MSAL knows accounts by client_info, and by sub if there is none.
	if want := entrasim.AdaObject + "." + entrasim.DemoTenant; got.Account.HomeAccountID != want || got.Account.LocalAccountID != entrasim.AdaObject {
		t.Errorf("account %+v, want %s", got.Account, want)
	}
	if !slices.Contains(got.GrantedScopes, "User.Read") || len(got.DeclinedScopes) > 0 {
		t.Errorf("scopes granted %q, declined %q", got.GrantedScopes, got.DeclinedScopes)
	}
	if left := time.Until(got.ExpiresOn); left < 59*time.Minute || left > 90*time.Minute {
		t.Errorf("the access token is good for %v", left)
	}
}

func TestMSALHearsThatSomebodyCancelled(t *testing.T) {
	t.Parallel()
	w := newMSALWorld(t, microsoft, nil)
	_, err := w.program().AcquireTokenInteractive(t.Context(), []string{"User.Read"}, public.WithOpenURL(w.browser(entrasim.Cancel)))
	if err == nil || !strings.Contains(err.Error(), "AADSTS65004") {
		t.Errorf("got %v", err)
	}
	w.wantNoViolations()
}

// program is a client without a secret.
func (w *msalWorld) program() public.Client {
	w.t.Helper()
	client, err := public.New(entrasim.DemoClientID, public.WithAuthority(w.authority+"/"+entrasim.DemoTenant), public.WithHTTPClient(w.client))
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// webApplication is a client of the gateway's kind.
func (w *msalWorld) webApplication(authority, secret string, options ...confidential.Option) confidential.Client {
	w.t.Helper()
	credential, err := confidential.NewCredFromSecret(secret)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.application(authority, credential, options...)
}

// application is a web application with any credential.
func (w *msalWorld) application(authority string, credential confidential.Credential, options ...confidential.Option) confidential.Client {
	w.t.Helper()
	client, err := confidential.New(authority+"/"+entrasim.DemoTenant, entrasim.DemoClientID, credential,
		append(options, confidential.WithHTTPClient(w.client))...)
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// code signs Ada in at the address that MSAL made, with PKCE, of which MSAL
// leaves the first half to its caller.
func (w *msalWorld) code(client confidential.Client) (code, verifier string) {
	w.t.Helper()
	ctx := w.t.Context()
	address, err := client.AuthCodeURL(ctx, entrasim.DemoClientID, redirect, []string{"User.Read"}, confidential.WithLoginHint(entrasim.Ada))
	if err != nil {
		w.t.Fatal(err)
	}
	verifier = oauth2.GenerateVerifier()
	address += "&code_challenge_method=S256&code_challenge=" + oauth2.S256ChallengeFromVerifier(verifier)
	callback, err := entrasim.SignIn(ctx, w.client, address, entrasim.Ada)
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(callback)
	if err != nil || !strings.HasPrefix(callback, redirect+"?") {
		w.t.Fatalf("callback %.80s, %v", callback, err)
	}
	return u.Query().Get("code"), verifier
}

func TestMSALSignsAWebApplicationIn(t *testing.T) {
	t.Parallel()
	w := newMSALWorld(t, microsoft, nil)
	client := w.webApplication(microsoft, clientSecret)
	ctx, scopes := t.Context(), []string{"User.Read"}
	code, verifier := w.code(client)
	_, err := client.AcquireTokenByAuthCode(ctx, code, redirect, scopes, confidential.WithChallenge(strings.Repeat("x", 43)))
	wantMSALError(t, err, http.StatusBadRequest, `"error":"invalid_grant"`, "AADSTS501481")
	got, err := client.AcquireTokenByAuthCode(ctx, code, redirect, scopes, confidential.WithChallenge(verifier))
	if err != nil {
		t.Fatal(err)
	}
	wantAda(t, got)
	next, err := client.AcquireTokenSilent(ctx, []string{"User.Read", "email"}, confidential.WithSilentAccount(got.Account))
	if err != nil || next.Metadata.TokenSource != confidential.TokenSourceIdentityProvider {
		t.Fatalf("with the refresh token: %v, source %v", err, next.Metadata.TokenSource)
	}
	wantAda(t, next)
	w.wantNoViolations()
}

func TestMSALHearsThatItsSecretIsNoGood(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		secret string
		change func(*entrasim.Options)
		aadsts string
	}{
		"wrong": {secret: "canary-wrong", aadsts: "AADSTS7000215"},
		"expired": {secret: clientSecret, aadsts: "AADSTS7000222", change: func(o *entrasim.Options) {
			o.Apps[0].Secrets[0].ExpiresAt = time.Now().Add(-time.Minute)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newMSALWorld(t, microsoft, test.change)
			client := w.webApplication(microsoft, test.secret)
			code, verifier := w.code(client)
			_, err := client.AcquireTokenByAuthCode(t.Context(), code, redirect, []string{"User.Read"}, confidential.WithChallenge(verifier))
			wantMSALError(t, err, http.StatusUnauthorized, `"error":"invalid_client"`, test.aadsts)
			if strings.Contains(err.Error(), test.secret) {
				t.Error("the answer has the secret in it")
			}
			w.wantNoViolations()
		})
	}
}

// A client of the wrong kind for its redirect URI is refused, either way.
func TestMSALOfTheWrongKindIsRefused(t *testing.T) {
	t.Parallel()
	w := newMSALWorld(t, microsoft, nil)
	code, verifier := w.code(w.webApplication(microsoft, clientSecret))
	_, err := w.program().AcquireTokenByAuthCode(t.Context(), code, redirect, []string{"User.Read"}, public.WithChallenge(verifier))
	wantMSALError(t, err, http.StatusUnauthorized, `"error":"invalid_client"`, "AADSTS7000218")
}

// MSAL trusts a host that is not Microsoft's if the host, asked, says that it is
// one of its own; the simulator, as Microsoft, says so of no other.
func TestMSALAsksWhetherAHostIsMicrosofts(t *testing.T) {
	t.Parallel()
	w := newMSALWorld(t, microsoft, nil)
	_, err := w.webApplication("https://login.example", clientSecret).
		AuthCodeURL(t.Context(), entrasim.DemoClientID, redirect, []string{"User.Read"})
	if err == nil || !strings.Contains(err.Error(), "invalid_instance") {
		t.Errorf("a host of somebody else: %v", err)
	}
	if asked := w.asked(); !slices.Equal(asked, []string{"GET /common/discovery/instance"}) {
		t.Errorf("asked %v", asked)
	}
	// So a simulator on an address of its own is for clients that do not ask.
	private := newMSALWorld(t, "https://sim.localhost:8789", nil)
	client := private.webApplication(private.authority, clientSecret, confidential.WithInstanceDiscovery(false))
	code, verifier := private.code(client)
	got, err := client.AcquireTokenByAuthCode(t.Context(), code, redirect, []string{"User.Read"}, confidential.WithChallenge(verifier))
	if err != nil {
		t.Fatal(err)
	}
	wantAda(t, got)
	private.wantNoViolations()
}

func wantMSALError(t *testing.T, err error, status int, parts ...string) {
	t.Helper()
	call, ok := errors.AsType[msalerrors.CallErr](err)
	if !ok || call.Resp.StatusCode != status {
		t.Fatalf("got %v, want status %d", err, status)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}
