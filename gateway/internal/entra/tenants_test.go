package entra_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/shared/entrasim"
)

// pat has a personal account.
const pat = "pat@outlook.example"

// severalTenants makes the simulated application one for several tenants, in a
// world with a personal account.
func severalTenants(o *entrasim.Options) {
	o.Apps[0].MultiTenant = true
	o.Users = append(o.Users, entrasim.User{
		TenantID: entrasim.PersonalTenant, ObjectID: "00000000-0000-0000-6f6f-000000000001", Username: pat, Name: "Pat Person",
	})
}

func TestPeopleOfSeveralTenants(t *testing.T) {
	t.Parallel()
	const refused = "tenant_refused"
	everybody := []string{entrasim.Ada, entrasim.Mallory, pat}
	for name, tt := range map[string]struct {
		tenant  string
		allowed []string
		// want is, for Ada, Mallory and Pat, why they do not come in.
		want [3]string
	}{
		"one organization of all":          {"organizations", []string{entrasim.DemoTenant}, [3]string{"", refused, "access_denied"}},
		"two organizations":                {"organizations", []string{entrasim.DemoTenant, strings.ToUpper(entrasim.OtherTenant)}, [3]string{"", "", "access_denied"}},
		"an organization that is not here": {"Organizations", []string{otherID}, [3]string{refused, refused, "access_denied"}},
		"organizations through common":     {"common", []string{entrasim.DemoTenant}, [3]string{"", refused, refused}},
		"an organization, and persons":     {"common", []string{entrasim.OtherTenant, personalID}, [3]string{refused, "", ""}},
		"persons through common":           {"COMMON", []string{personalID}, [3]string{refused, refused, ""}},
		"persons":                          {"consumers", []string{personalID}, [3]string{"access_denied", "access_denied", ""}},
		"persons, by their tenant":         {personalID, []string{personalID}, [3]string{"access_denied", "access_denied", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulateIn(t, severalTenants, func(c *entra.Config) { c.Tenant, c.AllowedTenants = tt.tenant, tt.allowed })
			for i, choice := range everybody {
				who, err := s.signIn(t.Context(), choice)
				if tt.want[i] != "" {
					wantError(t, err, entra.KindDenied, tt.want[i], "")
				} else if err != nil || who.Username != choice {
					t.Errorf("%s: got %+v, %v", choice, who, err)
				}
			}
		})
	}
}

// The page tells people in plain words, and the audit trail whom it was.
func TestWhoIsOfATenantThatIsNotAllowedIsTold(t *testing.T) {
	t.Parallel()
	s := simulateIn(t, severalTenants, func(c *entra.Config) { c.Tenant, c.AllowedTenants = "common", []string{entrasim.DemoTenant} })
	_, err := s.signIn(t.Context(), entrasim.Mallory)
	got := wantError(t, err, entra.KindDenied, "tenant_refused", "")
	if got.Summary != "Your account belongs to an organization that this gateway does not serve." || !strings.Contains(got.Help, entrasim.OtherTenant) ||
		got.Tenant != entrasim.OtherTenant || got.Object != entrasim.MalloryObject || got.Reason() != "tenant_refused" || got.Everybody() {
		t.Errorf("got %+v", *got)
	}
	_, err = s.signIn(t.Context(), pat)
	if got := wantError(t, err, entra.KindDenied, "tenant_refused", ""); got.Summary != "Personal Microsoft accounts cannot be used at this gateway." {
		t.Errorf("got %q", got.Summary)
	}
}

