package storetest

import (
	"bytes"
	"errors"
	"time"

	"mcp-gateway/gateway/internal/store"
)

func tokensCapped(k *kit) {
	short := func(c *store.Code) { c.Grant.ExpiresAt = start.Add(accessLife / 2) }
	i := k.issue(short)
	end := stored(i.code.Grant.ExpiresAt)
	token, _, err := k.UseAccessToken(k.Context(), i.access.Hash, end.Add(-tick))
	k.wants("use the first token", err, nil)
	equal(k, "end of the first token", token.ExpiresAt, end)

	r := k.rotate(i.refresh.Hash, end.Add(-tick))
	equal(k, "end of the successor", r.Refresh.ExpiresAt, end)
	equal(k, "end of the fresh token", r.Access.ExpiresAt, end)
	again := k.rotate(i.refresh.Hash, end.Add(-tick))
	equal(k, "end of the repeated token", again.Access.ExpiresAt, end)

	k.wants("the first token at the end", k.use(i.access.Hash, end), store.ErrExpired)
	for name, hash := range map[string]store.Hash{"the first": i.refresh.Hash, "the second": r.Refresh.Hash} {
		_, err = k.RotateRefresh(k.Context(), k.rotation(hash, end), end)
		k.wants(name+" refresh token at the end", err, store.ErrExpired)
	}
}

func accessRefused(k *kit) {
	i, revoked := k.issue(nil), k.issue(nil)
	k.wants("revoke", k.RevokeGrant(k.Context(), revoked.grant.ID, revokedByHim, start), nil)
	end := stored(i.access.ExpiresAt)
	for _, tt := range []struct {
		name  string
		token store.Hash
		now   time.Time
		want  error
	}{
		{name: "an unknown token", token: k.hash(), now: start, want: store.ErrNotFound},
		{name: "a refresh token", token: i.refresh.Hash, now: start, want: store.ErrNotFound},
		{name: "a code", token: i.code.Hash, now: start, want: store.ErrNotFound},
		{name: "one microsecond before its end", token: i.access.Hash, now: end.Add(-tick)},
		{name: "at its end", token: i.access.Hash, now: end, want: store.ErrExpired},
		{name: "after its end", token: i.access.Hash, now: end.Add(day), want: store.ErrExpired},
		{name: "of a revoked grant", token: revoked.access.Hash, now: start, want: store.ErrRevoked},
		{name: "of a revoked grant, after its end", token: revoked.access.Hash, now: end, want: store.ErrRevoked},
	} {
		token, grant, err := k.UseAccessToken(k.Context(), tt.token, tt.now)
		k.wants(tt.name, err, tt.want)
		if tt.want != nil {
			equal(k, tt.name, token, store.AccessToken{})
			equal(k, tt.name, grant, store.Grant{})
		}
	}
}

func rotated(k *kit) {
	i := k.issue(nil)
	now := start.Add(time.Hour)
	rotation := k.rotation(i.refresh.Hash, now)
	got, err := k.RotateRefresh(k.Context(), rotation, now)
	k.wants("rotate", err, nil)
	want := store.Rotated{
		Grant: i.grant,
		Access: store.AccessToken{
			Hash: rotation.Access.Hash, GrantID: i.grant.ID, Generation: 1, Scopes: i.grant.Scopes,
			IssuedAt: stored(now), ExpiresAt: stored(now.Add(accessLife)),
		},
		Refresh: store.RefreshToken{
			Hash: rotation.Successor.Hash, GrantID: i.grant.ID, Generation: 1,
			IssuedAt: stored(now), ExpiresAt: stored(now.Add(refreshLife)),
		},
		Sealed: rotation.Sealed,
	}
	equal(k, "outcome", got, want)
	token, grant, err := k.UseAccessToken(k.Context(), rotation.Access.Hash, now)
	k.wants("use", err, nil)
	equal(k, "fresh access token", token, want.Access)
	equal(k, "its grant", grant, i.grant)
	next := k.rotate(rotation.Successor.Hash, now)
	equal(k, "generation after that", next.Refresh.Generation, 2)
}

