package mcphttp_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/gateway/internal/store"
)

// BenchmarkCall is one whole tools/call from the HTTP handler on: Host and
// Origin, principal, parse, era checks, policy, tool, trail (in memory), answer.
func BenchmarkCall(b *testing.B) {
	policy, err := access.New([]access.Rule{{
		Name: "all", Subjects: []access.Subject{{Kind: access.KindUser, Value: "alice"}}, Tools: []string{"*"},
	}})
	if err != nil {
		b.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	tools, err := catalog.New(catalog.Config{Policy: policy, Version: "v1", Logger: logger})
	if err != nil {
		b.Fatal(err)
	}
	h, err := mcphttp.New(mcphttp.Config{
		Catalog: tools, Policy: policy, Audit: noTrail{}, Ring: newRing(b), PublicURL: "https://gw.example", Logger: logger,
		Address: func(*http.Request) netip.Addr { return netip.MustParseAddr(publicIP) },
	})
	if err != nil {
		b.Fatal(err)
	}
	served := h.CheckOrigin(bearer(h))
	begun := httptest.NewRecorder()
	served.ServeHTTP(begun, request{body: initializeBody}.http())
	s := session{user: "alice", id: begun.Header().Get("Mcp-Session-Id")}
	for name, r := range map[string]request{
		"modern": modernCall("7", "math_add", `{"a":23,"b":19}`),
		"legacy": s.call("7", "math_add", `{"a":23,"b":19}`),
	} {
		b.Run(name, func(b *testing.B) {
			in := r.http()
			out := discard{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				in.Body = io.NopCloser(strings.NewReader(r.body))
				clear(out.header)
				if served.ServeHTTP(&out, in); out.status != http.StatusOK {
					b.Fatalf("got %d", out.status)
				}
			}
		})
	}
}

// http is the request as a server gets it.
func (r request) http() *http.Request {
	req := httptest.NewRequest(http.MethodPost, "https://gw.example/mcp", strings.NewReader(r.body))
	req.Header.Set("Authorization", "Bearer alice")
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	return req
}

// noTrail writes nothing down.
type noTrail struct{}

func (noTrail) Ready(context.Context) error               { return nil }
func (noTrail) Append(context.Context, store.Event) error { return nil }

// discard is a ResponseWriter that keeps only the status.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
