package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/oauth"
)

// openTo is directory over a network of its own.
func openTo(t *testing.T, network http.RoundTripper) *client.Directory {
	t.Helper()
	return client.NewDirectory(client.Config{
		Ring: newRing(t), Store: new(used), PublicURL: gatewayURL, HTTP: &http.Client{Transport: network},
		Logger: slog.New(slog.DiscardHandler), Policy: everybody,
	})
}

const (
	victimID   = "https://victim.example/client.json"
	attackerID = "https://attacker.example/client.json"
)

// described is a document, with more members.
func described(t *testing.T, id string, more map[string]any) []byte {
	t.Helper()
	members := map[string]any{"client_id": id, "client_name": "A client", "redirect_uris": []string{"https://app.example/cb"}}
	maps.Copy(members, more)
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// keyedAt makes a document that names its keys at a URL.
func keyedAt(url string) map[string]any {
	return map[string]any{"token_endpoint_auth_method": oauth.AuthMethodPrivateKeyJWT, "jwks_uri": url}
}

// asserted signs an assertion of a client that is good now.
func asserted(t *testing.T, id string, key *ecdsa.PrivateKey) client.Credentials {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := jwt.Signed(signer).Claims(jwt.Claims{
		ID: rand.Text(), Issuer: id, Subject: id, Audience: jwt.Audience{gatewayURL}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return client.Credentials{ID: id, Method: oauth.AuthMethodPrivateKeyJWT, Assertion: assertion}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestADocumentIsNeverTakenForKeys: a jwks_uri is any client's to choose, also
// the URL of a document.
func TestADocumentIsNeverTakenForKeys(t *testing.T) {
	t.Parallel()
	key := newKey(t)

	t.Run("a document that has its keys beside it", func(t *testing.T) {
		t.Parallel()
		w := newWeb()
		more := keyedAt(victimID)
		more["keys"] = []jose.JSONWebKey{{Key: key.Public()}}
		w.publish(victimID, described(t, victimID, more))
		d := directory(w, newRing(t), everybody)
		for range 2 {
			if _, err := d.Authenticate(t.Context(), asserted(t, victimID, key), time.Now()); err != nil {
				t.Errorf("authenticate: %v", err)
			}
			if _, err := d.Resolve(t.Context(), victimID); err != nil {
				t.Errorf("resolve: %v", err)
			}
		}
	})

	t.Run("a document that another client's keys are looked for in at the same time", func(t *testing.T) {
		t.Parallel()
		w := newWeb()
		w.publish(attackerID, described(t, attackerID, keyedAt(victimID)))
		body, arrived, release := described(t, victimID, nil), make(chan struct{}), make(chan struct{})
		first := sync.OnceFunc(func() { close(arrived); <-release })
		w.serve(victimID, func(*http.Request) (*http.Response, error) {
			first()
			return response(http.StatusOK, body, []string{"Content-Type", "application/json"}), nil
		})
		d := directory(w, newRing(t), everybody)
		attack := make(chan error, 1)
		go func() {
			_, err := d.Authenticate(context.WithoutCancel(t.Context()), asserted(t, attackerID, key), time.Now())
			attack <- err
		}()
		<-arrived
		resolved := make(chan error, 1)
		go func() {
			_, err := d.Resolve(context.WithoutCancel(t.Context()), victimID)
			resolved <- err
		}()
		select {
		case err := <-resolved: // it did not wait for the attacker's
			resolved <- err
		case <-time.After(100 * time.Millisecond):
		}
		close(release)
		if err := <-resolved; err != nil {
			t.Errorf("resolve: %v", err)
		}
		if err := <-attack; !errors.Is(err, client.ErrUnknown) {
			t.Errorf("the attacker: got %v, want ErrUnknown", err)
		}
	})
}
