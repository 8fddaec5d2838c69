package config

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the effective configuration as YAML, without secrets.
func (c *Config) Print(w io.Writer) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("public_url: %s", c.PublicURL)
	p("listen: %s", c.Listen)
	if c.TLS.CertificateFile != "" {
		p("tls:\n  certificate_file: %q\n  key_file: %q", c.TLS.CertificateFile, c.TLS.KeyFile)
	}
	if len(c.TrustedProxies) > 0 {
		p("trusted_proxies: %s", quoted(c.TrustedProxies))
	}
	p("state_dir: %q\nkey_file: %q", c.StateDir, c.KeyFile)
	p("microsoft:\n  client_id: %s\n  client_secret: \"%s\" # never printed", c.Microsoft.ClientID, c.Microsoft.ClientSecret)
	p("  tenant_id: %s\n  authority_host: %s\n  prompt: %s", c.Microsoft.TenantID, c.Microsoft.AuthorityHost, c.Microsoft.Prompt)
	t := c.Tokens
	p("tokens:\n  code_lifetime: %s\n  access_lifetime: %s\n  refresh_idle: %s", t.CodeLifetime, t.AccessLifetime, t.RefreshIdle)
	p("  refresh_absolute: %s\n  refresh_grace: %s\n  grant_lifetime: %s", t.RefreshAbsolute, t.RefreshGrace, t.GrantLifetime)
	h := c.HTTP
	p("http:\n  max_body_bytes: %d\n  call_timeout: %s\n  max_concurrent_calls: %d", h.MaxBodyBytes, h.CallTimeout, h.MaxConcurrentCalls)
	p("  allowed_hosts: %s\n  allowed_origins: %s\n  rates:", quoted(h.AllowedHosts), quoted(h.AllowedOrigins))
	for _, r := range []struct {
		name string
		rate Rate
	}{{"register", h.Register}, {"authorize", h.Authorize}, {"token", h.Token}} {
		p("    %s: {per_minute: %g, burst: %d}", r.name, r.rate.PerMinute, r.rate.Burst)
	}
	if len(c.Access) == 0 {
		p("access: [] # nobody may call anything")
	} else {
		p("access:")
	}
	for _, r := range c.Access {
		p("  - name: %q", r.Name)
		for _, s := range []struct {
			name   string
			values []string
		}{{"users", r.Users}, {"groups", r.Groups}, {"roles", r.Roles}, {"tenants", r.Tenants}, {"tools", r.Tools}} {
			if len(s.values) > 0 {
				p("    %s: %s", s.name, quoted(s.values))
			}
		}
	}
	p("log: {level: %s, format: %s}", c.Log.Level, c.Log.Format)
	_, err := io.WriteString(w, b.String())
	return err
}

// quoted is a YAML list in one line.
func quoted[T any](values []T) string {
	items := make([]string, len(values))
	for i, v := range values {
		items[i] = fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return "[" + strings.Join(items, ", ") + "]"
}
