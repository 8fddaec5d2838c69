package entra_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/gateway/internal/entra"
)

// exchange signs in at a time after now, with a token of that time.
func (f *fake) exchange(t *testing.T, p *entra.Provider, after time.Duration, kid string) error {
	t.Helper()
	claims := f.claims()
	claims["exp"] = now.Add(after + time.Hour).Unix()
	key := keyA()
	if kid == "kid-b" {
		key = keyB()
	}
	f.set(&f.token, tokenOf(sign(kid, jose.RS256, key, claims)))
	_, err := p.Exchange(t.Context(), authCode, request, now.Add(after))
	return err
}

func (f *fake) wantKeySets(t *testing.T, want int32, when string) {
	t.Helper()
	if got := f.keySets.Load(); got != want {
		t.Errorf("the keys were fetched %d times %s, want %d", got, when, want)
	}
}

func broken(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "broken", http.StatusInternalServerError)
}

func TestOneBadKeyCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(jose.JSONWebKey{Key: &ec.PublicKey, KeyID: "kid-ec"})
	if err != nil {
		t.Fatal(err)
	}
	var ecKey map[string]any
	if err := json.Unmarshal(data, &ecKey); err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) map[string]any {
		key := f.jwk("kid-a", keyB())
		key[name] = value
		return key
	}
	f.set(&f.keySet, keySetOf(ecKey,
		map[string]any{"kty": "lattice", "kid": "kid-a"}, map[string]any{"kty": "oct", "k": "AAAA", "kid": "kid-a"}, map[string]any{}, nil,
		with("x5t", "AAAA"), with("x5c", []string{"AAAA"}), with("issuer", 7), with("n", "!"),
		f.jwk("kid-a", keyA())))
	if err := f.exchange(t, f.provider(t), 0, "kid-a"); err != nil {
		t.Error(err)
	}
}

func TestKeysThatShareAnIDAreAllTried(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	personal := f.jwk("kid-a", keyA())
	personal["issuer"] = f.URL + "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
	f.set(&f.keySet, keySetOf(personal, f.jwk("kid-a", keyB()), f.jwk("kid-a", keyA()), personal))
	if err := f.exchange(t, f.provider(t), 0, "kid-a"); err != nil {
		t.Error(err)
	}
}

func TestKeysAreRememberedForAnHour(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	for _, step := range []struct {
		after time.Duration
		want  int32
	}{{0, 1}, {time.Minute, 1}, {59 * time.Minute, 1}, {61 * time.Minute, 2}, {2 * time.Hour, 2}, {122 * time.Minute, 3}} {
		if err := f.exchange(t, p, step.after, "kid-a"); err != nil {
			t.Fatal(err)
		}
		f.wantKeySets(t, step.want, "after "+step.after.String())
	}
}

// publish → sign → retire: nobody is refused, and the old key ends.
func TestKeyRollover(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	if err := f.exchange(t, p, 0, "kid-a"); err != nil {
		t.Fatal(err)
	}
	f.set(&f.keySet, keySetOf(f.jwk("kid-b", keyB()))) // at once, without notice
	if err := f.exchange(t, p, time.Minute, "kid-b"); err != nil {
		t.Errorf("the new key is not found: %v", err)
	}
	f.wantKeySets(t, 2, "after the roll")
	err := f.exchange(t, p, 2*time.Minute, "kid-a")
	wantError(t, err, entra.KindMisconfigured, "id_token_rejected", `no key "kid-a"`)
}

func TestARetiredKeyEndsWithinTheHour(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	f.set(&f.keySet, keySetOf(f.jwk("kid-a", keyA()), f.jwk("kid-b", keyB())))
	if err := f.exchange(t, p, 0, "kid-b"); err != nil {
		t.Fatal(err)
	}
	f.set(&f.keySet, keySetOf(f.jwk("kid-a", keyA())))
	if err := f.exchange(t, p, 59*time.Minute, "kid-b"); err != nil {
		t.Errorf("the key ended before its time: %v", err)
	}
	err := f.exchange(t, p, 61*time.Minute, "kid-b")
	wantError(t, err, entra.KindMisconfigured, "id_token_rejected", `no key "kid-b"`)
}

