package entrasim_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/shared/entrasim"
)

const redirect = "http://localhost:9/callback"

func start(t *testing.T, change func(*entrasim.Options)) *entrasim.Sim {
	t.Helper()
	opts := entrasim.Demo(redirect)
	if change != nil {
		change(&opts)
	}
	sim, err := entrasim.New("localhost:0", opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- sim.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return sim
}

func TestItServesOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	if _, err := entrasim.New("0.0.0.0:0", entrasim.Demo(redirect)); err == nil || !strings.Contains(err.Error(), "loopback only") {
		t.Errorf("err = %v", err)
	}
}

func get(t *testing.T, address string) (int, map[string]any, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("X-Ms-Request-Id") == "" {
		t.Error("an answer has no request id")
	}
	var doc map[string]any
	_ = json.Unmarshal(body, &doc)
	return resp.StatusCode, doc, string(body)
}

func TestDiscoveryOfEachKindOfAuthority(t *testing.T) {
	t.Parallel()
	sim := start(t, nil)
	for tenant, issuer := range map[string]string{
		entrasim.DemoTenant: "/" + entrasim.DemoTenant + "/v2.0", strings.ToUpper(entrasim.DemoTenant): "/" + entrasim.DemoTenant + "/v2.0",
		entrasim.DemoDomain: "/" + entrasim.DemoTenant + "/v2.0", "common": "/{tenantid}/v2.0", "organizations": "/{tenantid}/v2.0",
		"consumers": "/" + entrasim.ConsumersTenant + "/v2.0",
	} {
		status, doc, _ := get(t, sim.URL()+"/"+tenant+"/v2.0/.well-known/openid-configuration")
		if status != 200 || doc["issuer"] != sim.URL()+issuer {
			t.Errorf("%s: status %d, issuer %v", tenant, status, doc["issuer"])
		}
		// What Entra does not publish must not be invented.
		for _, absent := range []string{"code_challenge_methods_supported", "registration_endpoint", "revocation_endpoint"} {
			if _, ok := doc[absent]; ok {
				t.Errorf("%s: the document has %s", tenant, absent)
			}
		}
	}
	status, doc, _ := get(t, sim.URL()+"/nobody.example/v2.0/.well-known/openid-configuration")
	if status != 400 || doc["error"] != "invalid_tenant" || !strings.HasPrefix(doc["error_description"].(string), "AADSTS90002: ") {
		t.Errorf("an unknown tenant: %d %v", status, doc)
	}
}

type jwk struct {
	Kid, X5t, N, E, Issuer string
	X5c                    []string
}

func keys(t *testing.T, sim *entrasim.Sim) map[string]jwk {
	t.Helper()
	_, _, body := get(t, sim.URL()+"/"+entrasim.DemoTenant+"/discovery/v2.0/keys")
	var doc struct{ Keys []jwk }
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	all := map[string]jwk{}
	for _, k := range doc.Keys {
		all[k.Kid] = k
	}
	return all
}

func TestKeysHaveRealCertificates(t *testing.T) {
	t.Parallel()
	sim := start(t, nil)
	fixed := 0
	for kid, k := range keys(t, sim) {
		der, err := base64.StdEncoding.DecodeString(k.X5c[0])
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha1.Sum(der) //nolint:gosec // see above
		if want := base64.RawURLEncoding.EncodeToString(sum[:]); k.X5t != want || kid != want {
			t.Errorf("x5t = %s, kid = %s, want %s", k.X5t, kid, want)
		}
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		if err != nil || cert.PublicKey.(*rsa.PublicKey).N.Cmp(new(big.Int).SetBytes(n)) != 0 {
			t.Errorf("the certificate holds another key: %v", err)
		}
		if strings.Contains(k.Issuer, entrasim.ConsumersTenant) {
			fixed++
		} else if !strings.Contains(k.Issuer, "{tenantid}") {
			t.Errorf("issuer %q", k.Issuer)
		}
	}
	if fixed != 1 {
		t.Errorf("%d keys for personal accounts, want 1", fixed)
	}
}

