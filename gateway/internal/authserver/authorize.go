package authserver

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/page"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// maxState bounds the client's state: it travels in our URLs and pages.
const maxState = 2048

// authorize is the authorization endpoint (RFC 6749 §3.1): it checks the
// request and shows the consent page. It changes nothing, except that a request
// which the person has allowed before goes on to Microsoft.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.refuse(w, r, "The address of this page is damaged", "The program that opened it made a malformed request.", err)
		return
	}
	c, target, ok := s.whoAsks(w, r, query)
	if !ok {
		return
	}
	req, refusal := s.parseAuthorize(query, c, target)
	if refusal != nil {
		s.cfg.Logger.InfoContext(r.Context(), "authorization refused", slog.String("client", c.Fingerprint()),
			slog.String("code", refusal.Code), slog.String("reason", refusal.Description))
		http.Redirect(w, r, target.withError(refusal.Code, refusal.Description), http.StatusFound)
		return
	}
	now := time.Now()
	who, allowed := s.consented(r, req, now)
	if len(allowed) == len(req.Scopes) && !slices.Contains(strings.Fields(query.Get("prompt")), "consent") {
		browser, _ := browserOf(r) // it is known, or else the person would not be
		location, err := s.startLogin(r, loginSecrets{Request: req, Consented: &who}, browser, now)
		if err != nil {
			s.failed(w, r, req, err, now)
			return
		}
		http.Redirect(w, r, location, http.StatusFound)
		return
	}
	s.ask(w, r, req, allowed, now)
}

// ask shows the consent page. allowed are those of the request's scopes that
// the person has consented to before.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, req authorizationRequest, allowed []string, now time.Time) {
	target := req.target(s.cfg.PublicURL)
	c, err := s.consentPage(w, r, req, now)
	if err != nil {
		s.unavailable(w, r, req, err)
		return
	}
	c.RedirectURI, c.RedirectHost, c.Local = req.RedirectURI, target.host(), target.local()
	c.FormAction = slices.Concat(s.cfg.LoginOrigins, []string{target.origin()})
	for _, scope := range req.Scopes {
		if words := s.scopeWords(scope); slices.Contains(allowed, scope) {
			c.Granted = append(c.Granted, words)
		} else {
			c.Scopes = append(c.Scopes, words)
		}
	}
	page.WriteConsent(w, c)
}

// consentPage is what every consent page has: who asks, and the request, sealed to
// this browser.
func (s *Server) consentPage(w http.ResponseWriter, r *http.Request, req authorizationRequest, now time.Time) (page.Consent, error) {
	form, err := json.Marshal(consentForm{Request: req, Expires: now.Add(s.cfg.Lifetimes.Consent)})
	if err != nil {
		return page.Consent{}, err
	}
	browser := markBrowser(w, r)
	return page.Consent{
		Gateway: s.host, Client: req.ClientName, ClientHost: client.Client{ID: req.ClientID}.Host(), Known: req.Known,
		Action: "/consent", Form: s.cfg.Ring.SealText(keyring.ConsentForm, form, browser[:]),
	}, nil
}

// whoAsks identifies the client and where it may be answered. Until both are
// known nothing is redirected: "the authorization server MUST NOT
// automatically redirect the user agent to the invalid redirection URI"
// (RFC 6749 §4.1.2.1).
func (s *Server) whoAsks(w http.ResponseWriter, r *http.Request, query url.Values) (client.Client, redirectTarget, bool) {
	for _, name := range []string{"client_id", "redirect_uri", "state"} {
		if len(query[name]) > 1 {
			s.refuse(w, r, "The address of this page is damaged", "The program that opened it sent "+name+" more than once.", nil)
			return client.Client{}, redirectTarget{}, false
		}
	}
	c, err := s.cfg.Clients.Resolve(r.Context(), query.Get("client_id"))
	if err != nil {
		s.refuseClient(w, r, query.Get("client_id"), err)
		return client.Client{}, redirectTarget{}, false
	}
	if len(query.Get("state")) > maxState {
		s.refuse(w, r, "The address of this page is damaged", "The program that opened it sent a state of more than 2048 bytes.", nil)
		return client.Client{}, redirectTarget{}, false
	}
	target, ok := newRedirectTarget(c, query.Get("redirect_uri"), query.Get("state"), s.cfg.PublicURL)
	if !ok {
		s.refuseRedirect(w, r)
		return client.Client{}, redirectTarget{}, false
	}
	return c, target, true
}

func (s *Server) refuseRedirect(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, r, "This program asked to be answered at an address it did not register",
		"Somebody may be trying to get your access. If you trust the program, remove the gateway from its list of servers and add it again.", nil)
}

// refuseClient says why a client is not served. What went wrong between the
// gateway and the client's host is for the log alone: it would tell strangers
// about the network here.
func (s *Server) refuseClient(w http.ResponseWriter, r *http.Request, id string, err error) {
	// Also if it is no URL that a document can have: that is what to say.
	described := strings.HasPrefix(id, "https://")
	switch {
	case errors.Is(err, client.ErrForbidden):
		s.refuse(w, r, "This program may not use this gateway",
			"Ask the administrator of the gateway, if you need it: they decide which programs come in. The gateway's log has the reason.", err)
	case errors.Is(err, client.ErrUnknown) && described:
		s.refuse(w, r, "The description that this program publishes cannot be used",
			"Whoever makes the program has to correct it. The reason is: "+err.Error()+".", err)
	case errors.Is(err, client.ErrUnknown):
		s.refuse(w, r, "This program is not registered here",
			"It asked with a client_id that this gateway did not issue, or that was issued under keys the gateway no longer has. "+
				"Remove the gateway from your program's list of servers and add it again: it will register by itself.", err)
	case described:
		s.refuse(w, r, "The description that this program publishes cannot be read at the moment", "Try again in a minute.", err)
	default:
		s.refuse(w, r, "The gateway cannot answer at the moment", "Try again in a minute.", err)
	}
}

