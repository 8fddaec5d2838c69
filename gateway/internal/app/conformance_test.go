package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// All checks of the official conformance suite's mode for authorization servers.
const (
	checkMetadata = "authorization-server-metadata"
	checkGrant    = "authorization-code-grant"
	// checkCIMD is only a SHOULD: that a client_id may be the URL of a document.
	checkCIMD = "authorization-server-metadata-cimd"
)

// suiteCheck is one check as the suite writes it down.
type suiteCheck struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // SUCCESS, FAILURE, WARNING, SKIPPED or INFO
	Message string `json:"errorMessage"`
}

// TestTheOfficialSuitePassesTheAuthorizationServer: its client and its checks,
// our consent page, the simulated Microsoft. The issuer is http on loopback,
// which the suite takes.
func TestTheOfficialSuitePassesTheAuthorizationServer(t *testing.T) {
	t.Parallel()
	s := findSuite(t)
	for _, tt := range []struct {
		name string
		args func(g *gateway) []string
	}{
		{name: "a client that names the resource", args: func(g *gateway) []string { return []string{"--resource", g.url + "/mcp"} }},
		{name: "a client that names none", args: func(*gateway) []string { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, "")
			checks, code := s.run(t, g, tt.args(g)...)
			t.Attr("figures", figures(checks))
			want := map[string]string{checkMetadata: "SUCCESS", checkCIMD: "SUCCESS", checkGrant: "SUCCESS"}
			if diff := cmp.Diff(want, statuses(checks)); diff != "" || code != 0 {
				t.Errorf("exit code %d, checks (-want +got):\n%s\n%+v", code, diff, checks)
			}
		})
	}
}

// mistakes are each in one answer of the gateway, and the suite must find them.
var mistakes = []struct {
	name   string
	path   string
	change func(*http.Response) error
	check  string // which must fail
	reason string
}{
	{
		name: "metadata without PKCE", path: "/.well-known/oauth-authorization-server",
		change: metadata(func(m map[string]any) { delete(m, "code_challenge_methods_supported") }),
		check:  checkMetadata, reason: `Response body does not include valid "code_challenge_methods_supported" claim`,
	},
	{
		name: "metadata with PKCE of the plain kind only", path: "/.well-known/oauth-authorization-server",
		change: metadata(func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} }),
		check:  checkMetadata, reason: `Response body does not include valid "code_challenge_methods_supported" claim`,
	},
	{
		name: "metadata of another issuer", path: "/.well-known/oauth-authorization-server",
		change: metadata(func(m map[string]any) { m["issuer"] = "https://attacker.example" }),
		check:  checkMetadata, reason: "Invalid issuer: https://attacker.example",
	},
	{
		name: "a token answer that may be stored", path: "/token",
		change: func(resp *http.Response) error { resp.Header.Del("Cache-Control"); return nil },
		check:  checkGrant, reason: "Invalid Cache-Control: (missing)",
	},
	{
		name: "an authorization answer of another issuer", path: "/callback",
		change: func(resp *http.Response) error {
			to, err := resp.Location()
			if err != nil {
				return err
			}
			q := to.Query()
			q.Set("iss", "https://attacker.example")
			to.RawQuery = q.Encode()
			resp.Header.Set("Location", to.String())
			return nil
		},
		check: checkGrant, reason: "Invalid iss parameter: https://attacker.example",
	},
}

// TestTheOfficialSuiteFindsWhatIsBroken puts one mistake at a time between the
// suite and the gateway: a suite that passes everything would prove nothing.
func TestTheOfficialSuiteFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	s := findSuite(t)
	for _, tt := range mistakes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startBehind(t, tt.path, tt.change)
			checks, code := s.run(t, g, "--resource", g.url+"/mcp")
			want := suiteCheck{ID: tt.check, Status: "FAILURE", Message: tt.reason}
			if got := checks[tt.check]; got != want || code != 1 {
				t.Errorf("exit code %d, %+v; want 1 and %+v; %s", code, got, want, figures(checks))
			}
			// What is broken is found where it is, not because nothing works.
			if tt.check == checkGrant && checks[checkMetadata].Status != "SUCCESS" {
				t.Errorf("%+v", checks[checkMetadata])
			}
		})
	}
}

// metadata changes a metadata document on its way.
func metadata(change func(map[string]any)) func(*http.Response) error {
	return func(resp *http.Response) error {
		var m map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		change(m)
		data, err := json.Marshal(m)
		resp.Body = io.NopCloser(bytes.NewReader(data))
		resp.ContentLength = int64(len(data))
		resp.Header.Set("Content-Length", strconv.Itoa(len(data)))
		return err
	}
}

