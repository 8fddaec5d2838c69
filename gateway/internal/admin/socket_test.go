package admin_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcp-gateway/gateway/internal/admin"
)

func (r *rig) socket() string { return filepath.Join(r.dir, admin.SocketName) }

// onlyOwn fails unless the folder holds the socket, if there is one, and nothing
// else that Listen made.
func (r *rig) onlyOwn(socket bool) {
	r.t.Helper()
	_, err := os.Lstat(r.socket())
	if socket != (err == nil) {
		r.t.Errorf("the socket: %v, want it there: %v", err, socket)
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, ".a*")); left != nil {
		r.t.Errorf("left behind: %q", left)
	}
}

// TestOverTheSocket: what the socket answers is what the operations answer.
func TestOverTheSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sign("g1", ada, "ada", cursor)
	r.sign("g2", grace, "grace", other)
	r.serve()
	remote, here := admin.NewRemote(r.dir), r.ops.As("uid 7")
	for _, req := range []admin.Request{
		{Command: admin.UsersList}, {Command: admin.ClientsList}, {Command: admin.GrantsList}, {Command: admin.GrantsList, User: ada, Client: other},
		{Command: admin.GrantsList, User: ada, All: true}, {Command: admin.GrantsShow, Grants: []string{"g1"}},
		{Command: admin.UsersShow, User: "ada@example.com"}, {Command: admin.ClientsShow, Client: cursor},
		{Command: admin.UsersShow, User: "nobody"}, {Command: "users burn"}, {Command: admin.GrantsRevoke, Grants: []string{"g1", "x"}},
	} {
		want, wantErr := here.Do(t.Context(), req)
		got, err := remote.Do(t.Context(), req)
		if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("%+v (-here +by the socket):\n%s", req, diff)
		}
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%+v: error is %v by the socket, %v here", req, err, wantErr)
		}
		if told, ok := errors.AsType[*admin.Error](wantErr); ok {
			wants(t, req.Command, err, told.Code, told.Message)
		}
	}
	if _, err := remote.Do(t.Context(), admin.Request{Command: admin.UsersRevoke, User: ada}); err != nil {
		t.Fatal(err)
	}
	by := "by uid unknown"
	if runtime.GOOS == "linux" {
		by = "by uid " + strconv.Itoa(os.Getuid())
	}
	rows := r.trail()
	if len(rows) != 2 || !strings.HasSuffix(rows[0], by) || !strings.HasSuffix(rows[1], by) {
		t.Errorf("the trail is %q, want two rows %s", rows, by)
	}
}

func TestTheSocketIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("rights of files are access lists there")
	}
	r := newRig(t)
	if err := os.Chmod(r.dir, 0o777); err != nil { // the worst that an operator may have done
		t.Fatal(err)
	}
	stop := r.serve()
	info, err := os.Lstat(r.socket())
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	r.onlyOwn(true)
	if err := stop(); err != nil {
		t.Error(err)
	}
	r.onlyOwn(false)
}

func TestAStaleSocketIsReplacedAndALiveOneNever(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// What a killed process leaves.
	dead, err := new(net.ListenConfig).Listen(t.Context(), "unix", r.socket())
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.NewRemote(r.dir).Do(t.Context(), admin.Request{Command: admin.UsersList}); !errors.Is(err, admin.ErrNoServer) {
		t.Errorf("on a stale socket: error is %v, want %v", err, admin.ErrNoServer)
	}
	stop := r.serve()
	if _, err := admin.NewRemote(r.dir).Do(t.Context(), admin.Request{Command: admin.UsersList}); err != nil {
		t.Errorf("after it was replaced: %v", err)
	}
	if l, err := admin.Listen(t.Context(), r.dir); err == nil || !strings.Contains(err.Error(), "another process answers there") {
		t.Errorf("a second server: %v, %v, want a refusal", l, err)
	}
	if _, err := admin.NewRemote(r.dir).Do(t.Context(), admin.Request{Command: admin.UsersList}); err != nil {
		t.Errorf("the first server, after a second was refused: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	r.onlyOwn(false)
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		prepare func(r *rig) (dir string)
		says    string
	}{
		{"a file in the place of the socket", func(r *rig) string { return r.dir + fileAt(r, r.socket()) }, "no socket"},
		{"a folder in its place", func(r *rig) string {
			if err := os.Mkdir(r.socket(), 0o700); err != nil {
				r.t.Fatal(err)
			}
			return r.dir
		}, "no socket"},
		{"no folder", func(r *rig) string { return filepath.Join(r.dir, "none") }, "none"},
		{"a path that is too long", func(r *rig) string {
			dir := filepath.Join(r.dir, strings.Repeat("x", 100))
			if err := os.Mkdir(dir, 0o700); err != nil {
				r.t.Fatal(err)
			}
			return dir
		}, "too long"},
	} {
		r := newRig(t)
		l, err := admin.Listen(t.Context(), tt.prepare(r))
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, error is %v, want one about %q", tt.name, l, err, tt.says)
		}
		if left, _ := filepath.Glob(filepath.Join(r.dir, "*", ".a*")); left != nil {
			t.Errorf("%s: left behind %q", tt.name, left)
		}
	}
}

