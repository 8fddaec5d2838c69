package token_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
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
	uses int
	err  error
}

func (c *counting) UseAccessToken(ctx context.Context, h store.Hash, now time.Time) (store.AccessToken, store.Grant, error) {
	c.uses++
	if c.err != nil {
		return store.AccessToken{}, store.Grant{}, c.err
	}
	return c.Store.UseAccessToken(ctx, h, now)
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
	code := store.Code{
		Hash: store.HashOf(token.NewCode()), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
		Grant: store.Grant{ID: "grant", ClientID: "client", ClientName: "n", Identity: store.Identity{Tenant: "t", Object: "o"}, Scopes: []string{"mcp"}, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour)},
	}
	if err := c.CreateCode(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	issued, err := s.Redeem(t.Context(), code, refresh, now)
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
	if c.uses != 1 {
		t.Errorf("the store was asked %d times, want once", c.uses)
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
	if c.uses != 0 {
		t.Errorf("the store was asked %d times for what cannot be a token", c.uses)
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

func TestCachedVerifyAllocatesNothing(t *testing.T) {
	s, c := service(t)
	issued := issue(t, s, c, true)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := s.Verify(context.Background(), issued.Access, now); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 1 {
		t.Errorf("%v allocations, want at most 1", allocs)
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
