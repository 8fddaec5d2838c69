package entrasim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

func TestPlannedErrorsOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
	tests := map[string]struct {
		outcome  entrasim.Outcome
		status   int
		code     string
		aadsts   int
		suberror string
	}{
		"a code alone says the rest":  {entrasim.Outcome{AADSTS: 50173}, 400, "invalid_grant", 50173, "bad_token"},
		"multi-factor":                {entrasim.Outcome{AADSTS: 50076}, 400, "interaction_required", 50076, "basic_action"},
		"sign-in frequency":           {entrasim.Outcome{AADSTS: 70043}, 400, "invalid_grant", 70043, "token_expired"},
		"consent":                     {entrasim.Outcome{AADSTS: 65001}, 400, "invalid_grant", 65001, "consent_required"},
		"two resources":               {entrasim.Outcome{AADSTS: 28000}, 400, "invalid_request", 28000, ""},
		"expired secret":              {entrasim.Outcome{AADSTS: 7000222}, 401, "invalid_client", 7000222, ""},
		"assertion out of time":       {entrasim.Outcome{AADSTS: 700024}, 401, "invalid_client", 700024, ""},
		"busy":                        {entrasim.Outcome{AADSTS: 90033, Error: "temporarily_unavailable"}, 503, "temporarily_unavailable", 90033, ""},
		"an unknown code is an error": {entrasim.Outcome{AADSTS: 1}, 500, "server_error", 1, ""},
		"everything can be said":      {entrasim.Outcome{AADSTS: 50076, Error: "invalid_grant", Subcode: "message_only", Status: 418}, 418, "invalid_grant", 50076, "message_only"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.sim.FailToken(test.outcome)
			r := w.exchange(entrasim.DemoTenant, code, nil)
			wantFailure(t, r, test.status, test.code, test.aadsts)
			if got := decode[oauthError](t, r.body); got.Suberror != test.suberror {
				t.Errorf("suberror %q, want %q", got.Suberror, test.suberror)
			}
		})
	}
	w.tokens(w.exchange(entrasim.DemoTenant, code, nil)) // none of them used the code up
	w.wantViolations(0, "")
}

func TestPlannedErrorsCarryClaimsAndText(t *testing.T) {
	t.Parallel()
	const challenge = `{"access_token":{"polids":{"essential":true,"values":["9ab0"]}}}`
	outcome := entrasim.Outcome{AADSTS: 50079, Claims: challenge, Description: "<script>alert(1)</script>"}
	w := newWorld(t, nil)
	w.sim.FailToken(outcome)
	got := decode[oauthError](t, w.exchange(entrasim.DemoTenant, "1.x", nil).body)
	if got.Claims != challenge || !strings.HasPrefix(got.Description, "AADSTS50079: <script>alert(1)</script>\r\n") {
		t.Errorf("got %+v", got)
	}
	w.sim.FailAuthorize(outcome)
	if got := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil); got.Get("claims") != challenge || !strings.HasPrefix(got.Get("error_description"), "AADSTS50079: <script>") {
		t.Errorf("callback %v", got)
	}
	w.sim.FailToken(entrasim.Outcome{})
	r := w.exchange(entrasim.DemoTenant, "1.x", nil)
	if got := decode[oauthError](t, r.body); r.status != 500 || got.Error != "server_error" || len(got.Codes) != 0 || got.URI != "" {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestPlannedOutcomesOfTheSignInPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for aadsts, code := range map[int]string{
		65004: "access_denied", 90094: "consent_required", 50105: "access_denied", 50020: "access_denied", 53003: "access_denied",
	} {
		w.sim.FailAuthorize(entrasim.Outcome{AADSTS: aadsts})
		if got := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil); got.Get("error") != code || got.Has("code") {
			t.Errorf("%d: callback %v", aadsts, got)
		}
	}
	w.sim.FailAuthorize(entrasim.Outcome{Error: "access_denied", Subcode: "cancel", AADSTS: 65004})
	if got := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil); got.Get("error_subcode") != "cancel" {
		t.Errorf("callback %v", got)
	}
	for want, outcome := range map[string]entrasim.Outcome{
		"status 400: AADSTS50011: ": {AADSTS: 50011, Page: true},
		"status 503: ":              {Fault: entrasim.Outage},
	} {
		w.sim.FailAuthorize(outcome)
		got, err := entrasim.SignIn(t.Context(), w.client, w.url+authorizePath(entrasim.DemoTenant, query(nil)), entrasim.Ada)
		if got != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil); !got.Has("code") {
		t.Errorf("an outcome happened twice: %v", got)
	}
	w.wantViolations(0, "")
}

