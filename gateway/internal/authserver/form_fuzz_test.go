package authserver_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/authserver"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/grant"
	"mcp-gateway/gateway/internal/route"
	"mcp-gateway/shared/oauth"
)

const formType = "application/x-www-form-urlencoded"

// takesAll grants whatever gets as far as it, and keeps it.
type takesAll struct {
	token      *grant.Request
	revocation *grant.Revocation
}

func (g *takesAll) Types() []string { return nil }

func (g *takesAll) AuthorizeDevice(context.Context, grant.DeviceRequest, time.Time) (oauth.DeviceAuthorization, error) {
	return oauth.DeviceAuthorization{}, nil
}

func (g *takesAll) Exchange(_ context.Context, req grant.Request, _ time.Time) (oauth.TokenResponse, error) {
	g.token = &req
	return oauth.TokenResponse{AccessToken: "a", TokenType: "Bearer"}, nil
}

func (g *takesAll) Revoke(_ context.Context, req grant.Revocation, _ time.Time) error {
	g.revocation = &req
	return nil
}

func (g *takesAll) Introspect(context.Context, grant.Introspection, time.Time) (oauth.IntrospectionResponse, error) {
	return oauth.IntrospectionResponse{}, nil
}

// endpoints serves the endpoints that take a client's form, in front of g.
func endpoints(tb testing.TB, g *takesAll) http.Handler {
	tb.Helper()
	open := func(next http.Handler) http.Handler { return next }
	s, err := authserver.New(authserver.Config{
		PublicURL: "https://gw.example", Clients: client.NewDirectory(client.Config{}), Grants: g, Logger: slog.New(slog.DiscardHandler),
		Limits:  authserver.Limits{Register: open, Authorize: open, Token: open},
		Address: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
	})
	if err != nil {
		tb.Fatal(err)
	}
	mux, err := route.Mux(s.Routes())
	if err != nil {
		tb.Fatal(err)
	}
	return mux
}

// formPost is a form as it comes in.
type formPost struct {
	path, query, contentType, authorization, body string
}

