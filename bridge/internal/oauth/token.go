package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/shared/oauth"
)

// maxLifetime keeps a server's number from overflowing a time.
const maxLifetime = 10 * 365 * 24 * time.Hour

// errLater: the token endpoint gave no verdict. The tokens stay as they are.
var errLater = errors.New("no verdict from the authorization server, try again later")

// tokens is a successful answer of the token endpoint.
type tokens struct {
	access, refresh, scope, subject string
	lifetime                        time.Duration // 0 if not said
}

// into puts the tokens into a record. A refresh without a new refresh token keeps
// the old one (RFC 6749 §6), and one that does not name a scope keeps the scope.
func (t tokens) into(r keychain.Record, now time.Time) keychain.Record {
	r.AccessToken, r.UpdatedAt, r.ExpiresAt = t.access, now, time.Time{}
	if t.lifetime > 0 {
		r.ExpiresAt = now.Add(t.lifetime)
	}
	if t.refresh != "" {
		r.RefreshToken = t.refresh
	}
	if t.scope != "" {
		r.Scopes = strings.Fields(t.scope)
	}
	if t.subject != "" {
		r.Subject = t.subject
	}
	return r
}

// token sends a request to the token endpoint of r's authorization server, as r's
// client.
func (c *Client) token(ctx context.Context, step string, r keychain.Record, form url.Values) (tokens, error) {
	body, err := c.success(ctx, step, r.TokenEndpoint, r, form)
	if err != nil {
		return tokens{}, err
	}
	t, err := parseTokens(body)
	if err != nil {
		return tokens{}, fmt.Errorf("%s: answer of %s: %w", step, hostOf(r.TokenEndpoint), err)
	}
	return t, nil
}

// success sends a form as r's client and returns the body of a 200. The error is a
// Refusal, or errLater.
func (c *Client) success(ctx context.Context, step, endpoint string, r keychain.Record, form url.Values) ([]byte, error) {
	res, secrets, err := c.postForm(ctx, endpoint, r, form)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", step, errLater, err)
	}
	host := hostOf(endpoint)
	if res.status >= 500 || res.status == http.StatusTooManyRequests {
		return nil, fmt.Errorf("%s: %w: %s answered %d", step, errLater, host, res.status)
	}
	var failed oauth.ErrorResponse
	if json.Unmarshal(res.body, &failed) == nil && failed.Error != "" { // some send it with 200
		err := refusal(step, failed.Error, failed.ErrorDescription, secrets...)
		if err.Code == oauth.CodeServerError || err.Code == oauth.CodeTemporarilyUnavailable {
			return nil, fmt.Errorf("%w: %w", errLater, err)
		}
		return nil, err
	}
	if res.status != http.StatusOK {
		return nil, fmt.Errorf("%s: %w: %s answered %d without an OAuth error", step, errLater, host, res.status)
	}
	return res.body, nil
}

// postForm sends a form as r's client, and returns the secrets it carried.
func (c *Client) postForm(ctx context.Context, endpoint string, r keychain.Record, form url.Values) (reply, []string, error) {
	password := r.ClientSecret
	if r.ClientID == c.cfg.ClientID && !c.cfg.ClientSecret.IsZero() {
		password = c.cfg.ClientSecret.Reveal()
	}
	if r.TokenEndpointAuthMethod == methodPost {
		form.Set("client_secret", password)
	}
	if r.TokenEndpointAuthMethod != methodBasic {
		form.Set("client_id", r.ClientID)
	}
	secrets := []string{password}
	for _, name := range []string{"code", "code_verifier", "device_code", "refresh_token", "token"} {
		secrets = append(secrets, form.Get(name))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if r.TokenEndpointAuthMethod == methodBasic {
		// Both are form-encoded before they are joined (RFC 6749 §2.3.1).
		req.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(password))
	}
	res, err := c.do(req)
	return res, secrets, err
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the token endpoint"
	}
	return u.Host
}

// parseTokens reads a successful answer (RFC 6749 §5.1).
func parseTokens(body []byte) (tokens, error) {
	var answer struct {
		oauth.TokenResponse
		ExpiresIn json.RawMessage `json:"expires_in"` // a string with some servers
		IDToken   string          `json:"id_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return tokens{}, errors.New("it is not the JSON of a token") // the parser would quote it
	}
	switch {
	case !headerSafe(answer.AccessToken):
		return tokens{}, errors.New("it has no access token that can be sent")
	case !strings.EqualFold(answer.TokenType, "Bearer"): // RFC 6749 §7.1: "MUST NOT use"
		return tokens{}, fmt.Errorf("its tokens are of the type %q, and only Bearer is known here", clean(answer.TokenType))
	}
	return tokens{
		access: answer.AccessToken, refresh: answer.RefreshToken, scope: answer.Scope,
		subject: subject(answer.IDToken), lifetime: lifetime(answer.ExpiresIn),
	}, nil
}

// headerSafe reports whether a token can be the value of a header.
func headerSafe(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] >= 0x7f {
			return false
		}
	}
	return token != ""
}

// lifetime reads expires_in: seconds, or nothing that can be relied on.
func lifetime(raw json.RawMessage) time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || !(seconds > 0) { // NaN too
		return 0
	}
	if seconds >= maxLifetime.Seconds() {
		return maxLifetime
	}
	return time.Duration(seconds * float64(time.Second))
}

// subject reads who signed in from an ID token, for display only. The token comes
// from the token endpoint itself, so its signature adds nothing (OpenID Connect
// Core §3.1.3.7).
func subject(idToken string) string {
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		return ""
	}
	var claims struct {
		Sub   string `json:"sub"`
		Email string `json:"email"`
		Name  string `json:"preferred_username"`
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(data, &claims) != nil {
		return ""
	}
	for _, name := range []string{claims.Name, claims.Email, claims.Sub} {
		if name = clean(name); name != "" {
			return name
		}
	}
	return ""
}
