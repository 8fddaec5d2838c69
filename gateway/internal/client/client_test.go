package client_test

import (
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/oauth"
)

var now = time.Unix(1_800_000_000, 0)

func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := keyring.Create(path, now); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestARegistrationOutlivesEverythingButTheKeys(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	info, err := client.NewDirectory(ring).Register(oauth.ClientMetadata{
		ClientName: "Zoë’s client", RedirectURIs: []string{"http://127.0.0.1/cb", "cursor://x/cb"}, TokenEndpointAuthMethod: "client_secret_basic",
		GrantTypes: []string{"authorization_code", "refresh_token", "implicit"},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	if info.TokenEndpointAuthMethod != "none" || !slices.Equal(info.GrantTypes, []string{"authorization_code", "refresh_token"}) ||
		!slices.Equal(info.ResponseTypes, []string{"code"}) || info.ApplicationType != "web" || info.ClientIDIssuedAt != now.Unix() {
		t.Errorf("answer = %+v", info)
	}
	// Another directory over the same ring: nothing was stored.
	c, err := client.NewDirectory(ring).Resolve(t.Context(), info.ClientID)
	if err != nil || c.Name != "Zoë’s client" || !slices.Equal(c.RedirectURIs, info.RedirectURIs) || !c.MayRefresh() || c.ID != info.ClientID {
		t.Errorf("resolved %+v, %v", c, err)
	}
	if c.Label() != "Zoë’s client "+c.Fingerprint() || len(c.Fingerprint()) != 8 {
		t.Errorf("label %q", c.Label())
	}
	if _, err := client.NewDirectory(newRing(t)).Resolve(t.Context(), info.ClientID); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("other keys: %v", err)
	}
}

func TestResolveRefusesWhatItDidNotIssue(t *testing.T) {
	t.Parallel()
	d := client.NewDirectory(newRing(t))
	info, err := d.Register(oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/cb"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	id := info.ClientID
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "mcpc_"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 1
		if _, err := d.Resolve(t.Context(), "mcpc_"+base64.RawURLEncoding.EncodeToString(changed)); !errors.Is(err, client.ErrUnknown) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for _, bad := range []string{"", "mcpc_", id[5:], id + "=", id + "A", id[:len(id)-1], "mcpc_" + base64.URLEncoding.EncodeToString(raw) + "\n", "https://a.example/client.json", id + strings.Repeat("A", 2048)} {
		if _, err := d.Resolve(t.Context(), bad); !errors.Is(err, client.ErrUnknown) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	d := client.NewDirectory(newRing(t))
	ok := []string{"https://a.example/cb"}
	for _, tt := range []struct {
		name string
		meta oauth.ClientMetadata
		code string
		says string
	}{
		{"no redirect_uris", oauth.ClientMetadata{}, oauth.CodeInvalidRedirectURI, "1 to 10"},
		{"eleven redirect_uris", oauth.ClientMetadata{RedirectURIs: slices.Repeat(ok, 11)}, oauth.CodeInvalidRedirectURI, "1 to 10"},
		{"one bad redirect_uri among good ones", oauth.ClientMetadata{RedirectURIs: []string{ok[0], "http://a.example"}}, oauth.CodeInvalidRedirectURI, "http"},
		{"a name that turns the text round", oauth.ClientMetadata{RedirectURIs: ok, ClientName: "a\u202eb"}, oauth.CodeInvalidClientMetadata, "client_name"},
		{"a name with a line break", oauth.ClientMetadata{RedirectURIs: ok, ClientName: "a\nb"}, oauth.CodeInvalidClientMetadata, "client_name"},
		{"a long name", oauth.ClientMetadata{RedirectURIs: ok, ClientName: strings.Repeat("é", 101)}, oauth.CodeInvalidClientMetadata, "client_name"},
		{"a name that is no UTF-8", oauth.ClientMetadata{RedirectURIs: ok, ClientName: "\xff"}, oauth.CodeInvalidClientMetadata, "client_name"},
		{"tokens only", oauth.ClientMetadata{RedirectURIs: ok, ResponseTypes: []string{"token"}}, oauth.CodeInvalidClientMetadata, "response_types"},
		{"client credentials only", oauth.ClientMetadata{RedirectURIs: ok, GrantTypes: []string{"client_credentials"}}, oauth.CodeInvalidClientMetadata, "grant_types"},
		{"another application_type", oauth.ClientMetadata{RedirectURIs: ok, ApplicationType: "tv"}, oauth.CodeInvalidClientMetadata, "application_type"},
		{"a long client_uri", oauth.ClientMetadata{RedirectURIs: ok, ClientURI: strings.Repeat("x", 300)}, oauth.CodeInvalidClientMetadata, "client_uri"},
		{"more than a URL can carry", oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/" + strings.Repeat("a", 480), "https://a.example/" + strings.Repeat("b", 480), "https://a.example/" + strings.Repeat("c", 480), "https://a.example/" + strings.Repeat("d", 480)}}, oauth.CodeInvalidClientMetadata, "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Register(tt.meta, now)
			e, ok := errors.AsType[*oauth.Error](err)
			if !ok || e.Code != tt.code || !strings.Contains(e.Description, tt.says) {
				t.Errorf("err = %v, want %s about %q", err, tt.code, tt.says)
			}
		})
	}
}

func TestAClientWithoutRefreshTokens(t *testing.T) {
	t.Parallel()
	d := client.NewDirectory(newRing(t))
	info, err := d.Register(oauth.ClientMetadata{RedirectURIs: []string{"https://a.example"}, GrantTypes: []string{"authorization_code"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := d.Resolve(t.Context(), info.ClientID); err != nil || c.MayRefresh() || c.Label() != c.Fingerprint() {
		t.Errorf("resolved %+v, %v", c, err)
	}
}

func FuzzResolve(f *testing.F) {
	d := client.NewDirectory(newRing(f))
	info, err := d.Register(oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/cb"}}, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(info.ClientID)
	f.Add("mcpc_AAAA")
	f.Fuzz(func(t *testing.T, id string) {
		if _, err := d.Resolve(context.Background(), id); err == nil && id != info.ClientID {
			t.Fatalf("%q was accepted", id)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	d := client.NewDirectory(newRing(b))
	info, err := d.Register(oauth.ClientMetadata{ClientName: "bench", RedirectURIs: []string{"http://127.0.0.1/callback", "http://localhost/callback"}}, now)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Resolve(b.Context(), info.ClientID); err != nil {
			b.Fatal(err)
		}
	}
}
