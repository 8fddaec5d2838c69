package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// otherRedirect is another place where the same client is answered.
const otherRedirect = "https://app.example/other"

// The cookies of the gateway: of the browser, and of who signed in last in it.
const (
	browserCookie = "__Host-mcp-gateway"
	personCookie  = "__Host-mcp-gateway-person"
)

// divideScope is a scope of the configuration.
const divideScope = "scopes:\n  - {name: calc.divide, description: divide numbers, tools: [math_divide]}\n"

// cookies are what a browser sends to the gateway, by name.
func (b *browser) cookies(g *gateway) map[string]string {
	b.t.Helper()
	u, err := url.Parse(g.url)
	if err != nil {
		b.t.Fatal(err)
	}
	values := make(map[string]string)
	for _, c := range b.client.Jar.Cookies(u) {
		values[c.Name] = c.Value
	}
	return values
}

// having returns a browser that has these cookies for the gateway.
func having(t *testing.T, g *gateway, cookies map[string]string) *browser {
	t.Helper()
	b := newBrowser(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.client.Jar = secureOnLoopback{jar}
	u, err := url.Parse(g.url)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range cookies {
		b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
	}
	return b
}

// asks reports whether a request shows the consent page. If not it must have
// gone to Microsoft, and never straight back to the client.
func (g *gateway) asks(t *testing.T, b *browser, clientID, redirect string, change func(url.Values)) bool {
	t.Helper()
	doc, next := b.get(g.authorizeURL(newAuthorization(clientID), func(q url.Values) {
		q.Set("redirect_uri", redirect)
		if change != nil {
			change(q)
		}
	}))
	if next != nil && !strings.HasPrefix(next.String(), g.authority+"/") {
		t.Fatalf("redirected to %s", next)
	}
	if next == nil && !isConsent(doc) {
		t.Fatalf("status %d:\n%s", doc.status, doc.body)
	}
	return next == nil
}

// remembered starts a gateway at which Ada has consented to a public client
// that is answered at serverRedirect.
func remembered(t *testing.T, extra string) (g *gateway, clientID string, b *browser) {
	t.Helper()
	g, b = start(t, extra), newBrowser(t)
	clientID = g.registerAs(oauth.AuthMethodNone, serverRedirect, otherRedirect).ClientID
	if code := g.visit(b, newAuthorization(clientID), serverRedirect, "Ada", true, nil).Get("code"); code == "" {
		t.Fatal("no code")
	}
	return g, clientID, b
}

func TestAConsentIsGivenOnce(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	for range 2 {
		a := newAuthorization(clientID)
		code := g.visit(b, a, serverRedirect, "Ada", false, nil).Get("code")
		if got := g.send("/token", g.codeForm(a, code, serverRedirect), nil); got.status != http.StatusOK || got.Scope != "mcp offline_access" {
			t.Errorf("redeem: %d %s", got.status, got.body)
		}
	}
	g.restart("", nil)
	g.visit(b, newAuthorization(clientID), serverRedirect, "Ada", false, nil)
	if strings.Contains(g.logs.String(), b.cookies(g)[personCookie]) {
		t.Error("the cookie is in the log")
	}
}

func testAConsentIsForOneClientRedirectAndScopes(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, divideScope)
	sameName := g.registerAs(oauth.AuthMethodNone, serverRedirect, otherRedirect).ClientID
	set := func(key, value string) func(url.Values) { return func(q url.Values) { q.Set(key, value) } }
	for _, tt := range []struct {
		name, clientID, redirect string
		change                   func(url.Values)
		asks                     bool
	}{
		{name: "the same again"},
		{name: "fewer scopes", change: set("scope", "mcp")},
		{name: "scopes that there are not", change: set("scope", "mcp offline_access admin openid")},
		{name: "a prompt for something else", change: set("prompt", "login")},
		{name: "another redirect URI", redirect: otherRedirect, asks: true},
		{name: "another client of the same name", clientID: sameName, asks: true},
		{name: "one scope more", change: set("scope", "mcp offline_access calc.divide"), asks: true},
		{name: "another scope", change: set("scope", "calc.divide"), asks: true},
		{name: "prompt=consent", change: set("prompt", "consent"), asks: true},
		{name: "consent among prompts", change: set("prompt", "login consent"), asks: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.clientID == "" {
				tt.clientID = clientID
			}
			if tt.redirect == "" {
				tt.redirect = serverRedirect
			}
			if got := g.asks(t, b, tt.clientID, tt.redirect, tt.change); got != tt.asks {
				t.Errorf("the page is shown: %v, want %v", got, tt.asks)
			}
		})
	}
}

