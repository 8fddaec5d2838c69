package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		resource, server string
		want             bool
	}{
		{"https://h.example/mcp", "https://h.example/mcp", true},
		{"HTTPS://H.example:443/mcp/", "https://h.example/mcp", true},
		{"https://h.example", "https://h.example/a/mcp", true},
		{"https://h.example/a", "https://h.example/a/mcp", true},
		{"https://h.example/mcp?x=1", "https://h.example/mcp?x=1", true},
		{"https://h.example/mcp?x=2", "https://h.example/mcp?x=1", false},
		{"https://h.example/?x=1", "https://h.example/mcp?x=1", false},
		{"https://h.example/a/m", "https://h.example/a/mcp", false},
		{"https://h.example/a/mcp/x", "https://h.example/a/mcp", false},
		{"https://h.example/MCP", "https://h.example/mcp", false},
		{"https://h.example:8443/mcp", "https://h.example/mcp", false},
		{"http://h.example/mcp", "https://h.example/mcp", false},
		{"https://h.example.evil.example/mcp", "https://h.example/mcp", false},
		{"https://h.example@evil.example/mcp", "https://h.example/mcp", false},
		{"https://u@h.example/mcp", "https://h.example/mcp", false},
		{"https://h.example/mcp#x", "https://h.example/mcp", false},
		{"/mcp", "https://h.example/mcp", false},
		{"", "https://h.example/mcp", false},
		{"%", "https://h.example/mcp", false},
	} {
		server, err := url.Parse(tt.server)
		if err != nil {
			t.Fatal(err)
		}
		if got := covers(tt.resource, server); got != tt.want {
			t.Errorf("%q for %s: %t", tt.resource, tt.server, got)
		}
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]time.Duration{
		"3600": time.Hour, `"3600"`: time.Hour, "3600.5": time.Hour + 500*time.Millisecond, "1e300": maxLifetime,
		"": 0, "null": 0, "0": 0, "-1": 0, `"NaN"`: 0, `"Inf"`: maxLifetime, `"soon"`: 0, "[]": 0,
	} {
		if got := lifetime(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	token := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"
	}
	for in, want := range map[string]string{
		token(`{"sub":"1","email":"a@b.example","preferred_username":"ada"}`): "ada",
		token(`{"sub":"1","email":"a@b.example"}`):                            "a@b.example",
		token(`{"sub":"1"}`):         "1",
		token(`{"sub":"\u001b[2J"}`): "[2J",
		token(`{"sub":1}`):           "",
		token(`[]`):                  "",
		"e30.!.x":                    "",
		"":                           "",
	} {
		if got := subject(in); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "plain", " a \n b ", "\x1b[31mred", "a\u202eb", "\xff", strings.Repeat("é ", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxText || strings.TrimSpace(got) != got || clean(got) != got {
			t.Errorf("%q gives %q", s, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q gives %q", s, got)
		}
	})
}

func FuzzParseTokens(f *testing.F) {
	for _, s := range []string{
		`{"access_token":"a","token_type":"bearer","expires_in":3600}`,
		`{"access_token":"a","token_type":"Bearer","expires_in":"60","refresh_token":"r","scope":"x y","id_token":"e30.e30.x"}`,
		`{"access_token":"","token_type":"Bearer"}`, `{"access_token":"a"}`, `[]`, `{`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTokens([]byte(s))
		if err != nil {
			return
		}
		if !headerSafe(got.access) || got.lifetime < 0 || got.lifetime > maxLifetime || clean(got.subject) != got.subject {
			t.Errorf("%s gives access token safe %t, lifetime %v, subject %q", s, headerSafe(got.access), got.lifetime, got.subject)
		}
	})
}
