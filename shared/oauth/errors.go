// Package oauth is the vocabulary of the OAuth RFCs that the gateway (an
// authorization server) and the bridge (a client) share: error codes, metadata
// documents, redirect-URI matching, PKCE, challenges. It holds no state, makes
// no requests and decides nothing that is not in an RFC.
package oauth

import (
	"net/http"
)

// Error codes on the wire: RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1, RFC 7591
// §3.2.2, RFC 8707 §2.
const (
	CodeInvalidRequest          = "invalid_request"
	CodeInvalidClient           = "invalid_client"
	CodeInvalidGrant            = "invalid_grant"
	CodeUnauthorizedClient      = "unauthorized_client"
	CodeUnsupportedGrantType    = "unsupported_grant_type"
	CodeUnsupportedResponseType = "unsupported_response_type"
	CodeInvalidScope            = "invalid_scope"
	CodeAccessDenied            = "access_denied"
	CodeServerError             = "server_error"
	CodeTemporarilyUnavailable  = "temporarily_unavailable"
	CodeInvalidToken            = "invalid_token"
	CodeInsufficientScope       = "insufficient_scope"
	CodeInvalidRedirectURI      = "invalid_redirect_uri"
	CodeInvalidClientMetadata   = "invalid_client_metadata"
	CodeInvalidTarget           = "invalid_target"
)

// Error is a protocol error for the other side. Description is a constant
// sentence for people; the cause stays on this side (it is for the log).
type Error struct {
	Code        string
	Description string
	// Status is the HTTP status where the error is a response of its own.
	Status int
	cause  error
}

// NewError returns an Error with the status that its code has.
func NewError(code, description string) *Error {
	status := http.StatusBadRequest
	switch code {
	case CodeInvalidClient, CodeInvalidToken:
		status = http.StatusUnauthorized
	case CodeInsufficientScope, CodeAccessDenied:
		status = http.StatusForbidden
	case CodeServerError:
		status = http.StatusInternalServerError
	case CodeTemporarilyUnavailable:
		status = http.StatusServiceUnavailable
	}
	return &Error{Code: code, Description: description, Status: status}
}

// WithCause returns a copy that wraps err.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

// Error implements error. It includes the cause, so it is for logs.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Description
	if e.cause != nil {
		s += " (" + e.cause.Error() + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// ErrorResponse is the body of an error (RFC 6749 §5.2).
type ErrorResponse struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description,omitempty"`
}

// TokenResponse is a successful answer of the token endpoint (RFC 6749 §5.1).
type TokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}
