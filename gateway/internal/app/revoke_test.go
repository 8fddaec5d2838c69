package app_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/oauth"
)

// revocation is an answer of the revocation endpoint.
type revocation struct {
	status int
	header http.Header
	body   string
	oauth.ErrorResponse
}

func (g *gateway) revoke(form url.Values) revocation {
	g.t.Helper()
	return g.revokeAs("application/x-www-form-urlencoded", "", form.Encode(), nil)
}

func (g *gateway) revokeAs(contentType, query, body string, header http.Header) revocation {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.url+"/revoke"+query, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	got := revocation{status: resp.StatusCode, header: resp.Header, body: string(data)}
	if resp.StatusCode != http.StatusOK {
		if err := json.Unmarshal(data, &got.ErrorResponse); err != nil {
			g.t.Fatalf("revocation answer %s: %v", data, err)
		}
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		g.t.Errorf("a revocation answer may be stored, or pages cannot read it: %v", resp.Header)
	}
	return got
}

// works checks that nothing has ended a grant.
func (g *gateway) works(what, clientID string, tokens tokenAnswer) {
	g.t.Helper()
	if resp, body := g.callModern(tokens.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
		g.t.Errorf("%s: the access token gets %d: %s", what, resp.StatusCode, body)
	}
	if got := g.refresh(clientID, tokens.RefreshToken); got.status != http.StatusOK {
		g.t.Errorf("%s: the refresh token gets %d %s", what, got.status, got.Error)
	}
}

func TestRevokeRefusals(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, tokens := g.grant("Ada")
	set := func(key string, values ...string) func(url.Values) { return func(f url.Values) { f[key] = values } }
	const twice = "more than once"
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		status int
		code   string
		says   string
	}{
		{"no token", set("token"), 400, oauth.CodeInvalidRequest, "token is missing"},
		{"an empty token", set("token", ""), 400, oauth.CodeInvalidRequest, "token is missing"},
		{"no client_id", set("client_id"), 400, oauth.CodeInvalidRequest, "client_id is missing"},
		{"an unknown client", set("client_id", "mcpc_x"), 401, oauth.CodeInvalidClient, "not issued by this gateway"},
		{"an unknown client without a token", func(f url.Values) { f.Set("client_id", "mcpc_x"); f.Del("token") },
			401, oauth.CodeInvalidClient, "not issued by this gateway"},
		{"a secret", set("client_secret", "x"), 401, oauth.CodeInvalidClient, "did not prove"},
		{"an assertion without its type", set("client_assertion", "x"), 401, oauth.CodeInvalidClient, "client_assertion_type"},
		{"an assertion of another type", func(f url.Values) {
			f.Set("client_assertion", "x")
			f.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		}, 401, oauth.CodeInvalidClient, "client_assertion_type"},
		{"an assertion of a client without keys", func(f url.Values) {
			f.Set("client_assertion", "x")
			f.Set("client_assertion_type", oauth.AssertionType)
		}, 401, oauth.CodeInvalidClient, "did not prove"},
		{"two tokens", set("token", tokens.RefreshToken, tokens.AccessToken), 400, oauth.CodeInvalidRequest, twice},
		{"one token twice", set("token", tokens.RefreshToken, tokens.RefreshToken), 400, oauth.CodeInvalidRequest, twice},
		{"two clients", set("client_id", clientID, "mcpc_x"), 400, oauth.CodeInvalidRequest, twice},
		{"two hints", set("token_type_hint", "access_token", "refresh_token"), 400, oauth.CodeInvalidRequest, twice},
		{"two of what may repeat elsewhere", set("resource", g.url, g.url), 400, oauth.CodeInvalidRequest, twice},
		{"an endless form", set("x", strings.Repeat("x", 20000)), 400, oauth.CodeInvalidRequest, "larger than 16 KB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			form := url.Values{"token": {tokens.RefreshToken}, "client_id": {clientID}}
			tt.change(form)
			got := g.revoke(form)
			if got.status != tt.status || got.Error != tt.code || !strings.Contains(got.ErrorDescription, tt.says) {
				t.Errorf("got %d %q (%s), want %d %q about %q", got.status, got.Error, got.ErrorDescription, tt.status, tt.code, tt.says)
			}
		})
	}
	g.works("after all of these", clientID, tokens)
}

