package authserver

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/page"
	"mcp-gateway/gateway/internal/session"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// callback is where Microsoft sends the browser back. Only a missing or
// foreign state ends here; every other failure is told to the person and
// handed on to the client that waits.
func (s *Server) callback(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	if r.Method != http.MethodGet {
		// "GET /callback" matches HEAD as well, which must not consume.
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	login, err := s.resume(r, query, err, now)
	if errors.Is(err, store.ErrNotFound) {
		s.refuse(w, r, "This sign-in cannot be finished",
			"It took too long, was finished before, or was started in another browser. Start again from your program.", err)
		return
	}
	if err != nil {
		s.refuse(w, r, "The gateway cannot answer at the moment", "Start again from your program in a minute.", err)
		return
	}
	var upstream error
	if query.Get("error") != "" {
		upstream = entra.CallbackError(query)
	}
	if login.Request.Device != nil {
		s.finishDevice(w, r, query.Get("code"), upstream, login, now)
		return
	}
	if upstream != nil {
		s.failed(w, r, login.Request, upstream, now)
		return
	}
	location, err := s.finish(w, r, query.Get("code"), login, now)
	if errors.Is(err, errNotConsented) {
		s.ask(w, r, login.Request, nil, now)
		return
	}
	if err != nil {
		s.failed(w, r, login.Request, err, now)
		return
	}
	http.Redirect(w, r, location, http.StatusFound)
}

// resume consumes the login that the state names, if this browser started it
// and no parameter is repeated: Microsoft repeats none, and neither of two is it.
func (s *Server) resume(r *http.Request, query url.Values, parseErr error, now time.Time) (loginSecrets, error) {
	browser, known := browserOf(r)
	params, repeated := single(query)
	if parseErr != nil || !known || repeated != nil {
		return loginSecrets{}, store.ErrNotFound
	}
	state := store.HashOf(params["state"])
	login, err := s.cfg.Store.ConsumeLogin(r.Context(), state, browser, now)
	if err != nil {
		return loginSecrets{}, err
	}
	plain, err := s.cfg.Ring.Open(keyring.LoginState, login.Sealed, state[:])
	if err != nil {
		return loginSecrets{}, err
	}
	var secrets loginSecrets
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return loginSecrets{}, err
	}
	return secrets, nil
}

var (
	// errNotConsented: nobody was asked, and the person who signed in has not
	// consented, or not any longer.
	errNotConsented = errors.New("the person who signed in has not consented")
	// errSignedOut: the session of the sign-in is over before the sign-in is.
	errSignedOut = errors.New("the person has signed out at Microsoft meanwhile")
)

// exchange redeems Microsoft's code. Nobody is signed in who has signed out there
// since they were sent there, as far as the gateway was told.
func (s *Server) exchange(r *http.Request, upstreamCode string, login loginSecrets, now time.Time) (entra.SignIn, error) {
	in, err := s.cfg.Login.Exchange(r.Context(), upstreamCode, entra.AuthRequest{Nonce: login.Nonce, Verifier: login.Verifier}, now)
	if err != nil {
		return entra.SignIn{}, err
	}
	now = time.Now()
	ended, err := s.cfg.Sessions.EndedSince(r.Context(), session.ID{Tenant: in.Tenant, Name: in.Session}, login.Began, now)
	if err != nil || !ended {
		return in, err
	}
	if err := s.record(r, audit.KindLogin, audit.OutcomeDenied, "signed_out", login.Request, in.Identity, now); err != nil {
		return entra.SignIn{}, err
	}
	return entra.SignIn{}, errSignedOut
}

// finish completes the login at Microsoft and returns the client's answer: a
// code (RFC 6749 §4.1.2). The login is in the audit trail before it.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, upstreamCode string, login loginSecrets, now time.Time) (string, error) {
	in, err := s.exchange(r, upstreamCode, login, now)
	if err != nil {
		return "", err
	}
	// Microsoft took its time: the code's lifetime starts now.
	identity, now := in.Identity, time.Now()
	who := s.personIn(in, now)
	if err := s.checkConsent(r, login, who, now); err != nil {
		return "", err
	}
	code := token.NewCode()
	req := login.Request
	err = s.cfg.Store.CreateCode(r.Context(), s.newCode(req, store.HashOf(code), in, now))
	if errors.Is(err, store.ErrDisabled) {
		if auditErr := s.record(r, audit.KindLogin, audit.OutcomeDenied, "disabled", req, identity, now); auditErr != nil {
			return "", auditErr
		}
	}
	if err != nil {
		return "", err
	}
	if err := s.record(r, audit.KindLogin, audit.OutcomeOK, "", req, identity, now); err != nil {
		return "", err
	}
	if err := s.rememberConsent(w, r, login, who, now); err != nil {
		return "", err
	}
	return req.target(s.cfg.PublicURL).with([2]string{"code", code}), nil
}

