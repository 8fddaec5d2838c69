package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/shared/secret"
)

const (
	clientID = "11111111-2222-3333-4444-555555555555"
	tenantID = "99999999-8888-7777-6666-555555555555"
	someID   = "aaaaaaaa-0000-4000-8000-000000000001"
	// canary stands for the client secret; no output may hold it.
	canary = "canary~8Q~secret"
)

// microsoft is an environment with all that has no default.
func microsoft() map[string]string {
	return map[string]string{
		"MICROSOFT_CLIENT_ID":     clientID,
		"MICROSOFT_CLIENT_SECRET": canary,
		"MICROSOFT_TENANT_ID":     tenantID,
	}
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

// load reads a file whose first line is a good state_dir, so that the lines
// given begin with line 2.
func load(lines string, env map[string]string) (*config.Config, error) {
	return config.Load(config.Source{
		File: "gateway.yaml", Data: []byte("state_dir: /state\n" + lines), Env: lookup(env), ReadFile: readSecret,
	})
}

// readSecret knows two files and reads the others.
func readSecret(name string) ([]byte, error) {
	switch name {
	case "/long-secret":
		return []byte(canary + canary + "\n"), nil
	case "/short-secret":
		return []byte("123456789012345678901\n"), nil
	}
	return os.ReadFile(name)
}

func mustLoad(t *testing.T, lines string, env map[string]string) *config.Config {
	t.Helper()
	c, err := load(lines, env)
	if err != nil {
		t.Fatalf("it was refused:\n%v", err)
	}
	return c
}

// same compares configurations, secrets included, without their origins.
var same = cmp.Options{
	cmpopts.IgnoreUnexported(config.Config{}),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b secret.Value) bool { return a.Reveal() == b.Reveal() }),
}

