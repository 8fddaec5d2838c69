package storetest

import (
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// account is one that came with a sign-in at start.
func account(c store.Code, sealed string) *store.Account {
	who := c.Grant.Identity
	return &store.Account{Tenant: who.Tenant, Object: who.Object, Sealed: []byte(sealed), CheckedAt: start, CheckAt: start.Add(time.Hour)}
}

// withAccount signs somebody in whose account is stored.
func (k *kit) withAccount(sealed string, change func(*store.Code)) issued {
	k.Helper()
	return k.issue(func(c *store.Code) {
		if change != nil {
			change(c)
		}
		c.Account = account(*c, sealed)
	})
}

// accountOf is the account of a sign-in's person, without what is sealed.
func (k *kit) accountOf(i issued) store.Account {
	k.Helper()
	found, err := k.AccountOfToken(k.Context(), i.refresh.Hash, i.grant.ClientID)
	if err != nil {
		k.Fatal(err)
	}
	return found.Account
}

// sealedOf is what is sealed in it.
func (k *kit) sealedOf(i issued) string {
	k.Helper()
	a := k.claim(i, start)
	if err := k.ReleaseAccount(k.Context(), a); err != nil {
		k.Fatal(err)
	}
	return string(a.Sealed)
}

// claim claims the account of a sign-in's person and must get it.
func (k *kit) claim(i issued, now time.Time) store.Account {
	k.Helper()
	who := i.grant.Identity
	a, err := k.ClaimAccount(k.Context(), who.Tenant, who.Object, now.Add(time.Minute), now)
	if err != nil {
		k.Fatal(err)
	}
	return a
}

func (k *kit) identityOf(i issued) store.Identity {
	k.Helper()
	g, err := k.GrantByID(k.Context(), i.grant.ID)
	if err != nil {
		k.Fatal(err)
	}
	return g.Identity
}

func other(c *store.Code) { c.Grant.Identity.Object = "bbbbbbbb-0000-0000-0000-000000000002" }

func accountOfToken(k *kit) {
	i, without := k.withAccount("sealed", nil), k.issue(other)
	namesake := k.issue(func(c *store.Code) { c.Grant.Identity.Tenant = "aaaaaaaa-0000-0000-0000-000000000009" })
	found, err := k.AccountOfToken(k.Context(), i.refresh.Hash, clientID)
	if err != nil {
		k.Fatal(err)
	}
	want := store.Standing{GrantedAt: stored(start), Account: *account(i.code, "")}
	want.Account.CheckedAt, want.Account.CheckAt = stored(want.Account.CheckedAt), stored(want.Account.CheckAt)
	want.Account.Sealed, want.Account.Version = nil, found.Account.Version
	if !reflect.DeepEqual(found, want) {
		k.Errorf("got %+v, want %+v", found, want)
	}
	if got := k.sealedOf(i); got != "sealed" {
		k.Errorf("%q is sealed", got)
	}
	for who, one := range map[string]issued{"somebody without an account": without, "the same object id in another tenant": namesake} {
		if a := k.accountOf(one); !reflect.DeepEqual(a, store.Account{}) {
			k.Errorf("%s has %+v", who, a)
		}
	}
	// A token that was rotated still tells whose it was.
	next := k.rotate(i.refresh.Hash, start)
	for _, hash := range []store.Hash{i.refresh.Hash, next.Refresh.Hash} {
		if got, err := k.AccountOfToken(k.Context(), hash, clientID); err != nil || !reflect.DeepEqual(got, want) {
			k.Errorf("got %+v, %v", got, err)
		}
	}
	if err := k.RevokeGrant(k.Context(), i.grant.ID, revokedByHim, start); err != nil {
		k.Fatal(err)
	}
	if got, err := k.AccountOfToken(k.Context(), i.refresh.Hash, clientID); err != nil || !got.Revoked {
		k.Errorf("of a revoked grant: %+v, %v", got, err)
	}
	_, err = k.AccountOfToken(k.Context(), i.refresh.Hash, foreignID)
	k.wants("another client", err, store.ErrNotFound)
	_, err = k.AccountOfToken(k.Context(), i.access.Hash, clientID)
	k.wants("an access token", err, store.ErrNotFound)
	_, err = k.AccountOfToken(k.Context(), k.hash(), clientID)
	k.wants("an unknown token", err, store.ErrNotFound)
}

// accountReplaced: a sign-in is also news of the person, for every client.
func accountReplaced(k *kit) {
	first := k.withAccount("first", nil)
	before := k.accountOf(first)
	second := k.withAccount("second", func(c *store.Code) { c.Grant.Identity.Roles = []string{"Mcp.New"} })
	after := k.accountOf(first)
	if k.sealedOf(first) != "second" || after.Version == before.Version || !reflect.DeepEqual(after, k.accountOf(second)) {
		k.Errorf("the account is %+v, and was %+v", after, before)
	}
	if got := k.identityOf(first); !slices.Equal(got.Roles, []string{"Mcp.New"}) {
		k.Errorf("the first grant still has the roles %q", got.Roles)
	}
	// Without an account of its own a sign-in leaves the one there is.
	k.issue(nil)
	if got := k.accountOf(first); !reflect.DeepEqual(got, after) {
		k.Errorf("the account is %+v, want %+v", got, after)
	}
}

func accountClaimed(k *kit) {
	i := k.withAccount("sealed", nil)
	who, until := i.grant.Identity, start.Add(time.Minute)
	a, err := k.ClaimAccount(k.Context(), who.Tenant, who.Object, until, start)
	if sealed := string(a.Sealed); err != nil || sealed != "sealed" {
		k.Errorf("got %+v, %v", a, err)
	}
	if a.Sealed = nil; !reflect.DeepEqual(a, k.accountOf(i)) {
		k.Errorf("got %+v, want %+v", a, k.accountOf(i))
	}
	for _, now := range []time.Time{start, until.Add(-tick)} {
		_, err = k.ClaimAccount(k.Context(), who.Tenant, who.Object, until.Add(time.Hour), now)
		k.wants("a second claim", err, store.ErrClaimed)
	}
	if _, err := k.ClaimAccount(k.Context(), who.Tenant, who.Object, until.Add(time.Hour), until); err != nil {
		k.Errorf("a claim that is over: %v", err)
	}
	_, err = k.ClaimAccount(k.Context(), who.Object, who.Tenant, until, start)
	k.wants("nobody's account", err, store.ErrNotFound)
}

func accountClaimRace(k *kit) {
	i := k.withAccount("sealed", nil)
	who := i.grant.Identity
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, err := k.ClaimAccount(k.Context(), who.Tenant, who.Object, start.Add(time.Minute), start)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrClaimed):
				k.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		k.Errorf("%d claims won", won.Load())
	}
}

