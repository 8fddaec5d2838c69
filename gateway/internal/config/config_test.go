package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/config"
)

const minimal = `public_url: https://MCP.example.com/
trusted_proxies: [10.1.2.3/8]
state_dir: /var/lib/mcp
microsoft: {client_id: 11111111-2222-3333-4444-55555555555A, tenant_id: Example.COM, client_secret_file: secret}
`

// load reads a configuration with variables and files of the test's own.
func load(data string, env, files map[string]string) (*config.Config, error) {
	return config.Load(config.Source{
		File: "gw.yaml", Data: []byte(data),
		Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		ReadFile: func(name string) ([]byte, error) {
			if v, ok := files[name]; ok {
				return []byte(v), nil
			}
			return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
		},
	})
}

var secretFile = map[string]string{"secret": "hunter2-canary\n"}

func TestDefaultsAndCanonicalForms(t *testing.T) {
	t.Parallel()
	cfg, err := load(minimal, nil, secretFile)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.PublicURL != "https://mcp.example.com" || cfg.Listen != "127.0.0.1:8788" || cfg.KeyFile != "/var/lib/mcp/keys.json" ||
		cfg.Microsoft.ClientID != "11111111-2222-3333-4444-55555555555a" || cfg.Microsoft.TenantID != "example.com" ||
		cfg.Microsoft.AuthorityHost != "https://login.microsoftonline.com" || cfg.TrustedProxies[0].String() != "10.0.0.0/8" ||
		cfg.Tokens.AccessLifetime != 10*time.Minute || cfg.Tokens.GrantLifetime != 24*time.Hour || cfg.Microsoft.ClientSecret.IsZero() {
		t.Errorf("cfg = %+v", cfg)
	}
}

// TestEveryMistakeIsReportedAtOnce: one file with one of each, each with its
// line and what to do.
func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	const bad = `public_url: http://mcp.example.com/path
public_url: twice
listen: 0.0.0.0
tls: {certificate_file: x}
trusted_proxies: [10.0.0.1, anywhere]
stat_dir: /x
microsoft:
  client_id: me
  client_secret: s3cr3t-canary
  tenant_id: common
  authority_host: http://login.example
  prompt: always
tokens:
  code_lifetime: 1h
  access_lifetime: soon
http:
  max_body_bytes: many
  max_concurrent_calls: 0
  allowed_hosts: ["*.example.com"]
  allowed_origins: [https://a.example/path]
  rates: {token: {per_minute: 0}}
access:
  - {tools: ["math add"], groups: [Engineering]}
  - {name: nobody, tools: []}
log: {level: loud}
extra: {a: [1, 2}
`
	data := strings.TrimSuffix(bad, "extra: {a: [1, 2}\n")
	_, err := load(data, nil, nil)
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, want := range []string{
		`gw.yaml:1: public_url must be scheme and host only; remove path`,
		`gw.yaml:2: public_url stands twice, first in line 1`,
		`gw.yaml:3: listen is "0.0.0.0"; write host:port`,
		`gw.yaml:4: tls needs both`,
		`gw.yaml:5: trusted_proxies has "10.0.0.1", which is not a network`,
		`gw.yaml:5: trusted_proxies has "anywhere"`,
		`gw.yaml:6: there is no setting stat_dir; did you mean state_dir?`,
		`gw.yaml: state_dir is missing; name a folder`,
		`gw.yaml:8: microsoft.client_id is "me", which is not a GUID`,
		`gw.yaml:9: microsoft.client_secret must not stand in this file; write the secret into a file of its own`,
		`gw.yaml:10: microsoft.tenant_id is "common", which lets in people of any organization and is not supported; name your own tenant`,
		`gw.yaml:11: microsoft.authority_host is "http://login.example"; write https://`,
		`gw.yaml:12: microsoft.prompt is "always"; use one of select_account`,
		`gw.yaml:14: tokens.code_lifetime is 1h0m0s; it must be from 10s to 10m0s`,
		`gw.yaml:15: tokens.access_lifetime is "soon", which is not a duration`,
		`gw.yaml:17: http.max_body_bytes is "many", which is not a whole number`,
		`gw.yaml:18: http.max_concurrent_calls is 0; it must be from 1`,
		`gw.yaml:19: http.allowed_hosts has "*.example.com"`,
		`gw.yaml:20: http.allowed_origins has "https://a.example/path"`,
		`gw.yaml:21: http.rates.token must allow at least one request`,
		`gw.yaml:23: access[0] has no name`,
		`gw.yaml:23: access[0] has "Engineering" in groups, which is not an object id`,
		`gw.yaml:23: access[0] has the tool "math add"`,
		`gw.yaml:24: access[1] names nobody`,
		`gw.yaml:24: access[1] names no tools`,
		`gw.yaml:25: log.level is "loud"; use one of debug, info, warn, error`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q", want)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Error("the error shows the secret")
	}
	if t.Failed() {
		t.Logf("it says:\n%v", err)
	}
	if _, err := load(bad, nil, nil); err == nil || !strings.Contains(err.Error(), "gw.yaml: is not YAML") {
		t.Errorf("broken YAML: %v", err)
	}
	if _, err := load(minimal+"---\npublic_url: x\n", nil, secretFile); err == nil || !strings.Contains(err.Error(), "more than one document") {
		t.Errorf("two documents: %v", err)
	}
	if _, err := load("- a\n", nil, nil); err == nil || !strings.Contains(err.Error(), "must be a mapping") {
		t.Errorf("a list: %v", err)
	}
}

