package authserver_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// What a request is answered, and what the trail says of it.
const (
	tokens          = "tokens"
	granted         = "ok authorization_code"
	replayedCode    = "denied replay_of_authorization_code"
	replayedRefresh = "denied replay_of_refresh_token"
	ended           = "denied " + store.ReasonRefreshReplay
	letGo           = "ok " + store.ReasonMicrosoft + ": AADSTS50057"
)

// outages says, for every operation of every way through the token endpoint,
// what is left when it fails. The client hears of our own trouble only
// temporarily_unavailable, so the columns are what comes after:
//
//   - written: the request has changed codes, grants or tokens all the same;
//   - retry: what the client gets when it sends the request again (the right
//     one, if its first was wrong). invalid_grant after an honest exchange
//     means that the code is spent and the person signs in again; a refresh
//     never comes to that;
//   - trail: all rows about both requests.
var outages = []struct {
	path    string
	op      string
	under   []fault
	written bool
	retry   string
	trail   []string
}{
	{path: "a code", op: "Authenticate", under: allFaults, retry: tokens, trail: []string{granted}},
	{path: "a code", op: "Code", under: allFaults, retry: tokens, trail: []string{granted}},
	{path: "a code", op: "RedeemCode", under: []fault{refused, gone}, retry: tokens, trail: []string{granted}},
	{path: "a code", op: "RedeemCode", under: []fault{lost, left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{granted, replayedCode}},

	{path: "a code with a wrong verifier", op: "Authenticate", under: allFaults, retry: tokens, trail: []string{granted}},
	{path: "a code with a wrong verifier", op: "Code", under: allFaults, retry: tokens, trail: []string{granted}},
	{path: "a code with a wrong verifier", op: "FailCode", under: []fault{refused, gone}, retry: tokens, trail: []string{granted}},
	{path: "a code with a wrong verifier", op: "FailCode", under: []fault{lost, left}, written: true, retry: tokens, trail: []string{granted}},

	// A burst ends nothing, so it never writes.
	{path: "a code again in a burst", op: "Authenticate", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again in a burst", op: "Code", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again in a burst", op: "RedeemCode", under: []fault{refused, lost, gone}, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again in a burst", op: "RedeemCode", under: []fault{left}, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode, replayedCode}},
	{path: "a code again in a burst", op: "AppendEvents", under: []fault{refused}, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again in a burst", op: "AppendEvents", under: []fault{lost, gone, left}, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode, replayedCode}},

	{path: "a code again, late", op: "Authenticate", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again, late", op: "Code", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again, late", op: "RedeemCode", under: []fault{refused, gone}, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again, late", op: "RedeemCode", under: []fault{lost}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again, late", op: "RedeemCode", under: []fault{left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode, replayedCode}},
	{path: "a code again, late", op: "AppendEvents", under: []fault{refused}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode}},
	{path: "a code again, late", op: "AppendEvents", under: []fault{lost, gone, left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{replayedCode, replayedCode}},

	{path: "a refresh", op: "Authenticate", under: allFaults, retry: tokens},
	{path: "a refresh", op: "AccountOfToken", under: allFaults, retry: tokens},
	{path: "a refresh", op: "RotateRefresh", under: []fault{refused, gone}, retry: tokens},
	{path: "a refresh", op: "RotateRefresh", under: []fault{lost, left}, written: true, retry: tokens},

	{path: "a refresh whose answer was lost", op: "Authenticate", under: allFaults, retry: tokens},
	{path: "a refresh whose answer was lost", op: "AccountOfToken", under: allFaults, retry: tokens},
	{path: "a refresh whose answer was lost", op: "RotateRefresh", under: []fault{refused, gone}, retry: tokens},
	{path: "a refresh whose answer was lost", op: "RotateRefresh", under: []fault{lost, left}, written: true, retry: tokens},

	// What Microsoft says is nobody's to undo: it is asked, and what it said is
	// written down, also when the client hangs up.
	{path: "a refresh that asks Microsoft", op: "Authenticate", under: allFaults, retry: tokens},
	{path: "a refresh that asks Microsoft", op: "AccountOfToken", under: allFaults, retry: tokens},
	{path: "a refresh that asks Microsoft", op: "ClaimAccount", under: allFaults, retry: tokens},
	{path: "a refresh that asks Microsoft", op: "Renew", under: allFaults, retry: tokens},
	{path: "a refresh that asks Microsoft", op: "RenewAccount", under: allFaults, retry: tokens},
	{path: "a refresh that asks Microsoft", op: "RotateRefresh", under: []fault{refused, gone}, retry: tokens},
	{path: "a refresh that asks Microsoft", op: "RotateRefresh", under: []fault{lost, left}, written: true, retry: tokens},

	{path: "a refresh that Microsoft refuses", op: "Authenticate", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},
	{path: "a refresh that Microsoft refuses", op: "AccountOfToken", under: []fault{refused, lost, gone}, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},
	{path: "a refresh that Microsoft refuses", op: "AccountOfToken", under: []fault{left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},
	{path: "a refresh that Microsoft refuses", op: "ClaimAccount", under: []fault{refused}, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},
	// Somebody seems to be asking, for half a minute: until then the last word holds.
	{path: "a refresh that Microsoft refuses", op: "ClaimAccount", under: []fault{lost}, retry: tokens},
	{path: "a refresh that Microsoft refuses", op: "ClaimAccount", under: []fault{gone, left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},
	{path: "a refresh that Microsoft refuses", op: "Renew", under: []fault{refused, lost}, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},
	{path: "a refresh that Microsoft refuses", op: "Renew", under: []fault{gone, left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},
	{path: "a refresh that Microsoft refuses", op: "EndAccount", under: []fault{refused}, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},
	{path: "a refresh that Microsoft refuses", op: "EndAccount", under: []fault{lost, gone, left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{letGo}},

	{path: "a refresh token again, late", op: "Authenticate", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{replayedRefresh}},
	{path: "a refresh token again, late", op: "AccountOfToken", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{replayedRefresh}},
	{path: "a refresh token again, late", op: "RotateRefresh", under: []fault{refused, gone}, retry: oauth.CodeInvalidGrant, trail: []string{replayedRefresh}},
	// The family is over then, and a refresh with any token of it says why: the
	// row about the replay may be what failed.
	{path: "a refresh token again, late", op: "RotateRefresh", under: []fault{lost}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{ended}},
	{path: "a refresh token again, late", op: "RotateRefresh", under: []fault{left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{replayedRefresh, ended}},
	{path: "a refresh token again, late", op: "AppendEvents", under: []fault{refused}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{ended}},
	{path: "a refresh token again, late", op: "AppendEvents", under: []fault{lost, gone, left}, written: true, retry: oauth.CodeInvalidGrant, trail: []string{replayedRefresh, ended}},

	{path: "a refresh token of a stolen family", op: "Authenticate", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{ended}},
	{path: "a refresh token of a stolen family", op: "AccountOfToken", under: allFaults, retry: oauth.CodeInvalidGrant, trail: []string{ended}},
	{path: "a refresh token of a stolen family", op: "RotateRefresh", under: []fault{refused, lost, gone}, retry: oauth.CodeInvalidGrant, trail: []string{ended}},
	{path: "a refresh token of a stolen family", op: "RotateRefresh", under: []fault{left}, retry: oauth.CodeInvalidGrant, trail: []string{ended, ended}},
	{path: "a refresh token of a stolen family", op: "AppendEvents", under: []fault{refused}, retry: oauth.CodeInvalidGrant, trail: []string{ended}},
	{path: "a refresh token of a stolen family", op: "AppendEvents", under: []fault{lost, gone, left}, retry: oauth.CodeInvalidGrant, trail: []string{ended, ended}},

	{path: "a refresh token of a revoked family", op: "Authenticate", under: allFaults, retry: oauth.CodeInvalidGrant},
	{path: "a refresh token of a revoked family", op: "AccountOfToken", under: allFaults, retry: oauth.CodeInvalidGrant},
	{path: "a refresh token of a revoked family", op: "RotateRefresh", under: allFaults, retry: oauth.CodeInvalidGrant},
}

// path is one way through the token endpoint.
type path struct {
	name string
	// ops are its operations in their order.
	ops []string
	// prepare makes a family for one run.
	prepare func(k *kit) family
	// honest requests are granted, when nothing fails.
	honest bool
	// ends: it ends the family it comes from.
	ends bool
}

// family is a grant under test.
type family struct {
	id          string
	form, retry url.Values
	// bearer is an access token from before, and successor the refresh token
	// that must be repeated; empty if there is none.
	bearer, successor string
}

var paths = []path{
	{
		name: "a code", ops: []string{"Authenticate", "Code", "RedeemCode"}, honest: true,
		prepare: func(k *kit) family {
			code, form := k.code()
			return family{id: code.Grant.ID, form: form, retry: form}
		},
	},
	{
		name: "a code with a wrong verifier", ops: []string{"Authenticate", "Code", "FailCode"},
		prepare: func(k *kit) family {
			code, form := k.code()
			wrong := maps.Clone(form)
			wrong["code_verifier"] = []string{oauth.NewVerifier()}
			return family{id: code.Grant.ID, form: wrong, retry: form}
		},
	},
	{
		name: "a code again in a burst", ops: []string{"Authenticate", "Code", "RedeemCode", "AppendEvents"},
		prepare: func(k *kit) family { return k.redeemed(0) },
	},
	{
		name: "a code again, late", ops: []string{"Authenticate", "Code", "RedeemCode", "AppendEvents"}, ends: true,
		prepare: func(k *kit) family { return k.redeemed(store.ReplayBurst + time.Second) },
	},
	{
		name: "a refresh", ops: []string{"Authenticate", "AccountOfToken", "RotateRefresh"}, honest: true,
		prepare: func(k *kit) family { f, _ := k.refreshable(); return f },
	},
	{
		name: "a refresh whose answer was lost", ops: []string{"Authenticate", "AccountOfToken", "RotateRefresh"}, honest: true,
		prepare: func(k *kit) family {
			f, first := k.refreshable()
			f.successor = k.rotate(first).Refresh
			return f
		},
	},
	{
		name: "a refresh that asks Microsoft", honest: true,
		ops:     []string{"Authenticate", "AccountOfToken", "ClaimAccount", "Renew", "RenewAccount", "RotateRefresh"},
		prepare: func(k *kit) family { return k.due(nil) },
	},
	{
		name: "a refresh that Microsoft refuses", ends: true,
		ops: []string{"Authenticate", "AccountOfToken", "ClaimAccount", "Renew", "EndAccount"},
		prepare: func(k *kit) family {
			return k.due(&entra.Error{Kind: entra.KindDenied, Code: "invalid_grant", AADSTS: 50057})
		},
	},
	{
		name: "a refresh token again, late", ops: []string{"Authenticate", "AccountOfToken", "RotateRefresh", "AppendEvents"}, ends: true,
		prepare: func(k *kit) family { f, _ := k.reusable(); return f },
	},
	{
		name: "a refresh token of a stolen family", ops: []string{"Authenticate", "AccountOfToken", "RotateRefresh", "AppendEvents"}, ends: true,
		prepare: func(k *kit) family {
			f, newest := k.reusable()
			_, err := k.tokens.Refresh(k.t.Context(), f.form.Get("refresh_token"), k.clientID, time.Now())
			if !errors.Is(err, store.ErrConsumed) {
				k.t.Fatalf("the replay: %v", err)
			}
			f.form.Set("refresh_token", newest)
			return f
		},
	},
	{
		name: "a refresh token of a revoked family", ops: []string{"Authenticate", "AccountOfToken", "RotateRefresh"}, ends: true,
		prepare: func(k *kit) family {
			f, _ := k.refreshable()
			if err := k.tokens.Revoke(k.t.Context(), f.id, "test", time.Now()); err != nil {
				k.t.Fatal(err)
			}
			return f
		},
	},
}

// TestEveryOperationMayFail runs the table. Each path is first run without a
// fault: an operation that is new there must be given its rows.
func TestEveryOperationMayFail(t *testing.T) {
	t.Parallel()
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.send(p.prepare(k).form, "", "")
			if diff := cmp.Diff(p.ops, k.faulty.operations()); diff != "" {
				t.Fatalf("the operations of this path are others (-listed +seen):\n%s", diff)
			}
			ran := make(map[string]int)
			for _, row := range outages {
				for _, how := range row.under {
					if row.path != p.name {
						continue
					}
					ran[row.op+" "+string(how)]++
					t.Run(row.op+" "+string(how), func(t *testing.T) {
						k.t = t
						k.fails(p, row.op, how, row.written, row.retry, row.trail)
					})
				}
			}
			for _, op := range p.ops {
				for _, how := range allFaults {
					if ran[op+" "+string(how)] != 1 {
						t.Errorf("%s %s has %d rows, want 1", op, how, ran[op+" "+string(how)])
					}
					delete(ran, op+" "+string(how))
				}
			}
			if len(ran) > 0 {
				t.Errorf("rows for what this path does not do: %v", ran)
			}
		})
	}
	for _, row := range outages {
		if !slices.ContainsFunc(paths, func(p path) bool { return p.name == row.path }) {
			t.Errorf("a row is about %q, which is no path", row.path)
		}
	}
}

// fails runs a path with one operation failing, then sends the request again.
func (k *kit) fails(p path, op string, how fault, written bool, retry string, trail []string) {
	k.t.Helper()
	f := p.prepare(k)
	before, mark := k.fingerprint(f.id), k.lastEvent()
	got := k.send(f.form, op, how)
	k.checkTrouble(p, how, got)
	if seen := k.faulty.operations(); !slices.Contains(seen, op) {
		k.t.Fatalf("the operation was not reached: %v", seen)
	}
	if after := k.fingerprint(f.id); (after != before) != written {
		k.t.Errorf("the request left %q of %q, want a change: %v", after, before, written)
	}
	if unwritten := strings.Contains(k.logs.String(), "audit trail cannot be written"); unwritten != (op == "AppendEvents" && (how == refused || how == lost)) {
		k.t.Errorf("a row that could not be written is logged: %v", unwritten)
	}
	again := k.send(f.retry, "", "")
	k.checkRetry(f, again, retry)
	if diff := cmp.Diff(trail, k.trail(f.id, mark)); diff != "" {
		k.t.Errorf("the trail (-want +got):\n%s", diff)
	}
	if f.bearer != "" {
		var want error
		if p.ends && retry != tokens {
			want = store.ErrRevoked
		}
		now := time.Now()
		if how == lost {
			// The gateway does not know that the family is over: never later
			// than five seconds.
			now = now.Add(5 * time.Second)
		}
		k.verify(f.bearer, now, want)
	}
}

// checkTrouble looks at the answer to the request that failed; if the client
// hung up, that is what it would have been told.
func (k *kit) checkTrouble(p path, how fault, got answer) {
	k.t.Helper()
	ours := got.status == http.StatusServiceUnavailable && got.Error == oauth.CodeTemporarilyUnavailable &&
		got.retryAfter != "" && got.AccessToken == "" && got.RefreshToken == "" && strings.Contains(got.ErrorDescription, "try again")
	switch {
	case ours:
	case how == refused, how == lost:
		k.t.Errorf("the client is told %d %q (%s) of our own trouble", got.status, got.Error, got.ErrorDescription)
	case p.honest && got.status != http.StatusOK, !p.honest && got.Error != oauth.CodeInvalidGrant:
		k.t.Errorf("a client that hung up would be told %d %q (%s)", got.status, got.Error, got.ErrorDescription)
	}
	if heard := how == refused || how == lost; heard != got.heard {
		k.t.Errorf("the client was answered: %v, want %v", got.heard, heard)
	}
}

// checkRetry looks at the answer to the request sent again.
func (k *kit) checkRetry(f family, got answer, want string) {
	k.t.Helper()
	if want != tokens {
		if got.status != http.StatusBadRequest || got.Error != want || got.AccessToken != "" {
			k.t.Errorf("the retry gets %d %q (%s), want %s", got.status, got.Error, got.ErrorDescription, want)
		}
		return
	}
	if got.status != http.StatusOK || got.RefreshToken == "" {
		k.t.Fatalf("the retry gets %d %q (%s), want tokens", got.status, got.Error, got.ErrorDescription)
	}
	if f.retry.Get("grant_type") == "refresh_token" {
		once := k.send(f.retry, "", "")
		if once.status != http.StatusOK || once.RefreshToken != got.RefreshToken || f.successor != "" && f.successor != got.RefreshToken {
			k.t.Errorf("a second retry gets %d %q, the one successor: %v", once.status, once.Error, once.RefreshToken == got.RefreshToken)
		}
		k.verify(once.AccessToken, time.Now(), nil)
	}
	k.verify(got.AccessToken, time.Now(), nil)
	next := url.Values{"grant_type": {"refresh_token"}, "client_id": f.retry["client_id"], "refresh_token": {got.RefreshToken}}
	if got := k.send(next, "", ""); got.status != http.StatusOK {
		k.t.Errorf("the new refresh token gets %d %q", got.status, got.Error)
	}
}

// TestAClientsOwnTokenOrNothing: when something fails there is no grant without
// its row, and the client, which hears of our own trouble only that, asks again.
func TestAClientsOwnTokenOrNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"ci"}, "client_secret": {"secret"}}
	made := 0
	for _, op := range []string{"Authenticate", "CreateOwnGrant"} {
		for _, how := range allFaults {
			k.checkTrouble(path{honest: true}, how, k.send(form, op, how))
			if op == "CreateOwnGrant" && (how == lost || how == left) {
				made++
			}
			if got := k.send(form, "", ""); got.status != http.StatusOK || got.RefreshToken != "" {
				t.Errorf("%s %s: the retry gets %d %q", op, how, got.status, got.Error)
			}
			made++
			grants, err := k.db.Grants(t.Context(), store.GrantFilter{ClientID: "ci"}, time.Now())
			if err != nil || len(grants) != made || k.lastEvent() != int64(made) {
				t.Errorf("%s %s: %d grants and %d rows, want %d: %v", op, how, len(grants), k.lastEvent(), made, err)
			}
		}
	}
}

// TestATokenLivesFromWhenItIsGiven: Microsoft may take its time first, and the client
// counts from the answer.
func TestATokenLivesFromWhenItIsGiven(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	f := k.due(nil)
	k.faulty.slow = 20 * time.Millisecond
	got := k.send(f.form, "", "")
	var issued int64
	if err := k.sql.QueryRowContext(t.Context(), `SELECT max(issued_at) FROM access_tokens WHERE grant_id = ?`, f.id).Scan(&issued); err != nil {
		t.Fatal(err)
	}
	// The store keeps microseconds.
	if at := time.UnixMicro(issued); got.status != http.StatusOK || at.Before(k.faulty.renewed.Truncate(time.Microsecond)) {
		t.Errorf("%d: the token is of %s, and Microsoft answered at %s", got.status, at, k.faulty.renewed)
	}
}
