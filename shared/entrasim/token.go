package entrasim

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// refreshIdle is how long an unused refresh token lives.
const refreshIdle = 90 * 24 * time.Hour

// tokenParameters are all that a client may send.
var tokenParameters = []string{
	"client_id", "client_secret", "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope",
	"claims", "client_info", "client_assertion", "client_assertion_type",
}

// tokenResponse has the members of Microsoft's answer in its order.
type tokenResponse struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope"`
	ExpiresIn    int    `json:"expires_in"`
	ExtExpiresIn int    `json:"ext_expires_in"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

// token is the token endpoint (RFC 6749 §3.2).
func (s *Sim) token(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	planned, diverted := s.take(tokenEndpoint)
	late := planned.Fault == Truncated || planned.Fault == NoIDToken || planned.Fault == NoRefreshToken
	if diverted && !late {
		s.divert(w, r, planned)
		return
	}
	answer, f := s.redeem(r)
	if f != nil {
		s.writeFailure(w, r, f)
		return
	}
	h.Set("x-ms-clitelem", "1,0,0,,")
	switch planned.Fault {
	case NoIDToken:
		answer.IDToken = ""
	case NoRefreshToken:
		answer.RefreshToken = ""
	case Truncated:
		body, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		planned.Fault.happen(w, r, body)
		return
	}
	writeJSON(w, r, http.StatusOK, answer)
}

// redeem checks the request and answers with tokens.
func (s *Sim) redeem(r *http.Request) (tokenResponse, *failure) {
	at, f := s.dir.authority(r.PathValue("tenant"))
	if f != nil {
		return tokenResponse{}, f
	}
	form, f := parseTokenForm(r)
	if f != nil {
		return tokenResponse{}, f
	}
	client, f := s.authenticate(r, form, at)
	if f != nil {
		return tokenResponse{}, f
	}
	scopes, f := parseScopes(form.Get("scope"))
	if f != nil {
		return tokenResponse{}, f
	}
	var in signIn
	switch form.Get("grant_type") {
	case "authorization_code":
		in, f = s.redeemCode(form, client, at)
	case "refresh_token":
		in, f = s.redeemRefresh(form, client)
	default:
		f = violation(70003, "token: grant_type %q", form.Get("grant_type"))
	}
	if f != nil {
		return tokenResponse{}, f
	}
	// Microsoft's extension, which its own libraries rely on: the scopes of
	// the token leg replace those of the authorization.
	if len(scopes) > 0 {
		in.scopes = scopes
	}
	answer, f := s.issue(s.authorityURL(r), in)
	if f == nil && form.Get("client_info") == "1" {
		answer.ClientInfo = clientInfo(in.user)
	}
	return answer, f
}

// parseTokenForm accepts a form in the body of a POST and nothing else.
func parseTokenForm(r *http.Request) (url.Values, *failure) {
	if r.Method != http.MethodPost {
		return nil, violation(900561, "token: received a %s request", r.Method)
	}
	if r.URL.RawQuery != "" {
		return nil, violation(9002313, "token: parameters in the address")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, violation(900144, "token: the body is %q, not a form", r.Header.Get("Content-Type"))
	}
	if err := r.ParseForm(); err != nil {
		return nil, violation(9002313, "token: the form cannot be parsed")
	}
	if _, ok := r.PostForm["resource"]; ok {
		return nil, violation(9010010, "token: parameter %q", "resource")
	}
	if claims := r.PostForm.Get("claims"); claims != "" && json.Unmarshal([]byte(claims), &map[string]any{}) != nil {
		return nil, violation(9002313, "token: parameter %q is no JSON object", "claims")
	}
	return r.PostForm, checkParameters("token", r.PostForm, tokenParameters, "grant_type")
}

// tokenClient is the application that asks for tokens.
type tokenClient struct {
	*App
	// proven: it sent its secret, or an assertion. Whether it must or must not depends on the
	// redirect URI that the sign-in went to.
	proven bool
}

// mayContinue refuses a client of the wrong kind for a sign-in.
func (c tokenClient) mayContinue(in *signIn) *failure {
	public := registered(c.PublicRedirectURIs, in.redirectURI)
	switch {
	case public && c.proven:
		return violation(700025, "token: client %q proved itself for the redirect URI of a program", c.ClientID)
	case !public && !c.proven:
		return violation(7000218, "token: client %q", c.ClientID)
	}
	return nil
}

// authenticate finds out which application is asking (RFC 6749 §2.3): by its
// secret in the body or by HTTP Basic, or by an assertion, never by two of them.
func (s *Sim) authenticate(r *http.Request, form url.Values, at authority) (tokenClient, *failure) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		// Both are form-encoded before they are joined.
		basicID, err1 := url.QueryUnescape(user)
		basicSecret, err2 := url.QueryUnescape(password)
		if err1 != nil || err2 != nil || secret != "" || (id != "" && id != basicID) {
			return tokenClient{}, violation(9002313, "token: the client authenticates twice or malformed")
		}
		id, secret = basicID, basicSecret
	}
	if id == "" {
		return tokenClient{}, violation(900144, "token: parameter %q is missing", "client_id")
	}
	app, f := s.dir.app(id, at)
	if f != nil {
		return tokenClient{}, f
	}
	if asserted := form.Get("client_assertion"); asserted != "" || form.Get("client_assertion_type") != "" {
		if secret != "" || form.Get("client_assertion_type") != assertionType {
			return tokenClient{}, violation(9002313, "token: the client authenticates twice or malformed")
		}
		return tokenClient{App: app, proven: true}, s.checkAssertion(app, asserted, s.authorityURL(r)+r.URL.Path)
	}
	if secret == "" {
		return tokenClient{App: app}, nil // mayContinue says whether that will do
	}
	for _, known := range app.Secrets {
		if subtle.ConstantTimeCompare([]byte(known.Value), []byte(secret)) != 1 {
			continue
		}
		if !known.ExpiresAt.IsZero() && !s.now().Before(known.ExpiresAt) {
			return tokenClient{}, refusal(7000222)
		}
		return tokenClient{App: app, proven: true}, nil
	}
	return tokenClient{}, refusal(7000215)
}

// redeemCode uses up a code (RFC 6749 §4.1.3, RFC 7636 §4.6). A request with
// anything wrong in it leaves the code as it was.
func (s *Sim) redeemCode(form url.Values, client tokenClient, at authority) (signIn, *failure) {
	for _, name := range []string{"code", "redirect_uri"} {
		if form.Get(name) == "" {
			return signIn{}, violation(900144, "token: parameter %q is missing", name)
		}
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.codes[form.Get("code")]
	if in == nil || in.app != client.App {
		return signIn{}, refusal(70000)
	}
	if f := client.mayContinue(in); f != nil {
		return signIn{}, f
	}
	switch {
	case !at.admits(in.user):
		return signIn{}, violation(700005, "token: the code was issued at %q, not at %q", in.at.segment, at.segment)
	case in.redeemed:
		// "The client MUST NOT use the authorization code more than once."
		return signIn{}, violation(54005, "token: a code was used twice")
	case !now.Before(in.issuedAt.Add(codeLifetime)):
		return signIn{}, refusal(70008)
	case in.redirectURI != form.Get("redirect_uri"):
		return signIn{}, violation(500112, "token: redirect_uri %q", form.Get("redirect_uri"))
	case !verifies(form.Get("code_verifier"), in.challenge):
		return signIn{}, refusal(501481)
	}
	in.redeemed = true
	return *in, nil
}

// verifies checks PKCE: enforced if, and only if, a challenge was sent.
func verifies(verifier, challenge string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// redeemRefresh continues a sign-in. The token stays good, as Microsoft's does:
// each use gives a new one beside it (but see OneTimeRefreshTokens).
func (s *Sim) redeemRefresh(form url.Values, client tokenClient) (signIn, *failure) {
	if form.Get("refresh_token") == "" {
		return signIn{}, violation(900144, "token: parameter %q is missing", "refresh_token")
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.refresh[form.Get("refresh_token")]
	if in == nil || in.app != client.App {
		return signIn{}, refusal(70000)
	}
	if f := client.mayContinue(in); f != nil {
		return signIn{}, f
	}
	switch {
	case s.disabled[in.user]:
		return signIn{}, refusal(50057)
	case !in.issuedAt.After(s.revoked[in.user]):
		return signIn{}, refusal(50173)
	case !now.Before(in.issuedAt.Add(refreshIdle)):
		return signIn{}, refusal(700082)
	}
	if s.oneTime {
		delete(s.refresh, form.Get("refresh_token"))
	}
	next := *in
	next.nonce = "" // a nonce belongs to the first id_token only
	return next, nil
}

// issue makes the tokens of a sign-in.
func (s *Sim) issue(base string, in signIn) (tokenResponse, *failure) {
	granted := slices.DeleteFunc(slices.Clone(in.scopes), func(scope string) bool { return scope == "offline_access" })
	slices.Sort(granted)
	var random [2]byte
	_, _ = rand.Read(random[:])                                     // never fails
	lifetime := 3599 + int(binary.BigEndian.Uint16(random[:]))%1801 // 60 to 90 minutes: clients must read it
	answer := tokenResponse{
		TokenType: "Bearer", Scope: strings.Join(granted, " "), ExpiresIn: lifetime, ExtExpiresIn: lifetime,
		AccessToken: opaqueAccessToken(),
	}
	s.grantAccess(answer.AccessToken, in, s.now().Add(time.Duration(lifetime)*time.Second))
	if slices.Contains(in.scopes, "openid") {
		token, err := s.idToken(base, in)
		if err != nil {
			return tokenResponse{}, &failure{oauth: "server_error", text: err.Error()}
		}
		answer.IDToken = token
	}
	if slices.Contains(in.scopes, "offline_access") {
		answer.RefreshToken = "1." + randomText(codeBytes)
		in.issuedAt = s.now()
		s.mu.Lock()
		// A dead token is remembered for a while to say so.
		maps.DeleteFunc(s.refresh, func(_ string, old *signIn) bool { return in.issuedAt.Sub(old.issuedAt) > 2*refreshIdle })
		s.refresh[answer.RefreshToken] = &in
		s.mu.Unlock()
	}
	return answer, nil
}

// clientInfo is what Microsoft's own libraries know an account by.
func clientInfo(u *User) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"uid":%q,"utid":%q}`, u.ObjectID, u.TenantID))
}

// opaqueAccessToken looks like a token for Microsoft Graph: a JWT with a nonce
// in its header, which only Graph can verify. Nobody else may look inside.
func opaqueAccessToken() string {
	header := fmt.Sprintf(`{"typ":"JWT","nonce":%q,"alg":"RS256"}`, randomText(32))
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + randomText(900) + "." + randomText(256)
}

func randomText(bytes int) string {
	random := make([]byte, bytes)
	_, _ = rand.Read(random) // never fails
	return base64.RawURLEncoding.EncodeToString(random)
}
