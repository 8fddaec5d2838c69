package storetest

import (
	"errors"
	"time"

	"mcp-gateway/gateway/internal/store"
)

func loginRoundTrip(k *kit) {
	for name, sealed := range map[string][]byte{"a sealed request": {0, 1, 255}, "an empty one": nil} {
		l := k.login()
		l.Sealed = sealed
		k.wants("create", k.CreateLogin(k.Context(), l), nil)
		got, err := k.ConsumeLogin(k.Context(), l.State, l.Browser, start)
		k.wants(name, err, nil)
		want := l
		want.ExpiresAt = stored(l.ExpiresAt)
		equal(k, name, got, want)
		_, err = k.ConsumeLogin(k.Context(), l.State, l.Browser, start)
		k.wants("the second time", err, store.ErrNotFound)
	}
}

func loginRefused(k *kit) {
	l := k.login()
	k.wants("create", k.CreateLogin(k.Context(), l), nil)
	k.wantsFailure("the same state again", k.CreateLogin(k.Context(), l))
	end := stored(l.ExpiresAt)
	for _, tt := range []struct {
		name           string
		state, browser store.Hash
		now            time.Time
	}{
		{name: "an unknown state", state: k.hash(), browser: l.Browser, now: start},
		{name: "another browser", state: l.State, browser: k.hash(), now: start},
		{name: "state and browser the wrong way round", state: l.Browser, browser: l.State, now: start},
		{name: "at its end", state: l.State, browser: l.Browser, now: end},
		{name: "after its end", state: l.State, browser: l.Browser, now: end.Add(time.Hour)},
	} {
		got, err := k.ConsumeLogin(k.Context(), tt.state, tt.browser, tt.now)
		k.wants(tt.name, err, store.ErrNotFound)
		equal(k, tt.name, got, store.Login{})
	}
	_, err := k.ConsumeLogin(k.Context(), l.State, l.Browser, end.Add(-tick))
	k.wants("the right browser, one microsecond before the end, after all of these", err, nil)
}

func loginRace(k *kit) {
	l := k.login()
	k.wants("create", k.CreateLogin(k.Context(), l), nil)
	k.oneWins(store.ErrNotFound, race(64, func(int) error {
		_, err := k.ConsumeLogin(k.Context(), l.State, l.Browser, start)
		return err
	}))
}

// oneWins fails unless one answer is nil and all others are the sentinel. It
// returns the winner.
func (k *kit) oneWins(others error, answers []error) int {
	k.Helper()
	winner, winners := -1, 0
	for i, err := range answers {
		switch {
		case err == nil:
			winner = i
			winners++
		case !errors.Is(err, others):
			k.Errorf("a loser got %v, want %v", err, others)
		}
	}
	if winners != 1 {
		k.Fatalf("%d of %d callers won, want 1", winners, len(answers))
	}
	return winner
}

func codeRoundTrip(k *kit) {
	for name, change := range map[string]func(*store.Code){
		"a full code": func(*store.Code) {},
		"nothing but what identifies": func(c *store.Code) {
			c.Grant.Identity = store.Identity{Tenant: "t", Object: "o"}
			c.Grant.ClientName, c.Grant.Resource, c.RedirectURI, c.Challenge = "", "", "", ""
			c.Grant.Scopes = nil
		},
		"text that SQL, JSON and URLs would change": func(c *store.Code) {
			c.Grant.ClientName = "'; DROP TABLE codes; --\x00\"\\ \u2028 <&> \u202e 日本語"
			c.Grant.Scopes = []string{"a b", `"`, "ü", ""}
			c.Grant.Identity.Roles = []string{"", "'"}
		},
	} {
		c := k.code()
		change(&c)
		k.wants(name, k.CreateCode(k.Context(), c), nil)
		got, err := k.Code(k.Context(), c.Hash)
		k.wants(name, err, nil)
		equal(k, name, got, storedCode(c))
	}
	c := k.code()
	c.Grant.Scopes, c.Grant.Identity.Roles, c.Grant.Identity.Groups = []string{}, []string{}, []string{}
	k.wants("empty lists", k.CreateCode(k.Context(), c), nil)
	c.Grant.Scopes, c.Grant.Identity.Roles, c.Grant.Identity.Groups = nil, nil, nil
	got, err := k.Code(k.Context(), c.Hash)
	k.wants("empty lists", err, nil)
	equal(k, "empty lists come back as nil", got, storedCode(c))
	k.wantsFailure("the same code again", k.CreateCode(k.Context(), c))
	_, err = k.Code(k.Context(), k.hash())
	k.wants("an unknown code", err, store.ErrNotFound)
}

