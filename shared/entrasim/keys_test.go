package entrasim_test

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"mcp-gateway/shared/entrasim"
)

// publishedKey is one entry of a key document.
type publishedKey struct {
	Kty, Use, Kid, X5t, N, E, Issuer string
	X5c                              []string
	CloudInstanceName                string `json:"cloud_instance_name"`
}

func (w *world) publishedKeys(tenant string) []publishedKey {
	w.t.Helper()
	r := w.get("/" + tenant + "/discovery/v2.0/keys")
	if r.status != http.StatusOK {
		w.t.Fatalf("status %d: %s", r.status, r.body)
	}
	return decode[struct{ Keys []publishedKey }](w.t, r.body).Keys
}

func publicDER(t *testing.T, w *world) []byte {
	t.Helper()
	set := decode[jose.JSONWebKeySet](t, w.get("/common/discovery/v2.0/keys").body)
	der, err := x509.MarshalPKIXPublicKey(set.Key(w.sim.SigningKey().ID)[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestKeysCarryRealCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	keys := w.publishedKeys(entrasim.DemoTenant)
	if len(keys) != 3 {
		t.Fatalf("%d keys, want one that signs, one that will, and the personal one", len(keys))
	}
	var personal int
	for _, k := range keys {
		der, err := base64.StdEncoding.DecodeString(k.X5c[0])
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
			t.Errorf("certificate is not self-signed: %v", err)
		}
		sum := sha1.Sum(der)
		if want := base64.RawURLEncoding.EncodeToString(sum[:]); k.X5t != want || k.Kid != want {
			t.Errorf("x5t %q, kid %q, want %q", k.X5t, k.Kid, want)
		}
		if k.Kty != "RSA" || k.Use != "sig" || k.E != "AQAB" || k.CloudInstanceName != "microsoftonline.com" {
			t.Errorf("kty %q, use %q, e %q, cloud %q", k.Kty, k.Use, k.E, k.CloudInstanceName)
		}
		issuer := w.url + "/{tenantid}/v2.0"
		if k.Kid == w.sim.PersonalKey().ID {
			personal++
			issuer = w.url + "/" + entrasim.PersonalTenant + "/v2.0"
		}
		if k.Issuer != issuer {
			t.Errorf("issuer %q, want %q", k.Issuer, issuer)
		}
	}
	if personal != 1 {
		t.Errorf("%d personal keys", personal)
	}
	// go-jose refuses the whole set if one x5c or x5t is wrong.
	set := decode[jose.JSONWebKeySet](t, w.get("/common/discovery/v2.0/keys").body)
	if len(set.Keys) != 3 || len(set.Key(w.sim.SigningKey().ID)) != 1 {
		t.Errorf("go-jose reads %d keys", len(set.Keys))
	}
}

func TestGentleRoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	published := func(k *entrasim.Key) bool {
		return slices.ContainsFunc(w.publishedKeys(entrasim.DemoTenant), func(p publishedKey) bool { return p.Kid == k.ID })
	}
	verifies := func(token string) bool {
		_, err := w.verify(entrasim.DemoTenant, token)
		return err == nil
	}
	old := w.sim.SigningKey()
	next, err := w.sim.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if published(next) {
		t.Error("a new key is published by itself")
	}
	before := w.login(entrasim.Ada, nil).IDToken
	next.Publish()
	if !published(next) || w.sim.SigningKey() != old {
		t.Error("publishing must not sign yet")
	}
	next.Sign()
	after := w.login(entrasim.Ada, nil).IDToken
	if !verifies(before) || !verifies(after) {
		t.Error("during the roll both keys are good")
	}
	old.Retire()
	if verifies(before) || !verifies(after) {
		t.Error("after the roll only the new key is good")
	}
	old.Sign()
	if verifies(w.login(entrasim.Ada, nil).IDToken) {
		t.Error("a retired key signs and is good")
	}
}

func TestStrangersKeysAreNotGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	stranger, err := w.sim.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	known := w.sim.SigningKey().ID
	stranger.Sign()
	if _, err := w.verify(entrasim.DemoTenant, w.login(entrasim.Ada, nil).IDToken); err == nil {
		t.Error("a token under an unpublished key is good")
	}
	w.sim.MutateHeader(func(h map[string]any) { h["kid"] = known })
	if _, err := w.verify(entrasim.DemoTenant, w.login(entrasim.Ada, nil).IDToken); err == nil {
		t.Error("a token with a borrowed kid is good")
	}
}

func TestPersonalAccountsHaveTheirOwnKeyAndIssuer(t *testing.T) {
	t.Parallel()
	const user = "pat@outlook.example"
	w := newWorld(t, func(o *entrasim.Options) {
		o.Apps[0].MultiTenant = true
		o.Users = append(o.Users, entrasim.User{
			TenantID: entrasim.PersonalTenant, ObjectID: "00000000-0000-0000-abcd-000000000001", Username: user,
		})
	})
	code := w.signIn("consumers", user, nil).Get("code")
	token := w.tokens(w.exchange("consumers", code, nil)).IDToken
	claims := payload(t, token)
	if claims["iss"] != w.url+"/"+entrasim.PersonalTenant+"/v2.0" || claims["tid"] != entrasim.PersonalTenant {
		t.Errorf("iss %v, tid %v", claims["iss"], claims["tid"])
	}
	if header := decode[map[string]any](t, headerOf(t, token)); header["kid"] != w.sim.PersonalKey().ID {
		t.Errorf("header %v, want the personal key", header)
	}
	if got := w.signIn("organizations", user, nil).Get("error"); got != "access_denied" {
		t.Errorf("organizations admits a personal account: %q", got)
	}
}

func TestTokenHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	got := decode[map[string]any](t, headerOf(t, w.login(entrasim.Ada, nil).IDToken))
	want := map[string]any{"typ": "JWT", "alg": "RS256", "kid": w.sim.SigningKey().ID}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func headerOf(t *testing.T, token string) string {
	t.Helper()
	encoded, _, _ := strings.Cut(token, ".")
	header, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(header)
}
