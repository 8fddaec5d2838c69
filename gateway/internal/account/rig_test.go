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
	ada, bob = "0b0b0b0b-1c1c-4d2d-8e3e-4f4f4f4f4f4f", "1c1c1c1c-1c1c-4d2d-8e3e-4f4f4f4f4f4f"
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

// accounts is a real store to which something happens in between.
type accounts struct {
	*sqlite.Store
	beforeClaim func()
	renewal     error
}

func (a *accounts) ClaimAccount(ctx context.Context, tenant, object string, until, now time.Time) (store.Account, error) {
	if a.beforeClaim != nil {
		a.beforeClaim()
	}
	return a.Store.ClaimAccount(ctx, tenant, object, until, now)
}

func (a *accounts) RenewAccount(ctx context.Context, account store.Account, who store.Identity, now time.Time) error {
	if a.renewal != nil {
		return a.renewal
	}
	return a.Store.RenewAccount(ctx, account, who, now)
}

// rig is a Service over a real store, in a bubble's time.
type rig struct {
	*testing.T
	*account.Service
	db        *accounts
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
		r := &rig{T: t, db: &accounts{Store: db}}
		r.Service = account.New(account.Config{
			Interval: interval, Grace: grace, Store: r.db, Ring: ring, Tokens: &r.forgotten, Logger: slog.New(slog.DiscardHandler),
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
	r.signInWith(object, name, "of sign-in "+name)
}

// signInWith does that with a token of Microsoft's, or with none.
func (r *rig) signInWith(object, name, refresh string) {
	r.Helper()
	now := time.Now()
	in := entra.SignIn{Identity: store.Identity{Tenant: tenant, Object: object}, Refresh: secret.New(refresh)}
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

// unavailable is an answer that says nothing about anybody.
func unavailable(retryAfter time.Duration) error {
	return &entra.Error{Kind: entra.KindUnavailable, Code: "no_answer", RetryAfter: retryAfter}
}

// late wants a program to be told to come back, after none or one question.
func (r *rig) late(what, name string, asked int, since time.Time, retryAfter time.Duration) {
	r.Helper()
	before := r.asked
	err := r.check(name)
	told, ok := errors.AsType[*account.UnavailableError](err)
	if !ok || r.asked != before+asked || !told.Since.Equal(since) || told.RetryAfter != retryAfter {
		r.Errorf("%s: %v (%+v) after %d questions, want to be told to come back after %v", what, err, told, r.asked-before, retryAfter)
	}
}

// ended wants a program's person to be let in no longer.
func (r *rig) ended(what, name string, want error, asked int) {
	r.Helper()
	before := r.asked
	if err := r.check(name); !errors.Is(err, want) || r.asked != before+asked {
		r.Errorf("%s: %v after %d questions, want %v after %d", what, err, r.asked-before, want, asked)
	}
}

// live counts the grants of a person that are.
func (r *rig) live(object string) int {
	r.Helper()
	grants, err := r.db.Grants(r.Context(), store.GrantFilter{Object: object}, time.Now())
	if err != nil {
		r.Fatal(err)
	}
	return len(grants)
}

func denied(context.Context, entra.SignIn) (entra.SignIn, error) {
	return entra.SignIn{}, &entra.Error{Kind: entra.KindDenied, Code: "invalid_grant", AADSTS: 50173}
}