func codeRedeemed(k *kit) {
	i := k.issue(nil)
	wantGrant := storedCode(i.code).Grant
	equal(k, "grant", i.grant, wantGrant)

	token, grant, err := k.UseAccessToken(k.Context(), i.access.Hash, start)
	k.wants("use the access token", err, nil)
	equal(k, "grant of the access token", grant, wantGrant)
	equal(k, "access token", token, store.AccessToken{
		Hash: i.access.Hash, GrantID: i.grant.ID, Scopes: []string{"mcp"},
		IssuedAt: stored(start), ExpiresAt: stored(i.access.ExpiresAt),
	})
	used, err := k.Code(k.Context(), i.code.Hash)
	k.wants("read the used code", err, nil)
	want := storedCode(i.code)
	want.UsedAt = stored(start)
	equal(k, "used code", used, want)

	c, access := k.code(), k.access(start)
	k.wants("create", k.CreateCode(k.Context(), c), nil)
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: c.Hash, Access: access}, start)
	k.wants("redeem without a refresh token", err, nil)
	k.wants("use the access token that cannot be refreshed", k.use(access.Hash, start), nil)
}

// codeWrittenDown: the event is there when the grant is, and not when it is not.
func codeWrittenDown(k *kit) {
	taken, c := k.issue(nil), k.code()
	k.wants("create", k.CreateCode(k.Context(), c), nil)
	event := store.Event{Time: start, Kind: "grant", Outcome: "ok", GrantID: c.Grant.ID, Client: "Cursor", Duration: time.Second}
	clash := k.access(start)
	clash.Hash = taken.access.Hash
	_, err := k.RedeemCode(k.Context(), store.Redemption{Code: c.Hash, Access: clash, Event: &event}, start)
	k.wantsFailure("an access token that exists", err)
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: taken.code.Hash, Access: k.access(start), Event: &event}, start)
	k.wants("a used code", err, store.ErrConsumed)
	events, err := k.Events(k.Context(), 0, 10)
	k.wants("events", err, nil)
	equal(k, "events of what was refused", events, nil)
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: c.Hash, Access: k.access(start), Event: &event}, start)
	k.wants("redeem", err, nil)
	k.reopen()
	events, err = k.Events(k.Context(), 0, 10)
	k.wants("events", err, nil)
	if len(events) == 1 {
		event.ID, event.Time = events[0].ID, stored(start) // the store's to choose
	}
	equal(k, "events", events, []store.Event{event})
}

func codeRefused(k *kit) {
	c := k.code()
	k.wants("create", k.CreateCode(k.Context(), c), nil)
	over := k.code()
	over.Grant.ExpiresAt = start.Add(codeLife / 2)
	k.wants("create", k.CreateCode(k.Context(), over), nil)
	end := stored(c.ExpiresAt)
	redeem := func(code store.Hash, now time.Time) error {
		refresh := k.refresh(now)
		grant, err := k.RedeemCode(k.Context(), store.Redemption{Code: code, Access: k.access(now), Refresh: &refresh}, now)
		if err != nil {
			equal(k, "grant of a refusal", grant, store.Grant{})
		}
		return err
	}
	for _, tt := range []struct {
		name string
		code store.Hash
		now  time.Time
		want error
	}{
		{name: "an unknown code", code: k.hash(), now: start, want: store.ErrNotFound},
		{name: "at its end", code: c.Hash, now: end, want: store.ErrExpired},
		{name: "after its end", code: c.Hash, now: end.Add(day), want: store.ErrExpired},
		{name: "at the end of what would be granted", code: over.Hash, now: stored(over.Grant.ExpiresAt), want: store.ErrExpired},
	} {
		k.wants(tt.name, redeem(tt.code, tt.now), tt.want)
	}
	k.wants("one microsecond before the end", redeem(c.Hash, end.Add(-tick)), nil)
	k.wants("a wrong attempt at an unknown code", k.FailCode(k.Context(), k.hash()), store.ErrNotFound)
}

