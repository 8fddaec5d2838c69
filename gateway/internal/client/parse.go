package client

import (
	"encoding/json"

	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/wire"
)

// metadataDocument is a client's metadata document (draft-ietf-oauth-client-id-
// metadata-document §4).
type metadataDocument struct {
	// ClientID "MUST match the URL of the document".
	ClientID string `json:"client_id"`
	oauth.ClientMetadata
	// ClientSecret and ClientSecretExpiresAt "MUST NOT be used": they are here
	// so that it is seen when they are.
	ClientSecret          json.RawMessage `json:"client_secret,omitempty"`
	ClientSecretExpiresAt json.RawMessage `json:"client_secret_expires_at,omitempty"`
}

// ParseMetadata reads the body of a registration (RFC 7591 §3.1).
func ParseMetadata(data []byte) (m oauth.ClientMetadata, err error) {
	err = parseStrict(data, &m)
	return m, err
}

func parseDocument(data []byte) (d metadataDocument, err error) {
	err = parseStrict(data, &d)
	return d, err
}

// acted are the members of both that are acted upon.
var acted = []string{
	"client_id", "client_secret", "client_secret_expires_at", "redirect_uris", "client_name", "client_uri", "logo_uri",
	"token_endpoint_auth_method", "token_endpoint_auth_methods_supported", "grant_types", "response_types", "scope",
	"application_type", "jwks", "jwks_uri",
}

// parseStrict decodes one JSON object that no two parsers can read differently.
func parseStrict(data []byte, into any) error {
	if err := wire.CheckObject(data, acted...); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
