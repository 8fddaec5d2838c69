// Package storetest is the contract of package store as a test suite: every
// back end runs the same one (DESIGN D11). It owns no back end, looks into none,
// and knows only the verbs; what is particular to one back end is tested there.
package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// Store has all the verbs, with Close. Code declares the few verbs it uses;
// here the whole contract is the subject, so this interface has them all.
type Store interface {
	CreateLogin(ctx context.Context, l store.Login) error
	ConsumeLogin(ctx context.Context, state, browser store.Hash, now time.Time) (store.Login, error)
	CreateCode(ctx context.Context, c store.Code) error
	Code(ctx context.Context, hash store.Hash) (store.Code, error)
	FailCode(ctx context.Context, hash store.Hash) error
	RedeemCode(ctx context.Context, r store.Redemption, now time.Time) (store.Grant, error)
	CreateDevice(ctx context.Context, d store.Device) error
	DeviceByUserCode(ctx context.Context, userCode, browser store.Hash, now time.Time) (store.Device, error)
	ClaimDevice(ctx context.Context, device, browser store.Hash, now time.Time) error
	DenyDevice(ctx context.Context, device, browser store.Hash, now time.Time) error
	ApproveDevice(ctx context.Context, browser store.Hash, c store.Code, now time.Time) error
	PollDevice(ctx context.Context, device store.Hash, clientID string, now time.Time) (store.DeviceState, error)
	UseAccessToken(ctx context.Context, hash store.Hash, now time.Time) (store.AccessToken, store.Grant, error)
	CreateOwnGrant(ctx context.Context, o store.OwnGrant) error
	RotateRefresh(ctx context.Context, r store.Rotation, now time.Time) (store.Rotated, error)
	RevokeGrant(ctx context.Context, grantID, reason string, now time.Time) error
	RevokeToken(ctx context.Context, hash store.Hash, clientID string, now time.Time) (store.Grant, error)
	UseAssertion(ctx context.Context, hash store.Hash, expiresAt time.Time) error
	RememberConsent(ctx context.Context, c store.Consent, now time.Time) error
	Consented(ctx context.Context, c store.Consent, now time.Time) ([]string, error)
	RememberSession(ctx context.Context, session store.Session, began time.Time) error
	Session(ctx context.Context, tenant string, id store.Hash, now time.Time) (store.Session, error)
	EndSession(ctx context.Context, tenant string, id store.Hash, now time.Time) error
	AccountOfToken(ctx context.Context, hash store.Hash, clientID string) (store.Standing, error)
	ClaimAccount(ctx context.Context, tenant, object string, until, now time.Time) (store.Account, error)
	RenewAccount(ctx context.Context, a store.Account, who store.Identity, now time.Time) error
	ReleaseAccount(ctx context.Context, a store.Account) error
	EndAccount(ctx context.Context, a store.Account, event store.Event, now time.Time) ([]string, error)
	AppendEvents(ctx context.Context, events []store.Event) error
	Events(ctx context.Context, after int64, limit int) ([]store.Event, error)
	Collect(ctx context.Context, now time.Time) (int, error)
	Administration
	// Close stops the store; what it holds stays.
	Close() error
}

