package entrasim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

const (
	secret      = "S3cret~+/%&value"
	redirectURI = "http://localhost:8788/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	nonce       = "n-0S6_WzA2Mj"
	state       = "af0ifjsldkj"
	form        = "application/x-www-form-urlencoded"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a simulator behind a server, and the client that talks to it.
type world struct {
	t      *testing.T
	sim    *entrasim.Sim
	clock  *clock
	url    string
	client *http.Client
}

// newWorld starts the demonstration directory, changed as the test needs it.
func newWorld(t *testing.T, change func(*entrasim.Options)) *world {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	o := entrasim.Demo(entrasim.DemoClientID, secret, redirectURI)
	o.Now = c.Now
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	if change != nil {
		change(&o)
	}
	sim, err := entrasim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &world{t: t, sim: sim, clock: c, url: srv.URL, client: client}
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(req *http.Request) reply {
	w.t.Helper()
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func (w *world) request(method, path, contentType, body string) *http.Request {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

func (w *world) get(path string) reply { return w.do(w.request(http.MethodGet, path, "", "")) }

// query is a correct authorization request; set changes it, and an empty value
// removes a parameter.
func query(set map[string]string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return with(url.Values{
		"client_id": {entrasim.DemoClientID}, "response_type": {"code"}, "redirect_uri": {redirectURI},
		"response_mode": {"query"}, "scope": {"openid profile email"}, "state": {state}, "nonce": {nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"prompt": {"select_account"},
	}, set)
}

func with(v url.Values, set map[string]string) url.Values {
	for name, value := range set {
		v.Set(name, value)
		if value == "" {
			v.Del(name)
		}
	}
	return v
}

func authorizePath(tenant string, q url.Values) string {
	return "/" + tenant + "/oauth2/v2.0/authorize?" + q.Encode()
}

// signIn picks a person and returns the parameters of the callback.
func (w *world) signIn(tenant, user string, set map[string]string) url.Values {
	w.t.Helper()
	callback, err := entrasim.SignIn(w.t.Context(), w.client, w.url+authorizePath(tenant, query(set)), user)
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(callback)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.Query()
}

// exchange sends a correct token request for a code, changed by set.
func (w *world) exchange(tenant, code string, set map[string]string) reply {
	w.t.Helper()
	return w.do(w.tokenRequest(tenant, with(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {entrasim.DemoClientID}, "client_secret": {secret},
		"code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	}, set)))
}

func (w *world) tokenRequest(tenant string, v url.Values) *http.Request {
	w.t.Helper()
	return w.request(http.MethodPost, "/"+tenant+"/oauth2/v2.0/token", form, v.Encode())
}

// tokens is a successful answer of the token endpoint.
type tokens struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope"`
	ExpiresIn    int    `json:"expires_in"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
}

func (w *world) tokens(r reply) tokens {
	w.t.Helper()
	if r.status != http.StatusOK {
		w.t.Fatalf("status %d: %s", r.status, r.body)
	}
	return decode[tokens](w.t, r.body)
}

// login is the whole sign-in of one person.
func (w *world) login(user string, set map[string]string) tokens {
	w.t.Helper()
	code := w.signIn(entrasim.DemoTenant, user, set).Get("code")
	return w.tokens(w.exchange(entrasim.DemoTenant, code, nil))
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

// oauthError is Microsoft's error answer.
type oauthError struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri"`
	Suberror      string `json:"suberror"`
	Claims        string `json:"claims"`
}

// wantFailure asserts the OAuth code, the AADSTS code and the status.
func wantFailure(t *testing.T, r reply, status int, code string, aadsts int) {
	t.Helper()
	got := decode[oauthError](t, r.body)
	if r.status != status || got.Error != code || len(got.Codes) != 1 || got.Codes[0] != aadsts {
		t.Errorf("got %d %s %v, want %d %s [%d]: %s", r.status, got.Error, got.Codes, status, code, aadsts, r.body)
	}
}

// wantViolations asserts how many violations were recorded, and that the last
// one says what was wrong.
func (w *world) wantViolations(n int, last string) {
	w.t.Helper()
	got := w.sim.Violations()
	if len(got) != n || (n > 0 && !strings.Contains(got[n-1], last)) {
		w.t.Errorf("violations %q, want %d and %q in the last", got, n, last)
	}
}
