package resource_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/resource"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/token"
)

// guarded is a guard before nothing, and a request whose token it knows.
func guarded(tb testing.TB) (http.Handler, *http.Request, *int) {
	tb.Helper()
	tokens, bearer := issued(tb)
	reached := new(int)
	h := resource.NewGuard(resource.Config{
		PublicURL: "https://gw.example", Path: "/mcp", Scope: "mcp", Verifier: tokens, Logger: slog.New(slog.DiscardHandler),
	}).Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { *reached++ }))
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "https://gw.example/mcp", nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	h.ServeHTTP(nil, r) // from here on the token is cached
	if *reached != 1 {
		tb.Fatal("the token is not accepted")
	}
	return h, r, reached
}

func issued(tb testing.TB) (*token.Service, string) {
	tb.Helper()
	db, err := sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "gateway.db"))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	ran := make(chan error, 1)
	go func() { ran <- db.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := errors.Join(<-ran, db.Close()); err != nil {
			tb.Error(err)
		}
	})
	now := time.Now()
	code := store.Code{
		Hash: store.HashOf(token.NewCode()), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
		Grant: store.Grant{
			ID: "grant", ClientID: "client", Identity: store.Identity{Tenant: "t", Object: "o"}, Scopes: []string{"mcp"},
			CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
		},
	}
	if err := db.CreateCode(tb.Context(), code); err != nil {
		tb.Fatal(err)
	}
	tokens := token.New(token.Config{AccessLifetime: 10 * time.Minute}, db)
	got, err := tokens.Redeem(tb.Context(), code, false, nil, now)
	if err != nil {
		tb.Fatal(err)
	}
	return tokens, got.Access
}

// TestTheGuardAddsTwoAllocations: the budget of the check itself (DESIGN §5, at
// most one) is the token service's. The guard adds the context that carries the
// principal, and the copy of the request that carries the context; there is no
// way to hand either on without.
func TestTheGuardAddsTwoAllocations(t *testing.T) {
	h, r, reached := guarded(t)
	before := *reached
	if got := testing.AllocsPerRun(100, func() { h.ServeHTTP(nil, r) }); got > 2 {
		t.Errorf("%v allocations, want at most 2", got)
	}
	if *reached != before+101 { // one to warm up
		t.Errorf("%d requests of 101 came through", *reached-before)
	}
}

// BenchmarkBearerCheck is a request with a token that was checked a moment ago,
// from the guard to what it guards.
func BenchmarkBearerCheck(b *testing.B) {
	h, r, reached := guarded(b)
	*reached = 0
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		h.ServeHTTP(nil, r)
		n++
	}
	// After 4 seconds the store is asked again, once, which drowns in the rest.
	if *reached != n {
		b.Errorf("%d requests of %d came through", *reached, n)
	}
}
