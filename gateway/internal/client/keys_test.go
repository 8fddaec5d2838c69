package client_test

import (
	"encoding/base64"
	"math/big"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/gateway/internal/client"
)

// published is a web with a client whose keys are at keysURL, and a Directory.
func published(o owner) (*web, *client.Directory) {
	w := newWeb()
	places["jwks_uri"](w, o)
	return w, directory(w, nil, everybody)
}

// try authenticates with a new assertion under a key.
func try(t *testing.T, d *client.Directory, key any, kid string) error {
	t.Helper()
	at := time.Now()
	_, err := d.Authenticate(t.Context(), keyed(assert(at, jose.ES256, key, kid, nil, nil)), at)
	return err
}

func TestNewKeysAreFetchedWhenAnAssertionNeedsThem(t *testing.T) {
	t.Parallel()
	o, next := newOwner(), newECKey()
	synctest.Test(t, func(t *testing.T) {
		w, d := published(o)
		asked := func(want int) {
			t.Helper()
			if got := w.requests(keysURL); got != want {
				t.Fatalf("the keys were fetched %d times, want %d", got, want)
			}
		}
		wantError(t, try(t, d, o.keys["ec"], "ec"), fine, "")
		asked(1)

		w.publish(keysURL, mustJSON(jwks(jwk(next.Public(), members{"kid": "next"}))))
		for range 20 {
			wantError(t, try(t, d, next, "next"), credentials, noKey)
		}
		time.Sleep(30 * time.Second)
		wantError(t, try(t, d, next, "next"), credentials, noKey)
		asked(1)
		time.Sleep(time.Second)
		wantError(t, try(t, d, next, "next"), fine, "")
		asked(2)

		// The old one is gone with it, and asking for it is not worth a fetch.
		for range 20 {
			wantError(t, try(t, d, o.keys["ec"], "ec"), credentials, noKey)
		}
		asked(2)
	})
}

func TestHostsOfKeysThatAreDownAreNotTheClientsFault(t *testing.T) {
	t.Parallel()
	o, next := newOwner(), newECKey()
	for _, tt := range outages {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, d := published(o)
				w.serve(keysURL, tt.answer)
				wantError(t, try(t, d, o.keys["ec"], "ec"), temporary, tt.reason)

				places["jwks_uri"](w, o)
				wantError(t, try(t, d, o.keys["ec"], "ec"), fine, "")
				w.serve(keysURL, tt.answer)
				time.Sleep(20 * time.Minute)
				wantError(t, try(t, d, o.keys["ec"], "ec"), fine, "")
				time.Sleep(24 * time.Hour)
				wantError(t, try(t, d, next, "next"), temporary, tt.reason)
				wantError(t, try(t, d, o.keys["ec"], "ec"), temporary, tt.reason)
			})
		})
	}
}

// The key may be a new one, which the copy cannot tell: the client is not to be
// told that it is wrong, or it would ask its person to sign in again.
func TestAnUnknownKeyIsNotWrongWhileItsHostIsDown(t *testing.T) {
	t.Parallel()
	o, next := newOwner(), newECKey()
	synctest.Test(t, func(t *testing.T) {
		w, d := published(o)
		wantError(t, try(t, d, o.keys["ec"], "ec"), fine, "")
		w.down(keysURL)
		time.Sleep(time.Minute)
		wantError(t, try(t, d, next, "next"), temporary, "connection refused")
		wantError(t, try(t, d, o.keys["ec"], "ec"), fine, "")
	})
}

func TestKeysAreRefused(t *testing.T) {
	t.Parallel()
	o := newOwner()
	tooLarge := func(*http.Request) (*http.Response, error) {
		return response(http.StatusOK, make([]byte, 32<<10+1), []string{"Content-Type", "application/json"}), nil
	}
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		reason string
	}{
		{name: "404", answer: status(http.StatusNotFound), reason: "status 404"},
		{name: "a redirect", answer: status(http.StatusFound), reason: "redirects are not followed"},
		{name: "another type", answer: typed("text/html", mustJSON(o.set)), reason: "not of the type"},
		{name: "no JSON", answer: typed("application/json", []byte("{")), reason: "not a JSON Web Key Set"},
		{name: "no keys", answer: typed("application/json", []byte("{}")), reason: "none of them can check a signature"},
		{name: "a private key", answer: typed("application/jwk-set+json", mustJSON(jwks(jwk(o.keys["ec"], nil)))), reason: "a private or a symmetric key"},
		{name: "more than 32 KB", answer: tooLarge, reason: "is larger than 32768 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, d := published(o)
			w.serve(keysURL, tt.answer)
			wantError(t, try(t, d, o.keys["ec"], "ec"), unknown, tt.reason)
		})
	}
}

// One URL may be asked for as a document and as keys, by clients who have
// nothing to do with each other.
func TestKeysAndDocumentsOfOneURLAreKeptApart(t *testing.T) {
	t.Parallel()
	o := newOwner()
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		d := directory(w, nil, everybody)
		both := withKeys(members{"jwks_uri": documentURL, "keys": o.set["keys"]})
		w.publish(documentURL, document(documentURL, both))
		wantError(t, try(t, d, o.keys["ec"], "ec"), fine, "")
		_, err := d.Resolve(t.Context(), documentURL)
		wantError(t, err, fine, "")
	})
}

func TestNobodyCanRefuseAnothersDocumentByTakingItForKeys(t *testing.T) {
	t.Parallel()
	o := newOwner()
	synctest.Test(t, func(t *testing.T) {
		w, held := newWeb(), make(gate)
		d := directory(w, nil, everybody)
		w.publish(documentURL, document(documentURL, withKeys(members{"jwks_uri": otherURL})))
		w.serve(otherURL, held.hold(typed("application/json", document(otherURL, nil))))
		var callers sync.WaitGroup
		callers.Go(func() { wantError(t, try(t, d, o.keys["ec"], "ec"), unknown, "") })
		synctest.Wait() // the document is being fetched as keys
		callers.Go(func() {
			if _, err := d.Resolve(t.Context(), otherURL); err != nil {
				t.Errorf("the other client got %v", err)
			}
		})
		synctest.Wait()
		close(held)
		callers.Wait()
	})
}

// A signature of a key as large as a set may be takes seconds to check, and
// anybody may publish one.
func TestAKeyThatIsDearToCheckIsRefused(t *testing.T) {
	t.Parallel()
	w := newWeb()
	large := members{"kty": "RSA", "kid": "ec", "e": "AQAB", "n": base64Of(8193)}
	w.publish(documentURL, document(documentURL, withKeys(members{"jwks": jwks(large)})))
	_, err := directory(w, nil, everybody).Resolve(t.Context(), documentURL)
	wantError(t, err, unknown, "none of them can check a signature")
}

// base64Of is an odd number of so many bits.
func base64Of(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return base64.RawURLEncoding.EncodeToString(n.SetBit(n, 0, 1).Bytes())
}