func TestOutcomesHappenInOrderAndStandingOnesStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
	w.sim.FailToken(entrasim.Outcome{AADSTS: 50076})
	w.sim.FailToken(entrasim.Outcome{AADSTS: 50057, Standing: true})
	w.sim.MutateClaims(func(c map[string]any) { clear(c) })
	for _, want := range []int{50076, 50057, 50057} {
		r := w.exchange(entrasim.DemoTenant, code, nil)
		if got := decode[oauthError](t, r.body); r.status != http.StatusBadRequest || got.Codes[0] != want {
			t.Errorf("got %v, want %d", got.Codes, want)
		}
	}
	w.sim.Recover()
	w.mustVerify(w.tokens(w.exchange(entrasim.DemoTenant, code, nil)).IDToken)
}

func TestFaultsOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	fail := func(f entrasim.Fault) reply {
		code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
		w.sim.FailToken(entrasim.Outcome{Fault: f})
		return w.exchange(entrasim.DemoTenant, code, nil)
	}
	if r := fail(entrasim.Throttled); r.status != 429 || r.body != "Too Many Requests" || r.header.Get("Retry-After") != "60" || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("throttled: %+v", r)
	}
	if r := fail(entrasim.Outage); r.status != 503 || !strings.HasPrefix(r.body, "<html>") {
		t.Errorf("outage: %+v", r)
	}
	if r := fail(entrasim.Garbage); r.status != 200 || strings.HasPrefix(r.body, "{") {
		t.Errorf("garbage: %+v", r)
	}
	if r := fail(entrasim.Truncated); r.status != 200 || !strings.HasPrefix(r.body, `{"token_type":"Bearer",`) || strings.HasSuffix(r.body, "}") {
		t.Errorf("truncated: %+v", r)
	}
	if got := w.tokens(fail(entrasim.NoIDToken)); got.IDToken != "" || got.AccessToken == "" {
		t.Errorf("no id_token: %+v", got)
	}
	r := fail(entrasim.Redirected)
	if r.status != http.StatusTemporaryRedirect {
		t.Errorf("redirected: %+v", r)
	}
	w.wantViolations(0, "")
	w.do(w.request(http.MethodPost, r.header.Get("Location"), form, "client_secret=x"))
	w.wantViolations(1, `POST "/redirected"`)
}

func TestLateFaultsDoNotHideARefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.sim.FailToken(entrasim.Outcome{Fault: entrasim.Truncated})
	wantFailure(t, w.exchange(entrasim.DemoTenant, "1.invented", nil), 400, "invalid_grant", 70000)
}

func TestFaultsOfTheConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	send := func(ctx context.Context, f entrasim.Fault) (*http.Response, error) {
		w.sim.FailToken(entrasim.Outcome{Fault: f})
		return w.client.Do(w.tokenRequest(entrasim.DemoTenant, query(nil)).WithContext(ctx))
	}
	if resp, err := send(t.Context(), entrasim.HangUp); !errors.Is(err, io.EOF) {
		t.Errorf("hang-up: %v, %v, want EOF", resp, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if resp, err := send(short, entrasim.SilentHeaders); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent headers: %v, %v, want a timeout", resp, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := send(ctx, entrasim.SilentBody)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	first := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil || resp.StatusCode != http.StatusOK || string(first) != "{" {
		t.Errorf("silent body: %d %q %v, want the first byte", resp.StatusCode, first, err)
	}
	cancel()
	if rest, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("silent body: %q, %v, want nothing until the caller gives up", rest, err)
	}
}

func TestDiscoveryAndKeysFailToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for path, plan := range map[string]func(entrasim.Outcome){
		"/" + entrasim.DemoTenant + discoveryPath:          w.sim.FailDiscovery,
		"/" + entrasim.DemoTenant + "/discovery/v2.0/keys": w.sim.FailKeys,
	} {
		plan(entrasim.Outcome{Fault: entrasim.Outage})
		plan(entrasim.Outcome{AADSTS: 90033, Error: "temporarily_unavailable"})
		if r := w.get(path); r.status != http.StatusServiceUnavailable || r.header.Get("Content-Type") != "text/html" {
			t.Errorf("%s: %+v", path, r)
		}
		wantFailure(t, w.get(path), http.StatusServiceUnavailable, "temporarily_unavailable", 90033)
		if r := w.get(path); r.status != http.StatusOK {
			t.Errorf("%s does not recover: %+v", path, r)
		}
	}
}
