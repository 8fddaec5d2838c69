package netguard

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy is a CONNECT proxy that has one place to connect to, whatever it is
// asked for.
type proxy struct {
	*httptest.Server
	target string
	tunnel sync.WaitGroup

	mu sync.Mutex
	// guards below
	asked []string
	open  []net.Conn
}

// newProxy serves until the test ends. Without a target it refuses.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	p := &proxy{target: target}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
		p.mu.Unlock()
		if r.Method != http.MethodConnect || p.target == "" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		p.connect(t, w)
	}))
	t.Cleanup(func() {
		p.Close()
		p.mu.Lock()
		for _, conn := range p.open {
			_ = conn.Close() // a client that kept it must not keep the test
		}
		p.mu.Unlock()
		p.tunnel.Wait()
	})
	return p
}

// connect makes the tunnel, which ends when either side does.
func (p *proxy) connect(t *testing.T, w http.ResponseWriter) {
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		t.Error(err)
		return
	}
	down, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = up.Close()
		t.Error(err)
		return
	}
	p.mu.Lock()
	p.open = append(p.open, up, down)
	p.mu.Unlock()
	_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
	for _, ends := range [][2]net.Conn{{up, down}, {down, up}} {
		p.tunnel.Go(func() {
			_, _ = io.Copy(ends[0], ends[1])
			_ = ends[0].Close()
			_ = ends[1].Close()
		})
	}
}

// requests returns what the proxy was asked for so far.
func (p *proxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// url returns the address of the proxy.
func (p *proxy) url(t *testing.T, user *url.Userinfo) *url.URL {
	t.Helper()
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = user
	return u
}

func TestANameGoesToTheProxyUnresolved(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello "+r.Host) })
	for _, row := range []struct {
		name string
		user *url.Userinfo
		want string
	}{
		{name: "without a password", want: "CONNECT example.com:443 "},
		{name: "with a password", user: url.UserPassword("a", "b"), want: "CONNECT example.com:443 Basic YTpi"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newProxy(t, s.Listener.Addr().String())
			// No Dial: the dialer of the product reaches a proxy on loopback.
			client := NewClient(Config{Proxy: p.url(t, row.user), RootCAs: s.config().RootCAs})
			resp, err := get(t, client, page)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != "hello example.com" {
				t.Errorf("got %q, %v; want the page", got, err)
			}
			if asked := p.requests(); !slices.Equal(asked, []string{row.want}) {
				t.Errorf("the proxy was asked %q, want %q", asked, row.want)
			}
		})
	}
}

func TestAPublicAddressGoesToTheProxy(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "")
	client := NewClient(Config{Proxy: p.url(t, nil)})
	for _, host := range []string{"8.8.8.8", "[2606:4700::1111]"} {
		if _, err := get(t, client, "https://"+host+"/"); err == nil || errors.Is(err, ErrForbidden) {
			t.Errorf("%s: got %v, want the refusal of the proxy", host, err)
		}
	}
	want := []string{"CONNECT 8.8.8.8:443 ", "CONNECT [2606:4700::1111]:443 "}
	if got := p.requests(); !slices.Equal(got, want) {
		t.Errorf("the proxy was asked %q, want %q", got, want)
	}
}

func TestNothingSpecialGoesToTheProxy(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(http.ResponseWriter, *http.Request) { t.Error("the site was reached") })
	p := newProxy(t, s.Listener.Addr().String())
	client := NewClient(Config{Proxy: p.url(t, nil), RootCAs: s.config().RootCAs})
	for _, raw := range []string{
		"https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://10.0.0.1/", "https://169.254.169.254/",
		"https://[fd00:ec2::254]/", "https://localhost/", "https://localhost:8443/", "https://app.localhost/", "https://2130706433/",
		"https://0x7f.1/", "https://metadata.google.internal/", "https://printer.local/", "https://intranet/", "http://example.com/",
		"https://a@example.com/", "https://example.com:0/",
	} {
		if _, err := get(t, client, raw); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: got %v, want ErrForbidden", raw, err)
		}
	}
	if asked := p.requests(); len(asked) != 0 {
		t.Errorf("the proxy was asked %q, want nothing", asked)
	}
}

func TestARefusalOfTheProxyIsAnError(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "")
	_, err := get(t, NewClient(Config{Proxy: p.url(t, nil)}), page)
	if err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("got %v, want the 403 of the proxy", err)
	}
}

func TestARedirectIsNotFollowedThroughTheProxy(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://inside.example.com/", http.StatusFound)
	})
	p := newProxy(t, s.Listener.Addr().String())
	resp, err := get(t, NewClient(Config{Proxy: p.url(t, nil), RootCAs: s.config().RootCAs}), page)
	if err != nil {
		t.Fatal(err)
	}
	if asked := p.requests(); resp.StatusCode != http.StatusFound || len(asked) != 1 {
		t.Errorf("got %s and asked %q, want 302 after one CONNECT", resp.Status, asked)
	}
}

func TestAProxyThatNeverAnswersTimesOut(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	client := NewClient(Config{
		Proxy:   &url.URL{Scheme: "http", Host: silent.Addr().String()},
		Timeout: 100 * time.Millisecond,
	})
	_, err = get(t, client, page)
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

// TestWhatIsNoHTTPProxyFailsTheRequest is about failing closed: a proxy that
// cannot be used must not mean a request without one.
func TestWhatIsNoHTTPProxyFailsTheRequest(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	for _, row := range []struct {
		name  string
		proxy *url.URL
	}{
		{name: "an empty URL", proxy: &url.URL{}},
		{name: "no host", proxy: &url.URL{Scheme: "http"}},
		{name: "SOCKS", proxy: &url.URL{Scheme: "socks5", Host: "127.0.0.1:" + trap.port}},
		{name: "no scheme", proxy: &url.URL{Host: "127.0.0.1:" + trap.port}},
		{name: "a password", proxy: &url.URL{Scheme: "ftp", Host: "127.0.0.1", User: url.UserPassword("a", "secret")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := get(t, NewClient(Config{Proxy: row.proxy}), page)
			if err == nil || !strings.Contains(err.Error(), "not the URL of an HTTP proxy") || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want the proxy refused without its password", err)
			}
		})
	}
}