func accountRenewed(k *kit) {
	i, same, revoked := k.withAccount("first", nil), k.issue(nil), k.issue(nil)
	stranger := k.withAccount("foreign", other)
	if err := k.RevokeGrant(k.Context(), revoked.grant.ID, revokedByHim, start); err != nil {
		k.Fatal(err)
	}
	a := k.claim(i, start)
	later := start.Add(2 * time.Hour)
	a.Sealed, a.CheckedAt, a.CheckAt = []byte("next"), later, later.Add(time.Hour)
	who := store.Identity{Tenant: a.Tenant, Object: a.Object, Name: "Zoë by now", Groups: []string{"dddddddd-0000-0000-0000-000000000001"}}
	if err := k.RenewAccount(k.Context(), a, who, later); err != nil {
		k.Fatal(err)
	}
	got := k.accountOf(i)
	if k.sealedOf(i) != "next" || got.Version == a.Version || !got.CheckedAt.Equal(stored(later)) || !got.CheckAt.Equal(stored(later.Add(time.Hour))) {
		k.Errorf("the account is %+v", got)
	}
	for name, one := range map[string]issued{"the client": i, "another client": same} {
		if got := k.identityOf(one); !reflect.DeepEqual(got, who) {
			k.Errorf("%s has %+v, want %+v", name, got, who)
		}
	}
	if got := k.identityOf(revoked); !reflect.DeepEqual(got, revoked.grant.Identity) {
		k.Errorf("a revoked grant has %+v", got)
	}
	if got := k.identityOf(stranger); !reflect.DeepEqual(got, stranger.grant.Identity) || k.sealedOf(stranger) != "foreign" {
		k.Errorf("somebody else has %+v", got)
	}
	// The claim is over.
	k.claim(i, later)
	_, grant, err := k.UseAccessToken(k.Context(), i.access.Hash, start)
	if err != nil || !reflect.DeepEqual(grant.Identity, who) {
		k.Errorf("a token speaks for %+v, %v", grant.Identity, err)
	}
}

