package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	guidShape   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	domainShape = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
	toolShape   = regexp.MustCompile(`^[A-Za-z0-9_.*-]{1,128}$`)
)

// check holds the whole against what makes sense, and fills in what follows
// from other settings.
func (l *loader) check() {
	l.checkPlace()
	l.checkMicrosoft()
	l.checkTokens()
	l.checkHTTP()
	l.checkAccess()
	l.oneOf("log.level", l.cfg.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", l.cfg.Log.Format, "text", "json")
}

func (l *loader) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		l.problem(key, fmt.Sprintf("is %q", value), "use one of "+strings.Join(allowed, ", "))
	}
}

// checkPlace is about where the gateway is reached and where it keeps things.
func (l *loader) checkPlace() {
	c := l.cfg
	if c.StateDir == "" {
		l.problem("state_dir", "is missing", "name a folder of the gateway's own, such as /var/lib/mcp-gateway")
	} else if c.KeyFile == "" {
		c.KeyFile = c.keyFile()
	}
	public := l.publicURL()
	if (c.TLS.CertificateFile == "") != (c.TLS.KeyFile == "") {
		l.problem("tls", "needs both certificate_file and key_file", "")
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		l.problem("listen", fmt.Sprintf("is %q", c.Listen), "write host:port, such as 127.0.0.1:8788 or 0.0.0.0:8443")
		return
	}
	tls := c.TLS.CertificateFile != ""
	if public != nil && public.Scheme == "https" && !tls && len(c.TrustedProxies) == 0 {
		l.problem("public_url", "is https, but nothing here does TLS",
			"set tls.certificate_file and tls.key_file, or name the proxy that does TLS in trusted_proxies")
	}
	if public != nil && public.Scheme == "http" && tls {
		l.problem("public_url", "is http, but tls is set", "make it https")
	}
	if !isLoopback(host) && !tls && len(c.TrustedProxies) == 0 {
		l.problem("listen", "is reachable from other machines without TLS",
			"set tls, or listen on 127.0.0.1, or name the proxy in front in trusted_proxies")
	}
}