// parseAuthorize checks the rest of the request; its refusals are for the
// client (RFC 6749 §4.1.2.1).
func (s *Server) parseAuthorize(query url.Values, c client.Client, target redirectTarget) (authorizationRequest, *oauth.Error) {
	params, err := single(query, "resource")
	if err != nil {
		return authorizationRequest{}, oauth.NewError(oauth.CodeInvalidRequest, "a parameter stands more than once")
	}
	if params["response_type"] == "" {
		return authorizationRequest{}, oauth.NewError(oauth.CodeInvalidRequest, "response_type is missing")
	}
	if params["response_type"] != "code" {
		return authorizationRequest{}, oauth.NewError(oauth.CodeUnsupportedResponseType, "response_type must be code")
	}
	if mode := params["response_mode"]; mode != "" && mode != "query" {
		return authorizationRequest{}, oauth.NewError(oauth.CodeInvalidRequest, "response_mode must be query")
	}
	if params["request"] != "" || params["request_uri"] != "" {
		return authorizationRequest{}, oauth.NewError(oauth.CodeInvalidRequest, "request objects are not supported")
	}
	// RFC 7636 §4.3 makes a missing method mean plain, which is refused too.
	if params["code_challenge_method"] != "S256" || !oauth.ValidChallenge(params["code_challenge"]) {
		return authorizationRequest{}, oauth.NewError(oauth.CodeInvalidRequest, "PKCE is required: code_challenge with code_challenge_method=S256")
	}
	for _, resource := range query["resource"] {
		if !s.IsResource(resource) {
			return authorizationRequest{}, oauth.NewError(oauth.CodeInvalidTarget, "resource is not this gateway")
		}
	}
	return authorizationRequest{
		ClientID: c.ID, ClientName: c.Name, RedirectURI: target.uri, State: target.state,
		Challenge: params["code_challenge"], Scopes: s.grantedScopes(params["scope"]), Remember: mayRemember(c, target), Known: c.Known,
	}, nil
}

// consent takes the person's decision. Only here, after it, does a sign-in at
// Microsoft come into being (DESIGN D3).
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	browser, known := browserOf(r)
	var form consentForm
	err := r.ParseForm()
	fields, repeated := single(r.PostForm)
	if err != nil || repeated != nil || !known || !s.openConsent(fields["form"], browser, now, &form) {
		s.refuse(w, r, "This page is no longer valid",
			"It was open for too long, or was opened in another browser, or your browser refuses cookies. Start again from your program.", errors.Join(err, repeated))
		return
	}
	if form.Request.Device != nil {
		s.consentDevice(w, r, form.Request, browser, fields["decision"] == "allow", now)
		return
	}
	target, ok := s.stillWelcome(w, r, form.Request)
	if !ok {
		return
	}
	if fields["decision"] != "allow" {
		if err := s.record(r, audit.KindConsent, audit.OutcomeDenied, "denied by the person", form.Request, store.Identity{}, now); err != nil {
			s.unavailable(w, r, form.Request, err)
			return
		}
		http.Redirect(w, r, target.withError(oauth.CodeAccessDenied, "the person denied access"), http.StatusSeeOther)
		return
	}
	location, err := s.startLogin(r, loginSecrets{Request: form.Request}, browser, now)
	if err != nil {
		s.failed(w, r, form.Request, err, now)
		return
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
}

// stillWelcome looks the client up once more: it may have been shut out while the
// page was open, or may not be answered there any longer.
func (s *Server) stillWelcome(w http.ResponseWriter, r *http.Request, req authorizationRequest) (redirectTarget, bool) {
	c, err := s.cfg.Clients.Resolve(r.Context(), req.ClientID)
	if err != nil {
		s.refuseClient(w, r, req.ClientID, err)
		return redirectTarget{}, false
	}
	target, ok := newRedirectTarget(c, req.RedirectURI, req.State, s.cfg.PublicURL)
	if !ok {
		s.refuseRedirect(w, r)
	}
	return target, ok
}

func (s *Server) openConsent(sealed string, browser store.Hash, now time.Time, form *consentForm) bool {
	plain, err := s.cfg.Ring.OpenText(keyring.ConsentForm, sealed, browser[:])
	if err != nil || json.Unmarshal(plain, form) != nil {
		return false
	}
	return now.Before(form.Expires)
}

// startLogin stores the login and returns where to send the browser. The
// upstream state is random and stored as its hash; nonce and verifier are
// sealed, bound to it.
func (s *Server) startLogin(r *http.Request, login loginSecrets, browser store.Hash, now time.Time) (string, error) {
	upstream := entra.AuthRequest{State: randomText(), Nonce: randomText(), Verifier: oauth.NewVerifier()}
	location, err := s.cfg.Login.AuthURL(r.Context(), upstream)
	if err != nil {
		return "", err
	}
	login.Nonce, login.Verifier, login.Began = upstream.Nonce, upstream.Verifier, now
	plain, err := json.Marshal(login)
	if err != nil {
		return "", err
	}
	state := store.HashOf(upstream.State)
	if err := s.cfg.Store.CreateLogin(r.Context(), store.Login{
		State: state, Browser: browser, Sealed: s.cfg.Ring.Seal(keyring.LoginState, plain, state[:]),
		ExpiresAt: now.Add(s.cfg.Lifetimes.Login),
	}); err != nil {
		return "", err
	}
	return location, nil
}
