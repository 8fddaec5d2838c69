package token_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/token"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// counting counts how often the store is asked.
type counting struct {
	*sqlite.Store
	uses atomic.Int64
	err  error
	// answered, if not nil, runs between the store's answer and its return.
	answered func()
}

func (c *counting) UseAccessToken(ctx context.Context, h store.Hash, now time.Time) (store.AccessToken, store.Grant, error) {
	c.uses.Add(1)
	if c.err != nil {
		return store.AccessToken{}, store.Grant{}, c.err
	}
	a, g, err := c.Store.UseAccessToken(ctx, h, now)
	if c.answered != nil {
		c.answered()
	}
	return a, g, err
}

func service(t testing.TB) (*token.Service, *counting) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "gateway.db"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- db.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, db.Close()); err != nil {
			t.Error(err)
		}
	})
	c := &counting{Store: db}
	return token.New(token.Config{AccessLifetime: 10 * time.Minute, RefreshIdle: time.Hour, RefreshGrace: time.Minute}, c), c
}

func issue(t testing.TB, s *token.Service, c *counting, refresh bool) token.Issued {
	t.Helper()
	code := codeUntil(now.Add(24 * time.Hour))
	if err := c.CreateCode(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	issued, err := s.Redeem(t.Context(), code, refresh, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func TestVerifyAsksTheStoreOnceInAWhile(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	issued := issue(t, s, c, true)
	for _, at := range []time.Duration{0, time.Second, 3 * time.Second} {
		p, err := s.Verify(t.Context(), issued.Access, now.Add(at))
		if err != nil || p.Object != "o" || p.ClientID != "client" || p.GrantID != "grant" || !p.ExpiresAt.Equal(now.Add(10*time.Minute)) {
			t.Fatalf("principal %+v, %v", p, err)
		}
	}
	if n := c.uses.Load(); n != 1 {
		t.Errorf("the store was asked %d times, want once", n)
	}
	// Never later than five seconds: another process may have revoked.
	if err := c.RevokeGrant(t.Context(), "grant", "by another process", now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), issued.Access, now.Add(5*time.Second)); !errors.Is(err, store.ErrRevoked) {
		t.Errorf("after five seconds: %v", err)
	}
}

func TestRevokeBitesAtOnce(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	issued := issue(t, s, c, true)
	if _, err := s.Verify(t.Context(), issued.Access, now); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), "grant", "test", now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), issued.Access, now); !errors.Is(err, store.ErrRevoked) {
		t.Errorf("err = %v", err)
	}
	if err := s.Revoke(t.Context(), "none", "test", now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoking nothing: %v", err)
	}
}

// TestForgottenGrantsAreAskedForAgain: who revoked past the service says so.
func TestForgottenGrantsAreAskedForAgain(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	issued := issue(t, s, c, true)
	verify := func(what string, want error, uses int64) {
		t.Helper()
		if _, err := s.Verify(t.Context(), issued.Access, now); !errors.Is(err, want) || c.uses.Load() != uses {
			t.Errorf("%s: error is %v after %d questions, want %v after %d", what, err, c.uses.Load(), want, uses)
		}
	}
	verify("at first", nil, 1)
	if _, err := c.RevokeGrants(t.Context(), store.GrantFilter{}, store.ReasonAdmin, now); err != nil {
		t.Fatal(err)
	}
	s.Forget()
	verify("nothing is forgotten", nil, 1)
	s.Forget("other", "another")
	verify("others are forgotten", nil, 1)
	s.Forget("other", "grant")
	verify("it is forgotten", store.ErrRevoked, 2)
}

func TestRevokingATokenEndsItsFamilyAtOnce(t *testing.T) {
	t.Parallel()
	for name, pick := range map[string]func(first, second token.Issued) string{
		"the access token":        func(_, second token.Issued) string { return second.Access },
		"the first access token":  func(first, _ token.Issued) string { return first.Access },
		"the refresh token":       func(_, second token.Issued) string { return second.Refresh },
		"the first refresh token": func(first, _ token.Issued) string { return first.Refresh },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := service(t)
			first := issue(t, s, c, true)
			second, err := s.Refresh(t.Context(), first.Refresh, "client", now)
			if err != nil {
				t.Fatal(err)
			}
			for _, bearer := range []string{first.Access, second.Access} {
				if _, err := s.Verify(t.Context(), bearer, now); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				g, err := s.RevokeToken(t.Context(), pick(first, second), "client", now)
				if err != nil || g.ID != "grant" || g.RevokedReason != store.ReasonClient {
					t.Fatalf("revoked %+v, %v", g, err)
				}
			}
			for _, bearer := range []string{first.Access, second.Access} {
				if _, err := s.Verify(t.Context(), bearer, now); !errors.Is(err, store.ErrRevoked) {
					t.Errorf("access token: %v", err)
				}
			}
			for _, refresh := range []string{first.Refresh, second.Refresh} {
				if _, err := s.Refresh(t.Context(), refresh, "client", now); !errors.Is(err, store.ErrRevoked) {
					t.Errorf("refresh token: %v", err)
				}
			}
		})
	}
}

