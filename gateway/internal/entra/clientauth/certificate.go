package clientauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An assertion lives for as long as Microsoft advises at most, of which half lies
// back, so that the clocks may differ by as much either way.
const (
	assertionLifetime  = 10 * time.Minute
	assertionBackdated = 5 * time.Minute
	// minKeyBits: RFC 7518 §3.5, "A key of size 2048 bits or larger MUST be used".
	minKeyBits = 2048
)

// Certificate signs assertions with the key of a certificate that the application
// knows (RFC 7523 §2.2, private_key_jwt, in the form of Microsoft's "certificate
// credentials"). It is safe for concurrent use.
type Certificate struct {
	file, clientID string
	logger         *slog.Logger

	mu sync.Mutex
	// guards below
	data []byte // of the file, when it was last looked at
	pair keyPair
}

// keyPair is a certificate and its key, ready to sign.
type keyPair struct {
	certificate *x509.Certificate
	signer      jose.Signer
}

// LoadCertificate reads a PEM file with a certificate and its RSA key, which need
// not be in that order, and may have the certificate's chain. The file is read
// again for each assertion, so that a new certificate needs no restart; while what
// is in it cannot be used, what was in it before is, and the logger is told.
func LoadCertificate(file, clientID string, logger *slog.Logger) (*Certificate, error) {
	c := &Certificate{file: file, clientID: clientID, logger: logger}
	data, err := readFile(file)
	if err == nil {
		c.data = data
		c.pair, err = parseKeyPair(data)
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate file cannot be used: %w", err)
	}
	return c, nil
}

// Authenticate adds an assertion for the token endpoint to a request to it.
func (c *Certificate) Authenticate(ctx context.Context, form url.Values, endpoint string, now time.Time) error {
	payload, err := json.Marshal(map[string]any{
		"aud": endpoint, "iss": c.clientID, "sub": c.clientID, "jti": rand.Text(),
		"nbf": now.Add(-assertionBackdated).Unix(), "iat": now.Add(-assertionBackdated).Unix(),
		"exp": now.Add(assertionLifetime - assertionBackdated).Unix(),
	})
	if err != nil {
		return fmt.Errorf("write an assertion: %w", err)
	}
	jws, err := c.current(ctx).signer.Sign(payload)
	if err != nil {
		return fmt.Errorf("sign an assertion: %w", err)
	}
	assertion, err := jws.CompactSerialize()
	if err != nil {
		return fmt.Errorf("sign an assertion: %w", err)
	}
	assert(form, assertion)
	return nil
}

// Expires is when the certificate ends that the file holds.
func (c *Certificate) Expires(ctx context.Context) (what string, at time.Time) {
	return "client certificate", c.current(ctx).certificate.NotAfter
}

// current is what the file holds, or held when it could last be used.
func (c *Certificate) current(ctx context.Context) keyPair {
	data, err := readFile(c.file)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && bytes.Equal(data, c.data) {
		return c.pair
	}
	var pair keyPair
	if err == nil {
		c.data = data // looked at once, whatever it is
		pair, err = parseKeyPair(data)
	}
	if err != nil {
		c.logger.ErrorContext(ctx, "the certificate file cannot be read again; the certificate stays as it was", slog.Any("error", err))
		return c.pair
	}
	c.pair = pair
	return pair
}

// parseKeyPair reads PEM blocks (RFC 7468). No error repeats anything of them.
func parseKeyPair(data []byte) (keyPair, error) {
	var certificates []*x509.Certificate
	var key *rsa.PrivateKey
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return keyPair{}, errors.New("it has a certificate that is none")
			}
			certificates = append(certificates, certificate)
			continue
		}
		one, err := parseKey(block)
		switch {
		case err != nil:
			return keyPair{}, err
		case one != nil && key != nil:
			return keyPair{}, errors.New("it has two private keys: leave the one of the certificate")
		case one != nil:
			key = one
		}
	}
	switch {
	case key == nil:
		return keyPair{}, errors.New("it has no private key: put the certificate and its key into one PEM file")
	case key.N.BitLen() < minKeyBits:
		return keyPair{}, fmt.Errorf("its key has %d bits, and Microsoft takes %d or more", key.N.BitLen(), minKeyBits)
	case len(certificates) == 0:
		return keyPair{}, errors.New("it has no certificate: put the certificate and its key into one PEM file")
	}
	for _, certificate := range certificates {
		if key.PublicKey.Equal(certificate.PublicKey) {
			return newKeyPair(certificate, key)
		}
	}
	return keyPair{}, errors.New("its private key is not that of its certificate")
}

// parseKey reads a private key; nil is for a block that is something else.
func parseKey(block *pem.Block) (*rsa.PrivateKey, error) {
	errNotRSA := errors.New("its private key is not of the kind RSA, which is the only one that Microsoft takes")
	switch block.Type {
	case "RSA PRIVATE KEY", "PRIVATE KEY":
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("its private key is encrypted: write it without a password, readable for the gateway alone")
	case "EC PRIVATE KEY":
		return nil, errNotRSA
	default:
		return nil, nil
	}
	if block.Headers["DEK-Info"] != "" { // the way of OpenSSL before PKCS #8
		return nil, errors.New("its private key is encrypted: write it without a password, readable for the gateway alone")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it has a private key that is none")
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errNotRSA
	}
	return rsaKey, nil
}

func newKeyPair(certificate *x509.Certificate, key *rsa.PrivateKey) (keyPair, error) {
	thumbprint := sha256.Sum256(certificate.Raw)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT").
		WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(thumbprint[:]))) // RFC 7515 §4.1.8
	return keyPair{certificate: certificate, signer: signer}, err
}
