package app_test

import (
	"database/sql"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

const evilRedirect = "https://evil.example/cb"

// attackersClient registers a client with a trusted name that answers to the
// attacker.
func (g *gateway) attackersClient() authorization {
	g.t.Helper()
	return newAuthorization(g.register(`{"client_name":"Claude","redirect_uris":["` + evilRedirect + `"]}`).ClientID)
}

func toEvil(q url.Values) { q.Set("redirect_uri", evilRedirect) }

// rows counts what a table of the running gateway holds.
func (g *gateway) rows(table string) (n int) {
	g.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(g.dir, "gateway.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(g.t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		g.t.Fatal(err)
	}
	return n
}

// send makes a request that no form makes.
func (b *browser) send(method, address, form string, header http.Header) (document, *url.URL) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	maps.Copy(req.Header, header)
	return b.do(req)
}

// testConsentCannotBeSkipped: the victim has this gateway's cookie, has allowed
// another client before, and is signed in at Microsoft. Whatever the attacker
// puts into the address, the victim sees who asks; nothing is stored, nothing
// goes to Microsoft and nothing to the attacker.
func testConsentCannotBeSkipped(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	victim := newBrowser(t)
	g.signIn(victim, newAuthorization(g.registration()), "Ada")
	a := g.attackersClient()
	for _, tt := range []struct {
		name   string
		change func(url.Values)
	}{
		{name: "as it is", change: func(url.Values) {}},
		{name: "with prompt=none", change: func(q url.Values) { q.Set("prompt", "none") }},
		{name: "with the decision", change: func(q url.Values) { q.Set("decision", "allow") }},
		{name: "with a form", change: func(q url.Values) { q.Set("form", "AAAA"); q.Set("decision", "allow") }},
		{name: "with hints about the person", change: func(q url.Values) { q.Set("login_hint", entrasim.Ada); q.Set("domain_hint", entrasim.DemoDomain) }},
		{name: "with the scopes allowed before", change: func(q url.Values) { q.Set("scope", "mcp") }},
		{name: "with an id token", change: func(q url.Values) { q.Set("id_token_hint", "e30.e30.") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page, next := victim.get(g.authorizeURL(a, func(q url.Values) { toEvil(q); tt.change(q) }))
			if next != nil || page.status != http.StatusOK || len(page.forms) != 1 {
				t.Fatalf("status %d, redirected to %v, want a page that asks", page.status, next)
			}
			for _, want := range []string{"Claude", "evil.example", "nobody has checked it"} {
				if !strings.Contains(page.body, want) {
					t.Errorf("the page does not say %q:\n%s", want, page.body)
				}
			}
			if n := g.in(t).rows("logins"); n != 0 {
				t.Errorf("%d sign-ins are stored before anybody allowed one", n)
			}
		})
	}
	for _, tt := range []struct {
		name, method, path string
		status             int
	}{
		{name: "a consent by GET", method: http.MethodGet, path: "/consent?decision=allow", status: http.StatusMethodNotAllowed},
		{name: "an authorization by POST", method: http.MethodPost, path: "/authorize", status: http.StatusMethodNotAllowed},
		{name: "a consent without a form", method: http.MethodPost, path: "/consent", status: http.StatusBadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if page, next := victim.send(tt.method, g.url+tt.path, "", nil); next != nil || page.status != tt.status {
				t.Errorf("status %d, redirected to %v, want %d", page.status, next, tt.status)
			}
		})
	}
	if n := g.rows("codes"); n != 1 {
		t.Errorf("there are %d codes, want the one of the victim's own client", n)
	}
}

