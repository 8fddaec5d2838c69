package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// finish fills in the defaults that depend on other settings and checks what
// no setting can be checked for alone. A check whose settings have a problem
// already is left out.
func (l *loader) finish() {
	l.finishTLS()
	l.finishPublicURL()
	l.finishNetwork()
	l.finishAuthority()
	l.finishCredential()
	l.finishTenants()
	l.finishSubjects()
	l.finishGraph()
	l.finishTokens()
	l.finishClients()
	if c := l.cfg; c.KeyFile == "" && c.StateDir != "" {
		c.KeyFile = filepath.Join(c.StateDir, "keys.json")
		c.origins["key_file"] = "default, in state_dir"
	}
}

func (l *loader) good(keys ...string) bool {
	for _, key := range keys {
		if l.bad[key] {
			return false
		}
	}
	return true
}

func (l *loader) finishTLS() {
	if !l.good("tls.certificate_file", "tls.key_file") {
		return
	}
	switch tls := l.cfg.TLS; {
	case tls.CertificateFile == "" && tls.KeyFile != "":
		l.blame("tls.key_file", "there is no tls.certificate_file for it", "give both, or none if a proxy ends TLS")
	case tls.CertificateFile != "" && tls.KeyFile == "":
		l.blame("tls.certificate_file", "there is no tls.key_file for it", "give both, or none if a proxy ends TLS")
	}
}

// finishPublicURL knows the public URL of a gateway that only this machine can
// reach. Any other must be told, since people sign in to it by that name.
func (l *loader) finishPublicURL() {
	c := l.cfg
	if c.PublicURL != "" || !l.good("public_url", "listen", "tls.certificate_file", "tls.key_file", "trusted_proxies") {
		return
	}
	_, port, _ := net.SplitHostPort(c.Listen)
	if !loopbackListen(c.Listen) || port == "0" || c.TLS != (TLS{}) || len(c.TrustedProxies) > 0 {
		l.blame("public_url", "is missing", "give the address at which clients reach the gateway, for example: public_url: https://mcp.example.com")
		return
	}
	c.PublicURL = "http://localhost:" + port
	c.origins["public_url"] = "default, since only this machine can connect"
}

// finishNetwork makes sure that no token crosses a network in the clear: TLS
// ends here, or at a proxy that the configuration names.
func (l *loader) finishNetwork() {
	c := l.cfg
	if !l.good("public_url", "listen", "tls.certificate_file", "tls.key_file", "trusted_proxies") {
		return
	}
	secured, hasTLS := len(c.TrustedProxies) > 0, c.TLS != (TLS{})
	switch {
	case hasTLS && strings.HasPrefix(c.PublicURL, "http:"):
		l.blame("public_url", "is http, and tls says that the gateway serves https", "write https, or remove the tls section")
	case hasTLS || secured:
	case strings.HasPrefix(c.PublicURL, "https:"):
		l.blame("public_url", "is https, and nothing ends TLS", "give tls.certificate_file and tls.key_file, or list in trusted_proxies the proxy that ends TLS")
	case !loopbackListen(c.Listen):
		l.blame("listen", "accepts connections from the network without TLS", "give tls, or list the proxy that ends TLS in trusted_proxies, or listen on 127.0.0.1")
	}
}

// finishAuthority keeps sign-ins off plain http. The simulated sign-in of the
// development stack is the exception: it lets anybody be anybody, so then the
// gateway too is for this machine alone (DESIGN D17).
func (l *loader) finishAuthority() {
	c := l.cfg
	if !l.good("microsoft.authority_host") || !strings.HasPrefix(c.Microsoft.AuthorityHost, "http:") {
		return
	}
	v := value{file: l.src.File, line: l.lines["microsoft.authority_host"], key: "microsoft.authority_host"}
	if v.line == 0 {
		v.file, v.key = environment, "MICROSOFT_AUTHORITY_HOST"
	}
	switch {
	case !c.InsecureDevelopment || !loopbackURL(c.Microsoft.AuthorityHost):
		l.report(v, "is http: the client secret and the sign-in would cross the network in the clear", "use https")
	case l.good("listen") && !loopbackListen(c.Listen):
		l.blame("listen", "accepts connections from the network while the sign-in is simulated", "listen on 127.0.0.1")
	}
}

// finishCredential asks for the one thing that the gateway proves itself with at
// Microsoft: with two, nobody would know which one counts.
func (l *loader) finishCredential() {
	keys := []string{"microsoft.client_secret", "microsoft.client_certificate_file", "microsoft.federated_token_file"}
	var given []string
	for _, key := range keys {
		if place, ok := l.cfg.origins[key]; ok {
			given = append(given, key+" ("+place+")")
		}
	}
	switch {
	case !l.good(keys...):
	case len(given) == 0:
		l.report(value{file: l.src.File, line: l.lines["microsoft"], key: keys[0]}, "is missing", "put the value of a client secret into a file of its own and name that with microsoft.client_secret_file or MICROSOFT_CLIENT_SECRET_FILE;"+
			" or name a certificate's file with microsoft.client_certificate_file, or a federated token's with microsoft.federated_token_file")
	case len(given) > 1:
		l.report(value{file: l.src.File, line: l.lines["microsoft"], key: "microsoft"}, "the gateway can prove itself in one way only, and is given "+strings.Join(given, " and "), "keep one of them")
	case l.cfg.Microsoft.ClientSecret.IsZero() && !l.cfg.Microsoft.ClientSecretExpires.IsZero():
		l.blame("microsoft.client_secret_expires", "is about a client secret, and there is none", "remove it: the end of a certificate is in its file")
	}
}

