package app

import (
	"fmt"
	"net/http"
	"net/url"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/netguard"
)

// fetcher is what documents and keys of clients are fetched with.
func fetcher(cfg config.Clients) (*http.Client, error) {
	var guard netguard.Config
	if cfg.Proxy != "" {
		proxy, err := url.Parse(cfg.Proxy)
		if err != nil {
			return nil, fmt.Errorf("clients.proxy: %w", err)
		}
		guard.Proxy = proxy
	}
	return netguard.NewClient(guard), nil
}

// admission turns the configuration's modes into the directory's policy.
func admission(cfg config.Clients) client.Policy {
	return client.Policy{
		Registration: client.Admission(cfg.Registration), RedirectHosts: cfg.RedirectHosts,
		Documents: client.Admission(cfg.Documents), DocumentHosts: cfg.DocumentHosts,
		PrivateUseRedirects: cfg.PrivateUseRedirects, Device: cfg.DeviceSignIn,
	}
}

// registered are the clients of the configuration; of secrets only the hash is
// kept.
func registered(configured []config.RegisteredClient) []client.Registered {
	out := make([]client.Registered, len(configured))
	for i, r := range configured {
		out[i] = client.Registered{
			ID: r.ID, Name: r.Name, RedirectURIs: r.RedirectURIs, GrantTypes: r.GrantTypes, Scopes: r.Scopes,
			AuthMethod: r.AuthMethod, JWKSURI: r.JWKSURI,
		}
		if !r.Secret.IsZero() {
			out[i].SecretHash = store.HashOf(r.Secret.Reveal())
		}
	}
	return out
}

func resourceServers(configured []config.ResourceServer) map[string]store.Hash {
	out := make(map[string]store.Hash, len(configured))
	for _, s := range configured {
		out[s.ID] = store.HashOf(s.Secret.Reveal())
	}
	return out
}
