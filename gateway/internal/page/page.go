// Package page renders the gateway's few HTML pages: consent, the code of
// a device, sign-in failures, errors, the front page. It owns the look and the security headers
// of every page, and refuses to own decisions: it shows what it is given.
//
// The pages need no script, no image and no font: one style sheet stands in
// the document and its hash in the Content-Security-Policy.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed templates
var files embed.FS

var (
	style     = mustRead("templates/style.css")
	styleHash = hashOf(style)
	templates = template.Must(template.New("").
			Funcs(template.FuncMap{"style": func() template.CSS { return template.CSS(style) }}).
			ParseFS(files, "templates/*.html"))
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

// Consent asks whether a client may have access (DESIGN D3).
type Consent struct {
	// Gateway is the host that people know this gateway by.
	Gateway string
	// Client is the name the client gave itself, or empty.
	Client string
	// ClientHost is the host whose document describes the client, or empty.
	ClientHost string
	// Known: an administrator wrote the client down, so its name is its own.
	Known bool
	// RedirectURI is where the answer goes, and RedirectHost its host; Local
	// says that this is a program on the person's own computer.
	RedirectURI  string
	RedirectHost string
	Local        bool
	// Device is the device that waits, if there is no redirect.
	Device *ConsentDevice
	// Scopes in plain words, and those that the person has granted before.
	Scopes  []string
	Granted []string
	// Action is where the form is sent; Form is its sealed content.
	Action string
	Form   string
	// FormAction lists the origins that the chain of redirects after the
	// form passes through (DESIGN D19).
	FormAction []string
}

// ConsentDevice is what a person can know a device by (RFC 8628 §5.4).
type ConsentDevice struct {
	// Code is what it shows.
	Code string
	// Address is where it asked from, Here that this browser is there too, and
	// Asked when, in words.
	Address string
	Here    bool
	Asked   string
}

// Device is where people type the code that their device shows (RFC 8628 §3.3).
type Device struct {
	Status  int
	Gateway string
	// Code is what stands in the field, and may be empty.
	Code string
	// Problem says what is wrong with the code before, or is empty.
	Problem string
	// Action is where the form is sent.
	Action string
}

// Done is the end of something that no client waits for in this browser.
type Done struct {
	Title   string
	Summary string
}

// Failure is a sign-in that did not succeed, or a request that cannot go on.
type Failure struct {
	Status int
	// Title and Summary say what happened, in plain words.
	Title   string
	Summary string
	// Help says what the person or an administrator can do.
	Help string
	// Details are shown for support: codes and ids, never secrets.
	Details []Detail
	// Return, if set, gives the waiting client its answer; Client names it.
	Return string
	Client string
}

// Detail is one line for the support desk.
type Detail struct{ Name, Value string }

// Front is what a browser sees at the gateway's root.
type Front struct {
	Gateway string
	MCP     string
	Version string
}

// WriteConsent answers with the consent page.
func WriteConsent(w http.ResponseWriter, c Consent) {
	write(w, http.StatusOK, "consent.html", c, c.FormAction)
}

// WriteDevice answers with the page for a device's code.
func WriteDevice(w http.ResponseWriter, d Device) { write(w, d.Status, "device.html", d, []string{}) }

// WriteDone answers with the page at an end.
func WriteDone(w http.ResponseWriter, d Done) { write(w, http.StatusOK, "done.html", d, nil) }

// ReturnDelay is after how many seconds a failure page returns to the client
// by itself: long enough to read, short enough that the client still waits.
const ReturnDelay = 30

// WriteFailure answers with a failure page.
func WriteFailure(w http.ResponseWriter, f Failure) {
	write(w, f.Status, "failure.html", struct {
		Failure
		// Return is checked by whoever built it: it may carry a private-use
		// scheme, which html/template would otherwise refuse as a link.
		Return      template.URL
		RefreshAttr template.HTMLAttr
		Delay       int
	}{f, template.URL(f.Return), refreshAttr(f.Return), ReturnDelay}, nil)
}

// refreshAttr builds the content attribute of the timed redirect. The URL is
// escaped here because html/template does not know the refresh syntax.
func refreshAttr(url string) template.HTMLAttr {
	return template.HTMLAttr(fmt.Sprintf(`content="%d;url=%s"`, ReturnDelay, template.HTMLEscapeString(url)))
}

// WriteFront answers with the front page.
func WriteFront(w http.ResponseWriter, f Front) { write(w, http.StatusOK, "front.html", f, nil) }

// WriteBlank answers with nothing to see, which a page of one origin may have in a
// frame. X-Frame-Options has no word for that, so it is left out.
func WriteBlank(w http.ResponseWriter, framedBy string) {
	setHeaders(w.Header(), 0, "default-src 'none'; form-action 'none'; frame-ancestors "+framedBy+"; base-uri 'none'")
	w.WriteHeader(http.StatusOK)
}

// write renders, then sends headers, status and body, and nothing after.
func write(w http.ResponseWriter, status int, name string, data any, formAction []string) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	setHeaders(w.Header(), body.Len(), policy(formAction))
	w.Header().Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

func setHeaders(h http.Header, length int, policy string) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(length))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// policy allows the one style sheet and, unless formAction is nil, forms for the
// gateway itself and the given targets.
// Chromium applies form-action to every redirect that follows a form, so the
// whole chain of a sign-in must be listed.
func policy(formAction []string) string {
	form := "'none'"
	if formAction != nil {
		form = strings.Join(append([]string{"'self'"}, formAction...), " ")
	}
	return "default-src 'none'; style-src 'sha256-" + styleHash + "'; form-action " + form +
		"; frame-ancestors 'none'; base-uri 'none'"
}
