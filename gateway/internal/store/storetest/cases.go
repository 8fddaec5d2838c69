package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// want fails unless err is target.
func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("err = %v, want %v", err, target)
	}
}

func login(name string) store.Login {
	return store.Login{State: hash(name), Browser: hash("browser"), Sealed: []byte{0, 1, 255}, ExpiresAt: now.Add(time.Minute)}
}

func loginOnce(t *testing.T, s Store) {
	l := login("s")
	must(t, s.CreateLogin(t.Context(), l))
	got, err := s.ConsumeLogin(t.Context(), l.State, l.Browser, now)
	must(t, err)
	l.ExpiresAt = stored(l.ExpiresAt)
	if !reflect.DeepEqual(got, l) {
		t.Errorf("got %+v, want %+v", got, l)
	}
	_, err = s.ConsumeLogin(t.Context(), l.State, l.Browser, now)
	want(t, err, store.ErrNotFound)
	_, err = s.ConsumeLogin(t.Context(), hash("other"), l.Browser, now)
	want(t, err, store.ErrNotFound)
}

func loginBrowser(t *testing.T, s Store) {
	l := login("s")
	must(t, s.CreateLogin(t.Context(), l))
	_, err := s.ConsumeLogin(t.Context(), l.State, hash("foreign browser"), now)
	want(t, err, store.ErrNotFound)
	if _, err := s.ConsumeLogin(t.Context(), l.State, l.Browser, now); err != nil {
		t.Errorf("a foreign browser consumed the login: %v", err)
	}
}

func loginExpires(t *testing.T, s Store) {
	for _, name := range []string{"in time", "late"} {
		must(t, s.CreateLogin(t.Context(), login(name)))
	}
	end := stored(login("").ExpiresAt)
	if _, err := s.ConsumeLogin(t.Context(), hash("in time"), hash("browser"), end.Add(-time.Microsecond)); err != nil {
		t.Errorf("a microsecond before its end: %v", err)
	}
	_, err := s.ConsumeLogin(t.Context(), hash("late"), hash("browser"), end)
	want(t, err, store.ErrNotFound)
}

func codeRoundTrip(t *testing.T, s Store) {
	c := newCode("c", grant())
	must(t, s.CreateCode(t.Context(), c))
	got, err := s.Code(t.Context(), c.Hash)
	must(t, err)
	c.CreatedAt, c.ExpiresAt = stored(c.CreatedAt), stored(c.ExpiresAt)
	c.Grant.CreatedAt, c.Grant.ExpiresAt = stored(c.Grant.CreatedAt), stored(c.Grant.ExpiresAt)
	if !reflect.DeepEqual(got, c) {
		t.Errorf("got  %+v\nwant %+v", got, c)
	}
	_, err = s.Code(t.Context(), hash("other"))
	want(t, err, store.ErrNotFound)
	want(t, s.FailCode(t.Context(), hash("other")), store.ErrNotFound)
	_, err = s.RedeemCode(t.Context(), hash("other"), access("a"), nil, now)
	want(t, err, store.ErrNotFound)
}

func codeOnce(t *testing.T, s Store) {
	g := issue(t, s, "")
	tok, got, err := s.UseAccessToken(t.Context(), hash("a0"), now)
	must(t, err)
	g.CreatedAt, g.ExpiresAt = stored(g.CreatedAt), stored(g.ExpiresAt)
	if !reflect.DeepEqual(got, g) {
		t.Errorf("grant = %+v\nwant %+v", got, g)
	}
	wantToken := access("a0")
	wantToken.GrantID, wantToken.IssuedAt, wantToken.ExpiresAt = g.ID, stored(wantToken.IssuedAt), stored(wantToken.ExpiresAt)
	if !reflect.DeepEqual(tok, wantToken) {
		t.Errorf("token = %+v\nwant %+v", tok, wantToken)
	}
	_, err = s.RedeemCode(t.Context(), hash("code"), access("again"), refresh("again"), now.Add(second))
	want(t, err, store.ErrConsumed)
	if _, _, err := s.UseAccessToken(t.Context(), hash("a0"), now.Add(second)); err != nil {
		t.Errorf("a burst of the same code ended the grant: %v", err)
	}
	_, _, err = s.UseAccessToken(t.Context(), hash("again"), now.Add(second))
	want(t, err, store.ErrNotFound)
}

