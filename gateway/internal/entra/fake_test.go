package entra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/shared/secret"
)

const (
	tenantID = "11111111-2222-4333-8444-555555555555"
	otherID  = "99999999-2222-4333-8444-555555555555"
	// personalID is the tenant of personal accounts.
	personalID = "9188040d-6c67-4c5b-b112-36a304b66dad"
	clientID   = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	objectID   = "0b0b0b0b-1c1c-4d2d-8e3e-4f4f4f4f4f4f"
	traceID    = "47a2cafe-0000-4000-8000-00000000a100"
	corrID     = "14bfcafe-0000-4000-8000-000000009e00"
	redirect   = "http://localhost:8788/callback"

	// Canaries: none of these may ever be in a log line or an error.
	clientSecret = "canary-secret~value"
	authCode     = "canary-code.AQABAAIAAAD"
	nonce        = "canary-nonce"
	accessToken  = "canary-access-token"
	verifier     = "canary-verifier-canary-verifier-canary-verifier"
)

var (
	// now is when every sign-in of these tests happens, unless it says otherwise.
	now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

	request = entra.AuthRequest{State: "state", Nonce: nonce, Verifier: verifier}

	// Keys are dear to make, so all tests share them.
	keyA, keyB = sync.OnceValue(newKey), sync.OnceValue(newKey)
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// fake is a small stand-in for Microsoft that can be made to misbehave in each
// of its three answers. entrasim, which behaves, has its own test.
type fake struct {
	*httptest.Server

	documents, keySets, redemptions atomic.Int32

	mu sync.Mutex
	// guards below; nil: the answer of a healthy tenant
	document, keySet, token http.HandlerFunc
	form                    url.Values
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", f.answer(&f.documents, &f.document, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, f.metadata())
	}))
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", f.answer(&f.keySets, &f.keySet, func(w http.ResponseWriter, r *http.Request) {
		keySetOf(f.jwk("kid-a", keyA()))(w, r)
	}))
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", f.answer(&f.redemptions, &f.token, func(w http.ResponseWriter, r *http.Request) {
		tokenOf(sign("kid-a", jose.RS256, keyA(), f.claims()))(w, r)
	}))
	f.Server = httptest.NewUnstartedServer(mux)
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fake) answer(count *atomic.Int32, set *http.HandlerFunc, healthy http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		_ = r.ParseForm()
		f.mu.Lock()
		handler := *set
		if r.Method == http.MethodPost {
			f.form = r.PostForm
		}
		f.mu.Unlock()
		if handler == nil {
			handler = healthy
		}
		handler(w, r)
	}
}

func (f *fake) set(handler *http.HandlerFunc, to http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*handler = to
}

func (f *fake) issuer() string { return f.URL + "/" + tenantID + "/v2.0" }

func (f *fake) metadata() map[string]any {
	base := f.URL + "/" + tenantID
	return map[string]any{
		"issuer": f.issuer(), "authorization_endpoint": base + "/oauth2/v2.0/authorize",
		"token_endpoint": base + "/oauth2/v2.0/token", "jwks_uri": base + "/discovery/v2.0/keys",
	}
}

// jwk is a signing key as the tenant's key set has it.
func (f *fake) jwk(id string, key *rsa.PrivateKey) map[string]any {
	data, err := json.Marshal(jose.JSONWebKey{Key: &key.PublicKey, KeyID: id, Use: "sig"})
	if err != nil {
		panic(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		panic(err)
	}
	members["issuer"] = f.URL + "/{tenantid}/v2.0"
	return members
}

func keySetOf(keys ...map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
	}
}

// claims are those of a member with nothing special.
func (f *fake) claims() map[string]any {
	return map[string]any{
		"iss": f.issuer(), "aud": clientID, "tid": tenantID, "oid": objectID, "ver": "2.0", "nonce": nonce,
		"iat": now.Add(-5 * time.Minute).Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
		"sub": "pairwise", "name": "Ada Admin", "preferred_username": "ada@contoso.example",
	}
}

func sign(id string, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", id))
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}

// tokenOf answers a redemption with an ID token.
func tokenOf(idToken string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": accessToken, "id_token": idToken})
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// refusal is an error answer in the shape recorded from Microsoft.
func refusal(status int, code string, number int, more map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body := map[string]any{
			"error": code, "error_codes": []int{number}, "trace_id": traceID, "correlation_id": corrID, "timestamp": "2026-11-24 12:00:00Z",
			"error_description": fmt.Sprintf("AADSTS%d: %s words.\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: 2026-11-24 12:00:00Z", number, authCode, traceID, corrID),
			"error_uri":         fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", number),
		}
		maps.Copy(body, more)
		writeJSON(w, status, body)
	}
}

// config is for the fake; a test changes what it is about.
func (f *fake) config() entra.Config {
	return entra.Config{
		Authority: f.URL, Tenant: tenantID, ClientID: clientID, ClientSecret: secret.New(clientSecret),
		RedirectURL: redirect, InsecureAllowHTTP: true, HTTPClient: f.Client(),
	}
}

func (f *fake) provider(t *testing.T) *entra.Provider {
	t.Helper()
	return newProvider(t, f.config())
}

func newProvider(t *testing.T, cfg entra.Config) *entra.Provider {
	t.Helper()
	p, err := entra.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantError checks a failure's kind, code and, in its text, its reason.
func wantError(t *testing.T, err error, kind entra.Kind, code, reason string) *entra.Error {
	t.Helper()
	got, ok := errors.AsType[*entra.Error](err)
	if !ok {
		t.Fatalf("got error %v (%T), want *entra.Error", err, err)
	}
	if got.Kind != kind || got.Code != code {
		t.Errorf("got %s %q, want %s %q (%v)", got.Kind, got.Code, kind, code, err)
	}
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("got %q, which does not say %q", err, reason)
	}
	wantPlainWords(t, got)
	return got
}

// wantPlainWords checks what every failure owes its reader.
func wantPlainWords(t *testing.T, e *entra.Error) {
	t.Helper()
	if e.Summary == "" || e.Help == "" {
		t.Errorf("summary %q, help %q: both must be there", e.Summary, e.Help)
	}
	// RFC 6749 §4.1.2.1: error_description is %x20-21 / %x23-5B / %x5D-7E.
	if i := strings.IndexFunc(e.Summary, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }); i >= 0 {
		t.Errorf("summary %q cannot be an error_description", e.Summary)
	}
	for _, text := range []string{e.Error(), fmt.Sprintf("%+v", *e), e.Summary, e.Help} {
		if strings.Contains(text, "canary") {
			t.Errorf("%q has something secret in it", text)
		}
	}
}
