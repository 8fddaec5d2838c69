package oauth_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/bridge/internal/lab"
	"mcp-gateway/bridge/internal/oauth"
	protocol "mcp-gateway/shared/oauth"
	"mcp-gateway/shared/secret"
)

const document = "https://bridge.example/client.json"

// identities are the ways to be known to an authorization server.
var identities = []struct {
	name          string
	knobs         func(*lab.Knobs)
	cfg           func(*oauth.Config)
	id            string // "" for a registered one
	registrations int
	post          bool
}{
	{"registered beforehand", func(*lab.Knobs) {}, func(c *oauth.Config) { c.ClientID, c.ClientSecret = "pre", secret.New("the secret: +/%") }, "pre", 0, false},
	{"secret in the body", metadataWith("token_endpoint_auth_methods_supported", []string{"client_secret_post"}), func(c *oauth.Config) { c.ClientID, c.ClientSecret = "pre", secret.New("the secret: +/%") }, "pre", 0, true},
	{"metadata document", metadataWith("client_id_metadata_document_supported", true), func(c *oauth.Config) { c.ClientMetadataURL = document }, document, 0, false},
	{"metadata document not supported", func(*lab.Knobs) {}, func(c *oauth.Config) { c.ClientMetadataURL = document }, "", 1, false},
	{"redirect with a port only", func(k *lab.Knobs) { k.StrictRedirect = true }, func(*oauth.Config) {}, "", 1, false},
}

func TestClientIdentity(t *testing.T) {
	t.Parallel()
	for _, tt := range identities {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(tt.knobs)
			r.as.Set(func(k *lab.Knobs) { k.Clients = map[string]string{"pre": "the secret: +/%"} })
			c := r.signedIn(tt.cfg)
			r.good(r.token(c))
			if got := r.as.LastAuthorize().Get("client_id"); tt.id != "" && got != tt.id {
				t.Errorf("client %q", got)
			}
			if r.as.Counts().Registrations != tt.registrations || r.as.LastToken().Has("client_secret") != tt.post {
				t.Errorf("counts %+v, secret in the body: %t", r.as.Counts(), r.as.LastToken().Has("client_secret"))
			}
			// The same client renews and signs out.
			r.age(0)
			c = r.process(tt.cfg)
			r.good(r.token(c))
			if revoked, err := c.SignOut(t.Context(), false); err != nil || !revoked {
				t.Errorf("sign out: %t, %v", revoked, err)
			}
		})
	}
}

func TestOtherIssuer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	first := r.as.LastAuthorize().Get("client_id")
	r.as.Set(func(k *lab.Knobs) { k.Path = "/elsewhere" })
	r.signedIn()
	if r.as.Counts().Registrations != 2 || r.as.LastAuthorize().Get("client_id") == first {
		t.Error("a registration went to another issuer")
	}

	r = newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.Clients = map[string]string{"pre": "the secret"} })
	pre := func(c *oauth.Config) { c.ClientID, c.ClientSecret = "pre", secret.New("the secret") }
	r.signedIn(pre)
	r.as.Set(func(k *lab.Knobs) { k.Path = "/elsewhere" })
	if err := r.seen(r.process(pre).SignIn(t.Context())); err == nil || !strings.Contains(err.Error(), "instead of") {
		t.Errorf("got %v", err)
	}
	if n := r.as.Counts().Authorizations; n != 1 {
		t.Errorf("%d authorizations", n)
	}
}

// TestForgottenByServer: a registration that the server has lost is made anew.
func TestForgottenByServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	r.as.Forget()
	r.age(0)
	c := r.process()
	if _, err := c.Token(t.Context()); !errors.Is(r.seen(err), oauth.ErrSignIn) {
		t.Fatalf("got %v", err)
	}
	if rec := r.stored(); rec.ClientID != "" || rec.AccessToken != "" {
		t.Error("the lost registration is still stored")
	}
	if err := c.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.as.Forget() // found out at the exchange this time
	if err := c.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.good(r.token(c))
	if n := r.as.Counts(); n.Registrations != 3 || n.Authorizations != 4 {
		t.Errorf("counts %+v", n)
	}
}

// TestRegisteredWithSecret: some servers hand out a secret that nobody asked for.
func TestRegisteredWithSecret(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"", "client_secret_basic", "client_secret_post"} {
		r := newRig(t)
		r.as.Set(func(k *lab.Knobs) {
			k.Clients = map[string]string{"given": "the secret"}
			k.Registered = func(doc map[string]any) {
				doc["client_id"], doc["client_secret"], doc["token_endpoint_auth_method"] = "given", "the secret", method
				doc["client_secret_expires_at"] = 1 // in 1970
			}
		})
		r.good(r.token(r.signedIn()))
		if got := r.as.LastToken().Has("client_secret"); got != (method == "client_secret_post") {
			t.Errorf("%q: secret in the body: %t", method, got)
		}
		r.signedIn() // the secret has expired
		if n := r.as.Counts().Registrations; n != 2 {
			t.Errorf("%q: %d registrations", method, n)
		}
	}
}

// TestDeniedOnceRegisteredOnce: who does not finish a sign-in leaves one client
// behind and not many.
func TestDeniedOnceRegisteredOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.Approve = func(url.Values) string { return protocol.CodeAccessDenied } })
	for range 3 {
		if err := r.process().SignIn(t.Context()); r.seen(err) == nil {
			t.Fatal("signed in without consent")
		}
	}
	if n := r.as.Counts(); n.Registrations != 1 || n.Authorizations != 3 {
		t.Errorf("counts %+v", n)
	}
}