// problems returns the problems of an error, each as its first line, and
// checks that each has a remedy.
func problems(t *testing.T, err error) []string {
	t.Helper()
	all, ok := errors.AsType[config.Problems](err)
	if !ok {
		t.Fatalf("got %T (%v), want config.Problems", err, err)
	}
	var lines []string
	for _, p := range all {
		line, remedy, _ := strings.Cut(p.String(), "\n")
		if strings.TrimSpace(remedy) == "" {
			t.Errorf("no remedy: %s", line)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, "", microsoft())
	want := &config.Config{
		PublicURL: "http://localhost:8788",
		Listen:    "127.0.0.1:8788",
		StateDir:  filepath.FromSlash("/state"),
		KeyFile:   filepath.FromSlash("/state/keys.json"),
		Microsoft: config.Microsoft{
			ClientID: clientID, ClientSecret: secret.New(canary), TenantID: tenantID,
			Guests: "allow", AuthorityHost: "https://login.microsoftonline.com", GraphURL: "https://graph.microsoft.com", Prompt: "select_account",
			RecheckInterval: time.Hour, OutageGrace: 4 * time.Hour,
		},
		Tokens: config.Tokens{
			CodeLifetime: time.Minute, AccessLifetime: 10 * time.Minute, RefreshIdle: 30 * 24 * time.Hour,
			RefreshAbsolute: 90 * 24 * time.Hour, RefreshGrace: time.Minute,
		},
		HTTP: config.HTTP{
			MaxBodyBytes: 4 << 20, CallTimeout: time.Minute, MaxConcurrentCalls: 64,
			Register:  config.Rate{PerMinute: 30, Burst: 30},
			Authorize: config.Rate{PerMinute: 120, Burst: 60},
			Token:     config.Rate{PerMinute: 600, Burst: 300},
			Device:    config.Rate{PerMinute: 30, Burst: 30},
		},
		Clients: config.Clients{Registration: "open", Documents: "open", PrivateUseRedirects: true},
		Log:     config.Log{Level: slog.LevelInfo, Format: "text"},
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestClientsServersAndScopes(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, `
clients: {registration: listed, redirect_hosts: [Claude.AI, "*.example.com"], documents: closed, private_use_redirects: false, device_sign_in: true, proxy: http://proxy.example:3128}
registered_clients:
  - {id: build, name: Build, redirect_uris: [https://build.example/cb, "http://127.0.0.1/cb"], auth_method: client_secret_basic, secret_file: /long-secret}
  - {id: agent, name: Agent, redirect_uris: [https://agent.example/cb], auth_method: private_key_jwt, jwks_uri: https://agent.example/keys}
  - {id: kiosk, name: Kiosk, grant_types: [refresh_token, "urn:ietf:params:oauth:grant-type:device_code"], auth_method: none}
  - {id: ci, name: CI, grant_types: [client_credentials], scopes: [crm.write], auth_method: client_secret_basic, secret_file: /long-secret}
  - {id: both, name: Both, grant_types: [authorization_code, client_credentials], redirect_uris: [https://both.example/cb], auth_method: client_secret_post, secret_file: /long-secret}
access: [{name: programs, clients: [ci, both], tools: ["crm_*"]}]
resource_servers: [{id: reports, secret_file: /long-secret}]
scopes: [{name: crm.write, description: change contacts, tools: ["crm_update_*"]}]
`, microsoft())
	long := secret.New(canary + canary)
	if diff := cmp.Diff(config.Clients{
		Registration: "listed", RedirectHosts: []string{"claude.ai", "*.example.com"}, Documents: "closed", DeviceSignIn: true, Proxy: "http://proxy.example:3128",
	}, got.Clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]config.RegisteredClient{
		{ID: "build", Name: "Build", RedirectURIs: []string{"https://build.example/cb", "http://127.0.0.1/cb"}, AuthMethod: "client_secret_basic", Secret: long},
		{ID: "agent", Name: "Agent", RedirectURIs: []string{"https://agent.example/cb"}, AuthMethod: "private_key_jwt", JWKSURI: "https://agent.example/keys"},
		{ID: "kiosk", Name: "Kiosk", GrantTypes: []string{"refresh_token", "urn:ietf:params:oauth:grant-type:device_code"}, AuthMethod: "none"},
		{ID: "ci", Name: "CI", GrantTypes: []string{"client_credentials"}, Scopes: []string{"crm.write"}, AuthMethod: "client_secret_basic", Secret: long},
		{
			ID: "both", Name: "Both", GrantTypes: []string{"authorization_code", "client_credentials"}, RedirectURIs: []string{"https://both.example/cb"},
			AuthMethod: "client_secret_post", Secret: long,
		},
	}, got.RegisteredClients, same); diff != "" {
		t.Errorf("registered clients (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]config.ResourceServer{{ID: "reports", Secret: long}}, got.ResourceServers, same); diff != "" {
		t.Errorf("resource servers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]config.Scope{{Name: "crm.write", Description: "change contacts", Tools: []string{"crm_update_*"}}}, got.Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]config.Rule{{Name: "programs", Clients: []string{"ci", "both"}, Tools: []string{"crm_*"}}}, got.Access); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	shown, err := got.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"    grant_types: [client_credentials]\n    scopes: [crm.write]", "    clients: [ci, both]", "  - id: build # gateway.yaml:", "    secret_file: '[redacted]'", "    jwks_uri: https://agent.example/keys", "  - name: crm.write # gateway.yaml:"} {
		if !strings.Contains(shown, want) {
			t.Errorf("check-config does not show %q:\n%s", want, shown)
		}
	}
	if strings.Contains(shown, canary) {
		t.Error("check-config shows a secret")
	}
}

// installed replaces the folder of the examples by one that has the files.
func installed(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "client-secret"), []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(text, "/etc/mcp-gateway", filepath.ToSlash(dir))
}

func TestTheExampleIsRightAndComplete(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Source{File: "config.example.yaml", Data: []byte(installed(t, string(data)))})
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("it has warnings: %q", w)
	}
	if c.Microsoft.ClientSecret.Reveal() != canary {
		t.Error("the secret was not read from its file")
	}
	// It says what the defaults are, and the defaults are what it says.
	defaults := mustLoad(t, "", microsoft())
	if diff := cmp.Diff(defaults.Tokens, c.Tokens); diff != "" {
		t.Errorf("tokens (-default +example):\n%s", diff)
	}
	if diff := cmp.Diff(defaults.HTTP, c.HTTP, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("http (-default +example):\n%s", diff)
	}
	if diff := cmp.Diff(defaults.Clients, c.Clients, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("clients (-default +example):\n%s", diff)
	}
	if diff := cmp.Diff(defaults.Log, c.Log); diff != "" {
		t.Errorf("log (-default +example):\n%s", diff)
	}
	// Every key that check-config shows is explained in it.
	shown, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(shown) {
		if key, _, ok := strings.Cut(strings.TrimLeft(line, " -"), ":"); ok && !strings.Contains(string(data), key+":") && key != "client_secret" {
			t.Errorf("the example does not have %s", key)
		}
	}
}

