package entra_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/shared/entrasim"
)

// The platform's token is about the gateway.
const (
	platformIssuer  = "https://oidc.cluster.example/"
	platformSubject = "system:serviceaccount:mcp:gateway"
	platformAud     = "api://AzureADTokenExchange"
)

// certify makes a certificate of a key, good until then.
func certify(t *testing.T, key *rsa.PrivateKey, until time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.AddDate(-2, 0, 0), NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// pemOf is a file with certificates and a key.
func pemOf(t *testing.T, key *rsa.PrivateKey, certificates ...*x509.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	for _, c := range certificates {
		file.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	file.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return file.Bytes()
}

// platformToken is what a platform gives the gateway, from then on for an hour.
func platformToken(issued time.Time) string {
	return sign("platform", jose.RS256, keyB(), map[string]any{
		"iss": platformIssuer, "sub": platformSubject, "aud": platformAud,
		"iat": issued.Unix(), "nbf": issued.Unix(), "exp": issued.Add(time.Hour).Unix(),
	})
}

// provenBy makes the simulated application one with a certificate and a federated
// credential, and without a secret.
func provenBy(certificates ...*x509.Certificate) func(*entrasim.Options) {
	return func(o *entrasim.Options) {
		o.Apps[0].Secrets, o.Apps[0].Certificates = nil, certificates
		o.Apps[0].FederatedCredentials = []entrasim.FederatedCredential{
			{Issuer: platformIssuer, Subject: platformSubject, Audience: platformAud, Key: &keyB().PublicKey},
		}
	}
}
