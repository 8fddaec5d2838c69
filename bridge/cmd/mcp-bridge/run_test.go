package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// result is what one run of the command left.
type result struct {
	code           int
	stdout, stderr string
}

// runWith runs the command with a browser and variables.
func runWith(t *testing.T, open func(context.Context, string) error, env map[string]string, args ...string) result {
	t.Helper()
	return runTyping(t, strings.NewReader(""), open, env, args...)
}

// runTyping runs the command for a person who types at a terminal.
func runTyping(t *testing.T, stdin io.Reader, open func(context.Context, string) error, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr strings.Builder
	c := command{
		stdin: stdin, stdout: &stdout, stderr: io.MultiWriter(&stderr, t.Output()),
		getenv: func(name string) string { return env[name] },
		open:   open, terminal: true, goos: "linux",
	}
	code := c.run(t.Context(), args)
	return result{code, stdout.String(), stderr.String()}
}

// noBrowser fails a test that opens one.
func noBrowser(t *testing.T) func(context.Context, string) error {
	return func(context.Context, string) error {
		t.Error("a browser was opened")
		return nil
	}
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const url = "https://gateway.example.com/mcp"
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nothing":                        {nil, exitUsage, "address of the server is missing"},
		"only an option":                 {[]string{"--no-browser"}, exitUsage, "needs the address"},
		"no command and no address":      {[]string{"logni"}, exitUsage, `"logni" is neither a command nor the address`},
		"two addresses":                  {[]string{url, url}, exitUsage, "one address is enough"},
		"login without an address":       {[]string{"login"}, exitUsage, "login needs the address"},
		"logout without an address":      {[]string{"logout"}, exitUsage, "logout needs the address"},
		"an unknown option":              {[]string{url, "--token-stor", "file"}, exitUsage, "there is no option --token-stor; the options are --account"},
		"another command's option":       {[]string{url, "--forget-client"}, exitUsage, "there is no option --forget-client"},
		"an option without its value":    {[]string{url, "--account"}, exitUsage, "needs an argument"},
		"a store that is not there":      {[]string{url, "--token-store", "cloud"}, exitUsage, "want keychain, file or memory"},
		"a level that is not there":      {[]string{url, "--log-level", "loud"}, exitUsage, "want debug, info, warn or error"},
		"an option before the command":   {[]string{"--account", "a", "login", url}, exitUsage, "login is a command when it comes first"},
		"a secret that is empty":         {[]string{url, "--client-id", "x", "--client-secret-file", empty}, exitFailure, "is empty"},
		"a password and another scheme":  {[]string{"ftp://user:pass@gateway.example.com"}, exitUsage, "must not hold a name or password"},
		"a password and no scheme":       {[]string{"user:pass@gateway.example.com"}, exitUsage, `"gateway.example.com" is neither`},
		"a secret without its client":    {[]string{url, "--client-secret-file", empty}, exitUsage, "needs --client-id"},
		"a secret that cannot be read":   {[]string{url, "--client-id", "x", "--client-secret-file", filepath.Join(dir, "none")}, exitFailure, "--client-secret-file: open"},
		"certificates that are not":      {[]string{url, "--ca-cert", empty}, exitFailure, "no certificate in PEM form"},
		"certificates not to be read":    {[]string{url, "--ca-cert", filepath.Join(dir, "none")}, exitFailure, "--ca-cert: open"},
		"http beyond this machine":       {[]string{"http://gateway.example.com/mcp"}, exitUsage, "--allow-http"},
		"a name that looks like this":    {[]string{"http://localhost.example.com/mcp"}, exitUsage, "--allow-http"},
		"another scheme":                 {[]string{"ftp://gateway.example.com/mcp"}, exitUsage, "http or https"},
		"a password in the address":      {[]string{"https://user:pass@gateway.example.com/mcp"}, exitUsage, "must not hold a name or password"},
		"a fragment":                     {[]string{url + "#x"}, exitUsage, "fragment"},
		"no host":                        {[]string{"https:///mcp"}, exitUsage, "names no host"},
		"an address that is none":        {[]string{"https://[::1/mcp"}, exitUsage, "cannot be read"},
		"help on what is not there":      {[]string{"help", "install"}, exitUsage, `no help on "install"`},
		"version with more":              {[]string{"version", "x"}, exitUsage, "version does not take"},
		"a way that there is not":        {[]string{url, "--sign-in", "pigeon"}, exitUsage, "want browser, device or paste"},
		"two ways":                       {[]string{"login", url, "--device", "--paste"}, exitUsage, "device was chosen already"},
		"two ways, differently":          {[]string{"login", url, "--sign-in", "browser", "--paste"}, exitUsage, "browser was chosen already"},
		"a way with a value":             {[]string{"login", url, "--device=no"}, exitUsage, "takes no value"},
		"login's way for a host":         {[]string{url, "--device"}, exitUsage, "there is no option --device"},
		"a sign-in that is lost at once": {[]string{"login", url, "--token-store", "memory"}, exitUsage, "would forget the sign-in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runWith(t, noBrowser(t), nil, tc.args...)
			if got.code != tc.code || !strings.Contains(got.stderr, tc.says) || got.stdout != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d and %q", got.code, got.stdout, got.stderr, tc.code, tc.says)
			}
			if tc.code == exitUsage && !strings.Contains(got.stderr, `Run "mcp-bridge help`) {
				t.Errorf("no next step in %q", got.stderr)
			}
			if strings.Contains(got.stderr, "user:pass") {
				t.Error("the password is repeated")
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, page := range []string{"", "login", "logout", "status"} {
		want, err := pages.ReadFile("help/" + strings.TrimPrefix(page+".txt", ".txt"))
		if page == "" {
			want, err = pages.ReadFile("help/mcp-bridge.txt")
		}
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(string(want))
		lines := [][]string{{"help", page}, {page, "--help"}, {page, "https://x.example/mcp", "-h"}}
		if page == "" {
			lines = [][]string{{"help"}, {"--help"}, {"-h"}, {"https://x.example/mcp", "--help"}, {"version", "--help"}, {"help", "--help"}, {"help", "version"}}
		}
		for _, args := range lines {
			got := runWith(t, noBrowser(t), nil, args...)
			if got.code != exitOK || got.stdout != string(want) || got.stderr != "" {
				t.Errorf("%q: exit %d, stderr %q, stdout %.60q", args, got.code, got.stderr, got.stdout)
			}
		}
		for line := range strings.Lines(string(want)) {
			if len(line) > 81 {
				t.Errorf("%s: a line of %d: %s", page, len(line), line)
			}
		}
	}
	known := map[string]bool{"help": true, "version": true}
	for _, name := range []string{"", "login", "logout", "status"} {
		newFlags(name, &options{}).VisitAll(func(f *flag.Flag) { known[f.Name] = true })
	}
	for name := range known {
		if name != "help" && name != "version" && !strings.Contains(all.String(), "--"+name) {
			t.Errorf("no page has --%s", name)
		}
	}
	for _, option := range regexp.MustCompile(`--([a-z][a-z-]+)`).FindAllStringSubmatch(all.String(), -1) {
		if !known[option[1]] {
			t.Errorf("a page has %s, which is no option", option[0])
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"version", "--version", "-version"} {
		got := runWith(t, noBrowser(t), nil, arg)
		if got.code != exitOK || !regexp.MustCompile(`^mcp-bridge \S+ go\S+ \S+/\S+\n$`).MatchString(got.stdout) {
			t.Errorf("%s: %+v", arg, got)
		}
	}
}

func TestOptionsStandOnBothSidesOfTheAddress(t *testing.T) {
	t.Parallel()
	c := command{getenv: func(string) string { return "" }}
	for _, line := range []string{
		"--account a https://x.example/mcp --token-store file --scope=one --scope two\tthree",
		"https://x.example/mcp --account a --token-store file --scope one --scope two --scope three",
		"--account=a --token-store=file --scope one --scope two --scope three https://x.example/mcp",
	} {
		o, err := c.parse("", strings.Split(line, " "), false)
		if err != nil || o.server != "https://x.example/mcp" || o.account != "a" || o.tokenStore != "file" || fmt.Sprint(o.scopes) != "[one two three]" {
			t.Errorf("%s: %+v, %v", line, o, err)
		}
	}
}

func TestServersAreSpelledInOneWay(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://x.example/mcp":            "https://x.example/mcp",
		"HTTPS://X.Example:443/MCP":        "https://x.example/MCP",
		"https://x.example/":               "https://x.example",
		"https://x.example":                "https://x.example",
		"https://x.example:/mcp":           "https://x.example/mcp",
		"https://x.example/mcp/":           "https://x.example/mcp/",
		"https://x.example:8443/mcp?a=b":   "https://x.example:8443/mcp?a=b",
		"http://localhost:80/mcp":          "http://localhost/mcp",
		"http://LOCALHOST:8788/mcp":        "http://localhost:8788/mcp",
		"http://127.0.0.1:8788/sse":        "http://127.0.0.1:8788/sse",
		"http://[::1]:8788/mcp":            "http://[::1]:8788/mcp",
		"http://127.1.2.3/mcp":             "http://127.1.2.3/mcp",
		"https://x.example/a%2Fb?q=%C3%A9": "https://x.example/a%2Fb?q=%C3%A9",
	} {
		if got, err := parseServer(raw, false); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", raw, got, err, want)
		}
	}
	if got, err := parseServer("http://gateway.example.com/mcp", true); err != nil || got != "http://gateway.example.com/mcp" {
		t.Errorf("with --allow-http: %q, %v", got, err)
	}
}

func FuzzParseServer(f *testing.F) {
	for _, seed := range []string{"https://X.example:443/", "http://[::1]:80/a?b#c", "http://localhost@evil.example/", "https://x%2eexample/"} {
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, allowHTTP bool) {
		got, err := parseServer(raw, allowHTTP)
		if err != nil {
			return
		}
		again, err := parseServer(got, allowHTTP)
		if err != nil || again != got {
			t.Errorf("%q became %q, which becomes %q, %v", raw, got, again, err)
		}
		if !strings.HasPrefix(got, "https://") && !strings.HasPrefix(got, "http://") || strings.Contains(got, "#") {
			t.Errorf("%q became %q", raw, got)
		}
	})
}