func TestTheReadmeConfigurationIsRight(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "```yaml\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("README.md has no configuration")
	}
	c, err := config.Load(config.Source{File: "README.md", Data: []byte(installed(t, text))})
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("it has warnings: %q", w)
	}
}

// One file with a mistake of every kind: all are reported at once, in the
// order of their lines.
func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/mistakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/mistakes.txt")
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(config.Source{File: "mistakes.yaml", Data: data, Env: lookup(map[string]string{
		"MICROSOFT_AUTHORITY_HOST":     "https://login.microsoftonline.us",
		"MICROSOFT_CLIENT_SECRET_FILE": empty,
	})})
	problems(t, err)
	if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, err := os.ReadFile(filepath.Join(dir, "absent"))
	absent, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		t.Fatal(err)
	}
	type row struct {
		name string
		file string
		set  map[string]string
		// proof is what the gateway proves itself with; "" is the secret.
		proof string
		want  string // the first problem; "" if it is accepted
	}
	for _, tt := range []row{
		{name: "a file twin is read without the line break that editors add",
			set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_SECRET_FILE": file("good", "\ufeff"+canary+"\r\n")}},
		{name: "every variable has a file twin",
			set: map[string]string{"MICROSOFT_TENANT_ID": "", "MICROSOFT_TENANT_ID_FILE": file("tenant", tenantID)}},
		{name: "a certificate in place of the secret", file: "microsoft: {client_certificate_file: client.pem}", set: map[string]string{"MICROSOFT_CLIENT_SECRET": ""},
			proof: "|client.pem|"},
		{name: "a certificate named by a variable", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_CERTIFICATE_PATH": "/etc/client.pem"},
			proof: "|/etc/client.pem|"},
		{name: "a federated token in place of the secret", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "AZURE_FEDERATED_TOKEN_FILE": "/var/token"},
			proof: "||/var/token"},
		{name: "a file twin of a file is not read", set: map[string]string{"MICROSOFT_CLIENT_CERTIFICATE_PATH_FILE": "/nowhere", "AZURE_FEDERATED_TOKEN_FILE_FILE": "/nowhere"}},
		{name: "the file names the secret's file",
			file: "microsoft: {client_secret_file: " + file("named", canary) + "}", set: map[string]string{"MICROSOFT_CLIENT_SECRET": ""}},
		{name: "an empty variable counts as not set",
			file: "microsoft: {tenant_id: " + tenantID + "}", set: map[string]string{"MICROSOFT_TENANT_ID": ""}},

		{name: "nothing is given", set: map[string]string{"MICROSOFT_CLIENT_SECRET": ""},
			want: "gateway.yaml: microsoft.client_secret: is missing"},
		{name: "a secret and a certificate", set: map[string]string{"MICROSOFT_CLIENT_CERTIFICATE_PATH": "/etc/client.pem"},
			want: "gateway.yaml: microsoft: the gateway can prove itself in one way only, and is given microsoft.client_secret (MICROSOFT_CLIENT_SECRET in the environment) and microsoft.client_certificate_file (MICROSOFT_CLIENT_CERTIFICATE_PATH in the environment)"},
		{name: "a certificate and a federated token", file: "microsoft: {client_certificate_file: /etc/client.pem}", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "AZURE_FEDERATED_TOKEN_FILE": "/var/token"},
			want: "gateway.yaml:2: microsoft: the gateway can prove itself in one way only, and is given microsoft.client_certificate_file (gateway.yaml:2) and microsoft.federated_token_file (AZURE_FEDERATED_TOKEN_FILE in the environment)"},
		{name: "the end of a secret that there is not", file: "microsoft: {client_secret_expires: 2027-03-31, client_certificate_file: a.pem}", set: map[string]string{"MICROSOFT_CLIENT_SECRET": ""},
			want: "gateway.yaml:2: microsoft.client_secret_expires: is about a client secret, and there is none"},
		{name: "a certificate in both places", file: "microsoft: {client_certificate_file: a.pem}", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_CERTIFICATE_PATH": "b.pem"},
			want: "environment: MICROSOFT_CLIENT_CERTIFICATE_PATH: the same setting is given twice: microsoft.client_certificate_file (gateway.yaml:2) and MICROSOFT_CLIENT_CERTIFICATE_PATH"},
		{name: "a certificate in place of its file", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_CERTIFICATE_PATH": "-----BEGIN CERTIFICATE-----\n" + canary},
			want: "environment: MICROSOFT_CLIENT_CERTIFICATE_PATH: holds a line break or another control character"},
		{name: "a variable and its twin",
			set:  map[string]string{"MICROSOFT_CLIENT_SECRET_FILE": file("twin", canary)},
			want: "environment: MICROSOFT_CLIENT_SECRET_FILE: the same setting is given twice: MICROSOFT_CLIENT_SECRET and MICROSOFT_CLIENT_SECRET_FILE"},
		{name: "a variable and the file", file: "microsoft: {tenant_id: " + tenantID + "}",
			want: "environment: MICROSOFT_TENANT_ID: the same setting is given twice: microsoft.tenant_id (gateway.yaml:2) and MICROSOFT_TENANT_ID"},
		{name: "a secret in a variable and in a file that the file names", file: "microsoft: {client_secret_file: " + file("both", canary) + "}",
			want: "environment: MICROSOFT_CLIENT_SECRET: the same setting is given twice: microsoft.client_secret_file (gateway.yaml:2) and MICROSOFT_CLIENT_SECRET"},
		{name: "the twin's file is absent", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_SECRET_FILE": absent.Path},
			want: "environment: MICROSOFT_CLIENT_SECRET_FILE: the file cannot be read: " + absent.Err.Error()},
		{name: "the twin's file is empty", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_SECRET_FILE": file("empty", "\n")},
			want: "environment: MICROSOFT_CLIENT_SECRET_FILE: the file is empty"},
		{name: "the twin's file is UTF-16", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_SECRET_FILE": file("utf16", "\xff\xfec\x00")},
			want: "environment: MICROSOFT_CLIENT_SECRET_FILE: the file is not a short text in UTF-8"},
		{name: "the twin's file is far too long", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_SECRET_FILE": file("long", strings.Repeat("x", 65<<10))},
			want: "environment: MICROSOFT_CLIENT_SECRET_FILE: the file is not a short text in UTF-8"},
		{name: "the secret's file holds two lines", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "", "MICROSOFT_CLIENT_SECRET_FILE": file("two", canary+"\nx")},
			want: "environment: MICROSOFT_CLIENT_SECRET_FILE: holds a line break or another control character"},
		{name: "the secret's id", set: map[string]string{"MICROSOFT_CLIENT_SECRET": someID},
			want: "environment: MICROSOFT_CLIENT_SECRET: is a GUID: that is the secret's id, not its value"},
		{name: "a secret with a space", set: map[string]string{"MICROSOFT_CLIENT_SECRET": "a b"},
			want: "environment: MICROSOFT_CLIENT_SECRET: holds white space, which a client secret never does"},
		{name: "an http authority", set: map[string]string{"MICROSOFT_AUTHORITY_HOST": "http://localhost:1"},
			want: "environment: MICROSOFT_AUTHORITY_HOST: is http: the client secret and the sign-in would cross the network in the clear"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := microsoft()
			maps.Copy(env, tt.set)
			c, err := load(tt.file, env)
			if tt.want != "" {
				if diff := cmp.Diff([]string{tt.want}, problems(t, err)); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := tt.proof
			if want == "" {
				want = canary + "||"
			}
			m := c.Microsoft
			if got := m.ClientSecret.Reveal() + "|" + m.ClientCertificateFile + "|" + m.FederatedTokenFile; got != want || m.TenantID != tenantID {
				t.Errorf("got %q for the tenant %s, want %q", got, m.TenantID, want)
			}
		})
	}
}

