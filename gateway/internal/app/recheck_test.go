package app_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

const (
	// always has Microsoft asked at each renewal, and strictly takes no old word.
	always   = "microsoft: {recheck_interval: 0s}\n"
	strictly = "microsoft: {recheck_interval: 0s, outage_grace: 0s}\n"
	// asked is what each question leaves in the log.
	asked = `msg="microsoft exchange" grant_type=refresh_token`
)

// recheckChecks is what holds of a login that lasts, whoever stands in for
// Microsoft.
var recheckChecks = []struct {
	name  string
	check func(t *testing.T, l login)
	extra string
}{
	{"roles follow, for every program", rolesFollow, always},
	{"whom Microsoft lets go is signed out everywhere, and nobody else is", letGo, always},
	{"many renewals at once lose nothing", renewedAtOnce, always},
	{"the word of a moment ago is good enough", notAskedAgain, ""},
	{"an old word is asked for once", askedOnce, ""},
	{"a restart loses nothing", renewedAfterRestart, always},
	{"an outage signs nobody out", outage, always},
	{"an outage that lasts is said to be one", longOutage, strictly},
	{"a wrong secret signs nobody out", wrongSecretLater, strictly},
}

func TestRecheck(t *testing.T) {
	t.Parallel()
	for _, u := range slices.Concat(upstreams, oneTime) {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range recheckChecks {
				t.Run(c.name, func(t *testing.T) { c.check(t, startLogin(t, u.start, nil, c.extra)) })
			}
		})
	}
}

// renew renews a program's token, which must work.
func (l login) renew(clientID string, tokens tokenAnswer) tokenAnswer {
	l.t.Helper()
	got := l.refresh(clientID, tokens.RefreshToken)
	if got.status != http.StatusOK {
		l.t.Fatalf("renewal: %+v", got)
	}
	return got
}

// asks counts the questions to Microsoft so far.
func (l login) asks() int { return strings.Count(l.logs.String(), asked) }

// due makes the word about everybody as old as it may not be.
func (l login) due(what string) {
	l.t.Helper()
	breakTrail(l.t, filepath.Join(l.dir, "gateway.db"), "UPDATE accounts SET "+what)
}

func (l login) lists(tokens tokenAnswer, tool string) bool {
	l.t.Helper()
	return strings.Contains(l.modernList(tokens.AccessToken), `"name":"`+tool+`"`)
}

func rolesFollow(t *testing.T, l login) {
	clientID, first := l.grant("Nora")
	other, second := l.grant("Nora")
	if l.lists(first, "math_add") {
		t.Fatal("Nora may add before she has a role")
	}
	l.upstream.setRoles(entrasim.Nora, entrasim.RoleUser)
	if next := l.renew(clientID, first); !l.lists(next, "math_add") {
		t.Error("the program that renewed its token does not see the new role")
	}
	// The other program has not asked, and Microsoft need not be asked for it.
	before := l.asks()
	waitFor(t, "the other program to see the new role", func() bool { return l.lists(second, "math_add") })
	if l.asks() != before {
		t.Error("Microsoft was asked by a list")
	}
	l.upstream.setRoles(entrasim.Nora)
	next := l.renew(other, second)
	if l.lists(next, "math_add") {
		t.Error("a role that was taken away still counts")
	}
}

// waitFor waits for what comes within the seconds for which a verified token is
// believed.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func letGo(t *testing.T, l login) {
	clientID, first := l.grant("Ada")
	other, second := l.grant("Ada")
	maxClient, max := l.grant("Max")
	for _, one := range []tokenAnswer{first, second, max} {
		if got := l.bearer(one); got != http.StatusOK {
			t.Fatalf("before the end: %d", got)
		}
	}
	l.upstream.dismiss(entrasim.Ada)
	since := time.Now()
	if got := l.refresh(clientID, first.RefreshToken); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant || got.AccessToken != "" {
		t.Errorf("the renewal: %+v", got)
	}
	l.refusedAtOnce(first, since)
	l.refusedAtOnce(second, since)
	before := l.asks()
	for range 2 {
		for id, tokens := range map[string]tokenAnswer{clientID: first, other: second} {
			if got := l.refresh(id, tokens.RefreshToken); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
				t.Errorf("a renewal after the end: %+v", got)
			}
		}
	}
	if l.asks() != before {
		t.Error("Microsoft was asked again about somebody whom it had let go")
	}
	if n := l.one(`SELECT count(*) FROM events WHERE kind = 'revoke' AND reason LIKE 'refused_by_microsoft: %' AND object = ?`, entrasim.AdaObject); n != "1" {
		t.Errorf("%s rows in the trail", n)
	}
	if n := l.one(`SELECT count(*) FROM accounts WHERE object = ?`, entrasim.AdaObject); n != "0" {
		t.Error("the account is still there")
	}
	if got := l.bearer(l.renew(maxClient, max)); got != http.StatusOK {
		t.Errorf("Max is answered %d", got)
	}
}