// A tenant that is taken off the list is out with the next renewal.
func TestRenewIsDeniedToWhoIsNotAllowedAnyLonger(t *testing.T) {
	t.Parallel()
	s := simulateIn(t, severalTenants, func(c *entra.Config) {
		c.Tenant, c.AllowedTenants = "organizations", []string{entrasim.DemoTenant, entrasim.OtherTenant}
	})
	in, err := s.exchange(t.Context(), entrasim.Mallory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Renew(t.Context(), in, time.Now()); err != nil {
		t.Errorf("while the tenant was allowed: %v", err)
	}
	s.cfg.AllowedTenants = []string{entrasim.DemoTenant}
	_, err = newProvider(t, s.cfg).Renew(t.Context(), in, time.Now())
	wantError(t, err, entra.KindDenied, "tenant_refused", "")
}

// severalOf makes the fake an authority for several tenants, with a list of two.
func severalOf(f *fake) entra.Config {
	cfg := f.config()
	cfg.Tenant, cfg.AllowedTenants = "common", []string{tenantID, personalID}
	f.set(&f.document, func(w http.ResponseWriter, _ *http.Request) {
		document := f.metadata()
		document["issuer"] = f.URL + "/{tenantid}/v2.0"
		writeJSON(w, http.StatusOK, document)
	})
	msa := f.jwk("kid-b", keyB())
	msa["issuer"] = f.URL + "/" + personalID + "/v2.0"
	f.set(&f.keySet, keySetOf(f.jwk("kid-a", keyA()), msa))
	return cfg
}

func TestATokenOfSeveralTenantsIsRejected(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key    string
		change func(f *fake, claims map[string]any)
		reason string
	}{
		"its issuer is another tenant":           {"kid-a", func(_ *fake, c map[string]any) { c["tid"] = otherID }, "was issued by"},
		"its issuer is the template":             {"kid-a", func(f *fake, c map[string]any) { c["iss"] = f.URL + "/{tenantid}/v2.0" }, "was issued by"},
		"its tenant and issuer are the template": {"kid-a", func(f *fake, c map[string]any) { c["iss"], c["tid"] = f.URL+"/{tenantid}/v2.0", "{tenantid}" }, "is of tenant"},
		"it has no tenant":                       {"kid-a", func(f *fake, c map[string]any) { c["iss"], c["tid"] = f.URL+"//v2.0", "" }, "is of tenant"},
		"its tenant is in capitals": {"kid-a", func(f *fake, c map[string]any) {
			c["iss"], c["tid"] = f.URL+"/ABCDEF00-2222-4333-8444-555555555555/v2.0", "ABCDEF00-2222-4333-8444-555555555555"
		}, "is of tenant"},
		"its tenant is a domain":                            {"kid-a", func(f *fake, c map[string]any) { c["iss"], c["tid"] = f.URL+"/contoso.example/v2.0", "contoso.example" }, "is of tenant"},
		"another host issued it":                            {"kid-a", func(_ *fake, c map[string]any) { c["iss"] = "https://evil.example/" + tenantID + "/v2.0" }, "was issued by"},
		"the key of persons signed for a firm":              {"kid-b", func(*fake, map[string]any) {}, `key "kid-b" signs for issuer`},
		"the key of firms signed for a person, who says so": {"kid-a", func(_ *fake, c map[string]any) { c["tid"] = personalID }, "was issued by"},
		"it is of a tenant not allowed, and for another sign-in": {"kid-a", func(f *fake, c map[string]any) {
			c["iss"], c["tid"], c["nonce"] = f.URL+"/"+otherID+"/v2.0", otherID, "another"
		}, "nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			p := newProvider(t, severalOf(f))
			claims, key := f.claims(), keyA()
			tt.change(f, claims)
			if tt.key == "kid-b" {
				key = keyB()
			}
			f.set(&f.token, tokenOf(sign(tt.key, jose.RS256, key, claims)))
			_, err := p.Exchange(t.Context(), authCode, request, now)
			wantError(t, err, entra.KindMisconfigured, "id_token_rejected", tt.reason)
		})
	}
}

func TestMetadataOfSeveralTenantsMustBe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ tenant, allowed, issuer string }{
		"one organization answers for all":     {"organizations", tenantID, tenantID},
		"persons answer for all":               {"common", tenantID, personalID},
		"all answer for persons":               {"consumers", personalID, "{tenantid}"},
		"one organization answers for persons": {personalID, personalID, tenantID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.document, func(w http.ResponseWriter, _ *http.Request) {
				document := f.metadata()
				document["issuer"] = f.URL + "/" + tt.issuer + "/v2.0"
				writeJSON(w, http.StatusOK, document)
			})
			cfg := f.config()
			cfg.Tenant, cfg.AllowedTenants = tt.tenant, []string{tt.allowed}
			_, err := newProvider(t, cfg).AuthURL(t.Context(), request)
			wantError(t, err, entra.KindMisconfigured, "protocol_error", "the metadata document is for tenant "+tt.issuer)
		})
	}
}
