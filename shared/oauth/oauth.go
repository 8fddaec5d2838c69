// Package oauth is the vocabulary of the OAuth RFCs that both ends speak: error
// codes, metadata documents, registrations, PKCE, the match of redirect URIs
// and the WWW-Authenticate header. The gateway uses it as authorization server
// and protected resource, the bridge as client.
//
// It refuses to own decisions (who may register, what a token is) and I/O:
// everything here is a value or a function of its arguments.
package oauth

// TokenResponse is a successful answer of the token endpoint (RFC 6749 §5.1).
type TokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresIn is the lifetime in seconds.
	ExpiresIn    int64  `json:"expires_in,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// Scope is what was granted, which may differ from what was asked.
	Scope string `json:"scope,omitempty"`
}

// Ways in which a client identifies itself at the token endpoint (RFC 7591 §2,
// OpenID Connect Core §9).
const (
	AuthMethodNone          = "none"
	AuthMethodSecretBasic   = "client_secret_basic"
	AuthMethodSecretPost    = "client_secret_post"
	AuthMethodPrivateKeyJWT = "private_key_jwt"
)

// AssertionType is the client_assertion_type of private_key_jwt (RFC 7523 §2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// IntrospectionResponse is what a resource server learns of a token (RFC 7662
// §2.2). An inactive one has no other member.
type IntrospectionResponse struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Username  string `json:"username,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	// ExpiresAt and IssuedAt are in seconds since 1970.
	ExpiresAt int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
}

// ErrorResponse is the JSON form of an error (RFC 6749 §5.2, RFC 7591 §3.2.2).
type ErrorResponse struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description,omitempty"`
}
