package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

// upstream stands in for Microsoft where people sign in.
type upstream interface {
	// authority is its address.
	authority() string
	// setRoles gives a person other roles, from when they are asked about next.
	setRoles(username string, roles ...string)
	// dismiss ends what a person was given.
	dismiss(username string)
	// stop takes it down, for good.
	stop()
}

// upstreams are the simulator, and a certified OpenID provider that we did not
// write, which cannot share our misunderstandings. Each is started for a gateway
// that is registered at a URL.
//
// Only the simulator answers with Microsoft's errors, breaks its transport and
// its tokens, rolls its keys, knows tenants that are not there and refuses
// people of another tenant by itself. Only oidc-provider puts iss into its
// answer, insists on PKCE, and keeps a sign-in to its browser.
var upstreams = []startUpstream{
	{"entrasim", func(t *testing.T, url string) upstream { return startSimulator(t, url) }},
	{"oidc-provider", func(t *testing.T, url string) upstream { return startOIDCProvider(t, url) }},
}

// oneTime are the same, where a refresh token is good once, as Microsoft's are not.
var oneTime = []startUpstream{
	{"entrasim, one-time refresh tokens", func(t *testing.T, url string) upstream {
		s := startSimulator(t, url)
		s.sim.OneTimeRefreshTokens()
		return s
	}},
	{"oidc-provider, one-time refresh tokens", func(t *testing.T, url string) upstream { return startOIDCProvider(t, url, "one-time") }},
}

type startUpstream struct {
	name  string
	start func(t *testing.T, url string) upstream
}

// login is a gateway whose people sign in at one of the upstreams.
type login struct {
	*gateway
	upstream upstream
}

// on is the same gateway for a part of a test.
func (l login) on(t *testing.T) login { return login{l.gateway.in(t), l.upstream} }

// startLogin runs a gateway over an upstream, with other settings of the
// application if there are any.
func startLogin(t *testing.T, start func(*testing.T, string) upstream, settings map[string]string, extra string) login {
	t.Helper()
	listener, url := listen(t)
	g := newGatewayWithoutMicrosoft(t, url)
	l := login{gateway: g, upstream: start(t, url)}
	g.authority, g.settings = l.upstream.authority(), settings
	if s, ok := l.upstream.(*simulator); ok {
		g.sim = s.sim
	}
	g.serve(listener, extra)
	return l
}

// simulator is entrasim as a server.
type simulator struct {
	t       *testing.T
	sim     *entrasim.Sim
	address string
	end     func()
}

// startSimulator simulates the demonstration, with what changes do to it.
func startSimulator(t *testing.T, url string, changes ...func(*entrasim.Options)) *simulator {
	t.Helper()
	o := entrasim.Demo(entrasim.DemoClientID, demoSecret, url+"/callback")
	o.Apps[0].SessionClaim, o.Apps[0].LogoutURL = true, url+"/logout/microsoft"
	for _, change := range changes {
		change(&o)
	}
	sim, err := entrasim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, address := listen(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- sim.Serve(ctx, l) }()
	s := &simulator{t: t, sim: sim, address: address, end: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})}
	t.Cleanup(s.end)
	return s
}

func (s *simulator) authority() string { return s.address }

func (s *simulator) stop() { s.end() }

func (s *simulator) setRoles(_ string, roles ...string) {
	s.sim.MutateClaims(func(claims map[string]any) {
		if claims["roles"] = roles; len(roles) == 0 {
			delete(claims, "roles")
		}
	})
}

func (s *simulator) dismiss(username string) {
	s.t.Helper()
	if err := s.sim.RevokeSessions(username); err != nil {
		s.t.Error(err)
	}
}

// oidcProvider is testdata/oidc-provider, a process. It ends with its standard
// input, so that none is left behind by a test that is killed.
type oidcProvider struct {
	t       *testing.T
	address string
	stdin   io.WriteCloser
	stdout  *bufio.Scanner
	end     func()
}

func startOIDCProvider(t *testing.T, url string, args ...string) *oidcProvider {
	t.Helper()
	script, err := filepath.Abs("../../../testdata/oidc-provider/entra.mjs")
	if err != nil {
		t.Fatal(err)
	}
	node, found := newNode(t)
	if _, err := os.Stat(filepath.Join(filepath.Dir(script), "node_modules")); err != nil || !found {
		t.Skip("left out: oidc-provider (run npm ci --prefix testdata/oidc-provider, and the same for testdata/conformance, on Linux)")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	cmd := exec.CommandContext(ctx, node, append([]string{script}, args...)...)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &oidcProvider{t: t, stdin: stdin, stdout: bufio.NewScanner(stdout), end: sync.OnceFunc(func() {
		defer cancel()
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("oidc-provider: %v", err)
		}
	})}
	t.Cleanup(p.end)
	o := entrasim.Demo(entrasim.DemoClientID, demoSecret, url+"/callback")
	p.address = p.tell(map[string]any{"Tenants": o.Tenants, "Users": o.Users, "Apps": o.Apps})
	return p
}

// tell sends a line and returns the line that answers it.
func (p *oidcProvider) tell(what any) string {
	p.t.Helper()
	line, err := json.Marshal(what)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(p.stdin, "%s\n", line); err != nil {
		p.t.Fatal(err)
	}
	if !p.stdout.Scan() {
		p.t.Fatalf("oidc-provider says nothing: %v", p.stdout.Err())
	}
	return p.stdout.Text()
}

func (p *oidcProvider) authority() string { return p.address }

func (p *oidcProvider) stop() { p.end() }

func (p *oidcProvider) setRoles(username string, roles ...string) {
	p.t.Helper()
	p.tell(map[string]any{"Username": username, "Roles": roles})
}

func (p *oidcProvider) dismiss(username string) {
	p.t.Helper()
	p.tell(map[string]any{"Username": username, "Gone": true})
}

// newNode is the Node.js that the official conformance suite needs: that of a
// system may be older.
func newNode(t *testing.T) (path string, found bool) {
	t.Helper()
	// npm installs only the one that runs here.
	nodes, err := filepath.Glob("../../../testdata/conformance/node_modules/node-*/bin/node")
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 1 {
		return "", false
	}
	if path, err = filepath.Abs(nodes[0]); err != nil {
		t.Fatal(err)
	}
	return path, true
}
