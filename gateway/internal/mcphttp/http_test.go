package mcphttp_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

func TestHTTPRefuses(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) { cfg.MaxBody = 1000 })
	ok := modernCall("1", "math_add", `{"a":1,"b":2}`)
	body := func(b string) request { return request{header: ok.header, body: b} }
	tests := map[string]struct {
		in     request
		status int
		code   int
		reason string
	}{
		"no content type":              {ok.with("Content-Type", ""), http.StatusUnsupportedMediaType, wire.CodeInvalidRequest, "Content-Type"},
		"a form, as a web page sends":  {ok.with("Content-Type", "text/plain"), http.StatusUnsupportedMediaType, wire.CodeInvalidRequest, "Content-Type"},
		"another charset":              {ok.with("Content-Type", "application/json; charset=utf-16"), http.StatusUnsupportedMediaType, wire.CodeInvalidRequest, "Content-Type"},
		"a compressed body":            {ok.with("Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, wire.CodeInvalidRequest, "compressed"},
		"a client of event streams":    {ok.with("Accept", "text/event-stream"), http.StatusNotAcceptable, wire.CodeInvalidRequest, "must accept application/json"},
		"a client that excludes JSON":  {ok.with("Accept", "application/json;q=0, text/event-stream"), http.StatusNotAcceptable, wire.CodeInvalidRequest, "must accept application/json"},
		"an Accept header that is not": {ok.with("Accept", ";;"), http.StatusNotAcceptable, wire.CodeInvalidRequest, "must accept application/json"},
		"a body that is too large":     {body(`{"x":"` + strings.Repeat("a", 1000) + `"}`), http.StatusRequestEntityTooLarge, wire.CodeInvalidRequest, "larger than 1000 bytes"},
		"no body":                      {body(""), http.StatusBadRequest, wire.CodeParse, "not JSON"},
		"a body that is not JSON":      {body("hello"), http.StatusBadRequest, wire.CodeParse, "not JSON"},
		"a body in Latin-1":            {body("{\"x\":\"\xe4\"}"), http.StatusBadRequest, wire.CodeParse, "UTF-8"},
		"a batch":                      {body("[" + ok.body + "]"), http.StatusBadRequest, wire.CodeInvalidRequest, "batches are not accepted"},
		"an id that is null":           {body(strings.Replace(ok.body, `"id":1`, `"id":null`, 1)), http.StatusBadRequest, wire.CodeInvalidRequest, "id is null"},
		"a deep batch":                 {body(strings.Repeat(`[`, 900)), http.StatusBadRequest, wire.CodeInvalidRequest, "batches are not accepted"},
		"a deep value":                 {body(`{"x":` + strings.Repeat(`[`, 900)), http.StatusBadRequest, wire.CodeInvalidRequest, "deeper than 64"},
		"no principal":                 {ok.as("unguarded"), http.StatusInternalServerError, wire.CodeInternal, "made a mistake"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.send(test.in)
			got.refused(t, test.status, test.code, test.reason)
			if id := got.parse(t).ID; id != nil {
				t.Errorf("an error of nobody's request has the id %s", id)
			}
		})
	}
}

func TestAStreamedBodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) { cfg.MaxBody = 1000 })
	// Without a length, so that only reading finds out.
	body := struct{ *strings.Reader }{strings.NewReader(`{"x":"` + strings.Repeat("a", 1000) + `"}`)}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/mcp", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer alice")
	req.Header.Set("Content-Type", jsonType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestHTTPAccepts(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	ok := modernCall("1", "math_add", `{"a":1,"b":2}`)
	for name, in := range map[string]request{
		"a charset":                 ok.with("Content-Type", "application/json; charset=UTF-8"),
		"a content type in capital": ok.with("Content-Type", "Application/JSON"),
		"any answer":                ok.with("Accept", "*/*"),
		"any application":           ok.with("Accept", "text/html;q=0.1, application/*;q=0.5"),
		"no word about the answer":  ok.with("Accept", ""),
		"an identity encoding":      ok.with("Content-Encoding", "identity"),
	} {
		got := g.send(in)
		if got.text(t) != "3" {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
		if got.header.Get("Content-Type") != jsonType || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, got.header)
		}
	}
}

func TestOtherMethodsAreNotAllowed(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodOptions} {
		got := g.send(request{method: method, header: map[string]string{"Accept": "text/event-stream"}})
		got.refused(t, http.StatusMethodNotAllowed, wire.CodeInvalidRequest, "only POST, GET and DELETE")
		if allow := got.header.Get("Allow"); allow != "POST, GET, DELETE" {
			t.Errorf("%s: Allow is %q", method, allow)
		}
	}
}

func TestHostAndOrigin(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) {
		cfg.AllowedHosts = []string{"internal", "Other.example:8443"}
		cfg.AllowedOrigins = []string{"https://inspector.example"}
	})
	tests := map[string]struct {
		host, origin string
		reason       string // empty: let through
	}{
		"the gateway's own host":           {host: "gw.example"},
		"its own host with a port":         {host: "GW.example:443"},
		"this machine":                     {host: "localhost:8788"},
		"this machine in IPv6":             {host: "[::1]"},
		"this machine in IPv6, with port":  {host: "[::1]:8788"},
		"an allowed host on any port":      {host: "internal:9000"},
		"an allowed host on its port":      {host: "other.example:8443"},
		"an allowed host on another port":  {host: "other.example:8444", reason: "the host"},
		"somebody's host":                  {host: "evil.example", reason: "the host"},
		"a host that ends like ours":       {host: "evil-gw.example", reason: "the host"},
		"a host that begins like ours":     {host: "gw.example.evil.example", reason: "the host"},
		"a host named like this machine":   {host: "localhost.evil.example", reason: "the host"},
		"a private address":                {host: "10.0.0.1", reason: "the host"},
		"its own page":                     {origin: "https://gw.example"},
		"an allowed page":                  {origin: "https://inspector.example"},
		"a page of this machine":           {origin: "http://localhost:6274"},
		"a page of this machine by number": {origin: "http://127.0.0.1:1"},
		"a page of this machine in IPv6":   {origin: "http://[::1]:6274"},
		"its own page without TLS":         {origin: "http://gw.example", reason: "the origin"},
		"its own page on another port":     {origin: "https://gw.example:8443", reason: "the origin"},
		"somebody's page":                  {origin: "https://evil.example", reason: "the origin"},
		"a page that ends like ours":       {origin: "https://evil-gw.example", reason: "the origin"},
		"a page named like this machine":   {origin: "http://localhost.evil.example", reason: "the origin"},
		"a sandboxed page":                 {origin: "null", reason: "the origin"},
		"an extension":                     {origin: "chrome-extension://localhost", reason: "the origin"},
		"an origin with a path":            {origin: "http://localhost/x", reason: "the origin"},
		"an origin with a user":            {origin: "http://localhost@evil.example", reason: "the origin"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := modernCall("1", "math_add", `{"a":1,"b":2}`).with("Origin", test.origin)
			r.host = test.host
			got := g.send(r)
			allowed := got.header.Get("Access-Control-Allow-Origin")
			if test.reason != "" {
				got.refused(t, http.StatusForbidden, wire.CodeInvalidRequest, test.reason)
				test.origin = "" // and the page must not read the answer
			} else if got.text(t) != "3" {
				t.Errorf("got %d %s", got.status, got.body)
			}
			if allowed != test.origin {
				t.Errorf("Access-Control-Allow-Origin: got %q, want %q", allowed, test.origin)
			}
		})
	}
}

