package entrasim_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
)

// Whatever is wrong with the request itself ends on a page: the browser is not
// sent anywhere, and the client hears nothing.
func TestWrongAuthorizeRequestsEndOnAPage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tenant string
		set    map[string]string
		add    string // raw, to the end of the query
		aadsts int
		reason string
	}{
		"unknown tenant":                      {tenant: "fabrikam.example", aadsts: 90002, reason: "fabrikam.example"},
		"unknown client":                      {set: map[string]string{"client_id": "c0ffee00-0000-4000-8000-00000000dead"}, aadsts: 700016, reason: "dead"},
		"client of another tenant":            {tenant: entrasim.OtherTenant, aadsts: 700016, reason: entrasim.DemoClientID},
		"single-tenant client at common":      {tenant: "common", aadsts: 50194, reason: "common"},
		"missing client id":                   {set: map[string]string{"client_id": ""}, aadsts: 900144, reason: "client_id"},
		"missing redirect URI":                {set: map[string]string{"redirect_uri": ""}, aadsts: 900144, reason: "redirect_uri"},
		"redirect URI of somebody else":       {set: map[string]string{"redirect_uri": "https://evil.example/callback"}, aadsts: 50011, reason: "evil.example"},
		"redirect URI in another case":        {set: map[string]string{"redirect_uri": "http://localhost:8788/Callback"}, aadsts: 50011, reason: "/Callback"},
		"redirect URI with a slash more":      {set: map[string]string{"redirect_uri": redirectURI + "/"}, aadsts: 50011, reason: "/callback/"},
		"redirect URI on 127.0.0.1":           {set: map[string]string{"redirect_uri": "http://127.0.0.1:8788/callback"}, aadsts: 50011, reason: "127.0.0.1"},
		"redirect URI with user information":  {set: map[string]string{"redirect_uri": "http://evil@localhost:8788/callback"}, aadsts: 50011, reason: "evil@"},
		"missing scope":                       {set: map[string]string{"scope": ""}, aadsts: 900144, reason: `"scope"`},
		"scope of an MCP client passed on":    {set: map[string]string{"scope": "openid mcp"}, aadsts: 650053, reason: `"mcp"`},
		"resource of an MCP client passed on": {set: map[string]string{"resource": "http://localhost:8788/mcp"}, aadsts: 9010010, reason: "resource"},
		"unknown parameter":                   {set: map[string]string{"audience": "x"}, aadsts: 9002313, reason: "audience"},
		"repeated parameter":                  {add: "&state=again", aadsts: 9002313, reason: "state"},
		"query that is no query":              {add: "&x=%zz", aadsts: 9002313, reason: "parsed"},
		"missing response type":               {set: map[string]string{"response_type": ""}, aadsts: 900144, reason: "response_type"},
		"implicit flow":                       {set: map[string]string{"response_type": "id_token"}, aadsts: 700054, reason: "id_token"},
		"unknown response mode":               {set: map[string]string{"response_mode": "web_message"}, aadsts: 90023, reason: "web_message"},
		"unknown prompt":                      {set: map[string]string{"prompt": "always"}, aadsts: 90023, reason: "always"},
		"plain challenge":                     {set: map[string]string{"code_challenge_method": "plain"}, aadsts: 9002313, reason: "plain"},
		"challenge without a method":          {set: map[string]string{"code_challenge_method": ""}, aadsts: 9002313, reason: "S256"},
		"challenge of the wrong size":         {set: map[string]string{"code_challenge": "short"}, aadsts: 501491, reason: "SHA-256"},
		"method without a challenge":          {set: map[string]string{"code_challenge": ""}, aadsts: 501491, reason: "SHA-256"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			if test.tenant == "" {
				test.tenant = entrasim.DemoTenant
			}
			path := authorizePath(test.tenant, query(test.set)) + test.add
			r := w.get(path)
			if r.status != http.StatusBadRequest || r.header.Get("Location") != "" {
				t.Errorf("status %d, location %q", r.status, r.header.Get("Location"))
			}
			if code := "AADSTS" + strconv.Itoa(test.aadsts) + ":"; !strings.Contains(r.body, code) {
				t.Errorf("no %s on the page: %s", code, r.body)
			}
			w.wantViolations(1, test.reason)
			// A form cannot get around the checks of the page.
			post := w.do(w.request(http.MethodPost, path, form, "choice="+entrasim.Ada))
			if post.status != http.StatusBadRequest || post.header.Get("Location") != "" {
				t.Errorf("form: status %d, location %q", post.status, post.header.Get("Location"))
			}
			w.wantViolations(2, test.reason)
		})
	}
}

func TestWrongChoicesEndOnAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	path := authorizePath(entrasim.DemoTenant, query(nil))
	tests := map[string]struct{ contentType, body, code, reason string }{
		"no choice":      {form, "", "AADSTS9002313", "choice"},
		"two choices":    {form, "choice=a&choice=b", "AADSTS9002313", "choice"},
		"not a form":     {"application/json", `{"choice":"a"}`, "AADSTS9002313", "choice"},
		"unknown person": {form, "choice=eve@contoso.example", "AADSTS50034", "eve@contoso.example"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(w.sim.Violations())
			r := w.do(w.request(http.MethodPost, path, test.contentType, test.body))
			if r.status != http.StatusBadRequest || !strings.Contains(r.body, test.code) {
				t.Errorf("status %d: %s", r.status, r.body)
			}
			w.wantViolations(before+1, test.reason)
		})
	}
}

