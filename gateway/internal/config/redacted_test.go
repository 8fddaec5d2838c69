package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcp-gateway/gateway/internal/config"
)

const everything = `public_url: https://MCP.example.com:443/
listen: "[::]:8443"
tls: {certificate_file: /c.pem, key_file: /k.pem}
trusted_proxies: [10.0.0.0/8, 192.0.2.7]
microsoft: {client_secret_expires: 2027-03-31, guests: deny}
http: {allowed_hosts: ["other.example:8443"], allowed_origins: ["https://a.example"]}
access:
  - {name: "null", roles: [A, "12"], tools: ["*"]}
log: {level: debug, format: json}
`

func redacted(t *testing.T, c *config.Config) string {
	t.Helper()
	text, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, canary) {
		t.Errorf("the secret is in it:\n%s", text)
	}
	return text
}

func TestRedactedShowsEachValueWithItsOrigin(t *testing.T) {
	t.Parallel()
	text := redacted(t, mustLoad(t, everything, microsoft()))
	for _, want := range []string{
		"public_url: https://mcp.example.com # gateway.yaml:2\n",
		"listen: '[::]:8443' # gateway.yaml:3\n",
		"trusted_proxies: [10.0.0.0/8, 192.0.2.7/32] # gateway.yaml:5\n",
		"key_file: " + filepath.FromSlash("/state/keys.json") + " # default, in state_dir\n",
		"  client_secret: '[redacted]' # MICROSOFT_CLIENT_SECRET in the environment\n",
		"  call_timeout: 1m # default\n",
		"      per_minute: 120 # default\n",
		"  - name: 'null' # gateway.yaml:9\n    roles: [A, 12]\n",
		"  level: debug # gateway.yaml:10\n",
		"  client_secret_expires: '2027-03-31' # gateway.yaml:6\n",
		"  guests: deny # gateway.yaml:6\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not have %q:\n%s", want, text)
		}
	}
	if strings.Contains(redacted(t, mustLoad(t, "", microsoft())), "tls") {
		t.Error("it shows a section without a value")
	}
}

// reload reads what Redacted wrote; the secret still comes from the environment.
func reload(t *testing.T, c *config.Config, env map[string]string) *config.Config {
	t.Helper()
	var kept strings.Builder
	for line := range strings.Lines(redacted(t, c)) {
		if key, _, _ := strings.Cut(strings.TrimSpace(line), ":"); key != "client_secret" {
			kept.WriteString(line)
		}
	}
	again, err := config.Load(config.Source{
		Data: []byte(kept.String()), InsecureDevelopment: c.InsecureDevelopment,
		Env: lookup(map[string]string{"MICROSOFT_CLIENT_SECRET": env["MICROSOFT_CLIENT_SECRET"]}),
	})
	if err != nil {
		t.Fatalf("what it shows is refused:\n%v\n%s", err, kept.String())
	}
	return again
}

func TestRedactedReadAgainIsTheSame(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, everything, microsoft())
	if diff := cmp.Diff(c, reload(t, c, microsoft()), same, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("read again (-first +again):\n%s", diff)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(everything))
	for _, seed := range []string{
		"", "---\n", "a: b: c", "- x", "x: &a [*a]", "<<: {}", "? {}\n: x", "\xff\xfe", "access: [{}]", "access: {}", "http: {http: {}}",
		"tokens: {code_lifetime: 1h, refresh_idle: 9999999h}", "listen: ':0'", "listen: '[::1%25lo]:1'", "public_url: http://[::1]:8788",
		"trusted_proxies: ['::ffff:1.2.3.4', fe80::1%eth0/64]", "state_dir: ~", "log:\n", "public_url: https://a..b",
		"access: [{name: '#', users: [" + someID + "/" + someID + "], tools: ['*-*']}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "_file") {
			return // it would name a file to open
		}
		env := microsoft()
		c, err := config.Load(config.Source{Data: append([]byte("state_dir: /state\n"), data...), Env: lookup(env)})
		if err != nil {
			problems(t, err)
			return
		}
		if diff := cmp.Diff(c, reload(t, c, env), same, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("read again (-first +again):\n%s", diff)
		}
	})
}
