// Package config turns a strict YAML file and a few environment variables into
// a typed Config. It owns the name, the default and the limits of every
// setting, and reports all mistakes at once, each with its place and what to
// do about it. It refuses what it does not know, to read the environment of
// the process, and to open any file but those that hold secrets.
package config

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"mcp-gateway/shared/secret"
)

// Config is the whole configuration of a gateway. Load makes it.
type Config struct {
	// PublicURL is where clients and browsers reach the gateway, canonical:
	// lower-case, no default port, no trailing slash. It is the issuer and
	// the audience of every token, and the redirect URI registered at
	// Microsoft is PublicURL + "/callback". Required, except that a gateway
	// which only this machine can reach is http://localhost:<port of Listen>.
	PublicURL string
	// Listen is the address and port to accept connections on. Default
	// 127.0.0.1:8788. Any other than loopback needs TLS or TrustedProxies.
	Listen string
	// TLS is how the gateway ends TLS itself. Default: it does not.
	TLS TLS
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	// Default none. They must be the proxies that end TLS for PublicURL.
	TrustedProxies []netip.Prefix
	// StateDir is the folder of the database, gateway.db. Required.
	StateDir string
	// KeyFile is the key ring that "keys init" wrote. Default
	// StateDir/keys.json. Without it no client_id can be read any more.
	KeyFile string
	// Microsoft is the application that people sign in to.
	Microsoft Microsoft
	// Tokens are the lifetimes of what the gateway issues.
	Tokens Tokens
	// HTTP bounds requests.
	HTTP HTTP
	// Clients says which programs may come in by themselves.
	Clients Clients
	// RegisteredClients are programs that need not register. Default none.
	RegisteredClients []RegisteredClient
	// ResourceServers may ask whether a token is good. Default none.
	ResourceServers []ResourceServer
	// Scopes are permissions that a program must be given, besides the person's
	// right, to call their tools. Default none.
	Scopes []Scope
	// Access are the rules of who may call which tool. Default none, and then
	// nobody may call anything.
	Access []Rule
	// Log is how the gateway logs, to standard error.
	Log Log
	// InsecureDevelopment lets Microsoft.AuthorityHost be plain http on
	// loopback, for the simulated sign-in. Only code can set it (Source).
	InsecureDevelopment bool

	// origins tells for each key where its value came from.
	origins map[string]string
}

// TLS names a certificate and its key: both or none.
type TLS struct {
	// CertificateFile is PEM: the certificate, then its intermediates.
	CertificateFile string
	// KeyFile is the certificate's private key in PEM.
	KeyFile string
}

// Microsoft is an application registered in Microsoft Entra ID.
type Microsoft struct {
	// ClientID is the application (client) id, a lower-case GUID. Required.
	ClientID string
	// The application proves itself with one of the next three; one is required.
	//
	// ClientSecret is the value of a client secret of that application, never
	// the secret's id; it comes from a file or the environment.
	ClientSecret secret.Value
	// ClientSecretExpires is the day on which that ends, at 0:00 UTC: Microsoft does
	// not tell the gateway, which warns from 30 days before. Default: not known.
	ClientSecretExpires time.Time
	// ClientCertificateFile is PEM: a certificate of that application and its RSA
	// key. It is read again when it changes.
	ClientCertificateFile string
	// FederatedTokenFile holds the token that the platform gives the gateway, such
	// as Azure's workload identity for Kubernetes. It is read for each request.
	FederatedTokenFile string
	// TenantID is the directory: a lower-case GUID or a domain; or organizations,
	// common or consumers, and then AllowedTenants says whose people come in.
	// Required.
	TenantID string
	// AllowedTenants are directories, lower-case GUIDs. Default none: the one
	// that TenantID is. Required if it is several, and there is no word for all.
	AllowedTenants []string
	// Guests says whether guests of the tenant may come in: "allow" (default),
	// because an administrator invited each of them and rules give them nothing by
	// themselves, or "deny", for which the application must have the optional
	// claim acct.
	Guests string
	// AuthorityHost is the origin of the cloud's sign-in service. Default
	// https://login.microsoftonline.com; national clouds have their own.
	AuthorityHost string
	// GraphURL is the origin of Microsoft Graph, which is asked for the groups of
	// people who are in too many for a token. Default: that of the cloud of
	// AuthorityHost; it must be given for a cloud that is not known here.
	GraphURL string
	// Prompt is what Microsoft is asked to show: "select_account" (default)
	// or "login", which asks for the password each time.
	Prompt string
	// RecheckInterval is how old Microsoft's word about a person may be when one
	// of their programs renews its token: then it is asked again. With 0 it is
	// asked each time. Default 1 h.
	RecheckInterval time.Duration
	// OutageGrace is for how long after that the old word holds while Microsoft
	// does not answer. Then programs are told to come back later. Default 4 h.
	OutageGrace time.Duration
}

// AllowsPersonal reports whether people may sign in with personal accounts.
func (m Microsoft) AllowsPersonal() bool { return slices.Contains(m.AllowedTenants, personalTenant) }

// Tokens are lifetimes.
type Tokens struct {
	// CodeLifetime of an authorization code. Default 60 s.
	CodeLifetime time.Duration
	// AccessLifetime of an access token. Default 10 min.
	AccessLifetime time.Duration
	// RefreshIdle is how long a refresh token works unused. Default 30 days.
	RefreshIdle time.Duration
	// RefreshAbsolute is how long refreshing works in all, and then the person
	// signs in again. Default 90 days.
	RefreshAbsolute time.Duration
	// RefreshGrace is how long a used refresh token still gets its successor
	// after the successor was used first. Default 60 s; with 0 a reply that
	// gets lost then ends the grant.
	RefreshGrace time.Duration
}