func TestAnotherSiteCannotChoose(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	req := w.request(http.MethodPost, authorizePath(entrasim.DemoTenant, query(nil)), form, "choice="+entrasim.Ada)
	req.Header.Set("Origin", "https://evil.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if r := w.do(req); r.status != http.StatusForbidden || r.header.Get("Location") != "" {
		t.Errorf("status %d, location %q", r.status, r.header.Get("Location"))
	}
}

func TestTheCallbackSaysWhyNobodySignedIn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change             func(*entrasim.Options)
		set                map[string]string
		user               string
		code, sub, because string
	}{
		"cancelled":                      {user: entrasim.Cancel, code: "access_denied", sub: "cancel", because: "AADSTS65004: "},
		"account of another tenant":      {user: entrasim.Mallory, code: "access_denied", because: "AADSTS50020: "},
		"nobody is asked without prompt": {set: map[string]string{"prompt": "none"}, user: entrasim.Ada, code: "login_required", because: "AADSTS50058: "},
		"not assigned to the application": {
			change: func(o *entrasim.Options) { o.Apps[0].AssignmentRequired = true },
			user:   entrasim.Nora, code: "access_denied", because: "AADSTS50105: ",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.change)
			got := w.signIn(entrasim.DemoTenant, test.user, test.set)
			if got.Get("error") != test.code || got.Get("error_subcode") != test.sub || got.Get("state") != state || got.Has("code") {
				t.Errorf("callback %v", got)
			}
			text := got.Get("error_description")
			if !strings.HasPrefix(text, test.because) || !strings.Contains(text, "\r\nTrace ID: ") {
				t.Errorf("error_description %q", text)
			}
			number := strings.TrimSuffix(strings.TrimPrefix(test.because, "AADSTS"), ": ")
			if want := w.url + "/error?code=" + number; got.Get("error_uri") != want {
				t.Errorf("error_uri %q, want %q", got.Get("error_uri"), want)
			}
			w.wantViolations(0, "")
		})
	}
}

func TestAnyPortOfLocalhostIsTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	set := map[string]string{"redirect_uri": "http://localhost:1234/callback"}
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, set).Get("code")
	w.tokens(w.exchange(entrasim.DemoTenant, code, set))
	w.wantViolations(0, "")
}

func TestTheAnswerGoesWhereTheResponseModeSays(t *testing.T) {
	t.Parallel()
	const uri = "https://gateway.example/callback?tenant=a"
	w := newWorld(t, func(o *entrasim.Options) { o.Apps[0].RedirectURIs = append(o.Apps[0].RedirectURIs, uri) })
	for mode, prefix := range map[string]string{"": uri + "&", "query": uri + "&", "fragment": uri + "#"} {
		set := map[string]string{"response_mode": mode, "redirect_uri": uri}
		got, err := entrasim.SignIn(t.Context(), w.client, w.url+authorizePath(entrasim.DemoTenant, query(set)), entrasim.Ada)
		if err != nil || !strings.HasPrefix(got, prefix+"code=1.") {
			t.Errorf("%q: %.60s, %v", mode, got, err)
		}
	}
	path := authorizePath(entrasim.DemoTenant, query(map[string]string{"response_mode": "form_post", "redirect_uri": uri}))
	r := w.do(w.request(http.MethodPost, path, form, url.Values{entrasim.Choice: {entrasim.Ada}}.Encode()))
	for _, want := range []string{`action="` + uri + `"`, `name="code" value="1.`, `name="state" value="` + state + `"`} {
		if r.status != http.StatusOK || !strings.Contains(r.body, want) {
			t.Errorf("form_post: status %d, no %s in %s", r.status, want, r.body)
		}
	}
	_, err := entrasim.SignIn(t.Context(), w.client, w.url+path, entrasim.Ada)
	if err == nil || !strings.Contains(err.Error(), "not a redirect") {
		t.Errorf("SignIn by form_post: %v", err)
	}
}

func TestSignInReportsWhatThePersonWouldSee(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	tests := map[string]struct {
		url, user, want string
	}{
		"error page":          {w.url + authorizePath("fabrikam.example", query(nil)), entrasim.Ada, `status 400: AADSTS90002: Tenant not found`},
		"no such button":      {w.url + authorizePath(entrasim.DemoTenant, query(nil)), "eve@contoso.example", `no button for "eve@contoso.example"`},
		"address of nobody":   {"http://127.0.0.1:1/", entrasim.Ada, "refused"},
		"address that is bad": {"http://[", entrasim.Ada, "missing ']'"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := entrasim.SignIn(t.Context(), w.client, test.url, test.user)
			if err == nil || got != "" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}
