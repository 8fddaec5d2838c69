package entrasim_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

func TestWrongTokenRequestsAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set       map[string]string
		status    int
		code      string
		aadsts    int
		violation string // empty: this happens to correct clients too
	}{
		"wrong verifier":              {map[string]string{"code_verifier": strings.Repeat("x", 43)}, 400, "invalid_grant", 501481, ""},
		"missing verifier":            {map[string]string{"code_verifier": ""}, 400, "invalid_grant", 501481, ""},
		"wrong secret":                {map[string]string{"client_secret": "wrong"}, 401, "invalid_client", 7000215, ""},
		"missing secret":              {map[string]string{"client_secret": ""}, 401, "invalid_client", 7000218, "client"},
		"unknown client":              {map[string]string{"client_id": "c0ffee00-0000-4000-8000-00000000dead"}, 400, "unauthorized_client", 700016, "dead"},
		"missing client":              {map[string]string{"client_id": ""}, 400, "invalid_request", 900144, "client_id"},
		"another redirect URI":        {map[string]string{"redirect_uri": "http://localhost:8788/other"}, 401, "invalid_client", 500112, "/other"},
		"missing redirect URI":        {map[string]string{"redirect_uri": ""}, 400, "invalid_request", 900144, "redirect_uri"},
		"invented code":               {map[string]string{"code": "1.invented"}, 400, "invalid_grant", 70000, ""},
		"missing code":                {map[string]string{"code": ""}, 400, "invalid_request", 900144, `"code"`},
		"unknown grant":               {map[string]string{"grant_type": "password"}, 400, "unsupported_grant_type", 70003, "password"},
		"missing grant":               {map[string]string{"grant_type": ""}, 400, "invalid_request", 900144, "grant_type"},
		"refresh without a token":     {map[string]string{"grant_type": "refresh_token"}, 400, "invalid_request", 900144, "refresh_token"},
		"resource passed on":          {map[string]string{"resource": "http://localhost:8788/mcp"}, 400, "invalid_target", 9010010, "resource"},
		"unknown scope":               {map[string]string{"scope": "openid mcp"}, 401, "invalid_client", 650053, "mcp"},
		"parameter nobody should add": {map[string]string{"assertion": "x"}, 400, "invalid_request", 9002313, "assertion"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
			set := map[string]string{"code": code}
			maps.Copy(set, test.set)
			wantFailure(t, w.exchange(entrasim.DemoTenant, code, set), test.status, test.code, test.aadsts)
			if test.violation == "" {
				w.wantViolations(0, "")
				return
			}
			w.wantViolations(1, test.violation)
		})
	}
}

func TestRefusedRequestsLeaveTheCodeGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
	wantFailure(t, w.exchange(entrasim.DemoTenant, code, map[string]string{"code_verifier": "wrong"}), 400, "invalid_grant", 501481)
	wantFailure(t, w.exchange(entrasim.DemoTenant, code, map[string]string{"scope": "mcp"}), 401, "invalid_client", 650053)
	w.tokens(w.exchange(entrasim.DemoTenant, code, nil))
}

func TestACodeIsGoodOnceAndForTenMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
	w.clock.Advance(10*time.Minute - time.Nanosecond)
	w.tokens(w.exchange(entrasim.DemoTenant, code, nil))
	wantFailure(t, w.exchange(entrasim.DemoTenant, code, nil), 400, "invalid_grant", 54005)
	w.wantViolations(1, "used twice")

	late := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
	w.clock.Advance(10 * time.Minute)
	wantFailure(t, w.exchange(entrasim.DemoTenant, late, nil), 400, "invalid_grant", 70008)
	w.clock.Advance(time.Hour)
	w.signIn(entrasim.DemoTenant, entrasim.Ada, nil) // forgets what is long dead
	wantFailure(t, w.exchange(entrasim.DemoTenant, late, nil), 400, "invalid_grant", 70000)
	w.wantViolations(1, "used twice")
}

func TestACodeIsGoodWhereItWasIssued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *entrasim.Options) { o.Apps[0].MultiTenant = true })
	code := w.signIn("common", entrasim.Ada, nil).Get("code")
	wantFailure(t, w.exchange(entrasim.OtherTenant, code, nil), 400, "invalid_grant", 700005)
	w.wantViolations(1, entrasim.OtherTenant)
	w.tokens(w.exchange(entrasim.DemoDomain, code, nil))
}

