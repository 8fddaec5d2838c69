package client

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// The values of a registration (RFC 7591 §2, OpenID Connect Registration §2).
const (
	grantAuthorizationCode = "authorization_code"
	grantRefreshToken      = "refresh_token"
	responseCode           = "code"
	applicationNative      = "native"
	applicationWeb         = "web"
)

// Bounds of a registration, besides maxID, which bounds it as a whole.
const (
	maxRedirectURIs = 10
	maxURI          = 512
	maxName         = 100 // characters
)

// Register registers a client and returns what it is registered as: "the
// authorization server MAY reject or replace any of the client's requested
// metadata values" (RFC 7591 §3.2.1). Values are replaced where the client can
// live with it, so that clients that ask for more than there is still get in:
//   - a client that does not say how it identifies itself becomes a public one,
//     with no secret to lose, though RFC 7591 §2 would give it one;
//   - grant types that are not served are left out; none named means a code and
//     refreshing, since a client that names none wants to stay signed in too;
//   - control characters are taken out of the name (see displayName).
//
// Scopes, logos and all else are not registered and not in the answer. An error
// that is an *oauth.Error is for the client.
func (d *Directory) Register(meta oauth.ClientMetadata, now time.Time) (oauth.ClientInformation, error) {
	if !d.Registers() {
		return oauth.ClientInformation{}, &oauth.Error{
			Code: oauth.CodeAccessDenied, Status: http.StatusForbidden,
			Description: "clients cannot register at this gateway; ask its administrator to add yours",
		}
	}
	c, refusal := d.accept(meta)
	if refusal != nil {
		return oauth.ClientInformation{}, refusal
	}
	var secret string
	if !c.Public() {
		secret = newSecret()
		c.secret = store.HashOf(secret)
	}
	id, fits, err := d.seal(c)
	if err != nil {
		return oauth.ClientInformation{}, err
	}
	if !fits {
		return oauth.ClientInformation{}, oauth.NewError(oauth.CodeInvalidClientMetadata,
			"the registration is too large: register fewer or shorter redirect_uris, or a shorter client_name or client_uri")
	}
	info := oauth.ClientInformation{
		ClientID: id, ClientIDIssuedAt: now.Unix(), ClientSecret: secret,
		ClientMetadata: oauth.ClientMetadata{
			RedirectURIs: c.RedirectURIs, ClientName: c.Name, ClientURI: c.URI,
			TokenEndpointAuthMethod: c.AuthMethod, GrantTypes: c.GrantTypes,
			ResponseTypes: []string{responseCode}, ApplicationType: c.ApplicationType,
		},
	}
	if secret != "" {
		info.ClientSecretExpiresAt = new(int64) // "REQUIRED if client_secret is issued", 0 for never
	}
	return info, nil
}

// secretPrefix lets scanners know a client's secret.
const secretPrefix = "mcpcs_"

// newSecret is 256 random bits.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return secretPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// Registers reports whether clients can register by themselves.
func (d *Directory) Registers() bool {
	return d.cfg.Policy.Registration == AdmitAll || d.cfg.Policy.Registration == AdmitListed
}

// ReadsDocuments reports whether a client_id may be the URL of a document.
func (d *Directory) ReadsDocuments() bool {
	return d.cfg.Policy.Documents == AdmitAll || d.cfg.Policy.Documents == AdmitListed
}

