package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"mcp-gateway/shared/entrasim"
)

// TestGroupsThatDoNotFitAreAskedFor: Olga is in 250 groups, and is an engineer. The
// page with that group may be any.
func TestGroupsThatDoNotFitAreAskedFor(t *testing.T) {
	t.Parallel()
	l := startLogin(t, upstreams[0].start, nil, always)
	clientID, tokens := l.grant("Olga")
	for range 2 {
		if !l.lists(tokens, "math_divide") {
			t.Error("Olga may not divide")
		}
		tokens = l.renew(clientID, tokens)
	}
	if v := l.sim.Violations(); len(v) > 0 {
		t.Errorf("Microsoft was asked what it would refuse: %v", v)
	}
}

// TestGroupsThatNobodyKnowsDeny: whatever is wrong with Microsoft Graph, people
// sign in and stay signed in, and rules about groups allow them nothing.
func TestGroupsThatNobodyKnowsDeny(t *testing.T) {
	t.Parallel()
	var visited atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for name, o := range map[string]entrasim.Outcome{
		"no permission":     {Status: http.StatusForbidden, Error: "Authorization_RequestDenied", Description: "canary"},
		"too many requests": {Fault: entrasim.Throttled},
		"an outage":         {Fault: entrasim.Outage},
		"a gateway timeout": {Status: http.StatusGatewayTimeout, Error: "UnknownError"},
		"a claims challenge": {
			Status: http.StatusUnauthorized, Error: "InvalidAuthenticationToken", Claims: "eyJhY2Nlc3NfdG9rZW4iOnt9fQ==",
		},
		"no JSON":              {Fault: entrasim.Garbage},
		"half an answer":       {Fault: entrasim.Truncated},
		"a redirect":           {Fault: entrasim.Redirected},
		"a page elsewhere":     {NextLink: elsewhere.URL + "/v1.0/me/transitiveMemberOf/microsoft.graph.group"},
		"a page that is none":  {NextLink: "://"},
		"a page of a stranger": {NextLink: "http://somebody@localhost/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLogin(t, upstreams[0].start, nil, always)
			l.sim.FailGraph(o)
			clientID, tokens := l.grant("Olga") // at the sign-in
			denied := func(when string) {
				t.Helper()
				if l.lists(tokens, "math_divide") || !l.lists(tokens, "math_add") {
					t.Errorf("%s, Olga sees the wrong tools", when)
				}
			}
			denied("at the sign-in")
			if tokens = l.renew(clientID, tokens); !l.lists(tokens, "math_divide") {
				t.Error("Olga may not divide although her groups are known again")
			}
			l.sim.FailGraph(o)
			tokens = l.renew(clientID, tokens)
			denied("at the renewal")
			if log := l.logs.String(); !strings.Contains(log, "did not say which groups") || strings.Contains(log, "canary") {
				t.Error("the log does not say why, or too much")
			}
		})
	}
	t.Cleanup(func() {
		if visited.Load() > 0 {
			t.Error("the access token went to another host")
		}
	})
}
