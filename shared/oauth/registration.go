package oauth

import "encoding/json"

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
