package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// discoveryTTL is how long a discovery document is used.
	discoveryTTL = 24 * time.Hour
	// discoveryRetry keeps a broken authority from being asked for every
	// sign-in.
	discoveryRetry = 5 * time.Second
)

// document is what is used of the discovery document (OpenID Connect
// Discovery §3), after it was checked.
type document struct {
	Issuer   string `json:"issuer"`
	AuthURL  string `json:"authorization_endpoint"`
	TokenURL string `json:"token_endpoint"`
	KeysURL  string `json:"jwks_uri"`

	// tenant is the GUID in the issuer: a domain resolves to it.
	tenant string
}

// discovery fetches the document when it is first needed, so that the gateway
// starts, and serves tokens that it issued, while Microsoft is down.
type discovery struct {
	provider *Provider

	mu sync.Mutex // held while fetching: one request serves all who wait
	// guards below
	doc     document
	fetched time.Time
	failed  time.Time
	err     error
}

func (d *discovery) get(ctx context.Context, now time.Time) (document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.doc.Issuer != "" && now.Sub(d.fetched) < discoveryTTL {
		return d.doc, nil
	}
	if d.err != nil && now.Sub(d.failed) < discoveryRetry {
		return d.last()
	}
	doc, err := d.provider.discover(ctx)
	if err != nil {
		d.err, d.failed = err, now
		return d.last()
	}
	d.doc, d.fetched, d.err = doc, now, nil
	return doc, nil
}

// last is the document that was good before, if there was one: Entra's
// endpoints do not change from one day to the next.
func (d *discovery) last() (document, error) {
	if d.doc.Issuer != "" {
		return d.doc, nil
	}
	return document{}, d.err
}

func (p *Provider) discover(ctx context.Context) (document, error) {
	// One sign-in's impatience must not fail the others that wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	var doc document
	err := p.getJSON(ctx, p.cfg.Authority+"/"+url.PathEscape(p.cfg.Tenant)+"/v2.0/.well-known/openid-configuration", &doc)
	if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusBadRequest {
		return document{}, fromTokenError(status.status, status.body, err)
	}
	if err != nil {
		return document{}, unavailable(fmt.Errorf("discovery: %w", err))
	}
	if err := p.checkDocument(&doc); err != nil {
		return document{}, misconfigured(fmt.Errorf("discovery: %w", err))
	}
	return doc, nil
}

// checkDocument holds the document against what a single tenant's must be: the
// issuer is {authority}/{GUID}/v2.0, the GUID the configured one unless a domain
// was configured, and every endpoint is on the authority.
func (p *Provider) checkDocument(doc *document) error {
	rest, ok := strings.CutPrefix(doc.Issuer, p.cfg.Authority+"/")
	tenant, version, _ := strings.Cut(rest, "/")
	if !ok || version != "v2.0" || !guidShape.MatchString(tenant) {
		return fmt.Errorf("issuer %q is not that of one tenant at %s", doc.Issuer, p.cfg.Authority)
	}
	if guidShape.MatchString(p.cfg.Tenant) && tenant != p.cfg.Tenant {
		return fmt.Errorf("issuer %q is not of tenant %s", doc.Issuer, p.cfg.Tenant)
	}
	for _, endpoint := range []string{doc.AuthURL, doc.TokenURL, doc.KeysURL} {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != p.authority.Scheme || u.Host != p.authority.Host || u.User != nil {
			return fmt.Errorf("endpoint %q is not at %s", endpoint, p.cfg.Authority)
		}
	}
	doc.tenant = tenant
	return nil
}
