package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

const (
	// prefix tells a sealed registration from a URL and lets scanners and
	// people recognize one. It must not begin with "https://", which means a
	// metadata document.
	prefix = "mcpc_"
	// maxID keeps a client_id within what URLs, forms and logs of clients
	// and proxies carry.
	maxID = 2048
)

// sealings are the contexts that registrations are sealed in: their formats. A
// client with a secret has one of its own, so that no gateway which does not know
// secrets can take it for a client without.
var (
	sealingPublic = []byte{1}
	sealingSecret = []byte{2}
)

// sealed is the content of a client_id. The keys are short because of maxID.
type sealed struct {
	Name         string   `json:"n,omitempty"`
	URI          string   `json:"u,omitempty"`
	RedirectURIs []string `json:"r"`
	Refresh      bool     `json:"f,omitempty"`
	Native       bool     `json:"a,omitempty"`
	Device       bool     `json:"d,omitempty"`
	// Secret is the SHA-256 of the client's secret, and Post says that it
	// comes in the body. Only in the format for them.
	Secret []byte `json:"s,omitempty"`
	Post   bool   `json:"p,omitempty"`
}

// seal puts c into a client_id, and reports false if that gets too long.
func (d *Directory) seal(c Client) (id string, ok bool, err error) {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	// Escaped for HTML, each & of a URI would take six bytes.
	enc.SetEscapeHTML(false)
	content, format := sealed{
		Name: c.Name, URI: c.URI, RedirectURIs: c.RedirectURIs,
		Refresh: c.MayRefresh(), Native: c.ApplicationType == applicationNative,
		Device: slices.Contains(c.GrantTypes, oauth.GrantTypeDeviceCode),
	}, sealingPublic
	if !c.Public() {
		content.Secret, content.Post, format = c.secret[:], c.AuthMethod == oauth.AuthMethodSecretPost, sealingSecret
	}
	if err := enc.Encode(content); err != nil {
		return "", false, fmt.Errorf("encode registration: %w", err)
	}
	id = prefix + d.cfg.Ring.SealText(keyring.ClientRegistration, bytes.TrimSuffix(plain.Bytes(), []byte("\n")), format)
	return id, len(id) <= maxID, nil
}

// open is the inverse of seal. An id has one spelling, so that it can be
// compared, hashed and denied as a string.
func (d *Directory) open(id string) (Client, error) {
	text, ok := strings.CutPrefix(id, prefix)
	// The base64 decoder skips line breaks, strict or not.
	if !ok || len(id) > maxID || strings.ContainsAny(text, "\r\n") {
		return Client{}, ErrUnknown
	}
	confidential := false
	plain, err := d.cfg.Ring.OpenText(keyring.ClientRegistration, text, sealingPublic)
	if err != nil {
		confidential = true
		plain, err = d.cfg.Ring.OpenText(keyring.ClientRegistration, text, sealingSecret)
	}
	if err != nil {
		return Client{}, ErrUnknown
	}
	var s sealed
	if err := json.Unmarshal(plain, &s); err != nil {
		// Authentic and yet not ours to read: not the client's fault.
		return Client{}, fmt.Errorf("decode registration %s: %w", Fingerprint(id), err)
	}
	c := Client{
		ID: id, Name: s.Name, URI: s.URI, RedirectURIs: s.RedirectURIs,
		GrantTypes: []string{grantAuthorizationCode}, ApplicationType: applicationWeb, AuthMethod: oauth.AuthMethodNone,
	}
	if confidential {
		if len(s.Secret) != len(c.secret) {
			return Client{}, fmt.Errorf("decode registration %s: it has no secret", Fingerprint(id))
		}
		c.secret, c.AuthMethod = store.Hash(s.Secret), oauth.AuthMethodSecretBasic
		if s.Post {
			c.AuthMethod = oauth.AuthMethodSecretPost
		}
	}
	if s.Refresh {
		c.GrantTypes = append(c.GrantTypes, grantRefreshToken)
	}
	if s.Device {
		c.GrantTypes = append(c.GrantTypes, oauth.GrantTypeDeviceCode)
	}
	if s.Native {
		c.ApplicationType = applicationNative
	}
	return c, nil
}
