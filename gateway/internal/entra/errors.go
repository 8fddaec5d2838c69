package entra

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Kind says what a failed sign-in means for the client that waits.
type Kind string

// The kinds of failure.
const (
	// KindDenied: this person may not sign in, or chose not to. The client
	// gets access_denied.
	KindDenied Kind = "denied"
	// KindUnavailable: Microsoft could not be asked. The client gets
	// temporarily_unavailable.
	KindUnavailable Kind = "unavailable"
	// KindMisconfigured: nobody can sign in until an administrator changes
	// something, or the answer was not one to trust. The client gets
	// server_error.
	KindMisconfigured Kind = "misconfigured"
)

// Codes of our own, where Microsoft gave none.
const (
	codeNoAnswer     = "no_answer"         // no connection, or no answer that can be read
	codeProtocol     = "protocol_error"    // an answer against the protocol
	codeToken        = "id_token_rejected" // an ID token that is not for this sign-in
	codeTenant       = "tenant_refused"    // a person of a tenant that is not allowed
	codeGuest        = "guest_refused"     // a guest, and guests are not allowed
	codeAcct         = "acct_missing"      // nobody knows whether it is a guest
	codeCredential   = "client_credential" // the gateway has nothing to prove itself with
	codeUnrecognized = "unrecognized"      // an error that is no error code
)

// Error is a sign-in that did not succeed. Everything in it is safe to show
// and to log: of what Microsoft, or whoever forged its answer, wrote there are
// only numbers, ids and error codes in it, never text.
type Error struct {
	Kind Kind
	// Code is the OAuth error code, or one of our own.
	Code string
	// AADSTS is Microsoft's number for the failure; 0 if unknown.
	AADSTS int
	// TraceID and CorrelationID lead to the entry in Microsoft's sign-in
	// log; empty if unknown.
	TraceID       string
	CorrelationID string
	// RetryAfter is how long Microsoft wants to be left alone; 0 if it did not say.
	RetryAfter time.Duration
	// Summary says what happened and Help what the person or an
	// administrator can do, in plain words. Summary has only characters that
	// an error_description may have (RFC 6749 §4.1.2.1).
	Summary string
	Help    string
	// Tenant and Object are the person's whom Microsoft let in and the gateway's own
	// settings keep out; empty in every other failure.
	Tenant, Object string

	cause error
}