// TestAnAttackersConsentIsWorthNothingElsewhere: the attacker allowed their own
// client in their own browser, and tries to have the victim go on from there.
func TestAnAttackersConsentIsWorthNothingElsewhere(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	ctx := t.Context()
	a := g.attackersClient()
	attacker, victim := newBrowser(t), newBrowser(t)
	consent, _ := attacker.open(ctx, g.authorizeURL(a, toEvil))
	own, _ := victim.open(ctx, g.authorizeURL(newAuthorization(g.registration()), nil))
	form := consent.forms[0].fields.Get("form")
	allow := url.Values{"form": {form}, "decision": {"allow"}}.Encode()
	sameOrigin := http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {g.url}}
	public, err := url.Parse(g.url)
	if err != nil {
		t.Fatal(err)
	}
	cookie := func(b *browser) string {
		cookies := b.client.Jar.Cookies(public)
		if len(cookies) != 1 {
			t.Fatalf("%d cookies", len(cookies))
		}
		return cookies[0].Name + "=" + cookies[0].Value
	}
	with := func(cookies string) http.Header {
		h := sameOrigin.Clone()
		h.Set("Cookie", cookies)
		return h
	}
	bare := newBrowser(t)
	for _, tt := range []struct {
		name   string
		by     *browser
		form   string
		header http.Header
		status int
	}{
		{name: "the attacker's form in the victim's browser", by: victim, form: allow, header: sameOrigin, status: http.StatusBadRequest},
		{name: "the attacker's form beside the victim's own", by: victim, form: "form=" + own.forms[0].fields.Get("form") + "&" + allow, header: sameOrigin, status: http.StatusBadRequest},
		{name: "the attacker's cookie set beside the victim's", by: bare, form: allow, header: with(cookie(victim) + "; " + cookie(attacker)), status: http.StatusBadRequest},
		{name: "the attacker's cookie set before the victim's", by: bare, form: allow, header: with(cookie(attacker) + "; " + cookie(victim)), status: http.StatusBadRequest},
		{name: "the attacker's cookie under a name without its prefix", by: bare, form: allow, header: with(strings.TrimPrefix(cookie(attacker), "__Host-")), status: http.StatusBadRequest},
		{name: "a short cookie", by: bare, form: allow, header: with("__Host-mcp-gateway=x"), status: http.StatusBadRequest},
		{name: "a post from the attacker's page", by: victim, form: allow, header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, status: http.StatusForbidden},
		{name: "a post from a sibling host", by: victim, form: allow, header: http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://x.example"}}, status: http.StatusForbidden},
		{name: "a post from a sandboxed page, by an old browser", by: victim, form: allow, header: http.Header{"Origin": {"null"}}, status: http.StatusForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if page, next := tt.by.send(http.MethodPost, g.url+"/consent", tt.form, tt.header); next != nil || page.status != tt.status {
				t.Errorf("status %d, redirected to %v, want %d", page.status, next, tt.status)
			}
		})
	}
	if n := g.rows("logins"); n != 0 {
		t.Errorf("%d sign-ins are stored", n)
	}
	t.Run("the address at Microsoft, opened by the victim", func(t *testing.T) {
		microsoft, _ := attacker.press(ctx, consent, "allow")
		callback, err := entrasim.SignIn(ctx, http.DefaultClient, microsoft.url.String(), entrasim.Ada)
		if err != nil {
			t.Fatal(err)
		}
		if page, next := victim.get(callback); next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "cannot be finished") {
			t.Errorf("status %d, redirected to %v", page.status, next)
		}
		if n := g.in(t).rows("codes"); n != 0 {
			t.Errorf("the attacker has %d codes", n)
		}
	})
}

// TestACallbackOfAnotherSignInIsRefused is login CSRF, and the injection of a
// stolen code: state, code and browser must be of one sign-in.
func TestACallbackOfAnotherSignInIsRefused(t *testing.T) {
	t.Parallel()
	const nothing, failure = "", "AADSTS"
	for _, tt := range []struct {
		name string
		// parameters are made of the victim's and the attacker's callback.
		parameters func(victims, attackers url.Values) url.Values
		says       string
	}{
		{name: "the attacker's callback whole", says: nothing, parameters: func(_, a url.Values) url.Values { return a }},
		{name: "the attacker's state with the victim's code", says: nothing, parameters: func(v, a url.Values) url.Values { a["code"] = v["code"]; return a }},
		{name: "the victim's state with the attacker's code", says: failure, parameters: func(v, a url.Values) url.Values { v["code"] = a["code"]; return v }},
		{name: "the victim's state with an invented code", says: failure, parameters: func(v, _ url.Values) url.Values { v.Set("code", "x"); return v }},
		{name: "no state", says: nothing, parameters: func(v, _ url.Values) url.Values { v.Del("state"); return v }},
		{name: "an empty state", says: nothing, parameters: func(v, _ url.Values) url.Values { v.Set("state", ""); return v }},
		{name: "an invented state", says: nothing, parameters: func(v, _ url.Values) url.Values { v.Set("state", oauth.NewVerifier()); return v }},
		{name: "both states", says: nothing, parameters: func(v, a url.Values) url.Values { v.Add("state", a.Get("state")); return v }},
		{name: "both codes", says: nothing, parameters: func(v, a url.Values) url.Values { v.Add("code", a.Get("code")); return v }},
		{name: "a code and an error twice", says: nothing, parameters: func(v, _ url.Values) url.Values { v["error"] = []string{"", "x"}; return v }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, wideRates)
			victim, attacker := newBrowser(t), newBrowser(t)
			callback := func(b *browser, a authorization, who string, change func(url.Values)) url.Values {
				consent, _ := b.open(t.Context(), g.authorizeURL(a, change))
				microsoft, _ := b.press(t.Context(), consent, "allow")
				address, err := entrasim.SignIn(t.Context(), http.DefaultClient, microsoft.url.String(), who)
				if err != nil {
					t.Fatal(err)
				}
				u, err := url.Parse(address)
				if err != nil {
					t.Fatal(err)
				}
				return u.Query()
			}
			victims := callback(victim, newAuthorization(g.registration()), entrasim.Ada, nil)
			attackers := callback(attacker, g.attackersClient(), entrasim.Max, toEvil)
			page, next := victim.get(g.url + "/callback?" + tt.parameters(victims, attackers).Encode())
			if next != nil || page.status < 400 || !strings.Contains(page.body, tt.says) {
				t.Errorf("status %d, redirected to %v:\n%s", page.status, next, page.body)
			}
			if strings.Contains(page.body, "evil.example") {
				t.Errorf("the page leads to the attacker:\n%s", page.body)
			}
			if tt.says == nothing && !strings.Contains(page.body, "cannot be finished") {
				t.Errorf("the page is not the one of a foreign sign-in:\n%s", page.body)
			}
			if n := g.rows("codes"); n != 0 {
				t.Errorf("%d codes were issued", n)
			}
		})
	}
}

