package entrasim

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// failure is one error in Microsoft's terms.
type failure struct {
	aadsts   int
	oauth    string // the OAuth error code
	text     string
	suberror string // error_subcode on the callback
	claims   string // a claims challenge
	status   int
	// violation says what the client did that no correct client does; empty
	// for errors that happen to correct clients too.
	violation string
}

// meanings of the codes that the simulator knows: the OAuth error code, the
// suberror and the text. Any other code can be planned with a text of its own.
var meanings = map[int]struct{ oauth, suberror, text string }{
	28000:   {"invalid_request", "", "Provided value for the input parameter scope is not valid because it contains more than one resource."},
	28003:   {"invalid_request", "", "Provided value for the input parameter scope cannot be empty when requesting an access token using the provided authorization code."},
	50011:   {"invalid_request", "", "The redirect URI specified in the request does not match the redirect URIs configured for the application."},
	50013:   {"invalid_client", "", "Assertion failed signature validation."},
	50020:   {"access_denied", "", "User account from identity provider does not exist in tenant and cannot access the application in that tenant. The account needs to be added as an external user in the tenant first."},
	50027:   {"invalid_client", "", "JWT token is invalid or malformed."},
	50034:   {"invalid_grant", "bad_token", "The user account does not exist in the directory. To sign into this application, the account must be added to the directory."},
	50049:   {"invalid_instance", "", "Unknown or invalid instance."},
	50053:   {"invalid_grant", "", "You've tried to sign in too many times with an incorrect user ID or password."},
	50057:   {"invalid_grant", "", "The user account is disabled."},
	50058:   {"login_required", "", "A silent sign-in request was sent but no user is signed in."},
	50076:   {"interaction_required", "basic_action", "Due to a configuration change made by your administrator, you must use multi-factor authentication to access the resource."},
	50079:   {"interaction_required", "basic_action", "Due to a configuration change made by your administrator, you must enroll in multi-factor authentication to access the resource."},
	50105:   {"access_denied", "", "Your administrator has configured the application to block users unless they are specifically granted ('assigned') access to the application."},
	50173:   {"invalid_grant", "bad_token", "The provided grant has expired due to it being revoked, a fresh auth token is needed."},
	50194:   {"unauthorized_client", "", "Application is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps. Use a tenant-specific endpoint."},
	50196:   {"invalid_grant", "", "The server terminated an operation because it encountered a client request loop."},
	53003:   {"access_denied", "", "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."},
	54005:   {"invalid_grant", "", "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token."},
	65001:   {"invalid_grant", "consent_required", "The user or administrator has not consented to use the application. Send an interactive authorization request for this user and resource."},
	65004:   {"access_denied", "cancel", "User declined to consent to access the app."},
	70000:   {"invalid_grant", "bad_token", "Provided grant is invalid or malformed."},
	70003:   {"unsupported_grant_type", "", "The app returned an unsupported grant type."},
	70008:   {"invalid_grant", "", "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource."},
	70043:   {"invalid_grant", "token_expired", "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access."},
	90002:   {"invalid_request", "", "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."},
	90009:   {"invalid_request", "", "Application is requesting a token for itself. This scenario is supported only if resource is specified using the GUID based App Identifier."},
	90023:   {"invalid_request", "", "The value of a parameter is not supported."},
	90094:   {"consent_required", "", "An administrator of the directory has set a policy that prevents you from granting the application the permissions it is requesting."},
	500112:  {"invalid_client", "", "The reply address does not match the reply address provided when requesting Authorization code."},
	501481:  {"invalid_grant", "", "The Code_Verifier does not match the code_challenge supplied in the authorization request."},
	501491:  {"invalid_request", "", "Invalid size of Code_Challenge parameter."},
	650053:  {"invalid_client", "", "The application asked for a scope that doesn't exist on the resource '00000003-0000-0000-c000-000000000000'."},
	700005:  {"invalid_grant", "", "Provided Authorization Code is intended to use against other tenant."},
	700016:  {"unauthorized_client", "", "Application was not found in the directory. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."},
	700021:  {"invalid_client", "", "Client assertion application identifier doesn't match 'client_id' parameter."},
	700023:  {"invalid_client", "", "Client assertion audience claim does not match Realm issuer."},
	700024:  {"invalid_client", "", "Client assertion is not within its valid time range."},
	700025:  {"invalid_client", "", "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."},
	700027:  {"invalid_client", "", "The certificate with identifier used to sign the client assertion is not registered on application, or the key used is expired."},
	700054:  {"unsupported_response_type", "", "The response_type is not enabled for the application."},
	700082:  {"invalid_grant", "", "The refresh token has expired due to inactivity."},
	700211:  {"invalid_client", "", "No matching federated identity record found for presented assertion issuer. Please check your federated identity credential Subject, Audience and Issuer against the presented assertion."},
	700212:  {"invalid_client", "", "No matching federated identity record found for presented assertion audience. Please check your federated identity credential Subject, Audience and Issuer against the presented assertion."},
	700213:  {"invalid_client", "", "No matching federated identity record found for presented assertion subject. Please check your federated identity credential Subject, Audience and Issuer against the presented assertion."},
	900144:  {"invalid_request", "", "The request must contain a required parameter that is missing."},
	900561:  {"invalid_request", "", "The endpoint only accepts POST requests."},
	7000215: {"invalid_client", "", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID."},
	7000218: {"invalid_client", "", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."},
	7000222: {"invalid_client", "", "The provided client secret keys for app are expired. Create new keys for your app."},
	9002313: {"invalid_request", "", "Invalid request. Request is malformed or invalid."},
	9010010: {"invalid_target", "", "The resource parameter provided in the request doesn't match with the requested scopes."},
}

// refusal is an error that may happen to a correct client.
func refusal(aadsts int) *failure {
	m := meanings[aadsts]
	return &failure{aadsts: aadsts, oauth: m.oauth, text: m.text, suberror: m.suberror}
}

// violation is an error that only a wrong client meets. What is wrong is shown
// and recorded, so no secret may be in it.
func violation(aadsts int, format string, args ...any) *failure {
	f := refusal(aadsts)
	f.violation = fmt.Sprintf("AADSTS%d: ", aadsts) + fmt.Sprintf(format, args...)
	f.text += " (" + fmt.Sprintf(format, args...) + ")"
	return f
}

func (f *failure) httpStatus() int {
	switch {
	case f.status != 0:
		return f.status
	case f.oauth == "invalid_client":
		return http.StatusUnauthorized
	case f.oauth == "temporarily_unavailable":
		return http.StatusServiceUnavailable
	case f.oauth == "server_error":
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// trace identifies one request to Microsoft's support.
type trace struct {
	id, correlation string
	at              time.Time
}

type traceKey struct{}

// withTrace gives every request its ids. A caller may choose the correlation.
func (s *Sim) withTrace(r *http.Request) *http.Request {
	t := trace{id: newGUID(), correlation: r.Header.Get("client-request-id"), at: s.now().UTC()}
	if !guid.MatchString(t.correlation) {
		t.correlation = newGUID()
	}
	return r.WithContext(context.WithValue(r.Context(), traceKey{}, t))
}

func traceOf(r *http.Request) trace {
	t, _ := r.Context().Value(traceKey{}).(trace)
	return t
}

func (t trace) timestamp() string { return t.at.Format("2006-01-02 15:04:05Z") }

// describe is error_description as Microsoft writes it, line breaks included.
func (t trace) describe(f *failure) string {
	text := f.text
	if f.aadsts != 0 {
		text = fmt.Sprintf("AADSTS%d: %s", f.aadsts, f.text)
	}
	return fmt.Sprintf("%s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s", text, t.id, t.correlation, t.timestamp())
}

// errorBody has the members of Microsoft's error answer in its order.
type errorBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri,omitempty"`
	Suberror      string `json:"suberror,omitempty"`
	Claims        string `json:"claims,omitempty"`
}

// writeFailure answers a program (RFC 6749 §5.2).
func (s *Sim) writeFailure(w http.ResponseWriter, r *http.Request, f *failure) {
	s.recordFailure(r, f)
	t := traceOf(r)
	body := errorBody{
		Error: f.oauth, Description: t.describe(f), Codes: []int{}, Timestamp: t.timestamp(),
		TraceID: t.id, CorrelationID: t.correlation, Suberror: f.suberror, Claims: f.claims,
	}
	if f.aadsts != 0 {
		body.Codes = []int{f.aadsts}
		body.URI = s.errorURI(r, f)
	}
	w.Header().Set("x-ms-clitelem", fmt.Sprintf("1,%d,0,,", f.aadsts))
	writeJSON(w, r, f.httpStatus(), body)
}

// callbackError is the answer that a browser carries (RFC 6749 §4.1.2.1).
func (s *Sim) callbackError(r *http.Request, f *failure) url.Values {
	s.recordFailure(r, f)
	v := url.Values{"error": {f.oauth}, "error_description": {traceOf(r).describe(f)}}
	if f.suberror != "" {
		v.Set("error_subcode", f.suberror)
	}
	if f.claims != "" {
		v.Set("claims", f.claims)
	}
	if f.aadsts != 0 {
		v.Set("error_uri", s.errorURI(r, f))
	}
	return v
}

func (s *Sim) errorURI(r *http.Request, f *failure) string {
	return s.authorityURL(r) + "/error?code=" + strconv.Itoa(f.aadsts)
}

func (s *Sim) recordFailure(r *http.Request, f *failure) {
	if f.violation != "" {
		s.violate(r, f.violation)
	}
}
