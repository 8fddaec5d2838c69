package entra_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/secret"
)

const (
	firstRefresh = "canary-refresh-first"
	nextRefresh  = "canary-refresh-next"
)

// before is somebody who signed in once.
var before = entra.SignIn{Identity: store.Identity{Tenant: tenantID, Object: objectID, Name: "Ada"}, Refresh: secret.New(firstRefresh)}

// renewed answers a renewal: the claims are Ada's of now, without a nonce.
func (f *fake) renewed(refresh string, more map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		claims := f.claims()
		delete(claims, "nonce")
		maps.Copy(claims, more)
		answer := map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": accessToken, "id_token": sign("kid-a", jose.RS256, keyA(), claims)}
		if refresh != "" {
			answer["refresh_token"] = refresh
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

func TestASignInKeepsTheRefreshToken(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(&f.token, f.renewed(firstRefresh, map[string]any{"nonce": nonce}))
	in, err := f.provider(t).Exchange(t.Context(), authCode, request, now)
	if err != nil || in.Refresh.Reveal() != firstRefresh {
		t.Errorf("got %q, %v", in.Refresh.Reveal(), err)
	}
}

func TestRenewSaysWhoThePersonIsByNow(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(&f.token, f.renewed(nextRefresh, map[string]any{"name": "Ada Byron", "roles": []string{"Mcp.User"}}))
	got, err := f.provider(t).Renew(t.Context(), before, now)
	if err != nil {
		t.Fatal(err)
	}
	want := store.Identity{Tenant: tenantID, Object: objectID, Name: "Ada Byron", Username: "ada@contoso.example", Roles: []string{"Mcp.User"}}
	if diff := cmp.Diff(want, got.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if got.Refresh.Reveal() != nextRefresh {
		t.Errorf("the refresh token is %q", got.Refresh.Reveal())
	}
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {firstRefresh}, "scope": {"openid profile email offline_access"},
		"client_id": {clientID}, "client_secret": {clientSecret},
	}
	if diff := cmp.Diff(form, f.form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
}

// RFC 6749 §6: the server MAY issue a new refresh token. Without one the old
// stays.
func TestRenewWithoutANewRefreshTokenKeepsTheOld(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(&f.token, f.renewed("", map[string]any{"nonce": "of the first sign-in"}))
	got, err := f.provider(t).Renew(t.Context(), before, now)
	if err != nil || got.Refresh.Reveal() != firstRefresh {
		t.Errorf("got %q, %v", got.Refresh.Reveal(), err)
	}
}

func TestRenewRefusesATokenAboutSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]map[string]any{
		"another person": {"oid": otherID},
		"nobody":         {"oid": ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.token, f.renewed(nextRefresh, claims))
			got, err := f.provider(t).Renew(t.Context(), before, now)
			wantError(t, err, entra.KindMisconfigured, "id_token_rejected", "")
			if diff := cmp.Diff(store.Identity{}, got.Identity); diff != "" || !got.Refresh.IsZero() {
				t.Errorf("a rejected token gave something: %s", diff)
			}
		})
	}
}

// TestARefreshTokenThatComesWithARejectedTokenIsKept: what is wrong is mended by an
// administrator, who sets a clock or a setting right. Until then the refresh token
// must not be lost: the one before may be good no longer.
func TestARefreshTokenThatComesWithARejectedTokenIsKept(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *fake) http.HandlerFunc{
		"a clock that is wrong": func(f *fake) http.HandlerFunc {
			return f.renewed(nextRefresh, map[string]any{"exp": now.AddDate(0, 0, -1).Unix()})
		},
		"another application": func(f *fake) http.HandlerFunc { return f.renewed(nextRefresh, map[string]any{"aud": otherID}) },
		"another tenant, for which the key does not sign": func(f *fake) http.HandlerFunc {
			return f.renewed(nextRefresh, map[string]any{"tid": otherID})
		},
		"another version": func(f *fake) http.HandlerFunc { return f.renewed(nextRefresh, map[string]any{"ver": "1.0"}) },
		"no ID token": func(*fake) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "access_token": accessToken, "refresh_token": nextRefresh})
			}
		},
		"no ID token that can be read": func(*fake) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "access_token": accessToken, "id_token": "x", "refresh_token": nextRefresh})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.token, change(f))
			got, err := f.provider(t).Renew(t.Context(), before, now)
			if failure, ok := errors.AsType[*entra.Error](err); !ok || failure.Kind != entra.KindMisconfigured {
				t.Errorf("err = %v", err)
			}
			if diff := cmp.Diff(store.Identity{}, got.Identity); diff != "" || got.Refresh.Reveal() != nextRefresh {
				t.Errorf("the refresh token is %q; it says who somebody is: %s", got.Refresh.Reveal(), diff)
			}
		})
	}
}