// A secret that was put in the wrong place must not be printed by the complaint
// about it.
func TestProblemsNeverHoldASecret(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"MICROSOFT_CLIENT_ID", "MICROSOFT_TENANT_ID", "MICROSOFT_AUTHORITY_HOST", "MICROSOFT_ALLOWED_TENANTS",
		"MICROSOFT_CLIENT_ID_FILE", "MICROSOFT_CLIENT_SECRET_FILE", "MICROSOFT_TENANT_ID_FILE", "MICROSOFT_AUTHORITY_HOST_FILE",
	} {
		env := microsoft()
		delete(env, strings.TrimSuffix(name, "_FILE"))
		env[name] = canary
		checkSilent(t, name, "", env)
	}
	for _, key := range []string{"client_id", "client_secret", "client_secret_file", "tenant_id", "allowed_tenants", "authority_host", "clientsecret"} {
		for _, form := range []string{"%s", "[%s]", "'%s", "*%s", "!%s", "{%s}", "%s: x", "|\n   %s"} {
			text := fmt.Sprintf("microsoft:\n  %s: "+form+"\n", key, canary)
			checkSilent(t, text, text, nil)
		}
	}
}

func checkSilent(t *testing.T, name, lines string, env map[string]string) {
	t.Helper()
	_, err := load(lines, env)
	if err == nil {
		t.Errorf("%s: it was accepted", name)
	} else if strings.Contains(err.Error(), canary) {
		t.Errorf("%s: the secret is in the problem:\n%v", name, err)
	}
}

