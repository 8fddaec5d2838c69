package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/shared/buildinfo"
	"mcp-gateway/shared/oauth"
)

const (
	softwareID = "6ad3f0c6-3c56-4f0e-9d5f-6d0f2b6f9a51" // RFC 7591 §2: the same for all instances
	// anyPort is the callback as RFC 8252 §7.3 has it: the port is any at the
	// time of the request.
	anyPort = "http://127.0.0.1/callback"
	// unusedPort is a callback for servers that want a port, where nothing will be
	// called back: the first of the dynamic ports (RFC 6335 §6).
	unusedPort = "http://127.0.0.1:49152/callback"

	methodNone  = "none"
	methodBasic = "client_secret_basic"
	methodPost  = "client_secret_post"
)

// registration is what is sent to a registration endpoint (RFC 7591 §2).
type registration struct {
	oauth.ClientMetadata
	SoftwareID      string `json:"software_id"`
	SoftwareVersion string `json:"software_version"`
}

// registered is the answer (RFC 7591 §3.2.1).
type registered struct {
	oauth.ClientInformation
	ClientSecret          string `json:"client_secret"`
	ClientSecretExpiresAt int64  `json:"client_secret_expires_at"`
}

// identify puts the client that p's authorization server knows us by into r: a
// client registered beforehand, a metadata document, the stored registration, or
// a new one.
func (c *Client) identify(ctx context.Context, p place, r *keychain.Record, callback string, scopes []string) error {
	sameIssuer := r.Issuer == p.as.Issuer
	switch {
	case c.cfg.ClientID != "":
		// Credentials are for one authorization server; a server that names
		// another may be after them.
		if r.Issuer != "" && !sameIssuer && r.ClientID == c.cfg.ClientID {
			return fmt.Errorf("the server now names the authorization server %s instead of %s: "+
				"if that is right, forget the stored client and check --client-id", p.as.Issuer, r.Issuer)
		}
		*r = c.reset(*r, p)
		r.ClientID, r.TokenEndpointAuthMethod = c.cfg.ClientID, methodNone
		if !c.cfg.ClientSecret.IsZero() {
			r.TokenEndpointAuthMethod = secretMethod(p.as.TokenEndpointAuthMethodsSupported)
		}
	case c.cfg.ClientMetadataURL != "" && p.as.ClientIDMetadataDocumentSupported:
		*r = c.reset(*r, p)
		r.ClientID, r.TokenEndpointAuthMethod = c.cfg.ClientMetadataURL, methodNone
	case sameIssuer && c.reusable(*r, callback, time.Now()):
		endpoints(r, p)
	case p.as.RegistrationEndpoint == "":
		return fmt.Errorf("%s lets no program register by itself: register one with its operator and give its id with --client-id", p.as.Issuer)
	default:
		return c.register(ctx, p, r, callback, scopes)
	}
	return nil
}

// reset is r for another client: its tokens and its registration go. What was
// learned about the resource parameter stays with its issuer.
func (c *Client) reset(r keychain.Record, p place) keychain.Record {
	next := keychain.Record{Issuer: p.as.Issuer}
	if r.Issuer == p.as.Issuer {
		next.Resource = r.Resource
	}
	endpoints(&next, p)
	return next
}

func endpoints(r *keychain.Record, p place) {
	r.Issuer, r.TokenEndpoint, r.RevocationEndpoint = p.as.Issuer, p.as.TokenEndpoint, p.as.RevocationEndpoint
}

// reusable reports whether the stored registration serves for this callback.
func (c *Client) reusable(r keychain.Record, callback string, now time.Time) bool {
	var answer registered
	if r.ClientID == "" || len(r.Registration) == 0 || json.Unmarshal(r.Registration, &answer) != nil {
		return false
	}
	end := answer.ClientSecretExpiresAt // 0: never (RFC 7591 §3.2.1)
	return c.mayUse(answer) && oauth.MatchRedirect(r.RedirectURIs, callback) && (end == 0 || now.Unix() < end)
}