func (p formPost) send(h http.Handler) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://gw.example"+p.path, strings.NewReader(p.body))
	r.URL.RawQuery = p.query
	r.Header = http.Header{"Content-Type": {p.contentType}}
	if p.authorization != "" {
		r.Header.Set("Authorization", p.authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// read is a second reader of the same form, written after the RFCs and not
// after the code: RFC 6749 §3.2 and appendix B, RFC 8707 §2.
func (p formPost) read(repeatable ...string) (url.Values, bool) {
	kind, _, err := mime.ParseMediaType(p.contentType)
	if err != nil || kind != formType || len(p.body) > 16<<10 {
		return nil, false
	}
	if _, err := url.ParseQuery(p.query); err != nil {
		return nil, false // it counts for nothing, but garbage is refused
	}
	if strings.Count(p.body, "&") >= 10_000 {
		return nil, false // net/http reads no more parameters than that
	}
	form := url.Values{}
	for pair := range strings.SplitSeq(p.body, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if nameErr != nil || valueErr != nil || strings.Contains(pair, ";") || form.Has(name) && !slices.Contains(repeatable, name) {
			return nil, false
		}
		form.Add(name, value)
	}
	return form, true
}

// asks is the client that a form is from, read in the same way: RFC 6749 §2.3
// and RFC 7521 §4.2.
func (p formPost) asks(form url.Values) (client.Credentials, bool) {
	id, secret, assertion, kind := form.Get("client_id"), form.Get("client_secret"), form.Get("client_assertion"), form.Get("client_assertion_type")
	switch {
	case p.authorization == "" && secret == "" && assertion == "" && kind == "":
		return client.Credentials{ID: id, Method: "none"}, true
	case p.authorization == "" && assertion == "" && kind == "":
		return client.Credentials{ID: id, Method: "client_secret_post", Secret: secret}, true
	case p.authorization == "" && secret == "" && assertion != "" && kind == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		if id == "" {
			id = client.AssertionSubject(assertion)
		}
		return client.Credentials{ID: id, Method: "private_key_jwt", Assertion: assertion}, true
	case secret != "" || assertion != "" || kind != "":
		return client.Credentials{}, false
	}
	scheme, encoded, _ := strings.Cut(p.authorization, " ")
	plain, err := base64.StdEncoding.DecodeString(encoded)
	user, password, ok := strings.Cut(string(plain), ":")
	user, userErr := url.QueryUnescape(user)
	password, passwordErr := url.QueryUnescape(password)
	if err != nil || !ok || !strings.EqualFold(scheme, "Basic") || userErr != nil || passwordErr != nil || id != "" && id != user {
		return client.Credentials{}, false
	}
	return client.Credentials{ID: user, Method: "client_secret_basic", Secret: password}, true
}

// FuzzTokenForm: a token request is let through if and only if another reader of
// the RFCs finds it in order, its parameters are the body's and nothing else's,
// and printed again they are read as the same.
func FuzzTokenForm(f *testing.F) {
	seedForms(f)
	g := &takesAll{}
	h := endpoints(f, g)
	f.Fuzz(func(t *testing.T, query, contentType, authorization, body string) {
		p := formPost{"/token", query, contentType, authorization, body}
		form, ok := p.read("resource")
		asks, known := p.asks(form)
		ok = ok && known
		*g = takesAll{}
		checkAnswer(t, p.send(h), ok)
		if !ok {
			if g.token != nil {
				t.Fatalf("%q was refused and went on as %+v", body, g.token)
			}
			return
		}
		want := &grant.Request{
			GrantType: form.Get("grant_type"), Client: asks, Resources: form["resource"], Address: "192.0.2.1",
			Code: form.Get("code"), RedirectURI: form.Get("redirect_uri"), Verifier: form.Get("code_verifier"), RefreshToken: form.Get("refresh_token"),
		}
		if diff := cmp.Diff(want, g.token); diff != "" {
			t.Fatalf("%q: -want +got:\n%s", body, diff)
		}
		reprinted := formPost{path: "/token", contentType: formType, authorization: authorization, body: form.Encode()}
		if len(reprinted.body) > 16<<10 {
			return // longer than what is read, because of its escapes
		}
		checkAnswer(t, reprinted.send(h), true)
		if diff := cmp.Diff(want, g.token); diff != "" {
			t.Fatalf("%q, printed again as %q: -want +got:\n%s", body, reprinted.body, diff)
		}
	})
}

// FuzzRevocationForm is FuzzTokenForm for the other endpoint that takes a
// client's form. Nothing may repeat there.
func FuzzRevocationForm(f *testing.F) {
	seedForms(f)
	g := &takesAll{}
	h := endpoints(f, g)
	f.Fuzz(func(t *testing.T, query, contentType, authorization, body string) {
		p := formPost{"/revoke", query, contentType, authorization, body}
		form, ok := p.read()
		asks, known := p.asks(form)
		ok = ok && known
		*g = takesAll{}
		w := p.send(h)
		if ok && w.Code == http.StatusOK && w.Body.Len() == 0 && g.revocation != nil {
			want := &grant.Revocation{Client: asks, Token: form.Get("token"), Address: "192.0.2.1"}
			if diff := cmp.Diff(want, g.revocation); diff != "" {
				t.Fatalf("%q: -want +got:\n%s", body, diff)
			}
			return
		}
		if g.revocation != nil {
			t.Fatalf("%q was answered with %d and went on as %+v", body, w.Code, g.revocation)
		}
		checkAnswer(t, w, ok)
	})
}

func seedForms(f *testing.F) {
	const good = "grant_type=authorization_code&client_id=mcpc_x&code=mcpac_y&code_verifier=v&redirect_uri=http%3A%2F%2F127.0.0.1%2F"
	for _, body := range []string{
		good, good + "&resource=https://gw.example/mcp&resource=https://gw.example", good + "&code=z", good + "&cod%65=z", good + "&x=1&x=2",
		"token=mcpat_x&client_id=mcpc_x&token_type_hint=access_token", "grant_type=refresh_token&refresh_token=mcprt_x&client_id=a+b%20c",
		good + "&client_secret=s", good + "&client_secret=", "client_assertion=x", "client_secret&client_secret=s",
		"code=%zz", "code=%", "a;b=c", "&&=&", "=x", "code", "code=\x00\xff", `{"grant_type":"refresh_token"}`,
		strings.Repeat("&", 10_001), "code=" + strings.Repeat("x", 16<<10-5), "code=" + strings.Repeat("x", 16<<10-4), "",
	} {
		f.Add("", formType, "", body)
	}
	f.Add("code=q&client_id=q", formType, "", good)
	f.Add("code=%zz", formType, "", good)
	f.Add("", "Application/X-WWW-Form-Urlencoded ; charset=utf-8", "", good)
	f.Add("", formType+"; charset", "", good)
	f.Add("", "application/json", "", good)
	f.Add("", "multipart/form-data; boundary=b", "", "--b\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\nx\r\n--b--")
	f.Add("", "", "", good)
	f.Add("", formType, "Basic eDp5", good)
	f.Add("", formType, "Basic bWNwY194OnM=", good) // mcpc_x:s
	f.Add("", formType, "basic bWNwYyU1Rng6JTczJTI1", "token=x")
	f.Add("", formType, "Bearer x", "token=x")
	f.Add("", formType, "Basic bWNwY194OnM=", good+"&client_secret=s")
	f.Add("", formType, "", "token=x&client_assertion=e30.e30.eA&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer")
	f.Add("", formType, "", "token=x&client_assertion=e30.e30.eA&client_assertion_type=x")
}

// checkAnswer asserts what every client relies on: JSON that nothing stores, and
// for a refusal a code of the RFC and a sentence that repeats nothing.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, accepted bool) {
	t.Helper()
	var body oauth.ErrorResponse
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("answered with %d %q, which is not JSON: %v", w.Code, w.Body, err)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the answer may be stored: %v", w.Header())
	}
	if accepted {
		if w.Code != http.StatusOK || body.Error != "" {
			t.Fatalf("answered with %d %s", w.Code, w.Body)
		}
		return
	}
	status, ok := map[string]int{oauth.CodeInvalidRequest: http.StatusBadRequest, oauth.CodeInvalidClient: http.StatusUnauthorized}[body.Error]
	if !ok || status != w.Code {
		t.Fatalf("answered with %d %s", w.Code, w.Body)
	}
	if !slices.Contains([]string{
		"the request must be application/x-www-form-urlencoded", "the form is malformed or larger than 16 KB", "a parameter stands more than once",
		"client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer, with a client_assertion",
		"the Authorization header must be one, of the scheme Basic, with client_id and secret form-encoded",
		"client_id is another than that of the Authorization header", "the client authenticates in more than one way",
	}, body.ErrorDescription) {
		t.Errorf("answered with the description %q", body.ErrorDescription)
	}
}
