package app_test

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// parallel asks the token endpoint the same thing many times at once: all
// callers wait for one another before the first one sends.
func (g *gateway) parallel(n int, ask func() tokenAnswer) []tokenAnswer {
	g.t.Helper()
	answers := make([]tokenAnswer, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range answers {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = ask()
		})
	}
	done.Wait()
	return answers
}

// one reads one text from the database of a gateway, beside its process.
func (g *gateway) one(query string, args ...any) string {
	g.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(g.dir, "gateway.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var text string
	if err := db.QueryRowContext(g.t.Context(), query, args...).Scan(&text); err != nil {
		g.t.Fatalf("%s: %v", query, err)
	}
	return text
}

// serves checks that a bearer calls, and counts as a use of its generation.
func (g *gateway) serves(what, bearer string) {
	g.t.Helper()
	if resp, body := g.callModern(bearer, "whoami", "{}"); resp.StatusCode != http.StatusOK {
		g.t.Errorf("%s: %d: %s", what, resp.StatusCode, body)
	}
}

// hexHash is how the database knows a bearer value.
func hexHash(bearer string) string {
	hash := store.HashOf(bearer)
	return hex.EncodeToString(hash[:])
}

// TestTwentyParallelRefreshesShareOneSuccessor, and then the story of it: the
// successor is used, the grace is over, and the token they shared is theft.
func testTwentyParallelRefreshesShareOneSuccessor(t *testing.T) {
	t.Parallel()
	g := start(t, "tokens: {refresh_grace: 0s}\n")
	clientID, first := g.grant("Ada")
	otherClient, other := g.grant("Ada")
	answers := g.parallel(20, func() tokenAnswer { return g.refresh(clientID, first.RefreshToken) })
	successors, bearers := map[string]bool{}, map[string]bool{}
	for i, a := range answers {
		if a.status != http.StatusOK || a.Error != "" {
			t.Fatalf("refresh %d: %d %s", i, a.status, a.Error)
		}
		successors[a.RefreshToken], bearers[a.AccessToken] = true, true
	}
	if len(successors) != 1 || successors[first.RefreshToken] || len(bearers) != len(answers) {
		t.Fatalf("%d successors and %d access tokens, want 1 and %d", len(successors), len(bearers), len(answers))
	}
	for bearer := range bearers {
		g.serves("an access token of the twenty", bearer)
	}
	newest := g.refresh(clientID, answers[0].RefreshToken)
	if newest.status != http.StatusOK || newest.RefreshToken == answers[0].RefreshToken {
		t.Fatalf("the successor: %d %s", newest.status, newest.Error)
	}
	g.serves("the first access token", first.AccessToken)
	g.serves("the newest access token", newest.AccessToken)

	got := g.refresh(clientID, first.RefreshToken)
	if got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant || !strings.Contains(got.ErrorDescription, "used before") {
		t.Errorf("the predecessor after the grace: %d %s (%s)", got.status, got.Error, got.ErrorDescription)
	}
	g.over(clientID, append(answers, first, newest)...)
	g.works("the person's other client", otherClient, other)
	if reasons := g.one(`SELECT group_concat(revoked_reason, '|') FROM grants WHERE revoked_at IS NOT NULL`); reasons != store.ReasonRefreshReplay {
		t.Errorf("the grants say %q", reasons)
	}
	if kinds := g.kinds(); strings.Count(kinds, "|grant denied replay_of_refresh_token") != 1 || !strings.Contains(kinds, "|grant denied "+store.ReasonRefreshReplay) {
		t.Errorf("the trail tells %s", kinds)
	}
}

// TestParallelReusesAfterTheGraceEndTheGrantOnce: a thief who sends the stolen
// token many times gets nothing from any of them.
func TestParallelReusesAfterTheGraceEndTheGrantOnce(t *testing.T) {
	t.Parallel()
	g := start(t, "tokens: {refresh_grace: 0s}\n")
	clientID, first := g.grant("Ada")
	second := g.refresh(clientID, first.RefreshToken)
	g.serves("the successor", second.AccessToken)
	for i, a := range g.parallel(20, func() tokenAnswer { return g.refresh(clientID, first.RefreshToken) }) {
		if a.status != http.StatusBadRequest || a.Error != oauth.CodeInvalidGrant || a.AccessToken != "" {
			t.Errorf("reuse %d: %d %s", i, a.status, a.Error)
		}
	}
	g.over(clientID, first, second)
	if kinds := g.kinds(); !strings.Contains(kinds, "|grant denied replay_of_refresh_token") {
		t.Errorf("the trail tells %s", kinds)
	}
}

// TestTwentyParallelRedemptionsHaveOneWinner: a client that sends its code
// twice in a hurry is refused, and not punished. Who comes late is a thief.
func TestTwentyParallelRedemptionsHaveOneWinner(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a := newAuthorization(g.registration())
	otherClient, other := g.grant("Ada")
	code := g.signIn(newBrowser(t), a, "Ada").Get("code")
	var winner tokenAnswer
	won := 0
	for i, got := range g.parallel(20, func() tokenAnswer { return g.redeem(a, code, nil) }) {
		switch {
		case got.status == http.StatusOK:
			winner = got
			won++
		case got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant || !strings.Contains(got.ErrorDescription, "used before"):
			t.Errorf("redemption %d: %d %s (%s)", i, got.status, got.Error, got.ErrorDescription)
		}
	}
	if won != 1 {
		t.Fatalf("%d of 20 won", won)
	}
	g.works("the winner", a.clientID, winner)

	// The burst is over, which no test waits for.
	breakTrail(t, filepath.Join(g.dir, "gateway.db"), `UPDATE codes SET used_at = used_at - 10000001 WHERE hash = x'`+hexHash(code)+`'`)
	wrong := g.redeem(a, code, func(f url.Values) { f.Set("code_verifier", oauth.NewVerifier()) })
	if wrong.status != http.StatusBadRequest || wrong.Error != oauth.CodeInvalidGrant || !strings.Contains(wrong.ErrorDescription, "code_verifier") {
		t.Errorf("a late replay without the verifier: %d %s (%s)", wrong.status, wrong.Error, wrong.ErrorDescription)
	}
	g.serves("who has only seen the code ends nothing", winner.AccessToken)
	late := g.redeem(a, code, nil)
	if late.status != http.StatusBadRequest || late.Error != oauth.CodeInvalidGrant || late.AccessToken != "" {
		t.Errorf("a late replay: %d %s", late.status, late.Error)
	}
	g.over(a.clientID, winner)
	g.works("the person's other client", otherClient, other)
	if reasons := g.one(`SELECT group_concat(revoked_reason, '|') FROM grants WHERE revoked_at IS NOT NULL`); reasons != store.ReasonCodeReplay {
		t.Errorf("the grants say %q", reasons)
	}
	if kinds := g.kinds(); strings.Count(kinds, "|grant denied replay_of_authorization_code") != 20 {
		t.Errorf("the trail tells %s", kinds)
	}
}

// TestWrongAttemptsOfEveryKindShareOneCount: four leave the code usable, the
// fifth burns it, whatever was wrong with each.
func TestWrongAttemptsOfEveryKindShareOneCount(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a, other := newAuthorization(g.registration()), g.registration()
	b := newBrowser(t)
	set := func(key, value string) func(url.Values) { return func(f url.Values) { f.Set(key, value) } }
	verifier := set("code_verifier", oauth.NewVerifier())
	redirect := set("redirect_uri", "http://127.0.0.1:4712/callback")
	client := set("client_id", other)
	resource := set("resource", "https://other.example/mcp")
	for _, tt := range []struct {
		name     string
		attempts []func(url.Values)
		code     string
		burnt    bool
	}{
		{name: "four wrong verifiers", attempts: []func(url.Values){verifier, verifier, verifier, verifier}, code: oauth.CodeInvalidGrant},
		{name: "five wrong verifiers", attempts: []func(url.Values){verifier, verifier, verifier, verifier, verifier}, code: oauth.CodeInvalidGrant, burnt: true},
		{name: "four wrong redirects", attempts: []func(url.Values){redirect, redirect, redirect, redirect}, code: oauth.CodeInvalidGrant},
		{name: "five wrong redirects", attempts: []func(url.Values){redirect, redirect, redirect, redirect, redirect}, code: oauth.CodeInvalidGrant, burnt: true},
		{name: "four wrong clients", attempts: []func(url.Values){client, client, client, client}, code: oauth.CodeInvalidGrant},
		{name: "five wrong clients", attempts: []func(url.Values){client, client, client, client, client}, code: oauth.CodeInvalidGrant, burnt: true},
		{name: "four wrong resources", attempts: []func(url.Values){resource, resource, resource, resource}, code: oauth.CodeInvalidTarget},
		{name: "five wrong resources", attempts: []func(url.Values){resource, resource, resource, resource, resource}, code: oauth.CodeInvalidTarget, burnt: true},
		{name: "one of each", attempts: []func(url.Values){verifier, redirect, client, resource}, code: oauth.CodeInvalidTarget},
		{name: "one of each and one more", attempts: []func(url.Values){resource, client, redirect, verifier, verifier}, code: oauth.CodeInvalidGrant, burnt: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := g.signIn(b, a, "Ada").Get("code")
			var last tokenAnswer
			for _, change := range tt.attempts {
				if last = g.redeem(a, code, change); last.status != http.StatusBadRequest || last.AccessToken != "" {
					t.Errorf("a wrong attempt: %d %s", last.status, last.Error)
				}
			}
			if last.Error != tt.code {
				t.Errorf("the last wrong attempt: %s, want %s", last.Error, tt.code)
			}
			got := g.redeem(a, code, nil)
			if tt.burnt && (got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant || !strings.Contains(got.ErrorDescription, "expired")) {
				t.Errorf("the right request for a burnt code: %d %s (%s)", got.status, got.Error, got.ErrorDescription)
			}
			if !tt.burnt && got.status != http.StatusOK {
				t.Errorf("the right request: %d %s (%s)", got.status, got.Error, got.ErrorDescription)
			}
		})
	}
}

