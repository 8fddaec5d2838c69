package app_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/lab"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

var frameAddress = regexp.MustCompile(`<iframe[^>]* src="([^"]*)"`)

// signOut signs the person out at Microsoft, and returns the address that
// Microsoft's page has the browser load in a frame.
func (g *gateway) signOut(b *browser) string {
	g.t.Helper()
	page, _ := b.get(g.authority + "/" + entrasim.DemoTenant + "/oauth2/v2.0/logout")
	frame := frameAddress.FindStringSubmatch(page.body)
	if frame == nil {
		g.t.Fatalf("nobody is told: status %d\n%s", page.status, page.body)
	}
	return html.UnescapeString(frame[1])
}

// frame is an answer to a frame, which has no cookies to send.
type frame struct {
	status int
	header http.Header
	body   string
}

func (g *gateway) frame(method, address string) frame {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, address, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	resp.Header.Del("Date")
	return frame{resp.StatusCode, resp.Header, string(body)}
}

// tell loads the address, as the frame does, and must be answered.
func (g *gateway) tell(address string) {
	g.t.Helper()
	if f := g.frame(http.MethodGet, address); f.status != http.StatusOK || f.body != "" {
		g.t.Fatalf("the frame: %+v", f)
	}
}

func TestWhoSignsOutAtMicrosoftIsAskedAgain(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	other := newBrowser(t)
	g.visit(other, newAuthorization(clientID), serverRedirect, "Ada", true, nil)
	a := newAuthorization(clientID)
	tokens := g.send("/token", g.codeForm(a, g.visit(b, a, serverRedirect, "Ada", false, nil).Get("code"), serverRedirect), nil)

	address := g.signOut(b)
	if g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("somebody is forgotten before the gateway is told")
	}
	g.tell(address)
	if !g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("the page is left out for somebody who has signed out")
	}
	if g.asks(t, other, clientID, serverRedirect, nil) {
		t.Error("another browser of the same person is asked")
	}
	// Programs go on.
	if resp, _ := g.callModern(tokens.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
		t.Errorf("a call after the sign-out: status %d", resp.StatusCode)
	}
	if got := g.refresh(clientID, tokens.RefreshToken); got.status != http.StatusOK {
		t.Errorf("a renewal after the sign-out: %d %s", got.status, got.Error)
	}
	g.restart("", nil)
	if !g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("the sign-out is forgotten")
	}
	g.visit(b, newAuthorization(clientID), serverRedirect, "Ada", true, nil)
	if g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("who has signed in again is asked twice")
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(g.logs.String(), u.Query().Get("sid")) {
		t.Error("the name of the session is in the log")
	}
}

