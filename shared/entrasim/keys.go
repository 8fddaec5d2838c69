package entrasim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"sync"
	"time"
)

// Key is a signing key. A gentle roll, as Microsoft does it, is
//
//	next, err := sim.NewKey()
//	next.Publish()            // everybody may fetch it
//	old := sim.SigningKey()
//	next.Sign()               // tokens carry it
//	old.Retire()              // tokens under it are no longer good
type Key struct {
	// ID is the kid, and x5t too: the certificate's SHA-1 (RFC 7515 §4.1.7).
	ID string

	sim     *Sim
	private *rsa.PrivateKey
	cert    []byte
	// tenantID is in the issuer that the key is good for.
	tenantID string
}

// keyPair is made once for the process: making a key takes a noticeable part
// of a second, and tests make many simulators.
type keyPair struct {
	private *rsa.PrivateKey
	cert    []byte
}

var pool struct {
	mu    sync.Mutex // guards below
	pairs []keyPair
}

// pairs returns the first n key pairs of the process and makes those that are
// missing, in parallel. Simulators of one process share them.
func pairs(n int) ([]keyPair, error) {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	made := make([]keyPair, max(n-len(pool.pairs), 0))
	problems := make([]error, len(made))
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() { made[i], problems[i] = newKeyPair() })
	}
	wg.Wait()
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	pool.pairs = append(pool.pairs, made...)
	return pool.pairs[:n:n], nil
}

func newKeyPair() (keyPair, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return keyPair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.windows.net"},
		// Wide, because a test's clock may stand anywhere.
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	return keyPair{private: private, cert: cert}, err
}

// firstKeys publishes what Microsoft always has: a key that signs, one that
// will, and the one of personal accounts.
func (s *Sim) firstKeys() error {
	if _, err := pairs(3); err != nil { // all at once
		return err
	}
	for _, tenantID := range []string{templateTenant, templateTenant, PersonalTenant} {
		k, err := s.newKey(tenantID)
		if err != nil {
			return err
		}
		s.published[k] = true
		if s.signing == nil {
			s.signing = k
		}
		s.personal = k // the last one
	}
	return nil
}

func (s *Sim) newKey(tenantID string) (*Key, error) {
	s.mu.Lock()
	s.keyCount++
	n := s.keyCount
	s.mu.Unlock()
	made, err := pairs(n)
	if err != nil {
		return nil, err
	}
	pair := made[n-1]
	sum := sha1.Sum(pair.cert)
	id := base64.RawURLEncoding.EncodeToString(sum[:])
	return &Key{ID: id, sim: s, private: pair.private, cert: pair.cert, tenantID: tenantID}, nil
}

// NewKey makes a key that is not published: a stranger's key until it is.
func (s *Sim) NewKey() (*Key, error) { return s.newKey(templateTenant) }

// SigningKey is the key that signs for organizations now.
func (s *Sim) SigningKey() *Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signing
}

// PersonalKey is the key of personal accounts. It is published, under an
// issuer of its own: a token of an organization must not be good under it.
func (s *Sim) PersonalKey() *Key { return s.personal }

// Publish puts the key into the key documents.
func (k *Key) Publish() {
	k.sim.mu.Lock()
	defer k.sim.mu.Unlock()
	k.sim.published[k] = true
}

// Retire takes the key out of the key documents. It still signs if it did.
func (k *Key) Retire() {
	k.sim.mu.Lock()
	defer k.sim.mu.Unlock()
	delete(k.sim.published, k)
}

// Sign makes the key sign for organizations, whether it is published or not.
func (k *Key) Sign() {
	k.sim.mu.Lock()
	defer k.sim.mu.Unlock()
	k.sim.signing = k
}

// jsonWebKey has the members that Microsoft publishes, in its order.
type jsonWebKey struct {
	Type              string   `json:"kty"`
	Use               string   `json:"use"`
	ID                string   `json:"kid"`
	Thumbprint        string   `json:"x5t"`
	N                 string   `json:"n"`
	E                 string   `json:"e"`
	Chain             []string `json:"x5c"`
	CloudInstanceName string   `json:"cloud_instance_name"`
	Issuer            string   `json:"issuer"`
}

// keys is the key document of an authority.
func (s *Sim) keys(w http.ResponseWriter, r *http.Request) {
	if o, ok := s.take(keysEndpoint); ok {
		s.divert(w, r, o)
		return
	}
	if _, f := s.dir.authority(r.PathValue("tenant")); f != nil {
		s.writeFailure(w, r, f)
		return
	}
	base := s.authorityURL(r)
	set := struct {
		Keys []jsonWebKey `json:"keys"`
	}{Keys: []jsonWebKey{}}
	s.mu.Lock()
	// In the map's random order: nobody may rely on one.
	for k := range s.published {
		set.Keys = append(set.Keys, jsonWebKey{
			Type: "RSA", Use: "sig", ID: k.ID, Thumbprint: k.ID,
			N:                 base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
			E:                 base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
			Chain:             []string{base64.StdEncoding.EncodeToString(k.cert)}, // not base64url: RFC 7517 §4.7
			CloudInstanceName: "microsoftonline.com",
			Issuer:            issuer(base, k.tenantID),
		})
	}
	s.mu.Unlock()
	writeCacheable(w, r, set)
}