func TestWhereTLSIsDone(t *testing.T) {
	t.Parallel()
	const microsoft = "state_dir: /s\nmicrosoft: {client_id: 11111111-2222-3333-4444-555555555555, tenant_id: example.com, client_secret_file: secret}\n"
	for _, tt := range []struct{ name, data, says string }{
		{"https by itself", "public_url: https://a.example\nlisten: 0.0.0.0:443\ntls: {certificate_file: c, key_file: k}\n", ""},
		{"https by a proxy", "public_url: https://a.example\nlisten: 0.0.0.0:8080\ntrusted_proxies: [10.0.0.0/8]\n", ""},
		{"http on loopback", "public_url: http://localhost:8788\n", ""},
		{"http on [::1]", "public_url: http://[::1]:8788\nlisten: '[::1]:8788'\n", ""},
		{"https without TLS anywhere", "public_url: https://a.example\n", "nothing here does TLS"},
		{"http beyond loopback", "public_url: http://a.example\n", "must be https"},
		{"http under a name like localhost", "public_url: http://localhost.evil.example\n", "must be https"},
		{"http with certificates", "public_url: http://localhost\ntls: {certificate_file: c, key_file: k}\n", "make it https"},
		{"all addresses without TLS", "public_url: http://localhost:8788\nlisten: :8788\n", "reachable from other machines"},
		{"no public_url", "listen: 127.0.0.1:1\n", "public_url is missing"},
		{"a user in the URL", "public_url: https://u@a.example\ntrusted_proxies: [10.0.0.0/8]\n", "scheme and host only"},
		{"another scheme", "public_url: ftp://a.example\n", "not an http or https URL"},
	} {
		_, err := load(tt.data+microsoft, nil, secretFile)
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	const place = "public_url: http://localhost:8788\nstate_dir: /s\n"
	good := map[string]string{"MICROSOFT_CLIENT_ID": "11111111-2222-3333-4444-555555555555", "MICROSOFT_TENANT_ID": "example.com", "MICROSOFT_CLIENT_SECRET_FILE": "secret"}
	cfg, err := load(place, good, secretFile)
	if err != nil || cfg.Microsoft.ClientSecret.IsZero() {
		t.Fatalf("%+v, %v", cfg, err)
	}
	with := func(k, v string) map[string]string {
		m := map[string]string{k: v}
		for name, value := range good {
			if _, set := m[name]; !set {
				m[name] = value
			}
		}
		return m
	}
	for _, tt := range []struct {
		name string
		data string
		env  map[string]string
		says string
	}{
		{"both twins", place, with("MICROSOFT_CLIENT_SECRET", "x"), "environment MICROSOFT_CLIENT_SECRET: is set, and so is MICROSOFT_CLIENT_SECRET_FILE"},
		{"file and environment", place + "microsoft: {tenant_id: other.example}\n", good, "environment MICROSOFT_TENANT_ID: is set, and so is microsoft.tenant_id at gw.yaml:3"},
		{"a secret in both", place + "microsoft: {client_secret_file: secret}\n", good, "so is microsoft.client_secret at gw.yaml:3"},
		{"a file that is not there", place, with("MICROSOFT_CLIENT_SECRET_FILE", "nowhere"), "MICROSOFT_CLIENT_SECRET_FILE: names a file that cannot be read"},
		{"an empty variable", place, with("MICROSOFT_TENANT_ID", ""), "environment MICROSOFT_TENANT_ID: is empty"},
		{"a wrong variable", place, with("MICROSOFT_CLIENT_ID", "me"), `environment MICROSOFT_CLIENT_ID: microsoft.client_id is "me"`},
		{"nothing", place, nil, "microsoft.client_secret is missing; write it into a file"},
		{"an http authority, even on loopback", place, with("MICROSOFT_AUTHORITY_HOST", "http://localhost:1"), "environment MICROSOFT_AUTHORITY_HOST"},
	} {
		if _, err := load(tt.data, tt.env, secretFile); err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

func TestPrintShowsEverythingButTheSecret(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"/etc/mcp-gateway/client-secret": "hunter2-canary"}
	cfg, err := load(string(example), nil, files)
	if err != nil {
		t.Fatalf("the example has mistakes:\n%v", err)
	}
	var out bytes.Buffer
	if err := cfg.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "canary") || !strings.Contains(out.String(), "[redacted]") {
		t.Errorf("printed:\n%s", out.String())
	}
	// What is printed is a configuration again: the same one.
	again := strings.Replace(out.String(), `client_secret: "[redacted]" # never printed`, "client_secret_file: /etc/mcp-gateway/client-secret", 1)
	cfg2, err := load(again, nil, files)
	if err != nil {
		t.Fatalf("what was printed has mistakes:\n%v\n%s", err, again)
	}
	cfg.Microsoft.ClientSecret = cfg2.Microsoft.ClientSecret // equal secrets have distinct pointers
	if fmt.Sprintf("%+v", cfg) != fmt.Sprintf("%+v", cfg2) {
		t.Errorf("printed and read again:\n%+v\nwant\n%+v", cfg2, cfg)
	}
}

func TestParseEnvFile(t *testing.T) {
	t.Parallel()
	got, err := config.ParseEnvFile(".env", []byte("# comment\n\nA=1\nexport B = two words # comment\nC=\"quoted # not a comment\" # one\nD='it''\nE=\r\nF=a#b\n"))
	if err == nil {
		t.Errorf("text after a quote was accepted: %v", got)
	}
	got, err = config.ParseEnvFile(".env", []byte("# comment\n\nA=1\nexport B = two words # comment\nC=\"quoted # not a comment\" # one\nD='$x'\nE=\r\nF=a#b"))
	want := map[string]string{"A": "1", "B": "two words", "C": "quoted # not a comment", "D": "$x", "E": "", "F": "a#b"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = config.ParseEnvFile(".env", []byte("A=1\nnonsense\n1A=2\nA=2\nB=\"x\n"))
	for _, says := range []string{".env:2: the line is not NAME=value", ".env:3: ", ".env:4: A stands twice", ".env:5: a quote does not end"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
}

func FuzzParseEnvFile(f *testing.F) {
	f.Add([]byte("A=1\nexport B='x' # y\n"))
	f.Add([]byte("=\n\"\n'"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := config.ParseEnvFile("f", data)
		if err != nil {
			return
		}
		for k, v := range values {
			if k == "" || strings.ContainsAny(k, " =#\n") || strings.Contains(v, "\n") {
				t.Fatalf("%q = %q", k, v)
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte("access: [{name: a}, {}]\nhttp: {rates: {}}\n? [a]\n: b\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := load(string(data), nil, secretFile)
		if (cfg == nil) == (err == nil) {
			t.Fatalf("cfg %v, err %v", cfg, err)
		}
		if p, ok := errors.AsType[config.Problem](err); ok && p.What == "" {
			t.Fatalf("a problem without words: %+v", p)
		}
	})
}
