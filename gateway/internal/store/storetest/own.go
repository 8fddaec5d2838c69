package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// own returns a grant that a client has for itself, not yet stored.
func (k *kit) own(client string, now time.Time) store.OwnGrant {
	access := k.access(now)
	return store.OwnGrant{
		Grant: store.Grant{
			ID: fmt.Sprintf("grant-%x", access.Hash[:8]), ClientID: client, ClientName: "CI", Scopes: []string{"mcp", "crm.write"},
			Resource: "https://gateway.example.com", CreatedAt: now, ExpiresAt: access.ExpiresAt,
		},
		Access: access,
	}
}

// give stores a client's own grant and returns it as stored.
func (k *kit) give(client string, now time.Time) (store.Grant, store.AccessToken) {
	k.Helper()
	o := k.own(client, now)
	k.wants("create", k.CreateOwnGrant(k.Context(), o), nil)
	o.Grant.CreatedAt, o.Grant.ExpiresAt = stored(o.Grant.CreatedAt), stored(o.Grant.ExpiresAt)
	return o.Grant, o.Access
}

func ownCreated(k *kit) {
	o := k.own(clientID, start)
	o.Access.ExpiresAt = o.Access.ExpiresAt.Add(time.Hour)
	o.Event = &store.Event{Time: start, Kind: "grant", GrantID: o.Grant.ID}
	k.wants("create", k.CreateOwnGrant(k.Context(), o), nil)
	k.reopen()
	want := o.Grant
	want.CreatedAt, want.ExpiresAt = stored(want.CreatedAt), stored(want.ExpiresAt)
	token, grant, err := k.UseAccessToken(k.Context(), o.Access.Hash, start)
	k.wants("use", err, nil)
	equal(k, "the grant", grant, want)
	equal(k, "the token, which ends with the grant", token, store.AccessToken{
		Hash: o.Access.Hash, GrantID: o.Grant.ID, Scopes: []string{"mcp"}, IssuedAt: stored(start), ExpiresAt: want.ExpiresAt,
	})
	events, err := k.Events(k.Context(), 0, 10)
	k.wants("events", err, nil)
	if len(events) != 1 || events[0].GrantID != o.Grant.ID {
		k.Errorf("written down is %+v", events)
	}
	k.wants("before the end", k.use(o.Access.Hash, want.ExpiresAt.Add(-tick)), nil)
	k.wants("at the end", k.use(o.Access.Hash, want.ExpiresAt), store.ErrExpired)
	_, err = k.RotateRefresh(k.Context(), k.rotation(o.Access.Hash, start), start)
	k.wants("the token as a refresh token", err, store.ErrNotFound)

	_, err = k.RevokeToken(k.Context(), o.Access.Hash, foreignID, start)
	k.wants("another client revokes it", err, store.ErrNotFound)
	_, other := k.give(clientID, start)
	got, err := k.RevokeToken(k.Context(), o.Access.Hash, clientID, start)
	k.wants("the client revokes it", err, nil)
	want.RevokedAt, want.RevokedReason = stored(start), store.ReasonClient
	equal(k, "the revoked grant", got, want)
	k.wants("after that", k.use(o.Access.Hash, start), store.ErrRevoked)
	k.wants("the client's other token", k.use(other.Hash, start), nil)
}

// ownRefused: nothing is left of what is refused or fails.
func ownRefused(k *kit) {
	_, err := k.DisableClient(k.Context(), clientID, start)
	k.wants("disable", err, nil)
	_, other := k.give(foreignID, start)
	same := k.own(foreignID, start)
	same.Access.Hash = other.Hash
	for name, tt := range map[string]struct {
		o    store.OwnGrant
		want error // nil: the store cannot answer
	}{
		"a disabled client":     {k.own(clientID, start), store.ErrDisabled},
		"a token that there is": {same, nil},
	} {
		tt.o.Event = &store.Event{Kind: "grant"}
		err := k.CreateOwnGrant(k.Context(), tt.o)
		if tt.want == nil {
			k.wantsFailure(name, err)
		} else {
			k.wants(name, err, tt.want)
		}
		_, err = k.GrantByID(k.Context(), tt.o.Grant.ID)
		k.wants(name+": its grant", err, store.ErrNotFound)
	}
	events, err := k.Events(k.Context(), 0, 10)
	k.wants("events", err, nil)
	equal(k, "events", len(events), 0)
	k.wants("enable", k.EnableClient(k.Context(), clientID), nil)
	k.give(clientID, start)
}

