// Package client says who a client_id is and whether a request really comes
// from it. A client is known in one of three ways:
//
//   - it registered itself (RFC 7591): its registration is sealed into its
//     client_id, so there is no row to lose and no table to flood (DESIGN D6);
//   - its client_id is the https URL of a document that describes it
//     (draft-ietf-oauth-client-id-metadata-document), which is fetched;
//   - an administrator wrote it into the configuration.
//
// It refuses to own consent and grants: being known gives nothing but the right
// to ask. What the first two say of themselves is their own claim.
package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

var (
	// ErrUnknown is returned for a client_id that stands for no client here.
	ErrUnknown = errors.New("client is not known here")
	// ErrForbidden is returned for a client that there is and that may not
	// come in: an administrator disabled it, or the policy is against it.
	ErrForbidden = errors.New("client is not let in")
)

// Client is a client that is known.
type Client struct {
	// ID is the client_id, in the one spelling that is accepted.
	ID string
	// Name and URI are for display, and may be empty.
	Name string
	URI  string
	// RedirectURIs are where it may be answered; oauth.MatchRedirect compares.
	RedirectURIs []string
	// GrantTypes always have authorization_code, except where an administrator
	// wrote down others; only there they can have client_credentials. Those that
	// are not served are not among them.
	GrantTypes []string
	// Scopes are those that it may have for itself, by client_credentials, besides
	// what every token has.
	Scopes []string
	// ApplicationType is native or web.
	ApplicationType string
	// AuthMethod is how it identifies itself at the token endpoint, an
	// oauth.AuthMethod constant.
	AuthMethod string
	// Known: an administrator wrote it down, so what it says of itself is true.
	Known bool

	// secret is the hash of its secret, if its method has one, and keys are
	// where its public keys are.
	secret store.Hash
	keys   keySource
}

// MayRefresh reports whether the client is given refresh tokens.
func (c Client) MayRefresh() bool { return slices.Contains(c.GrantTypes, grantRefreshToken) }

// Public reports whether anybody can say that they are this client: it has
// nothing to prove it by (OAuth 2.1 §2.1).
func (c Client) Public() bool { return c.AuthMethod == oauth.AuthMethodNone }

// Host is the host of the document that describes the client, which tells more
// about it than the name that it gives itself; empty for other clients.
func (c Client) Host() string {
	u, err := documentURL(c.ID)
	if err != nil {
		return ""
	}
	return u.Host
}

// Fingerprint names the client in logs.
func (c Client) Fingerprint() string { return Fingerprint(c.ID) }

// Fingerprint is the first 8 hex digits of the SHA-256 of a client_id, which
// is itself too long for a log line.
func Fingerprint(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:4])
}

// Label names the client in the audit trail: two clients may call themselves
// the same, so the fingerprint stands beside the name.
func (c Client) Label() string {
	if c.Name == "" {
		return c.Fingerprint()
	}
	return c.Name + " (" + c.Fingerprint() + ")"
}

// clientStore is what this package asks of the store.
type clientStore interface {
	ClientDisabled(ctx context.Context, clientID string) (bool, error)
	UseAssertion(ctx context.Context, hash store.Hash, expiresAt time.Time) error
}

// Config is what a Directory is made of. Ring, Store and Logger are needed; the
// zero Policy lets no client in but those of Registered.
type Config struct {
	Ring  *keyring.Ring
	Store clientStore
	// PublicURL of the gateway is the audience of assertions.
	PublicURL string
	// HTTP fetches what clients publish: documents and keys. It must refuse
	// addresses that are not public (package netguard).
	HTTP *http.Client
	// Registered are the clients of the configuration.
	Registered []Registered
	Policy     Policy
	Logger     *slog.Logger
}

// Registered is a client that an administrator wrote down.
type Registered struct {
	ID           string
	Name         string
	RedirectURIs []string
	// GrantTypes default to authorization_code and refresh_token. A public client
	// has no use for client_credentials: it is refused.
	GrantTypes []string
	// Scopes are as those of a Client.
	Scopes []string
	// AuthMethod is an oauth.AuthMethod constant. The two with a secret need
	// SecretHash, and private_key_jwt needs JWKSURI.
	AuthMethod string
	SecretHash store.Hash
	JWKSURI    string
}

// Directory finds, registers and authenticates clients. What it remembers are
// copies of what clients publish, so every replica with the same key ring and
// configuration knows the same clients.
type Directory struct {
	cfg       Config
	listed    map[string]Client
	published *publications
}

// NewDirectory returns a Directory.
func NewDirectory(cfg Config) *Directory {
	d := &Directory{cfg: cfg, listed: make(map[string]Client, len(cfg.Registered)), published: newPublications(cfg.HTTP)}
	for _, r := range cfg.Registered {
		if len(r.GrantTypes) == 0 {
			r.GrantTypes = []string{grantAuthorizationCode, grantRefreshToken}
		}
		d.listed[r.ID] = Client{
			ID: r.ID, Name: r.Name, RedirectURIs: r.RedirectURIs, AuthMethod: r.AuthMethod, Known: true,
			GrantTypes: cfg.Policy.served(r.GrantTypes), Scopes: r.Scopes, ApplicationType: applicationWeb,
			secret: r.SecretHash, keys: keySource{uri: r.JWKSURI},
		}
	}
	return d
}

// Resolve returns the client that id stands for; it is asked at every step of
// a sign-in and at every refresh. The error is ErrUnknown if there is no such
// client, and ErrForbidden if it is not let in; any other means that the
// question could not be answered.
func (d *Directory) Resolve(ctx context.Context, id string) (Client, error) {
	c, err := d.find(ctx, id)
	if err != nil {
		return Client{}, err
	}
	disabled, err := d.cfg.Store.ClientDisabled(ctx, id)
	if err != nil {
		return Client{}, fmt.Errorf("look whether client %s is disabled: %w", Fingerprint(id), err)
	}
	if disabled {
		return Client{}, forbid("an administrator disabled it")
	}
	return c, nil
}

func (d *Directory) find(ctx context.Context, id string) (Client, error) {
	if c, ok := d.listed[id]; ok {
		return c, nil
	}
	if strings.HasPrefix(id, documentPrefix) {
		return d.document(ctx, id)
	}
	c, err := d.open(id)
	if err != nil {
		return Client{}, err
	}
	if err := d.cfg.Policy.admitRegistration(c.RedirectURIs); err != nil {
		return Client{}, err
	}
	return d.cfg.Policy.admit(c)
}

// forbid is an ErrForbidden with its reason.
func forbid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrForbidden, fmt.Sprintf(format, args...))
}
