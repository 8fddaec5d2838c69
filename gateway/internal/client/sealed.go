package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"mcp-gateway/gateway/internal/keyring"
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

// sealing is the context that registrations are sealed in: their format. A new
// format gets a new byte, and the old one stays readable.
var sealing = []byte{1}

// sealed is the content of a client_id. The keys are short because of maxID.
type sealed struct {
	Name         string   `json:"n,omitempty"`
	URI          string   `json:"u,omitempty"`
	RedirectURIs []string `json:"r"`
	Refresh      bool     `json:"f,omitempty"`
	Native       bool     `json:"a,omitempty"`
}

// seal puts c into a client_id, and reports false if that gets too long.
func (d *Directory) seal(c Client) (id string, ok bool, err error) {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	// Escaped for HTML, each & of a URI would take six bytes.
	enc.SetEscapeHTML(false)
	if err := enc.Encode(sealed{
		Name: c.Name, URI: c.URI, RedirectURIs: c.RedirectURIs,
		Refresh: c.MayRefresh(), Native: c.ApplicationType == applicationNative,
	}); err != nil {
		return "", false, fmt.Errorf("encode registration: %w", err)
	}
	id = prefix + d.ring.SealText(keyring.ClientRegistration, bytes.TrimSuffix(plain.Bytes(), []byte("\n")), sealing)
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
	plain, err := d.ring.OpenText(keyring.ClientRegistration, text, sealing)
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
		GrantTypes: []string{grantAuthorizationCode}, ApplicationType: applicationWeb,
	}
	if s.Refresh {
		c.GrantTypes = append(c.GrantTypes, grantRefreshToken)
	}
	if s.Native {
		c.ApplicationType = applicationNative
	}
	return c, nil
}