func codeBurnt(k *kit) {
	for _, tt := range []struct {
		name     string
		failures int
		want     error
	}{
		{name: "one attempt short of burning it", failures: store.MaxCodeFailures - 1},
		{name: "the last attempt burns it", failures: store.MaxCodeFailures, want: store.ErrExpired},
		{name: "it stays burnt", failures: store.MaxCodeFailures + 1, want: store.ErrExpired},
	} {
		c := k.code()
		k.wants("create", k.CreateCode(k.Context(), c), nil)
		for _, err := range race(tt.failures, func(int) error { return k.FailCode(k.Context(), c.Hash) }) {
			k.wants("fail", err, nil)
		}
		got, err := k.Code(k.Context(), c.Hash)
		k.wants("read", err, nil)
		equal(k, "failures", got.Failures, tt.failures)
		_, err = k.RedeemCode(k.Context(), store.Redemption{Code: c.Hash, Access: k.access(start)}, start)
		k.wants(tt.name, err, tt.want)
	}
}

func codeReplayed(k *kit) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		wrong int
		alive error // what the grant's tokens then answer
	}{
		{name: "at once", after: 0},
		{name: "at the end of the burst", after: store.ReplayBurst},
		{name: "with the clock set back", after: -time.Second},
		{name: "one microsecond after the burst", after: store.ReplayBurst + tick, alive: store.ErrRevoked},
		{name: "after the code's own end", after: codeLife + time.Second, alive: store.ErrRevoked},
		{name: "although it was burnt since", after: codeLife, wrong: store.MaxCodeFailures, alive: store.ErrRevoked},
	} {
		i := k.issue(nil)
		for range tt.wrong {
			k.wants("fail", k.FailCode(k.Context(), i.code.Hash), nil)
		}
		now := stored(start).Add(tt.after)
		stolen := k.access(now)
		_, err := k.RedeemCode(k.Context(), store.Redemption{Code: i.code.Hash, Access: stolen}, now)
		k.wants(tt.name, err, store.ErrConsumed)
		k.wants(tt.name+": the thief's token", k.use(stolen.Hash, now), store.ErrNotFound)
		k.wants(tt.name+": the access token", k.use(i.access.Hash, now), tt.alive)
		_, err = k.RotateRefresh(k.Context(), k.rotation(i.refresh.Hash, now), now)
		k.wants(tt.name+": the refresh token", err, tt.alive)
		_, err = k.RedeemCode(k.Context(), store.Redemption{Code: i.code.Hash, Access: k.access(now)}, now.Add(time.Hour))
		k.wants(tt.name+": once more", err, store.ErrConsumed)
	}
}

func codeRace(k *kit) {
	c := k.code()
	k.wants("create", k.CreateCode(k.Context(), c), nil)
	tokens := make([]store.AccessToken, 64)
	for i := range tokens {
		tokens[i] = k.access(start)
	}
	winner := k.oneWins(store.ErrConsumed, race(len(tokens), func(i int) error {
		refresh := k.refresh(start)
		_, err := k.RedeemCode(k.Context(), store.Redemption{Code: c.Hash, Access: tokens[i], Refresh: &refresh}, start)
		return err
	}))
	for i, token := range tokens {
		if i == winner {
			k.wants("the winner's token", k.use(token.Hash, start), nil)
		} else {
			k.wants("a loser's token", k.use(token.Hash, start), store.ErrNotFound)
		}
	}
}

func codeUndone(k *kit) {
	taken := k.issue(nil)
	c := k.code()
	k.wants("create", k.CreateCode(k.Context(), c), nil)
	clash, refresh := k.access(start), k.refresh(start)
	clash.Hash = taken.access.Hash
	_, err := k.RedeemCode(k.Context(), store.Redemption{Code: c.Hash, Access: clash, Refresh: &refresh}, start)
	k.wantsFailure("an access token that exists", err)
	got, err := k.Code(k.Context(), c.Hash)
	k.wants("read", err, nil)
	equal(k, "the code", got, storedCode(c))
	_, err = k.RotateRefresh(k.Context(), k.rotation(refresh.Hash, start), start)
	k.wants("the refresh token of the attempt", err, store.ErrNotFound)
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: c.Hash, Access: k.access(start), Refresh: &refresh}, start)
	k.wants("redeem after all", err, nil)
}