// newCode is what a person who signed in gives the client that asked. How long that
// holds depends on whether Microsoft can be asked about them again.
func (s *Server) newCode(req authorizationRequest, hash store.Hash, in entra.SignIn, now time.Time) store.Code {
	account, lifetime := s.cfg.Accounts.Of(in, now), s.cfg.Lifetimes.Grant
	if account == nil {
		lifetime = s.cfg.Lifetimes.Unchecked
	}
	return store.Code{
		Hash: hash,
		Grant: store.Grant{
			ID: rand.Text(), ClientID: req.ClientID, ClientName: req.ClientName, Identity: in.Identity,
			Scopes: req.Scopes, Resource: s.cfg.PublicURL, CreatedAt: now, ExpiresAt: now.Add(lifetime),
		},
		RedirectURI: req.RedirectURI, Challenge: req.Challenge,
		CreatedAt: now, ExpiresAt: now.Add(s.cfg.Lifetimes.Code), Account: account,
	}
}

// checkConsent makes sure that it was this person who consented, if nobody was
// asked, and that it still holds: an administrator may have ended it meanwhile.
func (s *Server) checkConsent(r *http.Request, login loginSecrets, who person, now time.Time) error {
	before := login.Consented
	if before == nil {
		return nil
	}
	if before.Tenant != who.Tenant || before.Object != who.Object {
		return errNotConsented
	}
	allowed, err := s.allowed(r.Context(), login.Request, *before, now)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(login.Request.Scopes, func(scope string) bool { return !slices.Contains(allowed, scope) }) {
		return errNotConsented
	}
	return nil
}

// rememberConsent spares the person the question the next time. It comes after the
// code, which is refused to who is disabled: what they allow is not remembered.
func (s *Server) rememberConsent(w http.ResponseWriter, r *http.Request, login loginSecrets, who person, now time.Time) error {
	if !login.Request.Remember {
		return nil
	}
	if login.Consented == nil {
		if err := s.cfg.Store.RememberConsent(r.Context(), login.Request.consentOf(who), now); err != nil {
			return err
		}
	}
	err := s.cfg.Sessions.Remember(r.Context(), who.session(), login.Began, who.Expires)
	if errors.Is(err, store.ErrRevoked) {
		return nil // they signed out in this moment
	}
	if err != nil {
		return err
	}
	return s.setPerson(w, r, who)
}

// failed tells the person why the sign-in did not succeed and offers the
// client's error answer, by a button and by itself after a while.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, req authorizationRequest, err error, now time.Time) {
	if errors.Is(err, store.ErrDisabled) {
		s.disabled(w, r, req)
		return
	}
	if errors.Is(err, errSignedOut) {
		s.signedOut(w, r, req)
		return
	}
	upstream, ok := errors.AsType[*entra.Error](err)
	if !ok {
		s.unavailable(w, r, req, err)
		return
	}
	s.cfg.Logger.WarnContext(r.Context(), "sign-in failed", slog.Any("error", err),
		slog.String("client", client.Fingerprint(req.ClientID)), slog.Int("aadsts", upstream.AADSTS),
		slog.String("trace_id", upstream.TraceID), slog.String("correlation_id", upstream.CorrelationID))
	status, code, title := http.StatusBadGateway, oauth.CodeServerError, "The sign-in with Microsoft is not set up correctly"
	outcome := audit.OutcomeError
	switch upstream.Kind {
	case entra.KindDenied:
		status, code, title = http.StatusForbidden, oauth.CodeAccessDenied, "You are not signed in"
		outcome = audit.OutcomeDenied
	case entra.KindUnavailable:
		status, code, title = http.StatusServiceUnavailable, oauth.CodeTemporarilyUnavailable, "Microsoft cannot be reached at the moment"
	case entra.KindMisconfigured:
	}
	if auditErr := s.record(r, audit.KindLogin, outcome, upstream.Reason(), req, store.Identity{Tenant: upstream.Tenant, Object: upstream.Object}, now); auditErr != nil {
		s.unavailable(w, r, req, auditErr)
		return
	}
	page.WriteFailure(w, page.Failure{
		Status: status, Title: title, Summary: upstream.Summary, Help: upstream.Help, Details: details(upstream),
		Return: s.back(req, code, upstream.Summary), Client: req.ClientName,
	})
}

