package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// gate holds answers back until it is opened.
type gate chan struct{}

func (g gate) hold(answer func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-g:
			return answer(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

func TestOneFetchAnswersAllWhoWait(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		kind   string
	}{
		{name: "with a client", answer: typed("application/json", document(documentURL, nil)), kind: fine},
		{name: "with a refusal", answer: status(http.StatusNotFound), kind: unknown},
		{name: "with an outage", answer: status(http.StatusBadGateway), kind: temporary},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, held := newWeb(), make(gate)
				d := directory(w, nil, everybody)
				w.serve(documentURL, held.hold(tt.answer))
				var callers sync.WaitGroup
				for range 50 {
					callers.Go(func() {
						_, err := d.Resolve(t.Context(), documentURL)
						wantError(t, err, tt.kind, "")
					})
				}
				synctest.Wait()
				close(held)
				callers.Wait()
				if got := w.requests(documentURL); got != 1 {
					t.Errorf("got %d requests, want 1", got)
				}
			})
		})
	}
}

func TestACallerWhoLeavesLeavesTheOthersTheirAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, held := newWeb(), make(gate)
		d := directory(w, nil, everybody)
		w.serve(documentURL, held.hold(typed("application/json", document(documentURL, nil))))
		first, leave := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := d.Resolve(first, documentURL); !errors.Is(err, context.Canceled) {
				t.Errorf("the first got %v, want context.Canceled", err)
			}
		})
		synctest.Wait() // it is the one that fetches
		for range 10 {
			callers.Go(func() {
				_, err := d.Resolve(t.Context(), documentURL)
				wantError(t, err, fine, "")
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(held)
		callers.Wait()
		if got := w.requests(documentURL); got != 1 {
			t.Errorf("got %d requests, want 1", got)
		}
	})
}

// nth is the URL of a document at a host of its own.
func nth(i int) string { return fmt.Sprintf("https://c%d.example/client.json", i) }

func TestSixteenFetchesAreUnderWayAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, held := newWeb(), make(gate)
		d := directory(w, nil, everybody)
		var callers sync.WaitGroup
		for i := range 17 {
			w.serve(nth(i), held.hold(typed("application/json", document(nth(i), nil))))
		}
		for i := range 16 {
			callers.Go(func() {
				_, err := d.Resolve(t.Context(), nth(i))
				wantError(t, err, fine, "")
			})
		}
		synctest.Wait()
		var err error
		for range 31 { // which must not count as so many requests to its host
			_, err = d.Resolve(t.Context(), nth(16))
			wantError(t, err, temporary, "too many clients are being looked up")
		}
		if got := w.requests(nth(16)); got != 0 {
			t.Errorf("the seventeenth was asked for %d times", got)
		}
		close(held)
		callers.Wait()
		_, err = d.Resolve(t.Context(), nth(16))
		wantError(t, err, fine, "")
	})
}

func TestAHostIsAskedThirtyTimesAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		d := directory(w, nil, everybody)
		w.publish(documentURL, document(documentURL, nil))
		_, err := d.Resolve(t.Context(), documentURL)
		wantError(t, err, fine, "")
		time.Sleep(10 * time.Minute)
		for i := range 30 {
			// The host is one in whatever case, and whatever the port.
			host := []string{"client.example", "CLIENT.example", "client.example:8443"}[i%3]
			_, err := d.Resolve(t.Context(), fmt.Sprintf("https://%s/%d", host, i))
			wantError(t, err, unknown, "status 404")
		}
		before := w.total()
		_, err = d.Resolve(t.Context(), "https://client.example/31")
		wantError(t, err, temporary, "its host was asked too often within a minute")
		_, err = d.Resolve(t.Context(), documentURL)
		wantError(t, err, fine, "") // what there is a copy of is counted apart
		if got := w.total() - before; got != 1 {
			t.Errorf("%d requests more were made, want the one for the copy", got)
		}
		_, err = d.Resolve(t.Context(), "https://other.example/1")
		wantError(t, err, unknown, "status 404")
		time.Sleep(time.Minute)
		_, err = d.Resolve(t.Context(), "https://client.example/31")
		wantError(t, err, unknown, "status 404")
	})
}

