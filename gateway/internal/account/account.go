// Package account asks Microsoft, while people are away, whether they may still
// come in, and who they are by now. It keeps the refresh token that came with each
// person's last sign-in, encrypted, and redeems it when one of their programs
// renews its own token and the last answer is old.
//
// Only Microsoft's word about a person ends what they have. An outage, a limit or a
// mistake of the operator's never does (DESIGN, promise 4): then the last answer
// holds for a while, and after that programs are told to come back later.
//
// It refuses to know browsers and clients, and no token of Microsoft's leaves it.
package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/secret"
)

const (
	// Unchecked is how long a grant lasts whose person cannot be asked about,
	// because Microsoft gave no refresh token.
	Unchecked = 24 * time.Hour
	// askTime is how long Microsoft may take for one question, and claimTime for how
	// long nobody else asks about the person: longer, so that what was said in the
	// last moment is written down too, and only a question whose asker was killed is
	// asked a second time.
	askTime   = 20 * time.Second
	claimTime = 30 * time.Second
	// retryPerson is when a question about one person that was not answered is
	// asked again, and retryAll when the next about anybody is, if it was Microsoft
	// as a whole that did not answer.
	retryPerson = time.Minute
	retryAll    = 15 * time.Second
	// retryIncomplete is when Microsoft is asked again who had no answer for all
	// that matters.
	retryIncomplete = 5 * time.Minute
)

type login interface {
	Renew(ctx context.Context, before entra.SignIn, now time.Time) (entra.SignIn, error)
}

type accounts interface {
	AccountOfToken(ctx context.Context, hash store.Hash, clientID string) (store.Standing, error)
	ClaimAccount(ctx context.Context, tenant, object string, until, now time.Time) (store.Account, error)
	RenewAccount(ctx context.Context, a store.Account, who store.Identity, now time.Time) error
	ReleaseAccount(ctx context.Context, a store.Account) error
	EndAccount(ctx context.Context, a store.Account, event store.Event, now time.Time) ([]string, error)
}

type tokens interface {
	Forget(grantIDs ...string)
}

// Config is what a Service is made of; all of it is needed.
type Config struct {
	// Interval is how old Microsoft's word about a person may be before it is
	// asked again: 1 hour.
	Interval time.Duration
	// Grace is for how long after that the old word holds while Microsoft does
	// not answer: 4 hours.
	Grace  time.Duration
	Login  login
	Store  accounts
	Ring   *keyring.Ring
	Tokens tokens
	Logger *slog.Logger
}

// Service keeps accounts. It is safe for concurrent use.
type Service struct {
	cfg Config
	// asking lets one question about a person be asked at a time.
	asking singleflight.Group
	// silent is until when Microsoft is not asked about anybody, in Unix
	// nanoseconds.
	silent atomic.Int64
}

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg: cfg} }

// UnavailableError: Microsoft has not answered for too long. It says nothing about
// the person, who stays signed in.
type UnavailableError struct {
	// RetryAfter is when it may be worth coming back.
	RetryAfter time.Duration
	// Since is when Microsoft last said that the person may come in.
	Since time.Time
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("Microsoft has not answered since %s whether this person may still come in", e.Since.UTC().Format(time.RFC3339))
}

// Of is the account that a sign-in brings, to be stored with what comes of it;
// nil if Microsoft gave nothing to ask with.
func (s *Service) Of(in entra.SignIn, now time.Time) *store.Account {
	if in.Refresh.IsZero() {
		return nil
	}
	a := store.Account{Tenant: in.Tenant, Object: in.Object}
	s.renew(&a, in, now)
	return &a
}

func (s *Service) seal(a *store.Account, in entra.SignIn) {
	a.Sealed = s.cfg.Ring.Seal(keyring.MicrosoftToken, []byte(in.Refresh.Reveal()), binding(*a))
}

// renew puts what Microsoft gave and said into an account.
func (s *Service) renew(a *store.Account, in entra.SignIn, now time.Time) {
	s.seal(a, in)
	a.CheckedAt, a.CheckAt = now, now.Add(s.cfg.Interval)
	if in.Incomplete {
		a.CheckAt = now.Add(min(s.cfg.Interval, retryIncomplete))
	}
}

// binding ties a sealed token to its person: both are GUIDs.
func binding(a store.Account) []byte { return []byte(a.Tenant + "/" + a.Object) }

// Check makes sure that the person behind a client's refresh token, which is about
// to be redeemed, may still come in. If Microsoft does not let them in, their grants
// are revoked and the error is store.ErrRevoked. An *UnavailableError means that
// nobody knows.
func (s *Service) Check(ctx context.Context, token store.Hash, clientID string, now time.Time) error {
	found, err := s.cfg.Store.AccountOfToken(ctx, token, clientID)
	a := found.Account
	switch {
	case err != nil:
		return err
	case found.Revoked:
		return nil // whoever redeems the token says so
	case a.Tenant == "" && !now.Before(found.GrantedAt.Add(Unchecked)):
		return store.ErrExpired
	case a.Tenant == "":
		return nil
	case now.Before(a.CheckAt), now.UnixNano() < s.silent.Load():
		return s.late(a, now)
	}
	_, err, _ = s.asking.Do(a.Tenant+"/"+a.Object, func() (any, error) {
		// Whoever comes meanwhile waits for the same answer, also if this one leaves.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTime)
		defer cancel()
		return nil, s.claim(ctx, a, now)
	})
	return err
}

