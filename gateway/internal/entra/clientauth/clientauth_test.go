package clientauth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/entra/clientauth"
	"mcp-gateway/shared/secret"
)

const (
	clientID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	endpoint = "https://login.example/tenant/oauth2/v2.0/token"
	jwtType  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	canary   = "canary"
)

var (
	now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	// Keys are dear to make, so all tests share them.
	keyA, keyB = sync.OnceValue(newKey), sync.OnceValue(newKey)
	silent     = slog.New(slog.DiscardHandler)
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// certify makes the PEM of a certificate of a key, good until then.
func certify(key crypto.Signer, until time.Time) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.AddDate(-1, 0, 0), NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return block("CERTIFICATE", raw, nil)
}

func block(kind string, content []byte, headers map[string]string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content, Headers: headers})
}

func pkcs8(key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return block("PRIVATE KEY", der, nil)
}

func pkcs1(key *rsa.PrivateKey, headers map[string]string) []byte {
	return block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), headers)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// write puts content into a file that other tests do not know.
func write(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), canary)
	put(t, name, content)
	return name
}

func put(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// parts reads an assertion that key signed with PS256.
func parts(t *testing.T, form url.Values, key *rsa.PrivateKey) (header, claims map[string]any) {
	t.Helper()
	if len(form) != 2 || form.Get("client_assertion_type") != jwtType {
		t.Fatalf("the form has %v", form)
	}
	token := strings.Split(form.Get("client_assertion"), ".")
	if len(token) != 3 {
		t.Fatalf("the assertion is %q", form.Get("client_assertion"))
	}
	read := func(part string) (members map[string]any) {
		data, err := base64.RawURLEncoding.DecodeString(part)
		if err == nil {
			err = json.Unmarshal(data, &members)
		}
		if err != nil {
			t.Fatal(err)
		}
		return members
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[2])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(token[0] + "." + token[1]))
	if err := rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}); err != nil {
		t.Error(err)
	}
	return read(token[0]), read(token[1])
}