func TestPKCEIsEnforcedOnlyIfAChallengeWasSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	without := map[string]string{"code_challenge": "", "code_challenge_method": ""}
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, without).Get("code")
	wantFailure(t, w.exchange(entrasim.DemoTenant, code, nil), 400, "invalid_grant", 501481)
	w.tokens(w.exchange(entrasim.DemoTenant, code, map[string]string{"code_verifier": ""}))
}

func TestTheTokenEndpointTakesFormsByPostOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	path := "/" + entrasim.DemoTenant + "/oauth2/v2.0/token"
	tests := map[string]struct {
		req       *http.Request
		aadsts    int
		violation string
	}{
		"GET":                  {w.request(http.MethodGet, path, "", ""), 900561, "GET"},
		"JSON":                 {w.request(http.MethodPost, path, "application/json", `{"grant_type":"authorization_code"}`), 900144, "application/json"},
		"no content type":      {w.request(http.MethodPost, path, "", "grant_type=authorization_code"), 900144, `""`},
		"query":                {w.request(http.MethodPost, path+"?client_secret=x", form, "grant_type=authorization_code"), 9002313, "address"},
		"form that is no form": {w.request(http.MethodPost, path, form, "a=%zz"), 9002313, "parsed"},
		"endless form":         {w.request(http.MethodPost, path, form, "code="+strings.Repeat("x", 1<<17)), 9002313, "parsed"},
		"repeated parameter":   {w.request(http.MethodPost, path, form, "grant_type=a&grant_type=b"), 9002313, "2 times"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(w.sim.Violations())
			wantFailure(t, w.do(test.req), http.StatusBadRequest, "invalid_request", test.aadsts)
			w.wantViolations(before+1, test.violation)
		})
	}
}

func TestClientsAuthenticateByBasicToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	basic := func(id, password string, set map[string]string) reply {
		code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
		req := w.tokenRequest(entrasim.DemoTenant, with(url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
		}, set))
		req.SetBasicAuth(id, password)
		return w.do(req)
	}
	// Both are form-encoded first (RFC 6749 §2.3.1).
	w.tokens(basic(entrasim.DemoClientID, url.QueryEscape(secret), nil))
	w.tokens(basic(entrasim.DemoClientID, url.QueryEscape(secret), map[string]string{"client_id": entrasim.DemoClientID}))
	wantFailure(t, basic(entrasim.DemoClientID, "wrong", nil), http.StatusUnauthorized, "invalid_client", 7000215)
	w.wantViolations(0, "")
	for name, r := range map[string]reply{
		"secret that is not encoded": basic(entrasim.DemoClientID, secret, nil),
		"secret in the body too":     basic(entrasim.DemoClientID, url.QueryEscape(secret), map[string]string{"client_secret": secret}),
		"another id in the body":     basic(entrasim.DemoClientID, url.QueryEscape(secret), map[string]string{"client_id": "x"}),
	} {
		t.Run(name, func(t *testing.T) { wantFailure(t, r, http.StatusBadRequest, "invalid_request", 9002313) })
	}
	w.wantViolations(3, "authenticates twice")
}

// A program has a redirect URI of another platform, and no secret.
func TestTheRedirectURISaysWhetherThereIsASecret(t *testing.T) {
	t.Parallel()
	const program = "http://localhost"
	w := newWorld(t, func(o *entrasim.Options) { o.Apps[0].PublicRedirectURIs = []string{program} })
	set := map[string]string{"redirect_uri": program + ":49152", "scope": "openid offline_access"}
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, set).Get("code")
	exchange := func(redirect, secret string) reply {
		return w.exchange(entrasim.DemoTenant, code, map[string]string{"redirect_uri": redirect, "client_secret": secret})
	}
	refresh := func(token, secret string) reply {
		return w.do(w.tokenRequest(entrasim.DemoTenant, with(url.Values{
			"grant_type": {"refresh_token"}, "client_id": {entrasim.DemoClientID}, "refresh_token": {token},
		}, map[string]string{"client_secret": secret})))
	}
	wantFailure(t, exchange(set["redirect_uri"], secret), http.StatusUnauthorized, "invalid_client", 700025)
	w.wantViolations(1, "of a program")
	got := w.tokens(exchange(set["redirect_uri"], ""))
	wantFailure(t, refresh(got.RefreshToken, secret), http.StatusUnauthorized, "invalid_client", 700025)
	w.tokens(refresh(got.RefreshToken, ""))
	w.wantViolations(2, "of a program")

	code = w.signIn(entrasim.DemoTenant, entrasim.Ada, map[string]string{"scope": "openid offline_access"}).Get("code")
	wantFailure(t, exchange(redirectURI, ""), http.StatusUnauthorized, "invalid_client", 7000218)
	got = w.tokens(exchange(redirectURI, secret))
	wantFailure(t, refresh(got.RefreshToken, ""), http.StatusUnauthorized, "invalid_client", 7000218)
	w.wantViolations(4, "7000218")
}

