package session

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"mcp-gateway/gateway/internal/page"
	"mcp-gateway/gateway/internal/route"
	"mcp-gateway/gateway/internal/store"
)

// LogoutPath is what the application at Microsoft has as its front-channel logout
// URL, behind the gateway's.
const LogoutPath = "/logout/microsoft"

// Routes are the endpoints with their policies.
func (s *Service) Routes() []route.Route {
	policy := route.Policy{Name: "microsoft", Guard: s.cfg.Limit}
	return []route.Route{{Pattern: "GET " + LogoutPath, Policy: policy, Handler: http.HandlerFunc(s.logout)}}
}

// logout is the front-channel logout URI (OpenID Connect Front-Channel Logout 1.0
// §2). A GET changes something here, because that is the protocol; who does not
// know a session's name changes nothing, and gets the same answer.
func (s *Service) logout(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		// The pattern matches HEAD as well, which must not end anything.
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	id, ok := s.parseLogout(r)
	if !ok {
		s.refuse(w, http.StatusBadRequest, "The address of this page is damaged",
			"Microsoft opens it when somebody signs out there. There is nothing to see on it.")
		return
	}
	err := s.cfg.Store.EndSession(r.Context(), id.Tenant, id.hash(), time.Now())
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		s.cfg.Logger.ErrorContext(r.Context(), "a session that was signed out of could not be ended", slog.Any("error", err))
		s.refuse(w, http.StatusServiceUnavailable, "The gateway cannot answer at the moment", "Sign out at Microsoft again in a minute.")
		return
	default:
		s.cfg.Logger.InfoContext(r.Context(), "somebody signed out at Microsoft", slog.String("session", id.hash().String()))
	}
	page.WriteBlank(w, s.cfg.AuthorityOrigin)
}

// parseLogout reads whose session it is. The text wants iss beside sid, and
// Microsoft sends sid alone; without iss the session may be of any tenant, and its
// name, a GUID of Microsoft's, is of one. Other parameters are not ours.
func (s *Service) parseLogout(r *http.Request) (id ID, ok bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["sid"]) != 1 || len(query["iss"]) > 1 {
		return ID{}, false
	}
	if id.Name = query.Get("sid"); id.Name == "" || len(id.Name) > s.cfg.MaxID {
		return ID{}, false
	}
	if query.Has("iss") {
		id.Tenant, ok = s.cfg.TenantOf(query.Get("iss"))
		return id, ok
	}
	return id, true
}

func (s *Service) refuse(w http.ResponseWriter, status int, title, summary string) {
	page.WriteFailure(w, page.Failure{Status: status, Title: title, Summary: summary})
}
