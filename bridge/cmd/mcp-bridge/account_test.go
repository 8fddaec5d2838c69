package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mcp-gateway/bridge/internal/lab"
)

// newHome gives the process a home of its own. The tests that have one do not run
// beside others.
func newHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	return home
}

func TestFromSignInToSignOut(t *testing.T) {
	home := newHome(t)
	server := lab.NewAuthServer(t)
	open := lab.Browser(t)
	run := func(args ...string) result { return runWith(t, open, nil, append(args, "--token-store", "file")...) }

	if got := run("status", server.Server()); got.code != exitFailure || !strings.Contains(got.stdout, "not signed in; run: mcp-bridge login") {
		t.Errorf("status before: %+v", got)
	}
	if got := run("status"); got.code != exitOK || !strings.Contains(got.stdout, "No sign-in is known.") || !strings.Contains(got.stdout, "not protected by the operating system") {
		t.Errorf("status of nothing: %+v", got)
	}
	got := run("login", server.Server())
	if got.code != exitOK || !strings.Contains(got.stdout, "Signed in to "+server.Server()) || !strings.Contains(got.stderr, server.URL+"/authorize?") {
		t.Fatalf("login: %+v", got)
	}
	if got := run("login", server.Server(), "--account", "work"); got.code != exitOK || !strings.Contains(got.stdout, "work") {
		t.Errorf("login of another account: %+v", got)
	}
	if got := run("status", server.Server()); got.code != exitOK || !strings.Contains(got.stdout, "signed in, renewed by itself") {
		t.Errorf("status: %+v", got)
	}
	var all report
	if got := run("status", "--json"); got.code != exitOK || json.Unmarshal([]byte(got.stdout), &all) != nil || len(all.SignIns) != 2 ||
		all.TokenStore.Kind != "file" || all.TokenStore.Problem != "" || !all.SignIns[0].SignedIn || all.SignIns[1].Account != "work" {
		t.Errorf("status of all: %+v", got)
	}

	if got := run("status", "--account", "work"); got.code != exitOK || strings.Count(got.stdout, server.Server()) != 1 || !strings.Contains(got.stdout, "work") {
		t.Errorf("status of an account: %+v", got)
	}

	if got := run("logout", server.Server()); got.code != exitOK || !strings.Contains(got.stdout, "here and at the server") || server.Counts().Revocations == 0 {
		t.Errorf("logout: %+v, %+v", got, server.Counts())
	}
	if got := run("status", server.Server()); got.code != exitFailure {
		t.Errorf("status after: %+v", got)
	}
	before := server.Counts().Registrations
	if got := run("login", server.Server()); got.code != exitOK || server.Counts().Registrations != before {
		t.Errorf("login after logout registers anew: %+v, %+v", got, server.Counts())
	}
	if got := run("logout", server.Server(), "--forget-client"); got.code != exitOK {
		t.Errorf("logout --forget-client: %+v", got)
	}
	if got := run("login", server.Server()); got.code != exitOK || server.Counts().Registrations != before+1 {
		t.Errorf("login after --forget-client does not register anew: %+v, %+v", got, server.Counts())
	}
	if got := run("logout", server.Server()+"/other"); got.code != exitOK || !strings.Contains(got.stdout, "nothing to end") {
		t.Errorf("logout of nothing: %+v", got)
	}
	noPlainText(t, home)
}