func TestThePageForMoreScopesTellsOldFromNew(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, divideScope)
	more := func(q url.Values) { q.Set("redirect_uri", serverRedirect); q.Set("scope", "mcp calc.divide") }
	page, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(clientID), more))
	before, after, ok := strings.Cut(page.body, "It will also be able to:")
	if !ok || !strings.Contains(before, "You have already allowed it to:") {
		t.Fatalf("the page does not tell old from new:\n%s", page.body)
	}
	const list, divide, stay = "list the tools", "divide numbers", "stay signed in"
	if !strings.Contains(before, list) || strings.Contains(before, divide) || !strings.Contains(after, divide) || strings.Contains(after, list) {
		t.Errorf("old and new are mixed up:\n%s", page.body)
	}
	if strings.Contains(page.body, stay) {
		t.Errorf("the page names what was not asked for:\n%s", page.body)
	}
	// What is allowed now adds to what was.
	a := newAuthorization(clientID)
	g.visit(b, a, serverRedirect, "Ada", true, func(q url.Values) { q.Set("scope", "mcp calc.divide") })
	if g.asks(t, b, clientID, serverRedirect, func(q url.Values) { q.Set("scope", "mcp calc.divide offline_access") }) {
		t.Error("what was allowed in two steps is asked again")
	}
}

func TestWhoCanBeAnyProgramIsAlwaysAskedAbout(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, tt := range []struct {
		name, method, redirect string
		asks                   bool
	}{
		{name: "a public client at loopback", method: oauth.AuthMethodNone, redirect: "http://127.0.0.1/callback", asks: true},
		{name: "a public client at localhost", method: oauth.AuthMethodNone, redirect: "http://localhost:4000/callback", asks: true},
		{name: "a public client at a private-use scheme", method: oauth.AuthMethodNone, redirect: "cursor://anysphere.cursor/callback", asks: true},
		{name: "a client with a secret at loopback", method: oauth.AuthMethodSecretBasic, redirect: "http://127.0.0.1/callback"},
		{name: "a client with a secret at https", method: oauth.AuthMethodSecretPost, redirect: serverRedirect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, info := newBrowser(t), g.registerAs(tt.method, tt.redirect)
			g.visit(b, newAuthorization(info.ClientID), tt.redirect, "Ada", true, nil)
			if _, marked := b.cookies(g)[personCookie]; marked == tt.asks {
				t.Errorf("the person is remembered: %v", marked)
			}
			if got := g.asks(t, b, info.ClientID, tt.redirect, nil); got != tt.asks {
				t.Errorf("the second time the page is shown: %v, want %v", got, tt.asks)
			}
		})
	}
}

// TestAClientThatDropsItsKeyIsAskedAbout: without it, any program at loopback
// can claim to be the client.
func TestAClientThatDropsItsKeyIsAskedAbout(t *testing.T) {
	t.Parallel()
	g, p, _ := keyed(t)
	b := newBrowser(t)
	g.visit(b, newAuthorization(documentID), clientRedirect, "Ada", true, nil)
	if g.asks(t, b, documentID, clientRedirect, nil) {
		t.Error("a client with a key is asked about twice")
	}
	g.restart("", func() { p.set("/app.json", described(t, nil)) })
	if !g.asks(t, b, documentID, clientRedirect, nil) {
		t.Error("a client without a key lives on the consent to the one with it")
	}
}

// testAnotherPersonIsAskedThemselves: who it is shows only at Microsoft, after
// the page was left out.
func testAnotherPersonIsAskedThemselves(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	a := newAuthorization(clientID)
	b.stopAt = "https://app.example/"
	microsoft, _ := b.open(t.Context(), g.authorizeURL(a, func(q url.Values) { q.Set("redirect_uri", serverRedirect) }))
	page, back := b.press(t.Context(), microsoft, "Nora")
	if back != nil || !isConsent(page) || strings.Contains(page.body, "already allowed") {
		t.Fatalf("somebody who allowed nothing: status %d, the client gets %v:\n%s", page.status, back, page.body)
	}
	if _, again := b.get(microsoft.url.String()); again != nil {
		t.Errorf("the sign-in goes on to %v", again)
	}
	// Nora's denial is the client's answer and does not concern Ada.
	if _, back = b.press(t.Context(), page, "deny"); back == nil || back.Query().Get("error") != oauth.CodeAccessDenied || back.Query().Get("code") != "" {
		t.Errorf("denied: the client gets %v", back)
	}
	if g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("Ada's consent is gone")
	}
	microsoft, _ = b.press(t.Context(), page, "allow")
	if _, back = b.press(t.Context(), microsoft, "Nora"); back == nil {
		t.Fatal("Nora's consent is not taken")
	}
	tokens := g.send("/token", g.codeForm(a, back.Query().Get("code"), serverRedirect), nil)
	if _, body := g.callModern(tokens.AccessToken, "whoami", "{}"); !strings.Contains(body, entrasim.NoraObject) {
		t.Errorf("the grant is somebody else's: %s", body)
	}
	g.visit(b, newAuthorization(clientID), serverRedirect, "Nora", false, nil)
}