// fileAt makes a file and returns nothing to append.
func fileAt(r *rig, path string) string {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return ""
}

// A server that stops leaves alone what took the place of its socket.
func TestTheSocketOfAnotherStays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.serve()
	if err := os.Remove(r.socket()); err != nil {
		t.Fatal(err)
	}
	fileAt(r, r.socket())
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(r.socket()); err != nil {
		t.Error(err)
	}
}

// raw posts a body as it is.
func (r *rig) raw(method, path, body string) (int, string) {
	r.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.socket())
	}}}
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://admin"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sign("g1", ada, "ada", cursor)
	r.serve()
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"nothing", http.MethodPost, "/v1/do", "", 400, `"invalid"`},
		{"no JSON", http.MethodPost, "/v1/do", "users list", 400, `"invalid"`},
		{"a filter of a later version", http.MethodPost, "/v1/do", `{"command":"grants list","scope":"mcp"}`, 400, "another version"},
		{"two requests", http.MethodPost, "/v1/do", `{"command":"users list"}{"command":"users list"}`, 400, "more behind it"},
		{"an endless request", http.MethodPost, "/v1/do", `{"command":"users show","user":"` + strings.Repeat("x", 2<<20) + `"}`, 400, `"invalid"`},
		{"a list for a text", http.MethodPost, "/v1/do", `{"command":["users list"]}`, 400, `"invalid"`},
		{"no command", http.MethodPost, "/v1/do", `{}`, 400, `"invalid"`},
		{"an unknown user", http.MethodPost, "/v1/do", `{"command":"users show","user":"x"}`, 404, `"unknown"`},
		{"to get", http.MethodGet, "/v1/do", "", 405, ""},
		{"another path", http.MethodPost, "/", `{"command":"users list"}`, 404, ""},
	} {
		if status, body := r.raw(tt.method, tt.path, tt.body); status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %d %s, want %d about %s", tt.name, status, body, tt.status, tt.says)
		}
	}
	if rows := r.trail(); rows != nil {
		t.Errorf("the trail has %q", rows)
	}
}

func TestTheRemoteRefuses(t *testing.T) {
	t.Parallel()
	list := admin.Request{Command: admin.UsersList}
	t.Run("no socket", func(t *testing.T) {
		t.Parallel()
		if _, err := admin.NewRemote(t.TempDir()).Do(t.Context(), list); !errors.Is(err, admin.ErrNoServer) {
			t.Errorf("error is %v, want %v", err, admin.ErrNoServer)
		}
	})
	t.Run("somebody else's server", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		l, err := admin.Listen(t.Context(), r.dir)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.NotFoundHandler()}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(l) }()
		_, err = admin.NewRemote(r.dir).Do(t.Context(), list)
		if err == nil || errors.Is(err, admin.ErrNoServer) || !strings.Contains(err.Error(), "another version") {
			t.Errorf("error is %v, want one about the version", err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	t.Run("nobody waits for ever", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.serve()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := admin.NewRemote(r.dir).Do(ctx, list); !errors.Is(err, context.Canceled) || errors.Is(err, admin.ErrNoServer) {
			t.Errorf("error is %v, want %v", err, context.Canceled)
		}
	})
}
