package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"mcp-gateway/shared/secret"
)

// setting is one key of the file: where its value may stand, how its text
// becomes a field and how the field is shown.
type setting struct {
	// key is the path in the file, with dots.
	key  string
	kind kind
	// env is the variable that gives it too, with commas or spaces in a list;
	// env + "_FILE" names a file that holds it, unless it is a path itself.
	env string
	// initial is the default, as it would be written; "" if there is none.
	initial string
	// missing is the remedy when there is no value; "" if it may be absent.
	missing string
	// parse puts a text into the field; into a list, one more.
	parse func(*Config, string) *refusal
	// show returns the field as it would be written, one text for each value.
	show func(*Config) []string
}

type kind int

const (
	single kind = iota
	list
	// path is a single value, relative to the folder of the file it is in.
	path
	// hidden is a secret: the file may only name, with key + "_file", another
	// file that holds it.
	hidden
)

// settings is all there is to know about the keys, except for the rules under
// access. The order is the one in which they are shown.
var settings = []setting{
	one("public_url", "", publicURL, func(c *Config) *string { return &c.PublicURL }),
	one("listen", "127.0.0.1:8788", listenAddress, func(c *Config) *string { return &c.Listen }),
	file("tls.certificate_file", func(c *Config) *string { return &c.TLS.CertificateFile }),
	file("tls.key_file", func(c *Config) *string { return &c.TLS.KeyFile }),
	many("trusted_proxies", network, func(c *Config) *[]netip.Prefix { return &c.TrustedProxies }),
	file("state_dir", func(c *Config) *string { return &c.StateDir }).
		required("name the folder for the database, for example: state_dir: /var/lib/mcp-gateway"),
	file("key_file", func(c *Config) *string { return &c.KeyFile }),

	one("microsoft.client_id", "", clientID, func(c *Config) *string { return &c.Microsoft.ClientID }).
		from("MICROSOFT_CLIENT_ID").
		required("copy the application (client) id from the app registration, into the file or into MICROSOFT_CLIENT_ID"),
	one("microsoft.client_secret", "", clientSecret, func(c *Config) *secret.Value { return &c.Microsoft.ClientSecret }).
		from("MICROSOFT_CLIENT_SECRET").asSecret(),
	one("microsoft.client_secret_expires", "", day, func(c *Config) *time.Time { return &c.Microsoft.ClientSecretExpires }).
		from("MICROSOFT_CLIENT_SECRET_EXPIRES"),
	file("microsoft.client_certificate_file", func(c *Config) *string { return &c.Microsoft.ClientCertificateFile }).
		from("MICROSOFT_CLIENT_CERTIFICATE_PATH"),
	file("microsoft.federated_token_file", func(c *Config) *string { return &c.Microsoft.FederatedTokenFile }).
		from("AZURE_FEDERATED_TOKEN_FILE"),
	one("microsoft.tenant_id", "", tenant, func(c *Config) *string { return &c.Microsoft.TenantID }).
		from("MICROSOFT_TENANT_ID").
		required("copy the directory (tenant) id from the app registration, into the file or into MICROSOFT_TENANT_ID"),
	many("microsoft.allowed_tenants", allowedTenant, func(c *Config) *[]string { return &c.Microsoft.AllowedTenants }).
		from("MICROSOFT_ALLOWED_TENANTS"),
	one("microsoft.guests", "allow", choice("allow", "deny"), func(c *Config) *string { return &c.Microsoft.Guests }),
	one("microsoft.authority_host", "https://login.microsoftonline.com", authority, func(c *Config) *string { return &c.Microsoft.AuthorityHost }).
		from("MICROSOFT_AUTHORITY_HOST"),
	one("microsoft.graph_url", "", graphURL, func(c *Config) *string { return &c.Microsoft.GraphURL }).
		from("MICROSOFT_GRAPH_URL"),
	one("microsoft.prompt", "select_account", choice("select_account", "login"), func(c *Config) *string { return &c.Microsoft.Prompt }),
	one("microsoft.recheck_interval", "1h", between(0, 24*time.Hour,
		"somebody who left the company keeps access until Microsoft is asked again"),
		func(c *Config) *time.Duration { return &c.Microsoft.RecheckInterval }),
	one("microsoft.outage_grace", "4h", between(0, 24*time.Hour,
		"while Microsoft does not answer, nobody knows who has left the company"),
		func(c *Config) *time.Duration { return &c.Microsoft.OutageGrace }),

	one("tokens.code_lifetime", "60s", between(10*time.Second, 10*time.Minute,
		"a client redeems its code at once (RFC 6749 §4.1.2: at most 10 minutes)"),
		func(c *Config) *time.Duration { return &c.Tokens.CodeLifetime }),
	one("tokens.access_lifetime", "10m", between(time.Minute, time.Hour,
		"clients refresh by themselves, and a stolen token works until it ends (RFC 6750 §5.3: one hour or less)"),
		func(c *Config) *time.Duration { return &c.Tokens.AccessLifetime }),
	one("tokens.refresh_idle", "720h", between(time.Hour, 90*24*time.Hour,
		"an unused token that is still good is only of use to a thief"),
		func(c *Config) *time.Duration { return &c.Tokens.RefreshIdle }),
	one("tokens.refresh_absolute", "2160h", between(time.Hour, 365*24*time.Hour,
		"after a year at the latest a person should sign in again"),
		func(c *Config) *time.Duration { return &c.Tokens.RefreshAbsolute }),
	one("tokens.refresh_grace", "60s", between(0, 10*time.Minute,
		"it is for a reply that was lost on the way, and a stolen token may be used in it"),
		func(c *Config) *time.Duration { return &c.Tokens.RefreshGrace }),

	one("http.max_body_bytes", "4194304", whole[int64](64<<10, 64<<20,
		"a request is held in memory while it is checked"), func(c *Config) *int64 { return &c.HTTP.MaxBodyBytes }),
	one("http.call_timeout", "60s", between(time.Second, 10*time.Minute,
		"clients and proxies give up on a call before that"), func(c *Config) *time.Duration { return &c.HTTP.CallTimeout }),
	one("http.max_concurrent_calls", "64", whole[int](1, 10_000,
		"one person must not take the whole gateway"), func(c *Config) *int { return &c.HTTP.MaxConcurrentCalls }),
	perMinute("http.rates.register", "30", func(c *Config) *Rate { return &c.HTTP.Register }),
	burst("http.rates.register", "30", func(c *Config) *Rate { return &c.HTTP.Register }),
	perMinute("http.rates.authorize", "120", func(c *Config) *Rate { return &c.HTTP.Authorize }),
	burst("http.rates.authorize", "60", func(c *Config) *Rate { return &c.HTTP.Authorize }),
	perMinute("http.rates.token", "600", func(c *Config) *Rate { return &c.HTTP.Token }),
	burst("http.rates.token", "300", func(c *Config) *Rate { return &c.HTTP.Token }),
	perMinute("http.rates.device", "30", func(c *Config) *Rate { return &c.HTTP.Device }),
	burst("http.rates.device", "30", func(c *Config) *Rate { return &c.HTTP.Device }),
	many("http.allowed_hosts", hostPort, func(c *Config) *[]string { return &c.HTTP.AllowedHosts }),
	many("http.allowed_origins", origin, func(c *Config) *[]string { return &c.HTTP.AllowedOrigins }),

	one("clients.registration", "open", choice("open", "listed", "closed"), func(c *Config) *string { return &c.Clients.Registration }),
	many("clients.redirect_hosts", hostPattern, func(c *Config) *[]string { return &c.Clients.RedirectHosts }),
	one("clients.documents", "open", choice("open", "listed", "closed"), func(c *Config) *string { return &c.Clients.Documents }),
	many("clients.document_hosts", hostPattern, func(c *Config) *[]string { return &c.Clients.DocumentHosts }),
	one("clients.private_use_redirects", "true", truth, func(c *Config) *bool { return &c.Clients.PrivateUseRedirects }),
	one("clients.device_sign_in", "false", truth, func(c *Config) *bool { return &c.Clients.DeviceSignIn }),
	one("clients.proxy", "", proxy, func(c *Config) *string { return &c.Clients.Proxy }),

	one("log.level", "info", logLevel, func(c *Config) *slog.Level { return &c.Log.Level }),
	one("log.format", "text", choice("text", "json"), func(c *Config) *string { return &c.Log.Format }),
}

