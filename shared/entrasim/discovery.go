package entrasim

import (
	"encoding/json"
	"net/http"
)

// templateTenant stands in the issuer wherever the tenant depends on who signs
// in: in the documents of common and organizations, and on most keys.
const templateTenant = "{tenantid}"

func issuer(base, tenantID string) string { return base + "/" + tenantID + "/v2.0" }

// document has the members of Microsoft's discovery document in its order.
// Absent, as they are there: code_challenge_methods_supported,
// registration_endpoint, revocation_endpoint, grant_types_supported.
type document struct {
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	JWKSURI               string   `json:"jwks_uri"`
	ResponseModes         []string `json:"response_modes_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	Scopes                []string `json:"scopes_supported"`
	Issuer                string   `json:"issuer"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	HTTPLogout            bool     `json:"http_logout_supported"`
	FrontchannelLogout    bool     `json:"frontchannel_logout_supported"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	Claims                []string `json:"claims_supported"`
	KerberosEndpoint      string   `json:"kerberos_endpoint"`
	TenantRegionScope     *string  `json:"tenant_region_scope"`
	CloudInstanceName     string   `json:"cloud_instance_name"`
	CloudGraphHostName    string   `json:"cloud_graph_host_name"`
	GraphHost             string   `json:"msgraph_host"`
	RBACURL               string   `json:"rbac_url"`
}

// discovery is the metadata of an authority (OpenID Connect Discovery 1.0 §4).
func (s *Sim) discovery(w http.ResponseWriter, r *http.Request) {
	if o, ok := s.take(discoveryEndpoint); ok {
		s.divert(w, r, o)
		return
	}
	at, f := s.dir.authority(r.PathValue("tenant"))
	if f != nil {
		f.oauth = "invalid_tenant" // only here; the token endpoint says invalid_request
		s.writeFailure(w, r, f)
		return
	}
	base := s.authorityURL(r)
	root := base + "/" + at.segment
	tenantID, region := at.tenantID, new("WW")
	if tenantID == "" {
		tenantID, region = templateTenant, nil
	}
	writeCacheable(w, r, document{
		TokenEndpoint:         root + "/oauth2/v2.0/token",
		TokenAuthMethods:      []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		JWKSURI:               root + "/discovery/v2.0/keys",
		ResponseModes:         []string{"query", "fragment", "form_post"},
		SubjectTypes:          []string{"pairwise"},
		SigningAlgorithms:     []string{"RS256"},
		ResponseTypes:         []string{"code", "id_token", "code id_token", "id_token token"},
		Scopes:                []string{"openid", "profile", "email", "offline_access"},
		Issuer:                issuer(base, tenantID),
		AuthorizationEndpoint: root + "/oauth2/v2.0/authorize",
		EndSessionEndpoint:    root + "/oauth2/v2.0/logout",
		HTTPLogout:            true,
		FrontchannelLogout:    true,
		Claims: []string{
			"sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host", "aud", "exp",
			"iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email",
		},
		TenantRegionScope:  region,
		CloudInstanceName:  "microsoftonline.com",
		CloudGraphHostName: "graph.windows.net",
		GraphHost:          "graph.microsoft.com",
		// The rest is not simulated. It stays on this authority, where a caller
		// is answered 404 and recorded, and never reaches the real Microsoft.
		UserinfoEndpoint: base + "/oidc/userinfo",
		DeviceEndpoint:   root + "/oauth2/v2.0/devicecode",
		KerberosEndpoint: root + "/kerberos",
		RBACURL:          base + "/rbac",
	})
}

// writeCacheable answers with a public document.
func writeCacheable(w http.ResponseWriter, r *http.Request, v any) {
	h := w.Header()
	h.Set("Cache-Control", "max-age=86400, private")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, OPTIONS")
	writeJSON(w, r, http.StatusOK, v)
}

// writeJSON answers a program, with the headers that Microsoft sends on
// everything (HSTS excepted: on localhost it would bind every other server).
func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	commonHeaders(h, r)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store, no-cache")
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	for _, cookie := range []string{"fpc=" + newGUID() + "; path=/; HttpOnly", "x-ms-gateway-slice=estsfd; path=/; HttpOnly", "stsservicecookie=estsfd; path=/; HttpOnly"} {
		h.Add("Set-Cookie", cookie)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func commonHeaders(h http.Header, r *http.Request) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("P3P", `CP="DSP CUR OTPi IND OTRi ONL FIN"`)
	h.Set("x-ms-request-id", traceOf(r).id)
	h.Set("x-ms-ests-server", "2.1.0 - SIM ProdSlices")
}