// testEveryAnswerNamesItsIssuer: iss in successes and in errors, wherever they
// come from, and never twice (RFC 9207 §2).
func testEveryAnswerNamesItsIssuer(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	b := newBrowser(t)
	check := func(t *testing.T, answer url.Values, key string) {
		t.Helper()
		for _, name := range []string{key, "iss", "state"} {
			if len(answer[name]) != 1 || answer.Get(name) == "" {
				t.Errorf("%s = %q, want it once: %v", name, answer[name], answer)
			}
		}
		if answer.Get("iss") != g.url {
			t.Errorf("iss = %q, want %q", answer.Get("iss"), g.url)
		}
	}
	a := newAuthorization(g.registration())
	t.Run("in a success", func(t *testing.T) { check(t, g.in(t).signIn(b, a, "Ada"), "code") })
	t.Run("in a success, though the request and Microsoft's answer name others", func(t *testing.T) {
		consent, _ := b.open(t.Context(), g.authorizeURL(a, func(q url.Values) { q.Set("iss", "https://evil.example") }))
		microsoft, _ := b.press(t.Context(), consent, "allow")
		callback, err := entrasim.SignIn(t.Context(), http.DefaultClient, microsoft.url.String(), entrasim.Ada)
		if err != nil {
			t.Fatal(err)
		}
		_, next := b.get(callback + "&iss=" + url.QueryEscape("https://evil.example"))
		if next == nil || !strings.HasPrefix(next.String(), clientRedirect+"?") {
			t.Fatalf("redirected to %v", next)
		}
		check(t, next.Query(), "code")
	})
	t.Run("in a refusal by the person", func(t *testing.T) {
		consent, _ := b.open(t.Context(), g.authorizeURL(a, nil))
		_, back := b.press(t.Context(), consent, "deny")
		check(t, back.Query(), "error")
	})
	t.Run("in a refusal by us", func(t *testing.T) {
		_, back := b.get(g.authorizeURL(a, func(q url.Values) { q.Set("response_type", "token") }))
		check(t, back.Query(), "error")
	})
	t.Run("in a refusal by Microsoft", func(t *testing.T) {
		consent, _ := b.open(t.Context(), g.authorizeURL(a, nil))
		microsoft, _ := b.press(t.Context(), consent, "allow")
		page, _ := b.press(t.Context(), microsoft, entrasim.Mallory)
		check(t, wayBack(t, page).Query(), "error")
	})
	t.Run("beside parameters that the client registered", func(t *testing.T) {
		id := g.in(t).register(`{"redirect_uris":["https://good.example/cb?x=1&y=2"]}`).ClientID
		_, back := b.get(g.authorizeURL(newAuthorization(id), func(q url.Values) { q.Del("redirect_uri"); q.Set("response_type", "x") }))
		check(t, back.Query(), "error")
		if back.Query().Get("x") != "1" || back.Query().Get("y") != "2" {
			t.Errorf("the client's own parameters are lost: %v", back)
		}
	})
}

// wayBack is the address that a failure page takes the client's answer to.
func wayBack(t *testing.T, page document) *url.URL {
	t.Helper()
	_, rest, found := strings.Cut(strings.ReplaceAll(page.body, "&amp;", "&"), clientRedirect+"?")
	rest, _, ended := strings.Cut(rest, `"`)
	if !found || !ended {
		t.Fatalf("there is no way back (status %d):\n%s", page.status, page.body)
	}
	u, err := url.Parse(clientRedirect + "?" + rest)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