// Error is for the log.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "microsoft sign-in %s: %s", e.Kind, e.Code)
	if e.AADSTS != 0 {
		fmt.Fprintf(&b, " (AADSTS%d)", e.AADSTS)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// Reason is the failure in one word, for the audit trail.
func (e *Error) Reason() string {
	if e.AADSTS != 0 {
		return "AADSTS" + strconv.Itoa(e.AADSTS)
	}
	return e.Code
}

// Everybody reports whether the failure says nothing about this person: the next
// one would be told the same.
func (e *Error) Everybody() bool {
	switch e.Code {
	case "invalid_client", "unauthorized_client", codeCredential:
		return e.Kind == KindMisconfigured
	case "invalid_grant": // a loop (AADSTS50196) is one person's
		return false
	}
	return e.Kind == KindUnavailable
}

// consent reports whether somebody has not agreed to what was asked for.
func (e *Error) consent() bool {
	return e.Kind == KindDenied && (e.Code == "consent_required" || advices[e.AADSTS] == adminConsent)
}

// Unwrap returns what lies behind the error, if that was on our side.
func (e *Error) Unwrap() error { return e.cause }

// CallbackError reads the error that came back with the browser in place of a
// code (RFC 6749 §4.1.2.1). Anybody can make a browser bring any text, so only
// the numbers and ids in it are used.
func CallbackError(q url.Values) *Error {
	code := q.Get("error")
	if code == "" {
		code = codeProtocol
	}
	f := failure{code: code, subcode: q.Get("error_subcode")}
	f.read(q.Get("error_description"))
	return f.asError(http.StatusOK)
}

// answerError reads the error that an endpoint of Microsoft's answered with
// (RFC 6749 §5.2).
func answerError(status int, header http.Header, body []byte) *Error {
	if status >= http.StatusMultipleChoices && status < http.StatusBadRequest {
		return misconfigured(codeProtocol, fmt.Errorf("a redirect (%d) in place of an answer", status))
	}
	var answer struct {
		Error         string `json:"error"`
		Suberror      string `json:"suberror"`
		Description   string `json:"error_description"`
		Codes         []int  `json:"error_codes"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
	}
	// A member of another type costs only itself, and a body that is no JSON
	// (a proxy's page, "Too Many Requests") leaves all of them empty.
	_ = json.Unmarshal(body, &answer)
	f := failure{code: answer.Error, subcode: answer.Suberror}
	f.read(answer.Description)
	if len(answer.Codes) > 0 && answer.Codes[0] > 0 {
		f.aadsts = answer.Codes[0]
	}
	f.trace = firstGUID(answer.TraceID, f.trace, header.Get("X-Ms-Request-Id"))
	f.correlation = firstGUID(answer.CorrelationID, f.correlation)
	e := f.asError(status)
	e.RetryAfter = retryAfterOf(header)
	return e
}

// maxRetryAfter bounds what is believed of Retry-After.
const maxRetryAfter = 5 * time.Minute

// retryAfterOf reads seconds (RFC 9110 §10.2.3). Microsoft sends no date.
func retryAfterOf(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// unavailable is for an answer that did not come, or cannot be read.
func unavailable(cause error) *Error {
	e := failure{code: codeNoAnswer}.asError(http.StatusServiceUnavailable)
	e.cause = cause
	return e
}

// misconfigured is for an answer that came and is not acceptable.
func misconfigured(code string, cause error) *Error {
	e := failure{code: code}.asError(http.StatusOK)
	e.cause = cause
	return e
}

// failure is what can be taken from an error answer.
type failure struct {
	code, subcode      string
	aadsts             int
	trace, correlation string
}

// maxDescription: the ids stand at the end of a text of some hundred characters.
const maxDescription = 4 << 10

var (
	aadstsText      = regexp.MustCompile(`\bAADSTS([1-9][0-9]{3,8})\b`)
	traceText       = regexp.MustCompile(`\bTrace ID: ([0-9A-Fa-f-]{36})\b`)
	correlationText = regexp.MustCompile(`\bCorrelation ID: ([0-9A-Fa-f-]{36})\b`)
	// graphCode is the shape of Microsoft Graph's error codes.
	graphCode = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
	// errorCode is the shape of every registered OAuth error code.
	errorCode = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// read takes the number and the ids out of an error_description, which has
// the form "AADSTS50173: … Trace ID: … Correlation ID: … Timestamp: …".
func (f *failure) read(description string) {
	description = description[:min(len(description), maxDescription)]
	if m := aadstsText.FindStringSubmatch(description); m != nil {
		f.aadsts, _ = strconv.Atoi(m[1]) // at most nine digits
	}
	if m := traceText.FindStringSubmatch(description); m != nil {
		f.trace = firstGUID(m[1])
	}
	if m := correlationText.FindStringSubmatch(description); m != nil {
		f.correlation = firstGUID(m[1])
	}
}

func firstGUID(candidates ...string) string {
	for _, c := range candidates {
		if c = strings.ToLower(c); isGUID(c) {
			return c
		}
	}
	return ""
}

// asError turns what is known into an Error. status is the HTTP status of the
// answer; an answer that came by browser has none and passes 200.
func (f failure) asError(status int) *Error {
	if f.code != "" && !errorCode.MatchString(f.code) {
		f.code = codeUnrecognized
	}
	e := &Error{Kind: f.kind(status), Code: f.code, AADSTS: f.aadsts, TraceID: f.trace, CorrelationID: f.correlation}
	if e.Code == "" {
		e.Code = codeNoAnswer
	}
	e.Summary, e.Help = f.words(e.Kind)
	return e
}

// kind goes by the HTTP status and the error code. Microsoft asks not to act
// on its numbers, so they count only where the code blames the person for what
// is the gateway's fault, or the other way round.
func (f failure) kind(status int) Kind {
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		return KindUnavailable
	}
	if known, ok := advices[f.aadsts]; ok && known.kind != "" {
		return known.kind
	}
	switch f.code {
	case "access_denied", "invalid_grant", "interaction_required", "login_required", "consent_required", "account_selection_required":
		return KindDenied
	case "server_error", "temporarily_unavailable", "":
		// Of server_error Microsoft says to try again. Without a code it is not
		// OAuth's answer but that of something in between.
		return KindUnavailable
	}
	return KindMisconfigured
}