// Requests that began before the minute changed come to be counted after it.
func TestAStragglerDoesNotBeginTheMinuteAnew(t *testing.T) {
	t.Parallel()
	o := newOwner()
	synctest.Test(t, func(t *testing.T) {
		w, d := published(o)
		time.Sleep(time.Minute)
		for i := range 30 {
			_, err := d.Resolve(t.Context(), fmt.Sprintf("https://other.example/%d", i))
			wantError(t, err, unknown, "status 404")
		}
		before := time.Now().Add(-time.Second)
		_, err := d.Authenticate(t.Context(), keyed(assert(before, jose.ES256, o.keys["ec"], "ec", nil, nil)), before)
		wantError(t, err, fine, "")
		if got := w.requests(keysURL); got != 1 {
			t.Fatalf("the keys were fetched %d times, want 1", got)
		}
		_, err = d.Resolve(t.Context(), "https://other.example/31")
		wantError(t, err, temporary, "too often within a minute")
	})
}

func TestHostsThatAreCountedAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := directory(newWeb(), nil, everybody)
		for i := range 4096 {
			_, err := d.Resolve(t.Context(), nth(i))
			wantError(t, err, unknown, "status 404")
		}
		_, err := d.Resolve(t.Context(), nth(4096))
		wantError(t, err, temporary, "too often within a minute")
		_, err = d.Resolve(t.Context(), nth(0))
		wantError(t, err, unknown, "status 404") // it is counted already
		time.Sleep(time.Minute)
		_, err = d.Resolve(t.Context(), nth(4096))
		wantError(t, err, unknown, "status 404")
	})
}

func TestAThousandCopiesAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		d := directory(w, nil, everybody)
		const clients = 1200
		for i := range clients {
			w.publish(nth(i), document(nth(i), nil))
			_, err := d.Resolve(t.Context(), nth(i))
			wantError(t, err, fine, "")
		}
		kept := 0
		for i := range clients {
			w.down(nth(i))
			if _, err := d.Resolve(t.Context(), nth(i)); err == nil {
				kept++
			}
		}
		if kept != 1000 {
			t.Errorf("got %d copies, want 1000", kept)
		}
	})
}

// What is over goes before what is fresh.
func TestAFreshCopyIsNotDroppedForAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		d := directory(w, nil, everybody)
		resolve := func(i int, header ...string) {
			w.publish(nth(i), document(nth(i), nil), header...)
			_, err := d.Resolve(t.Context(), nth(i))
			wantError(t, err, fine, "")
		}
		for i := range 500 {
			resolve(i, "Cache-Control", "max-age=3600")
		}
		for i := range 500 {
			resolve(500 + i)
		}
		time.Sleep(10 * time.Minute)
		for i := range 500 {
			resolve(1000 + i)
		}
		for i := range 500 {
			w.down(nth(i))
			if _, err := d.Resolve(t.Context(), nth(i)); err != nil {
				t.Fatalf("a fresh copy was dropped: %v", err)
			}
		}
	})
}

// body is a response body that never ends.
type body struct {
	ctx   context.Context
	every time.Duration // between two bytes
}

func (b *body) Read(p []byte) (int, error) {
	select {
	case <-time.After(b.every):
		return copy(p, "{"), nil
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func TestAFetchEndsAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	trickle := func(every time.Duration) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			resp := response(http.StatusOK, nil, []string{"Content-Type", "application/json"})
			resp.Body = io.NopCloser(&body{ctx: r.Context(), every: every})
			return resp, nil
		}
	}
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
	}{
		{name: "when no answer comes", answer: slow},
		{name: "when no body comes", answer: trickle(time.Hour)},
		{name: "when the body comes byte by byte", answer: trickle(100 * time.Millisecond)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				w.serve(documentURL, tt.answer)
				start := time.Now()
				_, err := directory(w, nil, everybody).Resolve(t.Context(), documentURL)
				wantError(t, err, temporary, "deadline exceeded")
				if took := time.Since(start); took != 5*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// endless counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, bytes.Repeat([]byte("{"), len(p))), nil
}

func TestNoMoreIsReadThanADocumentMayHave(t *testing.T) {
	t.Parallel()
	w, source := newWeb(), new(endless)
	w.serve(documentURL, func(*http.Request) (*http.Response, error) {
		resp := response(http.StatusOK, nil, []string{"Content-Type", "application/json"})
		resp.Body = io.NopCloser(source)
		return resp, nil
	})
	_, err := directory(w, nil, everybody).Resolve(t.Context(), documentURL)
	wantError(t, err, unknown, "is larger than 5120 bytes")
	if source.read > 5121 {
		t.Errorf("%d bytes were read", source.read)
	}
}