// accept makes a client of what was sent, or says why not.
func (d *Directory) accept(meta oauth.ClientMetadata) (Client, *oauth.Error) {
	if refusal := d.checkRedirects(meta.RedirectURIs); refusal != nil {
		return Client{}, refusal
	}
	method, refusal := authMethod(meta)
	if refusal != nil {
		return Client{}, refusal
	}
	name := displayName(meta.ClientName)
	if utf8.RuneCountInString(name) > maxName {
		return Client{}, oauth.NewError(oauth.CodeInvalidClientMetadata, fmt.Sprintf("client_name is longer than %d characters", maxName))
	}
	if slices.ContainsFunc(meta.ResponseTypes, func(t string) bool { return t != responseCode }) {
		return Client{}, oauth.NewError(oauth.CodeInvalidClientMetadata, "response_types must be code alone")
	}
	grants := []string{grantAuthorizationCode}
	if len(meta.GrantTypes) == 0 || slices.Contains(meta.GrantTypes, grantRefreshToken) {
		grants = append(grants, grantRefreshToken)
	}
	if slices.Contains(meta.GrantTypes, oauth.GrantTypeDeviceCode) {
		grants = append(grants, oauth.GrantTypeDeviceCode)
	}
	if len(meta.GrantTypes) > 0 && !slices.Contains(meta.GrantTypes, grantAuthorizationCode) {
		return Client{}, oauth.NewError(oauth.CodeInvalidClientMetadata, "grant_types must have authorization_code")
	}
	application := meta.ApplicationType
	switch application {
	case "":
		application = applicationWeb
	case applicationWeb, applicationNative:
	default:
		return Client{}, oauth.NewError(oauth.CodeInvalidClientMetadata, "application_type must be native or web")
	}
	return Client{
		Name: name, URI: displayURI(meta.ClientURI), RedirectURIs: slices.Clone(meta.RedirectURIs),
		GrantTypes: d.cfg.Policy.served(grants), ApplicationType: application, AuthMethod: method,
	}, nil
}

// authMethod is how a client that registers will identify itself. Keys do not
// fit into a client_id; a client that has some can publish a document.
func authMethod(meta oauth.ClientMetadata) (string, *oauth.Error) {
	switch method := meta.TokenEndpointAuthMethod; method {
	case "":
		return oauth.AuthMethodNone, nil
	case oauth.AuthMethodNone, oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost:
		return method, nil
	case oauth.AuthMethodPrivateKeyJWT:
		return "", oauth.NewError(oauth.CodeInvalidClientMetadata,
			"private_key_jwt cannot be registered: publish a client ID metadata document and use its URL as client_id")
	default:
		return "", oauth.NewError(oauth.CodeInvalidClientMetadata,
			"token_endpoint_auth_method must be none, client_secret_basic or client_secret_post")
	}
}

func (d *Directory) checkRedirects(uris []string) *oauth.Error {
	if len(uris) == 0 {
		return oauth.NewError(oauth.CodeInvalidRedirectURI, "redirect_uris is missing or empty")
	}
	if len(uris) > maxRedirectURIs {
		return oauth.NewError(oauth.CodeInvalidRedirectURI, fmt.Sprintf("redirect_uris has more than %d entries", maxRedirectURIs))
	}
	for i, uri := range uris {
		if len(uri) > maxURI {
			return oauth.NewError(oauth.CodeInvalidRedirectURI, fmt.Sprintf("redirect_uris[%d] is longer than %d bytes", i, maxURI))
		}
		// The reason is one of a fixed set of sentences and echoes nothing.
		if err := oauth.CheckRedirectURI(uri); err != nil {
			return oauth.NewError(oauth.CodeInvalidRedirectURI, fmt.Sprintf("redirect_uris[%d] %s", i, err)).WithCause(err)
		}
	}
	if err := d.cfg.Policy.admitRegistration(uris); err != nil {
		return oauth.NewError(oauth.CodeInvalidRedirectURI,
			"this gateway lets only programs register that it lists by redirect host; ask its administrator").WithCause(err)
	}
	if len(d.cfg.Policy.usable(uris)) == 0 {
		return oauth.NewError(oauth.CodeInvalidRedirectURI, "redirect_uris has private-use schemes alone, which this gateway does not serve")
	}
	return nil
}

// displayName makes a name safe to show. White space becomes single spaces, so
// that a name cannot push the text around it away, and control and format
// characters go, so that a name cannot turn that text round (bidirectional
// overrides) or hide in a log. They are taken out rather than refused because
// a person cannot change what their client calls itself. The joiners stay:
// Persian, Indic scripts and emoji are not legible without them.
func displayName(name string) string {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == zeroWidthNonJoiner || r == zeroWidthJoiner:
			return r
		case unicode.In(r, unicode.Cc, unicode.Cf):
			return -1
		}
		return r
	}, name)
	return strings.Join(strings.Fields(name), " ")
}

// displayURI keeps the client's page if it is one that can be linked to, and
// drops it otherwise: it is decoration, and no reason to keep anybody out.
func displayURI(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.String() != raw || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(raw) > maxURI {
		return ""
	}
	return raw
}
