// Package token mints, rotates and verifies the gateway's tokens: opaque
// random values with a prefix that secret scanners can know, of which only the
// SHA-256 is stored (DESIGN D4), and refresh tokens that rotate without ever
// logging anybody out (D5). It refuses to decide whether a token may be issued;
// that is package grant.
//
// It implements RFC 6749 §4.4.3, §5.1, §6, RFC 7009 §2.1 and the token part of RFC 6750.
package token

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/store"
)

// Prefixes tell the kinds of value apart, for scanners and for us: a refresh
// token is never taken for an access token.
const (
	AccessPrefix  = "mcpat_"
	RefreshPrefix = "mcprt_"
	CodePrefix    = "mcpac_"
	DevicePrefix  = "mcpdc_"
)

// randomBytes of every value: 256 bits.
const randomBytes = 32

// valueLength is the length of every value after its prefix.
var valueLength = base64.RawURLEncoding.EncodedLen(randomBytes)

// Config says for whom tokens are and how long things live.
type Config struct {
	// Resource is the audience, as it stands in grants: what was granted for
	// another is unknown here ("MCP servers MUST validate that access tokens
	// were issued specifically for them", MCP authorization, Token Handling).
	Resource string
	// AccessLifetime of an access token; 10 minutes by default.
	AccessLifetime time.Duration
	// RefreshIdle is how long an unused refresh token lives; 30 days.
	RefreshIdle time.Duration
	// RefreshGrace is how long after the first use of a new generation its
	// predecessor still repeats its answer; 60 seconds.
	RefreshGrace time.Duration
}

// tokenStore is what this package needs of the store. Six methods, because a
// token is issued, used, rotated and revoked in one transaction each.
type tokenStore interface {
	CreateOwnGrant(ctx context.Context, o store.OwnGrant) error
	RedeemCode(ctx context.Context, r store.Redemption, now time.Time) (store.Grant, error)
	RotateRefresh(ctx context.Context, r store.Rotation, now time.Time) (store.Rotated, error)
	UseAccessToken(ctx context.Context, hash store.Hash, now time.Time) (store.AccessToken, store.Grant, error)
	RevokeGrant(ctx context.Context, grantID, reason string, now time.Time) error
	RevokeToken(ctx context.Context, hash store.Hash, clientID string, now time.Time) (store.Grant, error)
}

// Service issues and checks tokens. It is safe for concurrent use.
type Service struct {
	cfg   Config
	store tokenStore
	cache *cache
	watch watches
}

// New returns a Service.
func New(cfg Config, s tokenStore) *Service {
	return &Service{cfg: cfg, store: s, cache: newCache()}
}

// Issued is a successful answer of the token endpoint.
type Issued struct {
	Access    string
	ExpiresIn time.Duration
	// Refresh is empty if the client may not refresh.
	Refresh string
	Scopes  []string
	Grant   store.Grant
	// Repeated: a lost answer was repeated (see store.Rotated).
	Repeated bool
}

// NewCode returns an authorization code.
func NewCode() string { return newValue(CodePrefix) }

// NewDeviceCode returns a device code (RFC 8628 §3.2).
func NewDeviceCode() string { return newValue(DevicePrefix) }

func newValue(prefix string) string {
	b := make([]byte, randomBytes)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}

// wellFormed saves the store a look-up for what cannot be ours.
func wellFormed(value, prefix string) bool {
	return strings.HasPrefix(value, prefix) && len(value) == len(prefix)+valueLength
}

