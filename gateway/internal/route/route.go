// Package route is the one way to serve a path over HTTP. A route names the policy
// that stands before its handler; one that names none is not served, and the
// gateway does not start. So nobody can add an endpoint and forget its check.
//
// It refuses to hold policies of its own beside Open: who guards says how.
package route

import (
	"fmt"
	"net/http"
)

// Policy is what stands before a handler.
type Policy struct {
	// Name tells in a word or two who may use the route.
	Name string
	// Guard wraps a handler in the check.
	Guard func(http.Handler) http.Handler
}

// Open lets everybody in. It is for what is the same for all and changes nothing.
var Open = Policy{Name: "open", Guard: func(next http.Handler) http.Handler { return next }}

// Route is one path that is served.
type Route struct {
	// Pattern is that of http.ServeMux.
	Pattern string
	Policy  Policy
	Handler http.Handler
}

// Mux serves the routes. It is an error if one has no policy or no handler.
func Mux(routes []Route) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	for _, r := range routes {
		if r.Policy.Name == "" || r.Policy.Guard == nil || r.Handler == nil {
			return nil, fmt.Errorf("route %q has no policy or no handler", r.Pattern)
		}
		mux.Handle(r.Pattern, r.Policy.Guard(r.Handler))
	}
	return mux, nil
}
