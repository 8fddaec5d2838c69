package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
)

var consentRequirements = []requirement{
	{level: must, name: "1.6 consent comes before Microsoft, for each client and each time", check: alone(testConsentCannotBeSkipped)},
	{level: must, name: "1.6 a remembered consent is for one client, redirect URI and set of scopes", check: alone(testAConsentIsForOneClientRedirectAndScopes)},
	{level: must, name: "1.6 a remembered consent is for the person who signs in, whoever was guessed", check: alone(testAnotherPersonIsAskedThemselves)},
	{level: must, name: "1.6 what remembers the person is sealed, bound to the browser, and ends", check: alone(testACookieIsWorthNothingElsewhereOrChanged)},
	{level: must, name: "1.6 a remembered consent lets no other client by", check: alone(testAnAttackersClientGetsNoCodeWithoutAClick)},
	{level: must, name: "1.6 the consent page says who asks, for what, and where the answer goes", check: consentPageSaysAll},
	{level: must, name: "1.6 what a client calls itself cannot change the consent page", check: consentPageIsEscaped},
	{level: must, name: "1.6 the consent page cannot be framed and runs nothing", check: consentPageIsShut},
	{level: must, name: "1.6 the cookie is of this host alone, secure, hidden from scripts and lax", check: cookieIsTight},
	{level: must, name: "1.6 a consent form is bound to its browser and cannot be posted from elsewhere", check: alone(testConsentComesFirstAndIsBoundToTheBrowser)},
	{level: must, name: "1.6 a sign-in is stored only once it was allowed", check: alone(signInIsStoredAfterConsent)},
	{level: must, name: "1.6 the state at Microsoft is random, our own and new each time", check: upstreamStateIsOurs},
	{level: must, name: "1.6 the state at Microsoft is used once", check: upstreamStateIsUsedOnce},
	{level: must, name: "1.6 a sign-in at Microsoft that took too long is refused", check: alone(upstreamStateExpires)},
	{level: must, name: "1.6 a denial goes back to the client and stores nothing", check: alone(denialStoresNothing)},
	{level: must, name: "1.6 nothing of the client's request goes to Microsoft", check: nothingIsForwarded},
	{level: must, name: "1.6 no token of Microsoft reaches the client", check: noUpstreamToken},
}

func (g *gateway) consentPage(b *browser, document string, change func(url.Values)) document {
	g.t.Helper()
	page, next := b.get(g.authorizeURL(newAuthorization(g.register(document).ClientID), change))
	if next != nil || page.status != http.StatusOK {
		g.t.Fatalf("status %d, redirected to %v", page.status, next)
	}
	return page
}

func consentPageSaysAll(t *testing.T, g *gateway) {
	long := strings.Repeat("callback", 50)
	for _, tt := range []struct {
		name, document, redirect string
		says                     []string
	}{
		{name: "a remote client", document: `{"client_name":"Some client","redirect_uris":["https://a.example:8443/cb"]}`, redirect: "https://a.example:8443/cb",
			says: []string{"Some client", "<strong><code>a.example:8443</code></strong>", "Its whole address is <code>https://a.example:8443/cb</code>", "nobody has checked it"}},
		{name: "a client on this computer", document: `{"client_name":"Some client","redirect_uris":["http://127.0.0.1/cb"]}`, redirect: "http://127.0.0.1:4000/cb",
			says: []string{"Some client", "program on this computer", "127.0.0.1:4000", "Its whole address is <code>http://127.0.0.1:4000/cb</code>", "only if you have just started this"}},
		{name: "a client without a name", document: `{"redirect_uris":["https://a.example/cb"]}`, redirect: "https://a.example/cb",
			says: []string{"A program asks", "a.example"}},
		{name: "a client at a long address", document: `{"redirect_uris":["https://a.example/` + long + `?x=1&y"]}`, redirect: "https://a.example/" + long + "?x=1&y",
			says: []string{`class="address"`, "<code>https://a.example/" + long + "?x=1&amp;y</code>", ".address { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }"}},
	} {
		page := g.consentPage(newBrowser(t), tt.document, func(q url.Values) { q.Set("redirect_uri", tt.redirect) })
		for _, want := range append(tt.says, "list the tools you may use", "stay signed in", "sign in with Microsoft", "Deny", strings.TrimPrefix(g.url, "http://")) {
			if !strings.Contains(page.body, want) {
				t.Errorf("%s: the page does not say %q:\n%s", tt.name, want, page.body)
			}
		}
	}
	page := g.consentPage(newBrowser(t), `{"redirect_uris":["https://a.example/cb"]}`, func(q url.Values) { q.Del("redirect_uri"); q.Set("scope", "mcp") })
	if strings.Contains(page.body, "stay signed in") {
		t.Error("the page names a scope that was not asked for")
	}
}

