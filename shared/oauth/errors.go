package oauth

import (
	"net/http"
	"time"
)

// Error codes.
const (
	// Authorization endpoint (RFC 6749 §4.1.2.1).
	CodeInvalidRequest          = "invalid_request"
	CodeUnauthorizedClient      = "unauthorized_client"
	CodeAccessDenied            = "access_denied"
	CodeUnsupportedResponseType = "unsupported_response_type"
	CodeInvalidScope            = "invalid_scope"
	CodeServerError             = "server_error"
	CodeTemporarilyUnavailable  = "temporarily_unavailable"

	// Token endpoint (RFC 6749 §5.2), besides those above.
	CodeInvalidClient        = "invalid_client"
	CodeInvalidGrant         = "invalid_grant"
	CodeUnsupportedGrantType = "unsupported_grant_type"

	// Protected resource (RFC 6750 §3.1), besides invalid_request.
	CodeInvalidToken      = "invalid_token"
	CodeInsufficientScope = "insufficient_scope"

	// Registration endpoint (RFC 7591 §3.2.2).
	CodeInvalidRedirectURI    = "invalid_redirect_uri"
	CodeInvalidClientMetadata = "invalid_client_metadata"

	// Resource indicators (RFC 8707 §2).
	CodeInvalidTarget = "invalid_target"

	// Device authorization (RFC 8628 §3.5), besides access_denied.
	CodeAuthorizationPending = "authorization_pending"
	CodeSlowDown             = "slow_down"
	CodeExpiredToken         = "expired_token"
)

// Error is a refusal for the client. Code and Description go on the wire, the
// cause only into logs.
type Error struct {
	Code string
	// Description is a constant sentence for the developer of the client,
	// without double quotes and backslashes (RFC 6749 §5.2).
	Description string
	// Status is the HTTP status, where the error is answered directly.
	Status int
	// RetryAfter is when it may be worth to come back, where that is known (RFC
	// 9110 §10.2.3).
	RetryAfter time.Duration

	cause error
}

// NewError returns an Error with the status that belongs to its code.
func NewError(code, description string) *Error {
	return &Error{Code: code, Description: description, Status: statusOf(code)}
}

func statusOf(code string) int {
	switch code {
	case CodeInvalidClient, // RFC 6749 §5.2
		CodeInvalidToken: // RFC 6750 §3.1
		return http.StatusUnauthorized
	case CodeInsufficientScope: // RFC 6750 §3.1
		return http.StatusForbidden
	case CodeServerError:
		return http.StatusInternalServerError
	case CodeTemporarilyUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// WithCause returns a copy of e that wraps cause. e itself may be shared and
// stays as it is.
func (e *Error) WithCause(cause error) *Error {
	wrapped := *e
	wrapped.cause = cause
	return &wrapped
}

// Error is for logs: it shows the cause, which the client must not see.
func (e *Error) Error() string {
	text := e.Code
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }
