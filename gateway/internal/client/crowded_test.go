package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/gateway/internal/client"
)

// TestStrangersDoNotUseUpTheFetchesOfAKnownClient: one request in two seconds, for
// documents that nobody has, must not keep a client from being looked up until its
// copy is too old and all its people are out.
func TestStrangersDoNotUseUpTheFetchesOfAKnownClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.publish(victimID, described(t, victimID, nil))
		d := openTo(t, w)
		if _, err := d.Resolve(t.Context(), victimID); err != nil {
			t.Fatal(err)
		}
		for minute := range 25 * 60 {
			for i := range 30 {
				if _, err := d.Resolve(t.Context(), fmt.Sprintf("https://victim.example/%d", i)); err == nil {
					t.Fatal("a stranger is known")
				}
			}
			if _, err := d.Resolve(t.Context(), victimID); err != nil {
				t.Fatalf("minute %d: %v", minute, err)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestSlowStrangersDoNotHoldUpAKnownClient: whoever publishes documents that do not
// arrive holds all of the fetches that may be under way for strangers.
func TestSlowStrangersDoNotHoldUpAKnownClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &sluggish{web: newWeb()}
		w.publish(victimID, described(t, victimID, nil))
		d := openTo(t, w)
		before, err := d.Resolve(t.Context(), victimID)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute) // its copy is not fresh any longer
		renamed := described(t, victimID, map[string]any{"client_name": "Another name"})
		w.publish(victimID, renamed)
		var strangers sync.WaitGroup
		defer strangers.Wait()
		for i := range 20 {
			strangers.Go(func() {
				_, err := d.Resolve(context.WithoutCancel(t.Context()), fmt.Sprintf("https://sluggish%d.example/client.json", i))
				if err == nil || errors.Is(err, client.ErrUnknown) {
					t.Errorf("a sluggish stranger: got %v", err)
				}
			})
		}
		synctest.Wait()
		got, err := d.Resolve(t.Context(), victimID)
		if err != nil || got.Name == before.Name {
			t.Errorf("got %q, %v: the old copy, though its host answers", got.Name, err)
		}
	})
}

// sluggish answers for other hosts than the victim's when the request gives up.
type sluggish struct{ *web }

func (s *sluggish) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() == victimID {
		return s.web.RoundTrip(r)
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}