// startBehind runs a gateway behind a proxy that changes what comes from one
// path. The proxy's address is the gateway's public one, so that nothing else
// differs.
func startBehind(t *testing.T, path string, change func(*http.Response) error) *gateway {
	t.Helper()
	front, public := listen(t)
	back, private := listen(t)
	target, err := url.Parse(private)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &http.Server{ReadHeaderTimeout: time.Minute, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(resp *http.Response) error {
			if resp.Request.URL.Path != path {
				return nil
			}
			return change(resp)
		},
	}}
	g := newGateway(t, public)
	g.serve(back, "")
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(front) }()
	t.Cleanup(func() {
		_ = proxy.Close()
		<-done
	})
	return g
}

// suite is the official conformance suite and the Node that it runs on.
type suite struct {
	node, script string
	// cache keeps what Node has compiled, for runs that follow each other.
	cache string
}

func findSuite(t *testing.T) suite {
	t.Helper()
	root, err := filepath.Abs("../../../testdata/conformance/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	s := suite{cache: t.TempDir(), script: filepath.Join(root, "@modelcontextprotocol/conformance/dist/index.js")}
	node, found := newNode(t)
	if _, err := os.Stat(s.script); err != nil || !found {
		t.Skip("left out: official conformance suite (run npm ci --prefix testdata/conformance, on Linux)")
	}
	s.node = node
	return s
}

// run lets the suite judge a gateway while Ada signs in. It returns the checks
// by their names, and the exit code.
func (s suite) run(t *testing.T, g *gateway, args ...string) (map[string]suiteCheck, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, port := t.TempDir(), freePort(t)
	args = append([]string{s.script, "authorization", "--url", g.url, "--client-id", g.registration(), "--port", port, "--output-dir", out}, args...)
	cmd := exec.CommandContext(ctx, s.node, args...)
	cmd.Dir, cmd.Stderr = out, t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// When the sign-in ends the test, nothing is left behind.
	defer func() { cancel(); _ = cmd.Wait() }()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), g.url+"/authorize?") {
			letAdaIn(ctx, newBrowser(t), lines.Text())
		}
		_, _ = fmt.Fprintln(t.Output(), lines.Text())
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() < 0 {
		t.Fatal(err)
	}
	return readChecks(t, out), cmd.ProcessState.ExitCode()
}

// letAdaIn opens the address and presses what a person presses. The suite says
// by its checks whether it got its answer.
func letAdaIn(ctx context.Context, b *browser, address string) {
	b.t.Helper()
	consent, _ := b.open(ctx, address)
	microsoft, _ := b.press(ctx, consent, "allow")
	if page, _ := b.press(ctx, microsoft, "Ada"); page.status != http.StatusOK {
		b.t.Errorf("the sign-in ended at %s with status %d:\n%s", page.url.Host, page.status, page.body)
	}
}

// suitePorts counts up from somewhere below what the kernel gives to those who
// ask for any port: between the choice and its use, nobody else comes by one.
var suitePorts = func() *atomic.Uint32 {
	var next atomic.Uint32
	next.Store(20000 + rand.Uint32N(10000))
	return &next
}()

// freePort finds a port for the suite's client, which must be told one. Any is
// as registered: on loopback the port does not count (RFC 8252 §7.3).
func freePort(t *testing.T) string {
	t.Helper()
	var err error
	for range 100 {
		port := strconv.FormatUint(uint64(suitePorts.Add(1)), 10)
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal(err)
	return ""
}

func readChecks(t *testing.T, dir string) map[string]suiteCheck {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string]suiteCheck{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var some []suiteCheck
		if err := json.Unmarshal(data, &some); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, c := range some {
			if _, ok := checks[c.ID]; ok {
				t.Errorf("the check %s was made twice", c.ID)
			}
			checks[c.ID] = c
		}
	}
	return checks
}

func statuses(checks map[string]suiteCheck) map[string]string {
	all := map[string]string{}
	for id, c := range checks {
		all[id] = c.Status
	}
	return all
}

// figures is what a reader of CI's log wants to know.
func figures(checks map[string]suiteCheck) string {
	count := map[string]int{}
	for _, c := range checks {
		count[c.Status]++
	}
	return fmt.Sprintf("official suite, authorization server: %d checks, %d passed, %d failed, %d warned, %d skipped",
		len(checks), count["SUCCESS"], count["FAILURE"], count["WARNING"], count["SKIPPED"])
}