func codeExpires(t *testing.T, s Store) {
	end := stored(now.Add(time.Minute))
	for name, at := range map[string]time.Time{"in time": end.Add(-time.Microsecond), "late": end} {
		must(t, s.CreateCode(t.Context(), newCode(name, grant())))
		_, err := s.RedeemCode(t.Context(), hash(name), access("a "+name), nil, at)
		if name == "in time" {
			must(t, err)
		} else {
			want(t, err, store.ErrExpired)
		}
	}
}

func codeBurns(t *testing.T, s Store) {
	must(t, s.CreateCode(t.Context(), newCode("c", grant())))
	must(t, s.CreateCode(t.Context(), newCode("d", grant())))
	for range store.MaxCodeFailures {
		must(t, s.FailCode(t.Context(), hash("c")))
	}
	for range store.MaxCodeFailures - 1 {
		must(t, s.FailCode(t.Context(), hash("d")))
	}
	_, err := s.RedeemCode(t.Context(), hash("c"), access("a"), nil, now)
	want(t, err, store.ErrExpired)
	if _, err := s.RedeemCode(t.Context(), hash("d"), access("a"), nil, now); err != nil {
		t.Errorf("one failure fewer burnt the code too: %v", err)
	}
}

func codeReplay(t *testing.T, s Store) {
	issue(t, s, "")
	at := stored(now).Add(store.ReplayBurst)
	_, err := s.RedeemCode(t.Context(), hash("code"), access("x"), nil, at)
	want(t, err, store.ErrConsumed)
	if _, _, err := s.UseAccessToken(t.Context(), hash("a0"), at); err != nil {
		t.Errorf("a replay at the end of the burst revoked: %v", err)
	}
	g, err := s.RedeemCode(t.Context(), hash("code"), access("x"), nil, at.Add(time.Microsecond))
	want(t, err, store.ErrConsumed)
	_, _, err = s.UseAccessToken(t.Context(), hash("a0"), at)
	want(t, err, store.ErrRevoked)
	if g.ID == "" {
		t.Error("the grant is not named, so nobody can drop its tokens from a cache")
	}
}

func codeRace(t *testing.T, s Store) {
	must(t, s.CreateCode(t.Context(), newCode("c", grant())))
	errs := inParallel(64, func(i int) error {
		_, err := s.RedeemCode(t.Context(), hash("c"), access(fmt.Sprint("a", i)), refresh(fmt.Sprint("r", i)), now)
		return err
	})
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			want(t, err, store.ErrConsumed)
		}
	}
	if won != 1 {
		t.Errorf("%d of 64 redeemed the code, want 1", won)
	}
}

func inParallel(n int, work func(i int) error) []error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = work(i) })
	}
	wg.Wait()
	return errs
}

func accessExpires(t *testing.T, s Store) {
	issue(t, s, "")
	end := stored(access("").ExpiresAt)
	if _, _, err := s.UseAccessToken(t.Context(), hash("a0"), end.Add(-time.Microsecond)); err != nil {
		t.Errorf("a microsecond before its end: %v", err)
	}
	_, _, err := s.UseAccessToken(t.Context(), hash("a0"), end)
	want(t, err, store.ErrExpired)
	_, _, err = s.UseAccessToken(t.Context(), hash("unknown"), now)
	want(t, err, store.ErrNotFound)
}

