package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/secret"
)

var (
	clientIDForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)
	// scopeForm is a part of a scope (RFC 6749 §3.3) without what would need
	// quoting somewhere.
	scopeForm = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)
)

// The grant types of a registered client (RFC 7591 §2).
const (
	authorizationCode = "authorization_code"
	refreshToken      = "refresh_token"
	clientCredentials = "client_credentials"
)

// leastSecret keeps secrets that are to be guessed from a distance long enough,
// in characters: 128 bits, in any usual spelling.
const leastSecret = 22

// registeredClients are the clients that need not register.
var registeredClients = &records[RegisteredClient]{
	key: "registered_clients", one: "client",
	fields: []field[RegisteredClient]{
		textField("id", func(r *RegisteredClient) *string { return &r.ID }, registeredID),
		textField("name", func(r *RegisteredClient) *string { return &r.Name }, ruleName),
		listField("redirect_uris", func(r *RegisteredClient) *[]string { return &r.RedirectURIs }, redirectURI),
		listField("grant_types", func(r *RegisteredClient) *[]string { return &r.GrantTypes }, choice(authorizationCode, refreshToken, clientCredentials, oauth.GrantTypeDeviceCode)),
		listField("scopes", func(r *RegisteredClient) *[]string { return &r.Scopes }, scopeName),
		textField("auth_method", func(r *RegisteredClient) *string { return &r.AuthMethod },
			choice(oauth.AuthMethodNone, oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost, oauth.AuthMethodPrivateKeyJWT)),
		secretField("secret_file", func(r *RegisteredClient) *secret.Value { return &r.Secret }),
		textField("jwks_uri", func(r *RegisteredClient) *string { return &r.JWKSURI }, httpsURL),
	},
	all:  func(c *Config) *[]RegisteredClient { return &c.RegisteredClients },
	name: func(r *RegisteredClient) string { return r.ID },
	missing: func(given map[string]bool, report func(message, remedy string)) {
		requireOfClient(given, report)
		if !given["redirect_uris"] && !given["grant_types"] {
			report("the client has no redirect_uris", "add those at which the program is answered")
		}
	},
	check: func(r *RegisteredClient) *refusal {
		withSecret := r.AuthMethod == oauth.AuthMethodSecretBasic || r.AuthMethod == oauth.AuthMethodSecretPost
		switch {
		case withSecret && r.Secret.IsZero():
			return &refusal{"the client has no secret_file, which " + r.AuthMethod + " needs", "put a long random text into a file and name it with secret_file"}
		case !withSecret && !r.Secret.IsZero():
			return &refusal{"the client has a secret_file, which " + r.AuthMethod + " does not use", "remove it, or choose client_secret_basic"}
		case (r.AuthMethod == oauth.AuthMethodPrivateKeyJWT) != (r.JWKSURI != ""):
			return &refusal{"the client must have jwks_uri for private_key_jwt, and only then", "name the https address of its public keys with jwks_uri"}
		}
		return checkGrantTypes(r)
	},
}

var requireOfClient = require("client", map[string]string{
	"id": "choose one: it is the client_id that the program sends", "name": "add one: people see it when they are asked",
	"auth_method": "add none for a program on people's computers; for a server client_secret_basic, client_secret_post or private_key_jwt",
})

// checkGrantTypes refuses what a client could do nothing with, and a client that acts
// for itself and that anybody could say they are (RFC 6749 §4.4).
func checkGrantTypes(r *RegisteredClient) *refusal {
	signIn := len(r.GrantTypes) == 0 || slices.Contains(r.GrantTypes, authorizationCode)
	switch {
	case r.ActsForItself() && r.AuthMethod == oauth.AuthMethodNone:
		return &refusal{"the client has client_credentials and nothing to prove that it is itself", "give it a secret or a key with auth_method, or remove client_credentials"}
	case !signIn && !r.signsInDevices() && slices.Contains(r.GrantTypes, refreshToken):
		return &refusal{"the client has refresh_token without authorization_code, with which it would get one", "add authorization_code, or remove refresh_token"}
	case signIn && len(r.RedirectURIs) == 0:
		return &refusal{"the client has authorization_code and no redirect_uris", "add those at which the program is answered, or remove authorization_code"}
	case !signIn && len(r.RedirectURIs) > 0:
		return &refusal{"the client has redirect_uris, and nobody signs in through it", "remove them, or add authorization_code to grant_types"}
	case !r.ActsForItself() && len(r.Scopes) > 0:
		return &refusal{"the client has scopes, which are for client_credentials; what people give it they are asked for", "remove them, or add client_credentials to grant_types"}
	}
	return nil
}

// signsInDevices reports whether people may sign in for the client by a code.
func (r RegisteredClient) signsInDevices() bool {
	return slices.Contains(r.GrantTypes, oauth.GrantTypeDeviceCode)
}

// resourceServers are the servers that may introspect tokens.
var resourceServers = &records[ResourceServer]{
	key: "resource_servers", one: "server",
	fields: []field[ResourceServer]{
		textField("id", func(r *ResourceServer) *string { return &r.ID }, registeredID),
		secretField("secret_file", func(r *ResourceServer) *secret.Value { return &r.Secret }),
	},
	all:  func(c *Config) *[]ResourceServer { return &c.ResourceServers },
	name: func(r *ResourceServer) string { return r.ID },
	missing: require("server", map[string]string{
		"id": "choose one: the server sends it as its user name", "secret_file": "put a long random text into a file and name it with secret_file",
	}),
}

