package authserver

import (
	"encoding/json"
	"net/http"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/route"
	"mcp-gateway/shared/oauth"
)

// metadata are the documents that clients discover the gateway by: RFC 8414
// at the root with its OpenID alias (some clients look only there), RFC 9728 at
// the root and path-inserted for each resource, in both slash forms, because
// people paste either. Each echoes the URL it was
// asked for as its resource, since "the resource value returned MUST be
// identical" to it (RFC 9728 §3.3).
func (s *Server) metadata() (routes []route.Route) {
	server := document(s.serverMetadata())
	for _, path := range []string{oauth.PathServerMetadata, oauth.PathOpenIDConfiguration} {
		routes = append(routes, callable("GET", path, forAll, server)...)
	}
	for _, resource := range append([]string{""}, resourcePaths...) {
		path := oauth.PathResourceMetadata + resource
		routes = append(routes, callable("GET", path, forAll, document(s.resourceMetadata(resource)))...)
		routes = append(routes, callable("GET", path+"/{$}", forAll, document(s.resourceMetadata(resource+"/")))...)
	}
	return routes
}

func (s *Server) serverMetadata() oauth.ServerMetadata {
	base := s.cfg.PublicURL
	methods := []string{oauth.AuthMethodNone, oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost, oauth.AuthMethodPrivateKeyJWT}
	m := oauth.ServerMetadata{
		Issuer:                                 base,
		AuthorizationEndpoint:                  base + "/authorize",
		TokenEndpoint:                          base + "/token",
		RevocationEndpoint:                     base + "/revoke",
		RevocationEndpointAuthMethodsSupported: methods,
		RevocationEndpointAuthSigningAlgValuesSupported: client.AssertionAlgorithms,
		ScopesSupported:                            s.scopes(),
		ResponseTypesSupported:                     []string{"code"},
		ResponseModesSupported:                     []string{"query"},
		GrantTypesSupported:                        s.cfg.Grants.Types(),
		TokenEndpointAuthMethodsSupported:          methods,
		TokenEndpointAuthSigningAlgValuesSupported: client.AssertionAlgorithms,
		CodeChallengeMethodsSupported:              []string{"S256"},
		AuthorizationResponseIssParameterSupported: true,
		ClientIDMetadataDocumentSupported:          s.cfg.Clients.ReadsDocuments(),
	}
	if s.cfg.Clients.Registers() {
		m.RegistrationEndpoint = base + "/register"
	}
	if s.cfg.DeviceSignIn {
		m.DeviceAuthorizationEndpoint = base + "/device_authorization"
	}
	if s.cfg.Introspection {
		m.IntrospectionEndpoint = base + "/introspect"
		m.IntrospectionEndpointAuthMethodsSupported = []string{oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost}
	}
	return m
}

func (s *Server) resourceMetadata(path string) oauth.ResourceMetadata {
	return oauth.ResourceMetadata{
		Resource:             s.cfg.PublicURL + path,
		AuthorizationServers: []string{s.cfg.PublicURL},
		// offline_access is the authorization server's business and does
		// not belong here (MCP authorization, Refresh Tokens).
		ScopesSupported:        []string{ScopeMCP},
		BearerMethodsSupported: []string{"header"},
		ResourceName:           "MCP gateway at " + s.host,
	}
}

// document serves a fixed JSON document.
func document(v any) http.Handler {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs of strings
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body)
	})
}