// late says whether Microsoft's last word about a person still holds.
func (s *Service) late(a store.Account, now time.Time) error {
	if now.Before(a.CheckedAt.Add(s.cfg.Interval + s.cfg.Grace)) {
		return nil
	}
	return &UnavailableError{Since: a.CheckedAt, RetryAfter: max(a.CheckAt.Sub(now), retryAll)}
}

// claim asks about a person whose account is due, if nobody else does.
func (s *Service) claim(ctx context.Context, due store.Account, now time.Time) error {
	a, err := s.cfg.Store.ClaimAccount(ctx, due.Tenant, due.Object, now.Add(claimTime), now)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.ErrRevoked // it ended a moment ago
	case errors.Is(err, store.ErrClaimed):
		return s.late(due, now) // whoever asks ends what must end
	case err != nil:
		return err
	case a.Version != due.Version:
		return s.cfg.Store.ReleaseAccount(ctx, a) // it was asked, or they signed in, a moment ago
	}
	return s.ask(ctx, a, now)
}

// ask asks Microsoft. The account is claimed.
func (s *Service) ask(ctx context.Context, a store.Account, now time.Time) error {
	plain, err := s.cfg.Ring.Open(keyring.MicrosoftToken, a.Sealed, binding(a))
	if err != nil {
		s.cfg.Logger.ErrorContext(ctx, "what Microsoft gave for a person cannot be read: the key ring is another, or lacks a key",
			slog.String("tenant", a.Tenant), slog.String("object", a.Object), slog.Any("error", err))
		return s.release(ctx, a, retryPerson, now)
	}
	before := entra.SignIn{Identity: store.Identity{Tenant: a.Tenant, Object: a.Object}, Refresh: secret.New(string(plain))}
	began := time.Now()
	asking, answered := context.WithTimeout(ctx, askTime)
	in, err := s.cfg.Login.Renew(asking, before, now)
	answered()
	now = now.Add(time.Since(began)) // Microsoft took its time
	failure, refused := errors.AsType[*entra.Error](err)
	switch {
	case refused && failure.Kind == entra.KindDenied:
		return s.end(ctx, a, failure, now)
	case refused:
		if !in.Refresh.IsZero() {
			s.seal(&a, in)
		}
		return s.unanswered(ctx, a, failure, now)
	case err != nil:
		return s.giveUp(ctx, a, err, now)
	}
	// The token is durable before anything comes of it: the one before may be good
	// no longer.
	s.renew(&a, in, now)
	err = s.cfg.Store.RenewAccount(ctx, a, in.Identity, now)
	if errors.Is(err, store.ErrConsumed) {
		return nil // they signed in meanwhile, which is as good
	}
	return s.giveUp(ctx, a, err, now)
}

// end ends what somebody has whom Microsoft does not let in any longer.
func (s *Service) end(ctx context.Context, a store.Account, why *entra.Error, now time.Time) error {
	reason, words := store.ReasonMicrosoft+": "+why.Reason(), "Microsoft does not let somebody in any longer"
	if why.Tenant != "" { // Microsoft does, and the gateway's settings do not
		reason, words = why.Reason(), "the settings do not let somebody in any longer"
	}
	ended, err := s.cfg.Store.EndAccount(ctx, a, store.Event{
		Time: now, Kind: audit.KindRevoke, Outcome: audit.OutcomeOK, Reason: reason, Tenant: a.Tenant, Object: a.Object,
	}, now)
	if err != nil {
		return s.giveUp(ctx, a, err, now)
	}
	s.cfg.Tokens.Forget(ended...)
	s.cfg.Logger.InfoContext(ctx, words, slog.String("tenant", a.Tenant), slog.String("object", a.Object),
		slog.Int("grants", len(ended)), slog.String("code", why.Code), slog.Int("aadsts", why.AADSTS))
	if len(ended) == 0 {
		return nil // they signed in meanwhile
	}
	return store.ErrRevoked
}

// giveUp gives the claim back if the store could not write what Microsoft said,
// so that it is asked again at once.
func (s *Service) giveUp(ctx context.Context, a store.Account, err error, now time.Time) error {
	if err == nil {
		return nil
	}
	a.CheckAt = now
	return errors.Join(err, s.cfg.Store.ReleaseAccount(ctx, a))
}

// unanswered notes that Microsoft could not be asked, which is nobody's end.
func (s *Service) unanswered(ctx context.Context, a store.Account, why *entra.Error, now time.Time) error {
	retry := max(why.RetryAfter, retryPerson)
	if why.Everybody() {
		s.hush(now.Add(max(why.RetryAfter, retryAll)))
	}
	level := slog.LevelWarn
	if why.Kind == entra.KindMisconfigured {
		level = slog.LevelError
	}
	s.cfg.Logger.Log(ctx, level, "Microsoft cannot be asked whether people may still come in; until that ends nobody is signed out",
		slog.String("help", why.Help), slog.Any("error", why), slog.Time("checked_at", a.CheckedAt),
		slog.Time("until", a.CheckedAt.Add(s.cfg.Interval+s.cfg.Grace)))
	return s.release(ctx, a, retry, now)
}

// hush has Microsoft left alone until a time, or longer if it was to be already.
func (s *Service) hush(until time.Time) {
	for next := until.UnixNano(); ; {
		before := s.silent.Load()
		if before >= next || s.silent.CompareAndSwap(before, next) {
			return
		}
	}
}

// release gives the claim back, to be asked again after a while.
func (s *Service) release(ctx context.Context, a store.Account, retry time.Duration, now time.Time) error {
	a.CheckAt = now.Add(retry)
	if err := s.cfg.Store.ReleaseAccount(ctx, a); err != nil {
		return err
	}
	return s.late(a, now)
}
