package entrasim

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Stage is where a Failure happens.
type Stage int

// The stages of a sign-in.
const (
	StageDiscovery Stage = iota + 1
	StageKeys
	// StageAuthorize fails the browser's way: an error on the callback.
	StageAuthorize
	StageToken
)

// Failure is one answer that is not a success. It is used up by the next
// request of its stage.
type Failure struct {
	Stage Stage
	// Error, AADSTS, Suberror and Text make an answer in Entra's shape.
	Error    string
	AADSTS   int
	Suberror string
	Text     string
	// Status of the answer; 400 if zero, for StageToken and the documents.
	Status int
	// Raw, if set, is the body instead, with ContentType and RetryAfter.
	Raw         string
	ContentType string
	RetryAfter  int
	// HangUp closes the connection without an answer.
	HangUp bool
	// Location makes it a redirect.
	Location string
}

// Fail makes the next request of the failure's stage fail.
func (s *Sim) Fail(f Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, f)
}

// MutateClaims changes the claims of the ID tokens that follow; nil ends it.
func (s *Sim) MutateClaims(change func(claims map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mutate = change
}

// take removes and returns the first failure of a stage.
func take(failures *[]Failure, stage Stage) (Failure, bool) {
	i := slices.IndexFunc(*failures, func(f Failure) bool { return f.Stage == stage })
	if i < 0 {
		return Failure{}, false
	}
	f := (*failures)[i]
	*failures = slices.Delete(*failures, i, i+1)
	return f, true
}

func (f Failure) answer(w http.ResponseWriter) {
	switch {
	case f.HangUp:
		panic(http.ErrAbortHandler)
	case f.Location != "":
		w.Header().Set("Location", f.Location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case f.Raw != "":
		if f.ContentType != "" {
			w.Header().Set("Content-Type", f.ContentType)
		}
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		w.WriteHeader(f.status())
		_, _ = w.Write([]byte(f.Raw))
	default:
		writeTokenError(w, f.status(), f.Error, f.AADSTS, f.Text, f.Suberror)
	}
}

func (f Failure) status() int {
	if f.Status == 0 {
		return http.StatusBadRequest
	}
	return f.Status
}

// description is an error_description as Entra writes it.
func description(aadsts int, text string) (s, trace, correlation, stamp string) {
	trace, correlation = newGUID(), newGUID()
	stamp = time.Now().UTC().Format("2006-01-02 15:04:05Z")
	return fmt.Sprintf("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s", aadsts, text, trace, correlation, stamp),
		trace, correlation, stamp
}

// failToken refuses at the token endpoint.
func (s *Sim) failToken(w http.ResponseWriter, status int, code string, aadsts int, text, suberror string) {
	s.violate("token: AADSTS%d %s", aadsts, text)
	writeTokenError(w, status, code, aadsts, text, suberror)
}

func writeTokenError(w http.ResponseWriter, status int, code string, aadsts int, text, suberror string) {
	desc, trace, correlation, stamp := description(aadsts, text)
	body := map[string]any{
		"error": code, "error_description": desc, "error_codes": []int{aadsts}, "timestamp": stamp,
		"trace_id": trace, "correlation_id": correlation,
		"error_uri": "https://login.microsoftonline.com/error?code=" + strconv.Itoa(aadsts),
	}
	if suberror != "" {
		body["suberror"] = suberror
	}
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// errorPage is what Entra shows when it does not know where to redirect to.
func (s *Sim) errorPage(w http.ResponseWriter, aadsts int, text string) {
	s.violate("authorize: AADSTS%d %s", aadsts, text)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.WriteHeader(http.StatusBadRequest)
	_ = errorTemplate.Execute(w, struct {
		AADSTS int
		Text   string
	}{aadsts, text})
}

var errorTemplate = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in: error</title></head>
<body><h1>Sorry, but we’re having trouble signing you in.</h1><p>AADSTS{{.AADSTS}}: {{.Text}}</p><p>Simulated Microsoft sign-in: development only.</p></body></html>
`))

// newGUID makes a random GUID (RFC 9562 §5.4).
func newGUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
