//go:build unix

package app_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/wire"
)

// streamsOfOne is how many streams one person opens here; more than 32 may not.
const streamsOfOne = 25

// BenchmarkIdle opens streams at a gateway in another process, where nothing
// happens on them, and reports what one of them needs there: b.N is their number,
// so -benchtime=10000x holds ten thousand. Then the list of tools changes, which
// every one of them must hear: they were held, not only opened.
func BenchmarkIdle(b *testing.B) {
	for _, transport := range []string{"http1", "tls", "http2"} {
		for _, kind := range []string{"get", "listen", "sse"} {
			b.Run(transport+"/"+kind, func(b *testing.B) {
				g := newIdleGateway(b, transport, b.N/streamsOfOne+1)
				before := g.order(b, orderMeasure)
				streams := make([]*idleStream, b.N)
				b.ResetTimer()
				for i := range streams {
					streams[i] = g.open(b, kind, g.bearers[i/streamsOfOne])
				}
				b.StopTimer()
				after := g.order(b, orderMeasure)
				per := func(now, then uint64) float64 { return (float64(now) - float64(then)) / float64(b.N) }
				b.ReportMetric(per(after.RSS, before.RSS), "rss-B/stream")
				b.ReportMetric(per(after.Heap, before.Heap), "heap-B/stream")
				b.ReportMetric(per(after.Stack, before.Stack), "stack-B/stream")
				b.ReportMetric(per(uint64(after.Goroutines), uint64(before.Goroutines)), "goroutines/stream")
				began := time.Now()
				g.order(b, orderChange)
				for _, s := range streams {
					s.hears(b, "notifications/tools/list_changed")
				}
				b.ReportMetric(float64(time.Since(began).Microseconds())/float64(b.N), "change-us/stream")
			})
		}
	}
}

// idleGateway is a gateway process and who may speak with it.
type idleGateway struct {
	url     string
	client  func() *http.Client
	bearers []string
	in      io.Writer
	out     *bufio.Reader
}

func newIdleGateway(b *testing.B, transport string, people int) *idleGateway {
	b.Helper()
	dir := b.TempDir()
	if err := keyring.Create(filepath.Join(dir, "keys.json"), time.Now()); err != nil {
		b.Fatal(err)
	}
	scheme, extra, trust := "http", "", &tls.Config{MinVersion: tls.VersionTLS13}
	if transport != "http1" {
		certFile, keyFile, roots := certificate(b, dir, "localhost")
		scheme, extra = "https", fmt.Sprintf("tls: {certificate_file: %q, key_file: %q}\n", certFile, keyFile)
		trust.RootCAs = roots
	}
	public := scheme + "://localhost:1"
	g := &idleGateway{bearers: idlePeople(b, filepath.Join(dir, "gateway.db"), public, people)}
	// Each stream is another client's, with a connection of its own.
	g.client = func() *http.Client {
		t := &http.Transport{TLSClientConfig: trust.Clone(), ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, ForceAttemptHTTP2: transport == "http2"}
		b.Cleanup(t.CloseIdleConnections)
		return &http.Client{Transport: t}
	}
	file := filepath.Join(dir, "gateway.yaml")
	text := fmt.Sprintf("public_url: %s\nstate_dir: %q\naccess: [{name: all, tenants: ['*'], tools: ['*']}]\n%s", public, dir, extra)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	g.url = scheme + "://localhost:" + g.start(b, file)
	return g
}

// start starts the process and returns its port.
func (g *idleGateway) start(b *testing.B, file string) string {
	b.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), idleEnv+"="+file, "MICROSOFT_CLIENT_ID=22222222-2222-2222-2222-222222222222",
		"MICROSOFT_CLIENT_SECRET=secret", "MICROSOFT_TENANT_ID=11111111-1111-1111-1111-111111111111")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { // the process ends the streams
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			b.Error(err)
		}
	})
	g.in, g.out = in, bufio.NewReader(out)
	line, err := g.out.ReadString('\n')
	if !strings.HasPrefix(line, "127.0.0.1:") {
		b.Fatalf("the gateway process says %q, %v", line, err)
	}
	return strings.TrimSpace(line[len("127.0.0.1:"):])
}