// Opener opens the records named by path, a place in a folder of the test's
// own, or makes them. The store serves until Close, at the latest until tb ends.
type Opener func(tb testing.TB, path string) Store

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*kit)
	}{
		{"a login comes back whole and once", loginRoundTrip},
		{"a login is refused", loginRefused},
		{"of 64 callbacks with one state, one gets the login", loginRace},
		{"a code comes back whole", codeRoundTrip},
		{"a code is redeemed for a grant and tokens", codeRedeemed},
		{"a redemption is written down with the grant", codeWrittenDown},
		{"a code is refused", codeRefused},
		{"a code is burnt by wrong attempts", codeBurnt},
		{"a replayed code revokes only after the burst", codeReplayed},
		{"of 64 redemptions of one code, one wins", codeRace},
		{"a redemption that fails leaves the code unused", codeUndone},
		{"a device comes back whole", deviceRoundTrip},
		{"a device is refused to a browser", deviceRefused},
		{"an approved device is redeemed for a grant and tokens", deviceRedeemed},
		{"a device polls at its pace", devicePolled},
		{"of 64 browsers one gets a device, and decides it once", deviceRaces},
		{"no device is approved for who is disabled", deviceDisabled},
		{"devices are collected sooner if nobody signed in", deviceCollected},
		{"tokens end with their grant", tokensCapped},
		{"an access token is refused", accessRefused},
		{"a refresh token rotates", rotated},
		{"a refresh token is refused without side effects", rotationRefused},
		{"a lost answer is repeated as long as it is not used", repeated},
		{"the predecessor repeats within the grace and then revokes", graceBoundary},
		{"what starts the grace", graceStart},
		{"of 20 rotations of one token, one stores the successor", rotationRace},
		{"a grant is revoked once and for all", grantRevoked},
		{"any token of a grant revokes it", tokenRevoked},
		{"a revocation is refused without side effects", revocationRefused},
		{"nothing works after one of 64 revocations and rotations", revocationRace},
		{"an assertion is good once", assertionUsed},
		{"of 64 uses of one assertion, one wins", assertionRace},
		{"a consent is remembered for its person, client and redirect URI", consentRemembered},
		{"consents at the same time add up", consentRace},
		{"an administrator's revocation forgets consents", consentForgotten},
		{"a session is remembered until it is over", sessionRemembered},
		{"a session ends, for whom it is of", sessionEnded},
		{"the end of a session that nobody remembers leaves nothing", sessionUnknown},
		{"a sign-in that was under way does not bring an ended session back", sessionOvertaken},
		{"of 64 sign-ins beside the end of their session none outlives it", sessionRace},
		{"an account belongs to the person of a refresh token", accountOfToken},
		{"the account of the last sign-in takes the place of the one before", accountReplaced},
		{"an account is claimed by one, for a while", accountClaimed},
		{"of 64 claims of one account, one wins", accountClaimRace},
		{"a renewal changes what is known of the person, and of nobody else", accountRenewed},
		{"a renewal that was overtaken changes nothing", accountOvertaken},
		{"an account that is given back keeps its last word", accountReleased},
		{"an end ends all that the person has", accountEnded},
		{"an end that was overtaken ends nothing", accountEndOvertaken},
		{"whoever is disabled has no account", accountDisabled},
		{"an account is collected when its person has nothing left", accountCollected},
		{"users are listed", usersListed},
		{"clients are listed", clientsListed},
		{"grants are listed", grantsListed},
		{"grants are revoked by whose they are", grantsRevoked},
		{"a revocation burns the codes on their way", codesBurnt},
		{"whoever is disabled has nothing and gets nothing", disabled},
		{"who was never seen is disabled too", disabledUnseen},
		{"of 64 redemptions beside a disabling none outlives it", disabledRace},
		{"a client's own grant is created with its token", ownCreated},
		{"a client's own grant is refused", ownRefused},
		{"a client with a grant of its own is nobody", ownListed},
		{"a client's own grant is revoked", ownRevoked},
		{"of 64 own grants beside a disabling none outlives it", ownRace},
		{"what programs pile up is collected sooner", ownCollected},
		{"only the dead are collected", collected},
		{"what a revoked grant leaves is collected", collectedRevoked},
		{"a backlog is collected whole", collectedBacklog},
		{"events come back in order", eventRoundTrip},
		{"events of many callers are all there", eventRace},
		{"everything survives a restart", restart},
		{"a caller who has gone changes nothing", gone},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(newKit(t, open))
		})
	}
}

// kit is one store under test, with makers of records.
type kit struct {
	testing.TB
	Store
	open Opener
	path string

	mu sync.Mutex
	// guards below
	made uint64
}

func newKit(tb testing.TB, open Opener) *kit {
	path := filepath.Join(tb.TempDir(), "gateway.db")
	return &kit{TB: tb, Store: open(tb, path), open: open, path: path}
}

// reopen closes the store and opens the same records again.
func (k *kit) reopen() {
	k.Helper()
	if err := k.Close(); err != nil {
		k.Fatal(err)
	}
	k.Store = k.open(k, k.path)
}

// The suite's clock: an instant with microseconds, in a zone that is not UTC
// and with nanoseconds that no store keeps.
var (
	start = time.Date(2026, 3, 29, 1, 59, 59, 123456789, time.FixedZone("+05:30", 5*3600+1800))
	tick  = time.Microsecond
)

// stored is a time as a store gives it back.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

const (
	day          = 24 * time.Hour
	codeLife     = time.Minute
	accessLife   = 10 * time.Minute
	refreshLife  = 3 * day
	grantLife    = 10 * day
	grace        = time.Minute
	clientID     = "mcpc_client"
	foreignID    = "mcpc_other"
	revokedByHim = "signed_out"
)

// hash returns one that was not returned before.
func (k *kit) hash() store.Hash {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.made++
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], k.made)
	return store.HashOf(string(b[:]))
}

func (k *kit) login() store.Login {
	return store.Login{State: k.hash(), Browser: k.hash(), Sealed: []byte{0, 1, 255}, ExpiresAt: start.Add(accessLife)}
}

