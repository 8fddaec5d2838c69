package entrasim

import (
	"net/http"
	"net/url"
	"strings"
)

// instanceDocument says which hosts are one authority under several names, in
// Microsoft's order of members.
type instanceDocument struct {
	TenantDiscovery string         `json:"tenant_discovery_endpoint"`
	APIVersion      string         `json:"api-version"`
	Metadata        []instanceHost `json:"metadata"`
}

type instanceHost struct {
	PreferredNetwork string   `json:"preferred_network"`
	PreferredCache   string   `json:"preferred_cache"`
	Aliases          []string `json:"aliases"`
}

// instance is asked by Microsoft's own libraries before they trust a host, and
// when they look into their caches. Microsoft's answer names the hosts of all
// its clouds; here there is one host, with one name.
func (s *Sim) instance(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if f := checkParameters("instance discovery", q, []string{"api-version", "authorization_endpoint"}, "api-version", "authorization_endpoint"); f != nil {
		s.writeFailure(w, r, f)
		return
	}
	base := s.authorityURL(r)
	asked, err := url.Parse(q.Get("authorization_endpoint"))
	if err != nil || asked.Scheme+"://"+asked.Host != base {
		s.writeFailure(w, r, violation(50049, "instance discovery of %q", q.Get("authorization_endpoint")))
		return
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/")
	at, f := s.dir.authority(tenant)
	if f != nil {
		s.writeFailure(w, r, f)
		return
	}
	writeCacheable(w, r, instanceDocument{
		TenantDiscovery: base + "/" + at.segment + "/v2.0/.well-known/openid-configuration",
		APIVersion:      "1.1",
		Metadata:        []instanceHost{{PreferredNetwork: asked.Host, PreferredCache: asked.Host, Aliases: []string{asked.Host}}},
	})
}
