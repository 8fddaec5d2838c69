// Package lab holds the other side of the bridge for tests: an authorization
// server with a protected resource, and a browser. It refuses to be part of the
// product: only tests import it.
package lab

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/shared/oauth"
)

// Knobs script an AuthServer. The zero value behaves.
type Knobs struct {
	// TokenLifetime is an hour if zero; expires_in is left out if negative.
	TokenLifetime time.Duration
	// Path is the path of the issuer, and MetadataAt alone has its metadata:
	// oauth.PathServerMetadata if empty.
	Path, MetadataAt string
	// IssParameter sends and advertises iss (RFC 9207).
	IssParameter bool
	// NoRefresh issues no refresh tokens, KeepRefresh does not rotate them.
	NoRefresh, KeepRefresh bool
	// NoResource answers a resource parameter with invalid_target at "authorize"
	// or "token".
	NoResource string
	// StrictRedirect refuses to register a URI without a port.
	StrictRedirect bool
	// Open serves the resource without a token.
	Open bool
	// Serve is the resource, for requests with a good token.
	Serve http.HandlerFunc
	// Scope is what the challenge of the resource names.
	Scope string
	// FailToken and FailRegister answer with a status and an OAuth error, or
	// without one.
	FailToken, FailRegister             int
	FailTokenCode, FailTokenDescription string
	// Clients are registered beforehand: ids with their secrets.
	Clients map[string]string
	// Device serves device authorization to clients that register it (RFC 8628).
	Device *Device
	// Approve decides on an authorization request; "" approves, else an error code.
	Approve func(request url.Values) string
	// Metadata, Resource, Answer, Token and Registered change what is sent: a
	// document, the parameters of a redirect, a token, a registration.
	Metadata, Resource, Token, Registered func(map[string]any)
	Answer                                func(url.Values)
}

// Counts is how often something has happened.
type Counts struct {
	Registrations, Authorizations, Devices, Exchanges, Refreshes, Revocations, Requests int
}

// family is one sign-in: every token that came of it.
type family struct {
	client, scope string
	revoked       bool
}

type grant struct {
	*family
	expires time.Time // of an access token
	used    bool      // a refresh token that has been rotated, or a code
	query   url.Values
}

// AuthServer is an authorization server, with the resource it guards at /mcp.
type AuthServer struct {
	// URL is where it listens; the issuer is URL plus Knobs.Path.
	URL string
	// Close ends it before the test does.
	Close func()

	mu      sync.Mutex
	knobs   Knobs
	counts  Counts
	clients map[string][]string // redirect URIs by id
	codes   map[string]*grant
	access  map[string]*grant
	refresh map[string]*grant
	// deviceClients are those that registered the grant, devices those that asked.
	deviceClients map[string]bool
	devices       map[string]*waiting
	polls         []time.Time
	last          url.Values // the last authorization request
	lastForm      url.Values // the last token request
}

// NewAuthServer starts one that ends with the test.
func NewAuthServer(t *testing.T) *AuthServer {
	t.Helper()
	s := &AuthServer{
		clients: map[string][]string{}, codes: map[string]*grant{}, access: map[string]*grant{}, refresh: map[string]*grant{},
		deviceClients: map[string]bool{}, devices: map[string]*waiting{},
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	s.URL, s.Close = server.URL, server.Close
	return s
}

// Server is the URL of the protected resource.
func (s *AuthServer) Server() string { return s.URL + "/mcp" }

// Set changes the knobs.
func (s *AuthServer) Set(change func(*Knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.knobs)
}

// Counts returns what has happened so far.
func (s *AuthServer) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// LastAuthorize is the last authorization request.
func (s *AuthServer) LastAuthorize() url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.last)
}

// LastToken is the last form that came to the token endpoint.
func (s *AuthServer) LastToken() url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.lastForm)
}

// ExpireAccess ends all access tokens, and no sign-in.
func (s *AuthServer) ExpireAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
}

// Revoke ends all sign-ins.
func (s *AuthServer) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range []map[string]*grant{s.access, s.refresh} {
		for _, g := range all {
			g.revoked = true
		}
	}
}

// Forget removes all registered clients.
func (s *AuthServer) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.clients)
}

// Check reports whether a request may reach the resource.
func (s *AuthServer) Check(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := s.access[token]
	return s.knobs.Open || ok && g != nil && !g.revoked && time.Now().Before(g.expires)
}

