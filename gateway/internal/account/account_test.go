package account_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/gateway/internal/account"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/secret"
)

const (
	tenant   = "11111111-2222-4333-8444-555555555555"
	ada, max = "0b0b0b0b-1c1c-4d2d-8e3e-4f4f4f4f4f4f", "1c1c1c1c-1c1c-4d2d-8e3e-4f4f4f4f4f4f"
	interval = time.Hour
	grace    = 4 * time.Hour
)

// microsoft answers when somebody is asked about.
type microsoft func(ctx context.Context, before entra.SignIn) (entra.SignIn, error)

func (m microsoft) Renew(ctx context.Context, before entra.SignIn, _ time.Time) (entra.SignIn, error) {
	return m(ctx, before)
}

type forgotten []string

func (f *forgotten) Forget(grantIDs ...string) { *f = append(*f, grantIDs...) }

// rig is a Service over a real store, in a bubble's time.
type rig struct {
	*testing.T
	*account.Service
	db        *sqlite.Store
	forgotten forgotten
	// answer is what Microsoft says; asked counts how often.
	answer microsoft
	asked  int
}

// inBubble runs a test in time that passes by itself.
func inBubble(t *testing.T, test func(r *rig)) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "keys.json")
		if err := keyring.Create(path, time.Now()); err != nil {
			t.Fatal(err)
		}
		ring, err := keyring.Load(path, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqlite.Open(t.Context(), filepath.Join(dir, "gateway.db"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- db.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := errors.Join(<-done, db.Close()); err != nil {
				t.Error(err)
			}
		})
		r := &rig{T: t, db: db}
		r.Service = account.New(account.Config{
			Interval: interval, Grace: grace, Store: db, Ring: ring, Tokens: &r.forgotten, Logger: slog.New(slog.DiscardHandler),
			Login: microsoft(func(ctx context.Context, before entra.SignIn) (entra.SignIn, error) {
				r.asked++
				return r.answer(ctx, before)
			}),
		})
		test(r)
	})
}

// signIn gives a person a grant, whose refresh token has its name.
func (r *rig) signIn(object, name string) {
	r.Helper()
	now := time.Now()
	in := entra.SignIn{Identity: store.Identity{Tenant: tenant, Object: object}, Refresh: secret.New("of sign-in " + name)}
	err := r.db.CreateCode(r.Context(), store.Code{
		Hash: store.HashOf("code " + name), CreatedAt: now, ExpiresAt: now.Add(time.Minute), Account: r.Of(in, now),
		Grant: store.Grant{ID: name, ClientID: "client", Identity: in.Identity, CreatedAt: now, ExpiresAt: now.AddDate(0, 3, 0)},
	})
	if err != nil {
		r.Fatal(err)
	}
	_, err = r.db.RedeemCode(r.Context(), store.Redemption{
		Code:    store.HashOf("code " + name),
		Access:  store.AccessToken{Hash: store.HashOf("access " + name), IssuedAt: now, ExpiresAt: now.Add(time.Minute)},
		Refresh: &store.RefreshToken{Hash: store.HashOf(name), IssuedAt: now, ExpiresAt: now.AddDate(0, 3, 0)},
	}, now)
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) check(name string) error {
	return r.Check(r.Context(), store.HashOf(name), "client", time.Now())
}

// passes wants a program to go on, after a question to Microsoft or without one.
func (r *rig) passes(what, name string, asked int) {
	r.Helper()
	before := r.asked
	if err := r.check(name); err != nil || r.asked != before+asked {
		r.Errorf("%s: %v after %d questions, want none of it after %d", what, err, r.asked-before, asked)
	}
}

// answers is a Microsoft that lets everybody in, and gives a token with this name.
func (r *rig) answers(refresh string) microsoft {
	return func(_ context.Context, before entra.SignIn) (entra.SignIn, error) {
		before.Refresh = secret.New(refresh)
		return before, nil
	}
}

// presents wants Microsoft to be asked with the token of this name.
func (r *rig) presents(refresh string) microsoft {
	return func(_ context.Context, before entra.SignIn) (entra.SignIn, error) {
		if got := before.Refresh.Reveal(); got != refresh {
			r.Errorf("Microsoft is asked with the token %q, want %q", got, refresh)
		}
		return before, nil
	}
}

// TestASlowAnswerIsKept: what Microsoft gave in the last moment that there is for a
// question is stored all the same, since the token before may be good no longer.
func TestASlowAnswerIsKept(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.answer = func(ctx context.Context, before entra.SignIn) (entra.SignIn, error) {
			<-ctx.Done() // as when Microsoft Graph does not answer
			before.Refresh, before.Incomplete = secret.New("slow"), true
			return before, nil
		}
		r.passes("the slow answer", "a", 1)
		r.answer = r.presents("slow")
		time.Sleep(interval)
		r.passes("the next one", "a", 1)
	})
}

// TestASlowOutageIsNobodysEnd: a question that takes all its time is an outage like
// another, and leaves nothing behind that keeps the next from being asked.
func TestASlowOutageIsNobodysEnd(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.answer = func(ctx context.Context, _ entra.SignIn) (entra.SignIn, error) {
			<-ctx.Done()
			return entra.SignIn{}, &entra.Error{Kind: entra.KindUnavailable, Code: "no_answer"}
		}
		r.passes("within the grace", "a", 1)
		if _, err := r.db.ClaimAccount(r.Context(), tenant, ada, time.Now(), time.Now()); err != nil {
			r.Errorf("after the question the account is %v", err)
		}
	})
}

// unavailable is an answer that says nothing about anybody.
func unavailable(retryAfter time.Duration) error {
	return &entra.Error{Kind: entra.KindUnavailable, Code: "no_answer", RetryAfter: retryAfter}
}

// TestMicrosoftIsLeftAloneForAsLongAsItAsked, whatever comes of a question that was
// on its way.
func TestMicrosoftIsLeftAloneForAsLongAsItAsked(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		r.signIn(max, "m")
		time.Sleep(interval)
		r.answer = func(_ context.Context, before entra.SignIn) (entra.SignIn, error) {
			if before.Object == ada {
				time.Sleep(10 * time.Second)
				return entra.SignIn{}, unavailable(0)
			}
			return entra.SignIn{}, unavailable(5 * time.Minute)
		}
		slow := make(chan error, 1)
		go func() { slow <- r.check("a") }()
		synctest.Wait()
		r.passes("a question beside it", "m", 1)
		if err := <-slow; err != nil {
			t.Error(err)
		}
		time.Sleep(4 * time.Minute)
		r.passes("a while later", "a", 0)
		time.Sleep(time.Minute)
		r.passes("when it may be asked again", "a", 1)
	})
}

// TestAnOutageThatHangsIsKnownFromItsEnd: or nobody would be spared the wait.
func TestAnOutageThatHangsIsKnownFromItsEnd(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		r.signIn(max, "m")
		time.Sleep(interval)
		r.answer = func(ctx context.Context, _ entra.SignIn) (entra.SignIn, error) {
			<-ctx.Done()
			return entra.SignIn{}, unavailable(0)
		}
		r.passes("the one who finds out", "a", 1)
		time.Sleep(14 * time.Second)
		r.passes("another, a moment later", "m", 0)
		time.Sleep(time.Second)
		r.passes("another, after a while", "m", 1)
		time.Sleep(24 * time.Second) // beside the 20 of that question
		r.passes("the first, within the minute", "a", 0)
		time.Sleep(time.Second)
		r.passes("the first, after the minute", "a", 1)
	})
}
