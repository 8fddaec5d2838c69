package entrasim

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed templates
var files embed.FS

var (
	style     = mustRead("templates/style.css")
	templates = template.Must(template.New("").
			Funcs(template.FuncMap{"style": func() template.CSS { return template.CSS(style) }}).
			ParseFS(files, "templates/*.html"))
	// pagePolicy has no form-action, as Microsoft's pages have none. Chromium
	// applies it to every redirect after the form: through the gateway's
	// callback on to an MCP client at a port or private scheme that nobody
	// here can know. A list would break the last hop of the sign-in.
	pagePolicy = "default-src 'none'; style-src 'sha256-" + hashOf(style) + "'; base-uri 'none'; frame-ancestors 'none'"
)

func mustRead(name string) string {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // embedded at build time
	}
	return string(data)
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// person is one button of the sign-in page.
type person struct{ Username, Name, Tenant, Description string }

func (s *Sim) writeSignInPage(w http.ResponseWriter, r *http.Request, req authorizeRequest) {
	var people []person
	for _, u := range s.dir.users {
		people = append(people, person{u.Username, u.Name, s.dir.tenantName(u.TenantID), u.Description})
	}
	writePage(w, r, http.StatusOK, "signin.html", struct {
		App, Choice, Cancel string
		People              []person
	}{cmp.Or(req.app.Name, req.app.ClientID), Choice, Cancel, people})
}

// writeFailurePage ends a browser's request here: whoever sent a request like
// that is not told by a redirect (RFC 6749 §4.1.2.1).
func (s *Sim) writeFailurePage(w http.ResponseWriter, r *http.Request, f *failure) {
	s.recordFailure(r, f)
	t := traceOf(r)
	status := f.httpStatus()
	if status == http.StatusUnauthorized {
		status = http.StatusBadRequest // a browser has nothing to authenticate with
	}
	writePage(w, r, status, "failure.html", struct {
		Code                       int
		Text                       string
		Trace, Correlation, Moment string
	}{f.aadsts, f.text, t.id, t.correlation, t.timestamp()})
}

// writeFormPost answers by a form (OAuth 2.0 Form Post Response Mode §2). It
// has a button where Microsoft's page has a script.
func (s *Sim) writeFormPost(w http.ResponseWriter, r *http.Request, action string, fields url.Values) {
	writePage(w, r, http.StatusOK, "formpost.html", struct {
		Action string
		Fields url.Values
	}{action, fields})
}

// writeSignOutPage loads what must hear of the sign-out in frames. The page is
// left by a link: nobody knows when all of them have been loaded.
func (s *Sim) writeSignOutPage(w http.ResponseWriter, r *http.Request, frames []*url.URL, back string) {
	policy := pagePolicy
	if len(frames) > 0 {
		var origins strings.Builder
		for _, u := range frames {
			origins.WriteString(" " + u.Scheme + "://" + u.Host)
		}
		policy += "; frame-src" + origins.String()
	}
	w.Header().Set("Content-Security-Policy", policy)
	writePage(w, r, http.StatusOK, "signout.html", struct {
		Frames []*url.URL
		Back   string
	}{frames, back})
}

func writePage(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	commonHeaders(h, r)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-cache")
	if h.Get("Content-Security-Policy") == "" {
		h.Set("Content-Security-Policy", pagePolicy)
	}
	h.Set("Referrer-Policy", "same-origin") // the address has state and nonce in it
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