func consentPageIsEscaped(t *testing.T, g *gateway) {
	page := g.consentPage(newBrowser(t), `{"client_name":"<script>alert(1)</script>\"'\u202egnp.exe</h1><form action=//evil.example>","redirect_uris":["https://a.example/cb?x=%22%3E%3Cscript%3E"]}`,
		func(q url.Values) { q.Del("redirect_uri"); q.Set("state", `"><script>`) })
	for _, bad := range []string{"<script", "<form action=//", "\u202e"} {
		if strings.Contains(page.body, bad) {
			t.Errorf("the page has %q:\n%s", bad, page.body)
		}
	}
	if len(page.forms) != 1 || page.forms[0].action != "/consent" {
		t.Errorf("forms %v", page.forms)
	}
}

func consentPageIsShut(t *testing.T, g *gateway) {
	page := g.consentPage(newBrowser(t), `{"redirect_uris":["https://a.example/cb"]}`, func(q url.Values) { q.Del("redirect_uri") })
	policy := page.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self' " + g.authority + " https://a.example;"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	for _, bad := range []string{"script-src", "unsafe", "*"} {
		if strings.Contains(policy, bad) {
			t.Errorf("the policy has %q: %s", bad, policy)
		}
	}
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
	} {
		if got := page.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func cookieIsTight(t *testing.T, g *gateway) {
	b := newBrowser(t)
	page, _ := b.get(g.authorizeURL(newAuthorization(g.registration()), nil))
	cookies, err := http.ParseSetCookie(page.header.Get("Set-Cookie"))
	if err != nil || len(page.header.Values("Set-Cookie")) != 1 {
		t.Fatalf("cookies %v, %v", page.header.Values("Set-Cookie"), err)
	}
	if c := cookies; !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" ||
		c.Domain != "" || len(c.Value) < 43 || c.MaxAge != 0 || !c.Expires.IsZero() {
		t.Errorf("the cookie is %v", c)
	}
	// It is random, and stays the same for a browser that has one.
	other, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(g.registration()), nil))
	if other.header.Get("Set-Cookie") == page.header.Get("Set-Cookie") {
		t.Error("two browsers got one cookie")
	}
	if again, _ := b.get(g.authorizeURL(newAuthorization(g.registration()), nil)); again.header.Get("Set-Cookie") != "" {
		t.Error("a browser with a cookie got another")
	}
}

func signInIsStoredAfterConsent(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	b := newBrowser(t)
	consent, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(g.registration()), nil))
	if n := g.rows("logins"); n != 0 {
		t.Errorf("%d sign-ins are stored while the page is shown", n)
	}
	_, _ = b.press(t.Context(), consent, "allow")
	if n := g.rows("logins"); n != 1 {
		t.Errorf("%d sign-ins are stored after it was allowed", n)
	}
}

// toMicrosoft allows a client and returns the address at Microsoft.
func (g *gateway) toMicrosoft(b *browser, a authorization) url.Values {
	g.t.Helper()
	consent, _ := b.open(g.t.Context(), g.authorizeURL(a, nil))
	microsoft, _ := b.press(g.t.Context(), consent, "allow")
	if !strings.HasPrefix(microsoft.url.String(), g.authority+"/") {
		g.t.Fatalf("the browser is at %s", microsoft.url)
	}
	return microsoft.url.Query()
}

func upstreamStateIsOurs(t *testing.T, g *gateway) {
	a := newAuthorization(g.registration())
	b := newBrowser(t)
	seen := make(map[string]bool)
	for range 3 {
		q := g.toMicrosoft(b, a)
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			value := q.Get(name)
			if len(value) < 43 || seen[value] || strings.Contains(value, a.state) {
				t.Errorf("%s is %q", name, value)
			}
			seen[value] = true
		}
		if q.Get("code_challenge_method") != "S256" {
			t.Errorf("PKCE at Microsoft is %q", q.Get("code_challenge_method"))
		}
	}
}