// disabled tells a person that an administrator keeps them, or the program that
// they came from, out. Which of the two is for the administrator to say.
func (s *Server) disabled(w http.ResponseWriter, r *http.Request, req authorizationRequest) {
	s.cfg.Logger.InfoContext(r.Context(), "sign-in refused: disabled", slog.String("client", client.Fingerprint(req.ClientID)))
	const summary = "An administrator has disabled your access here, or that of the program that you came from."
	page.WriteFailure(w, page.Failure{
		Status: http.StatusForbidden, Title: "You cannot sign in here at the moment", Summary: summary,
		Help:   "Signing in again does not change that. Ask your administrator to enable it.",
		Return: s.back(req, oauth.CodeAccessDenied, summary), Client: req.ClientName,
	})
}

// signedOut tells a person who signed out while a sign-in was under way that both
// cannot be.
func (s *Server) signedOut(w http.ResponseWriter, r *http.Request, req authorizationRequest) {
	s.cfg.Logger.InfoContext(r.Context(), "sign-in refused: signed out meanwhile", slog.String("client", client.Fingerprint(req.ClientID)))
	const summary = "You signed out at Microsoft before this sign-in was finished."
	page.WriteFailure(w, page.Failure{
		Status: http.StatusForbidden, Title: "You have signed out", Summary: summary,
		Help:   "Start again from your program if you want to sign in.",
		Return: s.back(req, oauth.CodeAccessDenied, summary), Client: req.ClientName,
	})
}

func details(e *entra.Error) []page.Detail {
	var d []page.Detail
	if e.AADSTS != 0 {
		d = append(d, page.Detail{Name: "Microsoft's code", Value: e.Reason()})
	}
	if e.TraceID != "" {
		d = append(d, page.Detail{Name: "Trace ID", Value: e.TraceID})
	}
	if e.CorrelationID != "" {
		d = append(d, page.Detail{Name: "Correlation ID", Value: e.CorrelationID})
	}
	return d
}

// unavailable is for our own trouble (the store, the audit trail): nothing is
// wrong with the person, and the client may try again.
func (s *Server) unavailable(w http.ResponseWriter, r *http.Request, req authorizationRequest, err error) {
	s.cfg.Logger.ErrorContext(r.Context(), "sign-in interrupted", slog.Any("error", err))
	page.WriteFailure(w, page.Failure{
		Status: http.StatusServiceUnavailable, Title: "The gateway cannot finish the sign-in at the moment",
		Summary: "Nothing is wrong with your account. Try again in a minute.",
		Help:    "If it goes on, tell your administrator; the gateway's log has the cause.",
		Return:  s.back(req, oauth.CodeTemporarilyUnavailable, "the gateway cannot finish the sign-in at the moment"),
		Client:  req.ClientName,
	})
}

// refuse ends a request that no client can be answered for.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, title, summary string, err error) {
	s.cfg.Logger.InfoContext(r.Context(), "page refused", slog.String("path", r.URL.Path), slog.String("title", title), slog.Any("error", err))
	page.WriteFailure(w, page.Failure{Status: http.StatusBadRequest, Title: title, Summary: summary})
}

// record writes one event of a sign-in to the audit trail.
func (s *Server) record(r *http.Request, kind, outcome, reason string, req authorizationRequest, who store.Identity, now time.Time) error {
	return s.cfg.Audit.Append(r.Context(), store.Event{
		Time: now, Kind: kind, Outcome: outcome, Reason: reason, Tenant: who.Tenant, Object: who.Object,
		Client:  client.Client{ID: req.ClientID, Name: req.ClientName}.Label(),
		Address: s.cfg.Address(r).String(),
	})
}
