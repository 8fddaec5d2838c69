package limit

import (
	"encoding/json"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"mcp-gateway/shared/oauth"
)

// refusal is the body of a 429. The code is the one OAuth clients know to mean
// that nothing is wrong with them (RFC 6749 §4.1.2.1).
var refusal = mustMarshal(oauth.ErrorResponse{
	Error:            oauth.CodeTemporarilyUnavailable,
	ErrorDescription: "too many requests from this address; try again later",
})

func mustMarshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // two strings
	}
	return body
}

// Wrap lets requests through to next as the limit of their address allows, and
// answers the others with 429 (RFC 6585 §4). of is Addresses.Of.
func (l *Limiter) Wrap(next http.Handler, of func(*http.Request) netip.Addr) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok, retryAfter := l.Allow(of(r), time.Now())
		if ok {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		// "Responses with the 429 status code MUST NOT be stored by a
		// cache" (RFC 6585 §4).
		h.Set("Cache-Control", "no-store")
		// Whole seconds, rounded up: a client that is early is refused again.
		h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(retryAfter.Seconds())))))
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write(refusal)
	})
}
