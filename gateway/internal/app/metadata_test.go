package app_test

import (
	"net/http"
	"slices"
	"testing"

	"mcp-gateway/shared/oauth"
)

func TestMetadataSaysByWhatClientsProveThemselves(t *testing.T) {
	t.Parallel()
	doc, raw := start(t, "").serverMetadata()
	methods := []string{oauth.AuthMethodNone, oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost, oauth.AuthMethodPrivateKeyJWT}
	if !slices.Equal(doc.TokenEndpointAuthMethodsSupported, methods) || !slices.Equal(doc.RevocationEndpointAuthMethodsSupported, methods) {
		t.Errorf("methods %v and %v, want %v", doc.TokenEndpointAuthMethodsSupported, doc.RevocationEndpointAuthMethodsSupported, methods)
	}
	// "MUST be present if" private_key_jwt is among the methods (RFC 8414 §2).
	for _, name := range []string{"token_endpoint_auth_signing_alg_values_supported", "revocation_endpoint_auth_signing_alg_values_supported"} {
		values, ok := raw[name].([]any)
		if !ok || len(values) == 0 || slices.Contains(values, any("none")) {
			t.Errorf("%s = %v, want algorithms, and never none", name, raw[name])
		}
	}
}

func TestIntrospectionIsNotThereUnlessSomebodyMayAsk(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	_, raw := g.serverMetadata()
	for _, name := range []string{"introspection_endpoint", "introspection_endpoint_auth_methods_supported"} {
		if value, ok := raw[name]; ok {
			t.Errorf("the metadata advertises %s = %v, and there are no resource servers", name, value)
		}
	}
	if got := g.send("/introspect", nil, basic("crm", "x")); got.status != http.StatusNotFound {
		t.Errorf("it is there: %d %s", got.status, got.body)
	}
}
