// Package config turns a strict YAML file and a few environment variables into
// a typed Config. It owns the name, the default and the limits of every
// setting, and reports all mistakes at once, each with its place and what to
// do about it. It refuses what it does not know, to read the environment of
// the process, and to open any file but those that hold secrets.
package config

import (
	"log/slog"
	"net/netip"
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
	// ClientSecret is the value of a client secret of that application, never
	// the secret's id. Required; it comes from a file or the environment.
	ClientSecret secret.Value
	// TenantID is the directory: a lower-case GUID or a domain. Required.
	TenantID string
	// AuthorityHost is the origin of the cloud's sign-in service. Default
	// https://login.microsoftonline.com; national clouds have their own.
	AuthorityHost string
	// Prompt is what Microsoft is asked to show: "select_account" (default)
	// or "login", which asks for the password each time.
	Prompt string
}

// Tokens are lifetimes.
type Tokens struct {
	// CodeLifetime of an authorization code. Default 60 s.
	CodeLifetime time.Duration
	// AccessLifetime of an access token. Default 10 min.
	AccessLifetime time.Duration
	// RefreshIdle is how long a refresh token works unused. Default 30 days.
	RefreshIdle time.Duration
	// RefreshAbsolute is how long refreshing works in all. Default 90 days.
	RefreshAbsolute time.Duration
	// GrantLifetime is after how long a person must sign in again. No
	// Microsoft token is kept, so it is also how long somebody who left the
	// company can still call tools. Default 24 h.
	GrantLifetime time.Duration
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
	// Register, Authorize and Token limit requests per address. An office
	// behind one address shares them. Defaults 30, 120 and 600 a minute.
	Register, Authorize, Token Rate
	// AllowedHosts are Host headers accepted besides PublicURL's and
	// loopback: host or host:port, lower-case. Default none.
	AllowedHosts []string
	// AllowedOrigins are origins of web pages that may call /mcp, besides
	// PublicURL's and loopback. Default none.
	AllowedOrigins []string
}

// Rate is a token bucket.
type Rate struct {
	// PerMinute is how many requests a minute are let through in the long run.
	PerMinute float64
	// Burst is how many at once.
	Burst int
}

// Rule lets the people it names call the tools it names.
type Rule struct {
	// Name stands in the audit trail; it is unique.
	Name string
	// Users are object ids, lower-case, alone or as "tenant/object".
	Users []string
	// Groups are object ids of groups, lower-case.
	Groups []string
	// Roles are values of app roles of the application.
	Roles []string
	// Tenants are directories, lower-case GUIDs: everybody of that tenant;
	// "*" is everybody who can sign in.
	Tenants []string
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

// unsurprisingGrant is the longest grant lifetime that needs no warning.
const unsurprisingGrant = 24 * time.Hour

// Warnings are what is allowed and likely not meant.
func (c *Config) Warnings() []string {
	var warnings []string
	if len(c.Access) == 0 {
		warnings = append(warnings, "access has no rule: people can sign in and nobody can call a tool")
	}
	if c.Tokens.GrantLifetime > unsurprisingGrant {
		warnings = append(warnings, "tokens.grant_lifetime is "+formatDuration(c.Tokens.GrantLifetime)+
			": somebody who leaves the company keeps access for that long")
	}
	return warnings
}
