package app_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/oauth"
)

// do has the gateway, or without one its database, do something.
func (g *gateway) do(req admin.Request) (admin.Answer, error) {
	return app.Administer(g.t.Context(), g.dir, "uid 7", slog.New(slog.DiscardHandler), req)
}

func (g *gateway) must(req admin.Request) admin.Answer {
	g.t.Helper()
	answer, err := g.do(req)
	if err != nil {
		g.t.Fatalf("%s: %v", req.Command, err)
	}
	return answer
}

// bearer is what a token is answered.
func (g *gateway) bearer(tokens tokenAnswer) int {
	g.t.Helper()
	resp, _ := g.callModern(tokens.AccessToken, "whoami", "{}")
	return resp.StatusCode
}

// refusedAtOnce checks that the first call after the answer is refused: the token was
// in the cache, which would believe it for seconds.
func (g *gateway) refusedAtOnce(tokens tokenAnswer, since time.Time) {
	g.t.Helper()
	got := g.bearer(tokens)
	g.t.Logf("refused %v after the command began", time.Since(since))
	if got != http.StatusUnauthorized {
		g.t.Errorf("the first call after the answer gets %d", got)
	}
}

func TestAdminEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		req  func(clientID, grantID string) admin.Request
	}{
		{"a grant", func(_, grantID string) admin.Request {
			return admin.Request{Command: admin.GrantsRevoke, Grants: []string{grantID}}
		}},
		{"a user", func(string, string) admin.Request {
			return admin.Request{Command: admin.UsersRevoke, User: "ada@contoso.example"}
		}},
		{"a client", func(clientID, _ string) admin.Request {
			return admin.Request{Command: admin.ClientsRevoke, Client: clientID}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, "")
			clientID, ada := g.grant("Ada")
			otherID, grace := g.grant("Member")
			if got := g.bearer(ada); got != http.StatusOK { // and is in the cache now
				t.Fatalf("status %d", got)
			}
			users := g.must(admin.Request{Command: admin.UsersList}).Users
			if len(users) != 2 {
				t.Fatalf("%d users, want 2", len(users))
			}
			grants := g.must(admin.Request{Command: admin.GrantsList, Client: clientID}).Grants
			if len(grants) != 1 {
				t.Fatalf("%d grants, want 1", len(grants))
			}
			req := tt.req(clientID, grants[0].ID)
			if req.User != "" {
				req.User = grants[0].Username
			}
			since := time.Now()
			if revoked := g.must(req).Revoked; len(revoked) != 1 || revoked[0] != grants[0].ID {
				t.Errorf("revoked %q, want %q", revoked, grants[0].ID)
			}
			g.refusedAtOnce(ada, since)
			g.over(clientID, ada)
			g.works("somebody else", otherID, grace)
		})
	}
}

// waiting signs somebody in up to the code, which is not redeemed.
func (g *gateway) waiting(clientID string) (a authorization, code string) {
	g.t.Helper()
	a = newAuthorization(clientID)
	return a, g.signIn(newBrowser(g.t), a, "Ada").Get("code")
}

// denied signs somebody in who must be refused, and returns the page.
func (g *gateway) denied(clientID string) document {
	g.t.Helper()
	ctx, b := g.t.Context(), newBrowser(g.t)
	consent, _ := b.open(ctx, g.authorizeURL(newAuthorization(clientID), nil))
	microsoft, _ := b.press(ctx, consent, "allow")
	page, back := b.press(ctx, microsoft, "Ada")
	if back != nil {
		g.t.Fatalf("the client was answered at once: %s", back.Path)
	}
	return page
}

func TestDisabledIsKeptOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		disable, enable string
		refusal         string
	}{
		{"a user", admin.UsersDisable, admin.UsersEnable, oauth.CodeInvalidGrant},
		{"a client", admin.ClientsDisable, admin.ClientsEnable, oauth.CodeUnauthorizedClient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, "")
			clientID, tokens := g.grant("Ada")
			a, code := g.waiting(clientID)
			if got := g.bearer(tokens); got != http.StatusOK {
				t.Fatalf("status %d", got)
			}
			who := g.must(admin.Request{Command: admin.UsersList}).Users[0].Username
			since := time.Now()
			if answer := g.must(admin.Request{Command: tt.disable, User: who, Client: clientID}); len(answer.Revoked) != 1 || !*answer.Changed {
				t.Errorf("disable: %+v", answer)
			}
			g.refusedAtOnce(tokens, since)
			for what, got := range map[string]tokenAnswer{"the refresh token": g.refresh(clientID, tokens.RefreshToken), "the code that waited": g.redeem(a, code, nil)} {
				if got.status != http.StatusBadRequest || got.AccessToken != "" || got.Error != tt.refusal {
					t.Errorf("%s: %d %q, want %q", what, got.status, got.Error, tt.refusal)
				}
			}
			if tt.disable == admin.UsersDisable {
				page := g.denied(clientID)
				if page.status != http.StatusForbidden || !strings.Contains(page.body, "An administrator has disabled") || !strings.Contains(page.body, "error=access_denied") {
					t.Errorf("status %d, page:\n%s", page.status, page.body)
				}
			}
			g.must(admin.Request{Command: tt.enable, User: who, Client: clientID})
			g.over(clientID, tokens)
			if got := g.redeem(a, code, nil); got.status != http.StatusBadRequest {
				t.Errorf("enabled, the code that waited: %d", got.status)
			}
			again, fresh := g.waiting(clientID)
			if got := g.redeem(again, fresh, nil); got.status != http.StatusOK || g.bearer(got) != http.StatusOK {
				t.Errorf("enabled, a new sign-in: %d %s", got.status, got.Error)
			}
			for _, secret := range []string{tokens.AccessToken, tokens.RefreshToken, code, clientID} {
				if strings.Contains(g.logs.String(), secret) {
					t.Errorf("%.6s... is in the log", secret)
				}
			}
		})
	}
}

