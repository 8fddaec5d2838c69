//go:build unix

package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	driver "modernc.org/sqlite"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// deathEnv says when a gateway process kills itself, as kill -9 would: nothing
// is flushed, closed or answered. A parent that watches could not hit the
// moment between a commit and the reply.
const deathEnv = "MCP_GATEWAY_TEST_DEATH"

// The moments.
const (
	// beforeCommit: SQLite has been told to commit and has not yet;
	// beforeSecond: one commit after that.
	beforeCommit = "commit 1"
	beforeSecond = "commit 2"
	// afterCommit: the store has answered, and nobody else has heard of it.
	// It is the line that package grant logs between the two.
	afterCommit = "token issued"
)

// death is a log handler that ends its process at one moment after it is
// ready.
type death struct {
	slog.Handler
	at    string
	ready *atomic.Bool
}

func newDeath(at string) death {
	d := death{Handler: slog.DiscardHandler, at: at, ready: new(atomic.Bool)}
	var commits atomic.Int64
	driver.RegisterConnectionHook(func(conn driver.ExecQuerierContext, _ string) error {
		conn.(driver.HookRegisterer).RegisterCommitHook(func() int32 {
			if d.ready.Load() && at == fmt.Sprint("commit ", commits.Add(1)) {
				die()
			}
			return 0
		})
		return nil
	})
	return d
}

func (d death) Enabled(context.Context, slog.Level) bool { return true }

func (d death) Handle(_ context.Context, r slog.Record) error {
	if r.Message == d.at {
		die()
	}
	return nil
}

func (d death) WithAttrs([]slog.Attr) slog.Handler { return d }

func (d death) WithGroup(string) slog.Handler { return d }

// die does not return.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// dieAnswering has a gateway process that dies at a moment receive a token
// request, and waits for its end.
func (g *gateway) dieAnswering(listenAddr, at string, form url.Values) {
	g.t.Helper()
	cmd := g.child(listenAddr, deathEnv+"="+at)
	resp, err := http.PostForm(g.url+"/token", form)
	if err == nil {
		_ = resp.Body.Close()
		g.t.Errorf("a gateway that died at %q has answered %d", at, resp.StatusCode)
		_ = cmd.Process.Kill()
	}
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		g.t.Fatalf("the gateway process ended otherwise: %v", err)
	}
}

// hosted is a gateway whose process may be killed, with a family that nothing
// happens to.
type hosted struct {
	*gateway
	listenAddr  string
	otherClient string
	other       tokenAnswer
}

// handOver stops the gateway of the test itself: its processes take over.
func (g *gateway) handOver() hosted {
	g.t.Helper()
	h := hosted{gateway: g, listenAddr: "127.0.0.1:" + g.url[strings.LastIndex(g.url, ":")+1:]}
	h.otherClient, h.other = g.grant("Ada")
	if err := g.stop(); err != nil {
		g.t.Fatal(err)
	}
	return h
}

func (h *hosted) end(cmd *exec.Cmd) {
	h.t.Helper()
	h.works("the person's other client", h.otherClient, h.other)
	if err := cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	_ = cmd.Wait()
}

// TestKilledDuringARefresh: the token that was sent is good for the one
// successor, whether the first one to be asked had committed it or not.
func TestKilledDuringARefresh(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, at string
		// generations are stored when the process is dead.
		generations string
	}{
		{name: "before the commit", at: beforeCommit, generations: "1"},
		{name: "between commit and reply", at: afterCommit, generations: "2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, "")
			clientID, first := g.grant("Ada")
			h := g.handOver()
			grantID := g.one(`SELECT grant_id FROM refresh_tokens WHERE lower(hex(hash)) = ?`, hexHash(first.RefreshToken))
			successor := func() string {
				return g.one(`SELECT coalesce(group_concat(lower(hex(hash))), '') FROM refresh_tokens WHERE generation = 1 AND grant_id = ?`, grantID)
			}
			h.dieAnswering(h.listenAddr, tt.at, url.Values{
				"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {first.RefreshToken},
			})
			if n := g.one(`SELECT count(*) FROM refresh_tokens WHERE grant_id = ?`, grantID); n != tt.generations {
				t.Fatalf("the dead process left %s generations, want %s", n, tt.generations)
			}
			committed := successor()
			cmd := h.child(h.listenAddr)
			second, again := g.refresh(clientID, first.RefreshToken), g.refresh(clientID, first.RefreshToken)
			if second.status != http.StatusOK || again.status != http.StatusOK || again.RefreshToken != second.RefreshToken {
				t.Fatalf("after the restart: %d %s, then %d %s", second.status, second.Error, again.status, again.Error)
			}
			if want := hexHash(second.RefreshToken); successor() != want || committed != "" && committed != want {
				t.Errorf("the successor is %.8s, the dead process had committed %.8s, stored is %.8s", want, committed, successor())
			}
			for _, bearer := range []string{first.AccessToken, second.AccessToken, again.AccessToken} {
				g.serves("a bearer", bearer)
			}
			g.works("the new generation", clientID, second)
			h.end(cmd)
		})
	}
}

// TestKilledDuringACodeExchange: a code whose answer is lost is spent, and its
// tokens are nobody's; one that was not spent still works.
func TestKilledDuringACodeExchange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, at string
		status   int
		code     string
	}{
		{name: "before the commit", at: beforeCommit, status: http.StatusOK},
		{name: "between commit and reply", at: afterCommit, status: http.StatusBadRequest, code: oauth.CodeInvalidGrant},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, "")
			a := newAuthorization(g.registration())
			b := newBrowser(t)
			code := g.signIn(b, a, "Ada").Get("code")
			h := g.handOver()
			h.dieAnswering(h.listenAddr, tt.at, url.Values{
				"grant_type": {"authorization_code"}, "client_id": {a.clientID}, "code": {code},
				"redirect_uri": {clientRedirect}, "code_verifier": {a.verifier},
			})
			cmd := h.child(h.listenAddr)
			got := g.redeem(a, code, nil)
			if got.status != tt.status || got.Error != tt.code {
				t.Fatalf("the code after the restart: %d %s (%s)", got.status, got.Error, got.ErrorDescription)
			}
			if got.status != http.StatusOK {
				// The person signs in again; the registration is as good as before.
				got = g.redeem(a, g.signIn(b, a, "Ada").Get("code"), nil)
			}
			g.works("in the end", a.clientID, got)
			h.end(cmd)
		})
	}
}

// TestKilledBeforeATheftIsWrittenDown: the family is over, and the trail says
// why as soon as somebody asks.
func TestKilledBeforeATheftIsWrittenDown(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, first := g.grant("Ada")
	second := g.refresh(clientID, first.RefreshToken)
	g.serves("the successor", second.AccessToken)
	breakTrail(t, filepath.Join(g.dir, "gateway.db"), `UPDATE refresh_tokens SET first_used_at = first_used_at - 61000000`)
	h := g.handOver()
	h.dieAnswering(h.listenAddr, beforeSecond, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {first.RefreshToken},
	})
	cmd := h.child(h.listenAddr)
	g.over(clientID, first, second)
	h.end(cmd)
	if kinds := g.kinds(); strings.Contains(kinds, "replay_of_refresh_token") || !strings.Contains(kinds, "|grant denied "+store.ReasonRefreshReplay) {
		t.Errorf("the trail tells %s", kinds)
	}
}