// secretMethod is how a secret is presented: in the header, as every server must
// understand (RFC 6749 §2.3.1), unless only the body is supported.
func secretMethod(supported []string) string {
	if !slices.Contains(supported, methodBasic) && slices.Contains(supported, methodPost) {
		return methodPost
	}
	return methodBasic
}

// register registers a new client (RFC 7591 §3.1) and keeps it, so that a person
// who does not finish their sign-in leaves one client behind and not many.
func (c *Client) register(ctx context.Context, p place, r *keychain.Record, callback string, scopes []string) error {
	request := registration{
		ClientMetadata: oauth.ClientMetadata{
			ClientName: "mcp-bridge", ApplicationType: "native",
			RedirectURIs: []string{callback, anyPort}, Scope: strings.Join(scopes, " "),
			GrantTypes: c.grantTypes(), ResponseTypes: []string{"code"},
			TokenEndpointAuthMethod: methodNone,
		},
		SoftwareID: softwareID, SoftwareVersion: buildinfo.Version(),
	}
	raw, err := c.postRegistration(ctx, p.as.RegistrationEndpoint, request)
	if is(err, oauth.CodeInvalidRedirectURI) {
		// Some servers want a port, and ignore it later on.
		request.RedirectURIs = []string{callback}
		raw, err = c.postRegistration(ctx, p.as.RegistrationEndpoint, request)
	}
	if err != nil {
		return fmt.Errorf("%w; if the server wants a client registered by hand, give its id with --client-id", err)
	}
	var answer registered
	if err := json.Unmarshal(raw, &answer); err != nil || answer.ClientID == "" {
		return fmt.Errorf("register: %s answered without a client id", p.as.Issuer)
	}
	uris := request.RedirectURIs
	if len(answer.RedirectURIs) > 0 { // the server may change what was sent (RFC 7591 §3.2.1)
		uris = answer.RedirectURIs
	}
	if !c.mayUse(answer) {
		return fmt.Errorf("register: %s lets no program that registers by itself sign in by a code: use --sign-in %s, which works with every server", p.as.Issuer, ByPaste)
	}
	if !oauth.MatchRedirect(uris, callback) {
		return fmt.Errorf("register: %s registered other redirect URIs than were asked for", p.as.Issuer)
	}
	fresh := r.AccessToken == "" && r.RefreshToken == ""
	*r = c.reset(*r, p)
	r.ClientID, r.ClientSecret, r.Registration, r.RedirectURIs = answer.ClientID, answer.ClientSecret, raw, uris
	r.TokenEndpointAuthMethod = methodOf(answer)
	c.logger.InfoContext(ctx, "registered with the authorization server", "issuer", p.as.Issuer, "client_id", clean(answer.ClientID))
	if !fresh {
		return nil // the stored tokens belong to the old registration and may still work
	}
	return c.locked(ctx, func() error { return c.cfg.Store.Save(ctx, c.key, *r) })
}

// methodOf is how a registered client presents itself: a server may hand a secret
// to one that asked for none.
func methodOf(answer registered) string {
	if answer.ClientSecret == "" {
		return methodNone
	}
	switch answer.TokenEndpointAuthMethod {
	case methodNone, methodPost:
		return answer.TokenEndpointAuthMethod
	}
	return methodBasic
}

func (c *Client) postRegistration(ctx context.Context, endpoint string, request registration) (json.RawMessage, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := c.do(req)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	if res.status == http.StatusCreated || res.status == http.StatusOK {
		if !json.Valid(res.body) {
			return nil, errors.New("register: the answer is not JSON")
		}
		return res.body, nil
	}
	var answer oauth.ErrorResponse
	if json.Unmarshal(res.body, &answer) == nil && answer.Error != "" {
		return nil, refusal("register", answer.Error, answer.ErrorDescription)
	}
	return nil, fmt.Errorf("register: %s answered %d", req.URL.Host, res.status)
}
