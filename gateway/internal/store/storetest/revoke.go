package storetest

import (
	"time"

	"mcp-gateway/gateway/internal/store"
)

// ended fails unless every token of a family is refused as revoked.
func (k *kit) ended(what string, now time.Time, access, refresh []store.Hash) {
	k.Helper()
	for _, hash := range access {
		k.wants(what+": an access token", k.use(hash, now), store.ErrRevoked)
	}
	for _, hash := range refresh {
		_, err := k.RotateRefresh(k.Context(), k.rotation(hash, now), now)
		k.wants(what+": a refresh token", err, store.ErrRevoked)
	}
}

func tokenRevoked(k *kit) {
	now := start.Add(time.Minute)
	for _, tt := range []struct {
		name string
		pick func(first issued, second store.Rotated) store.Hash
		at   time.Time
	}{
		{name: "the newest refresh token", at: now, pick: func(_ issued, second store.Rotated) store.Hash { return second.Refresh.Hash }},
		{name: "the newest access token", at: now, pick: func(_ issued, second store.Rotated) store.Hash { return second.Access.Hash }},
		{name: "a rotated refresh token", at: now, pick: func(first issued, _ store.Rotated) store.Hash { return first.refresh.Hash }},
		{name: "a rotated refresh token after the grace", at: now.Add(grace + tick), pick: func(first issued, second store.Rotated) store.Hash {
			k.wants("use", k.use(second.Access.Hash, now), nil)
			return first.refresh.Hash
		}},
		{name: "an access token of the old generation", at: now, pick: func(first issued, _ store.Rotated) store.Hash { return first.access.Hash }},
		{name: "an expired access token", at: start.Add(accessLife), pick: func(first issued, _ store.Rotated) store.Hash { return first.access.Hash }},
	} {
		first, other := k.issue(nil), k.issue(nil)
		second := k.rotate(first.refresh.Hash, start)
		presented := tt.pick(first, second)
		want := first.grant
		want.RevokedAt, want.RevokedReason = stored(tt.at), store.ReasonClient
		// Twice: the first time and reason stay.
		for _, at := range []time.Time{tt.at, tt.at.Add(time.Hour)} {
			got, err := k.RevokeToken(k.Context(), presented, clientID, at)
			k.wants(tt.name, err, nil)
			equal(k, tt.name, got, want)
		}
		k.ended(tt.name, tt.at, []store.Hash{first.access.Hash, second.Access.Hash}, []store.Hash{first.refresh.Hash, second.Refresh.Hash})
		k.wants(tt.name+": another grant of the same client", k.use(other.access.Hash, start), nil)
	}

	i := k.issue(nil)
	k.wants("revoke", k.RevokeGrant(k.Context(), i.grant.ID, revokedByHim, start), nil)
	got, err := k.RevokeToken(k.Context(), i.refresh.Hash, clientID, now)
	k.wants("a grant revoked before", err, nil)
	equal(k, "its reason", got.RevokedReason, revokedByHim)
	equal(k, "its time", got.RevokedAt, stored(start))
	k.reopen()
	k.ended("after a restart", now, []store.Hash{i.access.Hash}, []store.Hash{i.refresh.Hash})
}

func revocationRefused(k *kit) {
	i, gone := k.issue(nil), k.issue(nil)
	_, err := k.RevokeToken(k.Context(), gone.refresh.Hash, clientID, start)
	k.wants("revoke", err, nil)
	for _, tt := range []struct {
		name      string
		presented store.Hash
		client    string
	}{
		{name: "an unknown token", presented: k.hash(), client: clientID},
		{name: "no token", client: clientID},
		{name: "a code", presented: i.code.Hash, client: clientID},
		{name: "another client's refresh token", presented: i.refresh.Hash, client: foreignID},
		{name: "another client's access token", presented: i.access.Hash, client: foreignID},
		{name: "an access token and no client", presented: i.access.Hash},
		{name: "a refresh token and no client", presented: i.refresh.Hash},
		{name: "another client's revoked token", presented: gone.refresh.Hash, client: foreignID},
	} {
		got, err := k.RevokeToken(k.Context(), tt.presented, tt.client, start)
		k.wants(tt.name, err, store.ErrNotFound)
		equal(k, tt.name, got, store.Grant{})
		k.wants(tt.name+": the access token", k.use(i.access.Hash, start), nil)
	}
	if r := k.rotate(i.refresh.Hash, start); r.Repeated {
		k.Error("a refused revocation rotated")
	}
}

// revocationRace has callers rotate, use and revoke one family at once. What a
// rotation won is ended by the revocation, and none wins after it.
func revocationRace(k *kit) {
	type outcome struct {
		rotated store.Rotated
		err     error
	}
	i := k.issue(nil)
	second := k.rotate(i.refresh.Hash, start)
	presented := []store.Hash{i.refresh.Hash, second.Refresh.Hash, i.access.Hash, second.Access.Hash}
	answers := race(64, func(n int) (o outcome) {
		// Half of them rotate either generation, the others revoke by any token.
		if n%2 == 0 {
			o.rotated, o.err = k.RotateRefresh(k.Context(), k.rotation(presented[n/2%2], start), start)
			return o
		}
		_, o.err = k.RevokeToken(k.Context(), presented[n/2%4], clientID, start)
		if o.err != nil {
			return o
		}
		// This caller has its answer: nothing of the family works for it.
		k.ended("after a revocation", start, []store.Hash{i.access.Hash, second.Access.Hash}, presented[:2])
		return o
	})
	access, refresh := []store.Hash{i.access.Hash, second.Access.Hash}, presented[:2:2]
	for n, a := range answers {
		switch {
		case n%2 == 1:
			k.wants("revoke", a.err, nil)
		case a.err == nil:
			access, refresh = append(access, a.rotated.Access.Hash), append(refresh, a.rotated.Refresh.Hash)
		default:
			k.wants("a rotation that lost", a.err, store.ErrRevoked)
		}
	}
	k.ended("after the race", start, access, refresh)
}
