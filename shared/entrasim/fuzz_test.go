package entrasim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
)

func fuzzHandler(f *testing.F) http.Handler {
	f.Helper()
	sim, err := entrasim.New(entrasim.Demo(entrasim.DemoClientID, secret, redirectURI))
	if err != nil {
		f.Fatal(err)
	}
	return sim.Handler()
}

// send gives the handler a request whose parts are arbitrary.
func send(handler http.Handler, method string, u *url.URL, contentType, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "/", strings.NewReader(body))
	req.URL, req.Host = u, "localhost"
	req.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return rec
}

// Whatever is asked, the browser goes to a registered address or nowhere, and
// nobody's text becomes markup.
func FuzzAuthorize(f *testing.F) {
	handler := fuzzHandler(f)
	f.Add(query(nil).Encode(), "choice="+entrasim.Ada)
	f.Add(query(map[string]string{"response_mode": "form_post"}).Encode(), "choice=cancel")
	f.Add(query(map[string]string{"prompt": "none", "response_mode": "fragment"}).Encode(), "")
	f.Add(query(map[string]string{"redirect_uri": "http://localhost@evil.example/callback"}).Encode(), "choice="+entrasim.Nora)
	f.Add("client_id=%zz&<script>", "choice=<script>")
	f.Fuzz(func(t *testing.T, query, body string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			u := &url.URL{Path: "/" + entrasim.DemoDomain + "/oauth2/v2.0/authorize", RawQuery: query}
			rec := send(handler, method, u, form, body)
			if strings.Contains(strings.ToLower(rec.Body.String()), "<script") {
				t.Errorf("markup on the page: %s", rec.Body)
			}
			location := rec.Header().Get("Location")
			if location == "" {
				continue
			}
			to, err := url.Parse(location)
			if err != nil || to.Scheme != "http" || to.Hostname() != "localhost" || to.Path != "/callback" || to.User != nil {
				t.Errorf("the browser goes to %q (%v)", location, err)
			}
		}
	})
}

// Whatever is posted, the token endpoint answers in JSON, and gives no token.
func FuzzToken(f *testing.F) {
	handler := fuzzHandler(f)
	f.Add(form, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {entrasim.DemoClientID}, "client_secret": {secret},
		"code": {"1.x"}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	}.Encode())
	f.Add(form, "grant_type=refresh_token&refresh_token=1.x&client_id="+entrasim.DemoClientID+"&client_secret="+url.QueryEscape(secret))
	f.Add(form, "grant_type=refresh_token&refresh_token=1.x&client_id="+entrasim.DemoClientID+"&client_assertion_type="+url.QueryEscape(assertionType)+
		"&client_assertion=eyJhbGciOiJQUzI1NiJ9.eyJpc3MiOiIi"+"In0.AAAA")
	f.Add("application/json", `{"grant_type":"authorization_code"}`)
	f.Add(form+"; charset=", "grant_type=%00&grant_type")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		rec := send(handler, http.MethodPost, &url.URL{Path: "/" + entrasim.DemoDomain + "/oauth2/v2.0/token"}, contentType, body)
		var got oauthError
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, rec.Body)
		}
		if rec.Code < 400 || rec.Code >= 500 || got.Error == "" || len(got.Codes) != 1 || got.TraceID == "" {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}

// Whatever is asked, a sign-out leads to a registered address or nowhere.
func FuzzSignOut(f *testing.F) {
	handler := fuzzHandler(f)
	f.Add(url.Values{"post_logout_redirect_uri": {redirectURI}, "state": {"a&b"}}.Encode())
	f.Add("post_logout_redirect_uri=https://localhost:8788@evil.example/callback&state=x")
	f.Add("post_logout_redirect_uri=javascript:alert(1)")
	f.Add("state=%zz")
	f.Fuzz(func(t *testing.T, query string) {
		path := "/" + entrasim.DemoTenant + "/oauth2/v2.0/logout"
		rec := send(handler, http.MethodGet, &url.URL{Path: path, RawQuery: query}, "", "")
		_, rest, leads := strings.Cut(rec.Body.String(), `href="`)
		if leads && !strings.HasPrefix(rest, "http://localhost:") && !strings.HasPrefix(rest, "http://localhost/callback") {
			t.Errorf("%q leads to %.60s", query, rest)
		}
		if rec.Header().Get("Location") != "" || strings.Contains(rec.Body.String(), "<script") {
			t.Errorf("%q: %v %s", query, rec.Header(), rec.Body)
		}
	})
}