func TestASecretIsSentAsItIs(t *testing.T) {
	t.Parallel()
	s, err := clientauth.NewSecret(secret.New("a~secret&value"), now)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"code": {"c"}}
	if err := s.Authenticate(t.Context(), form, endpoint, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(url.Values{"code": {"c"}, "client_secret": {"a~secret&value"}}, form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if what, at := s.Expires(t.Context()); what != "client secret" || at != now {
		t.Errorf("the %s ends at %s", what, at)
	}
	for value, reason := range map[string]string{"": "there is no client secret", canary + "\n": "white space", " " + canary: "white space"} {
		if _, err := clientauth.NewSecret(secret.New(value), now); err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// What stands in Microsoft's documentation of certificate credentials.
func TestACertificateSignsAssertions(t *testing.T) {
	t.Parallel()
	certificate := certify(keyA(), now.AddDate(1, 0, 0))
	der, _ := pem.Decode(certificate)
	sum := sha256.Sum256(der.Bytes)
	c, err := clientauth.LoadCertificate(write(t, join(pkcs8(keyA()), certificate)), clientID, silent)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[any]bool{}
	for range 3 {
		form := url.Values{}
		if err := c.Authenticate(t.Context(), form, endpoint, now); err != nil {
			t.Fatal(err)
		}
		header, claims := parts(t, form, keyA())
		if id := claims["jti"]; id == nil || id == "" || seen[id] {
			t.Errorf("the id %v is none, or was used before", id)
		}
		seen[claims["jti"]] = true
		delete(claims, "jti")
		wantHeader := map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
		if diff := cmp.Diff(wantHeader, header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		want := map[string]any{
			"aud": endpoint, "iss": clientID, "sub": clientID,
			"nbf": float64(now.Add(-5 * time.Minute).Unix()), "iat": float64(now.Add(-5 * time.Minute).Unix()), "exp": float64(now.Add(5 * time.Minute).Unix()),
		}
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	}
}

func TestCertificateFilesOfEveryKind(t *testing.T) {
	t.Parallel()
	a, b := certify(keyA(), now.AddDate(1, 0, 0)), certify(keyB(), now.AddDate(1, 0, 0))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file   []byte
		reason string // empty: it is good
	}{
		"the certificate first":            {file: join(a, pkcs8(keyA()))},
		"the key first":                    {file: join(pkcs8(keyA()), a)},
		"a key in the older form":          {file: join(a, pkcs1(keyA(), nil))},
		"a chain":                          {file: join(a, b, pkcs8(keyA()))},
		"a chain the other way round":      {file: join(b, a, pkcs8(keyA()))},
		"words between":                    {file: join([]byte("Bag Attributes\n    friendlyName: gateway\n"), a, []byte("\n\n"), pkcs8(keyA()), []byte("end\n"))},
		"parameters of something else":     {file: join(block("DH PARAMETERS", []byte("x"), nil), a, pkcs8(keyA()))},
		"line ends of Windows":             {file: bytes.ReplaceAll(join(a, pkcs8(keyA())), []byte("\n"), []byte("\r\n"))},
		"nothing":                          {nil, "has no private key"},
		"no PEM":                           {[]byte(canary), "has no private key"},
		"no key":                           {a, "has no private key"},
		"no certificate":                   {pkcs8(keyA()), "has no certificate"},
		"a key of another certificate":     {join(b, pkcs8(keyA())), "is not that of its certificate"},
		"two keys":                         {join(a, pkcs8(keyA()), pkcs8(keyB())), "two private keys"},
		"a key twice":                      {join(a, pkcs8(keyA()), pkcs1(keyA(), nil)), "two private keys"},
		"an encrypted key":                 {join(a, block("ENCRYPTED PRIVATE KEY", []byte("x"), nil)), "is encrypted"},
		"an encrypted key, the older way":  {join(a, pkcs1(keyA(), map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"})), "is encrypted"},
		"a key of another kind":            {join(certify(ec, now), pkcs8(ec)), "not of the kind RSA"},
		"a key of another kind, by itself": {join(certify(ec, now), block("EC PRIVATE KEY", ecDER, nil)), "not of the kind RSA"},
		"a key that is too short":          {join(certify(short, now), pkcs8(short)), "1024 bits"},
		"a key that is none":               {join(a, block("PRIVATE KEY", []byte(canary), nil)), "a private key that is none"},
		"a certificate that is none":       {join(block("CERTIFICATE", []byte(canary), nil), a, pkcs8(keyA())), "a certificate that is none"},
		"half a key":                       {join(a, pkcs8(keyA())[:200]), "has no private key"},
		"more than any":                    {join(a, pkcs8(keyA()), bytes.Repeat([]byte("\n"), 64<<10)), "larger than any"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientauth.LoadCertificate(write(t, tt.file), clientID, silent)
			if tt.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantReason(t, err, "the certificate file cannot be used: ", tt.reason)
		})
	}
	_, err = clientauth.LoadCertificate(filepath.Join(t.TempDir(), canary), clientID, silent)
	wantReason(t, err, "the certificate file cannot be used: ", "")
	_, err = clientauth.LoadCertificate(t.TempDir(), clientID, silent)
	wantReason(t, err, "the certificate file cannot be used: ", "")
}

// wantReason also checks that neither a name nor a content is in an error.
func wantReason(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), canary) {
			t.Errorf("got %v, want an error that says %q", err, part)
		}
	}
}

// A new certificate needs no restart, and a broken file ends nothing.
func TestACertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	name := write(t, join(certify(keyA(), now.AddDate(1, 0, 0)), pkcs8(keyA())))
	var log bytes.Buffer
	c, err := clientauth.LoadCertificate(name, clientID, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	signs := func(key *rsa.PrivateKey) {
		t.Helper()
		form := url.Values{}
		if err := c.Authenticate(t.Context(), form, endpoint, now); err != nil {
			t.Fatal(err)
		}
		parts(t, form, key)
	}
	lines := func(want int) {
		t.Helper()
		if got := strings.Count(log.String(), "the certificate stays as it was"); got != want || strings.Contains(log.String(), canary) {
			t.Errorf("%d lines in the log, want %d:\n%s", got, want, log.String())
		}
	}
	ends := func(want time.Time) {
		t.Helper()
		if what, at := c.Expires(t.Context()); what != "client certificate" || !at.Equal(want) {
			t.Errorf("the %s ends at %s, want %s", what, at, want)
		}
	}
	signs(keyA())
	ends(now.AddDate(1, 0, 0))
	put(t, name, join(certify(keyB(), now.AddDate(2, 0, 0)), pkcs8(keyB())))
	ends(now.AddDate(2, 0, 0))
	signs(keyB())
	lines(0)
	put(t, name, []byte("half a fi")) // somebody is writing it
	signs(keyB())
	signs(keyB())
	lines(1)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	signs(keyB())
	lines(2)
	put(t, name, join(certify(keyA(), now.AddDate(1, 0, 0)), pkcs8(keyA())))
	signs(keyA())
	lines(2)
}

func TestAFederatedTokenIsReadForEachRequest(t *testing.T) {
	t.Parallel()
	name := write(t, []byte("e30.e30.first\n"))
	f, err := clientauth.OpenFederatedToken(name)
	if err != nil {
		t.Fatal(err)
	}
	if what, at := f.Expires(t.Context()); what != "federated token" || !at.IsZero() {
		t.Errorf("the %s ends at %s", what, at)
	}
	for content, token := range map[string]string{"e30.e30.second": "e30.e30.second", " e30.e30.th-i_rd\r\n": "e30.e30.th-i_rd"} {
		put(t, name, []byte(content))
		form := url.Values{}
		if err := f.Authenticate(t.Context(), form, endpoint, now); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(url.Values{"client_assertion_type": {jwtType}, "client_assertion": {token}}, form); diff != "" {
			t.Errorf("form (-want +got):\n%s", diff)
		}
	}
	for content, reason := range map[string]string{
		"": "it is empty", "\n": "something else than one signed token", canary: "something else", "e30.e30": "something else",
		"e30.e30.AAAA e30.e30.AAAA": "something else", "e30.e30.AAAA.x": "something else", "e30..AAAA": "something else",
		`{"token":"` + canary + `"}`: "something else", strings.Repeat("e", 64<<10) + ".e30.AAAA": "larger than any",
	} {
		put(t, name, []byte(content))
		form := url.Values{}
		wantReason(t, f.Authenticate(t.Context(), form, endpoint, now), "the file of the federated token", reason)
		if len(form) > 0 {
			t.Errorf("the form has %v", form)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	wantReason(t, f.Authenticate(t.Context(), url.Values{}, endpoint, now), "the file of the federated token cannot be used")
	_, err = clientauth.OpenFederatedToken(name)
	wantReason(t, err, "the file of the federated token cannot be used")
}

// Whatever is in the file: no panic, and what is accepted signs.
func FuzzCertificateFile(f *testing.F) {
	good := join(certify(keyA(), now.AddDate(1, 0, 0)), pkcs8(keyA()))
	f.Add(good)
	f.Add(join(good, good))
	f.Add(pkcs1(keyA(), map[string]string{"DEK-Info": "x"}))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	name := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, data []byte) {
		put(t, name, data)
		c, err := clientauth.LoadCertificate(name, clientID, silent)
		if err != nil {
			return
		}
		form := url.Values{}
		if err := c.Authenticate(t.Context(), form, endpoint, now); err != nil || form.Get("client_assertion") == "" {
			t.Errorf("it was accepted and does not sign: %v", err)
		}
	})
}