// TestARememberedConsentOutlivesTheWindow: browsers forget cookies without an
// end when they are closed.
func TestARememberedConsentOutlivesTheWindow(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	microsoft, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(clientID), func(q url.Values) { q.Set("redirect_uri", serverRedirect) }))
	callback, err := entrasim.SignIn(t.Context(), http.DefaultClient, microsoft.url.String(), entrasim.Ada)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := b.get(callback)
	kept := make(map[string]string)
	for _, line := range answer.header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge > 90*24*60*60 {
			t.Errorf("cookie %s", line)
		}
		if c.MaxAge > 0 {
			kept[c.Name] = c.Value
		}
	}
	if g.asks(t, having(t, g, kept), clientID, serverRedirect, nil) {
		t.Error("the page is shown again as soon as the browser was closed")
	}
}

func testACookieIsWorthNothingElsewhereOrChanged(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	own := b.cookies(g)
	mark, who := own[browserCookie], own[personCookie]
	if mark == "" || who == "" {
		t.Fatalf("cookies %v", own)
	}
	sealed := func(browser string, ends time.Time) string {
		ring, err := keyring.Load(filepath.Join(g.dir, "keys.json"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		plain, err := json.Marshal(map[string]any{"t": entrasim.DemoTenant, "o": entrasim.AdaObject, "e": ends})
		if err != nil {
			t.Fatal(err)
		}
		hash := store.HashOf(browser)
		return ring.SealText(keyring.BrowserPerson, plain, hash[:])
	}
	flipped := []byte(who)
	flipped[len(flipped)/2] ^= 1
	otherMark := oauth.NewVerifier()
	for _, tt := range []struct {
		name    string
		cookies map[string]string
		asks    bool
	}{
		{name: "the browser itself", cookies: own},
		{name: "one sealed as the gateway does", cookies: map[string]string{browserCookie: mark, personCookie: sealed(mark, time.Now().Add(time.Hour))}},
		{name: "no cookies", asks: true},
		{name: "another browser", cookies: map[string]string{browserCookie: otherMark}, asks: true},
		{name: "the person's cookie alone", cookies: map[string]string{personCookie: who}, asks: true},
		{name: "the browser's cookie alone", cookies: map[string]string{browserCookie: mark}, asks: true},
		{name: "the person's cookie in another browser", cookies: map[string]string{browserCookie: otherMark, personCookie: who}, asks: true},
		{name: "a changed cookie", cookies: map[string]string{browserCookie: mark, personCookie: string(flipped)}, asks: true},
		{name: "a cut-off cookie", cookies: map[string]string{browserCookie: mark, personCookie: who[:len(who)-4]}, asks: true},
		{name: "an empty cookie", cookies: map[string]string{browserCookie: mark, personCookie: ""}, asks: true},
		{name: "an expired cookie", cookies: map[string]string{browserCookie: mark, personCookie: sealed(mark, time.Now().Add(-time.Second))}, asks: true},
		{name: "a client_id for a cookie", cookies: map[string]string{browserCookie: mark, personCookie: strings.TrimPrefix(clientID, "mcpc_")}, asks: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := g.asks(t, having(t, g, tt.cookies), clientID, serverRedirect, nil); got != tt.asks {
				t.Errorf("the page is shown: %v, want %v", got, tt.asks)
			}
		})
	}
}

func TestOnlyASignInThatSucceededIsRemembered(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(g *gateway, b *browser, consent document){
		"denied": func(_ *gateway, b *browser, consent document) { b.press(b.t.Context(), consent, "deny") },
		"allowed and no more": func(_ *gateway, b *browser, consent document) {
			b.press(b.t.Context(), consent, "allow")
		},
		"refused at Microsoft": func(g *gateway, b *browser, consent document) {
			microsoft, _ := b.press(b.t.Context(), consent, "allow")
			g.sim.FailAuthorize(entrasim.Outcome{AADSTS: 53003})
			b.press(b.t.Context(), microsoft, "Ada")
		},
		"an outage at Microsoft": func(g *gateway, b *browser, consent document) {
			microsoft, _ := b.press(b.t.Context(), consent, "allow")
			g.sim.FailToken(entrasim.Outcome{Fault: entrasim.Outage})
			b.press(b.t.Context(), microsoft, "Ada")
		},
		"somebody of another tenant": func(_ *gateway, b *browser, consent document) {
			microsoft, _ := b.press(b.t.Context(), consent, "allow")
			b.press(b.t.Context(), microsoft, entrasim.Mallory)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, b := start(t, ""), newBrowser(t)
			b.stopAt = serverRedirect
			// The person is known in this browser, by another client.
			g.visit(b, newAuthorization(g.registerAs(oauth.AuthMethodNone, serverRedirect).ClientID), serverRedirect, "Ada", true, nil)
			clientID := g.registerAs(oauth.AuthMethodNone, serverRedirect).ClientID
			consent, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(clientID), func(q url.Values) { q.Set("redirect_uri", serverRedirect) }))
			end(g, b, consent)
			if !g.asks(t, b, clientID, serverRedirect, nil) {
				t.Error("a consent that came to nothing is remembered")
			}
		})
	}
}