func rotationRefused(k *kit) {
	i, revoked := k.issue(nil), k.issue(nil)
	k.wants("revoke", k.RevokeGrant(k.Context(), revoked.grant.ID, revokedByHim, start), nil)
	end := stored(i.refresh.ExpiresAt)
	for _, tt := range []struct {
		name      string
		presented store.Hash
		client    string
		now       time.Time
		want      error
	}{
		{name: "an unknown token", presented: k.hash(), client: clientID, now: start, want: store.ErrNotFound},
		{name: "an access token", presented: i.access.Hash, client: clientID, now: start, want: store.ErrNotFound},
		{name: "another client", presented: i.refresh.Hash, client: foreignID, now: start, want: store.ErrNotFound},
		{name: "no client", presented: i.refresh.Hash, now: start, want: store.ErrNotFound},
		{name: "another client after its end", presented: i.refresh.Hash, client: foreignID, now: end, want: store.ErrNotFound},
		{name: "at its idle end", presented: i.refresh.Hash, client: clientID, now: end, want: store.ErrExpired},
		{name: "after its idle end", presented: i.refresh.Hash, client: clientID, now: end.Add(day), want: store.ErrExpired},
		{name: "of a revoked grant", presented: revoked.refresh.Hash, client: clientID, now: start, want: store.ErrRevoked},
		{name: "of a revoked grant, by another client", presented: revoked.refresh.Hash, client: foreignID, now: start, want: store.ErrNotFound},
		{name: "of a revoked grant, after its end", presented: revoked.refresh.Hash, client: clientID, now: end, want: store.ErrRevoked},
	} {
		rotation := k.rotation(tt.presented, tt.now)
		rotation.ClientID = tt.client
		got, err := k.RotateRefresh(k.Context(), rotation, tt.now)
		k.wants(tt.name, err, tt.want)
		var want store.Rotated
		if errors.Is(tt.want, store.ErrRevoked) {
			// The caller may have to say why.
			want.Grant = revoked.grant
			want.Grant.RevokedAt, want.Grant.RevokedReason = stored(start), revokedByHim
		}
		equal(k, tt.name, got, want)
		k.wants(tt.name+": the access token", k.use(rotation.Access.Hash, tt.now), store.ErrNotFound)
	}
	if r := k.rotate(i.refresh.Hash, end.Add(-tick)); r.Repeated {
		k.Error("a refused rotation was stored")
	}
}

func repeated(k *kit) {
	i := k.issue(nil)
	first := k.rotate(i.refresh.Hash, start)
	for _, after := range []time.Duration{0, grace, grace + tick, day} {
		now := start.Add(after)
		got := k.rotate(i.refresh.Hash, now)
		equal(k, "repeated", got.Repeated, true)
		equal(k, "refresh token", got.Refresh, first.Refresh)
		equal(k, "sealed successor", bytes.Equal(got.Sealed, first.Sealed), true)
		equal(k, "grant", got.Grant, i.grant)
		equal(k, "generation of the fresh access token", got.Access.Generation, 1)
		equal(k, "end of the fresh access token", got.Access.ExpiresAt, stored(now.Add(accessLife)))
	}
	// The predecessor's own end still holds.
	end := stored(i.refresh.ExpiresAt)
	_, err := k.RotateRefresh(k.Context(), k.rotation(i.refresh.Hash, end), end)
	k.wants("repeat at the idle end", err, store.ErrExpired)
	rotation := k.rotation(i.refresh.Hash, start)
	rotation.ClientID = foreignID
	_, err = k.RotateRefresh(k.Context(), rotation, start)
	k.wants("repeat for another client", err, store.ErrNotFound)
}

func graceBoundary(k *kit) {
	i := k.issue(nil)
	first := k.rotate(i.refresh.Hash, start)
	used := start.Add(time.Minute)
	k.wants("first use", k.use(first.Access.Hash, used), nil)
	last := k.rotate(i.refresh.Hash, used.Add(grace))
	equal(k, "repeated at the end of the grace", last.Repeated, true)

	late := used.Add(grace + tick)
	rotation := k.rotation(i.refresh.Hash, late)
	rotation.ClientID = foreignID
	_, err := k.RotateRefresh(k.Context(), rotation, late)
	k.wants("another client after the grace", err, store.ErrNotFound)
	k.wants("the grant after that", k.use(last.Access.Hash, late), nil)

	rotation = k.rotation(i.refresh.Hash, late)
	got, err := k.RotateRefresh(k.Context(), rotation, late)
	k.wants("one microsecond after the grace", err, store.ErrConsumed)
	want := i.grant
	want.RevokedAt, want.RevokedReason = stored(late), store.ReasonRefreshReplay
	equal(k, "outcome of a replay", got, store.Rotated{Grant: want})
	k.wants("the thief's token", k.use(rotation.Access.Hash, late), store.ErrNotFound)

	k.reopen()
	k.wants("the access token of the revoked family", k.use(last.Access.Hash, late), store.ErrRevoked)
	for _, hash := range []store.Hash{i.refresh.Hash, first.Refresh.Hash} {
		_, err = k.RotateRefresh(k.Context(), k.rotation(hash, late), late)
		k.wants("a refresh token of the revoked family", err, store.ErrRevoked)
	}
}

