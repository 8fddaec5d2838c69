package entrasim_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

// renew redeems a refresh token.
func (w *world) renew(token string) reply {
	return w.do(w.tokenRequest(entrasim.DemoTenant, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {entrasim.DemoClientID}, "client_secret": {secret}, "refresh_token": {token},
	}))
}

var offline = map[string]string{"scope": "openid profile offline_access"}

func TestRevokedSessionsEndAndOthersDoNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ada, max := w.login(entrasim.Ada, offline), w.login(entrasim.Max, offline)
	if err := w.sim.RevokeSessions(entrasim.Ada); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, w.renew(ada.RefreshToken), http.StatusBadRequest, "invalid_grant", 50173)
	w.tokens(w.renew(max.RefreshToken))
	w.clock.Advance(time.Second)
	w.tokens(w.renew(w.login(entrasim.Ada, offline).RefreshToken))
}

func TestWhoIsDisabledNeitherSignsInNorRenews(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ada, max := w.login(entrasim.Ada, offline), w.login(entrasim.Max, offline)
	disable := func(disabled bool) {
		t.Helper()
		if err := w.sim.Disable(entrasim.Ada, disabled); err != nil {
			t.Fatal(err)
		}
	}
	disable(true)
	wantFailure(t, w.renew(ada.RefreshToken), http.StatusBadRequest, "invalid_grant", 50057)
	if back := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil); back.Get("code") != "" || back.Get("error") == "" {
		t.Errorf("the client was answered %v", back)
	}
	w.tokens(w.renew(max.RefreshToken))
	disable(false)
	w.tokens(w.renew(ada.RefreshToken))
}

func TestOneTimeRefreshTokensAreGoodOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.sim.OneTimeRefreshTokens()
	first := w.login(entrasim.Max, offline)
	second := w.tokens(w.renew(first.RefreshToken))
	wantFailure(t, w.renew(first.RefreshToken), http.StatusBadRequest, "invalid_grant", 70000)
	w.tokens(w.renew(second.RefreshToken))
}

func TestOnlyWhoIsThereCanBeAdministered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if w.sim.RevokeSessions("nobody@contoso.example") == nil || w.sim.Disable("nobody@contoso.example", true) == nil {
		t.Error("somebody who does not exist was administered")
	}
}

func TestARefreshTokenMayBeLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.sim.FailToken(entrasim.Outcome{Fault: entrasim.NoRefreshToken})
	if got := w.login(entrasim.Max, offline); got.RefreshToken != "" || got.IDToken == "" {
		t.Errorf("got %+v", got)
	}
}
