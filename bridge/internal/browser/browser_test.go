package browser

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://login.example/authorize?a=1&b=%20", "http://localhost:8788/authorize", "http://127.0.0.1/x", "http://[::1]:1/", "https://a.example:8443"} {
		if err := CheckAddress(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "login.example", "/authorize", "//login.example", "http://login.example/", "http://localhost.evil.example/", "http://127.0.0.1.evil.example",
		"javascript:alert(1)", "file:///etc/passwd", "ms-calculator:", "cursor://x/y", "https:", "https:///x", "https:login.example", "https://u@login.example/",
		"https://a.example/$(calc)`id`", "https://a.example/\"&calc.exe", "https://a.example/'|id", "https://a.example/ x", "https://a.example/\r\nx",
		"https://a.example\\@evil.example/", "https://a.example/^&calc", "https://ä.example/", "https://:443/", "ftp://a.example", "HTTP://evil.example",
	} {
		if err := CheckAddress(bad); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzCheckAddress(f *testing.F) {
	f.Add("https://a.example/x?y=z#f")
	f.Add("http://localhost:1/\x00")
	f.Fuzz(func(t *testing.T, address string) {
		if CheckAddress(address) != nil {
			return
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
			t.Fatalf("%q was accepted", address)
		}
	})
}

// desktop is an environment with a display.
var desktop = Environment{GOOS: "linux", Getenv: func(name string) string { return map[string]string{"DISPLAY": ":0"}[name] }}

// with is an environment in which these variables are set.
func with(names ...string) func(string) string {
	return func(name string) string {
		if slices.Contains(names, name) {
			return "x"
		}
		return ""
	}
}

func TestWhetherThereIsABrowser(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, goos string
		set        []string
		file       string
		want       string
	}{
		{name: "a desktop", goos: "linux", set: []string{"DISPLAY"}},
		{name: "another desktop", goos: "linux", set: []string{"WAYLAND_DISPLAY"}},
		{name: "WSL", goos: "linux", set: []string{"WSL_DISTRO_NAME"}},
		{name: "a Mac", goos: "darwin"},
		{name: "Windows", goos: "windows"},
		{name: "a display over SSH", goos: "linux", set: []string{"DISPLAY", "SSH_CONNECTION"}},
		{name: "an editor that works over SSH", goos: "linux", set: []string{"BROWSER", "SSH_CONNECTION"}},
		{name: "an editor that works in a container", goos: "linux", set: []string{"BROWSER"}, file: "/.dockerenv"},
		{name: "a container with a display", goos: "linux", set: []string{"DISPLAY"}, file: "/.dockerenv"},
		{name: "SSH", goos: "linux", set: []string{"SSH_CONNECTION"}, want: "this is a session over SSH"},
		{name: "a Mac over SSH", goos: "darwin", set: []string{"SSH_CONNECTION"}, want: "this is a session over SSH"},
		{name: "Windows over SSH", goos: "windows", set: []string{"SSH_CONNECTION"}, want: "this is a session over SSH"},
		{name: "Docker", goos: "linux", file: "/.dockerenv", want: "this is a container"},
		{name: "Podman", goos: "linux", file: "/run/.containerenv", want: "this is a container"},
		{name: "Kubernetes", goos: "linux", set: []string{"KUBERNETES_SERVICE_HOST"}, want: "this is a container"},
		{name: "systemd-nspawn", goos: "linux", set: []string{"container"}, want: "this is a container"},
		{name: "a server", goos: "linux", want: "there is no display"},
		{name: "a server that is no Linux", goos: "freebsd", want: "there is no display"},
	} {
		env := Environment{GOOS: tt.goos, Getenv: with(tt.set...), Exists: func(path string) bool { return path == tt.file }}
		if got := env.lacksBrowser(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	o := NewOpener(Environment{GOOS: "linux", Getenv: with("WSL_DISTRO_NAME")})
	o.launch = func(string) error { return errors.New("xdg-open: not found") }
	if err := o.Open(t.Context(), "https://login.example/"); !errors.Is(err, ErrNoBrowser) || !strings.Contains(err.Error(), "wslu") {
		t.Errorf("WSL without a browser: %v", err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	const address = "https://login.example/"
	none := func(string) string { return "" }
	foreground := make(chan struct{})
	t.Cleanup(func() { close(foreground) })
	for _, tt := range []struct {
		name    string
		env     Environment
		address string
		launch  func(string) error
		want    error
	}{
		{name: "a launcher that succeeds", env: desktop, address: address, launch: func(string) error { return nil }},
		{name: "a browser in the foreground", env: desktop, address: address, launch: func(string) error { <-foreground; return nil }},
		{name: "a launcher that fails", env: desktop, address: address, launch: func(string) error { return errors.New("exit status 3") }, want: ErrNoBrowser},
		{name: "no display", env: Environment{GOOS: "linux", Getenv: none}, address: address, want: ErrNoBrowser},
		{name: "another machine", env: Environment{GOOS: "darwin", Getenv: with("SSH_CONNECTION")}, address: address, want: ErrNoBrowser},
		{name: "macOS needs no variable", env: Environment{GOOS: "darwin", Getenv: none}, address: address, launch: func(string) error { return nil }},
		{name: "a bad address is never launched", env: desktop, address: "file:///etc/passwd", want: ErrAddress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := NewOpener(tt.env)
			var got string
			o.launch = func(a string) error {
				got = a
				if tt.launch == nil {
					t.Error("it was launched")
					return nil
				}
				return tt.launch(a)
			}
			if err := o.Open(t.Context(), tt.address); !errors.Is(err, tt.want) {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
			if tt.launch != nil && tt.name != "a browser in the foreground" && got != address {
				t.Errorf("launched %q", got)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := NewOpener(desktop)
	o.launch = func(string) error { <-foreground; return nil }
	if err := o.Open(ctx, address); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has gone: %v", err)
	}
}

func newCallback(t *testing.T) *Callback {
	t.Helper()
	c, err := NewCallback(t.Context(), "s/t a+te")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func visit(t *testing.T, method, address string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestCallbackTakesOneAnswerWithItsState(t *testing.T) {
	t.Parallel()
	c := newCallback(t)
	if !strings.HasPrefix(c.RedirectURI(), "http://127.0.0.1:") || !strings.HasSuffix(c.RedirectURI(), "/callback") {
		t.Errorf("redirect URI %s", c.RedirectURI())
	}
	root := strings.TrimSuffix(c.RedirectURI(), "/callback")
	good := url.Values{"state": {"s/t a+te"}, "code": {"<b>c</b>"}, "iss": {"https://gw.example"}}
	for _, tt := range []struct {
		name, method, address string
		status                int
	}{
		{"a favicon", http.MethodGet, root + "/favicon.ico", 404},
		{"the root", http.MethodGet, root + "/", 404},
		{"a longer path", http.MethodGet, c.RedirectURI() + "/x?" + good.Encode(), 404},
		{"no state", http.MethodGet, c.RedirectURI() + "?code=x", 400},
		{"another state", http.MethodGet, c.RedirectURI() + "?code=x&state=y", 400},
		{"two states", http.MethodGet, c.RedirectURI() + "?" + good.Encode() + "&state=y", 400},
		{"two codes", http.MethodGet, c.RedirectURI() + "?" + good.Encode() + "&code=y", 400},
		{"a broken escape", http.MethodGet, c.RedirectURI() + "?" + good.Encode() + "&x=%zz", 400},
		{"an endless answer", http.MethodGet, c.RedirectURI() + "?" + good.Encode() + "&x=" + strings.Repeat("x", 40000), 400},
		{"HEAD", http.MethodHead, c.RedirectURI() + "?" + good.Encode(), 405},
		{"POST", http.MethodPost, c.RedirectURI() + "?" + good.Encode(), 405},
	} {
		if status, _, _ := visit(t, tt.method, tt.address); status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, status, tt.status)
		}
	}
	status, page, header := visit(t, http.MethodGet, c.RedirectURI()+"?"+good.Encode())
	if status != 200 || !strings.Contains(page, "You are signed in") || strings.Contains(page, "<b>") || header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("status %d, page %s", status, page)
	}
	if status, _, _ := visit(t, http.MethodGet, c.RedirectURI()+"?"+good.Encode()); status != 410 {
		t.Errorf("a second answer: status %d", status)
	}
	got, err := c.Wait(t.Context())
	if err != nil || got.Encode() != good.Encode() {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCallbackTellsOfAnError(t *testing.T) {
	t.Parallel()
	c := newCallback(t)
	_, page, _ := visit(t, http.MethodGet, c.RedirectURI()+"?"+url.Values{"state": {"s/t a+te"}, "error": {"access_denied"}, "error_description": {"<script>"}}.Encode())
	if !strings.Contains(page, "did not succeed") || strings.Contains(page, "script") {
		t.Errorf("page %s", page)
	}
	if got, err := c.Wait(t.Context()); err != nil || got.Get("error") != "access_denied" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPastedAnswers(t *testing.T) {
	t.Parallel()
	c, other := newCallback(t), newCallback(t)
	at := c.RedirectURI()
	for _, tt := range []struct{ name, text, says string }{
		{"nothing", "", "not an address"},
		{"the code alone", "code-canary", "not an address"},
		{"the question mark and what follows", "?code=code-canary&state=s%2Ft+a%2Bte", "not an address"},
		{"a broken address", "http://[::1/callback?code=code-canary", "not an address"},
		{"the address that was to be opened", "https://login.example/authorize?state=s%2Ft+a%2Bte", "address of another page"},
		{"a page on the way", "https://login.example/kmsi", "address of another page"},
		{"another host with the same path", "http://127.0.0.1.evil.example/callback?code=code-canary&state=s%2Ft+a%2Bte", "address of another page"},
		{"another scheme", strings.Replace(at, "http", "https", 1) + "?code=code-canary&state=s%2Ft+a%2Bte", "address of another page"},
		{"a user before the host", strings.Replace(at, "127", "a@127", 1) + "?code=code-canary&state=s%2Ft+a%2Bte", "another sign-in"},
		{"a longer path", at + "/x?code=code-canary&state=s%2Ft+a%2Bte", "address of another page"},
		{"another sign-in's port", other.RedirectURI() + "?code=code-canary&state=s%2Ft+a%2Bte", "another sign-in"},
		{"no answer", at, "has no answer"},
		{"an empty answer", at + "?", "has no answer"},
		{"cut off before the state", at + "?code=code-canary", "missing or damaged"},
		{"cut off in an escape", at + "?code=code-canary&state=s%2", "missing or damaged"},
		{"cut off in the state", at + "?code=code-canary&state=s%2Ft", "another sign-in"},
		{"no code", at + "?state=s%2Ft+a%2Bte&iss=x", "missing or damaged"},
		{"another run's state", at + "?code=code-canary&state=y", "another sign-in"},
		{"two states", at + "?code=code-canary&state=s%2Ft+a%2Bte&state=y", "another sign-in"},
		{"two codes", at + "?code=code-canary&code=y&state=s%2Ft+a%2Bte", "another sign-in"},
		{"the answer behind a #", at + "#code=code-canary&state=s%2Ft+a%2Bte", "another"},
		{"endless", at + "?code=code-canary&state=s%2Ft+a%2Bte&x=" + strings.Repeat("x", 40000), "too long"},
	} {
		err := c.Paste(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want it to say %q", tt.name, err, tt.says)
		}
	}
	if err := c.Paste(" \"" + at + "?code=x&state=s%2Ft+a%2Bte&iss=i#\"\r\n"); err != nil {
		t.Fatalf("the right one, after all of these: %v", err)
	}
	if got, err := c.Wait(t.Context()); err != nil || got.Get("code") != "x" || got.Get("iss") != "i" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := c.Paste(at + "?code=x&state=s%2Ft+a%2Bte"); err == nil || !strings.Contains(err.Error(), "finished before") {
		t.Errorf("again: %v", err)
	}
	if status, _, _ := visit(t, http.MethodGet, at+"?code=x&state=s%2Ft+a%2Bte"); status != http.StatusGone {
		t.Errorf("and by the browser: status %d", status)
	}
}

func FuzzPaste(f *testing.F) {
	c, err := NewCallback(f.Context(), "state")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	for _, query := range []string{"?code=x&state=state", "?state=state&error=e", "?code=x&state=state&state=x", "#?code=x&state=state", ""} {
		f.Add(query, true)
	}
	f.Add("http://127.0.0.1:1/callback?code=x&state=state", false)
	f.Fuzz(func(t *testing.T, text string, ours bool) {
		if ours {
			text = c.RedirectURI() + text
		}
		c.once = sync.Once{} // each is the first
		if err := c.Paste(text); err != nil {
			return
		}
		got := <-c.answer
		if got.Get("state") != "state" || len(got["state"]) != 1 || !got.Has("code") && !got.Has("error") || !strings.Contains(text, c.RedirectURI()+"?") {
			t.Errorf("%q is taken for %v", text, got)
		}
	})
}

func TestCallbackEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	c, err := NewCallback(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if resp, err := http.Get(c.RedirectURI()); err == nil {
		_ = resp.Body.Close()
		t.Error("it still listens")
	}
	if _, err := NewCallback(t.Context(), ""); err == nil {
		t.Error("a callback without state was made")
	}
}
