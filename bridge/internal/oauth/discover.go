package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mcp-gateway/shared/oauth"
)

// place is where a sign-in happens and what it is for.
type place struct {
	as       oauth.ServerMetadata
	resource string   // value of the resource parameter, "" for none
	scopes   []string // that the resource says it understands
}

// discover finds the authorization server of the MCP server, which may have named
// the place of its metadata. status is how it answered without a token, 0 if it was
// not asked.
func (c *Client) discover(ctx context.Context, named string, status int) (place, error) {
	prm, err := c.resourceMetadata(ctx, named)
	if errors.Is(err, errAbsent) {
		if status/100 == 2 {
			return place{}, ErrNotNeeded
		}
		// MCP 2025-03-26, Server Metadata Discovery: the server's origin is the issuer.
		origin := c.server.Scheme + "://" + c.server.Host
		as, err := c.serverMetadata(ctx, origin)
		// One that knows no GET has answered without asking who.
		if known := status == http.StatusBadRequest || status == http.StatusMethodNotAllowed || status == http.StatusNotAcceptable; known && errors.Is(err, errAbsent) {
			return place{}, ErrNotNeeded
		}
		if err != nil {
			return place{}, fmt.Errorf("%s does not say where to sign in: %w", c.server.Host, err)
		}
		return place{as: as, resource: c.resource("")}, nil
	}
	if err != nil {
		return place{}, err
	}
	if len(prm.AuthorizationServers) == 0 {
		return place{}, fmt.Errorf("the resource metadata of %s names no authorization server", c.server.Host)
	}
	var failed []error
	for _, issuer := range prm.AuthorizationServers {
		as, err := c.serverMetadata(ctx, issuer)
		if err == nil {
			return place{as: as, resource: c.resource(prm.Resource), scopes: prm.ScopesSupported}, nil
		}
		failed = append(failed, err)
	}
	return place{}, errors.Join(failed...)
}

// resource is the value of the resource parameter (RFC 8707 §2), for a resource
// that the metadata named or "".
func (c *Client) resource(named string) string {
	switch {
	case c.cfg.Resource == NoResource:
		return ""
	case c.cfg.Resource != "":
		return c.cfg.Resource
	case named != "":
		return named
	}
	return c.cfg.Server
}

// probe asks the server for its challenge, as a request without a token gets it.
func (c *Client) probe(ctx context.Context) (ch *challenge, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.cfg.Server, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("ask the server how to sign in: %w", err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := c.do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("ask the server how to sign in: %w", err)
	}
	ch = &challenge{}
	if res.status == http.StatusUnauthorized {
		bearer := c.bearer(ctx, res.header)
		ch.metadata, ch.scope = bearer["resource_metadata"], bearer["scope"]
	}
	return ch, res.status, nil
}

// resourceMetadata reads the document that names the authorization servers, from
// where the challenge says or else from its well-known places.
func (c *Client) resourceMetadata(ctx context.Context, named string) (oauth.ResourceMetadata, error) {
	// RFC 9728 §3.1: the path of the resource is appended to the well-known one.
	origin := c.server.Scheme + "://" + c.server.Host + oauth.PathResourceMetadata
	places := []string{origin}
	if path := strings.TrimSuffix(c.server.EscapedPath(), "/"); path != "" {
		places = []string{origin + path, origin}
	}
	if named != "" {
		if err := c.checkURL(named); err != nil {
			c.logger.WarnContext(ctx, "resource_metadata of the challenge is not used", "server", c.server.Host, "error", err.Error())
		} else if !slices.Contains(places, named) {
			places = slices.Insert(places, 0, named)
		}
	}
	var absent error
	for _, address := range places {
		var prm oauth.ResourceMetadata
		err := c.document(ctx, address, &prm)
		if errors.Is(err, errAbsent) {
			absent = err
			continue
		}
		if err != nil {
			return prm, err
		}
		// "If these values are not identical, the data contained in the response
		// MUST NOT be used" (RFC 9728 §3.3). MCP allows a path above too.
		if !covers(prm.Resource, c.server) {
			return prm, fmt.Errorf("resource metadata at %s is for %q and not for this server: it is not used", address, clean(prm.Resource))
		}
		return prm, nil
	}
	return oauth.ResourceMetadata{}, absent
}

// covers reports whether a resource is the server, or a path above it at the same
// origin.
func covers(resource string, server *url.URL) bool {
	u, err := url.Parse(resource)
	if err != nil || u.User != nil || u.Fragment != "" || !strings.EqualFold(u.Scheme, server.Scheme) ||
		!strings.EqualFold(u.Hostname(), server.Hostname()) || port(u) != port(server) {
		return false
	}
	above, path := strings.TrimSuffix(u.EscapedPath(), "/"), strings.TrimSuffix(server.EscapedPath(), "/")
	if above == path {
		return u.RawQuery == "" || u.RawQuery == server.RawQuery
	}
	return u.RawQuery == "" && strings.HasPrefix(path, above+"/")
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

// serverMetadata reads what an issuer says about itself.
func (c *Client) serverMetadata(ctx context.Context, issuer string) (oauth.ServerMetadata, error) {
	if err := c.checkURL(issuer); err != nil {
		return oauth.ServerMetadata{}, fmt.Errorf("authorization server %q: %w", clean(issuer), err)
	}
	var absent error
	for _, address := range metadataPlaces(issuer) {
		var as oauth.ServerMetadata
		err := c.document(ctx, address, &as)
		if errors.Is(err, errAbsent) {
			absent = err
			continue
		}
		if err == nil {
			err = c.checkServer(as, issuer)
		}
		if err != nil {
			return oauth.ServerMetadata{}, fmt.Errorf("authorization server %s: %w", issuer, err)
		}
		return as, nil
	}
	return oauth.ServerMetadata{}, fmt.Errorf("authorization server %s: no metadata: %w", issuer, absent)
}

// metadataPlaces lists where the metadata of an issuer can be, in MCP's order.
// RFC 8414 §3.1 puts the well-known part before the path, OpenID Connect
// Discovery §4 behind it.
func metadataPlaces(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil // checked before
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	places := []string{origin + oauth.PathServerMetadata + path, origin + oauth.PathOpenIDConfiguration + path}
	if path != "" {
		places = append(places, origin+path+oauth.PathOpenIDConfiguration)
	}
	return places
}

// checkServer refuses metadata that a sign-in cannot be trusted to.
func (c *Client) checkServer(as oauth.ServerMetadata, issuer string) error {
	if as.Issuer != issuer { // RFC 8414 §3.3
		return fmt.Errorf("its metadata is of another issuer, %q: it is not used", clean(as.Issuer))
	}
	// MCP authorization, Authorization Code Protection: absent means unsupported.
	if !slices.Contains(as.CodeChallengeMethodsSupported, "S256") {
		return errors.New("it does not support PKCE with S256, without which a sign-in is not safe: ask its operator to enable it")
	}
	for _, endpoint := range []struct {
		name, url string
		required  bool
	}{
		{"authorization_endpoint", as.AuthorizationEndpoint, true},
		{"token_endpoint", as.TokenEndpoint, true},
		{"registration_endpoint", as.RegistrationEndpoint, false},
		{"revocation_endpoint", as.RevocationEndpoint, false},
		{"device_authorization_endpoint", as.DeviceAuthorizationEndpoint, false},
	} {
		if endpoint.url == "" && !endpoint.required {
			continue
		}
		if err := c.checkURL(endpoint.url); err != nil {
			return fmt.Errorf("%s: %w", endpoint.name, err)
		}
	}
	return nil
}