// TestDisabledDuringTheSignIn: between consent and the callback.
func TestDisabledDuringTheSignIn(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	ctx, b := t.Context(), newBrowser(t)
	clientID := g.registration()
	consent, _ := b.open(ctx, g.authorizeURL(newAuthorization(clientID), nil))
	microsoft, _ := b.press(ctx, consent, "allow")
	g.must(admin.Request{Command: admin.ClientsDisable, Client: clientID})
	page, back := b.press(ctx, microsoft, "Ada")
	if back != nil || page.status != http.StatusForbidden || !strings.Contains(page.body, "error=access_denied") {
		t.Errorf("status %d, redirected to %v", page.status, back)
	}
	if kinds := g.kinds(); !strings.HasSuffix(kinds, "admin ok clients_disable|login denied disabled") {
		t.Errorf("the trail tells %s", kinds)
	}
}

func TestAdministeredWithoutAServer(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, tokens := g.grant("Ada")
	_, others := g.grant("Ada")
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(g.dir, admin.SocketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket outlived the gateway: %v", err)
	}
	answer := g.must(admin.Request{Command: admin.ClientsRevoke, Client: clientID})
	if len(answer.Revoked) != 1 {
		t.Errorf("revoked %q", answer.Revoked)
	}
	// The same address: a gateway by another one would not know the tokens.
	l, err := net.Listen("tcp", strings.TrimPrefix(g.url, "http://localhost"))
	if err != nil {
		t.Fatal(err)
	}
	g.serve(l, "")
	if got := g.bearer(tokens); got != http.StatusUnauthorized {
		t.Errorf("after a restart the token gets %d", got)
	}
	if got := g.bearer(others); got != http.StatusOK {
		t.Errorf("after a restart the other client's token gets %d", got)
	}
	if kinds := g.kinds(); !strings.HasSuffix(kinds, "admin ok clients_revoke|admin ok revoked_by_administrator|call ok administrators") {
		t.Errorf("the trail tells %s", kinds)
	}
}

func TestAdministeringIsRefused(t *testing.T) {
	t.Parallel()
	list := admin.Request{Command: admin.UsersList}
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		says    string
	}{
		{"where there is no database", func(*testing.T, string) {}, "there is no database"},
		{"where somebody has the database open and does not answer", func(t *testing.T, dir string) {
			db, err := sqlite.Open(t.Context(), filepath.Join(dir, "gateway.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
		}, "does not answer on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.prepare(t, dir)
			answer, err := app.Administer(t.Context(), dir, "uid 7", slog.New(slog.DiscardHandler), list)
			if err == nil || !strings.Contains(err.Error(), tt.says) || answer.Users != nil {
				t.Errorf("answer %+v, error is %v, want one about %q", answer, err, tt.says)
			}
			if entries, _ := filepath.Glob(filepath.Join(dir, "*")); tt.says == "there is no database" && entries != nil {
				t.Errorf("it made %q", entries)
			}
		})
	}
	t.Run("for a caller who has gone", func(t *testing.T) {
		t.Parallel()
		g := start(t, "")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := app.Administer(ctx, g.dir, "uid 7", slog.New(slog.DiscardHandler), list); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want %v", err, context.Canceled)
		}
	})
}

// TestAGatewayWithoutASocketServes: its log says what is missing.
func TestAGatewayWithoutASocketServes(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(g.dir, admin.SocketName), 0o700); err != nil {
		t.Fatal(err)
	}
	// The same address: a gateway by another one would not know the tokens.
	l, err := net.Listen("tcp", strings.TrimPrefix(g.url, "http://localhost"))
	if err != nil {
		t.Fatal(err)
	}
	g.serve(l, "")
	if _, tokens := g.grant("Ada"); g.bearer(tokens) != http.StatusOK {
		t.Error("it does not serve")
	}
	if !strings.Contains(g.logs.String(), "cannot be administered while it runs") {
		t.Error("the log does not tell")
	}
}

// TestDisabledWhileThePageIsOpen: before anything is decided.
func TestDisabledWhileThePageIsOpen(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, decision := range []string{"allow", "deny"} {
		ctx, b, clientID := t.Context(), newBrowser(t), g.registration()
		consent, _ := b.open(ctx, g.authorizeURL(newAuthorization(clientID), nil))
		g.must(admin.Request{Command: admin.ClientsDisable, Client: clientID})
		page, back := b.press(ctx, consent, decision)
		if back != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "may not use this gateway") {
			t.Errorf("%s: status %d, answered %v:\n%s", decision, page.status, back, page.body)
		}
	}
}