func graceStart(k *kit) {
	used, late := start.Add(time.Hour), start.Add(time.Hour+grace+tick)
	for _, tt := range []struct {
		name string
		// use does something at used, with the first tokens and those of the
		// first rotation.
		use func(first issued, second store.Rotated)
		// want is what the first refresh token gets after the grace.
		want error
	}{
		{name: "nothing", use: func(issued, store.Rotated) {}},
		{name: "an access token of the old generation", use: func(first issued, _ store.Rotated) {
			k.wants("use", k.use(first.access.Hash, start.Add(tick)), nil)
		}},
		{name: "a refused access token of the new generation", use: func(_ issued, second store.Rotated) {
			k.wants("use", k.use(second.Access.Hash, stored(second.Access.ExpiresAt)), store.ErrExpired)
		}},
		{name: "an access token of the new generation", use: func(_ issued, second store.Rotated) {
			k.wants("use", k.use(second.Access.Hash, start.Add(tick)), nil)
		}, want: store.ErrConsumed},
		{name: "an access token of a repeated answer", use: func(first issued, _ store.Rotated) {
			k.wants("use", k.use(k.rotate(first.refresh.Hash, used).Access.Hash, used), nil)
		}, want: store.ErrConsumed},
		{name: "rotating the successor", use: func(_ issued, second store.Rotated) {
			k.rotate(second.Refresh.Hash, used)
		}, want: store.ErrConsumed},
		{name: "a later use does not start it again", use: func(first issued, second store.Rotated) {
			k.rotate(second.Refresh.Hash, used)
			fresh := k.rotate(first.refresh.Hash, used.Add(grace))
			k.wants("use", k.use(fresh.Access.Hash, used.Add(grace)), nil)
		}, want: store.ErrConsumed},
		{name: "nor does rotating the successor after a use", use: func(_ issued, second store.Rotated) {
			k.wants("use", k.use(second.Access.Hash, start.Add(tick)), nil)
			k.rotate(second.Refresh.Hash, used.Add(grace))
		}, want: store.ErrConsumed},
		{name: "nor does repeating the successor", use: func(_ issued, second store.Rotated) {
			k.rotate(second.Refresh.Hash, used)
			k.rotate(second.Refresh.Hash, used.Add(grace))
		}, want: store.ErrConsumed},
	} {
		first := k.issue(nil)
		second := k.rotate(first.refresh.Hash, start)
		tt.use(first, second)
		_, err := k.RotateRefresh(k.Context(), k.rotation(first.refresh.Hash, late), late)
		k.wants(tt.name, err, tt.want)
	}
}

func rotationRace(k *kit) {
	type outcome struct {
		store.Rotated
		err error
	}
	i := k.issue(nil)
	rotations := make([]store.Rotation, 20)
	for n := range rotations {
		rotations[n] = k.rotation(i.refresh.Hash, start)
	}
	answers := race(len(rotations), func(n int) outcome {
		r, err := k.RotateRefresh(k.Context(), rotations[n], start)
		return outcome{r, err}
	})
	winners := 0
	for n, a := range answers {
		k.wants("rotate", a.err, nil)
		equal(k, "refresh token", a.Refresh, answers[0].Refresh)
		equal(k, "sealed successor", a.Sealed, answers[0].Sealed)
		equal(k, "access token", a.Access.Hash, rotations[n].Access.Hash)
		k.wants("use the access token", k.use(a.Access.Hash, start), nil)
		successor := rotations[n].Successor.Hash
		if !a.Repeated {
			winners++
			equal(k, "the winner's successor", a.Refresh.Hash, successor)
			continue
		}
		_, err := k.RotateRefresh(k.Context(), k.rotation(successor, start), start)
		k.wants("a loser's successor", err, store.ErrNotFound)
	}
	equal(k, "winners", winners, 1)
	next := k.rotate(answers[0].Refresh.Hash, start)
	equal(k, "generation after the race", next.Refresh.Generation, 2)
}

func grantRevoked(k *kit) {
	i, other := k.issue(nil), k.issue(nil)
	second := k.rotate(i.refresh.Hash, start)
	k.wants("an unknown grant", k.RevokeGrant(k.Context(), "grant-unknown", revokedByHim, start), store.ErrNotFound)
	pending := k.code()
	k.wants("create", k.CreateCode(k.Context(), pending), nil)
	k.wants("a grant whose code was not redeemed", k.RevokeGrant(k.Context(), pending.Grant.ID, revokedByHim, start), store.ErrNotFound)
	for range 2 {
		k.wants("revoke", k.RevokeGrant(k.Context(), i.grant.ID, revokedByHim, start), nil)
	}
	for _, hash := range []store.Hash{i.access.Hash, second.Access.Hash} {
		k.wants("an access token", k.use(hash, start), store.ErrRevoked)
	}
	for _, hash := range []store.Hash{i.refresh.Hash, second.Refresh.Hash} {
		_, err := k.RotateRefresh(k.Context(), k.rotation(hash, start), start)
		k.wants("a refresh token", err, store.ErrRevoked)
	}
	k.wants("another grant of the same person and client", k.use(other.access.Hash, start), nil)
}
