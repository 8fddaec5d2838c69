package entra_test

import (
	"maps"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/shared/entrasim"
)

func TestGuestsMayBeKeptOut(t *testing.T) {
	t.Parallel()
	const denied, misconfigured = entra.KindDenied, entra.KindMisconfigured
	home := "https://sts.windows.net/" + otherID + "/"
	for name, tt := range map[string]struct {
		claims map[string]any
		kind   entra.Kind // empty: they come in
		code   string
	}{
		"a member":          {claims: map[string]any{"acct": 0}},
		"a member, as text": {claims: map[string]any{"acct": "0"}},
		"a member whose identity provider is their own": {claims: map[string]any{"acct": 0, "idp": "https://sts.windows.net/" + tenantID + "/"}},
		"a guest":                            {map[string]any{"acct": 1}, denied, "guest_refused"},
		"a guest, as text":                   {map[string]any{"acct": "1"}, denied, "guest_refused"},
		"a guest by their home":              {map[string]any{"idp": home}, denied, "guest_refused"},
		"a guest with a personal account":    {map[string]any{"acct": 1, "idp": "live.com"}, denied, "guest_refused"},
		"a member from another organization": {map[string]any{"acct": 0, "idp": home}, denied, "guest_refused"},
		"nobody knows":                       {nil, misconfigured, "acct_missing"},
		"nobody knows, and the identity provider is their own": {map[string]any{"idp": "https://sts.windows.net/" + tenantID + "/"}, misconfigured, "acct_missing"},
		"a kind of account that there is not":                  {map[string]any{"acct": 2}, misconfigured, "acct_missing"},
		"a kind of account that is none":                       {map[string]any{"acct": []int{0}}, misconfigured, "acct_missing"},
		"a kind of account that is empty":                      {map[string]any{"acct": ""}, misconfigured, "acct_missing"},
		"a kind of account that is no":                         {map[string]any{"acct": false}, misconfigured, "acct_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			claims := f.claims()
			maps.Copy(claims, tt.claims)
			f.set(&f.token, tokenOf(sign("kid-a", jose.RS256, keyA(), claims)))
			if _, err := f.provider(t).Exchange(t.Context(), authCode, request, now); err != nil {
				t.Errorf("where guests may come in: %v", err)
			}
			cfg := f.config()
			cfg.DenyGuests = true
			_, err := newProvider(t, cfg).Exchange(t.Context(), authCode, request, now)
			if tt.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if got := wantError(t, err, tt.kind, tt.code, ""); got.Tenant != tenantID || got.Object != objectID {
				t.Errorf("it is about %q of %q", got.Object, got.Tenant)
			}
			delete(claims, "nonce")
			f.set(&f.token, tokenOf(sign("kid-a", jose.RS256, keyA(), claims)))
			_, err = newProvider(t, cfg).Renew(t.Context(), before, now)
			wantError(t, err, tt.kind, tt.code, "")
		})
	}
}

// Nobody is a guest among personal accounts, which have no claim acct.
func TestPersonalAccountsAreNoGuests(t *testing.T) {
	t.Parallel()
	s := simulateIn(t, func(o *entrasim.Options) { severalTenants(o); o.Apps[0].AcctClaim = false }, func(c *entra.Config) {
		c.Tenant, c.AllowedTenants, c.DenyGuests = "common", []string{entrasim.DemoTenant, personalID}, true
	})
	if _, err := s.signIn(t.Context(), pat); err != nil {
		t.Error(err)
	}
	_, err := s.signIn(t.Context(), entrasim.Gus)
	wantError(t, err, entra.KindDenied, "guest_refused", "")
	_, err = s.signIn(t.Context(), entrasim.Ada)
	wantError(t, err, entra.KindMisconfigured, "acct_missing", "")
}
