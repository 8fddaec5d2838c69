package token_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
)

// TestNoTokenWorksOnceItsEndWasAnswered ends a family while its bearers are
// verified and its refresh token is used all the time. What began before the
// answer may be granted; nothing that begins after it is, and nothing that was
// granted meanwhile works.
func TestNoTokenWorksOnceItsEndWasAnswered(t *testing.T) {
	t.Parallel()
	late := now.Add(2 * time.Minute)
	for _, tt := range []struct {
		name string
		end  func(s *token.Service, f raced) error
		want error
	}{
		{name: "revoked", end: func(s *token.Service, _ raced) error { return s.Revoke(t.Context(), "grant", "test", now) }},
		{name: "revoked by its refresh token", end: func(s *token.Service, f raced) error {
			_, err := s.RevokeToken(t.Context(), f.second.Refresh, "client", now)
			return err
		}},
		{name: "revoked by an old access token", end: func(s *token.Service, f raced) error {
			_, err := s.RevokeToken(t.Context(), f.first.Access, "client", now)
			return err
		}},
		{name: "ended by a replay of the first refresh token", want: store.ErrConsumed, end: func(s *token.Service, f raced) error {
			_, err := s.Refresh(t.Context(), f.first.Refresh, "client", late)
			return err
		}},
		{name: "ended by a replay of the code", want: store.ErrConsumed, end: func(s *token.Service, f raced) error {
			_, err := s.Redeem(t.Context(), f.code, true, nil, late)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := service(t)
			f := raced{code: codeUntil(now.Add(24 * time.Hour))}
			f.first = redeem(t, s, c, f.code)
			var err error
			if f.second, err = s.Refresh(t.Context(), f.first.Refresh, "client", now); err != nil {
				t.Fatal(err)
			}
			var answered atomic.Bool
			busy, wait := f.keepBusy(t, s, &answered)
			busy.Wait()
			if err := tt.end(s, f); !errors.Is(err, tt.want) {
				t.Errorf("the end is answered %v, want %v", err, tt.want)
			}
			answered.Store(true)
			for _, issued := range append(wait(), f.first, f.second) {
				if _, err := s.Verify(t.Context(), issued.Access, now); !errors.Is(err, store.ErrRevoked) {
					t.Errorf("a bearer of the family: %v", err)
				}
				if _, err := s.Refresh(t.Context(), issued.Refresh, "client", now); !errors.Is(err, store.ErrRevoked) {
					t.Errorf("a refresh token of the family: %v", err)
				}
			}
		})
	}
}

// raced is a family with its first two generations.
type raced struct {
	code          store.Code
	first, second token.Issued
}

// keepBusy verifies and refreshes until that is refused. busy is done when
// each caller was served once; wait returns what was issued.
func (f raced) keepBusy(t *testing.T, s *token.Service, answered *atomic.Bool) (busy *sync.WaitGroup, wait func() []token.Issued) {
	t.Helper()
	busy = new(sync.WaitGroup)
	var callers sync.WaitGroup
	var mu sync.Mutex
	var issued []token.Issued
	repeat := func(call func() error) {
		busy.Add(1)
		callers.Go(func() {
			served := sync.OnceFunc(busy.Done)
			defer served()
			for {
				after := answered.Load()
				err := call()
				served()
				if err == nil && !after {
					runtime.Gosched()
					continue
				}
				if !errors.Is(err, store.ErrRevoked) {
					t.Errorf("a call (begun after the answer: %v) gets %v", after, err)
				}
				return
			}
		})
	}
	for range 4 {
		repeat(func() error { _, err := s.Verify(t.Context(), f.second.Access, now); return err })
		repeat(func() error {
			// The successor of the second generation, again and again: each
			// answer has a bearer that nobody has seen.
			again, err := s.Refresh(t.Context(), f.second.Refresh, "client", now)
			if err == nil {
				mu.Lock()
				issued = append(issued, again)
				mu.Unlock()
				_, err = s.Verify(t.Context(), again.Access, now)
			}
			return err
		})
	}
	return busy, func() []token.Issued { callers.Wait(); return issued }
}

func codeUntil(end time.Time) store.Code {
	return store.Code{
		Hash: store.HashOf(token.NewCode()), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
		Grant: store.Grant{
			ID: "grant", ClientID: "client", ClientName: "n", Identity: store.Identity{Tenant: "t", Object: "o"},
			Scopes: []string{"mcp"}, CreatedAt: now, ExpiresAt: end,
		},
	}
}

func redeem(t testing.TB, s *token.Service, c *counting, code store.Code) token.Issued {
	t.Helper()
	if err := c.CreateCode(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	issued, err := s.Redeem(t.Context(), code, true, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// TestRefreshesAroundTheEndOfTheGrant: each is decided by its own clock, to the
// microsecond, in whatever order they come.
func TestRefreshesAroundTheEndOfTheGrant(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	end := now.Add(30 * time.Minute)
	first := redeem(t, s, c, codeUntil(end))
	type refreshed struct {
		at     time.Time
		issued token.Issued
		err    error
	}
	all := make([]refreshed, 32)
	var callers sync.WaitGroup
	for i := range all {
		callers.Go(func() {
			at := end.Add(time.Duration(i-len(all)/2) * time.Microsecond)
			issued, err := s.Refresh(t.Context(), first.Refresh, "client", at)
			all[i] = refreshed{at, issued, err}
		})
	}
	callers.Wait()
	successors := make(map[string]bool)
	for _, r := range all {
		if !r.at.Before(end) {
			if !errors.Is(r.err, store.ErrExpired) || r.issued.Access != "" {
				t.Errorf("%v after the end: %+v, %v", r.at.Sub(end), r.issued, r.err)
			}
			continue
		}
		if r.err != nil || r.issued.ExpiresIn != end.Sub(r.at) {
			t.Errorf("%v before the end: a token for %v, %v", end.Sub(r.at), r.issued.ExpiresIn, r.err)
			continue
		}
		successors[r.issued.Refresh] = true
		if _, err := s.Verify(t.Context(), r.issued.Access, end.Add(-time.Microsecond)); err != nil {
			t.Errorf("a microsecond before the end: %v", err)
		}
		if _, err := s.Verify(t.Context(), r.issued.Access, end); !errors.Is(err, store.ErrExpired) {
			t.Errorf("at the end: %v", err)
		}
	}
	if len(successors) != 1 {
		t.Errorf("%d successors, want 1", len(successors))
	}
}
