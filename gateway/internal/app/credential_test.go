package app_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// newCertificate makes a key with its certificate, good until then, and the file of
// both.
func newCertificate(t *testing.T, until time.Time) (*x509.Certificate, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.AddDate(-2, 0, 0), NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// certified are the settings of a gateway that proves itself by a file.
func certified(file string) map[string]string {
	return map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_CERTIFICATE_PATH": file}
}

// TestACertificateIsReplacedWhileTheGatewayRuns: nobody is signed out, and while
// Microsoft does not know the new one it is the operator's fault.
func TestACertificateIsReplacedWhileTheGatewayRuns(t *testing.T) {
	t.Parallel()
	first, firstFile := newCertificate(t, time.Now().AddDate(1, 0, 0))
	second, secondFile := newCertificate(t, time.Now().AddDate(2, 0, 0))
	_, stranger := newCertificate(t, time.Now().AddDate(2, 0, 0))
	file := filepath.Join(t.TempDir(), "client.pem")
	replace := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace(firstFile)
	l := startLogin(t, func(t *testing.T, url string) upstream {
		return startSimulator(t, url, func(o *entrasim.Options) {
			o.Apps[0].Secrets, o.Apps[0].Certificates = nil, []*x509.Certificate{first, second}
		})
	}, certified(file), always)
	ada, tokens := l.grant("Ada")
	replace(secondFile)
	tokens = l.renew(ada, tokens)
	l.grant("Max")

	replace(stranger)
	logged := l.logging()
	tokens = l.renew(ada, tokens) // the old word holds
	b, a, callback := l.begun("Nora")
	page, next := b.get(callback.String())
	l.failed(a, page, next, http.StatusBadGateway, oauth.CodeServerError)
	if !strings.Contains(page.body, "Microsoft does not know the gateway") || !strings.Contains(page.body, "AADSTS700027") {
		t.Errorf("the page does not say what is wrong:\n%s", page.body)
	}
	logged("aadsts=700027", "Microsoft cannot be asked whether people may still come in")
	replace(firstFile)
	l.grant("Nora")
	l.works("after all of it", ada, tokens)
	if v := l.sim.Violations(); len(v) > 0 {
		t.Errorf("Microsoft was asked what it would refuse: %v", v)
	}
	if strings.Contains(l.logs.String(), "PRIVATE KEY") || strings.Contains(l.logs.String(), "client_assertion") {
		t.Error("the key or an assertion is in the log")
	}
}

// TestTheLogWarnsOfACertificateThatEnds, from the start on.
func TestTheLogWarnsOfACertificateThatEnds(t *testing.T) {
	t.Parallel()
	certificate, content := newCertificate(t, time.Now().Add(10*24*time.Hour+time.Hour))
	file := filepath.Join(t.TempDir(), "client.pem")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	l := startLogin(t, func(t *testing.T, url string) upstream {
		return startSimulator(t, url, func(o *entrasim.Options) {
			o.Apps[0].Secrets, o.Apps[0].Certificates = nil, []*x509.Certificate{certificate}
		})
	}, certified(file), "")
	l.grant("Ada")
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if log := l.logs.String(); strings.Count(log, `what="client certificate"`) != 1 || !strings.Contains(log, "days=10") {
		t.Errorf("the log does not warn once:\n%s", log)
	}
}