// collected gathers the token answers of several callers.
type collected struct {
	mu sync.Mutex
	// guards below
	granted []tokenAnswer
}

func (c *collected) add(a tokenAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.granted = append(c.granted, a)
}

// refreshUntilRefused has callers refresh without a pause. Half of them follow
// the rotation, half repeat the token that they began with; each ends with its
// first refusal. begun is closed when every caller has been answered once.
func (g *gateway) refreshUntilRefused(clientID, token string) (all *collected, begun chan struct{}, wait func()) {
	all, begun = &collected{}, make(chan struct{})
	var callers, first sync.WaitGroup
	for i := range 8 {
		first.Add(1)
		callers.Go(func() {
			mine, answered := token, sync.OnceFunc(first.Done)
			defer answered()
			for {
				got := g.refresh(clientID, mine)
				answered()
				if got.status != http.StatusOK {
					if got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
						g.t.Errorf("a refresh was refused with %d %s", got.status, got.Error)
					}
					return
				}
				all.add(got)
				if i%2 == 0 {
					mine = got.RefreshToken
				}
			}
		})
	}
	callers.Go(func() { first.Wait(); close(begun) })
	return all, begun, callers.Wait
}

// TestRefreshesRaceWithTheRevocation: whatever a refresh that overtook the
// revocation was given is as dead as the rest.
func TestRefreshesRaceWithTheRevocation(t *testing.T) {
	t.Parallel()
	g := start(t, "http: {rates: {token: {per_minute: 100000, burst: 100000}}}\n")
	clientID, first := g.grant("Ada")
	all, begun, wait := g.refreshUntilRefused(clientID, first.RefreshToken)
	<-begun
	if got := g.revoke(url.Values{"client_id": {clientID}, "token": {first.AccessToken}}); got.status != http.StatusOK {
		t.Errorf("revoke: %d %s", got.status, got.body)
	}
	// The revocation is answered: no refresh that begins now is granted.
	if got := g.refresh(clientID, first.RefreshToken); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
		t.Errorf("a refresh after the answer: %d %s", got.status, got.Error)
	}
	wait()
	if len(all.granted) < 8 {
		t.Errorf("only %d refreshes came before the revocation", len(all.granted))
	}
	g.over(clientID, append(all.granted, first)...)
}