// program is one of a person's, signed in.
type program struct {
	clientID string
	tokens   tokenAnswer
}

func (l login) programs(n int, who string) []program {
	l.t.Helper()
	all := make([]program, n)
	for i := range all {
		all[i].clientID, all[i].tokens = l.grant(who)
	}
	return all
}

// renewAll has programs renew their tokens at the same time.
func (l login) renewAll(programs []program) {
	l.t.Helper()
	var wg sync.WaitGroup
	for i := range programs {
		wg.Go(func() { programs[i].tokens = l.refresh(programs[i].clientID, programs[i].tokens.RefreshToken) })
	}
	wg.Wait()
	for i, p := range programs {
		if p.tokens.status != http.StatusOK {
			l.t.Fatalf("program %d: %+v", i, p.tokens)
		}
	}
}

func renewedAtOnce(_ *testing.T, l login) {
	programs := l.programs(4, "Ada")
	for range 3 {
		l.renewAll(programs)
	}
}

func notAskedAgain(t *testing.T, l login) {
	clientID, tokens := l.grant("Ada")
	for range 3 {
		tokens = l.renew(clientID, tokens)
	}
	if n := l.asks(); n != 0 {
		t.Errorf("Microsoft was asked %d times", n)
	}
}

// askedOnce: however many programs renew their tokens.
func askedOnce(t *testing.T, l login) {
	programs := l.programs(4, "Ada")
	l.due("check_at = 0")
	l.renewAll(programs)
	if n := l.asks(); n != 1 {
		t.Errorf("Microsoft was asked %d times", n)
	}
}

func renewedAfterRestart(t *testing.T, l login) {
	clientID, tokens := l.grant("Ada")
	for range 2 {
		tokens = l.renew(clientID, tokens)
		l.restart(always, nil)
	}
	before := l.asks()
	tokens = l.renew(clientID, tokens)
	if l.asks() != before+1 {
		t.Error("Microsoft was not asked")
	}
	if got := l.bearer(tokens); got != http.StatusOK {
		t.Errorf("a call is answered %d", got)
	}
}

func outage(t *testing.T, l login) {
	clientID, tokens := l.grant("Ada")
	l.upstream.stop()
	for range 3 {
		tokens = l.renew(clientID, tokens)
	}
	if n := l.asks(); n != 1 {
		t.Errorf("Microsoft was asked %d times while it was known not to answer", n)
	}
	if got := l.bearer(tokens); got != http.StatusOK {
		t.Errorf("a call is answered %d", got)
	}
}

func longOutage(t *testing.T, l login) {
	clientID, tokens := l.grant("Ada")
	l.upstream.stop()
	for range 2 {
		l.comeBackLater(clientID, tokens)
	}
	// What the program has goes on until it ends.
	if got := l.bearer(tokens); got != http.StatusOK {
		t.Errorf("a call is answered %d", got)
	}
	if n := l.one(`SELECT count(*) FROM grants WHERE revoked_at IS NOT NULL`); n != "0" {
		t.Error("a grant was revoked")
	}
}

// comeBackLater checks that a renewal is put off and nothing is lost by it.
func (l login) comeBackLater(clientID string, tokens tokenAnswer) {
	l.t.Helper()
	got := l.send("/token", l.refreshForm(clientID, tokens.RefreshToken), nil)
	if got.status != http.StatusServiceUnavailable || got.Error != oauth.CodeTemporarilyUnavailable || got.header.Get("Retry-After") == "" ||
		!strings.Contains(got.ErrorDescription, "Microsoft") {
		l.t.Errorf("a renewal is answered %d %s, to be tried after %q", got.status, got.body, got.header.Get("Retry-After"))
	}
}

