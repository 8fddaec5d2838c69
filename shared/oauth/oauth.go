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

// ErrorResponse is the JSON form of an error (RFC 6749 §5.2, RFC 7591 §3.2.2).
type ErrorResponse struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description,omitempty"`
}
