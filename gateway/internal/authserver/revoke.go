package authserver

import (
	"net/http"
	"time"

	"mcp-gateway/gateway/internal/grant"
)

// revoke is the revocation endpoint (RFC 7009 §2). "The content of the response
// body is ignored by the client" (§2.2), so there is none. An outage is a 503:
// "the client must assume the token still exists" (§2.2.1).
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	form, asks, err := clientForm(w, r)
	if err != nil {
		return err
	}
	if err := s.cfg.Grants.Revoke(r.Context(), grant.Revocation{
		Client: asks, Token: form["token"], Address: s.cfg.Address(r).String(),
	}, time.Now()); err != nil {
		return err
	}
	forbidStoring(w)
	w.WriteHeader(http.StatusOK)
	return nil
}
