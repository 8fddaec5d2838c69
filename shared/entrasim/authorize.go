package entrasim

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// codeLifetime is how long a code may wait for its client.
	codeLifetime = 10 * time.Minute
	// codeBytes makes a code of more than 2 kB, as long as Microsoft's get.
	codeBytes = 1560
)

// authorizeParameters are all that a client may send.
var authorizeParameters = []string{
	"client_id", "response_type", "redirect_uri", "response_mode", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "prompt", "login_hint", "domain_hint", "claims",
}

// scopes that exist: those of OpenID Connect, and permissions of Microsoft Graph,
// which clients write in any case. Nobody is asked for consent here.
var (
	knownScopes      = []string{"openid", "profile", "email", "offline_access"}
	graphPermissions = []string{"User.Read", "GroupMember.Read.All", "Directory.Read.All"}
)

// authorizeRequest is a request that passed every check.
type authorizeRequest struct {
	at            authority
	app           *App
	redirectURI   string
	mode          string
	scopes        []string
	state, prompt string
	nonce         string
	challenge     string
}

// signIn is what a code or a refresh token stands for.
type signIn struct {
	at          authority
	app         *App
	user        *User
	scopes      []string
	redirectURI string
	nonce       string
	challenge   string
	session     string // empty where nobody needs to know
	issuedAt    time.Time
	redeemed    bool
}

// parseAuthorize checks the query (RFC 6749 §4.1.1). Whatever is wrong with it
// is a violation, and ends on a page: nobody is redirected.
func (s *Sim) parseAuthorize(r *http.Request) (authorizeRequest, *failure) {
	var req authorizeRequest
	var f *failure
	if req.at, f = s.dir.authority(r.PathValue("tenant")); f != nil {
		return req, f
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return req, violation(9002313, "the query cannot be parsed")
	}
	if _, ok := q["resource"]; ok {
		return req, violation(9010010, "authorize: parameter %q", "resource")
	}
	if f := checkParameters("authorize", q, authorizeParameters, "client_id", "response_type", "redirect_uri", "scope"); f != nil {
		return req, f
	}
	if req.app, f = s.dir.app(q.Get("client_id"), req.at); f != nil {
		return req, f
	}
	req.redirectURI = q.Get("redirect_uri")
	if !req.app.allows(req.redirectURI) {
		return req, violation(50011, "redirect_uri %q", req.redirectURI)
	}
	if q.Get("response_type") != "code" {
		return req, violation(700054, "response_type %q", q.Get("response_type"))
	}
	if req.scopes, f = parseScopes(q.Get("scope")); f != nil {
		return req, f
	}
	req.state, req.nonce, req.challenge = q.Get("state"), q.Get("nonce"), q.Get("code_challenge")
	req.mode, req.prompt = q.Get("response_mode"), q.Get("prompt")
	return req, checkValues(q)
}

// checkParameters refuses unknown and repeated parameters (RFC 6749 §3.1:
// "MUST NOT be included more than once") and misses the required ones.
func checkParameters(where string, q url.Values, known []string, required ...string) *failure {
	for name, values := range q {
		if !slices.Contains(known, name) {
			return violation(9002313, "%s: unknown parameter %q", where, name)
		}
		if len(values) > 1 {
			return violation(9002313, "%s: parameter %q stands %d times", where, name, len(values))
		}
	}
	for _, name := range required {
		if q.Get(name) == "" {
			return violation(900144, "%s: parameter %q is missing", where, name)
		}
	}
	return nil
}

// checkValues checks what has a closed set of values, and the challenge
// (RFC 7636 §4.2; plain is a client's mistake).
func checkValues(q url.Values) *failure {
	for name, allowed := range map[string][]string{
		"response_mode": {"", "query", "fragment", "form_post"},
		"prompt":        {"", "login", "none", "consent", "select_account"},
	} {
		if !slices.Contains(allowed, q.Get(name)) {
			return violation(90023, "authorize: %s %q", name, q.Get(name))
		}
	}
	challenge, method := q.Get("code_challenge"), q.Get("code_challenge_method")
	if challenge == "" && method == "" {
		return nil
	}
	if method != "S256" {
		return violation(9002313, "authorize: code_challenge_method %q is not S256", method)
	}
	if sum, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(sum) != sha256.Size {
		return violation(501491, "authorize: code_challenge is no SHA-256")
	}
	return nil
}

