// Package client says who a client_id is. For now every client registered
// itself (RFC 7591), and its registration is sealed into its client_id: there is
// no row to lose and no table to flood, and a client that registered once is
// known for as long as the key ring lives (DESIGN D6).
//
// It refuses to own consent and grants: a registration gives nothing but the
// right to ask. What it says about a client is the client's own claim.
package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"mcp-gateway/gateway/internal/keyring"
)

// ErrUnknown is returned for a client_id that stands for no client here.
var ErrUnknown = errors.New("client is not registered here")

// Client is a registered client.
type Client struct {
	// ID is the client_id, in the one spelling that is accepted.
	ID string
	// Name and URI are for display, and may be empty.
	Name string
	URI  string
	// RedirectURIs are where it may be answered; oauth.MatchRedirect compares.
	RedirectURIs []string
	// GrantTypes always have authorization_code.
	GrantTypes []string
	// ApplicationType is native or web.
	ApplicationType string
}

// MayRefresh reports whether the client is given refresh tokens.
func (c Client) MayRefresh() bool { return slices.Contains(c.GrantTypes, grantRefreshToken) }

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

// Directory finds and registers clients. It holds no state of its own, so every
// replica with the same key ring knows the same clients.
type Directory struct {
	ring *keyring.Ring
}

// NewDirectory returns a Directory over a key ring.
func NewDirectory(ring *keyring.Ring) *Directory { return &Directory{ring: ring} }

// Resolve returns the client that id stands for. The error is ErrUnknown if
// there is none; any other means that the question could not be answered.
func (d *Directory) Resolve(_ context.Context, id string) (Client, error) {
	return d.open(id)
}