// TestALogoutTellsStrangersNothing: whoever does not know a session ends none,
// stores nothing, and sees nothing else than who does.
func TestALogoutTellsStrangersNothing(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, wideRates)
	u, err := url.Parse(g.signOut(b))
	if err != nil {
		t.Fatal(err)
	}
	sid, issuer := u.Query().Get("sid"), func(tenant string) string { return g.authority + "/" + tenant + "/v2.0" }
	at := func(query url.Values) string { return g.url + "/logout/microsoft?" + query.Encode() }
	blank := g.frame(http.MethodGet, at(url.Values{"sid": {"invented"}}))
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "", "Set-Cookie": "",
		"Access-Control-Allow-Origin": "",
		"Content-Security-Policy":     "default-src 'none'; form-action 'none'; frame-ancestors " + g.authority + "; base-uri 'none'",
	} {
		if got := blank.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	long := strings.Repeat("s", 257)
	for _, tt := range []struct {
		name, method, address string
		status                int
	}{
		{name: "a session that is not there", address: at(url.Values{"sid": {"invented"}}), status: 200},
		{name: "one in another case", address: at(url.Values{"sid": {strings.ToUpper(sid)}}), status: 200},
		{name: "one with a space", address: at(url.Values{"sid": {sid + " "}}), status: 200},
		{name: "the longest", address: at(url.Values{"sid": {long[1:]}}), status: 200},
		{name: "one of another tenant", address: at(url.Values{"sid": {sid}, "iss": {issuer(entrasim.OtherTenant)}}), status: 200},
		{name: "no session", address: at(nil), status: 400},
		{name: "an empty session", address: at(url.Values{"sid": {""}, "iss": {issuer(entrasim.DemoTenant)}}), status: 400},
		{name: "an issuer alone", address: at(url.Values{"iss": {issuer(entrasim.DemoTenant)}}), status: 400},
		{name: "two sessions", address: at(url.Values{"sid": {sid, sid}}), status: 400},
		{name: "a session that is too long", address: at(url.Values{"sid": {long}}), status: 400},
		{name: "two issuers", address: at(url.Values{"sid": {sid}, "iss": {issuer(entrasim.DemoTenant), issuer(entrasim.DemoTenant)}}), status: 400},
		{name: "an empty issuer", address: at(url.Values{"sid": {sid}, "iss": {""}}), status: 400},
		{name: "an issuer elsewhere", address: at(url.Values{"sid": {sid}, "iss": {"https://evil.example/" + entrasim.DemoTenant + "/v2.0"}}), status: 400},
		{name: "an issuer of version 1", address: at(url.Values{"sid": {sid}, "iss": {"https://sts.windows.net/" + entrasim.DemoTenant + "/"}}), status: 400},
		{name: "an issuer of personal accounts", address: at(url.Values{"sid": {sid}, "iss": {issuer(entrasim.PersonalTenant)}}), status: 400},
		{name: "an issuer that is none", address: at(url.Values{"sid": {sid}, "iss": {entrasim.DemoTenant}}), status: 400},
		{name: "a query that is none", address: at(url.Values{"sid": {sid}}) + "&x=%zz", status: 400},
		{name: "HEAD", method: http.MethodHead, address: u.String(), status: 405},
		{name: "POST", method: http.MethodPost, address: u.String(), status: 405},
		{name: "OPTIONS", method: http.MethodOptions, address: u.String(), status: 405},
		{name: "a path below", address: strings.Replace(u.String(), "/microsoft?", "/microsoft/?", 1), status: 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			g := g.in(t)
			got := g.frame(tt.method, tt.address)
			if got.status != tt.status {
				t.Errorf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
			if diff := cmp.Diff(blank, got, cmp.AllowUnexported(frame{})); tt.status == http.StatusOK && diff != "" {
				t.Errorf("it tells one from the other (-want +got):\n%s", diff)
			}
			if tt.status >= http.StatusBadRequest && got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("headers %v", got.header)
			}
			if g.asks(t, b, clientID, serverRedirect, nil) {
				t.Error("it ends the session")
			}
			if n := g.rows("sessions"); n != 1 {
				t.Errorf("%d sessions are stored, want 1", n)
			}
		})
	}
	known := g.frame(http.MethodGet, at(url.Values{"sid": {sid}, "iss": {issuer(entrasim.DemoTenant)}, "state": {"x"}}))
	if diff := cmp.Diff(blank, known, cmp.AllowUnexported(frame{})); diff != "" {
		t.Errorf("it tells that there is a session (-want +got):\n%s", diff)
	}
	if !g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("with iss beside sid nothing ends")
	}
}

// TestLogoutsAreLimited as the other pages are, and with them.
func TestLogoutsAreLimited(t *testing.T) {
	t.Parallel()
	g := start(t, "http: {rates: {authorize: {per_minute: 1, burst: 2}}}\n")
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if f := g.frame(http.MethodGet, g.url+"/logout/microsoft?sid=invented"); f.status != want || (f.header.Get("Retry-After") != "") != (i == 2) {
			t.Errorf("request %d: %+v", i, f)
		}
	}
}

// TestASignOutEndsTheSignInUnderWay: between Microsoft's answer and the callback
// the person signs out.
func TestASignOutEndsTheSignInUnderWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		method   string
		redirect string
		// known: the client is known to the person, so nobody is asked.
		known bool
	}{
		{name: "where nobody was asked", method: oauth.AuthMethodNone, redirect: serverRedirect, known: true},
		{name: "where the person has just allowed it", method: oauth.AuthMethodNone, redirect: serverRedirect},
		{name: "of a program that is never remembered", method: oauth.AuthMethodNone, redirect: "http://127.0.0.1/callback"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, clientID, b := remembered(t, "")
			if !tt.known {
				clientID = g.registerAs(tt.method, tt.redirect).ClientID
			}
			b.stopAt = tt.redirect
			doc, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(clientID), func(q url.Values) { q.Set("redirect_uri", tt.redirect) }))
			if isConsent(doc) != !tt.known {
				t.Fatalf("status %d:\n%s", doc.status, doc.body)
			}
			if !tt.known {
				doc, _ = b.press(t.Context(), doc, "allow")
			}
			callback, err := entrasim.SignIn(t.Context(), b.client, doc.url.String(), entrasim.Ada)
			if err != nil {
				t.Fatal(err)
			}
			g.tell(g.signOut(b))
			codes := g.rows("codes")
			page, next := b.get(callback)
			if next != nil || page.status != http.StatusForbidden || !strings.Contains(page.body, "You have signed out") {
				t.Errorf("status %d, redirected to %v:\n%s", page.status, next, page.body)
			}
			if !strings.Contains(html.UnescapeString(page.body), tt.redirect+"?error=access_denied&") || g.rows("codes") != codes {
				t.Errorf("the client is not refused:\n%s", page.body)
			}
			const last = `SELECT kind || ' ' || outcome || ' ' || reason || ' ' || object FROM events ORDER BY id DESC LIMIT 1`
			if event := g.one(last); event != "login denied signed_out "+entrasim.AdaObject {
				t.Errorf("the trail ends with %q", event)
			}
			// It keeps nobody out.
			g.visit(b, newAuthorization(clientID), tt.redirect, "Ada", true, nil)
		})
	}
}

