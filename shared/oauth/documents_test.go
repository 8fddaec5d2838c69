package oauth_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/shared/oauth"
)

// The names on the wire are the contract: each document is compared as text.
func TestDocumentsAreSpelledAsInTheRFCs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		doc  any
		want string
	}{
		{
			name: "server metadata with everything",
			doc: oauth.ServerMetadata{
				Issuer: "i", AuthorizationEndpoint: "a", TokenEndpoint: "t", RegistrationEndpoint: "r", RevocationEndpoint: "v",
				RevocationEndpointAuthMethodsSupported: []string{"none"},
				ScopesSupported:                        []string{"s"}, ResponseTypesSupported: []string{"code"}, ResponseModesSupported: []string{"query"},
				GrantTypesSupported: []string{"g"}, TokenEndpointAuthMethodsSupported: []string{"none"},
				CodeChallengeMethodsSupported: []string{"S256"}, AuthorizationResponseIssParameterSupported: true,
				ClientIDMetadataDocumentSupported: true,
			},
			want: `{"issuer":"i","authorization_endpoint":"a","token_endpoint":"t","registration_endpoint":"r","revocation_endpoint":"v",` +
				`"revocation_endpoint_auth_methods_supported":["none"],` +
				`"scopes_supported":["s"],"response_types_supported":["code"],"response_modes_supported":["query"],` +
				`"grant_types_supported":["g"],"token_endpoint_auth_methods_supported":["none"],` +
				`"code_challenge_methods_supported":["S256"],"authorization_response_iss_parameter_supported":true,` +
				`"client_id_metadata_document_supported":true}`,
		},
		{
			name: "server metadata names no endpoint that is not there",
			doc:  oauth.ServerMetadata{Issuer: "i", AuthorizationEndpoint: "a", TokenEndpoint: "t", ResponseTypesSupported: []string{"code"}},
			want: `{"issuer":"i","authorization_endpoint":"a","token_endpoint":"t","response_types_supported":["code"]}`,
		},
		{
			name: "resource metadata",
			doc: oauth.ResourceMetadata{
				Resource: "r", AuthorizationServers: []string{"a"}, ScopesSupported: []string{"s"},
				BearerMethodsSupported: []string{"header"}, ResourceName: "n", ResourceDocumentation: "d",
			},
			want: `{"resource":"r","authorization_servers":["a"],"scopes_supported":["s"],"bearer_methods_supported":["header"],` +
				`"resource_name":"n","resource_documentation":"d"}`,
		},
		{
			name: "client information is one flat object",
			doc: oauth.ClientInformation{ClientID: "c", ClientIDIssuedAt: 7, ClientMetadata: oauth.ClientMetadata{
				RedirectURIs: []string{"r"}, ClientName: "n", ClientURI: "u", LogoURI: "l", TokenEndpointAuthMethod: "none",
				GrantTypes: []string{"g"}, ResponseTypes: []string{"code"}, Scope: "s", ApplicationType: "native",
			}, ClientSecret: "x", ClientSecretExpiresAt: new(int64)},
			want: `{"client_id":"c","client_id_issued_at":7,"client_secret":"x","client_secret_expires_at":0,"redirect_uris":["r"],"client_name":"n","client_uri":"u","logo_uri":"l",` +
				`"token_endpoint_auth_method":"none","grant_types":["g"],"response_types":["code"],"scope":"s","application_type":"native"}`,
		},
		{
			name: "a token response",
			doc:  oauth.TokenResponse{AccessToken: "a", TokenType: "Bearer", ExpiresIn: 600, RefreshToken: "r", Scope: "s"},
			want: `{"access_token":"a","token_type":"Bearer","expires_in":600,"refresh_token":"r","scope":"s"}`,
		},
		{
			name: "a token response without a refresh token",
			doc:  oauth.TokenResponse{AccessToken: "a", TokenType: "Bearer", ExpiresIn: 600},
			want: `{"access_token":"a","token_type":"Bearer","expires_in":600}`,
		},
		{
			name: "an error response",
			doc:  oauth.ErrorResponse{Error: "e", ErrorDescription: "d"},
			want: `{"error":"e","error_description":"d"}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.doc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWellKnownPathsAreThoseOfTheRFCs(t *testing.T) {
	t.Parallel()
	got := []string{oauth.PathServerMetadata, oauth.PathOpenIDConfiguration, oauth.PathResourceMetadata}
	want := []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/oauth-protected-resource"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestUnknownClientMetadataIsIgnored(t *testing.T) {
	t.Parallel()
	const doc = `{"redirect_uris":["https://a.example/"],"software_statement":"x.y.z","contacts":7,"client_name#ja":"名","require_auth_time":true}`
	var meta oauth.ClientMetadata
	if err := json.Unmarshal([]byte(doc), &meta); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/"}}, meta); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
