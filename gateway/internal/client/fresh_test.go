package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/netguard"
)

func TestACopyServesForAsLongAsItsHostSays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		header []string
		want   time.Duration
	}{
		{name: "a host that says nothing", want: 10 * time.Minute},
		{name: "max-age", header: []string{"Cache-Control", "max-age=300"}, want: 5 * time.Minute},
		{name: "max-age among others", header: []string{"Cache-Control", "public, Max-Age=300 , immutable"}, want: 5 * time.Minute},
		{name: "max-age in quotes", header: []string{"Cache-Control", `max-age="300"`}, want: 5 * time.Minute},
		{name: "s-maxage is for caches that are shared", header: []string{"Cache-Control", "s-maxage=300"}, want: 10 * time.Minute},
		{name: "max-age before s-maxage", header: []string{"Cache-Control", "s-maxage=3600, max-age=300"}, want: 5 * time.Minute},
		{name: "max-age less its age", header: []string{"Cache-Control", "max-age=300", "Age", "120"}, want: 3 * time.Minute},
		{name: "an age and no max-age", header: []string{"Age", "120"}, want: 8 * time.Minute},
		{name: "an age beyond max-age", header: []string{"Cache-Control", "max-age=300", "Age", "301"}, want: time.Minute},
		{name: "an age that is none", header: []string{"Cache-Control", "max-age=300", "Age", "-60"}, want: 5 * time.Minute},
		{name: "no-store", header: []string{"Cache-Control", "no-store"}, want: time.Minute},
		{name: "no-cache", header: []string{"Cache-Control", "no-cache"}, want: time.Minute},
		{name: "no-store after max-age", header: []string{"Cache-Control", "max-age=3600, no-store"}, want: time.Minute},
		{name: "max-age of nothing", header: []string{"Cache-Control", "max-age=0"}, want: time.Minute},
		{name: "max-age of a second", header: []string{"Cache-Control", "max-age=1"}, want: time.Minute},
		{name: "max-age below zero", header: []string{"Cache-Control", "max-age=-1"}, want: 10 * time.Minute},
		{name: "max-age that is no number", header: []string{"Cache-Control", "max-age=soon"}, want: 10 * time.Minute},
		{name: "max-age of a day", header: []string{"Cache-Control", "max-age=86400"}, want: 24 * time.Hour},
		{name: "max-age of a year", header: []string{"Cache-Control", "max-age=31536000"}, want: 24 * time.Hour},
		{name: "the largest max-age", header: []string{"Cache-Control", "max-age=2147483647"}, want: 24 * time.Hour},
		{name: "a max-age larger than numbers are", header: []string{"Cache-Control", "max-age=99999999999999999999"}, want: 24 * time.Hour},
		{name: "an age larger than numbers are", header: []string{"Cache-Control", "max-age=3600", "Age", "99999999999999999999"}, want: time.Minute},
		{name: "max-age in a second header", header: []string{"Cache-Control", "public", "Cache-Control", "max-age=300"}, want: 5 * time.Minute},
		{name: "no-store in a second header", header: []string{"Cache-Control", "max-age=3600", "Cache-Control", "no-store"}, want: time.Minute},
		{name: "max-age twice", header: []string{"Cache-Control", "max-age=300, max-age=3600"}, want: 5 * time.Minute},
		{name: "an Expires header alone", header: []string{"Expires", "Thu, 01 Jan 1970 00:00:00 GMT"}, want: 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				w.publish(documentURL, document(documentURL, nil), tt.header...)
				d := directory(w, nil, everybody)
				for _, step := range []struct {
					wait     time.Duration
					requests int
				}{{requests: 1}, {wait: tt.want - time.Second, requests: 1}, {wait: time.Second, requests: 2}} {
					time.Sleep(step.wait)
					if _, err := d.Resolve(t.Context(), documentURL); err != nil {
						t.Fatal(err)
					}
					if got := w.requests(documentURL); got != step.requests {
						t.Fatalf("after another %s: got %d requests, want %d", step.wait, got, step.requests)
					}
				}
			})
		})
	}
}

// slow answers after the request was given up.
func slow(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// outages are what passes by itself.
var outages = []struct {
	name   string
	answer func(*http.Request) (*http.Response, error)
	reason string
}{
	{name: "the network is down", answer: func(*http.Request) (*http.Response, error) { return nil, errDown }, reason: "connection refused"},
	{name: "its host answers too late", answer: slow, reason: "deadline exceeded"},
	{name: "408", answer: status(http.StatusRequestTimeout), reason: "status 408"},
	{name: "429", answer: status(http.StatusTooManyRequests), reason: "status 429"},
	{name: "500", answer: status(http.StatusInternalServerError), reason: "status 500"},
	{name: "503", answer: status(http.StatusServiceUnavailable), reason: "status 503"},
}

// refusals are what does not.
var refusals = []struct {
	name   string
	answer func(*http.Request) (*http.Response, error)
	kind   string
	reason string
}{
	{name: "301", answer: status(http.StatusMovedPermanently), kind: unknown, reason: "redirects are not followed"},
	{name: "401", answer: status(http.StatusUnauthorized), kind: unknown, reason: "status 401"},
	{name: "404", answer: status(http.StatusNotFound), kind: unknown, reason: "status 404"},
	{name: "410", answer: status(http.StatusGone), kind: unknown, reason: "status 410"},
	{name: "another type", answer: typed("text/html", document(documentURL, nil)), kind: unknown, reason: "not of the type"},
	{name: "no JSON", answer: typed("application/json", []byte("{")), kind: unknown, reason: "cannot be read"},
	{name: "another client_id", answer: typed("application/json", document(documentURL, members{"client_id": keysURL})), kind: unknown, reason: "has another client_id"},
	{name: "more than it may be", answer: typed("application/json", padded(5121)), kind: unknown, reason: "is larger than 5120 bytes"},
	{name: "a host that is inside", answer: func(*http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("dial: %w", netguard.ErrForbidden)
	}, kind: forbidden, reason: "forbidden destination"},
}

func status(code int) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return response(code, nil, nil), nil }
}

