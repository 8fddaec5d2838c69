// Package config reads the gateway's configuration: a strict YAML file and the
// environment. It owns names, defaults and what makes sense, and reports every
// mistake at once with its line and its remedy. It refuses to guess, and opens
// nothing but the secret files that it is told to read.
package config

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"mcp-gateway/shared/secret"
)

// Config is the gateway's configuration. Every field is set after Load.
type Config struct {
	// PublicURL (public_url) is how clients reach the gateway: scheme and
	// host. It is the issuer and must never change while clients are
	// registered. https, unless the host is loopback.
	PublicURL string
	// Listen (listen) is the address to serve on; 127.0.0.1:8788.
	Listen string
	// TLS (tls.certificate_file, tls.key_file): both or none. Without it a
	// proxy must do TLS, and TrustedProxies must name it.
	TLS TLS
	// TrustedProxies (trusted_proxies) are the networks of the proxies in
	// front; their X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// StateDir (state_dir) holds the database.
	StateDir string
	// KeyFile (key_file) is the key ring; keys.json in StateDir.
	KeyFile   string
	Microsoft Microsoft
	Tokens    Tokens
	HTTP      HTTP
	// Access (access) are the rules. None: nobody may call anything.
	Access []Rule
	Log    Log

	// InsecureDevelopment permits an http authority on loopback. Only the
	// development stack sets it, in code; no file or variable can.
	InsecureDevelopment bool
}

// TLS are the certificate files, in PEM.
type TLS struct{ CertificateFile, KeyFile string }

// Microsoft is the application in Entra ID.
type Microsoft struct {
	// ClientID (microsoft.client_id, MICROSOFT_CLIENT_ID) is a GUID.
	ClientID string
	// ClientSecret (microsoft.client_secret_file, MICROSOFT_CLIENT_SECRET).
	ClientSecret secret.Value
	// TenantID (microsoft.tenant_id, MICROSOFT_TENANT_ID) is a GUID or a
	// domain.
	TenantID string
	// AuthorityHost (microsoft.authority_host, MICROSOFT_AUTHORITY_HOST) is
	// https://login.microsoftonline.com; national clouds have others.
	AuthorityHost string
	// Prompt (microsoft.prompt) is select_account.
	Prompt string
}

// Tokens are the lifetimes.
type Tokens struct {
	// CodeLifetime (tokens.code_lifetime) is 60 s; at most 10 min (RFC 6749
	// §4.1.2).
	CodeLifetime time.Duration
	// AccessLifetime (tokens.access_lifetime) is 10 min; at most 1 h.
	AccessLifetime time.Duration
	// RefreshIdle (tokens.refresh_idle) is how long an unused refresh token
	// lives: 30 d.
	RefreshIdle time.Duration
	// RefreshAbsolute (tokens.refresh_absolute) bounds a grant: 90 d.
	RefreshAbsolute time.Duration
	// RefreshGrace (tokens.refresh_grace) is how long after the first use of
	// a new refresh token its predecessor repeats its answer: 60 s.
	RefreshGrace time.Duration
	// GrantLifetime (tokens.grant_lifetime) is after how long people sign in
	// again: 24 h. It is how long somebody who left keeps access.
	GrantLifetime time.Duration
}

// HTTP are the limits of the server.
type HTTP struct {
	// MaxBodyBytes (http.max_body_bytes) of a message to /mcp: 4 MiB.
	MaxBodyBytes int64
	// CallTimeout (http.call_timeout) is 60 s.
	CallTimeout time.Duration
	// MaxConcurrentCalls (http.max_concurrent_calls) of one person: 64.
	MaxConcurrentCalls int
	// AllowedHosts and AllowedOrigins (http.allowed_hosts,
	// http.allowed_origins) are allowed at /mcp besides the gateway's own and
	// loopback.
	AllowedHosts   []string
	AllowedOrigins []string
	// Register, Authorize and Token (http.rates.*) bound requests per remote
	// address.
	Register, Authorize, Token Rate
}

// Rate is how many requests an address may make.
type Rate struct {
	// PerMinute in the long run and Burst at once.
	PerMinute float64
	Burst     int
}

// Rule lets subjects call tools.
type Rule struct {
	// Name (name) is shown in decisions.
	Name string
	// Users are object ids, or tenant/object; Groups object ids; Roles the
	// values of app roles; Tenants tenant ids, or * for everybody who can sign
	// in. One that matches is enough.
	Users, Groups, Roles, Tenants []string
	// Tools are names in which * stands for anything.
	Tools []string
}

// Log is what is logged, and how.
type Log struct {
	// Level (log.level): debug, info, warn, error. info.
	Level string
	// Format (log.format): text or json. text.
	Format string
}

