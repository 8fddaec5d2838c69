package app_test

import (
	"net/http"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"mcp-gateway/shared/oauth"
)

// TestAClientThatWeDidNotWriteUsesItsSecret in both ways, and by finding out
// which is its own.
func TestAClientThatWeDidNotWriteUsesItsSecret(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, tt := range []struct {
		name, method string
		style        oauth2.AuthStyle
	}{
		{name: "in the header", method: oauth.AuthMethodSecretBasic, style: oauth2.AuthStyleInHeader},
		{name: "in the body", method: oauth.AuthMethodSecretPost, style: oauth2.AuthStyleInParams},
		{name: "in the header, found out", method: oauth.AuthMethodSecretBasic},
		{name: "in the body, found out", method: oauth.AuthMethodSecretPost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info := g.registerAs(tt.method, serverRedirect)
			client := oauth2.Config{
				ClientID: info.ClientID, ClientSecret: info.ClientSecret, RedirectURL: serverRedirect, Scopes: []string{"mcp", "offline_access"},
				Endpoint: oauth2.Endpoint{AuthURL: g.url + "/authorize", TokenURL: g.url + "/token", AuthStyle: tt.style},
			}
			verifier, b := oauth2.GenerateVerifier(), newBrowser(t)
			b.stopAt = serverRedirect
			consent, _ := b.open(t.Context(), client.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
			microsoft, _ := b.press(t.Context(), consent, "allow")
			_, back := b.press(t.Context(), microsoft, "Ada")
			if back == nil {
				t.Fatal("the sign-in did not return to the client")
			}
			first, err := client.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			stale := *first
			stale.Expiry = time.Now().Add(-time.Minute)
			second, err := client.TokenSource(t.Context(), &stale).Token()
			if err != nil || second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
				t.Fatalf("refresh: %v", err)
			}
			if resp, body := g.callModern(second.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
				t.Errorf("call: %d %s", resp.StatusCode, body)
			}
		})
	}
}