// accountOvertaken: whoever asked Microsoft with an older token has an older
// answer, and the newer one must not be lost.
func accountOvertaken(k *kit) {
	i := k.withAccount("first", nil)
	a := k.claim(i, start)
	k.withAccount("second", nil) // the person signs in meanwhile
	now := k.accountOf(i)
	a.Sealed = []byte("of the first")
	k.wants("a renewal", k.RenewAccount(k.Context(), a, store.Identity{Tenant: a.Tenant, Object: a.Object}, start), store.ErrConsumed)
	if err := k.ReleaseAccount(k.Context(), a); err != nil {
		k.Error(err)
	}
	if got := k.accountOf(i); !reflect.DeepEqual(got, now) {
		k.Errorf("the account is %+v, want %+v", got, now)
	}
	if got := k.identityOf(i); got.Name == "" {
		k.Error("the identity of an overtaken renewal was stored")
	}
	k.claim(i, start) // the sign-in has ended the claim
}

func accountReleased(k *kit) {
	i := k.withAccount("sealed", nil)
	a := k.claim(i, start)
	a.CheckAt, a.Sealed = start.Add(5*time.Minute), []byte("next")
	if err := k.ReleaseAccount(k.Context(), a); err != nil {
		k.Fatal(err)
	}
	got := k.claim(i, start)
	if string(got.Sealed) != "next" || !got.CheckAt.Equal(stored(a.CheckAt)) || !got.CheckedAt.Equal(stored(start)) {
		k.Errorf("the account is %+v", got)
	}
}

// ending is what is written down of an end.
var ending = store.Event{Time: start, Kind: "revoke", Outcome: "ok", Reason: "AADSTS50173"}

func (k *kit) endings() int {
	k.Helper()
	events, err := k.Events(k.Context(), 0, 100)
	if err != nil {
		k.Fatal(err)
	}
	return len(events)
}

func accountEnded(k *kit) {
	i, same, stranger := k.withAccount("sealed", nil), k.issue(nil), k.withAccount("foreign", other)
	waiting := k.code()
	if err := k.CreateCode(k.Context(), waiting); err != nil {
		k.Fatal(err)
	}
	consent := store.Consent{Tenant: waiting.Grant.Identity.Tenant, Object: waiting.Grant.Identity.Object, ClientID: clientID,
		RedirectURI: waiting.RedirectURI, Scopes: []string{"mcp"}, ExpiresAt: start.Add(day)}
	if err := k.RememberConsent(k.Context(), consent, start); err != nil {
		k.Fatal(err)
	}
	ids, err := k.EndAccount(k.Context(), k.claim(i, start), ending, start)
	want := []string{i.grant.ID, same.grant.ID}
	if slices.Sort(want); err != nil || !slices.Equal(ids, want) {
		k.Errorf("ended %q, %v, want %q", ids, err, want)
	}
	equal(k, "rows in the trail", k.endings(), 1)
	for _, one := range []issued{i, same} {
		k.wants("an access token", k.use(one.access.Hash, start), store.ErrRevoked)
		r, err := k.RotateRefresh(k.Context(), k.rotation(one.refresh.Hash, start), start)
		if k.wants("a refresh token", err, store.ErrRevoked); r.Grant.RevokedReason != store.ReasonMicrosoft {
			k.Errorf("the reason is %q", r.Grant.RevokedReason)
		}
	}
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: waiting.Hash, Access: k.access(start)}, start)
	k.wants("a code on its way", err, store.ErrExpired)
	if a := k.accountOf(i); !reflect.DeepEqual(a, store.Account{}) {
		k.Errorf("there still is %+v", a)
	}
	if scopes, err := k.Consented(k.Context(), consent, start); err != nil || len(scopes) != 1 {
		k.Errorf("what the person allowed is forgotten: %q, %v", scopes, err)
	}
	k.wants("somebody else's access token", k.use(stranger.access.Hash, start), nil)
	if got := k.sealedOf(stranger); got != "foreign" {
		k.Errorf("somebody else has %q", got)
	}
}