// callback goes to Microsoft and returns the address it sends the browser to.
func (g *gateway) callback(b *browser, a authorization) string {
	g.t.Helper()
	consent, _ := b.open(g.t.Context(), g.authorizeURL(a, nil))
	microsoft, _ := b.press(g.t.Context(), consent, "allow")
	address, err := entrasim.SignIn(g.t.Context(), http.DefaultClient, microsoft.url.String(), entrasim.Ada)
	if err != nil {
		g.t.Fatal(err)
	}
	return address
}

func upstreamStateIsUsedOnce(t *testing.T, g *gateway) {
	b := newBrowser(t)
	address := g.callback(b, newAuthorization(g.registration()))
	if _, next := b.get(address); next == nil || next.Query().Get("code") == "" {
		t.Errorf("the first time: %v", next)
	}
	if page, next := b.get(address); next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "cannot be finished") {
		t.Errorf("the second time: status %d, %v", page.status, next)
	}
}

func upstreamStateExpires(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	b := newBrowser(t)
	address := g.callback(b, newAuthorization(g.registration()))
	if n := g.rows("logins WHERE expires_at > 1000000 * (unixepoch() + 601)"); n != 0 {
		t.Errorf("%d sign-ins may take more than ten minutes", n)
	}
	g.alter(`UPDATE logins SET expires_at = expires_at - 601000000`)
	if page, next := b.get(address); next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "took too long") {
		t.Errorf("status %d, redirected to %v", page.status, next)
	}
	if n := g.rows("codes"); n != 0 {
		t.Errorf("%d codes were issued", n)
	}
}

func denialStoresNothing(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	b := newBrowser(t)
	consent, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(g.registration()), nil))
	_, back := b.press(t.Context(), consent, "deny")
	if back == nil || back.Query().Get("error") != "access_denied" || back.Query().Has("code") {
		t.Errorf("the client is told %v", back)
	}
	// A decision that is neither is a denial too.
	_, back = b.send(http.MethodPost, g.url+"/consent", url.Values{"form": {consent.forms[0].fields.Get("form")}, "decision": {"Allow"}}.Encode(), http.Header{"Sec-Fetch-Site": {"same-origin"}})
	if back == nil || back.Query().Get("error") != "access_denied" {
		t.Errorf("for a decision that is none the client is told %v", back)
	}
	for _, table := range []string{"logins", "codes", "grants"} {
		if n := g.rows(table); n != 0 {
			t.Errorf("%d %s are stored", n, table)
		}
	}
}

func nothingIsForwarded(t *testing.T, g *gateway) {
	a := newAuthorization(g.registration())
	q := g.toMicrosoft(newBrowser(t), a)
	for name, values := range q {
		for _, value := range values {
			for what, secret := range map[string]string{"client_id": a.clientID, "state": a.state, "challenge": a.verifier, "resource": g.url + "/mcp", "redirect URI": clientRedirect} {
				if strings.Contains(value, secret) {
					t.Errorf("%s=%s has the client's %s", name, value, what)
				}
			}
		}
	}
	if q.Has("resource") || q.Get("scope") != "openid profile email offline_access User.Read" || q.Get("redirect_uri") != g.url+"/callback" || q.Get("client_id") != entrasim.DemoClientID {
		t.Errorf("Microsoft is asked %v", q)
	}
	if v := g.sim.Violations(); len(v) > 0 {
		t.Errorf("Microsoft was asked what it would refuse: %v", v)
	}
}

func noUpstreamToken(t *testing.T, g *gateway) {
	a, code := g.code()
	tokens := g.redeem(a, code, nil)
	for what, value := range map[string]string{"code": code, "access token": tokens.AccessToken, "refresh token": tokens.RefreshToken} {
		if !strings.HasPrefix(value, "mcp") || strings.Contains(value, ".") || len(value) > 60 {
			t.Errorf("the %s is not one of ours: %q", what, value)
		}
	}
	page, _ := newBrowser(t).send(http.MethodPost, g.url+"/token", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {a.clientID}, "refresh_token": {tokens.RefreshToken},
	}.Encode(), nil)
	for _, bad := range []string{"id_token", "eyJ"} {
		if strings.Contains(page.body, bad) {
			t.Errorf("the answer has %q: %s", bad, page.body)
		}
	}
}