// Redeem exchanges a code, already checked against its verifier, client and
// redirect URI, for tokens. Errors are the store's sentinels.
//
// event goes into the audit trail together with the grant; nil for none.
func (s *Service) Redeem(ctx context.Context, code store.Code, withRefresh bool, event *store.Event, now time.Time) (Issued, error) {
	if err := s.checkAudience(code.Grant); err != nil {
		return Issued{}, fmt.Errorf("redeem code: %w", err)
	}
	access := newValue(AccessPrefix)
	record := store.AccessToken{
		Hash: store.HashOf(access), Scopes: code.Grant.Scopes,
		IssuedAt: now, ExpiresAt: earlier(now.Add(s.cfg.AccessLifetime), code.Grant.ExpiresAt),
	}
	var refresh string
	var refreshRecord *store.RefreshToken
	if withRefresh {
		refresh = newValue(RefreshPrefix)
		refreshRecord = &store.RefreshToken{Hash: store.HashOf(refresh), IssuedAt: now, ExpiresAt: now.Add(s.cfg.RefreshIdle)}
	}
	grant, err := s.store.RedeemCode(ctx, store.Redemption{Code: code.Hash, Access: record, Refresh: refreshRecord, Event: event}, now)
	if errors.Is(err, store.ErrConsumed) {
		// The store may just have revoked the grant: forget its tokens.
		s.drop(code.Grant.ID)
	}
	if err != nil {
		return Issued{}, fmt.Errorf("redeem code: %w", err)
	}
	return Issued{Access: access, ExpiresIn: record.ExpiresAt.Sub(now), Refresh: refresh, Scopes: record.Scopes, Grant: grant}, nil
}

// IssueOwn gives a client a token for itself (RFC 6749 §4.4), and none to refresh
// it with: "A refresh token SHOULD NOT be included" (§4.4.3). The caller has chosen
// ID, client and scopes of the grant; it ends with the token. Errors and event are
// as those of Redeem.
func (s *Service) IssueOwn(ctx context.Context, g store.Grant, event *store.Event, now time.Time) (Issued, error) {
	g.Resource, g.CreatedAt, g.ExpiresAt = s.cfg.Resource, now, now.Add(s.cfg.AccessLifetime)
	access := newValue(AccessPrefix)
	record := store.AccessToken{Hash: store.HashOf(access), Scopes: g.Scopes, IssuedAt: now, ExpiresAt: g.ExpiresAt}
	if err := s.store.CreateOwnGrant(ctx, store.OwnGrant{Grant: g, Access: record, Event: event}); err != nil {
		return Issued{}, fmt.Errorf("create a client's own grant: %w", err)
	}
	return Issued{Access: access, ExpiresIn: s.cfg.AccessLifetime, Scopes: g.Scopes, Grant: g}, nil
}

// Refresh rotates a refresh token of a client. A client that lost the answer
// (the laptop slept, the gateway was killed) gets the same successor again;
// see store.Rotation. The scopes stay as granted: a narrower request may be
// answered with the same scope (RFC 6749 §6 lets the server decide).
func (s *Service) Refresh(ctx context.Context, presented, clientID string, now time.Time) (Issued, error) {
	if !wellFormed(presented, RefreshPrefix) {
		return Issued{}, fmt.Errorf("refresh: %w", store.ErrNotFound)
	}
	successor, access := newValue(RefreshPrefix), newValue(AccessPrefix)
	sealed, err := sealSuccessor(presented, successor)
	if err != nil {
		return Issued{}, err
	}
	rotated, err := s.store.RotateRefresh(ctx, store.Rotation{
		Presented: store.HashOf(presented), ClientID: clientID,
		Successor: store.RefreshToken{Hash: store.HashOf(successor), IssuedAt: now, ExpiresAt: now.Add(s.cfg.RefreshIdle)},
		Sealed:    sealed,
		Access:    store.AccessToken{Hash: store.HashOf(access), IssuedAt: now, ExpiresAt: now.Add(s.cfg.AccessLifetime)},
		Grace:     s.cfg.RefreshGrace,
	}, now)
	if errors.Is(err, store.ErrConsumed) {
		s.drop(rotated.Grant.ID)
	}
	if err == nil {
		// Too late to keep it from rotating, which costs nothing: the answer
		// is repeated until the successor has been used.
		err = s.checkAudience(rotated.Grant)
	}
	if err != nil {
		return Issued{Grant: rotated.Grant}, fmt.Errorf("rotate refresh token: %w", err)
	}
	if rotated.Repeated {
		if successor, err = openSuccessor(presented, rotated.Sealed); err != nil {
			return Issued{}, err
		}
	}
	return Issued{
		Access: access, ExpiresIn: rotated.Access.ExpiresAt.Sub(now), Refresh: successor,
		Scopes: rotated.Access.Scopes, Grant: rotated.Grant, Repeated: rotated.Repeated,
	}, nil
}

