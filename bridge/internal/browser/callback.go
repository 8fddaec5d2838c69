package browser

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// path is where the answer arrives. Everything else is not there.
const path = "/callback"

// maxAnswer bounds an answer's query, in bytes: codes have a few kilobytes.
const maxAnswer = 32 << 10

// Callback receives the answer of one sign-in on 127.0.0.1, once.
type Callback struct {
	state    string
	listener net.Listener
	server   *http.Server
	answer   chan url.Values
	once     sync.Once
	served   chan struct{}
}

// NewCallback listens on a free port of 127.0.0.1 ("use the loopback IP
// literal", RFC 8252 §8.3) for the answer that carries state. Close ends it.
func NewCallback(ctx context.Context, state string) (*Callback, error) {
	if state == "" {
		return nil, errors.New("callback: the state is empty")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("callback: %w", err)
	}
	c := &Callback{state: state, listener: listener, answer: make(chan url.Values, 1), served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, c.receive)
	c.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, MaxHeaderBytes: 2 * maxAnswer,
	}
	go func() {
		defer close(c.served)
		_ = c.server.Serve(listener) // it ends by Close, which reports
	}()
	return c, nil
}

// RedirectURI is where the authorization server must send the browser.
func (c *Callback) RedirectURI() string { return "http://" + c.listener.Addr().String() + path }

// Wait returns the answer's parameters. They are as they came: the caller
// checks iss, error and code.
func (c *Callback) Wait(ctx context.Context) (url.Values, error) {
	select {
	case answer := <-c.answer:
		return answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close stops listening. A page that is being sent is sent to its end.
func (c *Callback) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := c.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, c.server.Close())
	}
	<-c.served
	return err
}

// receive takes the one answer with the right state. Another one, say of a
// page that guesses ports, gets nowhere and ends nothing.
func (c *Callback) receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // the pattern matches HEAD too
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > maxAnswer || !c.knows(query) {
		show(w, http.StatusBadRequest, "This is not the answer that mcp-bridge is waiting for.", "Start again from your program.")
		return
	}
	if !c.first() {
		show(w, http.StatusGone, "This sign-in was finished before.", "You can close this page.")
		return
	}
	// The page says what is known: that the answer has arrived. Nothing of
	// the answer is repeated on it.
	if query.Has("error") {
		show(w, http.StatusOK, "The sign-in did not succeed.", "Your program says why. You can close this page.")
	} else {
		show(w, http.StatusOK, "You are signed in.", "You can close this page and go back to your program.")
	}
	c.answer <- query
}

// first reports whether no answer has come before.
func (c *Callback) first() (first bool) {
	c.once.Do(func() { first = true })
	return first
}

// Paste takes the answer from a person who copied the address that their browser
// was sent to: one on another machine cannot reach this one. It is held to what
// receive holds an answer to. The error says what to do, and repeats nothing of what
// was pasted: it may hold a code.
func (c *Callback) Paste(text string) error {
	text = strings.Trim(text, " \t\r\n\"'<>")
	if len(text) > maxAnswer {
		return errors.New("that is too long for the address of an answer")
	}
	address, rawQuery, found := strings.Cut(text, "?")
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("that is not an address: copy all that stands in the browser's address bar; it begins with %s", c.RedirectURI())
	case address != c.RedirectURI() && u.Path == path && u.Scheme == "http" && u.Hostname() == "127.0.0.1":
		return errors.New("that is the answer of another sign-in: open the address above and copy where it leads")
	case address != c.RedirectURI():
		return fmt.Errorf("that is the address of another page: go on until the browser shows one that begins with %s", c.RedirectURI())
	case !found || rawQuery == "":
		return errors.New("that address has no answer in it: copy it whole, with all that stands behind the question mark")
	}
	rawQuery, _, _ = strings.Cut(rawQuery, "#")
	query, err := url.ParseQuery(rawQuery)
	switch {
	case err != nil || !query.Has("state") || !query.Has("code") && !query.Has("error"):
		return errors.New("a part of that address is missing or damaged: copy it whole")
	case !c.knows(query):
		return errors.New("that is the answer of another sign-in: open the address above and copy where it leads")
	case !c.first():
		return errors.New("this sign-in was finished before")
	}
	c.answer <- query
	return nil
}

// knows reports whether an answer carries the state, once, and nothing twice:
// two readers could differ on which of two values counts.
func (c *Callback) knows(query url.Values) bool {
	for _, values := range query {
		if len(values) != 1 {
			return false
		}
	}
	return subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(c.state)) == 1
}

// show sends a page of fixed text.
func show(w http.ResponseWriter, status int, title, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the address holds the code
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>mcp-bridge</title>`+
		`<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;display:grid;place-items:center;min-height:90vh;margin:1rem;text-align:center}</style></head>`+
		`<body><main><h1>`+title+`</h1><p>`+text+`</p></main></body></html>`)
}