// scopes are the permissions besides those that there always are.
var scopes = &records[Scope]{
	key: "scopes", one: "scope",
	fields: []field[Scope]{
		textField("name", func(r *Scope) *string { return &r.Name }, scopeName),
		textField("description", func(r *Scope) *string { return &r.Description }, ruleName),
		listField("tools", func(r *Scope) *[]string { return &r.Tools }, tool),
	},
	all:  func(c *Config) *[]Scope { return &c.Scopes },
	name: func(r *Scope) string { return r.Name },
	missing: require("scope", map[string]string{
		"name": "choose one, such as crm.write", "tools": "add the tools that need it, such as [\"crm_update_*\"]",
		"description": "add the words that complete \"It will be able to\", such as: change contacts",
	}),
}

func secretField[T any](key string, at func(*T) *secret.Value) field[T] {
	return field[T]{key: key, secret: true,
		parse: func(r *T, text string) *refusal {
			if len(text) < leastSecret || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '%' || c == '+' }) {
				// Percent and plus mean something else once form-decoded (RFC
				// 6749 §2.3.1), which not every program has in mind.
				return &refusal{fmt.Sprintf("the file does not hold %d or more ASCII characters without white space, %% and +", leastSecret),
					"make a secret that nobody can guess, for example with: openssl rand -hex 32"}
			}
			*at(r) = secret.New(text)
			return nil
		},
		show: func(r *T) []string {
			if at(r).IsZero() {
				return nil
			}
			return []string{show(*at(r))}
		},
	}
}

func registeredID(text string) (string, *refusal) {
	if !clientIDForm.MatchString(text) || strings.HasPrefix(text, "mcpc_") {
		return "", &refusal{fmt.Sprintf("%.130q is not an id for the configuration", text), "use letters, digits, and the characters . _ ~ -, at most 128; ids that begin with mcpc_ are given by the gateway"}
	}
	return text, nil
}

func redirectURI(text string) (string, *refusal) {
	if err := oauth.CheckRedirectURI(text); err != nil {
		return "", &refusal{err.Error(), "write it just as the program sends it, such as https://app.example.com/callback"}
	}
	return text, nil
}

func httpsURL(text string) (string, *refusal) {
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" || oauth.CheckRedirectURI(text) != nil {
		return "", &refusal{"is not an https address", "write it as https://host/path"}
	}
	return text, nil
}

func scopeName(text string) (string, *refusal) {
	if !scopeForm.MatchString(text) {
		return "", &refusal{fmt.Sprintf("%.70q is not a name for a scope", text), "use letters, digits, and the characters . _ : / -, at most 64"}
	}
	if slices.Contains([]string{"mcp", "offline_access", "openid", "profile", "email"}, text) {
		return "", &refusal{text + " is a scope that programs ask for anyway", "choose another name"}
	}
	return text, nil
}

// hostPattern is a host name, or *. and a domain.
func hostPattern(text string) (string, *refusal) {
	text = strings.ToLower(text)
	name := strings.TrimPrefix(text, "*.")
	if !hostName(name) || name != text && !strings.Contains(name, ".") {
		return "", &refusal{fmt.Sprintf("%q is not a host", text), "write a name such as claude.ai, or *.example.com for all names below one; non-ASCII names in their xn-- form"}
	}
	return text, nil
}

func truth(text string) (bool, *refusal) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, &refusal{fmt.Sprintf("%q is neither true nor false", text), "write true or false"}
}

func proxy(text string) (string, *refusal) {
	u, bad := parseOrigin(text)
	if bad != nil {
		return "", &refusal{bad.message, "write the proxy as http://proxy.example.com:3128"}
	}
	return u, nil
}

// finishClients refuses lists that nothing reads, and the lack of those that
// something does.
func (l *loader) finishClients() {
	c := l.cfg.Clients
	for _, x := range []struct {
		mode, key string
		given     bool
		hosts     string
	}{
		{c.Registration, "clients.registration", len(c.RedirectHosts) > 0, "clients.redirect_hosts"},
		{c.Documents, "clients.documents", len(c.DocumentHosts) > 0, "clients.document_hosts"},
	} {
		switch {
		case !l.good(x.key, x.hosts):
		case x.mode == "listed" && !x.given && x.hosts == "clients.document_hosts":
			l.blame(x.key, "is listed, and "+x.hosts+" lists nothing", "list the hosts, or write closed")
		case x.mode != "listed" && x.given:
			l.blame(x.hosts, "has no effect, since "+x.key+" is "+x.mode, "write listed there, or remove the hosts")
		}
	}
	for _, r := range l.cfg.RegisteredClients {
		if r.signsInDevices() && !c.DeviceSignIn && l.good("clients.device_sign_in") {
			l.blame("registered_clients", "has a client with the grant type of devices, which is not served: "+r.ID, "write device_sign_in: true under clients, or remove the grant type")
		}
		if slices.ContainsFunc(l.cfg.ResourceServers, func(s ResourceServer) bool { return s.ID == r.ID && s.ID != "" }) {
			l.blame("resource_servers", "has the id of a registered client: "+r.ID, "give the server an id of its own")
		}
		for _, name := range r.Scopes {
			if name != "" && !slices.ContainsFunc(l.cfg.Scopes, func(s Scope) bool { return s.Name == name }) {
				l.blame("registered_clients", "has the client "+r.ID+" with a scope that there is not: "+name, "describe it in scopes, or remove it")
			}
		}
	}
	l.finishRules()
}

// finishRules refuses rules about clients that can never ask: a rule that nobody
// matches is a mistake, and nobody would see it.
func (l *loader) finishRules() {
	for _, rule := range l.cfg.Access {
		for _, id := range rule.Clients {
			if id != "" && !slices.ContainsFunc(l.cfg.RegisteredClients, func(r RegisteredClient) bool { return r.ID == id && r.ActsForItself() }) {
				l.blame("access", "has a rule for "+id+", which is no registered client with client_credentials", "add it to registered_clients, or remove it")
			}
		}
	}
}
