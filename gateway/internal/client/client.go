// Package client knows clients by what they present. For now that is a
// dynamic registration sealed into the client_id (DESIGN D6): nothing is
// stored, so nothing is lost or flooded. It refuses to decide what a client
// may have; that is a person's consent.
//
// It implements RFC 7591 §2 and §3 for public clients.
package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/oauth"
)

const (
	// prefix marks a sealed registration; it can never be taken for the URL
	// of a client metadata document.
	prefix = "mcpc_"
	// MaxID is the longest client_id, in bytes: it travels in URLs.
	MaxID = 2048

	maxRedirectURIs = 10
	maxName         = 100 // runes
	maxURI          = 256 // bytes
)

// ErrUnknown: the client_id was not issued here, or under keys that are gone.
var ErrUnknown = errors.New("unknown client")

// Client is a client that may be answered at its redirect URIs.
type Client struct {
	ID string
	// Name is what the client calls itself; nobody has checked it.
	Name         string
	RedirectURIs []string
	GrantTypes   []string
}

// MayRefresh reports whether the client registered for refresh tokens.
func (c Client) MayRefresh() bool { return slices.Contains(c.GrantTypes, "refresh_token") }

// Fingerprint identifies a client in logs: the first 8 hex digits of the
// SHA-256 of its id.
func (c Client) Fingerprint() string { return Fingerprint(c.ID) }

// Label is the client for the audit trail: its name and fingerprint.
func (c Client) Label() string {
	if c.Name == "" {
		return c.Fingerprint()
	}
	return c.Name + " " + c.Fingerprint()
}

// Fingerprint is Client.Fingerprint for an id.
func Fingerprint(id string) string {
	h := sha256.Sum256([]byte(id))
	return hex.EncodeToString(h[:4])
}

// sealed is the content of a client_id. Short keys: it travels in URLs.
type sealed struct {
	Name         string   `json:"n,omitempty"`
	RedirectURIs []string `json:"r"`
	// NoRefresh is set if the client asked for no refresh tokens.
	NoRefresh bool  `json:"x,omitempty"`
	Issued    int64 `json:"t"`
}

// Directory resolves and registers clients.
type Directory struct{ ring *keyring.Ring }

// NewDirectory returns a Directory whose registrations ring seals.
func NewDirectory(ring *keyring.Ring) *Directory { return &Directory{ring: ring} }

// Resolve returns the client that presents id, or ErrUnknown. The context is
// for what will have to be fetched: client metadata documents.
func (d *Directory) Resolve(_ context.Context, id string) (Client, error) {
	text, ok := strings.CutPrefix(id, prefix)
	if !ok || len(id) > MaxID {
		return Client{}, ErrUnknown
	}
	plain, err := d.ring.OpenText(keyring.ClientRegistration, text, nil)
	if err != nil {
		return Client{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	var s sealed
	if err := json.Unmarshal(plain, &s); err != nil {
		return Client{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	c := Client{ID: id, Name: s.Name, RedirectURIs: s.RedirectURIs, GrantTypes: []string{"authorization_code"}}
	if !s.NoRefresh {
		c.GrantTypes = append(c.GrantTypes, "refresh_token")
	}
	return c, nil
}

// Register answers a registration request (RFC 7591 §3.1). Errors are
// *oauth.Error. What the answer says differs from what was asked where the
// server may replace it (§3.2.1): every client is public, and only the grant
// types that are served remain.
func (d *Directory) Register(meta oauth.ClientMetadata, now time.Time) (oauth.ClientInformation, error) {
	if err := check(meta); err != nil {
		return oauth.ClientInformation{}, err
	}
	// A client that names no grant types gets both: RFC 7591 §2 defaults to
	// authorization_code alone, but MCP clients that omit the member expect
	// to stay signed in.
	s := sealed{Name: meta.ClientName, RedirectURIs: meta.RedirectURIs, Issued: now.Unix()}
	s.NoRefresh = len(meta.GrantTypes) > 0 && !slices.Contains(meta.GrantTypes, "refresh_token")
	plain, err := json.Marshal(s)
	if err != nil {
		return oauth.ClientInformation{}, fmt.Errorf("encode registration: %w", err)
	}
	id := prefix + d.ring.SealText(keyring.ClientRegistration, plain, nil)
	if len(id) > MaxID {
		return oauth.ClientInformation{}, oauth.NewError(oauth.CodeInvalidClientMetadata,
			"the registration is too large: fewer or shorter redirect_uris, or a shorter client_name")
	}
	meta.TokenEndpointAuthMethod = "none"
	meta.ResponseTypes = []string{"code"}
	meta.GrantTypes = []string{"authorization_code"}
	if !s.NoRefresh {
		meta.GrantTypes = append(meta.GrantTypes, "refresh_token")
	}
	if meta.ApplicationType == "" {
		meta.ApplicationType = "web" // OpenID Connect Registration §2
	}
	return oauth.ClientInformation{ClientID: id, ClientIDIssuedAt: now.Unix(), ClientMetadata: meta}, nil
}

func check(meta oauth.ClientMetadata) error {
	bad := func(description string) error { return oauth.NewError(oauth.CodeInvalidClientMetadata, description) }
	if len(meta.RedirectURIs) == 0 || len(meta.RedirectURIs) > maxRedirectURIs {
		return oauth.NewError(oauth.CodeInvalidRedirectURI, "redirect_uris must name 1 to 10 URIs")
	}
	for _, uri := range meta.RedirectURIs {
		if err := oauth.CheckRedirectURI(uri); err != nil {
			return oauth.NewError(oauth.CodeInvalidRedirectURI, err.Error())
		}
	}
	if !validName(meta.ClientName) {
		return bad("client_name must be at most 100 characters of readable text")
	}
	if len(meta.ClientURI) > maxURI {
		return bad("client_uri must have at most 256 bytes")
	}
	if len(meta.ResponseTypes) > 0 && !slices.Contains(meta.ResponseTypes, "code") {
		return bad("response_types must contain code: nothing else is served")
	}
	if len(meta.GrantTypes) > 0 && !slices.Contains(meta.GrantTypes, "authorization_code") {
		return bad("grant_types must contain authorization_code")
	}
	if t := meta.ApplicationType; t != "" && t != "native" && t != "web" {
		return bad("application_type must be native or web")
	}
	return nil
}

// validName keeps out what could make the consent page say something else
// than it says: control and formatting characters, such as those that reverse
// the direction of text.
func validName(name string) bool {
	return utf8.ValidString(name) && utf8.RuneCountInString(name) <= maxName &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) || r == utf8.RuneError
		})
}
