package storetest

import (
	"context"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// Administration has the verbs of the administrator.
type Administration interface {
	Users(ctx context.Context, now time.Time) ([]store.UserSummary, error)
	Clients(ctx context.Context, now time.Time) ([]store.ClientSummary, error)
	Grants(ctx context.Context, f store.GrantFilter, now time.Time) ([]store.Grant, error)
	GrantByID(ctx context.Context, grantID string) (store.Grant, error)
	RevokeGrants(ctx context.Context, f store.GrantFilter, reason string, now time.Time) ([]string, error)
	DisableUser(ctx context.Context, tenant, object string, now time.Time) ([]string, error)
	EnableUser(ctx context.Context, tenant, object string) error
	UserDisabled(ctx context.Context, tenant, object string) (bool, error)
	DisableClient(ctx context.Context, clientID string, now time.Time) ([]string, error)
	EnableClient(ctx context.Context, clientID string) error
	ClientDisabled(ctx context.Context, clientID string) (bool, error)
}

const (
	tenantA = "aaaaaaaa-0000-0000-0000-000000000001"
	zoe     = "bbbbbbbb-0000-0000-0000-000000000001"
	ada     = "bbbbbbbb-0000-0000-0000-000000000002"
)

// of makes a code somebody's, for a client, signed in at a time.
func of(object, name, client string, at time.Time) func(*store.Code) {
	return func(c *store.Code) {
		c.Grant.Identity = store.Identity{Tenant: tenantA, Object: object, Name: name, Username: name + "@example.com"}
		c.Grant.ClientID, c.Grant.ClientName, c.Grant.CreatedAt = client, name+"'s", at
		if object == "" {
			c.Grant.Identity = store.Identity{Tenant: "other", Object: zoe}
		}
	}
}

func (k *kit) clientDisabled(client string) bool {
	k.Helper()
	is, err := k.ClientDisabled(k.Context(), client)
	k.wants("ClientDisabled", err, nil)
	return is
}

func (k *kit) userDisabled(tenant, object string) bool {
	k.Helper()
	is, err := k.UserDisabled(k.Context(), tenant, object)
	k.wants("UserDisabled", err, nil)
	return is
}

func ids(grants ...issued) []string {
	var list []string
	for _, i := range grants {
		list = append(list, i.grant.ID)
	}
	slices.Sort(list)
	return list
}

func usersListed(k *kit) {
	users, err := k.Users(k.Context(), start)
	k.wants("an empty list", err, nil)
	equal(k, "an empty list", users, nil)

	later := start.Add(time.Minute)
	k.issue(of(zoe, "Old", foreignID, start))
	k.issue(of(zoe, "New", clientID, later))
	revoked := k.issue(of(ada, "Ada", clientID, start))
	k.wants("revoke", k.RevokeGrant(k.Context(), revoked.grant.ID, revokedByHim, start), nil)
	k.issue(of("", "", clientID, start))
	_, err = k.DisableUser(k.Context(), tenantA, ada, later)
	k.wants("disable", err, nil)
	_, err = k.DisableUser(k.Context(), tenantA, "never seen", start)
	k.wants("disable", err, nil)

	want := []store.UserSummary{
		{Tenant: tenantA, Object: zoe, Name: "New", Username: "New@example.com", LiveGrants: 2, LastSignIn: stored(later)},
		{Tenant: tenantA, Object: ada, Name: "Ada", Username: "Ada@example.com", LastSignIn: stored(start), DisabledAt: stored(later)},
		{Tenant: tenantA, Object: "never seen", DisabledAt: stored(start)},
		{Tenant: "other", Object: zoe, LiveGrants: 1, LastSignIn: stored(start)},
	}
	users, err = k.Users(k.Context(), later)
	k.wants("list", err, nil)
	equal(k, "the list", users, want)

	end := stored(start.Add(grantLife))
	users, err = k.Users(k.Context(), end)
	k.wants("list at the grants' end", err, nil)
	want[0].LiveGrants, want[3].LiveGrants = 0, 0
	equal(k, "the list at the grants' end", users, want)

	_, err = k.Collect(k.Context(), end.AddDate(1, 0, 0))
	k.wants("collect", err, nil)
	users, err = k.Users(k.Context(), end)
	k.wants("list of the disabled", err, nil)
	want[1].LastSignIn = time.Time{}
	equal(k, "who is disabled stays, with the name", users, want[1:3])
}

func clientsListed(k *kit) {
	clients, err := k.Clients(k.Context(), start)
	k.wants("an empty list", err, nil)
	equal(k, "an empty list", clients, nil)

	later := start.Add(time.Minute)
	k.issue(of(zoe, "New", clientID, later))
	k.issue(of(zoe, "Old", clientID, start))
	k.issue(of(ada, "Ada", clientID, start))
	k.issue(of("", "", clientID, start))
	k.issue(of(ada, "Ada", foreignID, start))
	_, err = k.DisableClient(k.Context(), foreignID, later)
	k.wants("disable", err, nil)
	_, err = k.DisableClient(k.Context(), "never seen", start)
	k.wants("disable", err, nil)

	want := []store.ClientSummary{
		{ClientID: clientID, Name: "New's", LiveGrants: 4, People: 3, LastSignIn: stored(later)},
		{ClientID: foreignID, Name: "Ada's", LastSignIn: stored(start), DisabledAt: stored(later)},
		{ClientID: "never seen", DisabledAt: stored(start)},
	}
	clients, err = k.Clients(k.Context(), later)
	k.wants("list", err, nil)
	equal(k, "the list", clients, want)

	end := stored(start.Add(grantLife))
	_, err = k.Collect(k.Context(), end.AddDate(1, 0, 0))
	k.wants("collect", err, nil)
	clients, err = k.Clients(k.Context(), end)
	k.wants("list of the disabled", err, nil)
	want[1].LastSignIn = time.Time{}
	equal(k, "what is disabled stays, with the name", clients, want[1:])
}

func grantsListed(k *kit) {
	old := k.issue(of(zoe, "Zoe", clientID, start))
	fresh := k.issue(of(zoe, "Zoe", foreignID, start.Add(tick)))
	ended := k.issue(of(ada, "Ada", clientID, start.Add(2*tick)))
	k.wants("revoke", k.RevokeGrant(k.Context(), ended.grant.ID, revokedByHim, start), nil)
	ended.grant.RevokedAt, ended.grant.RevokedReason = stored(start), revokedByHim

	for _, tt := range []struct {
		name   string
		filter store.GrantFilter
		now    time.Time
		want   []store.Grant
	}{
		{name: "the live ones, the newest first", now: start, want: []store.Grant{fresh.grant, old.grant}},
		{name: "all", filter: store.GrantFilter{All: true}, now: start, want: []store.Grant{ended.grant, fresh.grant, old.grant}},
		{name: "a client's", filter: store.GrantFilter{ClientID: clientID}, now: start, want: []store.Grant{old.grant}},
		{name: "all of a client's", filter: store.GrantFilter{ClientID: clientID, All: true}, now: start, want: []store.Grant{ended.grant, old.grant}},
		{name: "a person's", filter: store.GrantFilter{Tenant: tenantA, Object: zoe}, now: start, want: []store.Grant{fresh.grant, old.grant}},
		{name: "a person's with a client", filter: store.GrantFilter{Object: zoe, ClientID: foreignID}, now: start, want: []store.Grant{fresh.grant}},
		{name: "one", filter: store.GrantFilter{ID: old.grant.ID}, now: start, want: []store.Grant{old.grant}},
		{name: "one that is revoked", filter: store.GrantFilter{ID: ended.grant.ID}, now: start},
		{name: "another tenant's", filter: store.GrantFilter{Tenant: "other", Object: zoe, All: true}, now: start},
		{name: "one before their end", now: stored(start.Add(grantLife)).Add(-tick), want: []store.Grant{fresh.grant, old.grant}},
		{name: "at their end", now: stored(start.Add(grantLife))},
	} {
		got, err := k.Grants(k.Context(), tt.filter, tt.now)
		k.wants(tt.name, err, nil)
		equal(k, tt.name, got, tt.want)
	}
	got, err := k.GrantByID(k.Context(), ended.grant.ID)
	k.wants("a revoked grant by its ID", err, nil)
	equal(k, "a revoked grant by its ID", got, ended.grant)
	for _, id := range []string{"", "unknown", clientID} {
		_, err = k.GrantByID(k.Context(), id)
		k.wants("no grant "+id, err, store.ErrNotFound)
	}
}

func grantsRevoked(k *kit) {
	for _, tt := range []struct {
		name   string
		filter func(target issued) store.GrantFilter
	}{
		{name: "by ID", filter: func(i issued) store.GrantFilter { return store.GrantFilter{ID: i.grant.ID} }},
		{name: "of a person", filter: func(issued) store.GrantFilter { return store.GrantFilter{Tenant: tenantA, Object: zoe, All: true} }},
		{name: "of a client", filter: func(issued) store.GrantFilter { return store.GrantFilter{ClientID: clientID} }},
		{name: "of a person with a client", filter: func(issued) store.GrantFilter { return store.GrantFilter{Object: zoe, ClientID: clientID} }},
	} {
		target, other := k.issue(of(zoe, "Zoe", clientID, start)), k.issue(of(ada, "Ada", foreignID, start))
		before := k.issue(of(zoe, "Zoe", clientID, start))
		k.wants("revoke", k.RevokeGrant(k.Context(), before.grant.ID, revokedByHim, start), nil)
		second := k.rotate(target.refresh.Hash, start)
		got, err := k.RevokeGrants(k.Context(), tt.filter(target), store.ReasonAdmin, start.Add(tick))
		k.wants(tt.name, err, nil)
		equal(k, tt.name, got, ids(target))
		got, err = k.RevokeGrants(k.Context(), tt.filter(target), revokedByHim, start.Add(time.Hour))
		k.wants(tt.name+", again", err, nil)
		equal(k, tt.name+", again", got, nil)
		k.ended(tt.name, start, []store.Hash{target.access.Hash, second.Access.Hash}, []store.Hash{target.refresh.Hash, second.Refresh.Hash})
		k.wants(tt.name+": somebody else", k.use(other.access.Hash, start), nil)
		g, err := k.GrantByID(k.Context(), target.grant.ID)
		k.wants(tt.name, err, nil)
		equal(k, tt.name+": the first reason", g.RevokedReason, store.ReasonAdmin)
		equal(k, tt.name+": the first time", g.RevokedAt, stored(start.Add(tick)))
	}
}

// codesBurnt: a code on its way to the client must not outlive the revocation.
func codesBurnt(k *kit) {
	mine, others := k.code(), k.code()
	of(zoe, "Zoe", clientID, start)(&mine)
	of(ada, "Ada", clientID, start)(&others)
	k.wants("create", k.CreateCode(k.Context(), mine), nil)
	k.wants("create", k.CreateCode(k.Context(), others), nil)
	got, err := k.RevokeGrants(k.Context(), store.GrantFilter{Tenant: tenantA, Object: zoe}, store.ReasonAdmin, start)
	k.wants("revoke", err, nil)
	equal(k, "grants revoked", got, nil)
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: mine.Hash, Access: k.access(start)}, start)
	k.wants("the code", err, store.ErrExpired)
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: others.Hash, Access: k.access(start)}, start)
	k.wants("another's code", err, nil)
}