// ownListed: a client is nobody among the people.
func ownListed(k *kit) {
	person := k.issue(of(zoe, "Zoe", clientID, start))
	first, _ := k.give(clientID, start.Add(tick))
	second, _ := k.give(foreignID, start.Add(2*tick))
	users, err := k.Users(k.Context(), start)
	k.wants("users", err, nil)
	equal(k, "users", users, []store.UserSummary{
		{Tenant: tenantA, Object: zoe, Name: "Zoe", Username: "Zoe@example.com", LiveGrants: 1, LastSignIn: stored(start)},
	})
	clients, err := k.Clients(k.Context(), start)
	k.wants("clients", err, nil)
	equal(k, "clients", clients, []store.ClientSummary{
		{ClientID: clientID, Name: "CI", LiveGrants: 2, People: 1, LastSignIn: first.CreatedAt},
		{ClientID: foreignID, Name: "CI", LiveGrants: 1, LastSignIn: second.CreatedAt},
	})
	for name, tt := range map[string]struct {
		filter store.GrantFilter
		want   []store.Grant
	}{
		"all":        {want: []store.Grant{second, first, person.grant}},
		"a client's": {store.GrantFilter{ClientID: clientID}, []store.Grant{first, person.grant}},
		"a person's": {store.GrantFilter{Tenant: tenantA, Object: zoe}, []store.Grant{person.grant}},
	} {
		got, err := k.Grants(k.Context(), tt.filter, start)
		k.wants(name, err, nil)
		equal(k, name, got, tt.want)
	}
}

func ownRevoked(k *kit) {
	consent := store.Consent{Tenant: tenantA, Object: zoe, ClientID: clientID, RedirectURI: "https://client.example/cb", Scopes: []string{"mcp"}, ExpiresAt: start.Add(day)}
	k.wants("remember", k.RememberConsent(k.Context(), consent, start), nil)
	person := k.issue(of(zoe, "Zoe", clientID, start))
	byID, itsToken := k.give(clientID, start)
	waiting, waits := k.give(clientID, start)
	_, others := k.give(foreignID, start)

	got, err := k.RevokeGrants(k.Context(), store.GrantFilter{ID: byID.ID}, store.ReasonAdmin, start)
	k.wants("by its ID", err, nil)
	equal(k, "by its ID", got, []string{byID.ID})
	k.wants("its token", k.use(itsToken.Hash, start), store.ErrRevoked)
	k.remembers("what people allowed the client", consent, start, "mcp")
	got, err = k.RevokeGrants(k.Context(), store.GrantFilter{Tenant: tenantA, Object: zoe}, store.ReasonAdmin, start)
	k.wants("of a person", err, nil)
	equal(k, "of a person", got, ids(person))
	k.wants("the client's own", k.use(waits.Hash, start), nil)
	got, err = k.DisableClient(k.Context(), clientID, start)
	k.wants("disable", err, nil)
	equal(k, "of a client that is disabled", got, []string{waiting.ID})
	k.wants("its token", k.use(waits.Hash, start), store.ErrRevoked)
	k.wants("another client's", k.use(others.Hash, start), nil)
}

// ownRace has 64 callers ask and one disable. What was given before is ended, and
// nothing is given after.
func ownRace(k *kit) {
	const callers = 64
	asked := make([]store.OwnGrant, callers)
	for i := range asked {
		asked[i] = k.own(clientID, start)
	}
	var revoked, given []string
	errs := race(callers, func(i int) error {
		if i == callers/2 {
			var err error
			revoked, err = k.DisableClient(k.Context(), clientID, start)
			return err
		}
		return k.CreateOwnGrant(k.Context(), asked[i])
	})
	for i, err := range errs {
		switch {
		case i == callers/2:
			k.wants("disable", err, nil)
		case err == nil:
			given = append(given, asked[i].Grant.ID)
			k.wants("a token of before", k.use(asked[i].Access.Hash, start), store.ErrRevoked)
		case !errors.Is(err, store.ErrDisabled):
			k.Errorf("after: error is %v, want %v", err, store.ErrDisabled)
		}
	}
	slices.Sort(given)
	equal(k, "what was revoked is what was given", revoked, given)
}

// ownCollected: what a program piles up goes an hour after its end, and what is a
// person's stays for the day.
func ownCollected(k *kit) {
	person := k.issue(func(c *store.Code) { c.Grant.ExpiresAt = start.Add(accessLife) })
	grant, token := k.give(clientID, start)
	revoked, _ := k.give(clientID, start)
	k.wants("revoke", k.RevokeGrant(k.Context(), revoked.ID, revokedByHim, start), nil)
	later := start.Add(tick)
	_, live := k.give(clientID, later)

	end := grant.ExpiresAt
	k.collect("an hour after their end", end.Add(time.Hour), 0)
	k.wants("the token", k.use(token.Hash, end), store.ErrExpired)
	k.collect("a moment later", end.Add(time.Hour+tick), 4)
	k.wants("the token", k.use(token.Hash, end), store.ErrNotFound)
	k.wants("one that ended a moment later", k.use(live.Hash, start), nil)
	k.wants("the person's", k.use(person.access.Hash, end), store.ErrExpired)

	// However long a program goes on, no more is left than it could ask for in the
	// life of a token and that hour.
	for minute := range 3 * 60 {
		at := end.AddDate(1, 0, 0).Add(time.Duration(minute) * time.Minute)
		k.give(clientID, at)
		_, err := k.Collect(k.Context(), at)
		k.wants("collect", err, nil)
	}
	left, err := k.Grants(k.Context(), store.GrantFilter{All: true}, start)
	k.wants("list", err, nil)
	equal(k, "grants left of 180, one a minute", len(left), 71)
}