func TestRevokeTokenRefusesWhatIsNotTheClients(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	issued := issue(t, s, c, true)
	for _, tt := range []struct{ name, presented, client string }{
		{"nothing", "", "client"},
		{"a prefix", token.AccessPrefix, "client"},
		{"a code", token.NewCode(), "client"},
		{"an unknown token", token.RefreshPrefix + strings.Repeat("x", 43), "client"},
		{"a longer token", issued.Access + "x", "client"},
		{"a token without its prefix", strings.TrimPrefix(issued.Access, token.AccessPrefix), "client"},
		{"an access token called a refresh token", token.RefreshPrefix + strings.TrimPrefix(issued.Access, token.AccessPrefix), "client"},
		{"another client's access token", issued.Access, "other"},
		{"another client's refresh token", issued.Refresh, "other"},
	} {
		if g, err := s.RevokeToken(t.Context(), tt.presented, tt.client, now); !errors.Is(err, store.ErrNotFound) || g.ID != "" {
			t.Errorf("%s: %+v, %v", tt.name, g, err)
		}
	}
	if _, err := s.Verify(t.Context(), issued.Access, now); err != nil {
		t.Errorf("after all of these: %v", err)
	}
}

// TestAnAnswerFromBeforeTheRevocationIsNotCached has the revocation come after
// the store found the token good, and before that is remembered.
func TestAnAnswerFromBeforeTheRevocationIsNotCached(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	issued := issue(t, s, c, true)
	c.answered = func() {
		if _, err := s.RevokeToken(t.Context(), issued.Refresh, "client", now); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Verify(t.Context(), issued.Access, now); err != nil {
		t.Fatal(err)
	}
	c.answered = nil
	if _, err := s.Verify(t.Context(), issued.Access, now); !errors.Is(err, store.ErrRevoked) {
		t.Errorf("err = %v", err)
	}
}

func TestACachedTokenStillExpires(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	issued := issue(t, s, c, true)
	end := now.Add(10 * time.Minute)
	if _, err := s.Verify(t.Context(), issued.Access, end.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), issued.Access, end); !errors.Is(err, store.ErrExpired) {
		t.Errorf("err = %v", err)
	}
}

func TestVerifyRefusesWhatIsNoAccessToken(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	issued := issue(t, s, c, true)
	for _, bad := range []string{"", "mcpat_", issued.Refresh, strings.TrimPrefix(issued.Access, "mcpat_"), issued.Access + "x", "MCPAT_" + issued.Access[6:], "mcpat_" + strings.Repeat("x", 10000)} {
		if _, err := s.Verify(t.Context(), bad, now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if n := c.uses.Load(); n != 0 {
		t.Errorf("the store was asked %d times for what cannot be a token", n)
	}
}

func TestAStoreThatCannotAnswerIsNotAnInvalidToken(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	issued := issue(t, s, c, true)
	c.err = errors.New("disk on fire")
	_, err := s.Verify(t.Context(), issued.Access, now)
	for _, sentinel := range []error{store.ErrNotFound, store.ErrExpired, store.ErrRevoked, store.ErrConsumed} {
		if err == nil || errors.Is(err, sentinel) {
			t.Errorf("err = %v", err)
		}
	}
}

func TestRefreshRepeatsAndThenRevokes(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	first := issue(t, s, c, true)
	second, err := s.Refresh(t.Context(), first.Refresh, "client", now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Refresh(t.Context(), first.Refresh, "client", now.Add(50*time.Minute))
	if err != nil || again.Refresh != second.Refresh || again.Access == second.Access || !again.Repeated || second.Repeated {
		t.Fatalf("again = %+v, %v", again, err)
	}
	used := now.Add(50 * time.Minute)
	if _, err := s.Verify(t.Context(), again.Access, used); err != nil {
		t.Fatal(err)
	}
	_, err = s.Refresh(t.Context(), first.Refresh, "client", used.Add(time.Minute+time.Microsecond))
	if !errors.Is(err, store.ErrConsumed) {
		t.Errorf("reuse: %v", err)
	}
	// The cached principal is gone at once.
	if _, err := s.Verify(t.Context(), again.Access, used); !errors.Is(err, store.ErrRevoked) {
		t.Errorf("after the revocation: %v", err)
	}
	for _, bad := range []string{"", first.Access, "mcprt_" + strings.Repeat("x", 43)} {
		if _, err := s.Refresh(t.Context(), bad, "client", now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}

func TestWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	if issued := issue(t, s, c, false); issued.Refresh != "" || issued.ExpiresIn != 10*time.Minute {
		t.Errorf("issued %+v", issued)
	}
}

// The budget is one allocation (DESIGN §5).
func TestCachedVerifyAllocatesNothing(t *testing.T) {
	s, c := service(t)
	issued := issue(t, s, c, true)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := s.Verify(context.Background(), issued.Access, now); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	s, c := service(b)
	issued := issue(b, s, c, true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(context.Background(), issued.Access, now); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWhatWasGrantedForAnotherGatewayIsUnknown(t *testing.T) {
	t.Parallel()
	ours, c := service(t)
	issued := issue(t, ours, c, true)
	theirs := token.New(token.Config{
		Resource: "https://other.example", AccessLifetime: time.Minute, RefreshIdle: time.Hour, RefreshGrace: time.Minute,
	}, c)
	if p, err := theirs.Verify(t.Context(), issued.Access, now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the access token: %+v, %v", p, err)
	}
	if got, err := theirs.Refresh(t.Context(), issued.Refresh, "client", now); !errors.Is(err, store.ErrNotFound) || got.Access != "" {
		t.Errorf("the refresh token: %+v, %v", got, err)
	}
	if got, err := theirs.Redeem(t.Context(), store.Code{Grant: issued.Grant}, true, nil, now); !errors.Is(err, store.ErrNotFound) || got.Access != "" {
		t.Errorf("a code: %+v, %v", got, err)
	}
	// And none of that has taken anything from whom it was granted for.
	if _, err := ours.Verify(t.Context(), issued.Access, now); err != nil {
		t.Errorf("at home, the access token: %v", err)
	}
	if _, err := ours.Refresh(t.Context(), issued.Refresh, "client", now); err != nil {
		t.Errorf("at home, the refresh token: %v", err)
	}
}
