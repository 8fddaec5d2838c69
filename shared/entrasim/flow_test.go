package entrasim_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"mcp-gateway/shared/entrasim"
)

// verify checks an id_token as a careful client does, with an independent
// library, and returns its claims.
func (w *world) verify(tenant, token string) (map[string]any, error) {
	w.t.Helper()
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, err
	}
	body, err := parsed.Verify(decode[jose.JSONWebKeySet](w.t, w.get("/"+tenant+"/discovery/v2.0/keys").body))
	if err != nil {
		return nil, err
	}
	claims := decode[map[string]any](w.t, string(body))
	now := float64(w.clock.Now().Unix())
	if exp, ok := claims["exp"].(float64); ok && now >= exp {
		return nil, errors.New("expired")
	}
	if nbf, ok := claims["nbf"].(float64); ok && now < nbf {
		return nil, errors.New("not yet good")
	}
	return claims, nil
}

func (w *world) mustVerify(token string) map[string]any {
	w.t.Helper()
	claims, err := w.verify(entrasim.DemoTenant, token)
	if err != nil {
		w.t.Fatal(err)
	}
	return claims
}

func TestSignInGivesTheTokensThatMicrosoftGives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	callback := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil)
	if got := callback.Get("state"); got != state {
		t.Errorf("state %q, want %q", got, state)
	}
	if callback.Get("session_state") == "" || callback.Get("iss") != "" {
		t.Errorf("callback %v, want session_state and no iss", callback)
	}
	if n := len(callback.Get("code")); n < 2048 {
		t.Errorf("the code has %d bytes: a client that bounds it too tightly would not notice", n)
	}
	r := w.exchange(entrasim.DemoTenant, callback.Get("code"), nil)
	got := w.tokens(r)
	if got.TokenType != "Bearer" || got.Scope != "email openid profile" || got.RefreshToken != "" {
		t.Errorf("got %s, %q, refresh token %q", got.TokenType, got.Scope, got.RefreshToken)
	}
	if got.ExpiresIn < 3599 || got.ExpiresIn > 5399 || strings.Count(got.AccessToken, ".") != 2 {
		t.Errorf("expires_in %d, access token %.20s", got.ExpiresIn, got.AccessToken)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store, no-cache", "Pragma": "no-cache", "Expires": "-1", "x-ms-clitelem": "1,0,0,,",
		"Content-Type": "application/json; charset=utf-8", "X-Content-Type-Options": "nosniff",
	} {
		if r.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, r.header.Get(name), want)
		}
	}
	if r.header.Get("x-ms-request-id") == "" || r.header.Get("x-ms-ests-server") == "" || len(r.header.Values("Set-Cookie")) != 3 {
		t.Errorf("headers %v", r.header)
	}
	w.wantViolations(0, "")
}

func TestIDTokenHasTheClaimsOfVersionTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	claims := w.mustVerify(w.login(entrasim.Ada, nil).IDToken)
	for _, random := range []string{"aio", "rh", "uti", "sub"} {
		if claims[random] == "" {
			t.Errorf("no %s", random)
		}
		delete(claims, random)
	}
	at := float64(w.clock.Now().Add(-5 * time.Minute).Unix())
	want := map[string]any{
		"ver": "2.0", "iss": w.url + "/" + entrasim.DemoTenant + "/v2.0", "aud": entrasim.DemoClientID,
		"iat": at, "nbf": at, "exp": at + 3900, "oid": entrasim.AdaObject, "tid": entrasim.DemoTenant, "nonce": nonce,
		"name": "Ada Admin", "preferred_username": entrasim.Ada, "email": entrasim.Ada, "acct": float64(0),
		"roles":  []any{entrasim.RoleAdmin, entrasim.RoleUser},
		"groups": []any{entrasim.GroupEngineering, entrasim.GroupOperations},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
}

