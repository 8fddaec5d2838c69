package authserver

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/grant"
	"mcp-gateway/shared/oauth"
)

const (
	// maxForm bounds a token request: a code, a verifier and a client id of
	// 2 KB fit many times.
	maxForm = 16 << 10
	// maxRegistration bounds a registration document.
	maxRegistration = 32 << 10
)

// handle adapts a handler that returns its error: the one place where an error
// of these endpoints goes on the wire.
func (s *Server) handle(h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.writeError(w, r, err)
		}
	})
}

// writeError maps an error to RFC 6749 §5.2. What is not an *oauth.Error is our
// own trouble: temporarily_unavailable, so that no client takes it for the end
// of its grant, and the cause stays in the log.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	public, ok := errors.AsType[*oauth.Error](err)
	level := slog.LevelInfo
	if !ok {
		public = oauth.NewError(oauth.CodeTemporarilyUnavailable, "the gateway cannot answer at the moment; try again")
		public.RetryAfter = 2 * time.Second
		level = slog.LevelError
	}
	if public.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(public.RetryAfter.Seconds()))))
	}
	s.cfg.Logger.Log(r.Context(), level, "request refused", slog.String("path", r.URL.Path),
		slog.String("code", public.Code), slog.Any("error", err), slog.String("address", s.cfg.Address(r).String()))
	if public.Status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		// "the authorization server MUST ... include the WWW-Authenticate
		// response header field matching the authentication scheme" (RFC 6749 §5.2).
		w.Header().Set("WWW-Authenticate", `Basic realm="`+s.host+`", charset="UTF-8"`)
	}
	writeJSON(w, public.Status, oauth.ErrorResponse{Error: public.Code, ErrorDescription: public.Description})
}

// writeJSON sends an answer that must not be stored (RFC 6749 §5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	forbidStoring(w)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func forbidStoring(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

// register is the client registration endpoint (RFC 7591 §3).
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	if !hasMediaType(r, "application/json") {
		return oauth.NewError(oauth.CodeInvalidClientMetadata, "the request must be application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
	if err != nil {
		return oauth.NewError(oauth.CodeInvalidClientMetadata, "the document is larger than 32 KB or ended early").WithCause(err)
	}
	meta, err := client.ParseMetadata(body)
	if err != nil {
		return oauth.NewError(oauth.CodeInvalidClientMetadata,
			"the document is not a JSON object of client metadata, with each member once and spelled as in RFC 7591").WithCause(err)
	}
	info, err := s.cfg.Clients.Register(meta, time.Now())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, info)
	return nil
}

// token is the token endpoint (RFC 6749 §3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	req, err := s.parseToken(w, r)
	if err != nil {
		return err
	}
	answer, err := s.cfg.Grants.Exchange(r.Context(), req, time.Now())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) parseToken(w http.ResponseWriter, r *http.Request) (grant.Request, error) {
	form, asks, err := clientForm(w, r, "resource")
	if err != nil {
		return grant.Request{}, err
	}
	return grant.Request{
		GrantType: form["grant_type"], Client: asks, Resources: r.PostForm["resource"],
		Address: s.cfg.Address(r).String(), Code: form["code"], RedirectURI: form["redirect_uri"],
		Verifier: form["code_verifier"], RefreshToken: form["refresh_token"], Scope: form["scope"], DeviceCode: form["device_code"],
	}, nil
}

// clientForm reads the form of a client and what it says of who sent it;
// repeatable are the parameters that may stand more than once.
func clientForm(w http.ResponseWriter, r *http.Request, repeatable ...string) (map[string]string, client.Credentials, error) {
	if !hasMediaType(r, "application/x-www-form-urlencoded") {
		return nil, client.Credentials{}, oauth.NewError(oauth.CodeInvalidRequest, "the request must be application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, client.Credentials{}, oauth.NewError(oauth.CodeInvalidRequest, "the form is malformed or larger than 16 KB").WithCause(err)
	}
	// PostForm only: a code or token in a query string ends up in logs.
	form, err := single(r.PostForm, repeatable...)
	if err != nil {
		return nil, client.Credentials{}, err
	}
	asks, err := credentials(r.Header, form)
	return form, asks, err
}

// credentials reads which client a request says it is from, and by what: "The
// client MUST NOT use more than one authentication method in each request"
// (RFC 6749 §2.3).
func credentials(header http.Header, form map[string]string) (client.Credentials, error) {
	given := client.Credentials{ID: form["client_id"], Method: oauth.AuthMethodNone}
	ways := 0
	if form["client_secret"] != "" {
		ways++
		given.Method, given.Secret = oauth.AuthMethodSecretPost, form["client_secret"]
	}
	if form["client_assertion"] != "" || form["client_assertion_type"] != "" {
		ways++
		if form["client_assertion_type"] != oauth.AssertionType || form["client_assertion"] == "" {
			return client.Credentials{}, oauth.NewError(oauth.CodeInvalidClient, "client_assertion_type must be "+oauth.AssertionType+", with a client_assertion")
		}
		given.Method, given.Assertion = oauth.AuthMethodPrivateKeyJWT, form["client_assertion"]
		if given.ID == "" {
			given.ID = client.AssertionSubject(given.Assertion)
		}
	}
	if values := header["Authorization"]; len(values) > 0 {
		ways++
		id, secret, ok := basic(values)
		if !ok {
			return client.Credentials{}, oauth.NewError(oauth.CodeInvalidClient, "the Authorization header must be one, of the scheme Basic, with client_id and secret form-encoded")
		}
		if given.ID != "" && given.ID != id {
			return client.Credentials{}, oauth.NewError(oauth.CodeInvalidRequest, "client_id is another than that of the Authorization header")
		}
		given.ID, given.Method, given.Secret = id, oauth.AuthMethodSecretBasic, secret
	}
	if ways > 1 {
		return client.Credentials{}, oauth.NewError(oauth.CodeInvalidRequest, "the client authenticates in more than one way")
	}
	return given, nil
}

// basic reads HTTP Basic credentials, in which both parts are form-encoded
// (RFC 6749 §2.3.1).
func basic(values []string) (id, secret string, ok bool) {
	id, secret, ok = (&http.Request{Header: http.Header{"Authorization": values}}).BasicAuth()
	if !ok || len(values) != 1 {
		return "", "", false
	}
	id, idErr := url.QueryUnescape(id)
	secret, secretErr := url.QueryUnescape(secret)
	return id, secret, idErr == nil && secretErr == nil
}

// single refuses repeated parameters: "Request and response parameters MUST
// NOT be included more than once" (RFC 6749 §3.1, §3.2). What may repeat, as
// resource does (RFC 8707 §2), is read from the form itself.
func single(form url.Values, repeatable ...string) (map[string]string, error) {
	values := make(map[string]string, len(form))
	for name, v := range form {
		if len(v) > 1 && !slices.Contains(repeatable, name) {
			return nil, oauth.NewError(oauth.CodeInvalidRequest, "a parameter stands more than once")
		}
		values[name] = v[0]
	}
	return values, nil
}

func hasMediaType(r *http.Request, want string) bool {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && strings.EqualFold(got, want)
}
