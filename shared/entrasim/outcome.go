package entrasim

import (
	"io"
	"net/http"
)

// Outcome is what an endpoint answers instead of the truth. The zero Outcome is
// a server_error.
type Outcome struct {
	// AADSTS is Microsoft's code. For the codes of its documentation that a
	// gateway meets, Error, Subcode and Description follow from it.
	AADSTS int
	// Error is the OAuth error code.
	Error string
	// Subcode is error_subcode on the callback, suberror at the token endpoint.
	Subcode     string
	Description string
	// Claims is a claims challenge.
	Claims string
	// NextLink is where a page of Graph, which is empty, says that the next one is.
	NextLink string
	// Status of the answer to a program; 0 follows from Error.
	Status int
	// Page shows a browser an error page that never returns to the client,
	// as Microsoft does when it does not trust the request.
	Page bool
	// Fault breaks the transport instead of answering with an error.
	Fault Fault
	// Standing stays until Recover; otherwise it happens once.
	Standing bool
}

// Fault is a way in which a server does not answer.
type Fault int

// The faults. Truncated, NoIDToken and NoRefreshToken happen to an answer of the
// token endpoint that would otherwise succeed; they use the code up.
const (
	_              Fault = iota
	Throttled            // 429 in plain text, with Retry-After
	Outage               // 503 with an HTML page
	Garbage              // 200 with text that is not JSON
	Truncated            // 200 with half of the JSON
	NoIDToken            // 200 without an id_token
	NoRefreshToken       // 200 without a refresh_token
	SilentHeaders        // accepts the request and says nothing
	SilentBody           // sends headers and the first bytes, then nothing
	HangUp               // closes the connection
	Redirected           // 307 to an address that records who follows it
)

type endpoint string

const (
	authorizeEndpoint endpoint = "authorize"
	tokenEndpoint     endpoint = "token"
	discoveryEndpoint endpoint = "discovery"
	keysEndpoint      endpoint = "keys"
	graphEndpoint     endpoint = "graph"
)

// FailAuthorize plans the outcome of the next choice on the sign-in page.
// Outcomes of one endpoint happen in the order in which they were planned.
func (s *Sim) FailAuthorize(o Outcome) { s.plan(authorizeEndpoint, o) }

// FailToken plans the outcome of the next token request.
func (s *Sim) FailToken(o Outcome) { s.plan(tokenEndpoint, o) }

// FailDiscovery plans the outcome of the next discovery request.
func (s *Sim) FailDiscovery(o Outcome) { s.plan(discoveryEndpoint, o) }

// FailKeys plans the outcome of the next request for keys.
func (s *Sim) FailKeys(o Outcome) { s.plan(keysEndpoint, o) }

// FailGraph plans the outcome of the next request to Microsoft Graph: Status,
// Error as its code, Description and Claims, or a fault, or NextLink.
func (s *Sim) FailGraph(o Outcome) { s.plan(graphEndpoint, o) }

func (s *Sim) plan(e endpoint, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planned[e] = append(s.planned[e], o)
}

// Recover drops every outcome and mutation that is still planned.
func (s *Sim) Recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.planned)
	s.claims, s.headers = nil, nil
}

func (s *Sim) take(e endpoint) (Outcome, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.planned[e]
	if len(queue) == 0 {
		return Outcome{}, false
	}
	if !queue[0].Standing {
		s.planned[e] = queue[1:]
	}
	return queue[0], true
}

// failure is the error that the outcome describes.
func (o Outcome) failure() *failure {
	f := refusal(o.AADSTS)
	f.claims, f.status = o.Claims, o.Status
	if o.Error != "" {
		f.oauth = o.Error
	}
	if o.Subcode != "" {
		f.suberror = o.Subcode
	}
	if o.Description != "" {
		f.text = o.Description
	}
	if f.oauth == "" {
		f.oauth = "server_error"
	}
	return f
}

// divert answers a program with a planned outcome.
func (s *Sim) divert(w http.ResponseWriter, r *http.Request, o Outcome) {
	if o.Fault != 0 {
		o.Fault.happen(w, r, []byte(`{"`))
		return
	}
	s.writeFailure(w, r, o.failure())
}

// happen breaks the answer; body is what a successful one would have been.
func (f Fault) happen(w http.ResponseWriter, r *http.Request, body []byte) {
	// The connection notices a caller that gives up only once the request
	// has been read.
	_, _ = io.Copy(io.Discard, r.Body)
	h := w.Header()
	half := body[:(len(body)+1)/2]
	write := func(status int, contentType string, body []byte) {
		h.Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
	switch f {
	case Throttled:
		h.Set("Retry-After", "60")
		write(http.StatusTooManyRequests, "text/plain", []byte("Too Many Requests"))
	case Outage:
		write(http.StatusServiceUnavailable, "text/html", []byte("<html><body><h1>Service Unavailable</h1></body></html>"))
	case Garbage:
		write(http.StatusOK, "application/json; charset=utf-8", []byte("\x00 not JSON"))
	case Truncated, NoIDToken, NoRefreshToken:
		write(http.StatusOK, "application/json; charset=utf-8", half)
	case SilentBody:
		write(http.StatusOK, "application/json; charset=utf-8", half)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case SilentHeaders:
		<-r.Context().Done()
	case Redirected:
		http.Redirect(w, r, "/redirected", http.StatusTemporaryRedirect)
	case HangUp:
		panic(http.ErrAbortHandler) // net/http's way to close the connection
	}
}
