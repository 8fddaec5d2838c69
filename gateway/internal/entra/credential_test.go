package entra_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/secret"
)

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// byFile is an application without a secret and with one of the two files.
func byFile(certificate, federated string) func(*entra.Config) {
	return func(c *entra.Config) {
		c.ClientSecret, c.CertificateFile, c.FederatedTokenFile = secret.Value{}, certificate, federated
	}
}

// renews signs somebody in and renews that.
func (s *simulated) renews(ctx context.Context) error {
	in, err := s.exchange(ctx, entrasim.Ada)
	if err != nil {
		return err
	}
	_, err = s.Renew(ctx, in, time.Now())
	return err
}

func TestTheGatewayProvesItselfByACertificate(t *testing.T) {
	t.Parallel()
	until := time.Now().AddDate(1, 0, 0)
	first, second := certify(t, keyA(), until), certify(t, keyB(), until)
	file := writeFile(t, "client.pem", pemOf(t, keyA(), first))
	var log bytes.Buffer
	s := simulateIn(t, provenBy(first, second), func(c *entra.Config) {
		byFile(file, "")(c)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	if err := s.renews(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, pemOf(t, keyB(), second))
	if err := s.renews(t.Context()); err != nil {
		t.Errorf("after the certificate was changed: %v", err)
	}
	// A certificate that nobody uploaded is the operator's fault, and a file that is
	// gone is not yet anybody's.
	writeFile(t, file, pemOf(t, keyA(), certify(t, keyA(), until.AddDate(1, 0, 0))))
	_, err := s.signIn(t.Context(), entrasim.Ada)
	if got := wantError(t, err, entra.KindMisconfigured, "invalid_client", "AADSTS700027"); !got.Everybody() || !strings.Contains(got.Help, "Certificates & secrets") {
		t.Errorf("got %+v", *got)
	}
	writeFile(t, file, pemOf(t, keyA(), first))
	if err := s.renews(t.Context()); err != nil {
		t.Errorf("after it was changed back: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := s.renews(t.Context()); err != nil {
		t.Errorf("without the file: %v", err)
	}
	if !strings.Contains(log.String(), "the certificate stays as it was") || strings.Contains(log.String(), "eyJ") {
		t.Errorf("the log says nothing of the file, or too much:\n%s", log.String())
	}
}

func TestTheGatewayProvesItselfByAFederatedToken(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "token", []byte(platformToken(time.Now().Add(-2*time.Minute))+"\n"))
	s := simulateIn(t, provenBy(), byFile("", file))
	if err := s.renews(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		content      string
		code, reason string
	}{
		"the platform did not renew it": {platformToken(time.Now().Add(-2 * time.Hour)), "invalid_client", "AADSTS700024"},
		"it is empty":                   {"", "client_credential", "it is empty"},
		"it is no token":                {"canary", "client_credential", "something else than one signed token"},
	} {
		writeFile(t, file, []byte(tt.content))
		_, err := s.signIn(t.Context(), entrasim.Ada)
		if got := wantError(t, err, entra.KindMisconfigured, tt.code, tt.reason); !got.Everybody() {
			t.Errorf("%s: it is said to be about one person", name)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err := s.signIn(t.Context(), entrasim.Ada)
	wantError(t, err, entra.KindMisconfigured, "client_credential", "cannot be used")
	writeFile(t, file, []byte(platformToken(time.Now().Add(-time.Minute))))
	if err := s.renews(t.Context()); err != nil {
		t.Errorf("after the platform renewed it: %v", err)
	}
}

func TestAFederatedTokenThatNoCredentialTrusts(t *testing.T) {
	t.Parallel()
	for aadsts, change := range map[int]func(*entrasim.FederatedCredential){
		700211: func(f *entrasim.FederatedCredential) { f.Issuer += "x" },
		700212: func(f *entrasim.FederatedCredential) { f.Audience += "China" },
		700213: func(f *entrasim.FederatedCredential) { f.Subject += "x" },
		50013:  func(f *entrasim.FederatedCredential) { f.Key = &keyA().PublicKey },
	} {
		t.Run(fmt.Sprint(aadsts), func(t *testing.T) {
			t.Parallel()
			s := simulateIn(t, func(o *entrasim.Options) { provenBy()(o); change(&o.Apps[0].FederatedCredentials[0]) },
				byFile("", writeFile(t, "token", []byte(platformToken(time.Now().Add(-time.Minute))))))
			_, err := s.signIn(t.Context(), entrasim.Ada)
			wantError(t, err, entra.KindMisconfigured, "invalid_client", fmt.Sprintf("AADSTS%d", aadsts))
		})
	}
}

func TestThereIsOneWayToProveItself(t *testing.T) {
	t.Parallel()
	certificate := writeFile(t, "client.pem", pemOf(t, keyA(), certify(t, keyA(), time.Now().AddDate(1, 0, 0))))
	token := writeFile(t, "token", []byte("e30.e30.AAAA"))
	plain := secret.New(clientSecret)
	for name, tt := range map[string]struct {
		secret                 secret.Value
		certificate, federated string
		reason                 string
	}{
		"none":                             {reason: "there is no client secret"},
		"a secret and a certificate":       {secret: plain, certificate: certificate, reason: "more than one"},
		"a secret and a token":             {secret: plain, federated: token, reason: "more than one"},
		"a certificate and a token":        {certificate: certificate, federated: token, reason: "more than one"},
		"all":                              {secret: plain, certificate: certificate, federated: token, reason: "more than one"},
		"a certificate that is not there":  {certificate: filepath.Join(t.TempDir(), "canary"), reason: "the certificate file cannot be used"},
		"a certificate that is a token":    {certificate: token, reason: "has no private key"},
		"a token that is not there":        {federated: filepath.Join(t.TempDir(), "canary"), reason: "the file of the federated token cannot be used"},
		"a token that is a certificate":    {federated: certificate, reason: "something else than one signed token"},
		"a certificate, and nothing else":  {certificate: certificate},
		"a token, and nothing else":        {federated: token},
		"a secret, and nothing else again": {secret: plain},
	} {
		cfg := entra.Config{
			Tenant: tenantID, ClientID: clientID, RedirectURL: "https://gateway.example/callback",
			ClientSecret: tt.secret, CertificateFile: tt.certificate, FederatedTokenFile: tt.federated,
		}
		_, err := entra.New(cfg)
		if (err == nil) != (tt.reason == "") || err != nil && (!strings.Contains(err.Error(), tt.reason) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, tt.reason)
		}
	}
}

// The clocks of the gateway and of Microsoft differ. Up to five minutes nobody
// notices; beyond that it is the certificate's assertion that Microsoft refuses
// (here without any leeway), and the page speaks of the clock.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	certificate := certify(t, keyA(), time.Now().AddDate(1, 0, 0))
	file := writeFile(t, "client.pem", pemOf(t, keyA(), certificate))
	for _, minutes := range []int{-6, -4, -1, 0, 1, 4, 6} {
		t.Run(fmt.Sprintf("%+d", minutes), func(t *testing.T) {
			t.Parallel()
			ahead := time.Duration(minutes) * time.Minute // Microsoft's clock
			shifted := func(world func(*entrasim.Options)) func(*entrasim.Options) {
				return func(o *entrasim.Options) {
					o.Now = func() time.Time { return time.Now().Add(ahead) }
					if world != nil {
						world(o)
					}
				}
			}
			if err := simulateIn(t, shifted(nil), nil).renews(t.Context()); err != nil {
				t.Errorf("with a secret: %v", err)
			}
			err := simulateIn(t, shifted(provenBy(certificate)), byFile(file, "")).renews(t.Context())
			if minutes > -5 && minutes < 5 {
				if err != nil {
					t.Errorf("with a certificate: %v", err)
				}
				return
			}
			if got := wantError(t, err, entra.KindMisconfigured, "invalid_client", "AADSTS700024"); !strings.Contains(got.Help, "clock") {
				t.Errorf("it does not speak of the clock: %q", got.Help)
			}
		})
	}
}

// lines counts the lines that a logger writes.
type lines struct{ atomic.Int32 }

func (l *lines) Write(line []byte) (int, error) {
	l.Add(1)
	return len(line), nil
}

// watched runs Watch for some days and returns the days of which its log warns.
func watched(t *testing.T, p func(*slog.Logger) *entra.Provider, days int) (warned []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		provider := p(slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { provider.Watch(ctx); close(ended) }()
		for day := range days {
			synctest.Wait()
			for range log.Swap(0) {
				warned = append(warned, day)
			}
			time.Sleep(24 * time.Hour)
		}
		cancel()
		<-ended
	})
	return warned
}

// The log warns at the start and daily, from 30 days before the end, and stops when
// the file has a new certificate.
func TestTheEndOfACredentialIsSeenComing(t *testing.T) {
	t.Parallel()
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of time in a bubble
	good := entra.Config{Tenant: tenantID, ClientID: clientID, RedirectURL: "https://gateway.example/callback"}
	certificate := func(t *testing.T, days int) string {
		return writeFile(t, "client.pem", pemOf(t, keyA(), certify(t, keyA(), begin.AddDate(0, 0, days))))
	}
	for name, tt := range map[string]struct {
		change func(*testing.T, *entra.Config)
		want   string
	}{
		"a certificate":                {func(t *testing.T, c *entra.Config) { c.CertificateFile = certificate(t, 32) }, "[3 4 5]"},
		"a certificate that has ended": {func(t *testing.T, c *entra.Config) { c.CertificateFile = certificate(t, -1) }, "[0 1 2 3 4 5]"},
		"a certificate of next year":   {func(t *testing.T, c *entra.Config) { c.CertificateFile = certificate(t, 365) }, "[]"},
		"a secret that somebody wrote down": {func(_ *testing.T, c *entra.Config) {
			c.ClientSecret, c.ClientSecretExpires = secret.New(clientSecret), begin.AddDate(0, 0, 34)
		}, "[5]"},
		"a secret that nobody wrote down": {func(_ *testing.T, c *entra.Config) { c.ClientSecret = secret.New(clientSecret) }, "[]"},
		"a federated token": {func(t *testing.T, c *entra.Config) {
			c.FederatedTokenFile = writeFile(t, "token", []byte(platformToken(begin)))
		}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			tt.change(t, &cfg)
			warned := watched(t, func(logger *slog.Logger) *entra.Provider { cfg.Logger = logger; return newProvider(t, cfg) }, 6)
			if got := fmt.Sprint(warned); got != tt.want {
				t.Errorf("warned on the days %s, want %s", got, tt.want)
			}
		})
	}
}

func TestWordsAboutTheEndOfACredential(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at   time.Time
		soon bool
		want string
	}{
		{now.AddDate(0, 0, 60), false, "the client secret ends on 2027-01-23, and then nobody can sign in"},
		{now.Add(30 * 24 * time.Hour), false, "the client secret ends on 2026-12-24, and then nobody can sign in"},
		{now.Add(30*24*time.Hour - time.Second), true, "the client secret ends on 2026-12-24, and then nobody can sign in"},
		{now.Add(time.Second), true, "the client secret ends on 2026-11-24, and then nobody can sign in"},
		{now, true, "the client secret ended on 2026-11-24, and nobody can sign in"},
		{now.AddDate(-1, 0, 0), true, "the client secret ended on 2025-11-24, and nobody can sign in"},
	} {
		e := entra.Expiry{What: "client secret", At: tt.at}
		if e.Soon(now) != tt.soon || e.Words(now) != tt.want {
			t.Errorf("at %s: soon %v, %q", tt.at, e.Soon(now), e.Words(now))
		}
	}
	if (entra.Expiry{What: "federated token"}).Soon(now) {
		t.Error("what never ends, ends soon")
	}
}
