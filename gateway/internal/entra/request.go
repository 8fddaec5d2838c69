package entra

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tokenAnswer is what the token endpoint gives (RFC 6749 §5.1, OpenID Connect
// Core §3.1.3.3). Nothing in it is for anybody outside this package but the
// refresh token, which whoever keeps it seals.
type tokenAnswer struct {
	IDToken      string `json:"id_token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	// Error is set by a server that answers an error with the status 200.
	Error string `json:"error"`
}

// post asks the token endpoint (RFC 6749 §3.2) as this client. x/oauth2 could
// redeem a code and no more: it renews without a scope and hides the status of
// a refusal that is no JSON. An answer that lacks only the ID token comes with the
// error.
func (p *Provider) post(ctx context.Context, at endpoints, form url.Values, now time.Time) (tokenAnswer, error) {
	form.Set("client_id", p.clientID)
	if err := p.credential.Authenticate(ctx, form, at.token, now); err != nil {
		return tokenAnswer{}, misconfigured(codeCredential, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.token, strings.NewReader(form.Encode()))
	if err != nil {
		return tokenAnswer{}, unavailable(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, body, err := p.roundTrip(req)
	var answer tokenAnswer
	switch {
	case err != nil:
		return tokenAnswer{}, unavailable(err)
	case resp.StatusCode != http.StatusOK:
		// The body goes no further: it may have anything in it.
		return tokenAnswer{}, answerError(resp.StatusCode, resp.Header, body)
	case len(body) > maxBody:
		return tokenAnswer{}, unavailable(errors.New("the token endpoint answered with too much"))
	}
	// A member of another type costs only itself.
	_ = json.Unmarshal(body, &answer)
	switch {
	case answer.Error != "":
		return tokenAnswer{}, answerError(resp.StatusCode, resp.Header, body)
	case answer.AccessToken == "":
		// Microsoft does not send this; a proxy's page is in the way.
		return tokenAnswer{}, unavailable(errors.New("the answer of the token endpoint is none"))
	case answer.IDToken == "":
		return answer, misconfigured(codeProtocol, errors.New("the token answer has no id_token"))
	}
	return answer, nil
}
