package config_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/config"
)

func TestRefusedValues(t *testing.T) {
	t.Parallel()
	const proxies = "trusted_proxies: [10.0.0.0/8]\n"
	const several = "microsoft: {tenant_id: organizations, allowed_tenants: [" + tenantID + ", " + someID + "]}\n"
	for _, tt := range []struct{ name, lines, want string }{
		// public_url
		{"no scheme", "public_url: mcp.example.com", "public_url: does not start with https://"},
		{"another scheme", "public_url: ftp://mcp.example.com", "public_url: does not start with https://"},
		{"a host and port that look like a scheme", "public_url: localhost:8788", "public_url: does not start with https://"},
		{"a space", "public_url: https://mcp example.com", "public_url: is not a URL"},
		{"plain http to another host", "public_url: http://mcp.example.com", "public_url: is http, and only a loopback host may be: tokens would cross the network in the clear"},
		{"plain http to a name that begins like loopback", "public_url: http://localhost.example.com", "public_url: is http, and only a loopback host may be: tokens would cross the network in the clear"},
		{"a path", "public_url: https://mcp.example.com/mcp", "public_url: has a path"},
		{"a query", "public_url: https://mcp.example.com?x=1", "public_url: has a query or a fragment"},
		{"an empty query", "public_url: https://mcp.example.com?", "public_url: has a query or a fragment"},
		{"an empty fragment", "public_url: https://mcp.example.com/#", "public_url: has a query or a fragment"},
		{"a user name", "public_url: https://a@mcp.example.com", "public_url: holds a user name"},
		{"no host", "public_url: https://", "public_url: is not a host with an optional port"},
		{"no host and a port", "public_url: https://:8443", "public_url: is not a host with an optional port"},
		{"a port that is none", "public_url: https://mcp.example.com:0", "public_url: is not a host with an optional port"},
		{"a port with a zero before it", "public_url: https://mcp.example.com:0443", "public_url: is not a host with an optional port"},
		{"a name that ends with a dot", "public_url: https://mcp.example.com.", "public_url: is not a host with an optional port"},
		{"a name in Unicode", "public_url: https://mcp.exämple.com", "public_url: is not a host with an optional port"},
		{"an address that browsers spell otherwise", "public_url: https://127.1", "public_url: is not a host with an optional port"},
		{"every address", "public_url: https://0.0.0.0", "public_url: is not a host with an optional port"},
		{"a wildcard", "public_url: https://*.example.com", "public_url: has a wildcard, and only whole names are compared"},
		{"IPv4 in IPv6 form", "public_url: 'https://[::ffff:1.2.3.4]'", "public_url: is not a host with an optional port"},
		{"an empty text", "public_url: ''", "public_url: is empty"},

		// listen, tls, trusted_proxies
		{"a port alone", "listen: 8788", "listen: is not address:port"},
		{"a name", "listen: mcp.example.com:8788", "listen: is not address:port"},
		{"a port by name", "listen: 127.0.0.1:http", "listen: is not address:port"},
		{"a port that is too large", "listen: 127.0.0.1:65536", "listen: is not address:port"},
		{"https and nothing that ends TLS", "public_url: https://mcp.example.com", "public_url: is https, and nothing ends TLS"},
		{"the network without TLS", "public_url: http://localhost:8788\nlisten: :8788", "@3 listen: accepts connections from the network without TLS"},
		{"http and a certificate", "public_url: http://localhost:8788\ntls: {certificate_file: /c, key_file: /k}", "public_url: is http, and tls says that the gateway serves https"},
		{"a certificate alone", "tls: {certificate_file: /c}", "tls.certificate_file: there is no tls.key_file for it"},
		{"a key alone", "tls: {key_file: /k}", "tls.key_file: there is no tls.certificate_file for it"},
		{"a proxy and no public_url", proxies, "@0 public_url: is missing"},
		{"any port and no public_url", "listen: 127.0.0.1:0", "@0 public_url: is missing"},
		{"the network and no public_url", "listen: 0.0.0.0:1\ntls: {certificate_file: /c, key_file: /k}", "@0 public_url: is missing"},
		{"a proxy by name", "trusted_proxies: [proxy.example.com]", "trusted_proxies: is not a network"},
		{"a network with a zone", "trusted_proxies: ['fe80::1%eth0/64']", "trusted_proxies: is not a network"},
		{"one proxy, not a list", "trusted_proxies: 10.0.0.0/8", "trusted_proxies: is a list"},
		{"everybody in IPv6", "trusted_proxies: ['::/0']", "trusted_proxies: trusts everybody: any client could then choose the address it is counted and logged under"},
		{"an IPv4 network in IPv6 form", "trusted_proxies: ['::ffff:10.0.0.0/104']", "trusted_proxies: is an IPv4 address in IPv6 form"},
		{"an IPv4 address in IPv6 form", "trusted_proxies: ['::ffff:10.0.0.1']", "trusted_proxies: is an IPv4 address in IPv6 form"},
		{"a list in a list", "trusted_proxies: [[10.0.0.0/8]]", "trusted_proxies: is one value, not several"},
		{"an entry without a value", "trusted_proxies: [~]", "trusted_proxies: has an entry without a value"},

		// lifetimes and bounds
		{"a number without a unit", "tokens: {code_lifetime: 60}", `tokens.code_lifetime: "60" is not a duration`},
		{"a code that ends at once", "tokens: {code_lifetime: 9s}", "tokens.code_lifetime: 9s is less than 10s"},
		{"a code that lives long", "tokens: {code_lifetime: 601s}", "tokens.code_lifetime: 601s is more than 10m: a client redeems its code at once (RFC 6749 §4.1.2: at most 10 minutes)"},
		{"an access token that lives long", "tokens: {access_lifetime: 61m}", "tokens.access_lifetime: 61m is more than 1h: clients refresh by themselves, and a stolen token works until it ends (RFC 6750 §5.3: one hour or less)"},
		{"a negative lifetime", "tokens: {refresh_grace: -1s}", "tokens.refresh_grace: -1s is less than 0s"},
		{"an idle limit beyond the absolute one", "tokens: {refresh_idle: 48h, refresh_absolute: 24h}", "tokens.refresh_idle: is longer than tokens.refresh_absolute, which ends it"},
		{"an absolute limit below the idle default", "tokens: {refresh_absolute: 24h}", "tokens.refresh_absolute: is shorter than tokens.refresh_idle, which ends with it"},
		{"a check once a week", "microsoft: {recheck_interval: 168h}", "microsoft.recheck_interval: 168h is more than 24h: somebody who left the company keeps access until Microsoft is asked again"},
		{"a grace of a week", "microsoft: {outage_grace: 168h}", "microsoft.outage_grace: 168h is more than 24h: while Microsoft does not answer, nobody knows who has left the company"},
		{"a check in the past", "microsoft: {recheck_interval: -1h}", "microsoft.recheck_interval: -1h is less than 0s"},
		{"a Graph with a path", "microsoft: {graph_url: 'https://graph.microsoft.us/v1.0'}", "microsoft.graph_url: has a path"},
		{"a Graph on http", "microsoft: {graph_url: 'http://graph.example'}", "microsoft.graph_url: is http: access tokens would cross the network in the clear"},
		{"groups in an unknown cloud", "microsoft: {authority_host: 'https://login.cloud.example'}\naccess: [{name: engineers, groups: [11111111-2222-3333-4444-555555555555], tools: [x]}]",
			"@0 microsoft.graph_url: is missing: the rule engineers names groups, and where Microsoft Graph is in this cloud is not known"},
		{"every organization", "microsoft: {tenant_id: Common}", "@0 microsoft.allowed_tenants: is missing: tenant_id stands for every organization in the world"},
		{"every organization, and an empty list", "microsoft: {tenant_id: organizations, allowed_tenants: []}", "microsoft.allowed_tenants: is missing: tenant_id stands for every organization in the world"},
		{"every personal account", "microsoft: {tenant_id: consumers}", "@0 microsoft.allowed_tenants: is missing: tenant_id stands for every personal account in the world"},
		{"every personal account, by their tenant", "microsoft: {tenant_id: 9188040D-6C67-4C5B-B112-36A304B66DAD}", "@0 microsoft.allowed_tenants: is missing: tenant_id stands for every personal account in the world"},
		{"a list for one tenant", "microsoft: {tenant_id: contoso.example, allowed_tenants: [" + tenantID + "]}", "microsoft.allowed_tenants: is for a tenant_id that stands for several, and this one is a single directory"},
		{"any tenant", "microsoft: {tenant_id: organizations, allowed_tenants: ['*']}", "microsoft.allowed_tenants: holds what is not the id of a tenant"},
		{"a tenant by its domain", "microsoft: {tenant_id: organizations, allowed_tenants: [contoso.example]}", "microsoft.allowed_tenants: holds what is not the id of a tenant"},
		{"personal accounts through organizations", "microsoft: {tenant_id: organizations, allowed_tenants: [" + tenantID + ", 9188040d-6c67-4c5b-b112-36a304b66dad]}",
			"microsoft.allowed_tenants: has the tenant of personal accounts, which cannot sign in through organizations"},
		{"an organization through consumers", "microsoft: {tenant_id: consumers, allowed_tenants: [" + tenantID + "]}", "microsoft.allowed_tenants: has an organization, whose people cannot sign in through consumers"},
		{"an end that is no day", "microsoft: {client_secret_expires: soon}", "microsoft.client_secret_expires: is not a day"},
		{"an end with a time", "microsoft: {client_secret_expires: 2027-03-31T12:00:00Z}", "microsoft.client_secret_expires: is not a day"},
		{"an end on a day that there is not", "microsoft: {client_secret_expires: 2027-02-29}", "microsoft.client_secret_expires: is not a day"},
		{"some guests", "microsoft: {guests: some}", `microsoft.guests: "some" is not one of its values`},
		{"guests as YAML 1.1 says no", "microsoft: {guests: no}", `microsoft.guests: "no" is not one of its values`},
		{"a size with a unit", "http: {max_body_bytes: 4MiB}", `http.max_body_bytes: "4MiB" is not a whole number`},
		{"a size in hexadecimal", "http: {max_body_bytes: 0x400000}", `http.max_body_bytes: "0x400000" is not a whole number`},
		{"a size with underscores", "http: {max_body_bytes: 4_194_304}", `http.max_body_bytes: "4_194_304" is not a whole number`},
		{"a body that fills the memory", "http: {max_body_bytes: 67108865}", "http.max_body_bytes: 67108865 is more than 67108864: a request is held in memory while it is checked"},
		{"no calls", "http: {max_concurrent_calls: 0}", "http.max_concurrent_calls: 0 is less than 1"},
		{"a rate of nothing", "http: {rates: {token: {per_minute: 0}}}", "http.rates.token.per_minute: 0 is less than 1"},
		{"a rate that is a number", "http: {rates: {token: 5}}", "http.rates.token: is a section, not a value"},
		{"a number beyond all numbers", "http: {rates: {token: {burst: 99999999999999999999}}}", `http.rates.token.burst: "99999999999999999999" is not a whole number`},

		// hosts and origins
		{"a host with a scheme", "http: {allowed_hosts: ['https://a.example']}", "http.allowed_hosts: is not a host with an optional port"},
		{"any host", "http: {allowed_hosts: ['*']}", "http.allowed_hosts: has a wildcard, and only whole names are compared"},
		{"any origin", "http: {allowed_origins: ['*']}", "http.allowed_origins: would let any web page use the gateway in the name of whoever opens it"},
		{"the null origin", "http: {allowed_origins: ['null']}", "http.allowed_origins: would let any web page use the gateway in the name of whoever opens it"},
		{"an http origin", "http: {allowed_origins: ['http://a.example']}", "http.allowed_origins: is http: anybody on the way can change such a page"},
		{"an origin with a path", "http: {allowed_origins: ['https://a.example/x']}", "http.allowed_origins: has a path"},

		// log
		{"a level in capitals", "log: {level: DEBUG}", `log.level: "DEBUG" is not one of its values`},
		{"an unknown format", "log: {format: xml}", `log.format: "xml" is not one of its values`},

		// access
		{"rules that are a mapping", "access: {name: a}", "access: is a list of rules"},
		{"a rule without a name", "access: [{roles: [R], tools: [x]}]", "access: the rule has no name"},
		{"a rule for nobody", "access: [{name: a, tools: [x]}]", "access: the rule is for nobody"},
		{"a rule for no tool", "access: [{name: a, roles: [R]}]", "access: the rule allows no tool"},
		{"one role, not a list", "access: [{name: a, roles: R, tools: [x]}]", "access.roles: is a list"},
		{"a name that is too long", "access: [{name: " + strings.Repeat("ä", 101) + ", roles: [R], tools: [x]}]", "access.name: is not 1 to 100 characters on one line"},
		{"a name of two lines", `access: [{name: "a\nb", roles: [R], tools: [x]}]`, "access.name: is not 1 to 100 characters on one line"},
		{"a user with an empty tenant", "access: [{name: a, users: [/" + someID + "], tools: [x]}]", `access.users: "/` + someID + `" is not the object id of a user`},
		{"a role of a tenant and nothing else", "access: [{name: a, roles: [" + tenantID + "/], tools: [x]}]", `access.roles: "` + tenantID + `/" is not the value of an app role`},
		{"a group of a domain", "access: [{name: a, groups: [contoso.example/" + someID + "], tools: [x]}]", `access.groups: "contoso.example/` + someID + `" is not the object id of a group`},
		{"a role that any of several tenants gives", several + "access: [{name: a, roles: [" + tenantID + "/R, S], tools: [x]}]", "@3 access: the rule a does not say of which tenant its roles are, and each gives its own people groups and roles"},
		{"a role of a tenant that is not allowed", several + "access: [{name: a, roles: [" + clientID + "/R], tools: [x]}]", "@3 access: the rule a does not say of which tenant its roles are, and each gives its own people groups and roles"},
		{"a group of any of several tenants", several + "access: [{name: a, groups: [" + someID + "], tools: [x]}]", "@3 access: the rule a does not say of which tenant its groups are, and each gives its own people groups and roles"},
		{"a user of any of several tenants", several + "access: [{name: a, users: [" + someID + "], tools: [x]}]", "@3 access: the rule a does not say of which tenant its users are, and each gives its own people groups and roles"},
		{"an empty role", "access: [{name: a, roles: [''], tools: [x]}]", `access.roles: "" is not the value of an app role`},
		{"a pattern of tenants", "access: [{name: a, tenants: ['9*'], tools: [x]}]", `access.tenants: "9*" is not the id of a tenant`},
		{"every group", "access: [{name: a, groups: ['*'], tools: [x]}]", `access.groups: "*" is not the object id of a group`},
		{"a tool with a space", "access: [{name: a, roles: [R], tools: ['a b']}]", `access.tools: "a b" is not a tool name or a pattern of one`},

		// clients
		{"a mode that there is not", "clients: {registration: allow}", `clients.registration: "allow" is not one of its values`},
		{"documents from listed hosts, and no list", "clients: {documents: listed}", "clients.documents: is listed, and clients.document_hosts lists nothing"},
		{"hosts that nothing reads", "clients: {redirect_hosts: [claude.ai]}", "clients.redirect_hosts: has no effect, since clients.registration is open"},
		{"a host with a scheme", "clients: {registration: listed, redirect_hosts: ['https://claude.ai']}", `clients.redirect_hosts: "https://claude.ai" is not a host`},
		{"every host", "clients: {registration: listed, redirect_hosts: ['*']}", `clients.redirect_hosts: "*" is not a host`},
		{"every host of a top-level domain", "clients: {registration: listed, redirect_hosts: ['*.com']}", `clients.redirect_hosts: "*.com" is not a host`},
		{"a star within a host", "clients: {registration: listed, redirect_hosts: ['a*.example.com']}", `clients.redirect_hosts: "a*.example.com" is not a host`},
		{"a truth that is a number", "clients: {private_use_redirects: 1}", `clients.private_use_redirects: "1" is neither true nor false`},
		{"a proxy without a scheme", "clients: {proxy: 'proxy.example.com:3128'}", "clients.proxy: does not start with https://"},
		{"a client that signs in devices where none is served", "registered_clients: [{id: a, name: a, grant_types: ['urn:ietf:params:oauth:grant-type:device_code'], auth_method: none}]", "registered_clients: has a client with the grant type of devices, which is not served: a"},
		{"a client for devices with an address that nobody comes to", "clients: {device_sign_in: true}\nregistered_clients: [{id: a, name: a, grant_types: ['urn:ietf:params:oauth:grant-type:device_code'], redirect_uris: [https://a.example/], auth_method: none}]", "@3 registered_clients: the client has redirect_uris, and nobody signs in through it"},
		{"clients that are a mapping", "registered_clients: {id: a}", "registered_clients: is a list of clients"},
		{"a client without an id", "registered_clients: [{name: a, redirect_uris: [https://a.example/], auth_method: none}]", "registered_clients: the client has no id"},
		{"a client without a method", "registered_clients: [{id: a, name: a, redirect_uris: [https://a.example/]}]", "registered_clients: the client has no auth_method"},
		{"a client with another's kind of id", "registered_clients: [{id: mcpc_a, name: a, redirect_uris: [https://a.example/], auth_method: none}]", `registered_clients.id: "mcpc_a" is not an id for the configuration`},
		{"a client that is a URL", "registered_clients: [{id: 'https://a.example/c', name: a, redirect_uris: [https://a.example/], auth_method: none}]", `registered_clients.id: "https://a.example/c" is not an id for the configuration`},
		{"a client at a remote http address", "registered_clients: [{id: a, name: a, redirect_uris: [http://a.example/], auth_method: none}]", "registered_clients.redirect_uris: must be https, unless its host is localhost, 127.0.0.1 or [::1]"},
		{"a client whose secret is in the file", "registered_clients: [{id: a, name: a, redirect_uris: [https://a.example/], auth_method: client_secret_post, secret: " + canary + "}]", "registered_clients.secret: does not belong in this file, because it is secret"},
		{"a client without its secret", "registered_clients: [{id: a, name: a, redirect_uris: [https://a.example/], auth_method: client_secret_post}]", "registered_clients: the client has no secret_file, which client_secret_post needs"},
		{"a client with a secret of no use", "registered_clients: [{id: a, name: a, redirect_uris: [https://a.example/], auth_method: none, secret_file: /long-secret}]", "registered_clients: the client has a secret_file, which none does not use"},
		{"a client with a secret that is short", "registered_clients: [{id: a, name: a, redirect_uris: [https://a.example/], auth_method: client_secret_basic, secret_file: /short-secret}]", "registered_clients.secret_file: the file does not hold 22 or more ASCII characters without white space, % and +"},
		{"a client with keys and no method for them", "registered_clients: [{id: a, name: a, redirect_uris: [https://a.example/], auth_method: none, jwks_uri: https://a.example/k}]", "registered_clients: the client must have jwks_uri for private_key_jwt, and only then"},
		{"a client with keys over http", "registered_clients: [{id: a, name: a, redirect_uris: [https://a.example/], auth_method: private_key_jwt, jwks_uri: http://a.example/k}]", "registered_clients.jwks_uri: is not an https address"},
		{"two clients of one id", "registered_clients: [&c {id: a, name: a, redirect_uris: [https://a.example/], auth_method: none}, {id: a, name: b, redirect_uris: [https://a.example/], auth_method: none}]", "registered_clients: there is a client of the same id on line 2"},
		{"a client without an address to be answered at", "registered_clients: [{id: a, name: a, auth_method: none}]", "registered_clients: the client has no redirect_uris"},
		{"a client with a grant type that there is not", "registered_clients: [{id: a, name: a, grant_types: [password], redirect_uris: [https://a.example/], auth_method: none}]", `registered_clients.grant_types: "password" is not one of its values`},
		{"a client without any grant type", "registered_clients: [{id: a, name: a, grant_types: [], redirect_uris: [https://a.example/], auth_method: none}]", "registered_clients.grant_types: is an empty list"},
		{"a client that anybody can be and that acts for itself", "registered_clients: [{id: a, name: a, grant_types: [client_credentials], auth_method: none}]", "registered_clients: the client has client_credentials and nothing to prove that it is itself"},
		{"a client with nothing to refresh", "registered_clients: [{id: a, name: a, grant_types: [client_credentials, refresh_token], auth_method: client_secret_basic, secret_file: /long-secret}]", "registered_clients: the client has refresh_token without authorization_code, with which it would get one"},
		{"a client that people cannot come back to", "registered_clients: [{id: a, name: a, grant_types: [authorization_code, client_credentials], auth_method: client_secret_basic, secret_file: /long-secret}]", "registered_clients: the client has authorization_code and no redirect_uris"},
		{"a client with an address that nobody comes to", "registered_clients: [{id: a, name: a, grant_types: [client_credentials], redirect_uris: [https://a.example/], auth_method: client_secret_basic, secret_file: /long-secret}]", "registered_clients: the client has redirect_uris, and nobody signs in through it"},
		{"a client with scopes that people are asked for", "registered_clients: [{id: a, name: a, scopes: [b], redirect_uris: [https://a.example/], auth_method: none}]\nscopes: [{name: b, description: b, tools: [x]}]", "registered_clients: the client has scopes, which are for client_credentials; what people give it they are asked for"},
		{"a client with a scope that there is not", "registered_clients: [{id: a, name: a, grant_types: [client_credentials], scopes: [b], auth_method: client_secret_basic, secret_file: /long-secret}]", "registered_clients: has the client a with a scope that there is not: b"},
		{"a client that stays signed in", "registered_clients: [{id: a, name: a, grant_types: [client_credentials], scopes: [offline_access], auth_method: client_secret_basic, secret_file: /long-secret}]", "registered_clients.scopes: offline_access is a scope that programs ask for anyway"},
		{"a rule for a client that there is not", "access: [{name: a, clients: [ci], tools: [x]}]", "access: has a rule for ci, which is no registered client with client_credentials"},
		{"a rule for a client that people come through", "access: [{name: a, clients: [ci], tools: [x]}]\nregistered_clients: [{id: ci, name: a, redirect_uris: [https://a.example/], auth_method: none}]", "access: has a rule for ci, which is no registered client with client_credentials"},
		{"a rule for every client", "access: [{name: a, clients: ['*'], tools: [x]}]", `access.clients: "*" is not an id for the configuration`},
		{"a server without a secret", "resource_servers: [{id: a}]", "resource_servers: the server has no secret_file"},
		{"a scope that there always is", "scopes: [{name: mcp, description: a, tools: [x]}]", "scopes.name: mcp is a scope that programs ask for anyway"},
		{"a scope of two words", "scopes: [{name: a b, description: a, tools: [x]}]", `scopes.name: "a b" is not a name for a scope`},
		{"a scope without words", "scopes: [{name: a, tools: [x]}]", "scopes: the scope has no description"},

		// the file
		{"broken YAML", "listen: [", "@3 this is not YAML: did not find expected node content"},
		{"a value that YAML takes for an alias", "state: *x", "a value that begins with * is an alias in YAML"},
		{"two documents", "---\nlisten: 127.0.0.1:1", "@2 a second document begins here"},
		{"a key that is far from all", "zzzzzzzz: 1", "zzzzzzzz: there is no such key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := microsoft()
			if strings.Contains(tt.lines, "tenant_id") {
				delete(env, "MICROSOFT_TENANT_ID")
			}
			_, err := load(tt.lines, env)
			place, rest := "gateway.yaml:2: ", tt.want
			if line, ok := strings.CutPrefix(tt.want, "@"); ok {
				line, rest, _ = strings.Cut(line, " ")
				place = strings.ReplaceAll("gateway.yaml:"+line+": ", ":0:", ":")
			}
			if diff := cmp.Diff([]string{place + rest}, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusedMicrosoftSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ variable, value, want string }{
		{"MICROSOFT_TENANT_ID", "contoso", "is neither a GUID nor a domain"},
		{"MICROSOFT_TENANT_ID", "contoso.com/v2.0", "is neither a GUID nor a domain"},
		{"MICROSOFT_TENANT_ID", "10.0.0.1", "is neither a GUID nor a domain"},
		{"MICROSOFT_TENANT_ID", tenantID + "\n", "holds a line break or another control character"},
		{"MICROSOFT_ALLOWED_TENANTS", tenantID + ", contoso", "holds what is not the id of a tenant"},
		{"MICROSOFT_CLIENT_ID", "contoso.com", "is not a GUID"},
		{"MICROSOFT_CLIENT_ID", "{" + clientID + "}", "is not a GUID"},
		{"MICROSOFT_AUTHORITY_HOST", "login.microsoftonline.us", "does not start with https://"},
		{"MICROSOFT_AUTHORITY_HOST", "https://login.microsoftonline.com/common/v2.0", "has a path"},
	} {
		t.Run(tt.variable+"="+tt.value, func(t *testing.T) {
			t.Parallel()
			env := microsoft()
			env[tt.variable] = tt.value
			_, err := load("", env)
			if diff := cmp.Diff([]string{"environment: " + tt.variable + ": " + tt.want}, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValuesBecomeCanonical(t *testing.T) {
	t.Parallel()
	const tls = "tls: {certificate_file: /c, key_file: /k}\n"
	publicURL := func(c *config.Config) string { return c.PublicURL }
	listen := func(c *config.Config) string { return c.Listen }
	for _, tt := range []struct {
		name, lines string
		set         map[string]string
		field       func(*config.Config) string
		want        string
	}{
		{name: "a host is lower-case", lines: tls + "public_url: HTTPS://MCP.Example.Com", field: publicURL, want: "https://mcp.example.com"},
		{name: "a slash at the end goes", lines: tls + "public_url: https://mcp.example.com/", field: publicURL, want: "https://mcp.example.com"},
		{name: "the default port goes", lines: tls + "public_url: https://mcp.example.com:443", field: publicURL, want: "https://mcp.example.com"},
		{name: "another port stays", lines: tls + "public_url: https://mcp.example.com:80", field: publicURL, want: "https://mcp.example.com:80"},
		{name: "IPv6 is short", lines: "public_url: 'http://[0:0::1]:8788'", field: publicURL, want: "http://[::1]:8788"},
		{name: "a public URL of this machine follows the port", lines: "listen: '[::1]:9000'", field: publicURL, want: "http://localhost:9000"},
		{name: "a proxy may end TLS", lines: "public_url: https://a.example\nlisten: :8788\ntrusted_proxies: [10.0.0.7]", field: publicURL, want: "https://a.example"},
		{name: "localhost is loopback", lines: "listen: localhost:1", field: listen, want: "localhost:1"},
		{name: "a port is plain", lines: "listen: 127.0.0.1:08788", field: listen, want: "127.0.0.1:8788"},
		{name: "an address without a length is that address", lines: "public_url: https://a.example\ntrusted_proxies: ['fd00::1']",
			field: func(c *config.Config) string { return c.TrustedProxies[0].String() }, want: "fd00::1/128"},
		{name: "a client id is lower-case", set: map[string]string{"MICROSOFT_CLIENT_ID": "ABCDEF00-0000-4000-8000-000000000001"},
			field: func(c *config.Config) string { return c.Microsoft.ClientID }, want: "abcdef00-0000-4000-8000-000000000001"},
		{name: "a tenant may be a domain", set: map[string]string{"MICROSOFT_TENANT_ID": "Contoso.OnMicrosoft.com"},
			field: func(c *config.Config) string { return c.Microsoft.TenantID }, want: "contoso.onmicrosoft.com"},
		{name: "several tenants", set: map[string]string{"MICROSOFT_TENANT_ID": "Organizations", "MICROSOFT_ALLOWED_TENANTS": " " + strings.ToUpper(tenantID) + ", " + someID + "\t" + clientID + ",\n"},
			field: func(c *config.Config) string {
				return c.Microsoft.TenantID + " " + strings.Join(c.Microsoft.AllowedTenants, " ")
			}, want: "organizations " + tenantID + " " + someID + " " + clientID},
		{name: "personal accounts", lines: "microsoft: {allowed_tenants: [9188040D-6C67-4C5B-B112-36A304B66DAD]}", set: map[string]string{"MICROSOFT_TENANT_ID": "consumers"},
			field: func(c *config.Config) string { return c.Microsoft.AllowedTenants[0] }, want: "9188040d-6c67-4c5b-b112-36a304b66dad"},
		{name: "the end of a secret is a day", lines: "microsoft: {client_secret_expires: 2027-03-31}",
			field: func(c *config.Config) string { return c.Microsoft.ClientSecretExpires.String() }, want: "2027-03-31 00:00:00 +0000 UTC"},
		{name: "another cloud", set: map[string]string{"MICROSOFT_AUTHORITY_HOST": "https://login.microsoftonline.us/"},
			field: func(c *config.Config) string { return c.Microsoft.AuthorityHost }, want: "https://login.microsoftonline.us"},
		{name: "an allowed host is lower-case", lines: "http: {allowed_hosts: ['A.example:8443']}",
			field: func(c *config.Config) string { return c.HTTP.AllowedHosts[0] }, want: "a.example:8443"},
		{name: "an allowed origin is as browsers send it", lines: "http: {allowed_origins: ['https://A.example:443/']}",
			field: func(c *config.Config) string { return c.HTTP.AllowedOrigins[0] }, want: "https://a.example"},
		{name: "a user with a tenant is lower-case", lines: "access: [{name: a, users: [" + strings.ToUpper(tenantID+"/"+someID) + "], tools: [x]}]",
			field: func(c *config.Config) string { return c.Access[0].Users[0] }, want: tenantID + "/" + someID},
		{name: "a role may be that of a tenant", lines: "access: [{name: a, roles: [" + strings.ToUpper(tenantID) + "/Mcp.User], tools: [x]}]",
			field: func(c *config.Config) string { return c.Access[0].Roles[0] }, want: tenantID + "/Mcp.User"},
		{name: "a role may have a slash", lines: "access: [{name: a, roles: [Mcp/User], tools: [x]}]",
			field: func(c *config.Config) string { return c.Access[0].Roles[0] }, want: "Mcp/User"},
		{name: "a group may be that of a tenant", lines: "access: [{name: a, groups: [" + strings.ToUpper(tenantID+"/"+someID) + "], tools: [x]}]",
			field: func(c *config.Config) string { return c.Access[0].Groups[0] }, want: tenantID + "/" + someID},
		{name: "one of several tenants needs no name in rules", lines: "access: [{name: a, roles: [R], tools: [x]}]", set: map[string]string{"MICROSOFT_TENANT_ID": "organizations", "MICROSOFT_ALLOWED_TENANTS": tenantID},
			field: func(c *config.Config) string { return c.Access[0].Roles[0] }, want: "R"},
		{name: "a star is everybody who can sign in", lines: "access: [{name: a, tenants: ['*'], tools: [x]}]",
			field: func(c *config.Config) string { return c.Access[0].Tenants[0] }, want: "*"},
		{name: "a role keeps its case", lines: "access: [{name: a, roles: [Mcp.User], tools: [x]}]",
			field: func(c *config.Config) string { return c.Access[0].Roles[0] }, want: "Mcp.User"},
		{name: "a section may be empty", lines: "http:\nlog: ~\naccess:\ntrusted_proxies:", field: listen, want: "127.0.0.1:8788"},
		{name: "a word that YAML 1.1 takes for a boolean is a word", lines: "access: [{name: yes, roles: [on], tools: [no]}]",
			field: func(c *config.Config) string { return c.Access[0].Name + c.Access[0].Roles[0] + c.Access[0].Tools[0] }, want: "yesonno"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := microsoft()
			maps.Copy(env, tt.set)
			if got := tt.field(mustLoad(t, tt.lines, env)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"listen", "public_url", "check-config", "log"}
	for _, tt := range []struct{ typed, want string }{
		{"listn", "listen"},
		{"lsiten", "listen"},
		{"publicUrl", "public_url"},
		{"public-url", "public_url"},
		{"checkconfig", "check-config"},
		{"logs", "log"},
		{"", ""},
		{"x", ""},
		{"certificate", ""},
	} {
		if got := config.Nearest(tt.typed, words); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.typed, got, tt.want)
		}
	}
}
