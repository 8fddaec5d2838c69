package admin

import "errors"

// Codes of an Error.
const (
	// CodeInvalid: the request cannot be understood.
	CodeInvalid = "invalid"
	// CodeUnknown: there is no such user, client or grant.
	CodeUnknown = "unknown"
	// CodeAmbiguous: there are several.
	CodeAmbiguous = "ambiguous"
	// CodeOtherRing: the gateway uses another key ring.
	CodeOtherRing = "other_ring"
	// CodeUnavailable: it could not be done, or not be written down.
	CodeUnavailable = "unavailable"
)

// Error is an answer for the administrator.
type Error struct {
	Code string `json:"code"`
	// Message says what is wrong and what to do next.
	Message string `json:"message"`

	cause error
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause, which stays on the machine where it happened.
func (e *Error) Unwrap() error { return e.cause }

// unavailable wraps what is not the administrator's mistake.
func unavailable(err error) *Error {
	if told, ok := errors.AsType[*Error](err); ok {
		return told
	}
	return &Error{Code: CodeUnavailable, Message: "the gateway could not do it: " + err.Error(), cause: err}
}
