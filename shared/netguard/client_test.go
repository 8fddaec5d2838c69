package netguard

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// site is an https server on loopback that calls itself example.com.
type site struct {
	*httptest.Server
	opened atomic.Int64
}

// newSite serves handler until the test ends. Options change the server before
// it starts.
func newSite(t *testing.T, handler http.HandlerFunc, options ...func(*httptest.Server)) *site {
	t.Helper()
	s := &site{Server: httptest.NewUnstartedServer(handler)}
	s.Config.ErrorLog = log.New(t.Output(), "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.opened.Add(1)
		}
	}
	for _, option := range options {
		option(s.Server)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// config is that of a client for which every name is the site.
func (s *site) config() Config {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return Config{RootCAs: roots, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.Listener.Addr().String())
	}}
}

const page = "https://example.com/client.json"

func TestADocumentIsFetched(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.Host)
	})
	client := NewClient(s.config())
	for _, row := range []struct {
		name, url, want string
	}{
		{name: "by name", url: page, want: "HTTP/1.1 example.com"},
		{name: "with the default port", url: "https://example.com:443/", want: "HTTP/1.1 example.com:443"},
		{name: "with another port", url: "https://example.com:8443/", want: "HTTP/1.1 example.com:8443"},
		{name: "in uppercase", url: "https://EXAMPLE.com/", want: "HTTP/1.1 EXAMPLE.com"},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp, err := get(t, client, row.url)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != row.want {
				t.Errorf("got %q, %v; want %q", got, err, row.want)
			}
		})
	}
}

func TestEachRequestConnectsAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(http.ResponseWriter, *http.Request) {})
	client := NewClient(s.config())
	for range 3 {
		if _, err := get(t, client, page); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.opened.Load(); got != 3 {
		t.Errorf("%d connections for 3 requests, want 3", got)
	}
}

func TestARedirectIsReturnedAndNotFollowed(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	for _, location := range []string{
		"https://127.0.0.1:" + trap.port + "/", "http://127.0.0.1:" + trap.port + "/", "https://example.com/other", "/other", "//localhost/",
	} {
		var asked atomic.Int64
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			http.Redirect(w, r, location, http.StatusTemporaryRedirect)
		})
		resp, err := get(t, NewClient(s.config()), page)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusTemporaryRedirect || resp.Header.Get("Location") != location || asked.Load() != 1 {
			t.Errorf("got %s to %q after %d requests, want 307 to %q after 1", resp.Status, resp.Header.Get("Location"), asked.Load(), location)
		}
	}
}

func TestACookieIsNotKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) != 0 {
			t.Errorf("got the cookies %v, want none", r.Cookies())
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
	})
	client := NewClient(s.config())
	for range 2 {
		if _, err := get(t, client, page); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACompressedBodyStaysCompressed(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	if _, err := zip.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("asked for the encoding %q, want none", got)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	resp, err := get(t, NewClient(s.config()), page)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, bomb.Bytes()) {
		t.Errorf("got %d bytes, %v; want the %d bytes that were sent", len(got), err, bomb.Len())
	}
}

func TestAFloodOfHeadersIsCutOff(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, head, again string
	}{
		{name: "many fields", head: "HTTP/1.1 200 OK\r\n", again: "X-Field: " + strings.Repeat("a", 1000) + "\r\n"},
		{name: "one field without end", head: "HTTP/1.1 200 OK\r\nX-Field: ", again: strings.Repeat("a", 1000)},
		{name: "a status line without end", head: "HTTP/1.1 200 ", again: strings.Repeat("a", 1000)},
		{name: "informational answers without end", again: "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("a", 1000) + "\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan int, 1)
			s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
				sent <- flood(t, w, row.head, row.again)
			})
			_, err := get(t, NewClient(s.config()), page)
			if err == nil || !strings.Contains(err.Error(), "exceeded") {
				t.Errorf("got %v, want a limit exceeded", err)
			}
			// What the sockets between hold is sent as well; 10 MB is what net/http
			// would read without our limit.
			if n := <-sent; n >= 10<<20 {
				t.Errorf("the server could send %d bytes", n)
			}
		})
	}
}

// flood writes again until nobody reads it, and returns how much it wrote.
func flood(t *testing.T, w http.ResponseWriter, head, again string) int {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = conn.Close() }()
	total, err := io.WriteString(conn, head)
	for err == nil && total < 16<<20 {
		var n int
		n, err = io.WriteString(conn, again)
		total += n
	}
	return total
}

func TestAServerThatIsNotWhatItSaysIsRefused(t *testing.T) {
	t.Parallel()
	nothing := func(http.ResponseWriter, *http.Request) {}
	for _, row := range []struct {
		name, url, reason string
		server            func(*httptest.Server)
		client            func(*Config)
	}{
		{
			name: "TLS 1.1", url: page, reason: "protocol version",
			server: func(s *httptest.Server) {
				s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
			},
		},
		{name: "an unknown root", url: page, reason: "certificate", client: func(c *Config) { c.RootCAs = x509.NewCertPool() }},
		{name: "the roots of the system", url: page, reason: "certificate", client: func(c *Config) { c.RootCAs = nil }},
		{name: "another name", url: "https://example.org/", reason: "not example.org"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var options []func(*httptest.Server)
			if row.server != nil {
				options = append(options, row.server)
			}
			s := newSite(t, nothing, options...)
			cfg := s.config()
			if row.client != nil {
				row.client(&cfg)
			}
			_, err := get(t, NewClient(cfg), row.url)
			if err == nil || !strings.Contains(err.Error(), row.reason) {
				t.Errorf("got %v, want %q", err, row.reason)
			}
		})
	}
}

func TestASlowServerTimesOut(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{name: "before the header", handler: func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}},
		{name: "within the body", handler: func(w http.ResponseWriter, r *http.Request) {
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "a")
				_ = http.NewResponseController(w).Flush()
				<-ticker.C
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.handler)
			cfg := s.config()
			cfg.Timeout = 200 * time.Millisecond
			resp, err := get(t, NewClient(cfg), page)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
			}
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("got %v, want a timeout", err)
			}
		})
	}
}

func TestAServerThatNeverShakesHandsTimesOut(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	client := NewClient(Config{Timeout: 100 * time.Millisecond, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, listener.Addr().String())
	}})
	_, err = get(t, client, page)
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestATimeoutIsNeverMissing(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{0, -1, -time.Hour} {
		if got := NewClient(Config{Timeout: timeout}).Timeout; got != 5*time.Second {
			t.Errorf("timeout %s became %s, want 5s", timeout, got)
		}
	}
}

// TestTheProxyOfTheEnvironmentIsIgnored must not be parallel: it sets
// variables.
func TestTheProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	trap := newTrap(t)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:"+trap.port)
	}
	var dialled atomic.Value
	client := NewClient(Config{Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		dialled.Store(address)
		return nil, errAdmitted
	}})
	if _, err := get(t, client, page); !errors.Is(err, errAdmitted) {
		t.Fatal(err)
	}
	if got := dialled.Load(); got != "example.com:443" {
		t.Errorf("dialled %v, want the site itself", got)
	}
}

// closing tells whether a body was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestTheBodyOfARefusedRequestIsClosed(t *testing.T) {
	t.Parallel()
	body := &closing{Reader: strings.NewReader("a")}
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: "127.0.0.1"}, Body: body}
	resp, err := NewClient(Config{}).Transport.RoundTrip(r)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, ErrForbidden) || !body.closed {
		t.Errorf("got %v and closed %t, want ErrForbidden and a closed body", err, body.closed)
	}
}