func wrongSecretLater(t *testing.T, l login) {
	clientID, tokens := l.grant("Ada")
	l.settings = map[string]string{"MICROSOFT_CLIENT_SECRET": "wrong-secret-canary"}
	logged := l.logging()
	l.restart(strictly, nil)
	l.comeBackLater(clientID, tokens)
	logged("level=ERROR", "until that ends nobody is signed out", "outcome=misconfigured", "code=invalid_client")
	if strings.Contains(l.logs.String(), "secret-canary") {
		t.Error("the secret is in the log")
	}
	// And the operator mends it.
	l.settings = nil
	l.restart(always, nil)
	l.renew(clientID, tokens)
}

// TestRenewalsThatMicrosoftRefuses is the table of what ends a grant, with
// Microsoft's own answers, and what does not.
func TestRenewalsThatMicrosoftRefuses(t *testing.T) {
	t.Parallel()
	ends := func(numbers ...int) (all []entrasim.Outcome) {
		for _, n := range numbers {
			all = append(all, entrasim.Outcome{AADSTS: n})
		}
		return all
	}
	for _, tt := range []struct {
		name     string
		outcomes []entrasim.Outcome
		over     bool
	}{
		{"it ends", append(ends(50057, 50173, 70043, 700082, 65001, 50076, 50079, 50105),
			entrasim.Outcome{Error: "interaction_required"}, entrasim.Outcome{Error: "consent_required"}, entrasim.Outcome{Error: "login_required"},
			entrasim.Outcome{Error: "invalid_grant", AADSTS: 4444444}), true},
		{"it goes on", append(ends(7000215, 7000222, 700024, 700016, 7000218, 50196),
			entrasim.Outcome{Error: "invalid_scope"}, entrasim.Outcome{Error: "invalid_request"}, entrasim.Outcome{Error: "temporarily_unavailable"},
			entrasim.Outcome{}, entrasim.Outcome{Error: "invalid_grant", Status: http.StatusServiceUnavailable},
			entrasim.Outcome{Fault: entrasim.Throttled}, entrasim.Outcome{Fault: entrasim.Outage}, entrasim.Outcome{Fault: entrasim.Garbage},
			entrasim.Outcome{Fault: entrasim.Truncated}, entrasim.Outcome{Fault: entrasim.NoIDToken}, entrasim.Outcome{Fault: entrasim.HangUp},
			entrasim.Outcome{Fault: entrasim.Redirected}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, o := range tt.outcomes {
				t.Run(fmt.Sprintf("%d %s %d %d", o.AADSTS, o.Error, o.Status, o.Fault), func(t *testing.T) {
					t.Parallel()
					l := startLogin(t, upstreams[0].start, nil, strictly)
					clientID, tokens := l.grant("Ada")
					o.Standing = true // whatever is asked for
					l.sim.FailToken(o)
					if !tt.over {
						l.comeBackLater(clientID, tokens)
						if got := l.bearer(tokens); got != http.StatusOK {
							t.Errorf("a call is answered %d", got)
						}
						l.sim.Recover()
						l.restart(always, nil) // it forgets that Microsoft was not to be asked
						l.due("check_at = 0")
						l.renew(clientID, tokens)
						return
					}
					if got := l.refresh(clientID, tokens.RefreshToken); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
						t.Errorf("the renewal: %+v", got)
					}
					if got := l.bearer(tokens); got != http.StatusUnauthorized {
						t.Errorf("a call is answered %d", got)
					}
					l.sim.Recover()
					again, next := l.grant("Ada") // nothing keeps her from signing in again
					l.renew(again, next)
				})
			}
		})
	}
}

// TestWithoutARefreshTokenAGrantEndsInADay: nobody can be asked about the person.
func TestWithoutARefreshTokenAGrantEndsInADay(t *testing.T) {
	t.Parallel()
	l := startLogin(t, upstreams[0].start, nil, always)
	l.sim.FailToken(entrasim.Outcome{Fault: entrasim.NoRefreshToken})
	clientID, tokens := l.grant("Ada")
	tokens = l.renew(clientID, tokens)
	if n := l.asks(); n != 0 {
		t.Errorf("Microsoft was asked %d times", n)
	}
	if life := l.one(`SELECT expires_at - created_at FROM grants`); life != fmt.Sprint(24*time.Hour.Microseconds()) {
		t.Errorf("the grant lives %s microseconds", life)
	}
	// Nor does a grant of another time, which was to live longer, outlive it.
	breakTrail(t, filepath.Join(l.dir, "gateway.db"), fmt.Sprintf("UPDATE grants SET created_at = created_at - %d, expires_at = expires_at + %[1]d", 25*time.Hour.Microseconds()))
	if got := l.refresh(clientID, tokens.RefreshToken); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
		t.Errorf("the renewal: %+v", got)
	}
}