// Challenge is the WWW-Authenticate value for a request that may not.
func (s *AuthServer) Challenge() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	params := [][2]string{{"resource_metadata", s.URL + oauth.PathResourceMetadata + "/mcp"}}
	if s.knobs.Scope != "" {
		params = append(params, [2]string{"scope", s.knobs.Scope})
	}
	return oauth.FormatBearer(params...)
}

// Handler serves the authorization server and the resource.
func (s *AuthServer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.wellKnown)
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		s.count(func(c *Counts) { c.Requests++ })
		if !s.Check(r) {
			w.Header().Set("WWW-Authenticate", s.Challenge())
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.mu.Lock()
		serve := s.knobs.Serve
		s.mu.Unlock()
		if serve == nil {
			send(w, http.StatusOK, map[string]any{"ok": true})
			return
		}
		serve(w, r)
	})
	mux.HandleFunc("POST /register", s.register)
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("POST /device_authorization", s.authorizeDevice)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /revoke", s.revoke)
	return mux
}

func (s *AuthServer) count(add func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.counts)
}

// wellKnown serves the two documents where they belong, and 404 elsewhere.
func (s *AuthServer) wellKnown(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.knobs.MetadataAt
	if at == "" {
		at = oauth.PathServerMetadata + s.knobs.Path
	}
	var doc map[string]any
	change := func(map[string]any) {}
	switch r.URL.Path {
	case at:
		doc = map[string]any{
			"issuer": s.URL + s.knobs.Path, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token",
			"registration_endpoint": s.URL + "/register", "revocation_endpoint": s.URL + "/revoke",
			"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
			"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic", "client_secret_post"},
		}
		if s.knobs.Device != nil {
			doc["device_authorization_endpoint"] = s.URL + "/device_authorization"
		}
		if s.knobs.IssParameter {
			doc["authorization_response_iss_parameter_supported"] = true
		}
		if s.knobs.Metadata != nil {
			change = s.knobs.Metadata
		}
	case oauth.PathResourceMetadata + "/mcp":
		doc = map[string]any{"resource": s.URL + "/mcp", "authorization_servers": []string{s.URL + s.knobs.Path}}
		if s.knobs.Resource != nil {
			change = s.knobs.Resource
		}
	}
	if doc != nil {
		change(doc)
	}
	if len(doc) == 0 { // a change that empties a document takes it away
		http.NotFound(w, r)
		return
	}
	send(w, http.StatusOK, doc)
}

func (s *AuthServer) register(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var request oauth.ClientMetadata
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		fail(w, http.StatusBadRequest, oauth.CodeInvalidClientMetadata, "")
		return
	}
	portless := func(raw string) bool { u, err := url.Parse(raw); return err != nil || u.Port() == "" }
	switch {
	case s.knobs.FailRegister != 0:
		w.WriteHeader(s.knobs.FailRegister)
		return
	case s.knobs.StrictRedirect && slices.ContainsFunc(request.RedirectURIs, portless):
		fail(w, http.StatusBadRequest, oauth.CodeInvalidRedirectURI, "")
		return
	}
	s.counts.Registrations++
	id := "client-" + rand.Text()
	s.clients[id] = request.RedirectURIs
	s.deviceClients[id] = slices.Contains(request.GrantTypes, oauth.GrantTypeDeviceCode)
	doc := map[string]any{"client_id": id, "redirect_uris": request.RedirectURIs, "token_endpoint_auth_method": "none"}
	if s.knobs.Registered != nil {
		s.knobs.Registered(doc)
	}
	send(w, http.StatusCreated, doc)
}

// authorize approves or denies at once, as for a person who is signed in.
func (s *AuthServer) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	s.last = q
	s.counts.Authorizations++
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("response_type") != "code" || !oauth.ValidChallenge(q.Get("code_challenge")) {
		http.Error(w, "not a request", http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}}
	if s.knobs.IssParameter {
		answer.Set("iss", s.URL+s.knobs.Path)
	}
	if code := s.verdict(q); code != "" {
		answer.Set("error", code)
		answer.Set("error_description", "denied\x1b[31m by the lab")
	} else {
		code := "code-" + rand.Text()
		s.codes[code] = &grant{family: &family{client: q.Get("client_id"), scope: q.Get("scope")}, query: q}
		answer.Set("code", code)
	}
	if s.knobs.Answer != nil {
		s.knobs.Answer(answer)
	}
	redirect.RawQuery = answer.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

