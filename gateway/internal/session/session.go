// Package session knows the sessions at Microsoft in which people signed in, and
// ends what is remembered by one when its person signs out there (OpenID Connect
// Front-Channel Logout 1.0). Only the server can: the request comes from a frame
// in Microsoft's page, where the browser sends no cookie of ours.
//
// It refuses to own what is remembered: whoever remembers something of a browser
// asks whether its session goes on. Grants of programs are not of a session, and
// outlive it.
package session

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"mcp-gateway/gateway/internal/store"
)

type sessions interface {
	RememberSession(ctx context.Context, session store.Session, began time.Time) error
	Session(ctx context.Context, tenant string, id store.Hash, now time.Time) (store.Session, error)
	EndSession(ctx context.Context, tenant string, id store.Hash, now time.Time) error
}

// Config is what a Service is made of; all of it is needed.
type Config struct {
	Store sessions
	// TenantOf is the tenant that an issuer stands for, if its people may sign in.
	TenantOf func(issuer string) (tenant string, ok bool)
	// MaxID bounds Microsoft's name for a session, in bytes.
	MaxID int
	// AuthorityOrigin is the origin of Microsoft's pages, which may frame the
	// answer.
	AuthorityOrigin string
	// Limit wraps the endpoint, which anybody can call, per remote address.
	Limit  func(http.Handler) http.Handler
	Logger *slog.Logger
}

// Service knows sessions. It is safe for concurrent use.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// ID is one session: Tenant is the person's, Name what Microsoft calls it (claim
// sid). Without a name nobody can be told of its end, so it goes on.
type ID struct{ Tenant, Name string }

func (id ID) hash() store.Hash { return store.HashOf(id.Name) }

// Remember has what is remembered by a session until ends be found at its end. The
// sign-in it was seen in began at began; store.ErrRevoked: the session has ended
// since then, so nothing may be remembered.
func (s *Service) Remember(ctx context.Context, id ID, began, ends time.Time) error {
	if id.Name == "" {
		return nil
	}
	return s.cfg.Store.RememberSession(ctx, store.Session{Tenant: id.Tenant, ID: id.hash(), ExpiresAt: ends}, began)
}

// GoesOn reports whether what was remembered by a session still holds.
func (s *Service) GoesOn(ctx context.Context, id ID, now time.Time) (bool, error) {
	if id.Name == "" {
		return true, nil
	}
	found, err := s.find(ctx, id, now)
	return err == nil && !found.ExpiresAt.IsZero() && found.EndedAt.IsZero(), err
}

// EndedSince reports whether the session of a sign-in that began then is known to
// have ended meanwhile.
func (s *Service) EndedSince(ctx context.Context, id ID, began, now time.Time) (bool, error) {
	if id.Name == "" {
		return false, nil
	}
	found, err := s.find(ctx, id, now)
	return err == nil && !found.EndedAt.IsZero() && !found.EndedAt.Before(began), err
}

// find returns a session, zero if there is none.
func (s *Service) find(ctx context.Context, id ID, now time.Time) (store.Session, error) {
	found, err := s.cfg.Store.Session(ctx, id.Tenant, id.hash(), now)
	if errors.Is(err, store.ErrNotFound) {
		return store.Session{}, nil
	}
	return found, err
}