// HTTP bounds requests.
type HTTP struct {
	// MaxBodyBytes of a request to /mcp. Default 4 MiB.
	MaxBodyBytes int64
	// CallTimeout ends a tool call. Default 60 s.
	CallTimeout time.Duration
	// MaxConcurrentCalls of one person. Default 64.
	MaxConcurrentCalls int
	// Register, Authorize, Token and Device limit requests per address, Device
	// those of devices for a code and the codes that people type. An office
	// behind one address shares them. Defaults 30, 120, 600 and 30 a minute.
	Register, Authorize, Token, Device Rate
	// AllowedHosts are Host headers accepted besides PublicURL's and
	// loopback: host or host:port, lower-case. Default none.
	AllowedHosts []string
	// AllowedOrigins are origins of web pages that may call /mcp, besides
	// PublicURL's and loopback. Default none.
	AllowedOrigins []string
}

// Clients says which programs that nobody wrote down may come in. It is asked at
// every step, so a stricter setting holds for programs known before, too.
type Clients struct {
	// Registration is about programs that register themselves (RFC 7591):
	// "open" (default), "listed" for those whose every redirect URI leads to one
	// of RedirectHosts or to the person's own computer, or "closed".
	Registration string
	// RedirectHosts are lower-case names, or *.example.com for all below one.
	RedirectHosts []string
	// Documents is about programs whose client_id is the URL of a document:
	// "open" (default), "listed" for those on one of DocumentHosts, or "closed".
	Documents string
	// DocumentHosts are as RedirectHosts.
	DocumentHosts []string
	// PrivateUseRedirects lets programs be answered at addresses such as
	// cursor://host/path, which any program on a computer can claim. Default true.
	PrivateUseRedirects bool
	// DeviceSignIn serves device authorization (RFC 8628) to programs that
	// register it: they show a code, which a person types in a browser elsewhere.
	// Default false, because a stranger's code is as good as one's own.
	DeviceSignIn bool
	// Proxy is the HTTP proxy through which documents and keys of programs are
	// fetched; it then has to keep the gateway from inside addresses. Default
	// none: they are fetched directly, from public addresses only.
	Proxy string
}

// RegisteredClient is a program that an administrator registered.
type RegisteredClient struct {
	// ID is its client_id.
	ID string
	// Name is shown on the consent page.
	Name string
	// RedirectURIs are where it may be answered; none where nobody signs in
	// through it.
	RedirectURIs []string
	// GrantTypes are how it gets tokens: authorization_code and refresh_token where
	// people sign in through it (both by default), client_credentials where it acts
	// for itself.
	GrantTypes []string
	// Scopes are those of Config.Scopes that it may have when it acts for itself.
	// Default none.
	Scopes []string
	// AuthMethod is how it proves that it is itself: none, client_secret_basic,
	// client_secret_post or private_key_jwt.
	AuthMethod string
	// Secret is for the two methods with one; it comes from a file.
	Secret secret.Value
	// JWKSURI is where its public keys are, for private_key_jwt.
	JWKSURI string
}

// ActsForItself reports whether it may get tokens that are no person's (RFC 6749 §4.4).
func (r RegisteredClient) ActsForItself() bool {
	return slices.Contains(r.GrantTypes, clientCredentials)
}

// ResourceServer is another server that takes this gateway's tokens.
type ResourceServer struct {
	// ID and Secret are what it asks with; the secret comes from a file.
	ID     string
	Secret secret.Value
}

// Scope is a permission that a program must be given to call its tools.
type Scope struct {
	// Name is what programs ask for.
	Name string
	// Description completes "It will be able to ..." on the consent page.
	Description string
	// Tools are as those of a Rule.
	Tools []string
}

// Rate is a token bucket.
type Rate struct {
	// PerMinute is how many requests a minute are let through in the long run.
	PerMinute float64
	// Burst is how many at once.
	Burst int
}

// Rule lets the people and clients that it names call the tools it names.
type Rule struct {
	// Name stands in the audit trail; it is unique.
	Name string
	// Users are object ids, lower-case, alone or as "tenant/object". If there are
	// several AllowedTenants, these and the next two must name one: each tenant's
	// administrators give the roles and the groups of its people.
	Users []string
	// Groups are object ids of groups, lower-case, or "tenant/object".
	Groups []string
	// Roles are values of app roles of the application, or "tenant/value".
	Roles []string
	// Tenants are directories, lower-case GUIDs: everybody of that tenant;
	// "*" is everybody who can sign in.
	Tenants []string
	// Clients are ids of RegisteredClients that act for themselves. A person who
	// comes through one is not meant.
	Clients []string
	// Tools are tool names in which * stands for any run of characters.
	Tools []string
}

// Log is how the gateway logs.
type Log struct {
	// Level is the least level logged. Default info.
	Level slog.Level
	// Format is "text" (default) or "json".
	Format string
}

// Warnings are what is allowed and likely not meant.
func (c *Config) Warnings() []string {
	var warnings []string
	if len(c.Access) == 0 {
		warnings = append(warnings, "access has no rule: people can sign in and nobody can call a tool")
	}
	for _, r := range c.Access {
		if c.Microsoft.AllowsPersonal() && (slices.Contains(r.Tenants, "*") || slices.Contains(r.Tenants, personalTenant)) {
			warnings = append(warnings, "access: the rule "+r.Name+" is for everybody with a personal Microsoft account, which anybody can make")
		}
	}
	return warnings
}
