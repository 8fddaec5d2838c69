package entrasim_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

const logoutURL = "https://gateway.example/logout/microsoft?a=1"

// newSessions starts a directory whose application takes part in sign-outs, and
// gives its client a browser's memory.
func newSessions(t *testing.T, change func(*entrasim.Options)) *world {
	t.Helper()
	w := newWorld(t, func(o *entrasim.Options) {
		o.Apps[0].SessionClaim, o.Apps[0].LogoutURL = true, logoutURL
		if change != nil {
			change(o)
		}
	})
	w.forget()
	return w
}

// forget is another browser.
func (w *world) forget() {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.client.Jar = jar
}

// sid signs Ada in and returns the claim.
func (w *world) sid() string {
	w.t.Helper()
	id, _ := w.mustVerify(w.login(entrasim.Ada, nil).IDToken)["sid"].(string)
	return id
}

func signOutPath(q url.Values) string {
	return "/" + entrasim.DemoTenant + "/oauth2/v2.0/logout?" + q.Encode()
}

// told are the addresses that a sign-out page loads.
func told(body string) (addresses []string) {
	for _, rest := range strings.Split(body, `src="`)[1:] {
		address, _, _ := strings.Cut(rest, `"`)
		addresses = append(addresses, strings.ReplaceAll(address, "&amp;", "&"))
	}
	return addresses
}

func TestASignOutTellsTheApplicationsOfTheBrowser(t *testing.T) {
	t.Parallel()
	w := newSessions(t, nil)
	sid := w.sid()
	if again := w.sid(); sid == "" || again != sid {
		t.Errorf("one browser has the sessions %q and %q", sid, again)
	}
	mine := w.client.Jar
	w.forget()
	if other := w.sid(); other == sid || other == "" {
		t.Errorf("another browser has the session %q", other)
	}
	w.client.Jar = mine

	r := w.get(signOutPath(url.Values{"post_logout_redirect_uri": {redirectURI}, "state": {"a&b"}}))
	if got := told(r.body); r.status != http.StatusOK || len(got) != 1 || got[0] != logoutURL+"&sid="+sid {
		t.Errorf("status %d, told are %q", r.status, got)
	}
	if !strings.Contains(r.body, "1 application that you were signed in to has been told") ||
		!strings.Contains(r.body, `href="`+redirectURI+`?state=a%26b"`) {
		t.Errorf("the page: %s", r.body)
	}
	policy := r.header.Get("Content-Security-Policy")
	if !strings.HasSuffix(policy, "; frame-src https://gateway.example") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("policy %q", policy)
	}
	if got := told(w.get(signOutPath(nil)).body); len(got) != 0 {
		t.Errorf("told again: %q", got)
	}
	if next := w.sid(); next == sid || next == "" {
		t.Errorf("the session after the sign-out is %q", next)
	}
	w.wantViolations(0, "")
}

func TestASignOutByAForm(t *testing.T) {
	t.Parallel()
	w := newSessions(t, nil)
	sid := w.sid()
	r := w.do(w.request(http.MethodPost, signOutPath(nil), form, url.Values{"post_logout_redirect_uri": {redirectURI}}.Encode()))
	if got := told(r.body); r.status != http.StatusOK || len(got) != 1 || !strings.Contains(got[0], sid) {
		t.Errorf("status %d, told are %q", r.status, got)
	}
	w.wantViolations(0, "")
}

func TestASignOutTellsNobodyElse(t *testing.T) {
	t.Parallel()
	const other = "c0ffee00-0000-4000-8000-000000000002"
	second := func(o *entrasim.Options) {
		app := o.Apps[0]
		app.ClientID, app.LogoutURL = other, "https://other.example/logout"
		o.Apps = append(o.Apps, app)
	}
	for name, tt := range map[string]struct {
		change func(*entrasim.Options)
		do     func(*world)
		want   string
	}{
		"nobody signed in":              {change: second, do: func(*world) {}},
		"somebody signed in elsewhere":  {change: second, do: func(w *world) { w.sid(); w.forget() }},
		"an application nobody came to": {change: second, do: func(w *world) { w.sid() }, want: "gateway.example"},
		"the other application":         {change: second, do: func(w *world) { w.signIn(entrasim.DemoTenant, entrasim.Ada, map[string]string{"client_id": other}) }, want: "other.example"},
		"a sign-in that was cancelled":  {change: second, do: func(w *world) { w.signIn(entrasim.DemoTenant, entrasim.Cancel, nil) }},
		"a session that is long over": {change: second, do: func(w *world) {
			w.sid()
			jar := w.client.Jar
			w.clock.Advance(25 * time.Hour)
			w.forget()
			w.sid()
			w.client.Jar = jar
		}},
		"an application without an address": {change: func(o *entrasim.Options) { o.Apps[0].LogoutURL = "" }, do: func(w *world) { w.sid() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSessions(t, tt.change)
			tt.do(w)
			r := w.get(signOutPath(nil))
			if got := told(r.body); r.status != http.StatusOK || len(got) > 1 || (len(got) == 1) != (tt.want != "") || !strings.Contains(fmt.Sprint(got), tt.want) {
				t.Errorf("status %d, told are %q, want %q", r.status, got, tt.want)
			}
			w.wantViolations(0, "")
		})
	}
}

func TestTheSessionIsNamedWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	without := newSessions(t, func(o *entrasim.Options) { o.Apps[0].SessionClaim = false })
	if sid := without.sid(); sid != "" {
		t.Errorf("sid %q without the optional claim", sid)
	}
	if got := told(without.get(signOutPath(nil)).body); len(got) != 1 {
		t.Errorf("told are %q", got)
	}
	w := newSessions(t, nil)
	first := w.login(entrasim.Ada, map[string]string{"scope": "openid profile offline_access"})
	next := w.tokens(w.do(w.tokenRequest(entrasim.DemoTenant, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {entrasim.DemoClientID}, "client_secret": {secret}, "refresh_token": {first.RefreshToken},
	})))
	if a, b := w.mustVerify(first.IDToken)["sid"], w.mustVerify(next.IDToken)["sid"]; a == nil || a != b {
		t.Errorf("sid %v, and renewed %v", a, b)
	}
}

// Nobody is sent anywhere that no application has registered, and what is no
// request signs nobody out.
func TestWrongSignOuts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tenant, query, violation string
		status                   int
		out                      bool
	}{
		"a redirect that is not registered": {query: "post_logout_redirect_uri=https://evil.example/", violation: "evil.example", status: 200, out: true},
		"a redirect that runs something":    {query: "post_logout_redirect_uri=javascript:alert(1)", violation: "javascript", status: 200, out: true},
		"a redirect in another case":        {query: "post_logout_redirect_uri=" + url.QueryEscape(strings.ToUpper(redirectURI)), violation: "LOCALHOST", status: 200, out: true},
		"a tenant that is not there":        {tenant: "fabrikam.example", violation: "fabrikam.example", status: 400},
		"an unknown parameter":              {query: "sid=x", violation: `"sid"`, status: 400},
		"a repeated parameter":              {query: "state=a&state=b", violation: "2 times", status: 400},
		"a query that is none":              {query: "state=%zz", violation: "parsed", status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSessions(t, nil)
			sid := w.sid()
			if tt.tenant == "" {
				tt.tenant = entrasim.DemoTenant
			}
			r := w.get("/" + tt.tenant + "/oauth2/v2.0/logout?" + tt.query)
			if r.status != tt.status || strings.Contains(r.body, "href") || r.header.Get("Location") != "" || (len(told(r.body)) == 1) != tt.out {
				t.Errorf("status %d: %s", r.status, r.body)
			}
			w.wantViolations(1, tt.violation)
			if still := w.sid() == sid; still == tt.out {
				t.Errorf("the session goes on: %v", still)
			}
		})
	}
}

// The cookie must not reach the other servers on localhost.
func TestTheSessionsCookieStaysWithTheSimulator(t *testing.T) {
	t.Parallel()
	w := newSessions(t, nil)
	r := w.do(w.request(http.MethodPost, authorizePath(entrasim.DemoTenant, query(nil)), form, "choice="+entrasim.Ada))
	cookie, err := http.ParseSetCookie(r.header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	if cookie.Path != "/"+entrasim.DemoTenant+"/oauth2/v2.0/" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Domain != "" || cookie.MaxAge != 0 {
		t.Errorf("cookie %s", r.header.Get("Set-Cookie"))
	}
	if again := w.do(w.request(http.MethodPost, authorizePath(entrasim.DemoTenant, query(nil)), form, "choice="+entrasim.Ada)); again.header.Get("Set-Cookie") != "" {
		t.Errorf("a known browser is given %q", again.header.Get("Set-Cookie"))
	}
	end, err := http.ParseSetCookie(w.get(signOutPath(nil)).header.Get("Set-Cookie"))
	if err != nil || end.Name != cookie.Name || end.Path != cookie.Path || end.MaxAge >= 0 {
		t.Errorf("the end is %v, %v", end, err)
	}
}

func TestALogoutURLMustBeRegistrable(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://gateway.example/logout", "/logout", "https://gateway.example/#logout", "javascript:alert(1)"} {
		o := entrasim.Demo(entrasim.DemoClientID, secret, redirectURI)
		o.Apps[0].LogoutURL = address
		if _, err := entrasim.New(o); err == nil || !strings.Contains(err.Error(), "cannot register logout URL") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
