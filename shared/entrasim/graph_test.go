package entrasim_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

var withGraph = map[string]string{"scope": "openid profile offline_access User.Read"}

// graph asks Graph with an access token.
func (w *world) graph(method, path, bearer, body string) reply {
	w.t.Helper()
	req := w.request(method, path, "application/json", body)
	req.Header.Set("Authorization", "Bearer "+bearer)
	return w.do(req)
}

// wantGraphError asserts the status and the code of a refusal.
func wantGraphError(t *testing.T, r reply, status int, code string) {
	t.Helper()
	var body struct {
		Error struct {
			Code, Message string
			InnerError    map[string]string
		}
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || r.status != status || body.Error.Code != code || body.Error.InnerError["request-id"] == "" {
		t.Errorf("got %d %s, want %d %s", r.status, r.body, status, code)
	}
}

const memberOf = "/v1.0/me/transitiveMemberOf/microsoft.graph.group"

func TestGraphListsGroupsPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	bearer := w.login(entrasim.Olga, map[string]string{"scope": "openid user.read groupmember.read.all"}).AccessToken
	var groups []string
	pages := 0
	for next := memberOf + "?$select=id&$top=999"; next != ""; pages++ {
		r := w.graph(http.MethodGet, next, bearer, "")
		page := decode[struct {
			Next  string `json:"@odata.nextLink"`
			Value []struct{ ID string }
		}](t, r.body)
		for _, group := range page.Value {
			groups = append(groups, group.ID)
		}
		next = strings.TrimPrefix(page.Next, w.url)
	}
	if slices.Sort(groups); len(slices.Compact(groups)) != 250 || pages != 3 || !slices.Contains(groups, entrasim.GroupEngineering) {
		t.Errorf("%d groups on %d pages", len(groups), pages)
	}
	for _, path := range []string{"/v1.0/me/getMemberGroups", "/v1.0/me/getMemberObjects"} {
		if all := decode[struct{ Value []string }](t, w.graph(http.MethodPost, path, bearer, `{"securityEnabledOnly":true}`).body); len(all.Value) != 250 {
			t.Errorf("%s lists %d groups", path, len(all.Value))
		}
	}
	if me := decode[map[string]any](t, w.graph(http.MethodGet, "/v1.0/me", bearer, "").body); me["id"] != entrasim.OlgaObject || me["mail"] != entrasim.Olga {
		t.Errorf("she is %v", me)
	}
	w.wantViolations(0, "")
}

func TestGraphRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	bearer := w.login(entrasim.Max, withGraph).AccessToken
	for _, wrong := range []string{"", "x", w.login(entrasim.Max, withGraph).RefreshToken} {
		wantGraphError(t, w.graph(http.MethodGet, memberOf, wrong, ""), http.StatusUnauthorized, "InvalidAuthenticationToken")
	}
	wantGraphError(t, w.graph(http.MethodGet, memberOf, w.login(entrasim.Max, offline).AccessToken, ""), http.StatusForbidden, "Authorization_RequestDenied")
	wantGraphError(t, w.graph(http.MethodGet, memberOf+"?$skiptoken=x", bearer, ""), http.StatusBadRequest, "Directory_ExpiredPageToken")
	wantGraphError(t, w.graph(http.MethodGet, memberOf+"?$fliter=x", bearer, ""), http.StatusBadRequest, "BadRequest")
	w.wantViolations(1, "unknown parameter")
	wantGraphError(t, w.graph(http.MethodPost, "/v1.0/me/getMemberObjects", bearer, "{}"), http.StatusBadRequest, "Request_BadRequest")
	wantGraphError(t, w.graph(http.MethodPost, "/v1.0/me/getMemberGroups", bearer, `{"securityEnabledOnly":true}`), http.StatusForbidden, "Authorization_RequestDenied")
	w.clock.Advance(2 * time.Hour)
	wantGraphError(t, w.graph(http.MethodGet, memberOf, bearer, ""), http.StatusUnauthorized, "InvalidAuthenticationToken")
}

func TestGraphFailsAsPlanned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	bearer := w.login(entrasim.Max, withGraph).AccessToken
	w.sim.FailGraph(entrasim.Outcome{Status: http.StatusUnauthorized, Error: "InvalidAuthenticationToken", Claims: "e30="})
	w.sim.FailGraph(entrasim.Outcome{Fault: entrasim.Throttled})
	w.sim.FailGraph(entrasim.Outcome{NextLink: "https://elsewhere.example/"})
	r := w.graph(http.MethodGet, memberOf, bearer, "")
	if wantGraphError(t, r, http.StatusUnauthorized, "InvalidAuthenticationToken"); !strings.Contains(r.header.Get("WWW-Authenticate"), `error="insufficient_claims", claims="e30="`) {
		t.Errorf("the challenge is %q", r.header.Get("WWW-Authenticate"))
	}
	if r := w.graph(http.MethodGet, memberOf, bearer, ""); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
		t.Errorf("got %d", r.status)
	}
	if r := w.graph(http.MethodGet, memberOf, bearer, ""); !strings.Contains(r.body, "elsewhere.example") {
		t.Errorf("got %s", r.body)
	}
	if r := w.graph(http.MethodGet, memberOf, bearer, ""); r.status != http.StatusOK || !strings.Contains(r.body, entrasim.GroupEngineering) {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

// Whoever keeps refresh tokens finds all of them here.
func TestRefreshTokensAreKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first := w.login(entrasim.Max, offline)
	next := w.tokens(w.renew(first.RefreshToken))
	want := []string{first.RefreshToken, next.RefreshToken}
	if slices.Sort(want); !slices.Equal(w.sim.RefreshTokens(), want) {
		t.Errorf("%d tokens", len(w.sim.RefreshTokens()))
	}
}