func TestRevocationEndpointTakesFormsByPostOnly(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, tokens := g.grant("Ada")
	good := url.Values{"token": {tokens.RefreshToken}, "client_id": {clientID}}.Encode()
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, contentType, query, body string
		header                         http.Header
		status                         int
		code, says                     string
	}{
		{"all in the query", form, "?" + good, "", nil, 400, oauth.CodeInvalidRequest, "client_id is missing"},
		{"the token in the query", form, "?" + good, "client_id=" + clientID, nil, 400, oauth.CodeInvalidRequest, "token is missing"},
		{"HTTP Basic", form, "", good, http.Header{"Authorization": {"Basic eDp5"}}, 400, oauth.CodeInvalidRequest, "another than that of the Authorization header"},
		{"HTTP Basic of an unknown client", form, "", "token=x", http.Header{"Authorization": {"Basic eDp5"}}, 401, oauth.CodeInvalidClient, "not issued by this gateway"},
		{"a bearer token as authentication", form, "", good, http.Header{"Authorization": {"Bearer x"}}, 401, oauth.CodeInvalidClient, "scheme Basic"},
		{"JSON", "application/json", "", `{"token":"x"}`, nil, 400, oauth.CodeInvalidRequest, "x-www-form-urlencoded"},
		{"no type", "", "", good, nil, 400, oauth.CodeInvalidRequest, "x-www-form-urlencoded"},
		{"a broken escape", form, "", good + "&x=%zz", nil, 400, oauth.CodeInvalidRequest, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := g.revokeAs(tt.contentType, tt.query, tt.body, tt.header)
			if got.status != tt.status || got.Error != tt.code || !strings.Contains(got.ErrorDescription, tt.says) {
				t.Errorf("got %d %q (%s), want %d %q about %q", got.status, got.Error, got.ErrorDescription, tt.status, tt.code, tt.says)
			}
		})
	}
	resp, err := http.Get(g.url + "/revoke?" + good)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", resp.StatusCode)
	}
	g.works("after all of these", clientID, tokens)
}

func TestMetadataNamesTheRevocationEndpoint(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, path := range []string{oauth.PathServerMetadata, oauth.PathOpenIDConfiguration} {
		resp, err := http.Get(g.url + path)
		if err != nil {
			t.Fatal(err)
		}
		var doc oauth.ServerMetadata
		err = json.NewDecoder(resp.Body).Decode(&doc)
		_ = resp.Body.Close()
		if err != nil || doc.RevocationEndpoint != g.url+"/revoke" || !slices.Equal(doc.RevocationEndpointAuthMethodsSupported, doc.TokenEndpointAuthMethodsSupported) ||
			!slices.Equal(doc.TokenEndpointAuthMethodsSupported, []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}) {
			t.Errorf("%s: %v, %q by %v", path, err, doc.RevocationEndpoint, doc.RevocationEndpointAuthMethodsSupported)
		}
	}
}

// TestRevokingWhatIsNotThere is answered as if it had been, and ends nothing
// (RFC 7009 §2.2).
func TestRevokingWhatIsNotThere(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a := newAuthorization(g.registration())
	b := newBrowser(t)
	tokens := g.redeem(a, g.signIn(b, a, "Ada").Get("code"), nil)
	code := g.signIn(b, a, "Ada").Get("code")
	other := g.registration()
	for name, form := range map[string]url.Values{
		"an invented token":              {"token": {"mcprt_" + oauth.NewVerifier()}, "client_id": {a.clientID}},
		"no token of ours":               {"token": {"x"}, "client_id": {a.clientID}},
		"a code":                         {"token": {code}, "client_id": {a.clientID}},
		"another client's refresh token": {"token": {tokens.RefreshToken}, "client_id": {other}},
		"another client's access token":  {"token": {tokens.AccessToken}, "client_id": {other}},
		"an unknown type of token":       {"token": {"x"}, "client_id": {a.clientID}, "token_type_hint": {"saml"}},
	} {
		if got := g.revoke(form); got.status != http.StatusOK || got.body != "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	g.works("after all of these", a.clientID, tokens)
	if got := g.redeem(a, code, nil); got.status != http.StatusOK {
		t.Errorf("the code: %d %s", got.status, got.Error)
	}
	if kinds := g.kinds(); strings.Contains(kinds, "revoke") {
		t.Errorf("the trail has revocations that were none: %s", kinds)
	}
}

// kinds stops the gateway and lists what its trail holds.
func (g *gateway) kinds() string {
	g.t.Helper()
	if err := g.stop(); err != nil {
		g.t.Fatal(err)
	}
	db, err := sqlite.Open(g.t.Context(), filepath.Join(g.dir, "gateway.db"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	events, err := db.Events(g.t.Context(), 0, 100)
	if err != nil {
		g.t.Fatal(err)
	}
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.Kind+" "+e.Outcome+" "+e.Reason)
		if e.Kind == "revoke" && (e.GrantID == "" || e.Object == "" || e.Address != "127.0.0.1" || !strings.HasPrefix(e.Client, "Test client ")) {
			g.t.Errorf("event %+v lacks something", e)
		}
	}
	return strings.Join(kinds, "|")
}

func TestRevokeEndsTheFamily(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, hint string
		pick       func(first, second tokenAnswer) string
	}{
		{"the refresh token", "refresh_token", func(_, second tokenAnswer) string { return second.RefreshToken }},
		{"the access token under a wrong hint", "refresh_token", func(_, second tokenAnswer) string { return second.AccessToken }},
		{"a rotated refresh token under an unknown hint", "saml", func(first, _ tokenAnswer) string { return first.RefreshToken }},
		{"an older access token under no hint", "", func(first, _ tokenAnswer) string { return first.AccessToken }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, "")
			clientID, first := g.grant("Ada")
			other, others := g.grant("Ada")
			second := g.refresh(clientID, first.RefreshToken)
			for _, bearer := range []string{first.AccessToken, second.AccessToken} {
				// Now each is in the cache.
				if resp, body := g.callModern(bearer, "whoami", "{}"); resp.StatusCode != http.StatusOK {
					t.Fatalf("status %d: %s", resp.StatusCode, body)
				}
			}
			form := url.Values{"client_id": {clientID}, "token": {tt.pick(first, second)}}
			if tt.hint != "" {
				form.Set("token_type_hint", tt.hint)
			}
			for range 2 {
				if got := g.revoke(form); got.status != http.StatusOK || got.body != "" {
					t.Fatalf("revoke: %d %s", got.status, got.body)
				}
				g.over(clientID, first, second)
			}
			g.works("the person's other client", other, others)
			for _, secret := range []string{form.Get("token"), clientID} {
				if strings.Contains(g.logs.String(), secret) {
					t.Errorf("%.6s... is in the log", secret)
				}
			}
			if kinds := g.kinds(); strings.Count(kinds, "|revoke ok revoked_by_client") != 2 {
				t.Errorf("the trail tells %s", kinds)
			}
		})
	}
}

