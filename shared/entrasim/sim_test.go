package entrasim_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

func TestServeAnswersOnLoopbackUntilItIsStopped(t *testing.T) {
	t.Parallel()
	sim, err := entrasim.New(entrasim.Demo(entrasim.DemoClientID, secret, redirectURI))
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sim.Serve(ctx, l) }()
	url := "http://" + l.Addr().String() + "/" + entrasim.DemoTenant + "/oauth2/v2.0/authorize?" + query(nil).Encode()
	callback, err := entrasim.SignIn(t.Context(), &http.Client{}, url, entrasim.Gus)
	if err != nil || !strings.HasPrefix(callback, redirectURI+"?code=1.") {
		t.Errorf("got %.60s, %v", callback, err)
	}
	// A caller that is kept waiting does not keep the simulator alive.
	sim.FailDiscovery(entrasim.Outcome{Fault: entrasim.SilentHeaders})
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/common"+discoveryPath, nil)
		if err != nil {
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	stop()
	if err := <-done; err != nil {
		t.Errorf("stopped with %v", err)
	}
	<-waiting
}

func TestServeRefusesAListenerThatOthersReach(t *testing.T) {
	t.Parallel()
	sim, err := entrasim.New(entrasim.Demo(entrasim.DemoClientID, secret, redirectURI))
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4zero, Port: 8789}, &net.TCPAddr{IP: net.IPv6unspecified, Port: 8789},
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8789}, &net.TCPAddr{Port: 8789},
		&net.UnixAddr{Name: "sim", Net: "unix"},
	} {
		l := &listener{addr: addr}
		err := sim.Serve(t.Context(), l)
		if err == nil || !strings.Contains(err.Error(), "loopback only") || !l.closed {
			t.Errorf("%v: %v, closed %v", addr, err, l.closed)
		}
	}
}

func TestServeReportsAListenerThatBreaks(t *testing.T) {
	t.Parallel()
	sim, err := entrasim.New(entrasim.Demo(entrasim.DemoClientID, secret, redirectURI))
	if err != nil {
		t.Fatal(err)
	}
	err = sim.Serve(t.Context(), &listener{addr: &net.TCPAddr{IP: net.IPv6loopback}})
	if err == nil || !strings.Contains(err.Error(), "serve the simulated sign-in: broken") {
		t.Errorf("got %v", err)
	}
}

// listener accepts nobody.
type listener struct {
	addr   net.Addr
	closed bool
}

func (l *listener) Accept() (net.Conn, error) { return nil, errors.New("broken") }
func (l *listener) Close() error              { l.closed = true; return nil }
func (l *listener) Addr() net.Addr            { return l.addr }

func TestTheHandlerRefusesStrangers(t *testing.T) {
	t.Parallel()
	sim, err := entrasim.New(entrasim.Demo(entrasim.DemoClientID, secret, redirectURI))
	if err != nil {
		t.Fatal(err)
	}
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8789}
	tests := map[string]struct {
		local net.Addr
		host  string
		want  int
	}{
		"loopback":                              {loopback, "localhost:8789", http.StatusOK},
		"loopback by address":                   {loopback, "127.0.0.1:8789", http.StatusOK},
		"loopback by IPv6 address":              {&net.TCPAddr{IP: net.IPv6loopback}, "[::1]:8789", http.StatusOK},
		"a connection from the network":         {&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, "localhost:8789", http.StatusForbidden},
		"a name that was rebound to loopback":   {loopback, "evil.example:8789", http.StatusForbidden},
		"a name that only starts like loopback": {loopback, "localhost.evil.example", http.StatusForbidden},
		"no name":                               {loopback, "", http.StatusForbidden},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, test.local)
			req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/common"+discoveryPath, nil)
			req.Host = test.host
			rec := httptest.NewRecorder()
			sim.Handler().ServeHTTP(rec, req)
			if rec.Code != test.want {
				t.Errorf("status %d, want %d", rec.Code, test.want)
			}
			if refused := strings.Contains(rec.Body.String(), "loopback only"); refused != (test.want == http.StatusForbidden) {
				t.Errorf("body %q", rec.Body)
			}
		})
	}
}

