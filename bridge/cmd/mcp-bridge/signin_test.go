package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"mcp-gateway/bridge/internal/browser"
	"mcp-gateway/bridge/internal/lab"
)

func TestLoginByACode(t *testing.T) {
	newHome(t)
	server := lab.NewAuthServer(t)
	server.Set(func(k *lab.Knobs) {
		k.Device = &lab.Device{Interval: 1, Verdict: func(int) string { return "" }}
	})
	got := runWith(t, noBrowser(t), nil, "login", server.Server(), "--device", "--token-store", "file")
	if got.code != exitOK || !strings.Contains(got.stdout, "Signed in to "+server.Server()) {
		t.Fatalf("login: %+v", got)
	}
	for _, want := range []string{server.URL + "/device?user_code=WDJB-MJHT\n", "    WDJB-MJHT\n", drawQR(server.URL+"/device?user_code=WDJB-MJHT", true)} {
		if want == "" || !strings.Contains(got.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, got.stderr)
		}
	}
	if got := runWith(t, noBrowser(t), nil, "status", server.Server(), "--token-store", "file"); got.code != exitOK {
		t.Errorf("status: %+v", got)
	}
}

func TestLoginByACodeWhereItIsNotOffered(t *testing.T) {
	newHome(t)
	server := lab.NewAuthServer(t)
	got := runWith(t, noBrowser(t), nil, "login", server.Server(), "--device", "--token-store", "file")
	if got.code != exitFailure || got.stdout != "" || !strings.Contains(got.stderr, "offers no sign-in by a code: use --sign-in paste") {
		t.Errorf("%+v", got)
	}
}

// elsewhere is a person before a browser on another machine, who types what it came
// to, after other things. It reads the address from the screen.
func elsewhere(t *testing.T, before ...string) (keyboard io.Reader, screen io.Writer) {
	t.Helper()
	reader, typed := io.Pipe()
	said, shown := io.Pipe()
	t.Cleanup(func() { _ = typed.Close(); _ = shown.Close() })
	go func() {
		var text strings.Builder
		buf := make([]byte, 4096)
		for !strings.Contains(text.String(), "press Enter") {
			n, err := said.Read(buf)
			if err != nil {
				return
			}
			_, _ = text.Write(buf[:n])
		}
		go func() { _, _ = io.Copy(io.Discard, said) }()
		for _, line := range before {
			_, _ = fmt.Fprintln(typed, line)
		}
		for line := range strings.Lines(text.String()) {
			if address := strings.TrimSpace(line); strings.Contains(address, "/authorize?") {
				_, _ = fmt.Fprintln(typed, followOnce(address))
			}
		}
		_ = typed.Close()
	}()
	return reader, shown
}

// followOnce is where an address redirects to.
func followOnce(address string) string {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(address)
	if err != nil {
		return err.Error()
	}
	_ = res.Body.Close()
	return res.Header.Get("Location")
}

func TestLoginByPasting(t *testing.T) {
	newHome(t)
	server := lab.NewAuthServer(t)
	person, screen := elsewhere(t, "", "what is this?", "http://127.0.0.1:1/callback?code=code-canary&state=x")
	var stdout, stderr strings.Builder
	c := command{
		stdin: person, stdout: &stdout, stderr: io.MultiWriter(&stderr, screen, t.Output()),
		getenv: func(string) string { return "" }, open: noBrowser(t),
	}
	code := c.run(t.Context(), []string{"login", server.Server(), "--paste", "--token-store", "file"})
	if code != exitOK || !strings.Contains(stdout.String(), "Signed in to "+server.Server()) {
		t.Fatalf("exit %d, stdout %s, stderr %s", code, stdout.String(), stderr.String())
	}
	for _, want := range []string{"that is not an address", "the answer of another sign-in"} {
		if strings.Count(stderr.String(), want) != 1 {
			t.Errorf("it does not say %q once:\n%s", want, stderr.String())
		}
	}
	if strings.Contains(stderr.String(), "code-") || strings.Contains(stderr.String(), "what is this") {
		t.Errorf("it repeats what was pasted:\n%s", stderr.String())
	}
}

func TestLoginByPastingIsGivenUp(t *testing.T) {
	newHome(t)
	server := lab.NewAuthServer(t)
	for name, tt := range map[string]struct{ typed, says string }{
		"nothing":        {"", "no address was pasted"},
		"only nonsense":  {"x\ny\n", "no address was pasted"},
		"without an end": {strings.Repeat("x", 70<<10), "longer than 65536 bytes"},
	} {
		got := runTyping(t, strings.NewReader(tt.typed), noBrowser(t), nil, "login", server.Server(), "--paste", "--token-store", "file")
		if got.code != exitFailure || !strings.Contains(got.stderr, tt.says) || got.stdout != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestLoginSaysWhatToDoWithoutABrowser, and still waits for one.
func TestLoginSaysWhatToDoWithoutABrowser(t *testing.T) {
	newHome(t)
	server := lab.NewAuthServer(t)
	browse := lab.Browser(t)
	lacking := func(ctx context.Context, address string) error {
		if err := browse(ctx, address); err != nil {
			return err
		}
		return fmt.Errorf("%w: this is a session over SSH", browser.ErrNoBrowser)
	}
	got := runWith(t, lacking, nil, "login", server.Server(), "--token-store", "file")
	if got.code != exitOK {
		t.Fatalf("login: %+v", got)
	}
	for _, want := range []string{"this is a session over SSH", "mcp-bridge login " + server.Server() + " --device", "mcp-bridge login " + server.Server() + " --paste"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, got.stderr)
		}
	}
}
