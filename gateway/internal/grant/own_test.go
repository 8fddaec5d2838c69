package grant_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/grant"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// always says that a request comes from this client.
type always client.Client

func (c always) Authenticate(context.Context, client.Credentials, time.Time) (client.Client, error) {
	return client.Client(c), nil
}

// refusing is a store in which the client was disabled since it was let in.
type refusing struct{ *token.Service }

func (refusing) IssueOwn(context.Context, store.Grant, *store.Event, time.Time) (token.Issued, error) {
	return token.Issued{}, store.ErrDisabled
}

// TestWhoeverWasLetInMustStillBeAllowed: what no configuration lets through is
// refused here too.
func TestWhoeverWasLetInMustStillBeAllowed(t *testing.T) {
	t.Parallel()
	ci := client.Client{ID: "ci", Known: true, AuthMethod: oauth.AuthMethodSecretBasic, GrantTypes: []string{"client_credentials"}}
	public, stranger, other := ci, ci, ci
	public.AuthMethod, stranger.Known, other.GrantTypes = oauth.AuthMethodNone, false, []string{"authorization_code"}
	for name, tt := range map[string]struct {
		client     client.Client
		served     bool
		code, says string
	}{
		"a public client":                         {public, true, oauth.CodeUnauthorizedClient, "only a client with a secret or a key, which the administrator registered, acts for itself"},
		"a client that registered itself":         {stranger, true, oauth.CodeUnauthorizedClient, "only a client with a secret or a key, which the administrator registered, acts for itself"},
		"a client without the grant type":         {other, true, oauth.CodeUnauthorizedClient, "the client did not register this grant type"},
		"a client that was disabled meanwhile":    {ci, true, oauth.CodeUnauthorizedClient, "this gateway does not let this client in; ask its administrator"},
		"a gateway that does not serve the grant": {ci, false, oauth.CodeUnsupportedGrantType, "grant_type is none of those in the server metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			d := grant.NewDispatcher(grant.Config{ClientCredentials: tt.served, Clients: always(tt.client), Tokens: refusing{}, Logger: slog.New(slog.DiscardHandler)})
			got, err := d.Exchange(t.Context(), grant.Request{GrantType: "client_credentials", Client: client.Credentials{ID: "ci"}}, time.Now())
			refusal, ok := errors.AsType[*oauth.Error](err)
			if !ok || refusal.Code != tt.code || refusal.Description != tt.says || got != (oauth.TokenResponse{}) {
				t.Errorf("answered %+v, refused with %v, want %s: %s", got, err, tt.code, tt.says)
			}
		})
	}
}
