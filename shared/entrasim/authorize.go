package entrasim

import (
	"crypto/rand"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// allowedParams are the parameters of an authorization request that the
// simulation knows; any other is a violation.
var allowedParams = []string{
	"client_id", "response_type", "redirect_uri", "response_mode", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "prompt", "login_hint", "domain_hint",
}

// request is a checked authorization request.
type request struct {
	app    App
	tenant Tenant
	query  url.Values
}

// Field names of the sign-in page's form: the person's object id, or "cancel".
const (
	fieldUser   = "user"
	fieldCancel = "cancel"
)

// check answers with an error page where Entra does, and otherwise returns the
// request.
func (s *Sim) check(w http.ResponseWriter, r *http.Request) (request, bool) {
	q := r.URL.Query()
	tenant, ok := s.tenant(r.PathValue("tenant"))
	if !ok {
		s.errorPage(w, 90002, "Tenant '"+r.PathValue("tenant")+"' not found.")
		return request{}, false
	}
	app, ok := s.app(q.Get("client_id"), tenant.ID)
	if !ok {
		s.errorPage(w, 700016, "Application with identifier '"+q.Get("client_id")+"' was not found in the directory '"+tenant.Name+"'.")
		return request{}, false
	}
	if !matchesRedirect(app.RedirectURIs, q.Get("redirect_uri")) {
		s.errorPage(w, 50011, "The redirect URI '"+q.Get("redirect_uri")+"' specified in the request does not match the redirect URIs configured for the application.")
		return request{}, false
	}
	for name, values := range q {
		if !slices.Contains(allowedParams, name) || len(values) > 1 {
			s.violate("authorize: unexpected or repeated parameter %q", name)
		}
	}
	return request{app: app, tenant: tenant, query: q}, true
}

// refuse checks what Entra answers on the callback.
func (s *Sim) refuse(req request) (code string, aadsts int, text string) {
	switch q := req.query; {
	case q.Get("resource") != "":
		return "invalid_target", 9010010, "The resource parameter provided in the request doesn't match with the requested scopes."
	case q.Get("response_type") != "code":
		return "unsupported_response_type", 700054, "response_type is not enabled for the application."
	case q.Get("scope") == "":
		return "invalid_request", 900144, "The request body must contain the following parameter: 'scope'."
	case q.Get("nonce") == "" && !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		return "invalid_request", 70011, "The provided value for the input parameter 'scope' isn't valid."
	case q.Get("code_challenge") != "" && len(q.Get("code_challenge")) != 43:
		return "invalid_request", 501491, "Invalid size of Code_Challenge parameter."
	case q.Get("prompt") == "none":
		return "login_required", 50058, "A silent sign-in request was sent but no user is signed in."
	default:
		return "", 0, ""
	}
}

// authorizePage shows the people to choose from.
func (s *Sim) authorizePage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req, ok := s.check(w, r)
	if !ok {
		return
	}
	if code, aadsts, text := s.refuse(req); code != "" {
		s.violate("authorize: AADSTS%d %s", aadsts, text)
		s.callbackError(w, r, req, code, aadsts, text, "")
		return
	}
	redirect, err := url.Parse(req.query.Get("redirect_uri"))
	if err != nil {
		s.errorPage(w, 50011, "The redirect URI is malformed.")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	// Chromium holds form-action against every hop after a form: the gateway's
	// callback, and the MCP client that it redirects to, on any address.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self' "+
		redirect.Scheme+"://"+redirect.Host+" http: https: cursor: vscode:")
	h.Set("Referrer-Policy", "no-referrer")
	_ = pageTemplate.Execute(w, struct {
		Tenant Tenant
		Users  []User
		Action string
	}{req.tenant, s.opts.Users, r.URL.RequestURI()})
}

// authorizeChoice signs in the chosen person.
func (s *Sim) authorizeChoice(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req, ok := s.check(w, r)
	if !ok {
		return
	}
	if f, ok := take(&s.failures, StageAuthorize); ok {
		s.callbackError(w, r, req, f.Error, f.AADSTS, f.Text, f.Suberror)
		return
	}
	if r.PostFormValue(fieldCancel) != "" {
		s.callbackError(w, r, req, "access_denied", 65004, "User declined to consent to access the app.", "cancel")
		return
	}
	chosen := r.PostFormValue(fieldUser)
	i := slices.IndexFunc(s.opts.Users, func(u User) bool { return u.Tenant+"/"+u.Object == chosen })
	if i < 0 {
		s.errorPage(w, 50034, "The user account does not exist in the directory.")
		return
	}
	user := s.opts.Users[i]
	switch {
	case user.Tenant != req.tenant.ID:
		s.callbackError(w, r, req, "access_denied", 50020, "User account '"+user.Username+"' from identity provider does not exist in tenant '"+req.tenant.Name+"' and cannot access the application in that tenant.", "")
	case req.app.AssignmentRequired && len(user.Roles) == 0:
		s.callbackError(w, r, req, "access_denied", 50105, "The signed in user is not assigned to a role for the application.", "")
	default:
		s.issueCode(w, r, req, user)
	}
}

func (s *Sim) issueCode(w http.ResponseWriter, r *http.Request, req request, user User) {
	b := make([]byte, 1600) // Entra's codes are one to two kilobytes
	_, _ = rand.Read(b)     // never fails since Go 1.24
	value := "1.A" + base64.RawURLEncoding.EncodeToString(b)
	s.codes[value] = code{
		app: req.app, user: user, redirect: req.query.Get("redirect_uri"), nonce: req.query.Get("nonce"),
		challenge: req.query.Get("code_challenge"), scope: req.query.Get("scope"), issued: s.now(),
	}
	s.redirect(w, r, req, url.Values{"code": {value}, "session_state": {newGUID()}})
}

func (s *Sim) callbackError(w http.ResponseWriter, r *http.Request, req request, code string, aadsts int, text, subcode string) {
	desc, _, _, _ := description(aadsts, text)
	answer := url.Values{"error": {code}, "error_description": {desc}}
	if subcode != "" {
		answer.Set("error_subcode", subcode)
	}
	s.redirect(w, r, req, answer)
}

// redirect answers with response_mode=query.
func (s *Sim) redirect(w http.ResponseWriter, r *http.Request, req request, answer url.Values) {
	if state := req.query.Get("state"); state != "" {
		answer.Set("state", state)
	}
	http.Redirect(w, r, req.query.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

var pageTemplate = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in (simulated)</title>
<style>
:root { color-scheme: light dark; --back: #eef2f6; --card: #fff; --text: #1b1f24; --soft: #57606a; --line: #c6ced6; --accent: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --back: #14171b; --card: #1e2329; --text: #e8ebee; --soft: #a2abb5; --line: #3a424b; --accent: #74b3f5; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 28rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem; }
h1 { font-size: 1.35rem; margin: 0; }
p { margin: .25rem 0 1rem; color: var(--soft); }
form { display: grid; gap: .5rem; }
button { font: inherit; text-align: left; padding: .6rem .9rem; color: var(--text); background: transparent; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer; overflow-wrap: anywhere; }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
small { display: block; color: var(--soft); }
</style>
</head>
<body>
<main>
<h1>Sign in to {{.Tenant.Name}}</h1>
<p>Simulated Microsoft sign-in: development only. Choose who you want to be.</p>
<form method="post" action="{{.Action}}">
{{range .Users}}<button name="user" value="{{.Tenant}}/{{.Object}}">{{.Name}}<small>{{.Username}}{{if .About}} · {{.About}}{{end}}</small></button>
{{end}}<button name="cancel" value="1">Cancel</button>
</form>
</main>
</body>
</html>
`))
