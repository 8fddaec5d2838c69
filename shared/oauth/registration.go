package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ClientMetadata is what a client says about itself (RFC 7591 §2). Members
// that are not listed are ignored when it is read, as §2 demands.
type ClientMetadata struct {
	RedirectURIs []string `json:"redirect_uris"`
	// ClientName, ClientURI and LogoURI are for display, and are claims that
	// nobody has checked (RFC 7591 §5).
	ClientName string `json:"client_name,omitempty"`
	ClientURI  string `json:"client_uri,omitempty"`
	LogoURI    string `json:"logo_uri,omitempty"`
	// TokenEndpointAuthMethod means client_secret_basic if absent, and none in
	// a metadata document.
	TokenEndpointAuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// TokenEndpointAuthMethods are those that the client can use with one
	// server or another (MCP SEP-3149, a draft).
	TokenEndpointAuthMethods []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	// GrantTypes means authorization_code alone if absent.
	GrantTypes    []string `json:"grant_types,omitempty"`
	ResponseTypes []string `json:"response_types,omitempty"`
	Scope         string   `json:"scope,omitempty"`
	// ApplicationType is native or web (OpenID Connect Registration §2).
	ApplicationType string `json:"application_type,omitempty"`
	// JWKS and JWKSURI are the client's public keys (RFC 7517), one of them.
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`
}

// ClientInformation is the answer to a registration (RFC 7591 §3.2.1): the
// metadata is what the server made of it, which may differ from what was sent.
type ClientInformation struct {
	ClientID string `json:"client_id"`
	// ClientIDIssuedAt is in seconds since 1970.
	ClientIDIssuedAt int64 `json:"client_id_issued_at,omitempty"`
	// ClientSecret is there for a client that authenticates by it, and then
	// ClientSecretExpiresAt too, where 0 means never.
	ClientSecret          string `json:"client_secret,omitempty"`
	ClientSecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"`
	ClientMetadata
}

// ClientDocument is a client's metadata document (draft-ietf-oauth-client-id-
// metadata-document §4), as ParseClientDocument reads it.
type ClientDocument struct {
	// ClientID "MUST match the URL of the document".
	ClientID string `json:"client_id"`
	ClientMetadata
	// ClientSecret and ClientSecretExpiresAt "MUST NOT be used": they are here
	// so that it is seen when they are.
	ClientSecret          json.RawMessage `json:"client_secret,omitempty"`
	ClientSecretExpiresAt json.RawMessage `json:"client_secret_expires_at,omitempty"`
}

// ParseClientMetadata reads the body of a registration (RFC 7591 §3.1).
func ParseClientMetadata(data []byte) (m ClientMetadata, err error) {
	err = parseStrict(data, &m)
	return m, err
}

// ParseClientDocument reads a client's metadata document.
func ParseClientDocument(data []byte) (d ClientDocument, err error) {
	err = parseStrict(data, &d)
	return d, err
}

// acted are the members of both that are acted upon.
var acted = []string{
	"client_id", "client_secret", "client_secret_expires_at", "redirect_uris", "client_name", "client_uri", "logo_uri",
	"token_endpoint_auth_method", "token_endpoint_auth_methods_supported", "grant_types", "response_types", "scope",
	"application_type", "jwks", "jwks_uri",
}

// parseStrict decodes one JSON object that no two parsers can read differently:
// no member stands twice, and none equals one that is acted upon after case
// folding alone, which encoding/json would take for it.
func parseStrict(data []byte, into any) error {
	names, err := memberNames(data)
	if err != nil {
		return err
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return fmt.Errorf("member %.40q stands twice", name)
		}
		seen[name] = true
		for _, known := range acted {
			if name != known && strings.EqualFold(name, known) {
				return fmt.Errorf("member %.40q is not spelled %s", name, known)
			}
		}
	}
	return json.Unmarshal(data, into)
}

// errNoObject is for a document that is JSON and no object.
var errNoObject = errors.New("it is not a JSON object")

// memberNames returns the names of the members of one object, in order.
func memberNames(data []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if token, err := dec.Token(); err != nil {
		return nil, err
	} else if token != json.Delim('{') {
		return nil, errNoObject
	}
	var names []string
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder lets nothing else be a name
		names = append(names, name)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return names, err
}
