package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/keyring"
)

// canary stands for the client secret; no output may hold it.
const canary = "canary~8Q~secret"

// good is a configuration without a mistake, but for the secret.
const good = `state_dir: /var/lib/mcp-gateway
microsoft:
  client_id: 11111111-2222-3333-4444-555555555555
  tenant_id: example.com
access:
  - {name: everybody, roles: [Mcp.User], tools: ["*"]}
`

// outcome is what one run did.
type outcome struct {
	code           int
	stdout, stderr string
	// served is the configuration that was served, if one was.
	served *config.Config
}

// runWith runs the command with an environment, and with a gateway that ends
// at once with served.
func runWith(t *testing.T, env map[string]string, served error, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	var o outcome
	c := command{
		stdout: &stdout, stderr: &stderr,
		env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		serve: func(ctx context.Context, cfg *config.Config, logger *slog.Logger) error {
			o.served = cfg
			logger.InfoContext(ctx, "served", slog.Any("microsoft", cfg.Microsoft))
			return served
		},
	}
	o.code = c.run(t.Context(), args)
	o.stdout, o.stderr = stdout.String(), stderr.String()
	if strings.Contains(o.stdout+o.stderr, canary) {
		t.Errorf("the secret was printed:\n%s%s", o.stdout, o.stderr)
	}
	return o
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each command shows its page on standard output, however it is asked for, and
// a page fits a terminal.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		page string
		ways []string
		has  []string
	}{
		{page: "mcp-gateway", ways: []string{"help", "--help", "-h", "help help"}, has: names},
		{page: "serve", ways: []string{"help serve", "serve --help", "serve -h", "serve --config x -help"}, has: []string{"--config", "--env-file", "MICROSOFT_CLIENT_SECRET"}},
		{page: "check-config", ways: []string{"help check-config", "check-config --help"}, has: []string{"--config", "--env-file"}},
		{page: "keys", ways: []string{"help keys", "help keys init", "keys --help", "keys init --help"}, has: []string{"keys init FILE", "--config"}},
		{page: "users", ways: []string{"help users", "users --help", "users disable -h", "users show x --help"}, has: append(adminWords["users"], "--config", "--json", "TENANT/OBJECT")},
		{page: "clients", ways: []string{"help clients", "clients --help", "clients list --config x --help"}, has: append(adminWords["clients"], "--config", "--json", "fingerprint")},
		{page: "grants", ways: []string{"help grants", "grants --help", "grants revoke a b --help"}, has: append(adminWords["grants"], "--config", "--json", "--user", "--client", "--all")},
		{page: "version", ways: []string{"help version", "version --help"}},
	} {
		want, err := pages.ReadFile("help/" + tt.page + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range tt.ways {
			o := runWith(t, nil, nil, strings.Fields(way)...)
			if diff := cmp.Diff(outcome{stdout: string(want)}, o, cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", way, diff)
			}
		}
		for _, word := range append(tt.has, "Usage:\n    mcp-gateway ", "    $ mcp-gateway ") {
			if !strings.Contains(string(want), word) {
				t.Errorf("the page %s does not have %q", tt.page, word)
			}
		}
		for line := range strings.Lines(string(want)) {
			if strings.Trim(line, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\n") != "" || len(line) > 81 {
				t.Errorf("the page %s has a line that is not 80 plain characters: %q", tt.page, line)
			}
		}
	}
}

func TestCommandLinesThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want, help string }{
		{"", "no command is given", "help"},
		{"srve", `there is no command "srve"; did you mean serve?`, "help"},
		{"checkconfig", `there is no command "checkconfig"; did you mean check-config?`, "help"},
		{"frobnicate", `there is no command "frobnicate"`, "help"},
		{"help me", `there is no command "me"`, "help"},
		{"help ../run", `there is no command "../run"`, "help"},
		{"--config gateway.yaml serve", "the command is missing before --config", "help"},
		{"serve", "serve needs --config FILE", "help serve"},
		{"serve gateway.yaml", `serve does not take "gateway.yaml"`, "help serve"},
		{"serve --config", "serve: flag needs an argument: -config", "help serve"},
		{"serve --confg gateway.yaml", "serve has no option --confg; did you mean --config?", "help serve"},
		{"serve --env gateway.yaml", "serve has no option --env", "help serve"},
		{"check-config", "check-config needs --config FILE", "help check-config"},
		{"check-config --port=1", "check-config has no option --port", "help check-config"},
		{"keys", "keys needs to be told what to do: keys init FILE", "help keys"},
		{"keys int", `there is no command "keys int"; did you mean keys init?`, "help keys"},
		{"keys burn", `there is no command "keys burn"`, "help keys"},
		{"keys init", "keys init needs the name of one file", "help keys"},
		{"keys init a b", "keys init needs the name of one file", "help keys"},
		{"keys rotate", "keys rotate needs the name of one file", "help keys"},
		{"keys list a b", "keys list needs the name of one file", "help keys"},
		{"keys init --force a", "keys has no option --force", "help keys"},
		{"keys list --config a b", "keys list needs the name of one file", "help keys"},
		{"keys rotate --confg a", "keys has no option --confg; did you mean --config?", "help keys"},
		{"user list", `there is no command "user"; did you mean users?`, "help"},
		{"users", "users needs to be told what to do: users list --config FILE", "help users"},
		{"users --config gateway.yaml", "users needs to be told what to do: users list --config FILE", "help users"},
		{"users lst", `there is no command "users lst"; did you mean users list?`, "help users"},
		{"users delete ada", `there is no command "users delete"`, "help users"},
		{"users list", "users list needs --config FILE", "help users"},
		{"users list ada --config a", `users list does not take "ada"`, "help users"},
		{"users disable --config a", "users disable needs one USER", "help users"},
		{"users disable a b --config a", "users disable needs one USER", "help users"},
		{"users list --all", "users has no option --all", "help users"},
		{"clients show", "clients show needs one CLIENT", "help clients"},
		{"clients enable 3f9a0c71", "clients enable needs --config FILE", "help clients"},
		{"clients list --jsn", "clients has no option --jsn; did you mean --json?", "help clients"},
		{"grants disable a", `there is no command "grants disable"`, "help grants"},
		{"grants show a b", "grants show needs one grant ID", "help grants"},
		{"grants revoke --config a", "grants revoke needs the IDs of grants", "help grants"},
		{"grants revoke a --user ada", "--user, --client and --all are for grants list", "help grants"},
		{"grants show a --all", "--user, --client and --all are for grants list", "help grants"},
		{"version 1", `version does not take "1"`, "help version"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			want := outcome{code: 2, stderr: "mcp-gateway: " + tt.want + "\nRun \"mcp-gateway " + tt.help + "\" for how to use it.\n"}
			if diff := cmp.Diff(want, runWith(t, nil, nil, strings.Fields(tt.args)...), cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"version", "--version"} {
		o := runWith(t, nil, nil, arg)
		fields := strings.Fields(o.stdout)
		if o.code != 0 || o.stderr != "" || len(fields) != 4 || fields[0] != "mcp-gateway" || fields[2] != runtime.Version() {
			t.Errorf("%s: got %+v", arg, o)
		}
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	file := write(t, "gateway.yaml", good)
	env := map[string]string{"MICROSOFT_CLIENT_SECRET": canary}

	t.Run("it runs until it is told to stop", func(t *testing.T) {
		t.Parallel()
		o := runWith(t, env, nil, "serve", "--config", file)
		if o.code != 0 || o.stdout != "" || o.served == nil {
			t.Fatalf("got %+v", o)
		}
		if o.served.Microsoft.ClientSecret.Reveal() != canary || o.served.InsecureDevelopment {
			t.Errorf("served with %+v", o.served)
		}
	})
	t.Run("an error ends it with 1", func(t *testing.T) {
		t.Parallel()
		o := runWith(t, env, errors.New("listen: address already in use"), "serve", "--config", file)
		if o.code != 1 || !strings.HasSuffix(o.stderr, "mcp-gateway: listen: address already in use\n") {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("a mistake keeps it from starting", func(t *testing.T) {
		t.Parallel()
		o := runWith(t, nil, nil, "serve", "--config", file)
		if o.code != 1 || o.served != nil || !strings.HasSuffix(o.stderr, "\nmcp-gateway: the configuration has 1 mistake\n") {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("what is likely not meant is logged, in the format that is configured", func(t *testing.T) {
		t.Parallel()
		noRule, _, _ := strings.Cut(good, "access:")
		o := runWith(t, env, nil, "serve", "--config", write(t, "gateway.yaml", noRule+"log: {format: json}"))
		if o.code != 0 || !strings.Contains(o.stderr, `"level":"WARN","msg":"configuration","warning":"access has no rule`) {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("what is below the level is not logged", func(t *testing.T) {
		t.Parallel()
		o := runWith(t, env, nil, "serve", "--config", write(t, "gateway.yaml", good+"log: {level: error}"))
		if o.code != 0 || o.stderr != "" {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("a file that is not there", func(t *testing.T) {
		t.Parallel()
		o := runWith(t, env, nil, "serve", "--config", filepath.Join(t.TempDir(), "absent.yaml"))
		if o.code != 1 || o.served != nil || !strings.HasPrefix(o.stderr, "mcp-gateway: open ") {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("a file that is no configuration by its size", func(t *testing.T) {
		t.Parallel()
		o := runWith(t, env, nil, "serve", "--config", write(t, "gateway.yaml", strings.Repeat("#", maxFile+1)))
		if o.code != 1 || !strings.HasSuffix(o.stderr, "is larger than 1048576 bytes, which no configuration is\n") {
			t.Errorf("got %+v", o)
		}
	})
}

func TestTheEnvironmentWinsOverTheEnvFile(t *testing.T) {
	t.Parallel()
	file := write(t, "gateway.yaml", good)
	for _, tt := range []struct {
		name, envFile string
		env           map[string]string
		code          int
		stderr        string // of a failure, the beginning
	}{
		{name: "the file alone", envFile: "export MICROSOFT_CLIENT_SECRET='" + canary + "'\n"},
		{name: "both", envFile: "MICROSOFT_CLIENT_SECRET=another\n", env: map[string]string{"MICROSOFT_CLIENT_SECRET": canary}},
		{name: "the environment takes it away", envFile: "MICROSOFT_CLIENT_SECRET=another\n", env: map[string]string{"MICROSOFT_CLIENT_SECRET": ""},
			code: 1, stderr: file + ":2: microsoft.client_secret: is missing\n"},
		{name: "a twin in the other place is given twice", envFile: "MICROSOFT_CLIENT_SECRET=another\n",
			env:  map[string]string{"MICROSOFT_CLIENT_SECRET_FILE": write(t, "secret", canary)},
			code: 1, stderr: "environment: MICROSOFT_CLIENT_SECRET_FILE: the same setting is given twice: MICROSOFT_CLIENT_SECRET and MICROSOFT_CLIENT_SECRET_FILE\n"},
		{name: "a line that is none", envFile: canary + "\n", code: 1, stderr: "ENV:1: is not KEY=VALUE\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			envFile := write(t, ".env", tt.envFile)
			o := runWith(t, tt.env, nil, "serve", "--config", file, "--env-file", envFile)
			if o.code != tt.code || tt.code != 0 && !strings.HasPrefix(o.stderr, strings.Replace(tt.stderr, "ENV", envFile, 1)) {
				t.Fatalf("got %+v", o)
			}
			if tt.code == 0 && o.served.Microsoft.ClientSecret.Reveal() != canary {
				t.Error("another secret won")
			}
		})
	}
	o := runWith(t, nil, nil, "serve", "--config", file, "--env-file", filepath.Join(t.TempDir(), "absent"))
	if o.code != 1 || !strings.HasPrefix(o.stderr, "mcp-gateway: open ") {
		t.Errorf("an env file that is not there: got %+v", o)
	}
}

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MICROSOFT_CLIENT_SECRET": canary}

	t.Run("it shows the settings and starts nothing", func(t *testing.T) {
		t.Parallel()
		o := runWith(t, env, nil, "check-config", "--config", write(t, "gateway.yaml", good))
		if o.code != 0 || o.stderr != "" || o.served != nil || !strings.Contains(o.stdout, "\n  client_secret: '[redacted]' # MICROSOFT_CLIENT_SECRET in the environment\n") {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("a warning is not part of the answer", func(t *testing.T) {
		t.Parallel()
		noRule, _, _ := strings.Cut(good, "access:")
		o := runWith(t, env, nil, "check-config", "--config", write(t, "gateway.yaml", noRule))
		if o.code != 0 || strings.Contains(o.stdout, "warning") || o.stderr != "mcp-gateway: warning: access has no rule: people can sign in and nobody can call a tool\n" {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("the end of a secret is told, and warned of", func(t *testing.T) {
		t.Parallel()
		for end, want := range map[string]string{
			"2099-12-31": "mcp-gateway: the client secret ends on 2099-12-31, and then nobody can sign in\n",
			"2020-12-31": "mcp-gateway: warning: the client secret ended on 2020-12-31, and nobody can sign in\n",
		} {
			file := write(t, "gateway.yaml", strings.Replace(good, "microsoft:\n", "microsoft:\n  client_secret_expires: "+end+"\n", 1))
			if o := runWith(t, env, nil, "check-config", "--config", file); o.code != 0 || o.stderr != want || !strings.Contains(o.stdout, "client_secret_expires: '"+end+"'") {
				t.Errorf("got %+v", o)
			}
		}
	})
	t.Run("a file that the gateway could not prove itself with", func(t *testing.T) {
		t.Parallel()
		for name, want := range map[string]string{
			"MICROSOFT_CLIENT_CERTIFICATE_PATH": "mcp-gateway: microsoft: the certificate file cannot be used: it has no private key: put the certificate and its key into one PEM file\n",
			"AZURE_FEDERATED_TOKEN_FILE":        "mcp-gateway: microsoft: the file of the federated token holds something else than one signed token\n",
		} {
			o := runWith(t, map[string]string{name: write(t, "file", canary)}, nil, "check-config", "--config", write(t, "gateway.yaml", good))
			if o.code != 1 || o.stdout != "" || o.stderr != want {
				t.Errorf("got %+v", o)
			}
		}
	})
	t.Run("all mistakes are listed with what to do", func(t *testing.T) {
		t.Parallel()
		file := write(t, "gateway.yaml", "state_dir: /var/lib/mcp-gateway\nlistn: 127.0.0.1:1\nmicrosoft:\n  client_id: "+canary+"\n  client_secret: "+canary+"\n")
		o := runWith(t, map[string]string{"MICROSOFT_TENANT_ID": "common"}, nil, "check-config", "--config", file)
		want := file + `:2: listn: there is no such key
    did you mean listen?
` + file + `:4: microsoft.client_id: is not a GUID
    copy the application (client) id from the overview of the app registration
` + file + `:5: microsoft.client_secret: does not belong in this file, because it is secret
    put it into a file of its own and name that with microsoft.client_secret_file, or set MICROSOFT_CLIENT_SECRET_FILE; and replace the secret if others could read this file
` + file + `: microsoft.allowed_tenants: is missing: tenant_id stands for every organization in the world
    list the ids of the directories whose people may sign in, or name one directory in tenant_id
mcp-gateway: the configuration has 4 mistakes
`
		if diff := cmp.Diff(outcome{code: 1, stderr: want}, o, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("outcome (-want +got):\n%s", diff)
		}
	})
}

func TestKeysRotateAndList(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	for _, word := range []string{"rotate", "list"} {
		if o := runWith(t, nil, nil, "keys", word, path); o.code != 1 || !strings.Contains(o.stderr, "make one with: mcp-gateway keys init") || o.stdout != "" {
			t.Errorf("%s without a ring: %+v", word, o)
		}
	}
	if o := runWith(t, nil, nil, "keys", "init", path); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	o := runWith(t, nil, nil, "keys", "rotate", path)
	if o.code != 0 || o.stdout != "" || !strings.Contains(o.stderr, "added key ") || !strings.Contains(o.stderr, "The older keys stay") {
		t.Errorf("rotate: %+v", o)
	}
	o = runWith(t, nil, nil, "keys", "list", path)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	if o.code != 0 || len(lines) != 3 || !strings.Contains(lines[1], "seals and opens") || !strings.Contains(lines[2], "opens, seals from ") {
		t.Errorf("list: %+v", o)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range regexp.MustCompile(`"key": "([^"]+)"`).FindAllSubmatch(data, -1) {
		if strings.Contains(o.stdout, string(key[1])) {
			t.Error("a key is shown")
		}
	}
}

func TestKeysInit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new folder", "keys.json")
	o := runWith(t, nil, nil, "keys", "init", path)
	if want := (outcome{stderr: "mcp-gateway: wrote " + path + "; keep a copy in a safe place\n"}); o != want {
		t.Fatalf("got %+v, want %+v", o, want)
	}
	if _, err := keyring.Load(path, time.Now()); err != nil {
		t.Errorf("the ring cannot be loaded: %v", err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o = runWith(t, nil, nil, "keys", "init", path)
	if o.code != 1 || !strings.Contains(o.stderr, "exists and is left as it is") {
		t.Errorf("again: got %+v", o)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the ring was changed (%v)", err)
	}
}

// brokenPipe is a standard output that nobody reads.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAnAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	t.Parallel()
	file := write(t, "gateway.yaml", good)
	for _, args := range []string{"help", "serve --help", "version", "check-config --config " + file} {
		var stderr bytes.Buffer
		c := command{stdout: brokenPipe{}, stderr: &stderr, env: func(name string) (string, bool) { return canary, name == "MICROSOFT_CLIENT_SECRET" }}
		if code := c.run(t.Context(), strings.Fields(args)); code != 1 || stderr.String() != "mcp-gateway: write the answer: io: read/write on closed pipe\n" {
			t.Errorf("%s: got %d, %q", args, code, stderr.String())
		}
	}
}