func accountEndOvertaken(k *kit) {
	i := k.withAccount("first", nil)
	a := k.claim(i, start)
	second := k.withAccount("second", nil)
	if ids, err := k.EndAccount(k.Context(), a, ending, start); err != nil || len(ids) != 0 {
		k.Errorf("ended %q, %v", ids, err)
	}
	k.wants("an access token", k.use(second.access.Hash, start), nil)
	if got := k.sealedOf(i); got != "second" {
		k.Errorf("%q is sealed", got)
	}
	// The same when there was no account in between: a first one is not like another.
	a = k.claim(k.withAccount("foreign", other), start)
	if _, err := k.DisableUser(k.Context(), a.Tenant, a.Object, start); err != nil {
		k.Fatal(err)
	}
	if err := k.EnableUser(k.Context(), a.Tenant, a.Object); err != nil {
		k.Fatal(err)
	}
	third := k.issue(func(c *store.Code) {
		other(c)
		c.Account = account(*c, "third")
		c.Account.CheckedAt = start.Add(time.Second)
	})
	if ids, err := k.EndAccount(k.Context(), a, ending, start); err != nil || len(ids) != 0 {
		k.Errorf("ended %q, %v", ids, err)
	}
	k.wants("an access token", k.use(third.access.Hash, start), nil)
	equal(k, "rows in the trail", k.endings(), 0)
}

func accountDisabled(k *kit) {
	i := k.withAccount("sealed", nil)
	who := i.grant.Identity
	if _, err := k.DisableUser(k.Context(), who.Tenant, who.Object, start); err != nil {
		k.Fatal(err)
	}
	if a := k.accountOf(i); !reflect.DeepEqual(a, store.Account{}) {
		k.Errorf("there still is %+v", a)
	}
	c := k.code()
	c.Account = account(c, "again")
	k.wants("a sign-in", k.CreateCode(k.Context(), c), store.ErrDisabled)
	_, err := k.ClaimAccount(k.Context(), who.Tenant, who.Object, start.Add(time.Minute), start)
	k.wants("its account", err, store.ErrNotFound)
}

func accountCollected(k *kit) {
	i := k.withAccount("sealed", nil)
	who := i.grant.Identity
	for _, now := range []time.Time{start, start.Add(grantLife), start.Add(grantLife + day)} {
		if _, err := k.Collect(k.Context(), now); err != nil {
			k.Fatal(err)
		}
		if _, err := k.ClaimAccount(k.Context(), who.Tenant, who.Object, now, now); err != nil {
			k.Fatalf("after %v: %v", now.Sub(start), err)
		}
	}
	if _, err := k.Collect(k.Context(), start.Add(grantLife+day+tick)); err != nil {
		k.Fatal(err)
	}
	_, err := k.ClaimAccount(k.Context(), who.Tenant, who.Object, start, start)
	k.wants("an account without a grant", err, store.ErrNotFound)
}