func TestASignOutEndsTheSignInOfADevice(t *testing.T) {
	t.Parallel()
	g, _, b := remembered(t, deviceSignIn)
	d := g.device()
	callback, err := entrasim.SignIn(t.Context(), b.client, d.toMicrosoft(b).url.String(), entrasim.Ada)
	if err != nil {
		t.Fatal(err)
	}
	g.tell(g.signOut(b))
	page, next := b.get(callback)
	if next != nil || page.status != http.StatusForbidden || !strings.Contains(page.body, "You have signed out") || len(page.forms) != 0 {
		t.Errorf("status %d, redirected to %v:\n%s", page.status, next, page.body)
	}
	d.polls("the device", oauth.CodeAccessDenied)
	g.device().signedIn(b, "Ada")
}

// TestAGuessThatSignedOutIsAskedAbout: the session that the guess is from has
// ended, and the person has signed in in a new one.
func TestAGuessThatSignedOutIsAskedAbout(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	b.stopAt = serverRedirect
	microsoft, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(clientID), func(q url.Values) { q.Set("redirect_uri", serverRedirect) }))
	g.tell(g.signOut(b))
	page, back := b.press(t.Context(), microsoft, "Ada")
	if back != nil || !isConsent(page) || strings.Contains(page.body, "already allowed") {
		t.Fatalf("status %d, the client gets %v:\n%s", page.status, back, page.body)
	}
}

// TestWithoutTheClaimASignOutEndsNothing and costs nobody anything.
func TestWithoutTheClaimASignOutEndsNothing(t *testing.T) {
	t.Parallel()
	g, b := start(t, ""), newBrowser(t)
	for name, sid := range map[string]any{"no sid": nil, "a sid that is too long": strings.Repeat("s", 257), "a sid of another type": 7} {
		clientID := g.registerAs(oauth.AuthMethodNone, serverRedirect).ClientID
		g.sim.MutateClaims(func(claims map[string]any) {
			if claims["sid"] = sid; sid == nil {
				delete(claims, "sid")
			}
		})
		g.visit(b, newAuthorization(clientID), serverRedirect, "Ada", true, nil)
		g.tell(g.signOut(b))
		if g.asks(t, b, clientID, serverRedirect, nil) || g.rows("sessions") != 0 {
			t.Errorf("%s: the person is not remembered, or %d sessions are", name, g.rows("sessions"))
		}
	}
}

// TestAnOutageOfSessions is of what is remembered, and nobody is taken for
// somebody who has not signed out.
func TestAnOutageOfSessions(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	path := filepath.Join(g.dir, "gateway.db")
	address := g.signOut(b)
	breakTrail(t, path, `ALTER TABLE sessions RENAME TO hidden`)
	if f := g.frame(http.MethodGet, address); f.status != http.StatusServiceUnavailable || f.header.Get("Cache-Control") != "no-store" || f.header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("the frame: %+v", f)
	}
	if !g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("a person counts whose session cannot be read")
	}
	b.stopAt = serverRedirect
	consent, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(clientID), func(q url.Values) { q.Set("redirect_uri", serverRedirect) }))
	microsoft, _ := b.press(t.Context(), consent, "allow")
	if page, back := b.press(t.Context(), microsoft, "Ada"); back != nil || page.status != http.StatusServiceUnavailable {
		t.Errorf("a sign-in: status %d, the client gets %v", page.status, back)
	}
	breakTrail(t, path, `ALTER TABLE hidden RENAME TO sessions`)
	if g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("the person is gone")
	}
	g.tell(address)
	if !g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("the sign-out that was told again is lost")
	}
}

// TestSigningOutInABrowser: the whole way, with the browser's own rules for
// frames, cookies and policies.
func TestSigningOutInABrowser(t *testing.T) {
	t.Parallel()
	chromium := lab.Chromium(t)
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>Client</title><link rel="icon" href="data:,"><h1>Back at the client</h1>`))
	}))
	t.Cleanup(client.Close)
	s := &stage{gateway: start(t, ""), redirect: client.URL + "/callback"}
	// It has a secret, so it is remembered at loopback too.
	id := s.register(`{"client_name":"Client","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"client_secret_post"}`).ClientID
	w := newWindow(t, chromium)
	ask := func(heading string) {
		t.Helper()
		s.ask(w, id, s.redirect, nil)
		w.see(heading)
	}
	signIn := func() {
		t.Helper()
		w.click(entrasim.Ada)
		w.see("Back at the client")
	}
	ask("“Client” asks")
	w.click("Allow")
	signIn()
	ask("Who are you today?") // the page was left out
	signIn()
	w.open(s.authority + "/" + entrasim.DemoTenant + "/oauth2/v2.0/logout")
	w.see("You have signed out")
	ask("“Client” asks")
	w.check(s.known()...)
}