func parseScopes(s string) ([]string, *failure) {
	scopes := strings.Fields(s)
	for i, scope := range scopes {
		known := slices.IndexFunc(graphPermissions, func(one string) bool { return strings.EqualFold(one, scope) })
		switch {
		case known >= 0:
			scopes[i] = graphPermissions[known]
		case !slices.Contains(knownScopes, scope):
			return nil, violation(650053, "scope %q", scope)
		}
	}
	return scopes, nil
}

// showSignIn asks who it is.
func (s *Sim) showSignIn(w http.ResponseWriter, r *http.Request) {
	req, f := s.parseAuthorize(r)
	if f != nil {
		s.writeFailurePage(w, r, f)
		return
	}
	if req.prompt == "none" { // there are no sessions here to be silent about
		s.answer(w, r, req, s.callbackError(r, refusal(50058)))
		return
	}
	s.writeSignInPage(w, r, req)
}

// finishSignIn takes the choice and goes back to the client.
func (s *Sim) finishSignIn(w http.ResponseWriter, r *http.Request) {
	req, f := s.parseAuthorize(r)
	if f != nil {
		s.writeFailurePage(w, r, f)
		return
	}
	if err := r.ParseForm(); err != nil || len(r.PostForm[Choice]) != 1 {
		s.writeFailurePage(w, r, violation(9002313, "sign-in page: the form has no %s", Choice))
		return
	}
	planned, diverted := s.take(authorizeEndpoint)
	if diverted && planned.Fault != 0 {
		planned.Fault.happen(w, r, nil)
		return
	}
	if diverted && planned.Page {
		s.writeFailurePage(w, r, planned.failure())
		return
	}
	choice := r.PostForm.Get(Choice)
	user := s.dir.user(choice)
	switch {
	case diverted:
		f = planned.failure()
	case choice == Cancel:
		f = refusal(65004)
	case user == nil:
		s.writeFailurePage(w, r, violation(50034, "sign-in page: nobody is called %q", choice))
		return
	case s.isDisabled(user):
		f = refusal(50057)
	case !req.at.admits(user):
		f = refusal(50020)
	case req.app.AssignmentRequired && len(user.Roles) == 0:
		f = refusal(50105)
	}
	if f != nil {
		s.answer(w, r, req, s.callbackError(r, f))
		return
	}
	s.answer(w, r, req, url.Values{"code": {s.issueCode(req, user, s.enterSession(w, r, req.app))}, "session_state": {newGUID()}})
}

// issueCode remembers the sign-in until its code is redeemed, and forgets those
// that nobody came for.
func (s *Sim) issueCode(req authorizeRequest, user *User, session string) string {
	code := "1." + randomText(codeBytes)
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	// An expired or used code is remembered for a while to say so.
	maps.DeleteFunc(s.codes, func(_ string, old *signIn) bool { return now.Sub(old.issuedAt) > 6*codeLifetime })
	s.codes[code] = &signIn{
		at: req.at, app: req.app, user: user, scopes: req.scopes, redirectURI: req.redirectURI,
		nonce: req.nonce, challenge: req.challenge, session: session, issuedAt: now,
	}
	return code
}

// answer sends the browser back to the client in the response mode it asked
// for. The redirect URI is a registered one.
func (s *Sim) answer(w http.ResponseWriter, r *http.Request, req authorizeRequest, v url.Values) {
	if req.state != "" {
		v.Set("state", req.state)
	}
	separator := "?"
	switch req.mode {
	case "form_post":
		s.writeFormPost(w, r, req.redirectURI, v)
		return
	case "fragment":
		separator = "#"
	default:
		if strings.Contains(req.redirectURI, "?") {
			separator = "&"
		}
	}
	commonHeaders(w.Header(), r)
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.Header().Set("Location", req.redirectURI+separator+v.Encode())
	w.WriteHeader(http.StatusFound)
}
