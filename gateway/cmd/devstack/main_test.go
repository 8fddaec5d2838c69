package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func devstack(t *testing.T, env map[string]string) (stdout *bufio.Reader, stop func() error) {
	t.Helper()
	return devstackOn(t, env, "0")
}

// devstackOn runs in a folder of its own, which the process must change to: the
// stack reads .env beside it.
func devstackOn(t *testing.T, env map[string]string, port string) (stdout *bufio.Reader, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--port", port, "--state", "state"}, w, t.Output(), func(k string) (string, bool) { v, ok := env[k]; return v, ok })
		_ = w.Close()
		done <- err
	}()
	t.Cleanup(cancel)
	return bufio.NewReader(r), func() error {
		cancel()
		_, _ = io.Copy(io.Discard, r)
		return <-done
	}
}

func TestItComesUpSimulatedAndSaysHowToConnect(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("bin", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bin/mcp-bridge", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, stop := devstack(t, nil)
	text := readClients(t, out, stop)
	url := regexp.MustCompile(`http://localhost:\d+/mcp`).FindString(text)
	bridge, err := filepath.Abs("bin/mcp-bridge")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SIMULATED", "MCP endpoint   " + url, "npx @modelcontextprotocol/inspector", `"serverUrl": "` + url + `"`, `"url": "` + url + `"`, `"command": "` + bridge + `"`, bridge + " " + url} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	resp, err := http.Post(url, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", resp.StatusCode)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	before, err := os.ReadFile("state/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	// Once more: the same keys.
	out, stop = devstack(t, nil)
	if _, err := out.ReadString('\n'); err != nil {
		t.Errorf("%v: %v", err, stop())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile("state/keys.json"); err != nil || !bytes.Equal(before, after) {
		t.Error("the keys were made anew")
	}
}

// TestItNeverFallsBackToTheSimulation: one setting of a real application, and
// all must be right.
func TestItNeverFallsBackToTheSimulation(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, env := range map[string]map[string]string{
		"a variable":        {"MICROSOFT_TENANT_ID": "example.com"},
		"a file's variable": {"MICROSOFT_CLIENT_SECRET_FILE": "nowhere"},
		"an http authority": {"MICROSOFT_AUTHORITY_HOST": "http://login.example"},
	} {
		_, stop := devstack(t, env)
		if err := stop(); err == nil || !strings.Contains(err.Error(), "microsoft.client_id: is missing") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(".dev.vars", []byte("MICROSOFT_CLIENT_ID=11111111-2222-3333-4444-555555555555\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop := devstack(t, nil)
	if err := stop(); err == nil || !strings.Contains(err.Error(), "microsoft.tenant_id: is missing") {
		t.Errorf(".dev.vars: %v", err)
	}
	if err := os.WriteFile(".dev.vars", []byte("what?\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop = devstack(t, nil)
	if err := stop(); err == nil || !strings.Contains(err.Error(), ".dev.vars:1") {
		t.Errorf("a broken .dev.vars: %v", err)
	}
}