func TestTheDevelopmentStackAloneMayUseHTTP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, lines, want string
	}{
		{name: "a simulated sign-in on loopback", lines: "microsoft: {authority_host: 'http://127.0.0.1:9'}"},
		{name: "another host", lines: "microsoft: {authority_host: 'http://192.0.2.1:9'}",
			want: "gateway.yaml:2: microsoft.authority_host: is http: the client secret and the sign-in would cross the network in the clear"},
		{name: "a gateway that others reach",
			lines: "microsoft: {authority_host: 'http://127.0.0.1:9'}\nlisten: 0.0.0.0:8788\ntrusted_proxies: [10.0.0.0/8]\npublic_url: https://a.example",
			want:  "gateway.yaml:3: listen: accepts connections from the network while the sign-in is simulated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(config.Source{File: "gateway.yaml", Data: []byte("state_dir: /state\n" + tt.lines), Env: lookup(microsoft()), InsecureDevelopment: true})
			if tt.want != "" {
				if diff := cmp.Diff([]string{tt.want}, problems(t, err)); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !c.InsecureDevelopment || c.Microsoft.AuthorityHost != "http://127.0.0.1:9" {
				t.Errorf("got %v, %s", c.InsecureDevelopment, c.Microsoft.AuthorityHost)
			}
		})
	}
}

func TestRelativePathsStartFromTheFolderOfTheFile(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{File: filepath.Join("conf", "gateway.yaml"), Data: []byte("state_dir: state\nkey_file: ../keys.json"), Env: lookup(microsoft())})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.StateDir, filepath.Join("conf", "state"); got != want {
		t.Errorf("state_dir: got %s, want %s", got, want)
	}
	if c.KeyFile != "keys.json" {
		t.Errorf("key_file: got %s, want keys.json", c.KeyFile)
	}
}
