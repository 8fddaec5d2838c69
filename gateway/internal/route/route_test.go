package route_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"mcp-gateway/gateway/internal/route"
)

var closed = route.Policy{Name: "closed", Guard: func(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
}}

func TestMuxPutsThePolicyBeforeTheHandler(t *testing.T) {
	t.Parallel()
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux, err := route.Mux([]route.Route{{Pattern: "GET /open", Policy: route.Open, Handler: ok}, {Pattern: "/closed", Policy: closed, Handler: ok}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{method: "GET", path: "/open", want: http.StatusNoContent},
		{method: "POST", path: "/open", want: http.StatusMethodNotAllowed},
		{method: "GET", path: "/closed", want: http.StatusForbidden},
		{method: "GET", path: "/elsewhere", want: http.StatusNotFound},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil))
		if w.Code != tt.want {
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.path, w.Code, tt.want)
		}
	}
}

func TestMuxRefuses(t *testing.T) {
	t.Parallel()
	handler := http.NotFoundHandler()
	for _, tt := range []struct {
		name string
		r    route.Route
	}{
		{name: "a route without a policy", r: route.Route{Pattern: "/x", Handler: handler}},
		{name: "a policy that guards nothing", r: route.Route{Pattern: "/x", Policy: route.Policy{Name: "open"}, Handler: handler}},
		{name: "a policy without a name", r: route.Route{Pattern: "/x", Policy: route.Policy{Guard: closed.Guard}, Handler: handler}},
		{name: "a route without a handler", r: route.Route{Pattern: "/x", Policy: route.Open}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mux, err := route.Mux([]route.Route{tt.r})
			if mux != nil || err == nil || err.Error() != `route "/x" has no policy or no handler` {
				t.Errorf("got %v, %v", mux, err)
			}
		})
	}
}