func (l *loader) publicURL() *url.URL {
	c := l.cfg
	if c.PublicURL == "" {
		l.problem("public_url", "is missing", "write how clients reach the gateway, such as https://mcp.example.com")
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		l.problem("public_url", fmt.Sprintf("is %q, which is not an http or https URL", c.PublicURL), "")
		return nil
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		l.problem("public_url", "must be scheme and host only", "remove path, query and user: clients look for the gateway at the root of its host")
		return nil
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		l.problem("public_url", "must be https", "only http://localhost and other loopback addresses may be http")
	}
	c.PublicURL = strings.ToLower(u.Scheme + "://" + u.Host)
	return u
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func (l *loader) checkMicrosoft() {
	m := &l.cfg.Microsoft
	m.ClientID, m.TenantID = strings.ToLower(m.ClientID), strings.ToLower(m.TenantID)
	where := "it is on the application's Overview page in the Microsoft Entra admin centre"
	switch {
	case m.ClientID == "":
		l.problem("microsoft.client_id", "is missing", "set it here or as MICROSOFT_CLIENT_ID; "+where)
	case !guidShape.MatchString(m.ClientID):
		l.problem("microsoft.client_id", fmt.Sprintf("is %q, which is not a GUID", m.ClientID), where)
	}
	if m.ClientSecret.IsZero() && l.at["microsoft.client_secret"] == "" {
		l.problem("microsoft.client_secret", "is missing",
			"write it into a file and name that in microsoft.client_secret_file or MICROSOFT_CLIENT_SECRET_FILE, or set MICROSOFT_CLIENT_SECRET")
	}
	switch {
	case m.TenantID == "":
		l.problem("microsoft.tenant_id", "is missing", "set it here or as MICROSOFT_TENANT_ID; "+where)
	case slices.Contains([]string{"common", "organizations", "consumers"}, m.TenantID):
		l.problem("microsoft.tenant_id", fmt.Sprintf("is %q, which lets in people of any organization and is not supported", m.TenantID),
			"name your own tenant by GUID or domain")
	case !guidShape.MatchString(m.TenantID) && !domainShape.MatchString(m.TenantID):
		l.problem("microsoft.tenant_id", fmt.Sprintf("is %q, which is neither a GUID nor a domain", m.TenantID), where)
	}
	m.AuthorityHost = strings.TrimSuffix(m.AuthorityHost, "/")
	u, err := url.Parse(m.AuthorityHost)
	httpAllowed := l.cfg.InsecureDevelopment && u != nil && u.Scheme == "http" && isLoopback(u.Hostname())
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Scheme != "https" && !httpAllowed {
		l.problem("microsoft.authority_host", fmt.Sprintf("is %q", m.AuthorityHost), "write https:// and the host of your cloud, such as https://login.microsoftonline.com")
	}
	l.oneOf("microsoft.prompt", m.Prompt, "select_account", "login", "consent", "none")
}

func (l *loader) checkTokens() {
	t := l.cfg.Tokens
	l.between("tokens.code_lifetime", t.CodeLifetime, 10*time.Second, 10*time.Minute)
	l.between("tokens.access_lifetime", t.AccessLifetime, 5*time.Second, time.Hour)
	l.between("tokens.refresh_idle", t.RefreshIdle, time.Minute, 365*24*time.Hour)
	l.between("tokens.refresh_absolute", t.RefreshAbsolute, time.Minute, 365*24*time.Hour)
	l.between("tokens.refresh_grace", t.RefreshGrace, 0, 10*time.Minute)
	l.between("tokens.grant_lifetime", t.GrantLifetime, time.Minute, 7*24*time.Hour)
}

func (l *loader) between(key string, d, low, high time.Duration) {
	if d < low || d > high {
		l.problem(key, fmt.Sprintf("is %s", d), fmt.Sprintf("it must be from %s to %s", low, high))
	}
}

func (l *loader) checkHTTP() {
	h := l.cfg.HTTP
	if h.MaxBodyBytes < 1<<10 || h.MaxBodyBytes > 256<<20 {
		l.problem("http.max_body_bytes", fmt.Sprintf("is %d", h.MaxBodyBytes), "it must be from 1024 (1 KiB) to 268435456 (256 MiB)")
	}
	l.between("http.call_timeout", h.CallTimeout, time.Second, time.Hour)
	if h.MaxConcurrentCalls < 1 || h.MaxConcurrentCalls > 10000 {
		l.problem("http.max_concurrent_calls", fmt.Sprintf("is %d", h.MaxConcurrentCalls), "it must be from 1 to 10000")
	}
	for key, r := range map[string]Rate{"http.rates.register": h.Register, "http.rates.authorize": h.Authorize, "http.rates.token": h.Token} {
		if r.PerMinute < 1 || r.Burst < 1 {
			l.problem(key, "must allow at least one request", "set per_minute and burst to 1 or more")
		}
	}
	for _, host := range h.AllowedHosts {
		if host == "" || strings.ContainsAny(host, "/*@ ") {
			l.problem("http.allowed_hosts", fmt.Sprintf("has %q", host), "write host or host:port, without wildcards")
		}
	}
	for _, origin := range h.AllowedOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || origin != u.Scheme+"://"+u.Host || strings.Contains(origin, "*") {
			l.problem("http.allowed_origins", fmt.Sprintf("has %q", origin), "write scheme://host[:port], without path or wildcards")
		}
	}
}

func (l *loader) checkAccess() {
	names := map[string]bool{}
	for i := range l.cfg.Access {
		r := &l.cfg.Access[i]
		key := fmt.Sprintf("access[%d]", i)
		if r.Name == "" {
			l.problem(key, "has no name", "give it one: decisions and the audit trail name the rule")
		}
		if names[r.Name] && r.Name != "" {
			l.problem(key, fmt.Sprintf("has the name %q of another rule", r.Name), "give each rule its own")
		}
		names[r.Name] = true
		if len(r.Users)+len(r.Groups)+len(r.Roles)+len(r.Tenants) == 0 {
			l.problem(key, "names nobody", "add users, groups, roles or tenants")
		}
		if len(r.Tools) == 0 {
			l.problem(key, "names no tools", `add tools, such as ["math_*"]`)
		}
		l.guids(key, "users", r.Users, true)
		l.guids(key, "groups", r.Groups, false)
		l.guids(key, "tenants", slices.DeleteFunc(slices.Clone(r.Tenants), func(t string) bool { return t == "*" }), false)
		lower(r.Tenants)
		for _, tool := range r.Tools {
			if !toolShape.MatchString(tool) {
				l.problem(key, fmt.Sprintf("has the tool %q", tool), "tool names have letters, digits, _ . - and * for anything")
			}
		}
	}
}

func lower(ids []string) {
	for i, id := range ids {
		ids[i] = strings.ToLower(id)
	}
}

// guids lower-cases ids and refuses names: names of groups and people change,
// and anybody can take one.
func (l *loader) guids(key, what string, ids []string, pair bool) {
	for i, id := range ids {
		ids[i] = strings.ToLower(id)
		tenant, object, both := strings.Cut(ids[i], "/")
		if both && pair && guidShape.MatchString(tenant) && guidShape.MatchString(object) || guidShape.MatchString(ids[i]) {
			continue
		}
		l.problem(key, fmt.Sprintf("has %q in %s, which is not an object id", id, what), "write the GUID that the Microsoft Entra admin centre shows")
	}
}