// request is an authorization request that Entra accepts.
func request(change func(url.Values)) url.Values {
	q := url.Values{
		"client_id": {entrasim.DemoClientID}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {"openid profile email"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
		"prompt": {"select_account"}, "response_mode": {"query"},
	}
	if change != nil {
		change(q)
	}
	return q
}

func authorize(sim *entrasim.Sim, q url.Values) string {
	return sim.URL() + "/" + entrasim.DemoTenant + "/oauth2/v2.0/authorize?" + q.Encode()
}

// signIn returns the parameters of the callback.
func signIn(t *testing.T, sim *entrasim.Sim, q url.Values, who string) url.Values {
	t.Helper()
	callback, err := entrasim.SignIn(t.Context(), authorize(sim, q), who)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(callback)
	if err != nil || !strings.HasPrefix(callback, redirect+"?") {
		t.Fatalf("sent to %q, %v", callback, err)
	}
	return u.Query()
}

// redeem asks the token endpoint.
func redeem(t *testing.T, sim *entrasim.Sim, code string, change func(url.Values)) (int, map[string]any) {
	t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {entrasim.DemoClientID}, "client_secret": {sim.Secret(entrasim.DemoClientID)},
		"code": {code}, "redirect_uri": {redirect}, "code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	}
	if change != nil {
		change(form)
	}
	resp, err := http.PostForm(sim.URL()+"/"+entrasim.DemoTenant+"/oauth2/v2.0/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var doc map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, doc
}

const ada = entrasim.DemoTenant + "/" + entrasim.DemoAdmin

// claims verifies an ID token with a published key.
func claims(t *testing.T, sim *entrasim.Sim, doc map[string]any) (kid string, c map[string]any) {
	t.Helper()
	raw, _ := doc["id_token"].(string)
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatalf("%v: %v", doc, err)
	}
	kid = jws.Signatures[0].Header.KeyID
	k, ok := keys(t, sim)[kid]
	if !ok {
		t.Fatalf("signed by %s, which is not published", kid)
	}
	n, _ := base64.RawURLEncoding.DecodeString(k.N)
	payload, err := jws.Verify(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return kid, c
}

func TestCodeFlow(t *testing.T) {
	t.Parallel()
	sim := start(t, nil)
	back := signIn(t, sim, request(nil), ada)
	if back.Get("state") != "s" || len(back.Get("code")) < 2000 || back.Get("iss") != "" {
		t.Errorf("callback = %v", slices.Sorted(maps.Keys(back)))
	}
	status, doc := redeem(t, sim, back.Get("code"), nil)
	_, c := claims(t, sim, doc)
	for name, want := range map[string]any{
		"aud": entrasim.DemoClientID, "iss": sim.URL() + "/" + entrasim.DemoTenant + "/v2.0", "tid": entrasim.DemoTenant,
		"oid": entrasim.DemoAdmin, "ver": "2.0", "nonce": "n", "name": "Ada Admin", "email": "ada@contoso.example",
	} {
		if c[name] != want {
			t.Errorf("%s = %v, want %v", name, c[name], want)
		}
	}
	iat, exp := int64(c["iat"].(float64)), int64(c["exp"].(float64))
	if exp-iat != 3900 || time.Now().Unix()-iat < 290 {
		t.Errorf("iat %d, exp %d: not back-dated as Microsoft does", iat, exp)
	}
	if status != 200 || doc["refresh_token"] != nil || strings.Contains(doc["scope"].(string), "offline_access") {
		t.Errorf("status %d, answer %v", status, doc)
	}
	if v := sim.Violations(); len(v) != 0 {
		t.Errorf("violations of a good request: %v", v)
	}
	if sim.TokenCalls() != 1 {
		t.Errorf("%d token requests", sim.TokenCalls())
	}
}

func TestClaimsOfThePeople(t *testing.T) {
	t.Parallel()
	sim := start(t, nil)
	of := func(object string) map[string]any {
		_, doc := redeem(t, sim, signIn(t, sim, request(nil), entrasim.DemoTenant+"/"+object).Get("code"), nil)
		_, c := claims(t, sim, doc)
		return c
	}
	if c := of(entrasim.DemoNoRole); c["roles"] != nil || c["groups"] != nil || c["email"] != nil {
		t.Errorf("Nora: %v", c)
	}
	if c := of(entrasim.DemoOverage); c["groups"] != nil || c["_claim_names"] == nil || c["_claim_sources"] == nil {
		t.Errorf("Olga: %v", c)
	}
	if c := of(entrasim.DemoGuest); c["acct"] != 1.0 || !strings.Contains(c["idp"].(string), entrasim.DemoOtherTenant) {
		t.Errorf("Gus: %v", c)
	}
	sim.MutateClaims(func(c map[string]any) { delete(c, "oid") })
	if c := of(entrasim.DemoMember); c["oid"] != nil {
		t.Errorf("the claims were not changed: %v", c)
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	set := func(k, v string) func(url.Values) { return func(q url.Values) { q.Set(k, v) } }
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		aadsts string
		page   bool
	}{
		{"an unknown application", set("client_id", "x"), "AADSTS700016", true},
		{"another redirect", set("redirect_uri", "http://localhost:9/other"), "AADSTS50011", true},
		{"a resource", set("resource", "https://gw.example"), "AADSTS9010010", false},
		{"no scope", set("scope", ""), "AADSTS900144", false},
		{"response_type token", set("response_type", "token"), "AADSTS700054", false},
		{"a challenge of another size", set("code_challenge", "x"), "AADSTS501491", false},
		{"prompt none", set("prompt", "none"), "AADSTS50058", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := start(t, nil)
			client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			resp, err := client.Get(authorize(sim, request(tt.change)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, _ := io.ReadAll(resp.Body)
			location, _ := url.QueryUnescape(resp.Header.Get("Location"))
			if tt.page && (resp.StatusCode != 400 || location != "" || !strings.Contains(string(body), tt.aadsts)) {
				t.Errorf("status %d, location %q: %s", resp.StatusCode, location, body)
			}
			if !tt.page && (resp.StatusCode != 302 || !strings.Contains(location, tt.aadsts) || !strings.Contains(location, "\r\nTrace ID: ")) {
				t.Errorf("status %d, location %q", resp.StatusCode, location)
			}
			if v := strings.Join(sim.Violations(), "\n"); !strings.Contains(v, tt.aadsts) {
				t.Errorf("violations = %s", v)
			}
		})
	}
}

func TestOutcomesOfTheSignInPage(t *testing.T) {
	t.Parallel()
	sim := start(t, func(o *entrasim.Options) { o.Apps[0].AssignmentRequired = true })
	for who, want := range map[string]string{
		"": "AADSTS65004", entrasim.DemoOtherTenant + "/" + entrasim.DemoAdmin: "AADSTS50020", entrasim.DemoTenant + "/" + entrasim.DemoNoRole: "AADSTS50105",
	} {
		back := signIn(t, sim, request(nil), who)
		if back.Get("error") != "access_denied" || !strings.HasPrefix(back.Get("error_description"), want+": ") || back.Get("state") != "s" {
			t.Errorf("%q: %v", who, back)
		}
		if (back.Get("error_subcode") == "cancel") != (who == "") {
			t.Errorf("%q: subcode %q", who, back.Get("error_subcode"))
		}
	}
	if _, err := entrasim.SignIn(t.Context(), authorize(sim, request(nil)), "nobody"); err == nil {
		t.Error("somebody who does not exist signed in")
	}
}

func TestThePageEscapesNames(t *testing.T) {
	t.Parallel()
	sim := start(t, func(o *entrasim.Options) { o.Users[0].Name = "<script>alert(1)</script>" })
	_, _, body := get(t, authorize(sim, request(nil)))
	if strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script&gt;") || !strings.Contains(body, "development only") {
		t.Errorf("page:\n%s", body)
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	set := func(k, v string) func(url.Values) { return func(f url.Values) { f.Set(k, v) } }
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		status int
		code   string
		aadsts float64
	}{
		{"a wrong secret", set("client_secret", "x"), 401, "invalid_client", 7000215},
		{"no secret", set("client_secret", ""), 401, "invalid_client", 7000218},
		{"an unknown application", set("client_id", "x"), 400, "unauthorized_client", 700016},
		{"a wrong verifier", set("code_verifier", "x"), 400, "invalid_grant", 501481},
		{"another redirect", set("redirect_uri", "http://localhost:9/x"), 400, "invalid_client", 500112},
		{"an unknown code", set("code", "x"), 400, "invalid_grant", 70000},
		{"no grant_type", set("grant_type", ""), 400, "invalid_request", 900144},
		{"another grant_type", set("grant_type", "password"), 400, "unsupported_grant_type", 70003},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := start(t, nil)
			code := signIn(t, sim, request(nil), ada).Get("code")
			status, doc := redeem(t, sim, code, tt.change)
			codes, _ := doc["error_codes"].([]any)
			if status != tt.status || doc["error"] != tt.code || len(codes) != 1 || codes[0] != tt.aadsts || doc["trace_id"] == "" {
				t.Errorf("got %d %v", status, doc)
			}
			if status, doc := redeem(t, sim, code, nil); status != 200 {
				t.Errorf("then the right request gets %d %v", status, doc)
			}
			if status, doc := redeem(t, sim, code, nil); status != 400 || doc["error_codes"].([]any)[0] != 54005.0 {
				t.Errorf("a second redemption gets %d %v", status, doc)
			}
		})
	}
}