func typed(kind string, body []byte) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return response(http.StatusOK, body, []string{"Content-Type", kind}), nil
	}
}

func TestACopyServesThroughAnOutageForADay(t *testing.T) {
	t.Parallel()
	for _, tt := range outages {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				d := directory(w, nil, everybody)
				w.publish(documentURL, document(documentURL, nil))
				start := time.Now()
				want, err := d.Resolve(t.Context(), documentURL)
				wantError(t, err, fine, "")
				w.serve(documentURL, tt.answer)
				for _, at := range []time.Duration{10 * time.Minute, 12 * time.Hour, 24*time.Hour - time.Second} {
					time.Sleep(time.Until(start.Add(at)))
					got, err := d.Resolve(t.Context(), documentURL)
					if diff := cmp.Diff(want, got, public); err != nil || diff != "" {
						t.Errorf("after %s: got %v, and -want +got:\n%s", at, err, diff)
					}
				}
				time.Sleep(time.Until(start.Add(24 * time.Hour)))
				_, err = d.Resolve(t.Context(), documentURL)
				wantError(t, err, temporary, tt.reason)

				w.publish(documentURL, document(documentURL, nil))
				_, err = d.Resolve(t.Context(), documentURL)
				wantError(t, err, fine, "")
			})
		})
	}
}

func TestACopyNeverServesAfterARefusal(t *testing.T) {
	t.Parallel()
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				d := directory(w, nil, everybody)
				w.publish(documentURL, document(documentURL, nil))
				_, err := d.Resolve(t.Context(), documentURL)
				wantError(t, err, fine, "")
				w.serve(documentURL, tt.answer)
				time.Sleep(10 * time.Minute)
				for range 2 {
					_, err = d.Resolve(t.Context(), documentURL)
					wantError(t, err, tt.kind, tt.reason)
				}
			})
		})
	}
}

func TestNoErrorIsKept(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, answer func(*http.Request) (*http.Response, error), kind, reason string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWeb()
			d := directory(w, nil, everybody)
			w.serve(documentURL, answer)
			for range 2 {
				_, err := d.Resolve(t.Context(), documentURL)
				wantError(t, err, kind, reason)
			}
			w.publish(documentURL, document(documentURL, nil))
			_, err := d.Resolve(t.Context(), documentURL)
			wantError(t, err, fine, "")
			if got := w.requests(documentURL); got != 3 {
				t.Errorf("got %d requests, want one for each question", got)
			}
		})
	}
	for _, tt := range outages {
		t.Run(tt.name, func(t *testing.T) { t.Parallel(); check(t, tt.answer, temporary, tt.reason) })
	}
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) { t.Parallel(); check(t, tt.answer, tt.kind, tt.reason) })
	}
}

func TestAChangeOfADocumentIsSeenAfterItsFreshness(t *testing.T) {
	t.Parallel()
	set := jwks(jwk(newECKey().Public(), nil))
	for _, tt := range []struct {
		name          string
		before, after members
		differs       func(client.Client) bool
	}{
		{
			name:    "a redirect URI that was taken out",
			before:  members{"redirect_uris": []string{"https://client.example/cb", "https://old.example/cb"}},
			differs: func(c client.Client) bool { return !strings.Contains(fmt.Sprint(c.RedirectURIs), "old.example") },
		},
		{
			name:    "a method that proves something",
			after:   withKeys(members{"jwks": set}),
			differs: func(c client.Client) bool { return c.AuthMethod == "private_key_jwt" },
		},
		{
			name:    "no refresh tokens any longer",
			after:   members{"grant_types": []string{"authorization_code"}},
			differs: func(c client.Client) bool { return !c.MayRefresh() },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				d := directory(w, nil, everybody)
				w.publish(documentURL, document(documentURL, tt.before), "Cache-Control", "max-age=120")
				for _, step := range []struct {
					wait time.Duration
					want bool
				}{{want: false}, {wait: 2*time.Minute - time.Second, want: false}, {wait: time.Second, want: true}} {
					time.Sleep(step.wait)
					c, err := d.Resolve(t.Context(), documentURL)
					wantError(t, err, fine, "")
					if got := tt.differs(c); got != step.want {
						t.Errorf("after another %s: the change is seen: %t", step.wait, got)
					}
					w.publish(documentURL, document(documentURL, tt.after), "Cache-Control", "max-age=120")
				}
			})
		})
	}
}

// A copy that was refused once is gone: an outage after that must not bring
// back what its owner took down.
func TestARefusalEndsACopyForGood(t *testing.T) {
	t.Parallel()
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				d := directory(w, nil, everybody)
				w.publish(documentURL, document(documentURL, nil))
				_, err := d.Resolve(t.Context(), documentURL)
				wantError(t, err, fine, "")
				time.Sleep(10 * time.Minute)
				w.serve(documentURL, tt.answer)
				_, err = d.Resolve(t.Context(), documentURL)
				wantError(t, err, tt.kind, tt.reason)
				w.fail(documentURL, http.StatusBadGateway)
				_, err = d.Resolve(t.Context(), documentURL)
				wantError(t, err, temporary, "status 502")
			})
		})
	}
}
