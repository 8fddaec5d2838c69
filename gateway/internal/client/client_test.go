package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := keyring.Create(path, now); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Load(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// open returns a Directory that lets everybody in.
func open(ring *keyring.Ring) *client.Directory {
	return client.NewDirectory(client.Config{
		Ring: ring, Store: memory{}, PublicURL: "https://gateway.example", HTTP: &http.Client{Transport: offline{}}, Logger: slog.New(slog.DiscardHandler),
		Policy: client.Policy{Registration: client.AdmitAll, Documents: client.AdmitAll, PrivateUseRedirects: true},
	})
}

// memory is a store in which nobody is disabled.
type memory struct{}

func (memory) ClientDisabled(context.Context, string) (bool, error)      { return false, nil }
func (memory) UseAssertion(context.Context, store.Hash, time.Time) error { return nil }

// offline is a network that reaches nobody.
type offline struct{}

var errOffline = errors.New("offline")

func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errOffline }

// public compares what others see of a client.
var public = cmpopts.IgnoreUnexported(client.Client{})

func mustRegister(t testing.TB, d *client.Directory, meta oauth.ClientMetadata) oauth.ClientInformation {
	t.Helper()
	info, err := d.Register(meta, now)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

var inspector = oauth.ClientMetadata{
	RedirectURIs: []string{"http://localhost:6274/oauth/callback", "https://inspector.example/cb?a=1&b=2"},
	ClientName:   "MCP <Inspector> & friends", ClientURI: "https://inspector.example/about",
	GrantTypes: []string{"authorization_code", "refresh_token"}, ApplicationType: "native",
}

func TestARegistrationIsKnownToEveryReplicaWithTheSameKeys(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	info := mustRegister(t, open(ring), inspector)

	got, err := open(ring).Resolve(t.Context(), info.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	want := client.Client{
		ID: info.ClientID, Name: "MCP <Inspector> & friends", URI: "https://inspector.example/about",
		RedirectURIs: inspector.RedirectURIs, GrantTypes: []string{"authorization_code", "refresh_token"}, ApplicationType: "native",
		AuthMethod: "none",
	}
	if diff := cmp.Diff(want, got, public); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !got.MayRefresh() {
		t.Error("it may not refresh")
	}
	if _, err := open(newRing(t)).Resolve(t.Context(), info.ClientID); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("another key ring: got %v, want ErrUnknown", err)
	}
}

func TestResolveKeepsWhatAClientRegisteredLessFor(t *testing.T) {
	t.Parallel()
	d := open(newRing(t))
	info := mustRegister(t, d, oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/"}, GrantTypes: []string{"authorization_code"}})
	got, err := d.Resolve(t.Context(), info.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	want := client.Client{
		ID: info.ClientID, RedirectURIs: []string{"https://a.example/"}, GrantTypes: []string{"authorization_code"}, ApplicationType: "web",
		AuthMethod: "none",
	}
	if diff := cmp.Diff(want, got, public); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.MayRefresh() {
		t.Error("it may refresh")
	}
}

func TestResolveRejects(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	d := open(ring)
	id := mustRegister(t, d, inspector).ClientID
	body := strings.TrimPrefix(id, "mcpc_")
	plain := []byte(`{"r":["https://evil.example/"]}`)
	for _, tt := range []struct{ name, id string }{
		{name: "nothing", id: ""},
		{name: "the prefix alone", id: "mcpc_"},
		{name: "somebody else's id", id: "0oa1b2c3d4"},
		{name: "a URL of http", id: "http://client.example/metadata.json"},
		{name: "no prefix", id: body},
		{name: "another prefix", id: "mcpx_" + body},
		{name: "another case of the prefix", id: "MCPC_" + body},
		{name: "a space before it", id: " " + id},
		{name: "a space after it", id: id + " "},
		{name: "padding", id: id + "="},
		{name: "a line break after it", id: id + "\n"},
		{name: "a line break within it", id: id[:40] + "\r\n" + id[40:]},
		{name: "the alphabet of plain base64", id: "mcpc_" + strings.NewReplacer("-", "+", "_", "/").Replace(body+"-")},
		{name: "the end cut off", id: id[:len(id)-4]},
		{name: "something appended", id: id + "AAAA"},
		{name: "a null byte", id: id[:20] + "\x00" + id[21:]},
		{name: "more than 2048 bytes", id: "mcpc_" + ring.SealText(keyring.ClientRegistration, []byte(`{"r":["https://`+strings.Repeat("a", 2000)+`/"]}`), []byte{1})},
		{name: "a value sealed for another purpose", id: "mcpc_" + ring.SealText(keyring.Session, plain, []byte{1})},
		{name: "a value sealed in another format", id: "mcpc_" + ring.SealText(keyring.ClientRegistration, plain, []byte{3})},
		{name: "a value sealed in no format", id: "mcpc_" + ring.SealText(keyring.ClientRegistration, plain, nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := d.Resolve(t.Context(), tt.id); !errors.Is(err, client.ErrUnknown) {
				t.Errorf("got %+v, %v, want ErrUnknown", got, err)
			}
		})
	}
}

// Every character is changed in every bit that base64url has, the unused ones
// of the last character included, so no second spelling resolves.
func TestResolveRejectsEveryFlippedBit(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	d := open(newRing(t))
	// Three lengths, so that the last character has 0, 2 and 4 unused bits.
	for _, uri := range []string{"https://a.example/", "https://a.example/b", "https://a.example/bc"} {
		id := mustRegister(t, d, oauth.ClientMetadata{RedirectURIs: []string{uri}}).ClientID
		for i := len("mcpc_"); i < len(id); i++ {
			for bit := range 6 {
				flipped := id[:i] + string(alphabet[strings.IndexByte(alphabet, id[i])^1<<bit]) + id[i+1:]
				if _, err := d.Resolve(t.Context(), flipped); !errors.Is(err, client.ErrUnknown) {
					t.Fatalf("character %d, bit %d: got %v, want ErrUnknown", i, bit, err)
				}
			}
		}
	}
}

// A sealed value that is authentic and unreadable is a mistake of ours, and
// must not send clients away to register anew.
func TestResolveDoesNotCallItsOwnMistakeUnknown(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	id := "mcpc_" + ring.SealText(keyring.ClientRegistration, []byte(`{"r":7}`), []byte{1})
	_, err := open(ring).Resolve(t.Context(), id)
	if err == nil || errors.Is(err, client.ErrUnknown) {
		t.Fatalf("got %v, want an error other than ErrUnknown", err)
	}
	if !strings.HasPrefix(err.Error(), "decode registration "+client.Fingerprint(id)+": ") {
		t.Errorf("got %q", err)
	}
}

func TestLabelTellsClientsOfOneNameApart(t *testing.T) {
	t.Parallel()
	// The SHA-256 of "abc" begins with ba7816bf.
	for _, tt := range []struct{ name, display, want string }{
		{name: "with a name", display: "Claude Code (x)", want: "Claude Code (x) (ba7816bf)"},
		{name: "without a name", display: "", want: "ba7816bf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := (client.Client{ID: "abc", Name: tt.display}).Label(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzResolve: an id resolves in the one spelling it was given out in. Every
// fuzzing process has a key ring of its own, so inputs are edits of an id that
// this process sealed: whole ids in the seeds would open in none.
func FuzzResolve(f *testing.F) {
	d := open(newRing(f))
	uris := []string{"http://127.0.0.1/cb", "cursor://a/b"}
	good := mustRegister(f, d, oauth.ClientMetadata{RedirectURIs: uris}).ClientID
	whole := uint16(len(good))
	f.Add(uint16(0), uint16(0), "")
	f.Add(uint16(0), whole, "mcpc_AAAA")
	f.Add(uint16(0), whole, "https://client.example/")
	f.Add(uint16(0), uint16(5), "MCPC_")
	f.Add(whole-1, whole, "_")          // unused bits
	f.Add(uint16(20), uint16(20), "\n") // skipped by decoders
	f.Add(whole, whole, "=")
	f.Add(whole, whole, strings.Repeat("A", 2048))
	f.Fuzz(func(t *testing.T, from, to uint16, text string) {
		start := min(int(from), len(good))
		id := good[:start] + text + good[max(start, min(int(to), len(good))):]
		c, err := d.Resolve(t.Context(), id)
		switch {
		case err == nil && (id != good || c.ID != id || !slices.Equal(c.RedirectURIs, uris)):
			t.Errorf("%q resolves to %+v", id, c)
		case id == good && err != nil:
			t.Errorf("%q: %v", id, err)
		// The document of a URL is out of reach here, or its host was asked too often.
		case err != nil && !errors.Is(err, client.ErrUnknown) && !strings.HasPrefix(id, "https://"):
			t.Errorf("%q: %v", id, err)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	d := open(newRing(b))
	id := mustRegister(b, d, inspector).ClientID
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Resolve(ctx, id); err != nil {
			b.Fatal(err)
		}
	}
}
