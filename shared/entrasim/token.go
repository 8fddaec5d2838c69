package entrasim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	mathrand "math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// codeLifetime is how long a code can be redeemed.
const codeLifetime = 10 * time.Minute

// tokenEndpoint redeems codes. Refresh tokens are not simulated: nothing asks
// for offline_access yet, and who does gets the error of an app without it.
func (s *Sim) tokenEndpoint(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokenCalls++
	if f, ok := take(&s.failures, StageToken); ok {
		f.answer(w)
		return
	}
	if r.Method != http.MethodPost {
		s.failToken(w, http.StatusBadRequest, "invalid_request", 900561, "The endpoint only accepts POST requests. Received a "+r.Method+" request.", "")
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		s.failToken(w, http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.", "")
		return
	}
	tenant, ok := s.tenant(r.PathValue("tenant"))
	if !ok {
		s.failToken(w, http.StatusBadRequest, "invalid_tenant", 90002, "Tenant '"+r.PathValue("tenant")+"' not found.", "")
		return
	}
	app, ok := s.authenticate(w, r, tenant)
	if !ok {
		return
	}
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		s.redeem(w, r, app)
	case "":
		s.failToken(w, http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.", "")
	default:
		s.failToken(w, http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.", "")
	}
}

// authenticate checks the client's secret, in the body or by Basic.
func (s *Sim) authenticate(w http.ResponseWriter, r *http.Request, tenant Tenant) (App, bool) {
	id, secret := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		// RFC 6749 §2.3.1: both are form-encoded first.
		id, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(pass)
	}
	app, ok := s.app(id, tenant.ID)
	if !ok {
		s.failToken(w, http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '"+id+"' was not found in the directory '"+tenant.Name+"'.", "")
		return App{}, false
	}
	switch {
	case secret == "":
		s.failToken(w, http.StatusUnauthorized, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", "")
	case subtle.ConstantTimeCompare([]byte(secret), []byte(app.Secret)) != 1:
		s.failToken(w, http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.", "")
	case app.SecretExpired:
		s.failToken(w, http.StatusUnauthorized, "invalid_client", 7000222, "The provided client secret keys for app are expired.", "")
	default:
		return app, true
	}
	return App{}, false
}

func (s *Sim) redeem(w http.ResponseWriter, r *http.Request, app App) {
	value := r.PostFormValue("code")
	c, ok := s.codes[value]
	invalid := func(aadsts int, text, suberror string) {
		s.failToken(w, http.StatusBadRequest, "invalid_grant", aadsts, text, suberror)
	}
	switch {
	case !ok || c.app.ClientID != app.ClientID:
		invalid(70000, "The provided value for the 'code' parameter is not valid.", "bad_token")
	case c.used:
		invalid(54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.", "")
	case s.now().Sub(c.issued) > codeLifetime:
		invalid(70008, "The provided authorization code or refresh token has expired due to inactivity.", "token_expired")
	case c.redirect != r.PostFormValue("redirect_uri"):
		s.failToken(w, http.StatusBadRequest, "invalid_client", 500112, "The reply address does not match the reply address provided when requesting Authorization code.", "")
	case c.challenge != "" && !verifies(c.challenge, r.PostFormValue("code_verifier")):
		invalid(501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.", "")
	default:
		c.used = true
		s.codes[value] = c
		s.issueTokens(w, c)
	}
}

func verifies(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(challenge), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 1
}

func (s *Sim) issueTokens(w http.ResponseWriter, c code) {
	answer := map[string]any{
		"token_type": "Bearer", "scope": strings.TrimSpace(strings.ReplaceAll(c.scope, "offline_access", "")),
		// Entra's access tokens live for a random time; the gateway must
		// not care, nor look into them.
		"expires_in": 3600 + mathrand.IntN(1800), "ext_expires_in": 5399,
		"access_token": "eyJ0eXAiOiJKV1QifQ." + newGUID() + ".opaque",
	}
	if slices.Contains(strings.Fields(c.scope), "offline_access") {
		s.violate("token: offline_access was asked for, and refresh tokens are not simulated")
	}
	if slices.Contains(strings.Fields(c.scope), "openid") {
		idToken, err := s.idToken(c)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer["id_token"] = idToken
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, answer)
}

// idToken makes a v2.0 ID token. Microsoft back-dates iat and nbf by five
// minutes, so exp is 3900 seconds after them.
func (s *Sim) idToken(c code) (string, error) {
	u, issued := c.user, s.now().Add(-5*time.Minute).Unix()
	claims := map[string]any{
		"aud": c.app.ClientID, "iss": s.base + "/" + u.Tenant + "/v2.0", "iat": issued, "nbf": issued, "exp": issued + 3900,
		"sub": pairwise(c.app.ClientID, u), "tid": u.Tenant, "ver": "2.0",
		"uti": newGUID(), "rh": "1." + newGUID(), "aio": newGUID(),
	}
	if c.nonce != "" {
		claims["nonce"] = c.nonce
	}
	scopes := strings.Fields(c.scope)
	if slices.Contains(scopes, "profile") {
		claims["oid"], claims["name"], claims["preferred_username"] = u.Object, u.Name, u.Username
	}
	if slices.Contains(scopes, "email") && u.Email != "" {
		claims["email"] = u.Email
	}
	if len(u.Roles) > 0 {
		claims["roles"] = u.Roles
	}
	switch {
	case u.Overage:
		claims["_claim_names"] = map[string]string{"groups": "src1"}
		claims["_claim_sources"] = map[string]any{"src1": map[string]string{
			"endpoint": "https://graph.windows.net/" + u.Tenant + "/users/" + u.Object + "/getMemberObjects",
		}}
	case len(u.Groups) > 0:
		claims["groups"] = u.Groups
	}
	if u.Home != "" {
		claims["idp"], claims["acct"] = s.base+"/"+u.Home+"/v2.0", 1
	}
	if s.mutate != nil {
		s.mutate(claims)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return s.keys.signing.sign(raw, nil)
}

// pairwise is a subject that differs from application to application.
func pairwise(clientID string, u User) string {
	sum := sha256.Sum256([]byte(clientID + u.Tenant + u.Object))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
