package entrasim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1 by definition (RFC 7517 §4.8)
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuers that Microsoft's keys name.
const (
	templateIssuer = "/{tenantid}/v2.0"
	// ConsumersTenant is the tenant of personal accounts.
	ConsumersTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

// key is one signing key with its certificate, as the keys document has it.
type key struct {
	private *rsa.PrivateKey
	id      string
	cert    []byte
	// consumers: it signs for personal accounts only.
	consumers bool
}

// keyring is what a simulation signs with and publishes.
type keyring struct {
	signing   *key
	published []*key
	// spare is the key that Roll publishes next.
	spare *key
	// withdrawn is what Retire took out of the document.
	withdrawn *key
	personal  *key
}

// pool is shared by the simulations of a process: making RSA keys takes long.
var pool = sync.OnceValues(func() ([]*key, error) {
	var wg sync.WaitGroup
	keys, errs := make([]*key, 4), make([]error, 4)
	for i := range keys {
		wg.Go(func() { keys[i], errs[i] = newKey(i == 3) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return keys, nil
})

func newKeyring() (*keyring, error) {
	keys, err := pool()
	if err != nil {
		return nil, err
	}
	return &keyring{signing: keys[0], published: []*key{keys[0], keys[1], keys[3]}, spare: keys[2], personal: keys[3]}, nil
}

// newKey makes a key with a real certificate: a reader may check that x5t is
// the SHA-1 of x5c[0] and that the certificate holds the key.
func newKey(consumers bool) (*key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "entrasim"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	sum := sha1.Sum(cert) //nolint:gosec // see above
	return &key{private: private, id: base64.RawURLEncoding.EncodeToString(sum[:]), cert: cert, consumers: consumers}, nil
}

// Roll makes the next key the signing one, as Microsoft rolls: it is published
// first (Publish), then signs, and the old one stays published until Retire.
func (s *Sim) Roll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.withdrawn, s.keys.signing, s.keys.spare = s.keys.signing, s.keys.spare, s.keys.signing
}

// Publish puts the next signing key into the keys document.
func (s *Sim) Publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.published = append(s.keys.published, s.keys.spare)
}

// Retire takes the previous signing key out of the keys document.
func (s *Sim) Retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []*key
	for _, k := range s.keys.published {
		if k != s.keys.withdrawn {
			left = append(left, k)
		}
	}
	s.keys.published = left
}

// SignPersonal signs what follows with the personal accounts' key.
func (s *Sim) SignPersonal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.signing = s.keys.personal
}

func (s *Sim) keysDocument(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := take(&s.failures, StageKeys); ok {
		f.answer(w)
		return
	}
	keys := make([]map[string]any, 0, len(s.keys.published))
	for _, k := range s.keys.published {
		issuer := s.base + templateIssuer
		if k.consumers {
			issuer = s.base + "/" + ConsumersTenant + "/v2.0"
		}
		keys = append(keys, map[string]any{
			"kty": "RSA", "use": "sig", "kid": k.id, "x5t": k.id, "e": "AQAB",
			"n":   base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
			"x5c": []string{base64.StdEncoding.EncodeToString(k.cert)}, "issuer": issuer, "cloud_instance_name": "microsoftonline.com",
		})
	}
	mathrand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
	_ = r
}

// sign makes a JWT (RFC 7515) without x5c, as v2.0 tokens have it.
func (k *key) sign(claims []byte, header map[string]any) (string, error) {
	opts := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range header {
		opts = opts.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.private, KeyID: k.id},
	}, opts)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	jws, err := signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return jws.CompactSerialize()
}

// discovery answers in the shape of each kind of authority.
func (s *Sim) discovery(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := take(&s.failures, StageDiscovery); ok {
		f.answer(w)
		return
	}
	name := r.PathValue("tenant")
	issuer := ""
	switch tenant, ok := s.tenant(name); {
	case ok:
		issuer = s.base + "/" + tenant.ID + "/v2.0"
	case name == "common" || name == "organizations":
		issuer = s.base + templateIssuer
	case name == "consumers":
		issuer = s.base + "/" + ConsumersTenant + "/v2.0"
	default:
		s.failToken(w, http.StatusBadRequest, "invalid_tenant", 90002, "Tenant '"+name+"' not found.", "")
		return
	}
	base := s.base + "/" + strings.ToLower(name)
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "max-age=86400, private")
	writeJSON(w, http.StatusOK, map[string]any{
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"issuer":                                issuer,
		"request_uri_parameter_supported":       false,
		"userinfo_endpoint":                     "https://graph.microsoft.com/oidc/userinfo",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"device_authorization_endpoint":         base + "/oauth2/v2.0/devicecode",
		"http_logout_supported":                 true,
		"frontchannel_logout_supported":         true,
		"end_session_endpoint":                  base + "/oauth2/v2.0/logout",
		"claims_supported": []string{
			"sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host", "aud", "exp",
			"iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email",
		},
		"tenant_region_scope": "WW", "cloud_instance_name": "microsoftonline.com",
		"cloud_graph_host_name": "graph.windows.net", "msgraph_host": "graph.microsoft.com",
	})
}