func TestCodesAndSecretsExpire(t *testing.T) {
	t.Parallel()
	sim := start(t, func(o *entrasim.Options) { o.Apps[0].SecretExpired = true })
	if status, doc := redeem(t, sim, "x", nil); status != 401 || doc["error_codes"].([]any)[0] != 7000222.0 {
		t.Errorf("an expired secret: %d %v", status, doc)
	}
	sim = start(t, nil)
	code := signIn(t, sim, request(nil), ada).Get("code")
	sim.Advance(10*time.Minute + time.Second)
	if status, doc := redeem(t, sim, code, nil); status != 400 || doc["error_codes"].([]any)[0] != 70008.0 {
		t.Errorf("an expired code: %d %v", status, doc)
	}
}

func TestGentleRoll(t *testing.T) {
	t.Parallel()
	sim := start(t, nil)
	signedBy := func() string {
		_, doc := redeem(t, sim, signIn(t, sim, request(nil), ada).Get("code"), nil)
		kid, _ := claims(t, sim, doc)
		return kid
	}
	before, published := signedBy(), len(keys(t, sim))
	sim.Publish()
	if len(keys(t, sim)) != published+1 || signedBy() != before {
		t.Error("publishing must add a key and not sign with it")
	}
	sim.Roll()
	after := signedBy()
	if _, still := keys(t, sim)[before]; after == before || !still {
		t.Error("rolling must sign with the new key and leave the old one published")
	}
	sim.Retire()
	if _, still := keys(t, sim)[before]; still || signedBy() != after {
		t.Error("retiring must withdraw the old key")
	}
	sim.SignPersonal()
	if k := keys(t, sim)[signedBy()]; !strings.Contains(k.Issuer, entrasim.ConsumersTenant) {
		t.Errorf("signed by a key of issuer %s", k.Issuer)
	}
}

func TestFailuresAreUsedUp(t *testing.T) {
	t.Parallel()
	sim := start(t, nil)
	sim.Fail(entrasim.Failure{Stage: entrasim.StageToken, Status: 429, Raw: "Too Many Requests", ContentType: "text/plain", RetryAfter: 60})
	address := sim.URL() + "/" + entrasim.DemoTenant + "/oauth2/v2.0/token"
	resp, err := http.PostForm(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "60" {
		t.Errorf("status %d", resp.StatusCode)
	}
	if status, _, _ := get(t, address); status != 400 {
		t.Errorf("the failure happened twice, or GET is accepted: %d", status)
	}
}