func accessCapped(t *testing.T, s Store) {
	g := grant()
	g.ExpiresAt = now.Add(5 * time.Minute)
	must(t, s.CreateCode(t.Context(), newCode("c", g)))
	_, err := s.RedeemCode(t.Context(), hash("c"), access("a"), refresh("r"), now)
	must(t, err)
	tok, _, err := s.UseAccessToken(t.Context(), hash("a"), now)
	must(t, err)
	if !tok.ExpiresAt.Equal(stored(g.ExpiresAt)) {
		t.Errorf("token ends %s, grant %s", tok.ExpiresAt, g.ExpiresAt)
	}
	out, err := s.RotateRefresh(t.Context(), rotation("r", "r1", "a1", now), now)
	must(t, err)
	if !out.Refresh.ExpiresAt.Equal(stored(g.ExpiresAt)) || !out.Access.ExpiresAt.Equal(stored(g.ExpiresAt)) {
		t.Errorf("rotated tokens end %s and %s, grant %s", out.Refresh.ExpiresAt, out.Access.ExpiresAt, g.ExpiresAt)
	}
	_, err = s.RotateRefresh(t.Context(), rotation("r1", "r2", "a2", now), g.ExpiresAt)
	want(t, err, store.ErrExpired)
}

func withoutRefresh(t *testing.T, s Store) {
	must(t, s.CreateCode(t.Context(), newCode("c", grant())))
	_, err := s.RedeemCode(t.Context(), hash("c"), access("a"), nil, now)
	must(t, err)
	_, _, err = s.UseAccessToken(t.Context(), hash("a"), now)
	must(t, err)
}

