package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/bridge/internal/lab"
	"mcp-gateway/bridge/internal/oauth"
	protocol "mcp-gateway/shared/oauth"
	"mcp-gateway/shared/secret"
)

// The ways in which the lab misbehaves.

func metadataWith(name string, value any) func(*lab.Knobs) {
	return func(k *lab.Knobs) { k.Metadata = func(doc map[string]any) { doc[name] = value } }
}

func resourceWith(name string, value any) func(*lab.Knobs) {
	return func(k *lab.Knobs) { k.Resource = func(doc map[string]any) { doc[name] = value } }
}

func tokenWith(name string, value any) func(*lab.Knobs) {
	return func(k *lab.Knobs) { k.Token = func(doc map[string]any) { doc[name] = value } }
}

func answerWith(advertised bool, pairs ...string) func(*lab.Knobs) {
	return func(k *lab.Knobs) {
		k.IssParameter = advertised
		k.Answer = func(v url.Values) {
			for i := 0; i < len(pairs); i += 2 {
				v.Set(pairs[i], pairs[i+1])
			}
		}
	}
}

// refusals are sign-ins that must not succeed.
var refusals = []struct {
	name  string
	knobs func(*lab.Knobs)
	cfg   func(*oauth.Config)
	want  string
	asked bool // whether the person has been sent to the browser
}{
	{name: "resource of another server", knobs: resourceWith("resource", "https://other.example/mcp"), want: "not for this server"},
	{name: "resource of a sibling", knobs: resourceWith("resource", "http://127.0.0.1/other"), want: "not for this server"},
	{name: "resource missing", knobs: resourceWith("resource", ""), want: "not for this server"},
	{name: "no authorization server", knobs: resourceWith("authorization_servers", nil), want: "names no authorization server"},
	{name: "authorization server over http", knobs: resourceWith("authorization_servers", []string{"http://as.example"}), want: "plain http"},
	{name: "authorization server is no URL", knobs: resourceWith("authorization_servers", []string{"file:///etc"}), want: "not an absolute URL"},
	{name: "resource metadata without end", knobs: resourceWith("x", strings.Repeat("x", 1<<20)), want: "bytes"},
	{name: "issuer of another", knobs: metadataWith("issuer", "https://evil.example"), want: "another issuer"},
	{name: "issuer with a slash more", knobs: func(k *lab.Knobs) {
		k.Metadata = func(doc map[string]any) { doc["issuer"] = doc["issuer"].(string) + "/" }
	}, want: "another issuer"},
	{name: "no PKCE", knobs: metadataWith("code_challenge_methods_supported", nil), want: "S256"},
	{name: "plain PKCE", knobs: metadataWith("code_challenge_methods_supported", []string{"plain"}), want: "S256"},
	{name: "token endpoint over http", knobs: metadataWith("token_endpoint", "http://as.example/token"), want: "token_endpoint: plain http"},
	{name: "authorization endpoint that runs", knobs: metadataWith("authorization_endpoint", "javascript:alert(1)"), want: "authorization_endpoint"},
	{name: "authorization endpoint for a shell", knobs: metadataWith("authorization_endpoint", "https://a.example/'`x`"), want: "authorization_endpoint"},
	{name: "no authorization endpoint", knobs: metadataWith("authorization_endpoint", ""), want: "authorization_endpoint"},
	{name: "revocation endpoint over http", knobs: metadataWith("revocation_endpoint", "http://as.example/revoke"), want: "revocation_endpoint"},
	{name: "no metadata", knobs: func(k *lab.Knobs) { k.Metadata = func(doc map[string]any) { clear(doc) } }, want: "no metadata"},
	{name: "nowhere to sign in", knobs: func(k *lab.Knobs) {
		empty := func(doc map[string]any) { clear(doc) }
		k.Metadata, k.Resource = empty, empty
	}, want: "does not say where to sign in"},
	{name: "no registration", knobs: metadataWith("registration_endpoint", ""), want: "--client-id"},
	{name: "registration closed", knobs: func(k *lab.Knobs) { k.FailRegister = http.StatusForbidden }, want: "--client-id"},
	{name: "registration without an id", knobs: func(k *lab.Knobs) {
		k.Registered = func(doc map[string]any) { delete(doc, "client_id") }
	}, want: "without a client id"},
	{name: "registration of other URIs", knobs: func(k *lab.Knobs) {
		k.Registered = func(doc map[string]any) { doc["redirect_uris"] = []string{"https://evil.example/cb"} }
	}, want: "other redirect URIs"},
	{name: "denied", knobs: func(k *lab.Knobs) {
		k.Approve = func(url.Values) string { return protocol.CodeAccessDenied }
	}, want: "access was denied (access_denied) (it says: denied[31m by the lab)", asked: true},
	{name: "iss missing", knobs: func(k *lab.Knobs) {
		k.IssParameter = true
		k.Answer = func(v url.Values) { v.Del("iss") }
	}, want: "does not say which authorization server", asked: true},
	{name: "iss of another", knobs: answerWith(true, "iss", "https://evil.example"), want: "another authorization server", asked: true},
	{name: "iss of another, not advertised", knobs: answerWith(false, "iss", "https://evil.example"), want: "another authorization server", asked: true},
	{name: "error of another", knobs: answerWith(true, "iss", "https://evil.example", "error", "call 555-1234"), want: "another authorization server", asked: true},
	{name: "neither code nor error", knobs: answerWith(false, "code", ""), want: "neither a code nor an error", asked: true},
	{name: "another type of token", knobs: tokenWith("token_type", "mac"), want: `"mac"`, asked: true},
	{name: "no access token", knobs: tokenWith("access_token", ""), want: "no access token", asked: true},
	{name: "access token that splits a header", knobs: tokenWith("access_token", "a\r\nX: b"), want: "no access token", asked: true},
	{name: "token endpoint down", knobs: func(k *lab.Knobs) { k.FailToken = http.StatusBadGateway }, want: "answered 502", asked: true},
	{name: "error that repeats the code", knobs: func(k *lab.Knobs) {
		k.FailToken, k.FailTokenCode, k.FailTokenDescription = 400, "invalid_grant", "no"
	}, want: "no [redacted]", asked: true},
	{name: "wrong secret", knobs: func(k *lab.Knobs) { k.Clients = map[string]string{"pre": "another"} }, cfg: func(c *oauth.Config) {
		c.ClientID, c.ClientSecret = "pre", secret.New("the secret")
	}, want: "invalid_client", asked: true},
}

func TestSignInRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(tt.knobs)
			c := r.process()
			if tt.cfg != nil {
				c = r.process(tt.cfg)
			}
			err := r.seen(c.SignIn(t.Context()))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "555-1234") || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("shows a stranger's words: %v", err)
			}
			if n := r.as.Counts().Authorizations; (n > 0) != tt.asked {
				t.Errorf("%d authorizations", n)
			}
			if rec := r.stored(); rec.AccessToken != "" || rec.RefreshToken != "" || r.token(c) != "" {
				t.Error("tokens are stored")
			}
		})
	}
}