func one[T any](key, initial string, parse func(string) (T, *refusal), field func(*Config) *T) setting {
	return setting{key: key, kind: single, initial: initial,
		parse: func(c *Config, text string) (bad *refusal) {
			*field(c), bad = parse(text)
			return bad
		},
		show: func(c *Config) []string { return []string{show(*field(c))} },
	}
}

func many[T any](key string, parse func(string) (T, *refusal), field func(*Config) *[]T) setting {
	return setting{key: key, kind: list,
		parse: func(c *Config, text string) *refusal {
			v, bad := parse(text)
			if bad == nil {
				*field(c) = append(*field(c), v)
			}
			return bad
		},
		show: func(c *Config) []string {
			var texts []string
			for _, v := range *field(c) {
				texts = append(texts, show(v))
			}
			return texts
		},
	}
}

func file(key string, field func(*Config) *string) setting {
	s := one(key, "", func(text string) (string, *refusal) { return text, nil }, field)
	s.kind = path
	return s
}

// maxRate is beyond what one gateway can answer, so more is a slip.
const maxRate = 100_000

const rateReason = "it is for each address, and each request may cost the gateway work before anybody has signed in"

func perMinute(section, initial string, field func(*Config) *Rate) setting {
	return one(section+".per_minute", initial, whole[float64](1, maxRate, rateReason), func(c *Config) *float64 { return &field(c).PerMinute })
}

func burst(section, initial string, field func(*Config) *Rate) setting {
	return one(section+".burst", initial, whole[int](1, maxRate, rateReason), func(c *Config) *int { return &field(c).Burst })
}

func (s setting) from(env string) setting { s.env = env; return s }

func (s setting) asSecret() setting { s.kind = hidden; return s }

func (s setting) required(remedy string) setting { s.missing = remedy; return s }

// fileKey is the key under which the setting stands in the file.
func (s setting) fileKey() string {
	if s.kind == hidden {
		return s.key + "_file"
	}
	return s.key
}

// show writes a value as the file would have it.
func show(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return formatDuration(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.Format(time.DateOnly)
	case slog.Level:
		return strings.ToLower(v.String())
	default:
		return fmt.Sprint(v) // a secret.Value shows itself redacted
	}
}

// formatDuration is Duration.String without the zeros: 10m, not 10m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
