package entrasim_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
)

const discoveryPath = "/v2.0/.well-known/openid-configuration"

// metadata is what a client reads in a discovery document.
type metadata struct {
	Issuer            string  `json:"issuer"`
	Authorization     string  `json:"authorization_endpoint"`
	Token             string  `json:"token_endpoint"`
	JWKS              string  `json:"jwks_uri"`
	TenantRegionScope *string `json:"tenant_region_scope"`
}

func TestDiscoveryNamesTheTenantAsMicrosoftDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	tests := map[string]struct{ tenant, issuerTenant, endpointTenant string }{
		"by GUID":                {entrasim.DemoTenant, entrasim.DemoTenant, entrasim.DemoTenant},
		"by GUID in upper case":  {strings.ToUpper(entrasim.OtherTenant), entrasim.OtherTenant, entrasim.OtherTenant},
		"by domain":              {entrasim.DemoDomain, entrasim.DemoTenant, entrasim.DemoTenant},
		"by domain in any case":  {"Contoso.Example", entrasim.DemoTenant, entrasim.DemoTenant},
		"common":                 {"common", "{tenantid}", "common"},
		"organizations":          {"organizations", "{tenantid}", "organizations"},
		"consumers":              {"consumers", entrasim.PersonalTenant, "consumers"},
		"the personal tenant id": {entrasim.PersonalTenant, entrasim.PersonalTenant, "consumers"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := w.get("/" + test.tenant + discoveryPath)
			if r.status != http.StatusOK || r.header.Get("Cache-Control") != "max-age=86400, private" || r.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Fatalf("%d %v", r.status, r.header)
			}
			got := decode[metadata](t, r.body)
			root := w.url + "/" + test.endpointTenant
			if got.Issuer != w.url+"/"+test.issuerTenant+"/v2.0" {
				t.Errorf("issuer %q", got.Issuer)
			}
			if got.Authorization != root+"/oauth2/v2.0/authorize" || got.Token != root+"/oauth2/v2.0/token" || got.JWKS != root+"/discovery/v2.0/keys" {
				t.Errorf("endpoints %+v", got)
			}
			if regional := got.TenantRegionScope != nil; regional != (test.issuerTenant != "{tenantid}") {
				t.Errorf("tenant_region_scope is there: %v", regional)
			}
			if keys := w.get(strings.TrimPrefix(got.JWKS, w.url)); keys.status != http.StatusOK {
				t.Errorf("keys: status %d", keys.status)
			}
		})
	}
	w.wantViolations(0, "")
}

// The names and their order are those of a recorded document.
func TestDiscoveryHasTheRecordedMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	want := strings.Fields(`token_endpoint token_endpoint_auth_methods_supported jwks_uri response_modes_supported
		subject_types_supported id_token_signing_alg_values_supported response_types_supported scopes_supported issuer
		request_uri_parameter_supported userinfo_endpoint authorization_endpoint device_authorization_endpoint
		http_logout_supported frontchannel_logout_supported end_session_endpoint claims_supported kerberos_endpoint
		tenant_region_scope cloud_instance_name cloud_graph_host_name msgraph_host rbac_url`)
	r := w.get("/" + entrasim.DemoTenant + discoveryPath)
	if got := members(t, r.body); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.Contains(r.body, "https://") {
		t.Errorf("an address leads away from the simulator: %s", r.body)
	}
}

func TestUnknownTenantsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	wantFailure(t, w.get("/fabrikam.example"+discoveryPath), http.StatusBadRequest, "invalid_tenant", 90002)
	w.wantViolations(1, "fabrikam.example")
	wantFailure(t, w.get("/fabrikam.example/discovery/v2.0/keys"), http.StatusBadRequest, "invalid_request", 90002)
	wantFailure(t, w.exchange("fabrikam.example", "1.x", nil), http.StatusBadRequest, "invalid_request", 90002)
	w.wantViolations(3, "AADSTS90002")
}

// Microsoft's own libraries ask it of a host before they trust it.
func TestInstanceDiscoveryKnowsThisHostAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ask := func(set map[string]string) reply {
		return w.get("/common/discovery/instance?" + with(url.Values{
			"api-version": {"1.1"}, "authorization_endpoint": {w.url + "/" + entrasim.DemoDomain + "/oauth2/v2.0/authorize"},
		}, set).Encode())
	}
	r := ask(nil)
	host := strings.TrimPrefix(w.url, "http://")
	want := `{"tenant_discovery_endpoint":"` + w.url + "/" + entrasim.DemoTenant + discoveryPath + `","api-version":"1.1",` +
		`"metadata":[{"preferred_network":"` + host + `","preferred_cache":"` + host + `","aliases":["` + host + `"]}]}`
	if r.status != http.StatusOK || r.body != want {
		t.Errorf("got %d %s, want %s", r.status, r.body, want)
	}
	w.wantViolations(0, "")
	for name, test := range map[string]struct {
		set       map[string]string
		code      string
		aadsts    int
		violation string
	}{
		"another host":    {map[string]string{"authorization_endpoint": "https://login.evil.example/common/oauth2/v2.0/authorize"}, "invalid_instance", 50049, "evil"},
		"another scheme":  {map[string]string{"authorization_endpoint": "https://" + host + "/common/oauth2/v2.0/authorize"}, "invalid_instance", 50049, "https"},
		"no address":      {map[string]string{"authorization_endpoint": "http://["}, "invalid_instance", 50049, "http://["},
		"nothing":         {map[string]string{"authorization_endpoint": ""}, "invalid_request", 900144, "authorization_endpoint"},
		"no version":      {map[string]string{"api-version": ""}, "invalid_request", 900144, "api-version"},
		"an unknown name": {map[string]string{"tenant": "x"}, "invalid_request", 9002313, "tenant"},
		"unknown tenant":  {map[string]string{"authorization_endpoint": w.url + "/fabrikam.example/oauth2/v2.0/authorize"}, "invalid_request", 90002, "fabrikam"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.sim.Violations())
			wantFailure(t, ask(test.set), http.StatusBadRequest, test.code, test.aadsts)
			w.wantViolations(before+1, test.violation)
		})
	}
}

func TestWhatIsNotSimulatedIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i, path := range []string{"/", "/oidc/userinfo", "/" + entrasim.DemoTenant + "/oauth2/v2.0/devicecode"} {
		if r := w.get(path); r.status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, r.status)
		}
		w.wantViolations(i+1, path)
	}
	if r := w.get("/favicon.ico"); r.status != http.StatusNotFound {
		t.Errorf("favicon: status %d", r.status)
	}
	w.wantViolations(3, "")
}

func TestConfiguredBaseURLStandsEverywhere(t *testing.T) {
	t.Parallel()
	const base = "https://login.microsoftonline.com"
	w := newWorld(t, func(o *entrasim.Options) { o.BaseURL = base })
	req := w.request(http.MethodGet, "/"+entrasim.DemoTenant+discoveryPath, "", "")
	req.Host = "login.microsoftonline.com"
	if got := decode[metadata](t, w.do(req).body); got.Issuer != base+"/"+entrasim.DemoTenant+"/v2.0" {
		t.Errorf("issuer %q", got.Issuer)
	}
	if got := payload(t, w.login(entrasim.Ada, nil).IDToken); got["iss"] != base+"/"+entrasim.DemoTenant+"/v2.0" {
		t.Errorf("iss %v", got["iss"])
	}
}