func TestClaimsDependOnThePersonAndTheScopes(t *testing.T) {
	t.Parallel()
	many := make([]string, 199)
	for i := range many {
		many[i] = entrasim.GroupEngineering
	}
	w := newWorld(t, func(o *entrasim.Options) {
		o.Users[1].Groups = many
		o.Users[1].Name = "\u202eلمياء <script>alert(1)</script> " + strings.Repeat("名", 300)
	})
	tests := map[string]struct {
		user, scope string
		want        map[string]any // nil: the claim is absent
	}{
		"nobody without roles has a roles claim": {
			entrasim.Nora, "openid profile email",
			map[string]any{"roles": nil, "groups": nil, "email": nil, "_claim_names": nil, "oid": entrasim.NoraObject},
		},
		"without the profile scope there is no identity": {
			entrasim.Ada, "openid email",
			map[string]any{"oid": nil, "tid": nil, "name": nil, "preferred_username": nil, "email": entrasim.Ada},
		},
		"without the email scope there is no mail address": {
			entrasim.Ada, "openid profile", map[string]any{"email": nil, "oid": entrasim.AdaObject},
		},
		"more than 200 groups are named by a place to ask": {
			entrasim.Olga, "openid profile", map[string]any{
				"groups": nil, "_claim_names": map[string]any{"groups": "src1"},
				"_claim_sources": map[string]any{"src1": map[string]any{
					"endpoint": "https://graph.windows.net/" + entrasim.DemoTenant + "/users/" + entrasim.OlgaObject + "/getMemberObjects",
				}},
			},
		},
		"a guest is marked": {
			entrasim.Gus, "openid profile",
			map[string]any{"acct": float64(1), "idp": "https://sts.windows.net/33333333-3333-4333-8333-333333333333/", "tid": entrasim.DemoTenant},
		},
		"a hostile name and many groups pass as they are": {
			entrasim.Max, "openid profile",
			map[string]any{"name": "\u202eلمياء <script>alert(1)</script> " + strings.Repeat("名", 300), "_claim_names": nil},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			claims := w.mustVerify(w.login(test.user, map[string]string{"scope": test.scope}).IDToken)
			for claim, want := range test.want {
				if diff := cmp.Diff(want, claims[claim]); diff != "" {
					t.Errorf("%s: %s", claim, diff)
				}
			}
			if groups, ok := claims["groups"].([]any); test.user == entrasim.Max && (!ok || len(groups) != 199) {
				t.Errorf("%d groups, want 199", len(groups))
			}
		})
	}
}

func TestSubjectIsPairwise(t *testing.T) {
	t.Parallel()
	const second = "c0ffee00-0000-4000-8000-000000000002"
	w := newWorld(t, func(o *entrasim.Options) {
		app := o.Apps[0]
		app.ClientID = second
		o.Apps = append(o.Apps, app)
	})
	first := w.mustVerify(w.login(entrasim.Ada, nil).IDToken)["sub"]
	if again := w.mustVerify(w.login(entrasim.Ada, nil).IDToken)["sub"]; again != first {
		t.Errorf("sub changed from %v to %v", first, again)
	}
	set := map[string]string{"client_id": second}
	got := w.tokens(w.exchange(entrasim.DemoTenant, w.signIn(entrasim.DemoTenant, entrasim.Ada, set).Get("code"), set))
	if other := payload(t, got.IDToken)["sub"]; other == first {
		t.Errorf("sub %v is the same for two clients", other)
	}
}

// payload reads the claims without a check.
func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	return decode[map[string]any](t, string(parsed.UnsafePayloadWithoutVerification()))
}

func TestTheImpostorSharesAllButTheTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *entrasim.Options) { o.Apps[0].MultiTenant = true })
	ada := w.mustVerify(w.login(entrasim.Ada, nil).IDToken)
	code := w.signIn("common", entrasim.Mallory, nil).Get("code")
	mallory := payload(t, w.tokens(w.exchange("common", code, nil)).IDToken)
	for _, claim := range []string{"oid", "email", "name"} {
		if ada[claim] != mallory[claim] {
			t.Errorf("%s: %v and %v differ", claim, ada[claim], mallory[claim])
		}
	}
	if mallory["tid"] != entrasim.OtherTenant || mallory["iss"] != w.url+"/"+entrasim.OtherTenant+"/v2.0" {
		t.Errorf("tid %v, iss %v", mallory["tid"], mallory["iss"])
	}
}

