package entra

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
)

// Kind says what a failed sign-in means for the client that waits.
type Kind int

// The kinds of failure.
const (
	// KindDenied: this person may not sign in, or did not want to.
	KindDenied Kind = iota + 1
	// KindUnavailable: Microsoft cannot be reached or is busy; try again.
	KindUnavailable
	// KindMisconfigured: the application or the gateway is set up wrongly.
	KindMisconfigured
)

// Error is a sign-in that Microsoft, or the check of its answer, refused.
type Error struct {
	Kind Kind
	// Code is the OAuth error.
	Code string
	// AADSTS is Microsoft's error number, or 0.
	AADSTS int
	// TraceID and CorrelationID let Microsoft's support find the request.
	TraceID       string
	CorrelationID string
	// Summary says what happened and Help what to do, in plain words. They
	// are texts of our own, never Microsoft's.
	Summary string
	Help    string
	cause   error
}

// Error implements error; it is for logs.
func (e *Error) Error() string {
	s := "sign-in with Microsoft: " + e.Code
	if e.AADSTS != 0 {
		s += fmt.Sprintf(" (AADSTS%d)", e.AADSTS)
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

const askAdmin = "Tell your administrator, with the details below."

func unavailable(cause error) *Error {
	return &Error{
		Kind: KindUnavailable, Code: "temporarily_unavailable", cause: cause,
		Summary: "The sign-in service of Microsoft did not answer in time, or not understandably.",
		Help:    "Try again in a minute. If it goes on, an administrator can look into the gateway's log and at Microsoft's service status.",
	}
}

func misconfigured(cause error) *Error {
	return &Error{
		Kind: KindMisconfigured, Code: "server_error", cause: cause,
		Summary: "The gateway and Microsoft do not agree about this sign-in.", Help: askAdmin + " The gateway's log says what did not fit.",
	}
}

var (
	aadstsShape = regexp.MustCompile(`AADSTS(\d{4,8})\b`)
	traceShape  = regexp.MustCompile(`Trace ID: ([0-9a-f-]{36})\b`)
	corrShape   = regexp.MustCompile(`Correlation ID: ([0-9a-f-]{36})\b`)
)

// CallbackError reads an error that came back through the browser (RFC 6749
// §4.1.2.1). Anybody can make a link with such an error, so only numbers and
// ids of known shape are taken from it and every text is our own.
func CallbackError(q url.Values) *Error {
	return classify(0, q.Get("error"), q.Get("error_description"), q.Get("error_subcode") == "cancel")
}

// fromTokenError reads an error answer of the token endpoint.
func fromTokenError(status int, body []byte, cause error) *Error {
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		if status >= 300 && status < 400 {
			return misconfigured(fmt.Errorf("a redirect (%d) instead of an answer", status))
		}
		return unavailable(fmt.Errorf("status %d without a readable error", status))
	}
	e := classify(status, answer.Error, answer.Description, false)
	e.cause = cause
	return e
}

// classify turns an OAuth error into an Error. The decision rests on error and
// status, as Microsoft asks; the AADSTS number only chooses the words, except
// where the OAuth error says nothing about whose fault it is.
func classify(status int, code, description string, cancelled bool) *Error {
	e := &Error{Kind: KindMisconfigured, Code: "server_error"}
	if slices.Contains(knownCodes, code) {
		e.Code = code
	}
	if m := aadstsShape.FindStringSubmatch(description); m != nil {
		e.AADSTS, _ = strconv.Atoi(m[1])
	}
	if m := traceShape.FindStringSubmatch(description); m != nil {
		e.TraceID = m[1]
	}
	if m := corrShape.FindStringSubmatch(description); m != nil {
		e.CorrelationID = m[1]
	}
	switch {
	case code == "temporarily_unavailable", status == http.StatusTooManyRequests, status >= 500:
		e.Kind = KindUnavailable
	case slices.Contains(deniedCodes, code):
		e.Kind = KindDenied
	}
	if words, ok := aadsts[e.AADSTS]; ok {
		e.Summary, e.Help = words.summary, words.help
		if words.kind != 0 {
			e.Kind = words.kind
		}
		return e
	}
	switch {
	case cancelled || e.AADSTS == 65004:
		e.Kind, e.Summary, e.Help = KindDenied, "The sign-in was cancelled.", "Start again from your program if that was not what you wanted."
	case e.Kind == KindDenied:
		e.Summary, e.Help = "Microsoft did not let you sign in.", askAdmin
	case e.Kind == KindUnavailable:
		u := unavailable(nil)
		e.Summary, e.Help = u.Summary, u.Help
	default:
		e.Summary, e.Help = "Microsoft refused the gateway's request.", askAdmin
	}
	return e
}

var knownCodes = []string{
	"access_denied", "consent_required", "interaction_required", "invalid_client", "invalid_grant", "invalid_request",
	"invalid_resource", "invalid_scope", "invalid_target", "login_required", "server_error", "temporarily_unavailable",
	"unauthorized_client", "unsupported_grant_type", "unsupported_response_type", "invalid_tenant",
}

// deniedCodes say that the person may not, or has to do something first.
var deniedCodes = []string{"access_denied", "consent_required", "invalid_grant", "interaction_required", "login_required"}