// over checks that a family is ended, at once: promised is within 100 ms.
func (g *gateway) over(clientID string, family ...tokenAnswer) {
	g.t.Helper()
	for _, tokens := range family {
		resp, _ := g.callModern(tokens.AccessToken, "whoami", "{}")
		if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, oauth.CodeInvalidToken) {
			g.t.Errorf("a revoked bearer gets %d, %q", resp.StatusCode, challenge)
		}
		if got := g.refresh(clientID, tokens.RefreshToken); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
			g.t.Errorf("a revoked refresh token gets %d %q", got.status, got.Error)
		}
	}
}

// TestRevokeUnderCalls revokes while a bearer is used all the time: every call
// that begins after the answer is refused.
func TestRevokeUnderCalls(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, tokens := g.grant("Ada")
	var served atomic.Int64
	var revoked atomic.Bool
	warm := make(chan struct{}, 8)
	var callers sync.WaitGroup
	for range cap(warm) {
		callers.Go(func() {
			for refused := 0; refused < 3; {
				after := revoked.Load()
				resp, _ := g.callModern(tokens.AccessToken, "whoami", "{}")
				switch {
				case resp.StatusCode == http.StatusOK && after:
					t.Error("a call that began after the answer was served")
					return
				case resp.StatusCode == http.StatusUnauthorized:
					refused++
				case resp.StatusCode == http.StatusOK && served.Add(1) <= int64(cap(warm)):
					warm <- struct{}{}
				}
			}
		})
	}
	for range cap(warm) {
		<-warm
	}
	got := g.revoke(url.Values{"token": {tokens.RefreshToken}, "client_id": {clientID}})
	revoked.Store(true)
	if got.status != http.StatusOK {
		t.Errorf("revoke: %d %s", got.status, got.body)
	}
	callers.Wait()
}

// TestARevocationThatIsNotWrittenDownIsNotConfirmed: the client keeps asking,
// and what it wanted has happened all the same.
func TestARevocationThatIsNotWrittenDownIsNotConfirmed(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, ada := g.grant("Ada")
	form := url.Values{"token": {ada.RefreshToken}, "client_id": {clientID}}
	path := filepath.Join(g.dir, "gateway.db")
	refused := func(what string) {
		t.Helper()
		// "the client must assume the token still exists" (RFC 7009 §2.2.1).
		if got := g.revoke(form); got.status != http.StatusServiceUnavailable || got.Error != oauth.CodeTemporarilyUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	breakTrail(t, path, `ALTER TABLE grants RENAME TO hidden`)
	refused("without the grants")
	breakTrail(t, path, `ALTER TABLE hidden RENAME TO grants`)
	if resp, _ := g.callModern(ada.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
		t.Errorf("a revocation that failed ended the grant: %d", resp.StatusCode)
	}
	breakTrail(t, path, `CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
	refused("without the trail")
	if resp, _ := g.callModern(ada.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the bearer gets %d", resp.StatusCode)
	}
	breakTrail(t, path, `DROP TRIGGER full`)
	if got := g.revoke(form); got.status != http.StatusOK {
		t.Errorf("again: %d %s", got.status, got.body)
	}
	if kinds := g.kinds(); strings.Count(kinds, "revoke ok revoked_by_client") != 1 {
		t.Errorf("the trail tells %s", kinds)
	}
}

func TestRevocationsShareTheLimitOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	g := start(t, "http: {rates: {token: {per_minute: 1, burst: 2}}}\n")
	for i, want := range []int{400, 400, 429} {
		if got := g.revoke(url.Values{}); got.status != want || (got.header.Get("Retry-After") != "") != (want == 429) {
			t.Errorf("request %d: %d, Retry-After %q", i, got.status, got.header.Get("Retry-After"))
		}
	}
	if got := g.token(url.Values{}); got.status != http.StatusTooManyRequests {
		t.Errorf("the token endpoint: %d", got.status)
	}
}