func TestOverTLSTheAuthorityIsHTTPS(t *testing.T) {
	t.Parallel()
	sim, err := entrasim.New(entrasim.Demo(entrasim.DemoClientID, secret, redirectURI))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(sim.Handler())
	t.Cleanup(srv.Close)
	w := &world{t: t, sim: sim, url: srv.URL, client: srv.Client()}
	if got := decode[metadata](t, w.get("/common"+discoveryPath).body); got.Issuer != srv.URL+"/{tenantid}/v2.0" {
		t.Errorf("issuer %q", got.Issuer)
	}
}

func TestNewReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	o := entrasim.Demo("not-a-guid", secret, "http://gateway.example/callback")
	o.Apps[0].TenantID = "nowhere"
	o.Apps[0].Secrets = nil
	o.Apps[0].RedirectURIs = append(o.Apps[0].RedirectURIs,
		"https://gateway.example/#x", "/callback", "https://gateway.example/"+strings.Repeat("x", 256), "custom:callback")
	o.Tenants = append(o.Tenants, o.Tenants[0], entrasim.Tenant{ID: "33333333-3333-4333-8333-33333333333A"})
	o.Users = append(o.Users,
		o.Users[0], entrasim.User{Username: entrasim.Cancel, TenantID: "nowhere", ObjectID: "x"})
	_, err := entrasim.New(o)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`client id "not-a-guid"`, `app "not-a-guid" is in an unknown tenant`, "has no secret", "gateway.example/callback", "/#x",
		`redirect URI "/callback"`, "xxx", "custom:callback", `tenant "` + entrasim.DemoTenant + `" stands twice`, "33333333333A",
		`user name "` + entrasim.Ada + `" is taken`, `user name "cancel" is taken`, "in an unknown tenant", "no GUID for an object id",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %q in: %v", want, err)
		}
	}
}

func TestNewRefusesABaseURLWithAPath(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"http://localhost:8789/", "localhost:8789", "http://[", "/"} {
		o := entrasim.Demo(entrasim.DemoClientID, secret, redirectURI)
		o.BaseURL = base
		if _, err := entrasim.New(o); err == nil || !strings.Contains(err.Error(), "base URL") {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestViolationsAreBoundedAndCopied(t *testing.T) {
	t.Parallel()
	sim, err := entrasim.New(entrasim.Demo(entrasim.DemoClientID, secret, redirectURI))
	if err != nil {
		t.Fatal(err)
	}
	handler := sim.Handler()
	for range 1100 {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/nowhere", nil)
		req.Host = "localhost"
		handler.ServeHTTP(httptest.NewRecorder(), req)
	}
	got := sim.Violations()
	if len(got) != 1000 {
		t.Fatalf("%d violations, want 1000", len(got))
	}
	got[0] = "changed"
	if slices.Contains(sim.Violations(), "changed") {
		t.Error("the caller changed the list")
	}
}

func TestNoSecretReachesTheLogOrTheViolations(t *testing.T) {
	t.Parallel()
	var logged strings.Builder
	w := newWorld(t, func(o *entrasim.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
	for _, set := range []map[string]string{
		{"redirect_uri": "http://localhost:8788/x"}, {"grant_type": "x"}, {"resource": "x"}, {"scope": "x"}, {"extra": code}, nil, nil,
	} {
		w.exchange(entrasim.DemoTenant, code, set)
	}
	all := logged.String() + strings.Join(w.sim.Violations(), "\n")
	if !strings.Contains(all, "used twice") {
		t.Fatalf("nothing was logged: %s", all)
	}
	for name, value := range map[string]string{"code": code, "secret": secret, "verifier": verifier} {
		if strings.Contains(all, value) {
			t.Errorf("the %s is in the log", name)
		}
	}
}

func TestDemonstrationUsersSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *entrasim.Options) { o.Now = time.Now })
	for _, user := range []string{entrasim.Ada, entrasim.Max, entrasim.Nora, entrasim.Olga, entrasim.Gus} {
		if got := payload(t, w.login(user, nil).IDToken); got["preferred_username"] != user || got["tid"] != entrasim.DemoTenant {
			t.Errorf("%s: %v", user, got)
		}
	}
	w.wantViolations(0, "")
}