// order has the process do something, and returns what it holds then.
func (g *idleGateway) order(b *testing.B, order string) footprint {
	b.Helper()
	var f footprint
	_, err := io.WriteString(g.in, order+"\n")
	line, readErr := g.out.ReadBytes('\n')
	if err := errors.Join(err, readErr, json.Unmarshal(line, &f)); err != nil {
		b.Fatal(err)
	}
	return f
}

// idlePeople puts people into the database and returns their access tokens.
func idlePeople(b *testing.B, path, resource string, n int) []string {
	b.Helper()
	db, err := sqlite.Open(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ran := make(chan error, 1)
	go func() { ran <- db.Run(ctx) }()
	bearers, now := make([]string, n), time.Now()
	for i := range bearers {
		bearers[i] = "mcpat_" + oauth.NewVerifier()
		code := store.Code{
			Hash: store.HashOf(fmt.Sprint("code ", i)), Challenge: oauth.ChallengeS256(oauth.NewVerifier()), RedirectURI: "http://127.0.0.1/callback",
			CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			Grant: store.Grant{
				ID: fmt.Sprint("grant ", i), ClientID: "client", ClientName: "Bench", Resource: resource, Scopes: []string{"mcp"}, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
				Identity: store.Identity{Tenant: "11111111-1111-1111-1111-111111111111", Object: fmt.Sprint("person ", i)},
			},
		}
		first := store.AccessToken{Hash: store.HashOf(bearers[i]), Scopes: []string{"mcp"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
		err := db.CreateCode(ctx, code)
		if _, redeemErr := db.RedeemCode(ctx, store.Redemption{Code: code.Hash, Access: first}, now); errors.Join(err, redeemErr) != nil {
			b.Fatal(err, redeemErr)
		}
	}
	stop()
	if err := errors.Join(<-ran, db.Close()); err != nil {
		b.Fatal(err)
	}
	return bearers
}

// idleStream is one that is open, and who sees to its being read.
type idleStream struct{ events *wire.EventReader }

// open opens a stream of a kind and reads what the gateway says first.
func (g *idleGateway) open(b *testing.B, kind, bearer string) *idleStream {
	b.Helper()
	client := g.client()
	post := func(body string, header ...string) *http.Response {
		return g.send(b, client, http.MethodPost, "/mcp", bearer, body, header...)
	}
	var resp *http.Response
	switch kind {
	case "get":
		begun := post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
		_, _ = io.Copy(io.Discard, begun.Body)
		_ = begun.Body.Close()
		resp = g.send(b, client, http.MethodGet, "/mcp", bearer, "", wire.HeaderSessionID, begun.Header.Get(wire.HeaderSessionID))
	case "listen":
		resp = post(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{`+
			`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
			wire.HeaderProtocolVersion, "2026-07-28", wire.HeaderMethod, "subscriptions/listen")
	case "sse":
		resp = g.send(b, client, http.MethodGet, "/sse", bearer, "")
	}
	b.Cleanup(func() { _ = resp.Body.Close() })
	s := &idleStream{wire.NewEventReader(resp.Body, 1<<20)}
	if kind == "listen" {
		s.hears(b, "acknowledged")
	}
	return s
}

func (g *idleGateway) send(b *testing.B, client *http.Client, method, path, bearer, body string, header ...string) *http.Response {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		b.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	return resp
}

// hears reads events until there is one about something.
func (s *idleStream) hears(b *testing.B, what string) {
	b.Helper()
	for {
		event, err := s.events.Next()
		if err != nil {
			b.Fatalf("a stream is over: %v", err)
		}
		if strings.Contains(string(event.Data), what) {
			return
		}
	}
}