// What only Microsoft's own libraries send.
func TestClientInfoAndClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	exchange := func(set map[string]string) reply {
		return w.exchange(entrasim.DemoTenant, w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code"), set)
	}
	for set, want := range map[string]string{"": "", "0": "", "1": `{"uid":"` + entrasim.AdaObject + `","utid":"` + entrasim.DemoTenant + `"}`} {
		got := decode[struct {
			ClientInfo string `json:"client_info"`
		}](t, exchange(map[string]string{"client_info": set}).body)
		if info, err := base64.RawURLEncoding.DecodeString(got.ClientInfo); err != nil || string(info) != want {
			t.Errorf("client_info=%s: got %s, %v, want %s", set, info, err, want)
		}
	}
	w.tokens(exchange(map[string]string{"claims": `{"access_token":{}}`}))
	w.wantViolations(0, "")
	wantFailure(t, exchange(map[string]string{"claims": "eyJhY2Nlc3NfdG9rZW4iOnt9fQ"}), http.StatusBadRequest, "invalid_request", 9002313)
	w.wantViolations(1, "claims")
}

func TestSecretsExpire(t *testing.T) {
	t.Parallel()
	var expires time.Time
	w := newWorld(t, func(o *entrasim.Options) {
		expires = o.Now().Add(time.Minute)
		o.Apps[0].Secrets = []entrasim.Secret{{Value: "old", ExpiresAt: expires}, {Value: secret}}
	})
	exchange := func(secret string) reply {
		code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
		return w.exchange(entrasim.DemoTenant, code, map[string]string{"client_secret": secret})
	}
	w.tokens(exchange("old"))
	w.clock.Advance(time.Minute)
	wantFailure(t, exchange("old"), http.StatusUnauthorized, "invalid_client", 7000222)
	w.tokens(exchange(secret))
}

// The shape was recorded from Microsoft: line breaks, array of numbers,
// timestamp and all.
func TestErrorsHaveTheRecordedShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	req := w.tokenRequest(entrasim.DemoTenant, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {entrasim.DemoClientID}, "client_secret": {secret},
		"code": {"1.invented"}, "redirect_uri": {redirectURI},
	})
	const correlation = "14bf0000-1111-4222-8333-444455556666"
	req.Header.Set("client-request-id", correlation)
	r := w.do(req)
	want := strings.Fields("error error_description error_codes timestamp trace_id correlation_id error_uri suberror")
	if got := members(t, r.body); !slices.Equal(got, want) {
		t.Errorf("members %q, want %q", got, want)
	}
	got := decode[oauthError](t, r.body)
	shape := regexp.MustCompile(`^AADSTS70000: Provided grant is invalid or malformed\.\r\nTrace ID: ` + got.TraceID +
		`\r\nCorrelation ID: ` + correlation + `\r\nTimestamp: 2026-11-24 12:00:00Z$`)
	if !shape.MatchString(got.Description) {
		t.Errorf("error_description %q", got.Description)
	}
	if got.Timestamp != "2026-11-24 12:00:00Z" || got.CorrelationID != correlation || got.Suberror != "bad_token" || got.URI != w.url+"/error?code=70000" {
		t.Errorf("got %+v", got)
	}
	if r.header.Get("x-ms-request-id") != got.TraceID || r.header.Get("x-ms-clitelem") != "1,70000,0,," || r.header.Get("Cache-Control") != "no-store, no-cache" {
		t.Errorf("headers %v", r.header)
	}
}

func TestWithoutOpenIDThereIsNoIDToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if got := w.login(entrasim.Ada, map[string]string{"scope": "user.read"}); got.IDToken != "" || got.Scope != "User.Read" {
		t.Errorf("id_token %q, scope %q", got.IDToken, got.Scope)
	}
	// The scope of the token leg counts: Microsoft's own libraries rely on it.
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, map[string]string{"scope": "User.Read"}).Get("code")
	if got := w.tokens(w.exchange(entrasim.DemoTenant, code, map[string]string{"scope": "openid offline_access"})); got.IDToken == "" || got.RefreshToken == "" {
		t.Errorf("got %+v", got)
	}
}
