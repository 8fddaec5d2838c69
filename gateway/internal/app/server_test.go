package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/keyring"
)

// certificate writes a self-signed certificate for host and returns its files
// and what trusts it.
func certificate(t testing.TB, dir, host string) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(cert)
	return write("tls.crt", "CERTIFICATE", der), write("tls.key", "PRIVATE KEY", keyDER), roots
}

func TestServesTLSFromFiles(t *testing.T) {
	t.Parallel()
	l, url := listen(t)
	g := &gateway{t: t, url: strings.Replace(url, "http:", "https:", 1), dir: t.TempDir(), logs: &lockedBuffer{}}
	g.sim, g.authority = newSim(t, g.url)
	if err := keyring.Create(filepath.Join(g.dir, "keys.json"), time.Now()); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, roots := certificate(t, g.dir, "localhost")
	g.serve(l, fmt.Sprintf("tls: {certificate_file: %q, key_file: %q}\n", certFile, keyFile))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(g.url + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("status %d, headers %v", resp.StatusCode, resp.Header)
	}
}

// TestItRefusesToStart: nothing that is wrong is served anyway.
func TestItRefusesToStart(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for name, tt := range map[string]struct {
		prepare func(*gateway)
		extra   string
		says    string
	}{
		"without a key ring":                       {func(g *gateway) { _ = os.Remove(filepath.Join(g.dir, "keys.json")) }, "", "keys init"},
		"with a key ring that all can read":        {func(g *gateway) { _ = os.Chmod(filepath.Join(g.dir, "keys.json"), 0o644) }, "", "chmod 600"},
		"with certificates that are not there":     {func(*gateway) {}, "tls: {certificate_file: nowhere.crt, key_file: nowhere.key}\n", "nowhere.crt"},
		"beside another gateway on the same state": {func(h *gateway) { h.dir = g.dir }, "", "another"},
	} {
		t.Run(name, func(t *testing.T) {
			l, url := listen(t)
			if tt.extra != "" {
				url = strings.Replace(url, "http:", "https:", 1)
			}
			h := &gateway{t: t, url: url, dir: t.TempDir(), authority: g.authority, logs: &lockedBuffer{}}
			if err := keyring.Create(filepath.Join(h.dir, "keys.json"), time.Now()); err != nil {
				t.Fatal(err)
			}
			tt.prepare(h)
			err := app.Run(t.Context(), app.Options{Config: h.config(tt.extra), Logger: slog.New(slog.DiscardHandler), Listener: l, Ready: func(net.Addr) {}})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want one about %q", err, tt.says)
			}
		})
	}
}

// TestBrowserClients: pages of any origin may register and ask for tokens, also
// when the answer is an error; the pages for people have no CORS at all.
func TestBrowserClients(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, tt := range []struct {
		method, path string
		allowed      bool
	}{
		{http.MethodOptions, "/register", true}, {http.MethodPost, "/register", true}, {http.MethodOptions, "/token", true}, {http.MethodPost, "/token", true},
		{http.MethodOptions, "/revoke", true}, {http.MethodPost, "/revoke", true},
		{http.MethodOptions, "/.well-known/oauth-protected-resource/mcp", true}, {http.MethodGet, "/.well-known/oauth-authorization-server", true},
		{http.MethodOptions, "/authorize", false}, {http.MethodGet, "/authorize", false}, {http.MethodPost, "/consent", false}, {http.MethodGet, "/callback", false},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, g.url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://inspector.example")
		req.Header.Set("Access-Control-Request-Method", http.MethodPost)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); (got == "*") != tt.allowed || !tt.allowed && got != "" {
			t.Errorf("%s %s: allowed origin %q", tt.method, tt.path, got)
		}
		if tt.allowed && tt.method == http.MethodOptions && (resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Authorization")) {
			t.Errorf("%s %s: status %d, headers %v", tt.method, tt.path, resp.StatusCode, resp.Header)
		}
	}
}

// TestAProxyIsBelievedAboutTheAddress: limits and the trail see the person's
// address, not the proxy's, and nobody else can forge one.
func TestAProxyIsBelievedAboutTheAddress(t *testing.T) {
	t.Parallel()
	g := start(t, "trusted_proxies: [127.0.0.0/8]\nhttp: {rates: {token: {per_minute: 1, burst: 1}}}\n")
	ask := func(forwarded string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", forwarded)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for i, tt := range []struct {
		forwarded string
		status    int
	}{
		{"198.51.100.1", 400}, {"198.51.100.2", 400}, {"198.51.100.1", 429}, {"203.0.113.9, 198.51.100.1", 429},
	} {
		if got := ask(tt.forwarded); got != tt.status {
			t.Errorf("request %d from %s: status %d, want %d", i, tt.forwarded, got, tt.status)
		}
	}
}

func TestItStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	if err := g.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("it still answers")
	}
}