func TestALostDatabaseAsksAgain(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	g.restart("", g.wipe)
	if !g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("a consent is remembered that nobody has stored")
	}
}

// TestAnOutageOfConsentsCostsAQuestion and no more.
func TestAnOutageOfConsentsCostsAQuestion(t *testing.T) {
	t.Parallel()
	g, clientID, b := remembered(t, "")
	path := filepath.Join(g.dir, "gateway.db")
	breakTrail(t, path, `ALTER TABLE consents RENAME TO hidden`)
	if !g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("a consent that cannot be read counts")
	}
	breakTrail(t, path, `ALTER TABLE hidden RENAME TO consents`)
	if g.asks(t, b, clientID, serverRedirect, nil) {
		t.Error("the consent is gone")
	}
}

// testAnAttackersClientGetsNoCodeWithoutAClick: the victim has consented to a
// good client, and whatever their browser is led to by another shows a page.
func testAnAttackersClientGetsNoCodeWithoutAClick(t *testing.T) {
	t.Parallel()
	g, good, victim := remembered(t, "")
	const evil = "https://evil.example/callback"
	attackers := g.registerAs(oauth.AuthMethodNone, evil, serverRedirect).ClientID
	own := newBrowser(t)
	g.visit(own, newAuthorization(attackers), evil, "Nora", true, nil)
	for name, q := range map[string]url.Values{
		"its own client":                       {"client_id": {attackers}, "redirect_uri": {evil}},
		"its own client, answered as the good": {"client_id": {attackers}, "redirect_uri": {serverRedirect}},
		"its own client, with prompt=none":     {"client_id": {attackers}, "redirect_uri": {evil}, "prompt": {"none"}},
		"a hint of who signs in":               {"client_id": {attackers}, "redirect_uri": {evil}, "login_hint": {entrasim.Ada}},
	} {
		page, next := victim.get(g.authorizeURL(newAuthorization(q.Get("client_id")), func(all url.Values) {
			maps.Copy(all, q)
		}))
		if next != nil || !isConsent(page) {
			t.Errorf("%s: redirected to %v, status %d", name, next, page.status)
		}
	}
	page, next := victim.get(g.authorizeURL(newAuthorization(good), func(q url.Values) { q.Set("redirect_uri", evil) }))
	if next != nil || page.status != http.StatusBadRequest {
		t.Errorf("the good client, answered at the attacker's: redirected to %v, status %d", next, page.status)
	}
	// A sign-in that the attacker has begun cannot be ended in the victim's
	// browser, and the attacker's form not be sent from it.
	microsoft, _ := own.open(t.Context(), g.authorizeURL(newAuthorization(attackers), func(q url.Values) { q.Set("redirect_uri", evil) }))
	callback, err := entrasim.SignIn(t.Context(), http.DefaultClient, microsoft.url.String(), entrasim.Ada)
	if err != nil {
		t.Fatal(err)
	}
	if page, next := victim.get(callback); next != nil || page.status != http.StatusBadRequest {
		t.Errorf("the attacker's callback: redirected to %v, status %d", next, page.status)
	}
	// The other way round the attacker's browser, whose person is Nora, gets a
	// page when it is Ada who signed in.
	if page, next := own.get(callback); next != nil || !isConsent(page) {
		t.Errorf("Ada in the attacker's browser: redirected to %v, status %d", next, page.status)
	}
	if doc, next := victim.press(t.Context(), mustConsent(t, g, own, attackers, evil), "allow"); next != nil || doc.status != http.StatusBadRequest {
		t.Errorf("the attacker's form: redirected to %v, status %d", next, doc.status)
	}
}

// mustConsent is a consent page.
func mustConsent(t *testing.T, g *gateway, b *browser, clientID, redirect string) document {
	t.Helper()
	page, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(clientID), func(q url.Values) {
		q.Set("redirect_uri", redirect)
		q.Set("prompt", "consent")
	}))
	if !isConsent(page) {
		t.Fatalf("status %d:\n%s", page.status, page.body)
	}
	return page
}
