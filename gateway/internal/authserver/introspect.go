package authserver

import (
	"net/http"
	"time"

	"mcp-gateway/gateway/internal/grant"
)

// introspect is the introspection endpoint (RFC 7662 §2). It has no CORS:
// resource servers are servers.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	form, asks, err := clientForm(w, r)
	if err != nil {
		return err
	}
	answer, err := s.cfg.Grants.Introspect(r.Context(), grant.Introspection{Server: asks, Token: form["token"]}, time.Now())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}
