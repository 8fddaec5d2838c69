//go:build unix

package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/config"
)

// gatewayEnv makes the test binary a gateway: a process of its own, to kill.
const gatewayEnv = "MCP_GATEWAY_TEST_GATEWAY"

func TestMain(m *testing.M) {
	if file := os.Getenv(gatewayEnv); file != "" {
		os.Exit(serveUntilKilled(file))
	}
	if file := os.Getenv(idleEnv); file != "" {
		if err := serveIdle(file); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveUntilKilled says "ready" on stdout when it answers.
func serveUntilKilled(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cfg, err := config.Load(config.Source{File: file, Data: data, Env: os.LookupEnv, ReadFile: os.ReadFile, InsecureDevelopment: true})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	death := newDeath(os.Getenv(deathEnv))
	err = app.Run(context.Background(), app.Options{
		Config: cfg, Logger: slog.New(death), Ready: func(net.Addr) { death.ready.Store(true); fmt.Println("ready") },
	})
	fmt.Println(err)
	return 1
}

// child starts a gateway process over the same state as g, whose own gateway
// must have stopped.
func (g *gateway) child(listenAddr string, env ...string) *exec.Cmd {
	g.t.Helper()
	file := g.dir + "/child.yaml"
	text := fmt.Sprintf("public_url: %s\nlisten: %s\nstate_dir: %q\n%s", g.url, listenAddr, g.dir, demoRules)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(g.t.Context()), os.Args[0])
	cfg := g.config("")
	cmd.Env = append(os.Environ(), gatewayEnv+"="+file,
		"MICROSOFT_CLIENT_ID="+cfg.Microsoft.ClientID, "MICROSOFT_CLIENT_SECRET="+demoSecret,
		"MICROSOFT_TENANT_ID="+cfg.Microsoft.TenantID, "MICROSOFT_AUTHORITY_HOST="+g.authority, "MICROSOFT_GRAPH_URL="+g.authority)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		g.t.Fatalf("the gateway process says %q, %v", line, err)
	}
	return cmd
}

// loseAnswer sends a token request and kills the gateway after it committed:
// when the first byte of its answer arrives. The answer is thrown away.
func (g *gateway) loseAnswer(cmd *exec.Cmd, form url.Values) {
	g.t.Helper()
	u, err := url.Parse(g.url)
	if err != nil {
		g.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+u.Port())
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	body := form.Encode()
	if _, err := fmt.Fprintf(conn, "POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		u.Host, len(body), body); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		g.t.Fatal(err)
	}
	_ = cmd.Wait()
}

// TestKilledBetweenCommitAndReply: whatever a client was waiting for when the
// gateway was killed, it can ask again.
func TestKilledBetweenCommitAndReply(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, first := g.grant("Ada")
	a := newAuthorization(clientID)
	code := g.signIn(newBrowser(t), a, "Ada").Get("code")
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	listenAddr := "127.0.0.1:" + g.url[strings.LastIndex(g.url, ":")+1:]

	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {first.RefreshToken}}
	g.loseAnswer(g.child(listenAddr), form)
	cmd := g.child(listenAddr)
	second := g.refresh(clientID, first.RefreshToken)
	third := g.refresh(clientID, first.RefreshToken)
	if second.status != http.StatusOK || third.RefreshToken != second.RefreshToken {
		t.Fatalf("after the kill: %d %s, then %d", second.status, second.Error, third.status)
	}
	if resp, body := g.callModern(second.AccessToken, "math_add", `{"a":23,"b":19}`); !strings.Contains(body, "42") {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}

	// A code whose answer is lost is spent: the client starts again, and the
	// registration that it has is as good as before.
	g.loseAnswer(cmd, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {clientID}, "code": {code},
		"redirect_uri": {clientRedirect}, "code_verifier": {a.verifier},
	})
	g.child(listenAddr)
	if got := g.redeem(a, code, nil); got.status != http.StatusBadRequest {
		t.Errorf("the code was redeemed twice: %d", got.status)
	}
	if got := g.refresh(clientID, second.RefreshToken); got.status != http.StatusOK {
		t.Errorf("the other grant was touched: %d %s", got.status, got.Error)
	}
	again := newAuthorization(clientID)
	if got := g.redeem(again, g.signIn(newBrowser(t), again, "Ada").Get("code"), nil); got.status != http.StatusOK {
		t.Errorf("signing in again: %d %s", got.status, got.Error)
	}
}