// TestWhatARefusedRenewalMeans is the table of what ends a person's access and
// what does not: only Microsoft's word about the person does.
func TestWhatARefusedRenewalMeans(t *testing.T) {
	t.Parallel()
	plain := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = w.Write([]byte(body)) }
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   entra.Kind
	}{
		"revoked":                        {refusal(400, "invalid_grant", 50173, map[string]any{"suberror": "bad_token"}), entra.KindDenied},
		"disabled":                       {refusal(400, "invalid_grant", 50057, nil), entra.KindDenied},
		"unused for 90 days":             {refusal(400, "invalid_grant", 700082, nil), entra.KindDenied},
		"signed in too long ago":         {refusal(400, "invalid_grant", 70043, map[string]any{"suberror": "token_expired"}), entra.KindDenied},
		"consent taken back":             {refusal(400, "invalid_grant", 65001, map[string]any{"suberror": "consent_required"}), entra.KindDenied},
		"not assigned any longer":        {refusal(400, "invalid_grant", 50105, nil), entra.KindDenied},
		"a number nobody knows":          {refusal(400, "invalid_grant", 4444444, nil), entra.KindDenied},
		"a second factor is asked for":   {refusal(400, "interaction_required", 50076, map[string]any{"suberror": "basic_action"}), entra.KindDenied},
		"consent is asked for":           {refusal(400, "consent_required", 90094, nil), entra.KindDenied},
		"a login is asked for":           {refusal(400, "login_required", 50058, nil), entra.KindDenied},
		"a wrong secret":                 {refusal(401, "invalid_client", 7000215, nil), entra.KindMisconfigured},
		"an expired secret":              {refusal(401, "invalid_client", 7000222, nil), entra.KindMisconfigured},
		"an expired assertion":           {refusal(401, "invalid_client", 700024, nil), entra.KindMisconfigured},
		"no such application":            {refusal(400, "unauthorized_client", 700016, nil), entra.KindMisconfigured},
		"disabled application":           {refusal(400, "unauthorized_client", 7000112, nil), entra.KindMisconfigured},
		"a scope that is none":           {refusal(400, "invalid_scope", 70011, nil), entra.KindMisconfigured},
		"a request that is none":         {refusal(400, "invalid_request", 900144, nil), entra.KindMisconfigured},
		"a resource that is none":        {refusal(400, "invalid_resource", 650057, nil), entra.KindMisconfigured},
		"too many alike":                 {refusal(400, "invalid_grant", 50196, nil), entra.KindUnavailable},
		"Microsoft is busy":              {refusal(400, "temporarily_unavailable", 0, nil), entra.KindUnavailable},
		"too many":                       {plain(429, "Too Many Requests"), entra.KindUnavailable},
		"too many, and a refusal":        {refusal(429, "invalid_grant", 50173, nil), entra.KindUnavailable},
		"an outage, and a refusal":       {refusal(503, "invalid_grant", 50173, nil), entra.KindUnavailable},
		"an outage":                      {plain(503, "<html>"), entra.KindUnavailable},
		"half an answer":                 {plain(200, `{"id_token":"`), entra.KindUnavailable},
		"a page of something in between": {plain(403, "<html>blocked"), entra.KindUnavailable},
		"an answer without an ID token":  {plain(200, `{"access_token":"x"}`), entra.KindMisconfigured},
		"a redirect":                     {plain(302, ""), entra.KindMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.token, tt.answer)
			_, err := f.provider(t).Renew(t.Context(), before, now)
			got, ok := err.(*entra.Error)
			if !ok || got.Kind != tt.want {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			wantPlainWords(t, got)
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error has something secret in it: %v", err)
			}
		})
	}
}

// TestARuleAboutAGroupSignsNobodyOut: whoever signed in before there was one has not
// agreed to the permission that groups need. That is no word about the person.
func TestARuleAboutAGroupSignsNobodyOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		unagreed http.HandlerFunc
		always   bool
		want     entra.Kind // empty: they go on
		asked    int32
	}{
		"the person has not agreed":         {refusal(400, "invalid_grant", 65001, map[string]any{"suberror": "consent_required"}), false, "", 2},
		"the administrator has not agreed":  {refusal(400, "consent_required", 90094, nil), false, "", 2},
		"the permission is said to be none": {refusal(400, "consent_required", 0, nil), false, "", 2},
		"nothing is agreed to any longer":   {refusal(400, "invalid_grant", 65001, nil), true, entra.KindDenied, 2},
		"it is something else":              {refusal(400, "invalid_grant", 50173, nil), false, entra.KindDenied, 1},
		"Microsoft does not answer":         {refusal(503, "invalid_grant", 65001, nil), false, entra.KindUnavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.token, func(w http.ResponseWriter, r *http.Request) {
				if tt.always || strings.Contains(r.PostForm.Get("scope"), "User.Read") {
					tt.unagreed(w, r)
					return
				}
				f.renewed(nextRefresh, map[string]any{"groups": []string{groupA}})(w, r)
			})
			cfg := f.config()
			cfg.Groups, cfg.Graph = []string{groupA}, f.URL
			got, err := newProvider(t, cfg).Renew(t.Context(), before, now)
			if failure, _ := errors.AsType[*entra.Error](err); tt.want == "" && err != nil || tt.want != "" && (failure == nil || failure.Kind != tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
			if tt.want == "" && (got.Refresh.Reveal() != nextRefresh || len(got.Groups) != 1) {
				t.Errorf("got %+v with the token %q", got.Identity, got.Refresh.Reveal())
			}
			if n := f.redemptions.Load(); n != tt.asked {
				t.Errorf("Microsoft was asked %d times, want %d", n, tt.asked)
			}
		})
	}
}