func rotateOnce(t *testing.T, s Store) {
	g := issue(t, s, "")
	out, err := s.RotateRefresh(t.Context(), rotation("r0", "r1", "a1", now), now)
	must(t, err)
	if out.Repeated || string(out.Sealed) != "sealed r1" || out.Grant.ID != g.ID {
		t.Errorf("got %+v", out)
	}
	wantRefresh := store.RefreshToken{Hash: hash("r1"), GrantID: g.ID, Generation: 1, IssuedAt: stored(now), ExpiresAt: stored(now.Add(time.Hour))}
	if out.Refresh != wantRefresh {
		t.Errorf("refresh = %+v\nwant %+v", out.Refresh, wantRefresh)
	}
	if out.Access.Generation != 1 || out.Access.GrantID != g.ID || !reflect.DeepEqual(out.Access.Scopes, g.Scopes) {
		t.Errorf("access = %+v", out.Access)
	}
	for _, name := range []string{"a0", "a1"} {
		if _, _, err := s.UseAccessToken(t.Context(), hash(name), now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func rotateRepeat(t *testing.T, s Store) {
	issue(t, s, "")
	_, err := s.RotateRefresh(t.Context(), rotation("r0", "r1", "a1", now), now)
	must(t, err)
	// The answer was lost; the laptop sleeps for hours. Idle expiry of the
	// presented token must not matter then.
	later := now.Add(50 * time.Minute)
	out, err := s.RotateRefresh(t.Context(), rotation("r0", "other", "a2", later), later)
	must(t, err)
	if !out.Repeated || string(out.Sealed) != "sealed r1" || out.Refresh.Hash != hash("r1") || out.Access.Generation != 1 {
		t.Errorf("the answer was not repeated: %+v", out)
	}
	if _, _, err := s.UseAccessToken(t.Context(), hash("a2"), later); err != nil {
		t.Errorf("the repeated answer's access token: %v", err)
	}
	_, err = s.RotateRefresh(t.Context(), rotation("other", "x", "y", later), later)
	want(t, err, store.ErrNotFound)
}

// graceTest: after used, the predecessor repeats for the grace and not longer.
func graceTest(t *testing.T, s Store, used time.Time) {
	t.Helper()
	at := stored(used).Add(grace)
	if _, err := s.RotateRefresh(t.Context(), rotation("r0", "x", "grace", at), at); err != nil {
		t.Errorf("at the end of the grace: %v", err)
	}
	after := at.Add(time.Microsecond)
	out, err := s.RotateRefresh(t.Context(), rotation("r0", "x", "late", after), after)
	want(t, err, store.ErrConsumed)
	if out.Grant.ID == "" {
		t.Error("the grant is not named, so nobody can drop its tokens from a cache")
	}
	for _, name := range []string{"a0", "a1", "grace"} {
		_, _, err := s.UseAccessToken(t.Context(), hash(name), after)
		want(t, err, store.ErrRevoked)
	}
	_, err = s.RotateRefresh(t.Context(), rotation("r1", "y", "z", after), after)
	want(t, err, store.ErrRevoked)
}

func rotateGraceByAccess(t *testing.T, s Store) {
	issue(t, s, "")
	_, err := s.RotateRefresh(t.Context(), rotation("r0", "r1", "a1", now), now)
	must(t, err)
	used := now.Add(time.Minute)
	for _, at := range []time.Time{used, used.Add(time.Minute)} { // only the first use counts
		_, _, err = s.UseAccessToken(t.Context(), hash("a1"), at)
		must(t, err)
	}
	graceTest(t, s, used)
}

func rotateGraceByRotation(t *testing.T, s Store) {
	issue(t, s, "")
	_, err := s.RotateRefresh(t.Context(), rotation("r0", "r1", "a1", now), now)
	must(t, err)
	used := now.Add(time.Minute)
	_, err = s.RotateRefresh(t.Context(), rotation("r1", "r2", "a2", used), used)
	must(t, err)
	graceTest(t, s, used)
}

func refreshExpires(t *testing.T, s Store) {
	issue(t, s, "a ")
	issue(t, s, "b ")
	end := stored(refresh("").ExpiresAt)
	if _, err := s.RotateRefresh(t.Context(), rotation("a r0", "a r1", "a a1", end), end.Add(-time.Microsecond)); err != nil {
		t.Errorf("a microsecond before its end: %v", err)
	}
	_, err := s.RotateRefresh(t.Context(), rotation("b r0", "b r1", "b a1", end), end)
	want(t, err, store.ErrExpired)
	_, err = s.RotateRefresh(t.Context(), rotation("unknown", "x", "y", now), now)
	want(t, err, store.ErrNotFound)
}

func refreshClient(t *testing.T, s Store) {
	issue(t, s, "")
	r := rotation("r0", "r1", "a1", now)
	r.ClientID = "another client"
	_, err := s.RotateRefresh(t.Context(), r, now)
	want(t, err, store.ErrNotFound)
	if out, err := s.RotateRefresh(t.Context(), rotation("r0", "r1", "a1", now), now); err != nil || out.Repeated {
		t.Errorf("another client's attempt had an effect: %+v, %v", out, err)
	}
}

func rotateRace(t *testing.T, s Store) {
	issue(t, s, "")
	const n = 20
	outs := make([]store.Rotated, n)
	for i, err := range inParallel(n, func(i int) (err error) {
		outs[i], err = s.RotateRefresh(t.Context(), rotation("r0", fmt.Sprint("s", i), fmt.Sprint("b", i), now), now)
		return err
	}) {
		if err != nil {
			t.Fatalf("rotation %d: %v", i, err)
		}
	}
	winners := 0
	for i, out := range outs {
		if out.Refresh != outs[0].Refresh || string(out.Sealed) != string(outs[0].Sealed) {
			t.Errorf("rotation %d has another successor: %+v and %+v", i, out, outs[0])
		}
		if !out.Repeated {
			winners++
		}
		if _, _, err := s.UseAccessToken(t.Context(), hash(fmt.Sprint("b", i)), now); err != nil {
			t.Errorf("access token %d: %v", i, err)
		}
	}
	if winners != 1 {
		t.Errorf("%d rotations made a successor, want 1", winners)
	}
}

func revocation(t *testing.T, s Store) {
	g := issue(t, s, "")
	want(t, s.RevokeGrant(t.Context(), "unknown", "x", now), store.ErrNotFound)
	must(t, s.RevokeGrant(t.Context(), g.ID, "first", now))
	must(t, s.RevokeGrant(t.Context(), g.ID, "second", now.Add(second)))
	_, _, err := s.UseAccessToken(t.Context(), hash("a0"), now)
	want(t, err, store.ErrRevoked)
	out, err := s.RotateRefresh(t.Context(), rotation("r0", "r1", "a1", now), now)
	want(t, err, store.ErrRevoked)
	if out.Grant.RevokedReason != "first" || !out.Grant.RevokedAt.Equal(stored(now)) {
		t.Errorf("revoked at %s for %q, want the first time and reason", out.Grant.RevokedAt, out.Grant.RevokedReason)
	}
}

func events(t *testing.T, s Store) {
	all := []store.Event{
		{Time: now, Kind: "login", Outcome: "ok", Reason: "r", Tenant: "t", Object: "o", GrantID: "g", Client: "c é", Tool: "x", Address: "::1", Duration: 1234 * time.Microsecond},
		{Time: now.Add(second), Kind: "call", Outcome: "denied"},
		{Time: now, Kind: "call", Outcome: "ok"},
	}
	must(t, s.AppendEvents(t.Context(), all[:1]))
	must(t, s.AppendEvents(t.Context(), all[1:]))
	got, err := s.Events(t.Context(), 0, 10)
	must(t, err)
	for i := range all {
		all[i].Time = stored(all[i].Time)
		if i < len(got) {
			if i > 0 && got[i].ID <= got[i-1].ID {
				t.Errorf("ids do not ascend: %d, %d", got[i-1].ID, got[i].ID)
			}
			all[i].ID = got[i].ID
		}
	}
	if !reflect.DeepEqual(got, all) {
		t.Errorf("got  %+v\nwant %+v", got, all)
	}
	if page, err := s.Events(t.Context(), got[0].ID, 1); err != nil || len(page) != 1 || page[0].ID != got[1].ID {
		t.Errorf("page = %+v, %v", page, err)
	}
}

func collect(t *testing.T, s Store) {
	must(t, s.CreateLogin(t.Context(), login("l")))
	issue(t, s, "")
	must(t, s.AppendEvents(t.Context(), []store.Event{{Time: now, Kind: "k", Outcome: "ok"}}))
	if n, err := s.Collect(t.Context(), now); err != nil || n != 0 {
		t.Errorf("collected %d of the living, %v", n, err)
	}
	later := now.Add(25 * time.Hour) // login, code and access token are dead for a day; the grant is not
	if n, err := s.Collect(t.Context(), later); err != nil || n != 3 {
		t.Errorf("collected %d, %v, want the login, the code and the access token", n, err)
	}
	_, err := s.Code(t.Context(), hash("code"))
	want(t, err, store.ErrNotFound)
	if n, err := s.Collect(t.Context(), now.Add(49*time.Hour)); err != nil || n != 1 {
		t.Errorf("collected %d, %v, want the grant", n, err)
	}
	if got, err := s.Events(t.Context(), 0, 10); err != nil || len(got) != 1 {
		t.Errorf("the audit trail lost rows: %v, %v", got, err)
	}
}

func gone(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, s.CreateLogin(ctx, login("gone")), context.Canceled)
	_, err := s.ConsumeLogin(t.Context(), hash("gone"), hash("browser"), now)
	want(t, err, store.ErrNotFound)
}

func restart(t *testing.T, open Open) {
	path := t.TempDir()
	s, closeStore := open(t, path)
	issue(t, s, "")
	must(t, s.CreateLogin(t.Context(), login("l")))
	_, err := s.RotateRefresh(t.Context(), rotation("r0", "r1", "a1", now), now)
	must(t, err)
	closeStore()
	s, _ = open(t, path)
	if _, _, err := s.UseAccessToken(t.Context(), hash("a1"), now); err != nil {
		t.Errorf("access token: %v", err)
	}
	out, err := s.RotateRefresh(t.Context(), rotation("r0", "x", "y", now), now)
	if err != nil || !out.Repeated || string(out.Sealed) != "sealed r1" {
		t.Errorf("a rotation is not repeated after a restart: %+v, %v", out, err)
	}
	if _, err := s.ConsumeLogin(t.Context(), hash("l"), hash("browser"), now); err != nil {
		t.Errorf("login: %v", err)
	}
}