func TestTwoOriginsAreNone(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Origin"] = []string{"http://localhost", "https://evil.example"}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestPreflightNeedsNoToken(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	preflight := request{user: "nobody", method: http.MethodOptions, header: map[string]string{
		"Origin": "http://localhost:6274", "Access-Control-Request-Method": "POST",
	}}
	got := g.send(preflight)
	if got.status != http.StatusNoContent {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	for _, name := range []string{"Authorization", "Content-Type", "Mcp-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name"} {
		if !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("a page may not send %s", name)
		}
	}
	// A page must be able to read the challenge of a 401.
	got = g.send(modernCall("1", "math_add", `{}`).as("nobody").with("Origin", "http://localhost:6274"))
	if got.status != http.StatusUnauthorized || !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("got %d %v", got.status, got.header)
	}
	got = g.send(preflight.with("Origin", "https://evil.example"))
	got.refused(t, http.StatusForbidden, wire.CodeInvalidRequest, "the origin")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	policy, err := access.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	tools, err := catalog.New(catalog.Config{Policy: policy, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	good := mcphttp.Config{
		Catalog: tools, Policy: policy, Audit: &trail{}, Ring: newRing(t), Logger: logger, PublicURL: "https://gw.example",
		Address: func(*http.Request) netip.Addr { return netip.Addr{} },
	}
	for name, test := range map[string]struct {
		change func(*mcphttp.Config)
		reason string
	}{
		"no catalog":          {func(c *mcphttp.Config) { c.Catalog = nil }, "are needed"},
		"no policy":           {func(c *mcphttp.Config) { c.Policy = nil }, "are needed"},
		"no trail":            {func(c *mcphttp.Config) { c.Audit = nil }, "are needed"},
		"no keys":             {func(c *mcphttp.Config) { c.Ring = nil }, "are needed"},
		"no address":          {func(c *mcphttp.Config) { c.Address = nil }, "are needed"},
		"no logger":           {func(c *mcphttp.Config) { c.Logger = nil }, "are needed"},
		"no public URL":       {func(c *mcphttp.Config) { c.PublicURL = "" }, "public URL"},
		"a public URL's path": {func(c *mcphttp.Config) { c.PublicURL = "https://gw.example/x" }, "public URL"},
		"any origin":          {func(c *mcphttp.Config) { c.AllowedOrigins = []string{"*"} }, `allowed origin: "*"`},
		"an origin's path":    {func(c *mcphttp.Config) { c.AllowedOrigins = []string{"https://a.example/"} }, "allowed origin"},
	} {
		cfg := good
		test.change(&cfg)
		if _, err := mcphttp.New(cfg); err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: got %v, want %q", name, err, test.reason)
		}
	}
	if _, err := mcphttp.New(good); err != nil {
		t.Error(err)
	}
}

// FuzzPost: whatever is posted, in whatever era, is answered without a panic,
// and an error is JSON with a code.
func FuzzPost(f *testing.F) {
	for _, seed := range []string{
		modernCall("1", "math_add", `{"a":1,"b":2}`).body, modernRequest("1", "server/discover", "").body,
		initializeBody, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, `[]`, `{`, "",
	} {
		f.Add(seed, "2026-07-28", "tools/call", "math_add")
		f.Add(seed, "", "", "")
	}
	g := newGateway(f, nil)
	f.Fuzz(func(t *testing.T, body, version, method, name string) {
		r := request{body: body, header: map[string]string{}, ctx: context.Background()}
		for header, value := range map[string]string{"MCP-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": name} {
			if wire.EncodeHeader(value) == value {
				r.header[header] = value
			}
		}
		got, err := g.try(r)
		if err != nil {
			t.Fatal(err)
		}
		for len(g.trail.written) > 0 {
			<-g.trail.written
		}
		switch {
		case got.status == http.StatusAccepted && got.body == "":
		case got.status >= 500:
			t.Fatalf("got %d %s", got.status, got.body)
		default:
			if p := got.parse(t); p.Error == nil && got.status != http.StatusOK || p.Error != nil && p.Error.Code == 0 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
		}
	})
}
