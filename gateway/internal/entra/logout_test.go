package entra_test

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/gateway/internal/entra"
)

func TestASignInNamesItsSession(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("s", entra.MaxSession)
	for name, tt := range map[string]struct {
		claim any
		want  string
	}{
		"as Microsoft names one": {claim: "007e3899-e104-731f-b675-0617c1f2dd72", want: "007e3899-e104-731f-b675-0617c1f2dd72"},
		"as others might":        {claim: "Ü b/=?", want: "Ü b/=?"},
		"as long as may be":      {claim: longest, want: longest},
		"longer":                 {claim: longest + "s"},
		"empty":                  {claim: ""},
		"a number":               {claim: 7},
		"a list":                 {claim: []string{"a"}},
		"an object":              {claim: map[string]any{"sid": "a"}},
		"nothing":                {claim: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			claims := f.claims()
			claims["sid"] = tt.claim
			f.set(&f.token, tokenOf(sign("kid-a", jose.RS256, keyA(), claims)))
			in, err := f.provider(t).Exchange(t.Context(), authCode, request, now)
			if err != nil || in.Session != tt.want || in.Object != objectID {
				t.Errorf("got session %q of %q, %v; want %q", in.Session, in.Object, err, tt.want)
			}
		})
	}
}

func TestTenantOfAnIssuer(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	byDomain := f.config()
	byDomain.Tenant = "contoso.example"
	for _, tt := range []struct {
		name, issuer     string
		byGUID, byDomain bool
	}{
		{name: "of the tenant", issuer: f.URL + "/" + tenantID + "/v2.0", byGUID: true, byDomain: true},
		// Which tenant a domain is of only Microsoft knows.
		{name: "of another tenant", issuer: f.URL + "/" + otherID + "/v2.0", byDomain: true},
		{name: "of personal accounts", issuer: f.URL + "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"},
		{name: "of any tenant", issuer: f.URL + "/common/v2.0"},
		{name: "of a template", issuer: f.URL + "/{tenantid}/v2.0"},
		{name: "of the tenant in capitals", issuer: f.URL + "/" + "ABCDEF00-2222-4333-8444-555555555555" + "/v2.0"},
		{name: "of the tenant elsewhere", issuer: "https://evil.example/" + tenantID + "/v2.0"},
		{name: "of a host that begins alike", issuer: f.URL + ".evil.example/" + tenantID + "/v2.0"},
		{name: "of version 1", issuer: "https://sts.windows.net/" + tenantID + "/"},
		{name: "without a version", issuer: f.URL + "/" + tenantID},
		{name: "with a slash more", issuer: f.URL + "/" + tenantID + "/v2.0/"},
		{name: "with a path between", issuer: f.URL + "/x/" + tenantID + "/v2.0"},
		{name: "with a space", issuer: f.URL + "/" + tenantID + "/v2.0 "},
		{name: "the tenant alone", issuer: tenantID},
		{name: "nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check := func(p *entra.Provider, want bool) {
				t.Helper()
				tenant, ok := p.TenantOf(tt.issuer)
				if ok != want || ok != (tenant != "") || !strings.Contains(tt.issuer, tenant) {
					t.Errorf("got %q, %v, want %v", tenant, ok, want)
				}
			}
			check(f.provider(t), tt.byGUID)
			check(newProvider(t, byDomain), tt.byDomain)
		})
	}
	if n := f.documents.Load(); n != 0 {
		t.Errorf("Microsoft was asked %d times", n)
	}
}