func TestUnknownKeysDoNotMakeTheGatewayAskAgainAndAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	if err := f.exchange(t, p, 0, "kid-a"); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		err := f.exchange(t, p, time.Minute+time.Duration(i)*time.Second, "kid-x")
		wantError(t, err, entra.KindMisconfigured, "id_token_rejected", `no key "kid-x"`)
	}
	f.wantKeySets(t, 2, "for 20 unknown keys")
	_ = f.exchange(t, p, 5*time.Minute+30*time.Second, "kid-x")
	f.wantKeySets(t, 2, "within 5 minutes")
	_ = f.exchange(t, p, 6*time.Minute+time.Second, "kid-x")
	f.wantKeySets(t, 3, "after 5 minutes")
	if err := f.exchange(t, p, 7*time.Minute, "kid-a"); err != nil {
		t.Errorf("the known key suffered: %v", err)
	}
}

func TestTheLastGoodKeysOutliveAnOutageOfADay(t *testing.T) {
	t.Parallel()
	tests := map[string]http.HandlerFunc{
		"an error":       broken,
		"a page":         func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>Welcome</h1>")) },
		"no keys":        keySetOf(),
		"no usable keys": keySetOf(map[string]any{"kty": "lattice"}),
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[]}` + strings.Repeat(" ", 1<<20)))
		},
		"another document": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, map[string]any{"keys": "none"})
		},
	}
	for name, outage := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			p := f.provider(t)
			if err := f.exchange(t, p, 0, "kid-a"); err != nil {
				t.Fatal(err)
			}
			f.set(&f.keySet, outage)
			for _, after := range []time.Duration{2 * time.Hour, 2*time.Hour + 5*time.Second, 23*time.Hour + 59*time.Minute} {
				if err := f.exchange(t, p, after, "kid-a"); err != nil {
					t.Errorf("after %s: %v", after, err)
				}
			}
			f.wantKeySets(t, 3, "in the outage: one try in 10 seconds")
			// Whether the new key is one of Microsoft's cannot be said now.
			err := f.exchange(t, p, 23*time.Hour+59*time.Minute+5*time.Second, "kid-b")
			wantError(t, err, entra.KindUnavailable, "no_answer", "")
			err = f.exchange(t, p, 24*time.Hour+time.Minute, "kid-a")
			wantError(t, err, entra.KindUnavailable, "no_answer", "")
			f.set(&f.keySet, nil)
			if err := f.exchange(t, p, 24*time.Hour+2*time.Minute, "kid-a"); err != nil {
				t.Errorf("after the outage: %v", err)
			}
		})
	}
}

func TestManySignInsFetchOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := p.Exchange(t.Context(), authCode, request, now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f.wantKeySets(t, 1, "for 16 sign-ins")
	if n := f.documents.Load(); n != 1 {
		t.Errorf("the document was fetched %d times", n)
	}
}

// One browser that goes away must not end the sign-in of another.
func TestACallerWhoGivesUpFailsAlone(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	asked := make(chan struct{})
	f.set(&f.document, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	first, giveUp := context.WithCancel(t.Context())
	var both sync.WaitGroup
	both.Go(func() {
		_, err := p.AuthURL(first, request)
		got := wantError(t, err, entra.KindUnavailable, "no_answer", "")
		if !errors.Is(got, context.Canceled) {
			t.Errorf("got %v", got)
		}
	})
	<-asked
	// A third caller gives up while it waits for the first.
	third, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.AuthURL(third, request)
	wantError(t, err, entra.KindUnavailable, "no_answer", "canceled")

	f.set(&f.document, nil)
	both.Go(func() {
		if _, err := p.AuthURL(t.Context(), request); err != nil {
			t.Errorf("the second caller failed with the first: %v", err)
		}
	})
	giveUp()
	both.Wait()
}