func (s *AuthServer) verdict(q url.Values) string {
	switch {
	case s.knobs.NoResource == "authorize" && q.Has("resource"):
		return oauth.CodeInvalidTarget
	case s.knobs.Approve != nil:
		return s.knobs.Approve(q)
	}
	return ""
}

func (s *AuthServer) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = r.ParseForm() // a form that cannot be read lacks what is looked for
	s.lastForm = r.PostForm
	client, known := s.client(r)
	switch {
	case s.knobs.FailToken != 0 && s.knobs.FailTokenCode == "":
		w.WriteHeader(s.knobs.FailToken)
	case s.knobs.FailToken != 0:
		fail(w, s.knobs.FailToken, s.knobs.FailTokenCode, s.knobs.FailTokenDescription+" "+r.PostForm.Get("refresh_token")+r.PostForm.Get("code"))
	case !known:
		fail(w, http.StatusUnauthorized, oauth.CodeInvalidClient, "")
	case s.knobs.NoResource == "token" && r.PostForm.Has("resource"):
		fail(w, http.StatusBadRequest, "invalid_request", "AADSTS9010010: the resource does not match")
	case r.PostForm.Get("grant_type") == "refresh_token":
		s.counts.Refreshes++
		s.redeem(w, s.refresh[r.PostForm.Get("refresh_token")], client, r.PostForm.Get("refresh_token"))
	case r.PostForm.Get("grant_type") == oauth.GrantTypeDeviceCode:
		s.poll(w, client, r.PostForm.Get("device_code"))
	default:
		s.counts.Exchanges++
		g := s.codes[r.PostForm.Get("code")]
		if g == nil || g.used || g.client != client || g.query.Get("redirect_uri") != r.PostForm.Get("redirect_uri") ||
			!oauth.VerifyS256(g.query.Get("code_challenge"), r.PostForm.Get("code_verifier")) {
			fail(w, http.StatusBadRequest, oauth.CodeInvalidGrant, "")
			return
		}
		g.used = true
		s.issue(w, g.family, "")
	}
}

// client is who sends a form, and whether they are who they say.
func (s *AuthServer) client(r *http.Request) (string, bool) {
	id, password, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		password, _ = url.QueryUnescape(password)
	} else {
		id, password = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if want, ok := s.knobs.Clients[id]; ok {
		return id, want == password
	}
	_, ok := s.clients[id]
	return id, ok || strings.HasPrefix(id, "https://")
}

// redeem rotates a refresh token. One that comes twice ends its family.
func (s *AuthServer) redeem(w http.ResponseWriter, g *grant, client, token string) {
	if g != nil && g.used {
		g.revoked = true
	}
	if g == nil || g.revoked || g.client != client {
		fail(w, http.StatusBadRequest, oauth.CodeInvalidGrant, "the refresh token is no good")
		return
	}
	if !s.knobs.KeepRefresh {
		g.used, token = true, ""
	}
	s.issue(w, g.family, token)
}

// issue sends an access token, and a new refresh token unless one is kept.
func (s *AuthServer) issue(w http.ResponseWriter, f *family, kept string) {
	life := s.knobs.TokenLifetime
	if life == 0 {
		life = time.Hour
	}
	access, refresh := "access-"+rand.Text(), "refresh-"+rand.Text()
	doc := map[string]any{"access_token": access, "token_type": "bearer", "scope": f.scope}
	if life > 0 {
		doc["expires_in"] = int(life.Seconds())
	} else {
		life = time.Hour
	}
	if !s.knobs.NoRefresh && kept == "" {
		doc["refresh_token"] = refresh
		s.refresh[refresh] = &grant{family: f}
	}
	s.access[access] = &grant{family: f, expires: time.Now().Add(life)}
	if s.knobs.Token != nil {
		s.knobs.Token(doc)
	}
	send(w, http.StatusOK, doc)
}

func (s *AuthServer) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = r.ParseForm()
	if s.knobs.FailToken != 0 {
		w.WriteHeader(s.knobs.FailToken)
		return
	}
	s.counts.Revocations++
	for _, all := range []map[string]*grant{s.access, s.refresh} {
		if g := all[r.PostForm.Get("token")]; g != nil {
			g.revoked = true
		}
	}
	w.WriteHeader(http.StatusOK) // also for an unknown token (RFC 7009 §2.2)
}

func send(w http.ResponseWriter, status int, doc map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc) // the client notices
}

func fail(w http.ResponseWriter, status int, code, description string) {
	send(w, status, map[string]any{"error": code, "error_description": description})
}