// noPlainText fails if a secret of the lab stands in a file.
func noPlainText(t *testing.T, home string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(home, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		files++
		data, err := os.ReadFile(name)
		for _, word := range []string{"access_token", "refresh_token", "client_id"} {
			if strings.Contains(string(data), word) {
				t.Errorf("%s holds %s in plain text", name, word)
			}
		}
		info, statErr := entry.Info()
		if statErr == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", name, info.Mode())
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestNoSecretIsSaid(t *testing.T) {
	newHome(t)
	server := lab.NewAuthServer(t)
	var mu sync.Mutex
	secrets := map[string]bool{}
	note := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		if s, ok := v.(string); ok && s != "" {
			secrets[s] = true
		}
	}
	server.Set(func(k *lab.Knobs) {
		k.Token = func(answer map[string]any) { note(answer["access_token"]); note(answer["refresh_token"]) }
		k.Answer = func(q url.Values) { note(q.Get("code")) }
	})
	var said strings.Builder
	for _, args := range [][]string{{"login"}, {"status"}, {"logout"}} {
		got := runWith(t, lab.Browser(t), nil, append(args, server.Server(), "--token-store", "file", "--log-level", "debug")...)
		said.WriteString(got.stdout + got.stderr)
	}
	note(server.LastToken().Get("code_verifier"))
	if len(secrets) < 3 || said.Len() < 300 {
		t.Fatalf("%d secrets, %d bytes", len(secrets), said.Len())
	}
	for secret := range secrets {
		if strings.Contains(said.String(), secret) {
			t.Errorf("a secret is in the output:\n%s", said.String())
		}
	}
}

func TestSignInsThatDoNotSucceed(t *testing.T) {
	for name, tc := range map[string]struct {
		knobs func(*lab.Knobs)
		says  string
	}{
		"declined":            {func(k *lab.Knobs) { k.Approve = func(url.Values) string { return "access_denied" } }, "denied"},
		"a server that fails": {func(k *lab.Knobs) { k.FailToken = 500 }, "500"},
		"a server without PKCE": {func(k *lab.Knobs) {
			k.Metadata = func(m map[string]any) { delete(m, "code_challenge_methods_supported") }
		}, "S256"},
		"no way to register": {func(k *lab.Knobs) { k.Metadata = func(m map[string]any) { delete(m, "registration_endpoint") } }, "--client-id"},
		"metadata of another service": {func(k *lab.Knobs) {
			k.Resource = func(m map[string]any) { m["resource"] = "https://other.example/mcp" }
		}, "https://other.example/mcp"},
	} {
		t.Run(name, func(t *testing.T) {
			newHome(t)
			server := lab.NewAuthServer(t)
			server.Set(tc.knobs)
			got := runWith(t, lab.Browser(t), nil, "login", server.Server(), "--token-store", "file")
			if got.code != exitFailure || !strings.Contains(got.stderr, tc.says) || got.stdout != "" {
				t.Errorf("%+v, want %q", got, tc.says)
			}
			if got := runWith(t, noBrowser(t), nil, "status", server.Server(), "--token-store", "file"); got.code != exitFailure {
				t.Errorf("signed in all the same: %+v", got)
			}
		})
	}
}

func TestLogoutForgetsEvenIfTheServerDoesNot(t *testing.T) {
	newHome(t)
	server := lab.NewAuthServer(t)
	if got := runWith(t, lab.Browser(t), nil, "login", server.Server(), "--token-store", "file"); got.code != exitOK {
		t.Fatalf("login: %+v", got)
	}
	gone := server.URL
	server.Close()
	got := runWith(t, noBrowser(t), nil, "logout", gone+"/mcp", "--token-store", "file")
	if got.code != exitFailure || got.stderr == "" {
		t.Errorf("logout: %+v", got)
	}
	if got := runWith(t, noBrowser(t), nil, "status", gone+"/mcp", "--token-store", "file"); got.code != exitFailure || !strings.Contains(got.stdout, "not signed in") {
		t.Errorf("still signed in: %+v", got)
	}
}

func TestAServerThatNeedsNoSignIn(t *testing.T) {
	for _, status := range []int{200, 400, 405, 406} { // to GET, which many do not know
		newHome(t)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/mcp" {
				http.NotFound(w, r)
				return
			}
			w.WriteHeader(status)
		}))
		got := runWith(t, noBrowser(t), nil, "login", server.URL+"/mcp", "--token-store", "file")
		if got.code != exitOK || got.stdout != server.URL+"/mcp needs no sign-in.\n" {
			t.Errorf("%d: %+v", status, got)
		}
		got = runWith(t, noBrowser(t), nil, "login", server.URL+"/nothing", "--token-store", "file")
		if got.code != exitFailure || !strings.Contains(got.stderr, "does not say where to sign in") {
			t.Errorf("a server that is not there: %+v", got)
		}
		server.Close()
	}
}

func TestWithoutAKeychainNothingIsKept(t *testing.T) {
	home := newHome(t)
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("left out: a machine without a keychain (this one has a session bus)")
	}
	server := lab.NewAuthServer(t)
	got := runWith(t, noBrowser(t), nil, "login", server.Server())
	if got.code != exitFailure || !strings.Contains(got.stderr, "--token-store file") {
		t.Errorf("login: %+v", got)
	}
	if got := runWith(t, noBrowser(t), nil, "status"); got.code != exitFailure || !strings.Contains(got.stdout, "It cannot be used: ") {
		t.Errorf("status: %+v", got)
	}
	sealed, _ := filepath.Glob(filepath.Join(home, ".config", "mcp-bridge", "*sealed*"))
	if len(sealed) > 0 || server.Counts().Registrations > 0 {
		t.Errorf("something was kept: %q, %+v", sealed, server.Counts())
	}
}

func TestABrowserThatCannotBeOpenedIsNoFailure(t *testing.T) {
	newHome(t)
	server := lab.NewAuthServer(t)
	person := lab.Browser(t)
	shown := func(ctx context.Context, address string) error {
		// The person copies the address by hand.
		if err := person(ctx, address); err != nil {
			return err
		}
		return os.ErrNotExist
	}
	got := runWith(t, shown, nil, "login", server.Server(), "--token-store", "file")
	if got.code != exitOK || !strings.Contains(got.stderr, "/authorize?") {
		t.Errorf("%+v", got)
	}
}
