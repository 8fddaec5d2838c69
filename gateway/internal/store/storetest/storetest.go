// Package storetest is the contract of package store as a test suite: every
// back end passes the same one.
package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// Store is all verbs of the contract. Consumers declare the few they use; only
// this suite needs them all.
type Store interface {
	CreateLogin(ctx context.Context, l store.Login) error
	ConsumeLogin(ctx context.Context, state, browser store.Hash, now time.Time) (store.Login, error)
	CreateCode(ctx context.Context, c store.Code) error
	Code(ctx context.Context, hash store.Hash) (store.Code, error)
	FailCode(ctx context.Context, hash store.Hash) error
	RedeemCode(ctx context.Context, code store.Hash, access store.AccessToken, refresh *store.RefreshToken, now time.Time) (store.Grant, error)
	UseAccessToken(ctx context.Context, hash store.Hash, now time.Time) (store.AccessToken, store.Grant, error)
	RotateRefresh(ctx context.Context, r store.Rotation, now time.Time) (store.Rotated, error)
	RevokeGrant(ctx context.Context, grantID, reason string, now time.Time) error
	AppendEvents(ctx context.Context, events []store.Event) error
	Events(ctx context.Context, after int64, limit int) ([]store.Event, error)
	Collect(ctx context.Context, now time.Time) (int, error)
}

// Open returns a running store over the data at path (a file, a schema: what
// the back end makes of it). It is closed when the test ends, or by the
// function that Open returns.
type Open func(t testing.TB, path string) (s Store, closeStore func())

// now is the suite's clock. It has nanoseconds and a zone, neither of which a
// store keeps.
var now = time.Date(2026, 11, 24, 12, 30, 0, 123456789, time.FixedZone("", 5400))

const (
	second = time.Second
	grace  = time.Minute
)

func hash(name string) store.Hash { return store.HashOf(name) }

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Store){
		"a login is consumed once":                              loginOnce,
		"a login is for its browser":                            loginBrowser,
		"a login expires":                                       loginExpires,
		"a code keeps what it was given":                        codeRoundTrip,
		"a code is redeemed once":                               codeOnce,
		"a code expires":                                        codeExpires,
		"wrong attempts burn a code":                            codeBurns,
		"a late replay of a code revokes":                       codeReplay,
		"one of many redeems a code":                            codeRace,
		"an access token expires":                               accessExpires,
		"an access token never outlives its grant":              accessCapped,
		"a grant without refresh tokens":                        withoutRefresh,
		"a rotation makes one successor":                        rotateOnce,
		"a lost answer is repeated until the successor is used": rotateRepeat,
		"the grace begins with a use of the access token":       rotateGraceByAccess,
		"the grace begins with the next rotation":               rotateGraceByRotation,
		"a refresh token expires":                               refreshExpires,
		"a refresh token is for its client":                     refreshClient,
		"parallel rotations share a successor":                  rotateRace,
		"a revocation ends every token":                         revocation,
		"the audit trail keeps order and content":               events,
		"the collector takes only the dead":                     collect,
		"a caller that has gone writes nothing":                 gone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t, t.TempDir())
			test(t, s)
		})
	}
	t.Run("everything survives a restart", func(t *testing.T) {
		t.Parallel()
		restart(t, open)
	})
}

// grant is a grant of a day with everything filled in.
func grant() store.Grant {
	return store.Grant{
		ID: rand.Text(), ClientID: "client", ClientName: "Ünï <code> 客户",
		Identity: store.Identity{
			Tenant: "tid", Object: "oid", Name: "Zoë \u202e", Username: "z@example", Roles: []string{"A", "B c"},
			Groups: []string{"g"}, GroupsUnknown: true, Guest: true,
		},
		Scopes: []string{"mcp", "offline_access"}, Resource: "https://gw.example",
		CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}
}

func newCode(name string, g store.Grant) store.Code {
	return store.Code{
		Hash: hash(name), Grant: g, RedirectURI: "http://127.0.0.1:1/cb?x=1", Challenge: "challenge",
		CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
}

func access(name string) store.AccessToken {
	return store.AccessToken{Hash: hash(name), Scopes: []string{"mcp"}, IssuedAt: now, ExpiresAt: now.Add(10 * time.Minute)}
}

func refresh(name string) *store.RefreshToken {
	return &store.RefreshToken{Hash: hash(name), IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
}

// issue stores a code and redeems it: access token "a0", refresh token "r0".
func issue(t testing.TB, s Store, prefix string) store.Grant {
	t.Helper()
	g := grant()
	must(t, s.CreateCode(t.Context(), newCode(prefix+"code", g)))
	_, err := s.RedeemCode(t.Context(), hash(prefix+"code"), access(prefix+"a0"), refresh(prefix+"r0"), now)
	must(t, err)
	return g
}

// rotation exchanges a refresh token for another, with an access token.
func rotation(from, to, accessName string, at time.Time) store.Rotation {
	return store.Rotation{
		Presented: hash(from), ClientID: "client",
		Successor: store.RefreshToken{Hash: hash(to), IssuedAt: at, ExpiresAt: at.Add(time.Hour)},
		Sealed:    []byte("sealed " + to),
		Access:    store.AccessToken{Hash: hash(accessName), IssuedAt: at, ExpiresAt: at.Add(10 * time.Minute)},
		Grace:     grace,
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stored is a time as a store gives it back.
func stored(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }

// Benchmark measures the verbs that bound how many people a gateway serves, at
// 16 callers.
func Benchmark(b *testing.B, open Open) {
	parallel := func(name string, prepare func(b *testing.B, s Store), work func(b *testing.B, s Store, caller string, i int)) {
		b.Run(name, func(b *testing.B) {
			s, _ := open(b, b.TempDir())
			if prepare != nil {
				prepare(b, s)
			}
			b.SetParallelism(8) // 16 callers on two processors
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				caller := rand.Text()
				for i := 0; pb.Next(); i++ {
					work(b, s, caller, i)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "per/s")
		})
	}
	parallel("issue", nil, func(b *testing.B, s Store, caller string, i int) { issue(b, s, fmt.Sprint(caller, i)) })
	parallel("rotate", nil, func(b *testing.B, s Store, caller string, i int) {
		if i == 0 {
			issue(b, s, caller)
		}
		_, err := s.RotateRefresh(b.Context(), rotation(fmt.Sprint(caller, "r", i), fmt.Sprint(caller, "r", i+1), fmt.Sprint(caller, "a", i+1), now), now)
		must(b, err)
	})
	parallel("use access token", func(b *testing.B, s Store) { issue(b, s, "") }, func(b *testing.B, s Store, _ string, _ int) {
		_, _, err := s.UseAccessToken(b.Context(), hash("a0"), now)
		must(b, err)
	})
	parallel("append event", nil, func(b *testing.B, s Store, caller string, _ int) {
		must(b, s.AppendEvents(b.Context(), []store.Event{{Time: now, Kind: "call", Outcome: "ok", Object: caller}}))
	})
}