func defaults() *Config {
	return &Config{
		Listen:    "127.0.0.1:8788",
		Microsoft: Microsoft{AuthorityHost: "https://login.microsoftonline.com", Prompt: "select_account"},
		Tokens: Tokens{
			CodeLifetime: time.Minute, AccessLifetime: 10 * time.Minute, RefreshIdle: 30 * 24 * time.Hour,
			RefreshAbsolute: 90 * 24 * time.Hour, RefreshGrace: time.Minute, GrantLifetime: 24 * time.Hour,
		},
		HTTP: HTTP{
			MaxBodyBytes: 4 << 20, CallTimeout: time.Minute, MaxConcurrentCalls: 64,
			Register: Rate{PerMinute: 20, Burst: 20}, Authorize: Rate{PerMinute: 60, Burst: 60}, Token: Rate{PerMinute: 120, Burst: 120},
		},
		Log: Log{Level: "info", Format: "text"},
	}
}

// Source is where a configuration comes from.
type Source struct {
	// File names the file in messages; Data is its content. No data: only
	// the environment and defaults.
	File string
	Data []byte
	// Env looks up an environment variable.
	Env func(name string) (string, bool)
	// ReadFile reads a secret's file.
	ReadFile func(name string) ([]byte, error)
	// InsecureDevelopment is for the development stack; see Config.
	InsecureDevelopment bool
}

// Problem is one mistake.
type Problem struct {
	// Where is file:line or the name of a variable.
	Where string
	// What is wrong, and the remedy.
	What   string
	Remedy string
}

// Error implements error.
func (p Problem) Error() string {
	s := p.Where + ": " + p.What
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}

// Load reads a configuration. The error joins every Problem.
func Load(src Source) (*Config, error) {
	l := &loader{src: src, cfg: defaults(), at: map[string]string{}}
	l.cfg.InsecureDevelopment = src.InsecureDevelopment
	l.file()
	l.environment()
	l.check()
	if len(l.problems) > 0 {
		return nil, errors.Join(l.problems...)
	}
	return l.cfg, nil
}

// loader gathers a configuration and its problems.
type loader struct {
	src      Source
	cfg      *Config
	problems []error
	// at says where a key was set: file:line, a variable, or nothing for a
	// default.
	at map[string]string
}

// problem notes a mistake at a key.
func (l *loader) problem(key, what, remedy string) {
	where, ok := l.at[key]
	if !ok {
		if where = l.src.File; where == "" {
			where = "configuration"
		}
	}
	if key != "" {
		what = key + " " + what
	}
	l.problems = append(l.problems, Problem{Where: where, What: what, Remedy: remedy})
}

// environment reads the variables. A *_FILE twin names a file that holds the
// value; it is to be preferred for the secret.
func (l *loader) environment() {
	secretText := ""
	for _, v := range []struct {
		name, key string
		dst       *string
	}{
		{"MICROSOFT_CLIENT_ID", "microsoft.client_id", &l.cfg.Microsoft.ClientID},
		{"MICROSOFT_CLIENT_SECRET", "microsoft.client_secret", &secretText},
		{"MICROSOFT_TENANT_ID", "microsoft.tenant_id", &l.cfg.Microsoft.TenantID},
		{"MICROSOFT_AUTHORITY_HOST", "microsoft.authority_host", &l.cfg.Microsoft.AuthorityHost},
	} {
		l.variable(v.name, v.key, v.dst)
	}
	if secretText != "" {
		l.cfg.Microsoft.ClientSecret = secret.New(secretText)
	}
}

func (l *loader) variable(name, key string, dst *string) {
	value, set := l.src.Env(name)
	path, setFile := l.src.Env(name + "_FILE")
	if !set && !setFile {
		return
	}
	where := "environment " + name
	switch {
	case set && setFile:
		l.problems = append(l.problems, Problem{where, "is set, and so is " + name + "_FILE", "unset one of them"})
		return
	case l.at[key] != "":
		l.problems = append(l.problems, Problem{where, "is set, and so is " + key + " at " + l.at[key], "remove one of them"})
		return
	case setFile:
		where += "_FILE"
		data, err := l.src.ReadFile(path)
		if err != nil {
			l.problems = append(l.problems, Problem{where, "names a file that cannot be read: " + err.Error(), ""})
			return
		}
		value = strings.TrimSpace(string(data))
	}
	l.at[key] = where
	if value == "" {
		l.problems = append(l.problems, Problem{where, "is empty", "give it a value or unset it"})
		return
	}
	*dst = value
}

// keyFile is the default place of the key ring.
func (c *Config) keyFile() string { return filepath.Join(c.StateDir, "keys.json") }