// code returns a code not yet stored.
func (k *kit) code() store.Code {
	hash := k.hash()
	return store.Code{
		Hash: hash,
		Grant: store.Grant{
			ID: fmt.Sprintf("grant-%x", hash[:8]), ClientID: clientID, ClientName: "Cursor",
			Identity: store.Identity{
				Tenant: "aaaaaaaa-0000-0000-0000-000000000001", Object: "bbbbbbbb-0000-0000-0000-000000000001",
				Name: "Zoë Ångström 🦉", Username: "zoë@example.com",
				Roles: []string{"Mcp.User", "Mcp.Admin"}, Groups: []string{"cccccccc-0000-0000-0000-000000000001"},
				GroupsUnknown: true, Guest: true,
			},
			Scopes: []string{"mcp", "offline_access"}, Resource: "https://gateway.example.com",
			CreatedAt: start, ExpiresAt: start.Add(grantLife),
		},
		RedirectURI: "http://127.0.0.1:41234/callback?x=%20", Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		CreatedAt: start, ExpiresAt: start.Add(codeLife),
	}
}

// storedCode is a code as a store gives it back.
func storedCode(c store.Code) store.Code {
	c.CreatedAt, c.ExpiresAt = stored(c.CreatedAt), stored(c.ExpiresAt)
	c.Grant.CreatedAt, c.Grant.ExpiresAt = stored(c.Grant.CreatedAt), stored(c.Grant.ExpiresAt)
	return c
}

func (k *kit) access(now time.Time) store.AccessToken {
	return store.AccessToken{Hash: k.hash(), Scopes: []string{"mcp"}, IssuedAt: now, ExpiresAt: now.Add(accessLife)}
}

func (k *kit) refresh(now time.Time) store.RefreshToken {
	return store.RefreshToken{Hash: k.hash(), IssuedAt: now, ExpiresAt: now.Add(refreshLife)}
}

func (k *kit) rotation(presented store.Hash, now time.Time) store.Rotation {
	next := k.refresh(now)
	return store.Rotation{
		Presented: presented, ClientID: clientID, Successor: next, Sealed: next.Hash[:],
		Access: k.access(now), Grace: grace,
	}
}

// issued is a grant with its first tokens.
type issued struct {
	code    store.Code
	grant   store.Grant
	access  store.AccessToken
	refresh store.RefreshToken
}

// issue signs somebody in at start. change, if not nil, changes the code first.
func (k *kit) issue(change func(*store.Code)) issued {
	k.Helper()
	i := issued{code: k.code(), access: k.access(start), refresh: k.refresh(start)}
	if change != nil {
		change(&i.code)
	}
	if err := k.CreateCode(k.Context(), i.code); err != nil {
		k.Fatal(err)
	}
	var err error
	if i.grant, err = k.RedeemCode(k.Context(), store.Redemption{Code: i.code.Hash, Access: i.access, Refresh: &i.refresh}, start); err != nil {
		k.Fatal(err)
	}
	return i
}

// rotate rotates and must succeed.
func (k *kit) rotate(presented store.Hash, now time.Time) store.Rotated {
	k.Helper()
	r, err := k.RotateRefresh(k.Context(), k.rotation(presented, now), now)
	if err != nil {
		k.Fatalf("rotate at %v: %v", now.Sub(start), err)
	}
	return r
}

// use presents an access token and gives its error.
func (k *kit) use(hash store.Hash, now time.Time) error {
	_, _, err := k.UseAccessToken(k.Context(), hash, now)
	return err
}

// wants fails unless err is the sentinel; nil stands for success.
func (k *kit) wants(what string, err, want error) {
	k.Helper()
	if !errors.Is(err, want) {
		k.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

// wantsFailure fails unless err is an error that is none of the sentinels: the
// store could not answer.
func (k *kit) wantsFailure(what string, err error) {
	k.Helper()
	if err == nil {
		k.Errorf("%s: no error", what)
	}
	for _, sentinel := range []error{store.ErrNotFound, store.ErrConsumed, store.ErrRevoked, store.ErrExpired} {
		if errors.Is(err, sentinel) {
			k.Errorf("%s: error is the sentinel %v, want none", what, err)
		}
	}
}

// equal compares records whole; nil and empty lists differ, as in the contract.
func equal[T any](k *kit, what string, got, want T) {
	k.Helper()
	if !reflect.DeepEqual(got, want) {
		k.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// race runs n callers at once and returns their answers.
func race[T any](n int, call func(i int) T) []T {
	answers := make([]T, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = call(i)
		})
	}
	done.Wait()
	return answers
}
