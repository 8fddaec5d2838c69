package authserver

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// browserCookie binds consent and callback to one browser (DESIGN D3): a
// request that did not start here cannot be finished here. The __Host- prefix
// keeps sibling hosts from setting it (RFC 6265bis §4.1.3.2); browsers accept
// it on http://localhost too.
const browserCookie = "__Host-mcp-gateway"

// browserOf returns the hash of the browser's cookie, or false if it has none.
func browserOf(r *http.Request) (store.Hash, bool) {
	cookies := r.CookiesNamed(browserCookie)
	if len(cookies) != 1 || len(cookies[0].Value) < 43 {
		return store.Hash{}, false
	}
	return store.HashOf(cookies[0].Value), true
}

// markBrowser returns the hash of the browser's cookie and gives it one if it
// has none. One cookie serves all sign-ins of a browser, so that two tabs do
// not disturb each other.
func markBrowser(w http.ResponseWriter, r *http.Request) store.Hash {
	if hash, ok := browserOf(r); ok {
		return hash
	}
	value := randomText()
	setCookie(w, browserCookie, value, 0)
	return store.HashOf(value)
}

// setCookie sets a cookie for as long as life, or until the browser is closed
// if that is 0. SameSite is Lax, so that Microsoft's redirect brings it back.
func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// randomText is 256 random bits in 43 URL-safe characters.
func randomText() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}