// finishTenants asks whose people may come in, where that could be anybody's.
func (l *loader) finishTenants() {
	const key = "microsoft.allowed_tenants"
	m := l.cfg.Microsoft
	if !l.good("microsoft.tenant_id", key) {
		return
	}
	personal := m.TenantID == "consumers" || m.TenantID == personalTenant
	other := slices.ContainsFunc(m.AllowedTenants, func(id string) bool { return id != personalTenant })
	switch several := slices.Contains(severalTenants, m.TenantID); {
	case several && len(m.AllowedTenants) == 0 && personal:
		l.blame(key, "is missing: tenant_id stands for every personal account in the world", "if that is meant, list "+personalTenant+
			", which is the tenant of them all; otherwise name your directory in tenant_id")
	case several && len(m.AllowedTenants) == 0:
		l.blame(key, "is missing: tenant_id stands for every organization in the world", "list the ids of the directories whose people may sign in, or name one directory in tenant_id")
	case !several && len(m.AllowedTenants) > 0:
		l.blame(key, "is for a tenant_id that stands for several, and this one is a single directory", "remove it, or set tenant_id to organizations or common")
	case m.TenantID == "organizations" && m.AllowsPersonal():
		l.blame(key, "has the tenant of personal accounts, which cannot sign in through organizations", "set tenant_id to common, or remove "+personalTenant)
	case personal && other:
		l.blame(key, "has an organization, whose people cannot sign in through consumers", "set tenant_id to common or organizations, or list "+personalTenant+" alone")
	}
}

// finishSubjects asks a gateway for several tenants whose users, groups and roles its
// rules mean: otherwise the administrators of each could give what they like.
func (l *loader) finishSubjects() {
	allowed := l.cfg.Microsoft.AllowedTenants
	if len(allowed) < 2 || !l.good("microsoft.allowed_tenants") {
		return
	}
	anybodys := func(value string) bool {
		tenant, _ := ofTenant(value)
		return value != "" && !slices.Contains(allowed, tenant)
	}
	for _, r := range l.cfg.Access {
		for _, named := range []struct {
			key    string
			values []string
		}{{"users", r.Users}, {"groups", r.Groups}, {"roles", r.Roles}} {
			if i := slices.IndexFunc(named.values, anybodys); i >= 0 {
				_, what := ofTenant(named.values[i])
				l.blame("access", "the rule "+r.Name+" does not say of which tenant its "+named.key+" are, and each gives its own people groups and roles",
					"write one of allowed_tenants before it, such as "+allowed[0]+"/"+what)
			}
		}
	}
}

// graphs are where Microsoft Graph is, by the host of the authority: of the clouds
// that Microsoft documents.
var graphs = map[string]string{
	"https://login.microsoftonline.com":        "https://graph.microsoft.com",
	"https://login.microsoftonline.us":         "https://graph.microsoft.us",
	"https://login.partner.microsoftonline.cn": "https://microsoftgraph.chinacloudapi.cn",
}

// finishGraph knows where Microsoft Graph is in most clouds. It is only asked about
// groups, with access tokens that must not cross the network in the clear.
func (l *loader) finishGraph() {
	c := l.cfg
	if !l.good("microsoft.authority_host", "microsoft.graph_url") {
		return
	}
	grouped := slices.IndexFunc(c.Access, func(r Rule) bool { return len(r.Groups) > 0 })
	switch known := graphs[c.Microsoft.AuthorityHost]; {
	case c.Microsoft.GraphURL == "" && known != "":
		c.Microsoft.GraphURL = known
		c.origins["microsoft.graph_url"] = "default, of the cloud of authority_host"
	case c.Microsoft.GraphURL == "" && grouped >= 0:
		l.blame("microsoft.graph_url", "is missing: the rule "+c.Access[grouped].Name+" names groups, and where Microsoft Graph is in this cloud is not known",
			"give its host, as Microsoft documents it for the cloud of authority_host")
	case strings.HasPrefix(c.Microsoft.GraphURL, "http:") && (!c.InsecureDevelopment || !loopbackURL(c.Microsoft.GraphURL)):
		l.blame("microsoft.graph_url", "is http: access tokens would cross the network in the clear", "use https")
	}
}

func (l *loader) finishTokens() {
	t := l.cfg.Tokens
	if l.good("tokens.refresh_idle", "tokens.refresh_absolute") && t.RefreshIdle > t.RefreshAbsolute {
		l.blameLonger("tokens.refresh_idle", "tokens.refresh_absolute")
	}
}

// blameLonger reports a part that outlives its whole, at the one of the two
// that the file holds.
func (l *loader) blameLonger(part, whole string) {
	if l.lines[part] == 0 {
		l.blame(whole, "is shorter than "+part+", which ends with it", "raise it, or lower "+part)
		return
	}
	l.blame(part, "is longer than "+whole+", which ends it", "lower it, or raise "+whole)
}

// loopbackListen tells whether only this machine can connect.
func loopbackListen(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if addr, e := netip.ParseAddr(host); e == nil {
		host = addr.WithZone("").String()
	}
	return err == nil && loopbackHost(host)
}
