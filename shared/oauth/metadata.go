package oauth

// Well-known paths, to which a resource's or issuer's own path is appended.
const (
	PathServerMetadata      = "/.well-known/oauth-authorization-server" // RFC 8414 §3
	PathOpenIDConfiguration = "/.well-known/openid-configuration"       // OpenID Connect Discovery §4
	PathResourceMetadata    = "/.well-known/oauth-protected-resource"   // RFC 9728 §3
)

// ServerMetadata describes an authorization server (RFC 8414 §2).
type ServerMetadata struct {
	Issuer                            string   `json:"issuer"`
	AuthorizationEndpoint             string   `json:"authorization_endpoint"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	RegistrationEndpoint              string   `json:"registration_endpoint,omitempty"`
	RevocationEndpoint                string   `json:"revocation_endpoint,omitempty"`
	ScopesSupported                   []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported            []string `json:"response_types_supported"`
	ResponseModesSupported            []string `json:"response_modes_supported,omitempty"`
	GrantTypesSupported               []string `json:"grant_types_supported,omitempty"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	CodeChallengeMethodsSupported     []string `json:"code_challenge_methods_supported,omitempty"`
	// ClientIDMetadataDocumentSupported is
	// draft-ietf-oauth-client-id-metadata-document §5.
	ClientIDMetadataDocumentSupported bool `json:"client_id_metadata_document_supported,omitempty"`
	// AuthorizationResponseIssParameterSupported is RFC 9207 §3.
	AuthorizationResponseIssParameterSupported bool `json:"authorization_response_iss_parameter_supported,omitempty"`
}

// ResourceMetadata describes a protected resource (RFC 9728 §2).
type ResourceMetadata struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported,omitempty"`
	ResourceName           string   `json:"resource_name,omitempty"`
}

// ClientMetadata is what a client says of itself when it registers (RFC 7591
// §2). Members that nobody here uses are ignored, as §2 asks.
type ClientMetadata struct {
	RedirectURIs            []string `json:"redirect_uris,omitempty"`
	ClientName              string   `json:"client_name,omitempty"`
	ClientURI               string   `json:"client_uri,omitempty"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes              []string `json:"grant_types,omitempty"`
	ResponseTypes           []string `json:"response_types,omitempty"`
	Scope                   string   `json:"scope,omitempty"`
	// ApplicationType is OpenID Connect Registration §2: native or web.
	ApplicationType string `json:"application_type,omitempty"`
}

// ClientInformation is the answer to a registration (RFC 7591 §3.2.1).
type ClientInformation struct {
	ClientID         string `json:"client_id"`
	ClientIDIssuedAt int64  `json:"client_id_issued_at,omitempty"`
	ClientMetadata
}