func TestRefreshGivesANewTokenAndKeepsTheOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.login(entrasim.Max, map[string]string{"scope": "openid profile offline_access"})
	if first.Scope != "openid profile" || len(first.RefreshToken) < 1024 {
		t.Fatalf("scope %q, refresh token of %d bytes", first.Scope, len(first.RefreshToken))
	}
	refresh := func(token, scope string) reply {
		return w.do(w.tokenRequest(entrasim.DemoTenant, with(url.Values{
			"grant_type": {"refresh_token"}, "client_id": {entrasim.DemoClientID}, "client_secret": {secret}, "refresh_token": {token},
		}, map[string]string{"scope": scope})))
	}
	for range 2 {
		next := w.tokens(refresh(first.RefreshToken, ""))
		if next.RefreshToken == "" || next.RefreshToken == first.RefreshToken {
			t.Error("no new refresh token")
		}
		claims := w.mustVerify(next.IDToken)
		if claims["oid"] != entrasim.MaxObject || claims["nonce"] != nil {
			t.Errorf("oid %v, nonce %v", claims["oid"], claims["nonce"])
		}
	}
	if got := w.tokens(refresh(first.RefreshToken, "openid")); got.RefreshToken != "" || got.Scope != "openid" {
		t.Errorf("the scope of the token leg was not honoured: %q", got.Scope)
	}
	wantFailure(t, refresh("1.invented", ""), http.StatusBadRequest, "invalid_grant", 70000)
	w.clock.Advance(90 * 24 * time.Hour)
	wantFailure(t, refresh(first.RefreshToken, ""), http.StatusBadRequest, "invalid_grant", 700082)
	w.wantViolations(0, "")
}

func TestMutationsChangeOneTokenEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.sim.MutateClaims(func(c map[string]any) { c["nonce"], c["roles"] = "another", []string{} })
	w.sim.MutateClaims(func(c map[string]any) { delete(c, "exp") })
	if got := w.mustVerify(w.login(entrasim.Ada, nil).IDToken); got["nonce"] != "another" || len(got["roles"].([]any)) != 0 {
		t.Errorf("nonce %v, roles %v", got["nonce"], got["roles"])
	}
	if got := w.mustVerify(w.login(entrasim.Ada, nil).IDToken); got["exp"] != nil || got["nonce"] != nonce {
		t.Errorf("exp %v, nonce %v", got["exp"], got["nonce"])
	}
	if got := w.mustVerify(w.login(entrasim.Ada, nil).IDToken); got["exp"] == nil {
		t.Error("the mutation happened twice")
	}
}

func TestTokensOutOfTimeAreRefusedByACarefulClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	now := w.clock.Now().Unix()
	for want, change := range map[string]func(map[string]any){
		"expired":      func(c map[string]any) { c["exp"] = now },
		"not yet good": func(c map[string]any) { c["nbf"] = now + 1 },
	} {
		w.sim.MutateClaims(change)
		if _, err := w.verify(entrasim.DemoTenant, w.login(entrasim.Ada, nil).IDToken); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestForgedTokensFailAsTheyShould(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	login := func(alg string) string {
		w.sim.MutateHeader(func(h map[string]any) { h["alg"] = alg })
		return w.login(entrasim.Ada, nil).IDToken
	}
	if token := login("none"); !strings.HasSuffix(token, ".") {
		t.Errorf("alg none has a signature: %s", token)
	}
	hmac := login("HS256")
	if _, err := jose.ParseSignedCompact(hmac, []jose.SignatureAlgorithm{jose.RS256}); err == nil {
		t.Error("an RS256 client accepted HS256")
	}
	// The attack is real: whoever takes the public key for a shared secret accepts it.
	parsed, err := jose.ParseSignedCompact(hmac, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Verify(publicDER(t, w)); err != nil {
		t.Errorf("HS256 is not under the public key: %v", err)
	}
	w.sim.MutateHeader(func(h map[string]any) { h["alg"] = "ES256" })
	r := w.exchange(entrasim.DemoTenant, w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code"), nil)
	if r.status != http.StatusInternalServerError || !strings.Contains(r.body, "nothing here signs with ES256") {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestTokenResponseHasTheRecordedOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, map[string]string{"scope": "openid offline_access"}).Get("code")
	got := members(t, w.exchange(entrasim.DemoTenant, code, nil).body)
	want := []string{"token_type", "scope", "expires_in", "ext_expires_in", "access_token", "refresh_token", "id_token"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// members lists the names of a JSON object in order.
func members(t *testing.T, body string) []string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(body))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
	}
	return names
}
