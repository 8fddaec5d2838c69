package authserver

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/session"
	"mcp-gateway/gateway/internal/store"
)

// A consent is remembered for a person, a client, a redirect URI and scopes, and
// the page is left out when all of these are the same again. Since consent comes
// before Microsoft (DESIGN D3), who the person is is then only a guess, made from
// a cookie; the callback makes sure that it was right. About somebody who has
// signed out at Microsoft there is nothing to guess.

// personCookie names who signed in last in this browser. It proves nothing.
const personCookie = "__Host-mcp-gateway-person"

// person is its sealed content. The browser is the sealing context, so a copy
// in another browser is worth nothing.
type person struct {
	Tenant string `json:"t"`
	Object string `json:"o"`
	// Session is Microsoft's name for the session in which they signed in.
	Session string    `json:"s,omitempty"`
	Expires time.Time `json:"e"`
}

// personIn is who signed in, to be remembered for as long as a consent is.
func (s *Server) personIn(in entra.SignIn, now time.Time) person {
	return person{Tenant: in.Tenant, Object: in.Object, Session: in.Session, Expires: now.Add(s.cfg.Lifetimes.Consented)}
}

func (p person) session() session.ID { return session.ID{Tenant: p.Tenant, Name: p.Session} }

// setPerson remembers who signed in. The cookie of the browser, which the person's
// is sealed to, gets the same end, or it would be gone with the window.
func (s *Server) setPerson(w http.ResponseWriter, r *http.Request, who person) error {
	browser, _ := browserOf(r) // resume has seen it
	plain, err := json.Marshal(who)
	if err != nil {
		return err
	}
	setCookie(w, personCookie, s.cfg.Ring.SealText(keyring.BrowserPerson, plain, browser[:]), s.cfg.Lifetimes.Consented)
	for _, c := range r.CookiesNamed(browserCookie) {
		setCookie(w, browserCookie, c.Value, s.cfg.Lifetimes.Consented)
	}
	return nil
}

// personOf returns who signed in last in this browser, if that is known.
func (s *Server) personOf(r *http.Request, now time.Time) (person, bool) {
	browser, known := browserOf(r)
	cookies := r.CookiesNamed(personCookie)
	if !known || len(cookies) != 1 {
		return person{}, false
	}
	plain, err := s.cfg.Ring.OpenText(keyring.BrowserPerson, cookies[0].Value, browser[:])
	var p person
	if err != nil || json.Unmarshal(plain, &p) != nil || !now.Before(p.Expires) {
		return person{}, false
	}
	return p, true
}

// mayRemember reports whether consent to this client may be remembered: "the
// authorization server SHOULD NOT process authorization requests automatically
// without user consent or interaction, except when the identity of the client can
// be assured" (RFC 8252 §8.6). An https redirect URI or a credential assures it;
// any program on the computer can claim the loopback or a private-use scheme.
func mayRemember(c client.Client, target redirectTarget) bool { return !c.Public() || !target.local() }

// consented returns who is likely asking, and which of the scopes asked for
// they have consented to already. A store that does not answer costs a
// question, no more.
func (s *Server) consented(r *http.Request, req authorizationRequest, now time.Time) (who person, scopes []string) {
	who, known := s.personOf(r, now)
	if !req.Remember || !known {
		return person{}, nil
	}
	before, err := s.allowed(r.Context(), req, who, now)
	if err != nil {
		s.cfg.Logger.WarnContext(r.Context(), "consents could not be read", slog.Any("error", err))
		return person{}, nil
	}
	for _, scope := range req.Scopes {
		if slices.Contains(before, scope) {
			scopes = append(scopes, scope)
		}
	}
	return who, scopes
}

// allowed are the scopes that somebody has consented to; none if they have signed
// out since, so that whoever sits there now is asked.
func (s *Server) allowed(ctx context.Context, req authorizationRequest, who person, now time.Time) ([]string, error) {
	if goesOn, err := s.cfg.Sessions.GoesOn(ctx, who.session(), now); err != nil || !goesOn {
		return nil, err
	}
	return s.cfg.Store.Consented(ctx, req.consentOf(who), now)
}

// consentOf is what a person consents to by allowing the request.
func (r authorizationRequest) consentOf(who person) store.Consent {
	return store.Consent{
		Tenant: who.Tenant, Object: who.Object, ClientID: r.ClientID, RedirectURI: r.RedirectURI,
		Scopes: r.Scopes, ExpiresAt: who.Expires,
	}
}
