package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// endpointsFresh is what Microsoft's Cache-Control says. They hardly ever
	// change, so a known address outlives a long outage of the document.
	endpointsFresh = 24 * time.Hour
	endpointsKept  = 7 * 24 * time.Hour

	requestTimeout = 10 * time.Second
	// maxBody of a document or key set; x/oauth2 has the same for tokens.
	maxBody = 1 << 20
)

// endpoints is what the gateway needs of the authority's metadata document.
type endpoints struct {
	tenant    string // GUID, or templateTenant
	issuer    string // with tenant in it
	authorize string
	token     string
	keys      string
}

// discover returns the authority's endpoints, from memory if it can.
func (p *Provider) discover(ctx context.Context, now time.Time) (endpoints, error) {
	return p.endpoints.get(ctx, now, func(endpoints) bool { return true }, func(ctx context.Context) (endpoints, error) {
		body, err := p.document(ctx, p.authority.String()+"/"+p.tenant+"/v2.0/.well-known/openid-configuration")
		if err != nil {
			return endpoints{}, err
		}
		return parseEndpoints(body, p.authority, p.tenant)
	})
}

// parseEndpoints reads a metadata document (OpenID Connect Discovery §4.2)
// and accepts what the authority itself would say. For a domain the issuer in it
// is where the tenant's GUID comes from; for several tenants it is a template.
func parseEndpoints(body []byte, authority *url.URL, tenant string) (endpoints, error) {
	var doc struct {
		Issuer    string `json:"issuer"`
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
		Keys      string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		// Microsoft does not send this; a proxy's page is in the way.
		return endpoints{}, unavailable(fmt.Errorf("read the metadata document: %w", err))
	}
	id, ok := tenantOf(doc.Issuer, authority)
	switch {
	case !ok:
		return endpoints{}, misconfigured(codeProtocol, fmt.Errorf("the metadata document's issuer is %q and not %s/{tenant GUID}/v2.0", doc.Issuer, authority))
	case !stands(tenant, id):
		return endpoints{}, misconfigured(codeProtocol, fmt.Errorf("the metadata document is for tenant %s, which %s is not", id, tenant))
	}
	for _, endpoint := range []string{doc.Authorize, doc.Token, doc.Keys} {
		// The client secret and the browser go there.
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != authority.Scheme || u.Host != authority.Host || u.User != nil || u.Fragment != "" {
			return endpoints{}, misconfigured(codeProtocol, fmt.Errorf("the metadata document has an endpoint that is not on %s: %q", authority, endpoint))
		}
	}
	return endpoints{tenant: id, issuer: doc.Issuer, authorize: doc.Authorize, token: doc.Token, keys: doc.Keys}, nil
}

// tenantOf takes the tenant's GUID, or templateTenant, out of an issuer of v2.0
// tokens.
func tenantOf(issuer string, authority *url.URL) (string, bool) {
	rest, foundAuthority := strings.CutPrefix(issuer, authority.String()+"/")
	id, foundVersion := strings.CutSuffix(rest, "/v2.0")
	return id, foundAuthority && foundVersion && (isGUID(id) || id == templateTenant)
}

// TenantOf returns the tenant that an issuer stands for, and whether its people
// may sign in here. It asks nobody: where the tenant is configured by a domain,
// any tenant of the authority may be the one, and whoever needs more looks for
// what a sign-in has left.
func (p *Provider) TenantOf(issuer string) (tenant string, ok bool) {
	id, ok := tenantOf(issuer, p.authority)
	if !ok || !p.mayServe(id) {
		return "", false
	}
	return id, true
}

// document fetches one of Microsoft's public documents.
func (p *Provider) document(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, unavailable(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, body, err := p.roundTrip(req)
	switch {
	case err != nil:
		return nil, unavailable(err)
	case resp.StatusCode != http.StatusOK:
		failure := answerError(resp.StatusCode, resp.Header, body)
		failure.cause = fmt.Errorf("%s answered %d", address, resp.StatusCode)
		return nil, failure
	case len(body) > maxBody:
		return nil, unavailable(errors.New(address + " answered with too much"))
	}
	return body, nil
}

// roundTrip sends a request and reads the answer, of which a byte more than maxBody
// means that it has too much.
func (p *Provider) roundTrip(req *http.Request) (*http.Response, []byte, error) {
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer of %s: %w", req.URL.Host, err)
	}
	return resp, body, nil
}

// newHTTPClient makes given, or a client of our own, safe to send a secret with.
func newHTTPClient(given *http.Client) *http.Client {
	c := http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: requestTimeout, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: maxBody,
	}}
	if given != nil {
		c = *given
	}
	if c.Timeout == 0 {
		c.Timeout = requestTimeout
	}
	// A redirect of the token request would take the secret and the code
	// wherever it pointed.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}
