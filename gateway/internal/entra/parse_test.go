package entra

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/store"
)

// What Microsoft's documents and tokens say is checked from outside the
// package; here the parsers are given anything at all.

func FuzzParseKeys(f *testing.F) {
	const n = "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw"
	f.Add([]byte(`{"keys":[{"kty":"RSA","use":"sig","kid":"a","e":"AQAB","n":"` + n + `","issuer":"https://login.microsoftonline.com/{tenantid}/v2.0"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"b"},{"kty":"oct","k":""},{"kty":"RSA","kid":"c","n":"","e":""},7,null]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeys(body)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("got %d keys and error %v", len(keys), err)
		}
		for _, key := range keys {
			if key.id == "" || key.public.N.BitLen() < minKeyBits {
				t.Errorf("got key %q of %d bits", key.id, key.public.N.BitLen())
			}
		}
	})
}

func FuzzParseEndpoints(f *testing.F) {
	const base, tenant = "https://login.microsoftonline.com", "11111111-2222-4333-8444-555555555555"
	const good = `{"issuer":"` + base + `/` + tenant + `/v2.0","authorization_endpoint":"` + base + `/a","token_endpoint":"` + base + `/t","jwks_uri":"` + base + `/k"}`
	f.Add([]byte(good), tenant)
	f.Add([]byte(good), "contoso.example")
	f.Add([]byte(strings.ReplaceAll(good, tenant, "{tenantid}")), "contoso.example")
	f.Add([]byte(strings.ReplaceAll(good, base+"/t", base+"@evil.example/t")), tenant)
	f.Add([]byte(`[]`), tenant)
	authority, err := url.Parse(base)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, tenant string) {
		got, err := parseEndpoints(body, authority, tenant)
		if err != nil {
			return
		}
		if got.issuer != base+"/"+got.tenant+"/v2.0" || !isGUID(got.tenant) || isGUID(tenant) && got.tenant != tenant {
			t.Errorf("accepted issuer %q for %q", got.issuer, tenant)
		}
		for _, endpoint := range []string{got.authorize, got.token, got.keys} {
			// Scheme and host may be in capitals; nothing else may come before the path.
			if len(endpoint) < len(base) || !strings.EqualFold(endpoint[:len(base)], base) ||
				!strings.ContainsRune("/?", rune((endpoint + "/")[len(base)])) {
				t.Errorf("accepted endpoint %q", endpoint)
			}
		}
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte(`{"tid":"t","oid":"O","name":"Ada\u202e","roles":["a",""],"groups":["11111111-2222-4333-8444-555555555555","x"],"acct":"1"}`))
	f.Add([]byte(`{"hasgroups":"true","groups":["11111111-2222-4333-8444-555555555555"],"idp":"live.com"}`))
	f.Add([]byte(`{"_claim_names":{"groups":"src1"},"acct":1}`))
	f.Add([]byte(`{"hasgroups":null,"acct":{},"nbf":1e300}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var c claims
		if json.Unmarshal(payload, &c) != nil {
			return
		}
		who := c.identity("https://login.microsoftonline.com/t/v2.0")
		if who.GroupsUnknown && who.Groups != nil || len(who.Groups) > maxEntries || len(who.Roles) > maxEntries {
			t.Errorf("got %d groups (unknown: %v) and %d roles", len(who.Groups), who.GroupsUnknown, len(who.Roles))
		}
		// What is stored must come back as it was.
		data, err := json.Marshal(who)
		if err != nil {
			t.Fatal(err)
		}
		var again store.Identity
		if err := json.Unmarshal(data, &again); err != nil {
			t.Fatal(err)
		}
		if display(again.Name) != who.Name || display(again.Username) != who.Username {
			t.Errorf("name %q is not safe to show", who.Name)
		}
	})
}

// Every piece of advice can be an error_description (RFC 6749 §4.1.2.1) and
// tells the person or an administrator what to do.
func TestAdviceIsUsable(t *testing.T) {
	t.Parallel()
	for number, a := range advices {
		bad := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
		if a.summary == "" || strings.ContainsFunc(a.summary, bad) || !strings.HasSuffix(a.summary, ".") || !strings.HasSuffix(a.help, ".") {
			t.Errorf("AADSTS%d: summary %q, help %q", number, a.summary, a.help)
		}
	}
}