// TestAMicrosoftTokenIsNowhereInTheClear looks for what Microsoft gave in all
// that the gateway has written.
func TestAMicrosoftTokenIsNowhereInTheClear(t *testing.T) {
	t.Parallel()
	l := startLogin(t, upstreams[0].start, nil, always)
	clientID, tokens := l.grant("Ada")
	l.renew(clientID, tokens)
	sealed := l.one(`SELECT hex(sealed) FROM accounts WHERE object = ?`, entrasim.AdaObject)
	if len(sealed) < 4000 {
		t.Errorf("the account holds %d digits", len(sealed))
	}
	given := l.sim.RefreshTokens()
	if len(given) != 2 {
		t.Fatalf("Microsoft gave %d refresh tokens", len(given))
	}
	for _, token := range given {
		l.nowhere("a refresh token of Microsoft's", token)
	}
	// One person's is no other's: it does not open for them.
	other, second := l.grant("Max")
	breakTrail(t, filepath.Join(l.dir, "gateway.db"), fmt.Sprintf(
		`UPDATE accounts SET sealed = (SELECT sealed FROM accounts WHERE object = '%s') WHERE object = '%s'`, entrasim.AdaObject, entrasim.MaxObject))
	before := l.asks()
	l.renew(other, second) // the last word holds
	if l.asks() != before || !strings.Contains(l.logs.String(), "what Microsoft gave for a person cannot be read") {
		t.Error("Microsoft was asked about Max with Ada's token")
	}
}

// nowhere checks that a text is in no file of the gateway's and not in its log.
func (l login) nowhere(what, text string) {
	l.t.Helper()
	err := filepath.WalkDir(l.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			l.t.Errorf("%s is in %s", what, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		l.t.Error(err)
	}
	if strings.Contains(l.logs.String(), text) {
		l.t.Errorf("%s is in the log", what)
	}
}

// TestATokenThatComesWithoutKeysIsNotLost: the keys roll, and cannot be fetched,
// just when a refresh token that is good once was redeemed.
func TestATokenThatComesWithoutKeysIsNotLost(t *testing.T) {
	t.Parallel()
	l := startLogin(t, oneTime[0].start, nil, always)
	clientID, tokens := l.grant("Ada")
	next := l.newKey()
	next.Publish()
	next.Sign()
	l.sim.FailKeys(entrasim.Outcome{Fault: entrasim.Outage, Standing: true})
	logged := l.logging()
	tokens = l.renew(clientID, tokens) // the last word holds
	logged("outcome=unavailable")
	l.sim.Recover()
	l.restart(always, nil) // or the keys would not be asked for so soon
	l.due("check_at = 0")
	before := l.asks()
	l.renew(clientID, tokens)
	if l.asks() != before+1 || l.one(`SELECT count(*) FROM grants WHERE revoked_at IS NOT NULL`) != "0" {
		t.Error("the refresh token was lost")
	}
}

func (l login) newKey() *entrasim.Key {
	l.t.Helper()
	key, err := l.sim.NewKey()
	if err != nil {
		l.t.Fatal(err)
	}
	return key
}

// TestKeysRoll: with notice and without, nobody notices.
func TestKeysRoll(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]func(old, next *entrasim.Key) []func(){
		"gently": func(old, next *entrasim.Key) []func() { return []func(){next.Publish, next.Sign, old.Retire} },
		"in emergency": func(old, next *entrasim.Key) []func() {
			return []func(){func() { old.Retire(); next.Publish(); next.Sign() }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLogin(t, upstreams[0].start, nil, always)
			clientID, tokens := l.grant("Ada")
			for _, step := range steps(l.sim.SigningKey(), l.newKey()) {
				step()
				tokens = l.renew(clientID, tokens)
				l.grant("Max")
			}
			if strings.Contains(l.logs.String(), "id_token_rejected") {
				t.Error("a token was rejected")
			}
		})
	}
}
