package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mcp-gateway/shared/oauth"
)

// Client ID metadata documents: draft-ietf-oauth-client-id-metadata-document-02
// §3 (the URL), §4 (the document), §5 (fetching); MCP authorization, Client ID
// Metadata Documents.

// documentPrefix is what makes a client_id the URL of a document. Ids of ours
// "SHOULD NOT start with https://" (§7.3).
const documentPrefix = "https://"

const (
	// maxDocument bounds a document: "recommended maximum response size ...
	// is 5 kilobytes" (§7.6).
	maxDocument = 5 << 10
	// maxDocumentRedirects: some list one for each of their systems.
	maxDocumentRedirects = 30
)

var errDocumentURL = errors.New("it is not an https URL with a path, and without user information, fragment or dot segments")

// documentURL checks a client_id against §3. The check is stricter than the
// draft: characters that parsers read differently are refused.
func documentURL(id string) (*url.URL, error) {
	if len(id) > maxURI || !strings.HasPrefix(id, documentPrefix) || oauth.CheckRedirectURI(id) != nil {
		// A redirect URI is checked for the same: RFC 3986 characters, no
		// fragment, no user, no dot segments, one reading by two parsers.
		return nil, errDocumentURL
	}
	u, err := url.Parse(id)
	if err != nil || strings.Trim(u.EscapedPath(), "/") == "" {
		return nil, errDocumentURL
	}
	return u, nil
}

// document returns the client that a document describes.
func (d *Directory) document(ctx context.Context, id string) (Client, error) {
	u, err := documentURL(id)
	if err != nil {
		return Client{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if err := d.cfg.Policy.admitDocument(u); err != nil {
		return Client{}, err
	}
	p, err := d.published.document(ctx, u, time.Now())
	if err != nil {
		return Client{}, err
	}
	return d.cfg.Policy.admit(p)
}

// readDocument makes a client of what was published at id. Its error is for
// the developer of the client, and wraps ErrUnknown.
func readDocument(id string, body []byte) (Client, error) {
	refuse := func(format string, args ...any) (Client, error) {
		return Client{}, fmt.Errorf("%w: its document "+format, append([]any{ErrUnknown}, args...)...)
	}
	doc, err := parseDocument(body)
	if err != nil {
		return refuse("cannot be read: %w", err)
	}
	name := displayName(doc.ClientName)
	switch {
	case doc.ClientID != id:
		// "comparing by simple string comparison" (§4).
		return refuse("has another client_id")
	case name == "" || utf8.RuneCountInString(name) > maxName:
		return refuse("has no client_name of 1 to %d characters", maxName)
	case len(doc.RedirectURIs) == 0 || len(doc.RedirectURIs) > maxDocumentRedirects:
		return refuse("does not have 1 to %d redirect_uris", maxDocumentRedirects)
	case present(doc.ClientSecret) || present(doc.ClientSecretExpiresAt):
		return refuse("has a client_secret, which anybody can read there")
	case len(doc.ResponseTypes) > 0 && !slices.Contains(doc.ResponseTypes, responseCode):
		return refuse("does not have code among its response_types")
	case len(doc.GrantTypes) > 0 && !slices.Contains(doc.GrantTypes, grantAuthorizationCode):
		return refuse("does not have authorization_code among its grant_types")
	}
	c := Client{
		ID: id, Name: name, URI: displayURI(doc.ClientURI), RedirectURIs: doc.RedirectURIs,
		GrantTypes: []string{grantAuthorizationCode}, ApplicationType: applicationWeb,
	}
	// One that names no grant types wants to stay signed in too, as with
	// registrations.
	if len(doc.GrantTypes) == 0 || slices.Contains(doc.GrantTypes, grantRefreshToken) {
		c.GrantTypes = append(c.GrantTypes, grantRefreshToken)
	}
	if slices.Contains(doc.GrantTypes, oauth.GrantTypeDeviceCode) {
		c.GrantTypes = append(c.GrantTypes, oauth.GrantTypeDeviceCode)
	}
	if doc.ApplicationType == applicationNative {
		c.ApplicationType = applicationNative
	}
	if c.AuthMethod, c.keys, err = documentProof(doc); err != nil {
		return refuse("%w", err)
	}
	return c, nil
}

// documentProof is how the client proves who it is, and by which keys.
func documentProof(doc metadataDocument) (string, keySource, error) {
	// "MUST NOT" be there, needed or not, as with a secret (§4).
	if exposesKey(doc.JWKS) {
		return "", keySource{}, fmt.Errorf("has jwks that are refused: %w", errSecretKey)
	}
	method, err := documentAuthMethod(doc)
	if err != nil || method != oauth.AuthMethodPrivateKeyJWT {
		return method, keySource{}, err
	}
	keys, err := documentKeys(doc)
	return method, keys, err
}

// documentAuthMethod chooses how the client identifies itself. "MUST NOT ...
// shared symmetric secret" (§4.1); a client that can do more than one is held
// to the one that proves something (MCP SEP-3149).
func documentAuthMethod(doc metadataDocument) (string, error) {
	methods := doc.TokenEndpointAuthMethods
	if doc.TokenEndpointAuthMethod != "" {
		methods = []string{doc.TokenEndpointAuthMethod}
	}
	switch {
	case len(methods) == 0:
		return oauth.AuthMethodNone, nil
	case slices.Contains(methods, oauth.AuthMethodPrivateKeyJWT):
		return oauth.AuthMethodPrivateKeyJWT, nil
	case slices.Contains(methods, oauth.AuthMethodNone):
		return oauth.AuthMethodNone, nil
	default:
		return "", errors.New("has neither none nor private_key_jwt as its token_endpoint_auth_method")
	}
}

// documentKeys are the keys that the document has or names: one of the two
// (RFC 7591 §2).
func documentKeys(doc metadataDocument) (keySource, error) {
	switch inline := present(doc.JWKS); {
	case inline == (doc.JWKSURI != ""):
		return keySource{}, errors.New("must have one of jwks and jwks_uri for private_key_jwt")
	case inline:
		keys, err := readKeys(doc.JWKS)
		if err != nil {
			return keySource{}, fmt.Errorf("has jwks that are refused: %w", err)
		}
		return keySource{inline: keys}, nil
	}
	if _, err := documentURL(doc.JWKSURI); err != nil {
		return keySource{}, fmt.Errorf("has a jwks_uri that is refused: %w", err)
	}
	return keySource{uri: doc.JWKSURI}, nil
}

// present reports whether a member was there and not null.
func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
