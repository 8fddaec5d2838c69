// Package resource guards the MCP endpoints: it checks the bearer token of
// every request and challenges those without a good one. It refuses to know
// what is behind the door, and to call a token invalid when the store merely
// could not answer.
//
// It implements RFC 6750 §2.1 and §3, and RFC 9728 §5.1.
package resource

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

type verifier interface {
	Verify(ctx context.Context, bearer string, now time.Time) (*access.Principal, error)
}

// Config is what a Guard is made of; all of it is needed.
type Config struct {
	// PublicURL is the gateway's, without a trailing slash.
	PublicURL string
	// Path is the guarded endpoint ("/mcp"): it names the metadata document
	// of the challenge.
	Path string
	// Scope is what a token must have.
	Scope    string
	Verifier verifier
	Logger   *slog.Logger
}

// Guard checks bearer tokens.
type Guard struct {
	cfg      Config
	metadata string
}

// NewGuard returns a Guard.
func NewGuard(cfg Config) *Guard {
	return &Guard{cfg: cfg, metadata: cfg.PublicURL + oauth.PathResourceMetadata + cfg.Path}
}

// Protect lets requests with a good token through to next, with the principal
// in their context.
func (g *Guard) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer, refusal := bearerOf(r)
		if refusal != nil {
			g.challenge(w, refusal)
			return
		}
		principal, err := g.cfg.Verifier.Verify(r.Context(), bearer, time.Now())
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		if !slices.Contains(principal.Scopes, g.cfg.Scope) {
			g.challenge(w, oauth.NewError(oauth.CodeInsufficientScope, "the token lacks the scope "+g.cfg.Scope))
			return
		}
		next.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), principal)))
	})
}

// errNoToken is the refusal of a request that did not try to authenticate; the
// challenge then "SHOULD NOT include an error code" (RFC 6750 §3.1).
var errNoToken = &oauth.Error{Status: http.StatusUnauthorized}

// bearerOf reads the Authorization header: the only place a token may be in
// ("access tokens MUST NOT be included in the URI query string", MCP
// authorization, Token Requirements).
func bearerOf(r *http.Request) (string, *oauth.Error) {
	values := r.Header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", errNoToken
	case 1:
	default:
		return "", oauth.NewError(oauth.CodeInvalidRequest, "there is more than one Authorization header")
	}
	scheme, bearer, ok := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	bearer = strings.Trim(bearer, " ")
	if !ok || bearer == "" || strings.ContainsAny(bearer, " ,\t") {
		return "", oauth.NewError(oauth.CodeInvalidRequest, "the Authorization header is malformed")
	}
	return bearer, nil
}

// refuse tells an invalid token from a store that could not answer.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	description := ""
	switch {
	case errors.Is(err, store.ErrNotFound):
		description = "the token is unknown"
	case errors.Is(err, store.ErrExpired):
		description = "the token has expired"
	case errors.Is(err, store.ErrRevoked):
		description = "the access was revoked"
	default:
		g.cfg.Logger.ErrorContext(r.Context(), "token could not be checked", slog.Any("error", err))
		w.Header().Set("Retry-After", "2")
		g.write(w, oauth.NewError(oauth.CodeTemporarilyUnavailable, "the token could not be checked; try again"))
		return
	}
	g.challenge(w, oauth.NewError(oauth.CodeInvalidToken, description))
}

// challenge answers with a WWW-Authenticate header that says where to find the
// authorization server (RFC 9728 §5.1) and what to ask for.
func (g *Guard) challenge(w http.ResponseWriter, e *oauth.Error) {
	params := [][2]string{{"resource_metadata", g.metadata}, {"scope", g.cfg.Scope}}
	if e.Code != "" {
		params = append(params, [2]string{"error", e.Code}, [2]string{"error_description", e.Description})
	}
	w.Header().Set("WWW-Authenticate", oauth.FormatBearer(params...))
	g.write(w, e)
}

func (g *Guard) write(w http.ResponseWriter, e *oauth.Error) {
	code, description := e.Code, e.Description
	if code == "" {
		code, description = oauth.CodeInvalidToken, "sign in first: see the WWW-Authenticate header"
	}
	body, err := json.Marshal(oauth.ErrorResponse{Error: code, ErrorDescription: description})
	if err != nil {
		http.Error(w, "the answer could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.Status)
	_, _ = w.Write(body)
}
