package entra_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"mcp-gateway/shared/entrasim"
)

// byCertificate is MSAL's way to prove itself with a key and its certificate.
func byCertificate(t *testing.T, file []byte) confidential.Credential {
	t.Helper()
	certificates, key, err := confidential.CertFromPEM(file, "")
	if err != nil {
		t.Fatal(err)
	}
	credential, err := confidential.NewCredFromCert(certificates, key)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

func TestMSALProvesItselfWithACertificate(t *testing.T) {
	t.Parallel()
	certificate := certify(t, keyA(), time.Now().AddDate(1, 0, 0))
	w := newMSALWorld(t, microsoft, func(o *entrasim.Options) {
		provenBy(certificate)(o)
		o.Now = time.Now // which MSAL dates an assertion by
	})
	w.signsInAndRenews(w.application(microsoft, byCertificate(t, pemOf(t, keyA(), certificate))))
}

func TestMSALProvesItselfWithAnAssertion(t *testing.T) {
	t.Parallel()
	w := newMSALWorld(t, microsoft, provenBy())
	var endpoints []string
	w.signsInAndRenews(w.application(microsoft, confidential.NewCredFromAssertionCallback(
		func(_ context.Context, o confidential.AssertionRequestOptions) (string, error) {
			endpoints = append(endpoints, o.TokenEndpoint)
			return platformToken(time.Now().Add(-time.Minute)), nil
		})))
	endpoint := microsoft + "/" + entrasim.DemoTenant + "/oauth2/v2.0/token"
	if !slices.Equal(endpoints, []string{endpoint, endpoint}) {
		t.Errorf("assertions were asked for %q", endpoints)
	}
}

// signsInAndRenews has a client redeem a code and a refresh token.
func (w *msalWorld) signsInAndRenews(client confidential.Client) {
	w.t.Helper()
	code, verifier := w.code(client)
	got, err := client.AcquireTokenByAuthCode(w.t.Context(), code, redirect, []string{"User.Read"}, confidential.WithChallenge(verifier))
	if err != nil {
		w.t.Fatal(err)
	}
	wantAda(w.t, got)
	next, err := client.AcquireTokenSilent(w.t.Context(), []string{"User.Read", "email"}, confidential.WithSilentAccount(got.Account))
	if err != nil || next.Metadata.TokenSource != confidential.TokenSourceIdentityProvider {
		w.t.Fatalf("with the refresh token: %v, source %v", err, next.Metadata.TokenSource)
	}
	wantAda(w.t, next)
	w.wantNoViolations()
}

func TestMSALHearsThatItsAssertionIsNoGood(t *testing.T) {
	t.Parallel()
	good, other := certify(t, keyA(), time.Now().AddDate(1, 0, 0)), certify(t, keyB(), time.Now().AddDate(1, 0, 0))
	over := certify(t, keyA(), time.Now().Add(-time.Minute))
	assertion := func(token func() string) func(*testing.T) confidential.Credential {
		return func(*testing.T) confidential.Credential {
			return confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) { return token(), nil })
		}
	}
	for name, tt := range map[string]struct {
		registered *x509.Certificate
		credential func(*testing.T) confidential.Credential
		aadsts     string
	}{
		"another certificate": {good, func(t *testing.T) confidential.Credential { return byCertificate(t, pemOf(t, keyB(), other)) }, "AADSTS700027"},
		"an old certificate":  {over, func(t *testing.T) confidential.Credential { return byCertificate(t, pemOf(t, keyA(), over)) }, "AADSTS700027"},
		"an old token":        {good, assertion(func() string { return platformToken(time.Now().Add(-2 * time.Hour)) }), "AADSTS700024"},
		"no token":            {good, assertion(func() string { return "x" }), "AADSTS50027"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newMSALWorld(t, microsoft, provenBy(tt.registered))
			client := w.application(microsoft, tt.credential(t))
			code, verifier := w.code(client)
			_, err := client.AcquireTokenByAuthCode(t.Context(), code, redirect, []string{"User.Read"}, confidential.WithChallenge(verifier))
			wantMSALError(t, err, http.StatusUnauthorized, `"error":"invalid_client"`, tt.aadsts)
			if !strings.Contains(name, "token") {
				w.wantNoViolations()
			}
		})
	}
}