// TestRefreshesRaceWithTheEndOfTheGrant: no token outlives its grant, however
// late it was issued.
func TestRefreshesRaceWithTheEndOfTheGrant(t *testing.T) {
	t.Parallel()
	g := start(t, "http: {rates: {token: {per_minute: 100000, burst: 100000}}}\n")
	clientID, first := g.grant("Ada")
	all, begun, wait := g.refreshUntilRefused(clientID, first.RefreshToken)
	<-begun
	// A grant ends after ten minutes at the earliest, so this one is cut short.
	end := time.Now().Add(100 * time.Millisecond)
	breakTrail(t, filepath.Join(g.dir, "gateway.db"), fmt.Sprint(`UPDATE grants SET expires_at = `, end.UnixMicro()))
	wait()
	if left := time.Until(end); left > 0 {
		t.Errorf("the last refresh was refused %v early", left)
	}
	if len(all.granted) < 8 {
		t.Errorf("only %d refreshes came before the end", len(all.granted))
	}
	g.over(clientID, append(all.granted, first)...)
}

// TestNoCallIsServedOnceAReplayWasAnswered: the refusal of a replay ends the
// family as surely as a revocation does, also for bearers that are cached and
// for a generation whose first use is being written down.
func TestNoCallIsServedOnceAReplayWasAnswered(t *testing.T) {
	t.Parallel()
	g := start(t, "tokens: {refresh_grace: 0s}\n")
	clientID, first := g.grant("Ada")
	second := g.refresh(clientID, first.RefreshToken)
	var ended atomic.Bool
	var callers, warm sync.WaitGroup
	for range 8 {
		warm.Add(1)
		callers.Go(func() {
			served := sync.OnceFunc(warm.Done)
			defer served()
			for {
				after := ended.Load()
				resp, _ := g.callModern(second.AccessToken, "whoami", "{}")
				if resp.StatusCode == http.StatusOK && !after {
					served()
					continue
				}
				if resp.StatusCode != http.StatusUnauthorized {
					t.Errorf("a call that began after the answer (%v) gets %d", after, resp.StatusCode)
				}
				return
			}
		})
	}
	warm.Wait()
	if got := g.refresh(clientID, first.RefreshToken); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
		t.Errorf("the replay: %d %s", got.status, got.Error)
	}
	ended.Store(true)
	callers.Wait()
	g.over(clientID, first, second)
}