// Revoke ends a grant and all its tokens.
func (s *Service) Revoke(ctx context.Context, grantID, reason string, now time.Time) error {
	err := s.store.RevokeGrant(ctx, grantID, reason, now)
	s.drop(grantID)
	if err != nil {
		return fmt.Errorf("revoke grant %s: %w", grantID, err)
	}
	return nil
}

// RevokeToken ends the grant of a client's access or refresh token, with all
// its tokens, and returns it. ErrNotFound: no token of that client.
func (s *Service) RevokeToken(ctx context.Context, presented, clientID string, now time.Time) (store.Grant, error) {
	if !wellFormed(presented, AccessPrefix) && !wellFormed(presented, RefreshPrefix) {
		return store.Grant{}, fmt.Errorf("revoke token: %w", store.ErrNotFound)
	}
	grant, err := s.store.RevokeToken(ctx, store.HashOf(presented), clientID, now)
	if err != nil {
		return store.Grant{}, fmt.Errorf("revoke token: %w", err)
	}
	s.drop(grant.ID)
	return grant, nil
}

// Forget has the next use of any token of some grants ask the store: they were
// revoked there, past this Service.
func (s *Service) Forget(grantIDs ...string) { s.drop(grantIDs...) }

// Verify returns whom an access token speaks for. Errors are the store's
// sentinels; any other error means that the store could not answer, which is
// never a reason to call a token invalid.
func (s *Service) Verify(ctx context.Context, bearer string, now time.Time) (*access.Principal, error) {
	if !wellFormed(bearer, AccessPrefix) {
		return nil, store.ErrNotFound
	}
	hash := store.HashOf(bearer)
	if p := s.cache.get(hash, now); p != nil {
		return p, nil
	}
	drops := s.cache.drops.Load()
	tok, grant, err := s.store.UseAccessToken(ctx, hash, now)
	if err != nil {
		return nil, err
	}
	if err := s.checkAudience(grant); err != nil {
		return nil, err
	}
	p := &access.Principal{
		Identity: grant.Identity, ClientID: grant.ClientID, ClientName: grant.ClientName,
		GrantID: grant.ID, Scopes: tok.Scopes, ExpiresAt: earlier(tok.ExpiresAt, grant.ExpiresAt), CheckedAt: now,
	}
	s.cache.put(hash, p, drops, now)
	return p, nil
}

// checkAudience finds out that a grant is another gateway's: its database was
// copied here, or this one got another public URL.
func (s *Service) checkAudience(g store.Grant) error {
	if g.Resource != s.cfg.Resource {
		return fmt.Errorf("grant %s is for another gateway: %w", g.ID, store.ErrNotFound)
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// successorKey derives from a refresh token the key that seals its successor.
// Only who holds the predecessor can open it, so a stolen database yields no
// token, and the key ring may change in between.
func successorKey(presented string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(presented), nil, "mcp-gateway refresh successor v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive successor key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive successor key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func sealSuccessor(presented, successor string) ([]byte, error) {
	aead, err := successorKey(presented)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, []byte(successor), nil), nil
}

func openSuccessor(presented string, sealed []byte) (string, error) {
	aead, err := successorKey(presented)
	if err != nil {
		return "", err
	}
	plain, err := aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return "", fmt.Errorf("open the sealed successor: %w", err)
	}
	return string(plain), nil
}
