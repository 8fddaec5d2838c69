package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// gateway runs the command and returns its exit status and output.
func gateway(t *testing.T, env map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	errs := &stopper{stop: cancel}
	status = run(ctx, args, &out, errs, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	return status, out.String(), errs.String()
}

// stopper ends a gateway as soon as it says that it is up.
type stopper struct {
	mu sync.Mutex
	bytes.Buffer
	stop func()
}

func (s *stopper) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(p, []byte("gateway is up")) {
		s.stop()
	}
	return s.Buffer.Write(p)
}

// folder has a configuration and the secret it names.
func folder(t *testing.T) (configFile string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := write("secret", "hunter2-canary")
	return write("gateway.yaml", "public_url: http://localhost:8788\nlisten: 127.0.0.1:0\nstate_dir: "+dir+"/state\n"+
		"microsoft: {client_id: 11111111-2222-3333-4444-555555555555, tenant_id: example.com, client_secret_file: "+secret+"}\n")
}

func TestHelpIsOnStdout(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"help", "--help", "-h"} {
		if status, out, errs := gateway(t, nil, arg); status != 0 || errs != "" || !strings.Contains(out, "mcp-gateway keys init /var/lib/mcp-gateway/keys.json") {
			t.Errorf("%s: status %d, stderr %q", arg, status, errs)
		}
	}
	if status, out, _ := gateway(t, nil, "version"); status != 0 || strings.TrimSpace(out) == "" {
		t.Errorf("version: status %d, %q", status, out)
	}
}

func TestWrongUseSaysWhat(t *testing.T) {
	t.Parallel()
	cfg := folder(t)
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "name a command"},
		{[]string{"server"}, `no command "server"`},
		{[]string{"keys"}, "init FILE"},
		{[]string{"keys", "rotate", "x"}, "init FILE"},
		{[]string{"serve"}, "serve needs --config FILE"},
		{[]string{"check-config", "--config", cfg, "extra"}, `no argument "extra"`},
		{[]string{"check-config", "--conf", cfg}, "flag provided but not defined"},
	} {
		if status, out, errs := gateway(t, nil, tt.args...); status != 2 || out != "" || !strings.Contains(errs, tt.says) {
			t.Errorf("%v: status %d, stdout %q, stderr %q, want %q", tt.args, status, out, errs, tt.says)
		}
	}
}

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	cfg := folder(t)
	status, out, errs := gateway(t, nil, "check-config", "--config", cfg)
	if status != 0 || !strings.Contains(out, "client_id: 11111111") || !strings.Contains(errs, "nobody may call anything") || strings.Contains(out+errs, "canary") {
		t.Errorf("status %d, stdout %s, stderr %s", status, out, errs)
	}
	status, out, errs = gateway(t, map[string]string{"MICROSOFT_TENANT_ID": "x.example"}, "check-config", "--config", cfg)
	if status != 1 || out != "" || !strings.Contains(errs, "MICROSOFT_TENANT_ID") {
		t.Errorf("a conflict: status %d, %s", status, errs)
	}
	envFile := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(envFile, []byte("MICROSOFT_CLIENT_ID=22222222-2222-3333-4444-555555555555\nMICROSOFT_TENANT_ID=file.example\nMICROSOFT_CLIENT_SECRET=hunter2-canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	bare := filepath.Join(t.TempDir(), "bare.yaml")
	if err := os.WriteFile(bare, data[:bytes.Index(data, []byte("microsoft:"))], 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs = gateway(t, map[string]string{"MICROSOFT_TENANT_ID": "process.example"}, "check-config", "--config", bare, "--env-file", envFile)
	if status != 0 || !strings.Contains(out, "client_id: 22222222") || !strings.Contains(out, "tenant_id: process.example") || strings.Contains(out+errs, "canary") {
		t.Errorf("the process environment must win over the file: status %d, %s%s", status, out, errs)
	}
	for _, args := range [][]string{{"--config", "nowhere.yaml"}, {"--config", cfg, "--env-file", "nowhere"}} {
		if status, _, errs := gateway(t, nil, append([]string{"check-config"}, args...)...); status != 1 || !strings.Contains(errs, "nowhere") {
			t.Errorf("%v: status %d, %s", args, status, errs)
		}
	}
}

func TestServeNeedsAKeyRingAndNeverMakesOne(t *testing.T) {
	t.Parallel()
	cfg := folder(t)
	keys := filepath.Join(filepath.Dir(cfg), "state", "keys.json")
	status, _, errs := gateway(t, nil, "serve", "--config", cfg)
	if status != 1 || !strings.Contains(errs, "mcp-gateway keys init "+keys) {
		t.Errorf("without a key ring: status %d, %s", status, errs)
	}
	if status, out, _ := gateway(t, nil, "keys", "init", keys); status != 0 || !strings.Contains(out, "backup") {
		t.Errorf("keys init: status %d, %s", status, out)
	}
	if status, _, errs := gateway(t, nil, "keys", "init", keys); status != 1 || !strings.Contains(errs, "left as it is") {
		t.Errorf("keys init again: status %d, %s", status, errs)
	}
	if status, _, errs := gateway(t, nil, "serve", "--config", cfg); status != 0 || !strings.Contains(errs, "gateway is down") {
		t.Errorf("serve until it is told to stop: status %d, %s", status, errs)
	}
}
