package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/config"
)

func TestParseEnvFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, data string
		want       map[string]string
	}{
		{name: "nothing", data: "", want: map[string]string{}},
		{name: "blank lines and comments", data: "\n  \n# A=1\n  # B=2\n", want: map[string]string{}},
		{name: "several lines", data: "A=1\nB=2", want: map[string]string{"A": "1", "B": "2"}},
		{name: "the line ends of Windows, and its byte order mark", data: "\ufeffA=1\r\nB=2\r\n", want: map[string]string{"A": "1", "B": "2"}},
		{name: "the word export", data: "export A=1\nexport\tB=2", want: map[string]string{"A": "1", "B": "2"}},
		{name: "a variable called export", data: "export=1", want: map[string]string{"export": "1"}},
		{name: "space around the sign", data: "  A = 1 ", want: map[string]string{"A": "1"}},
		{name: "no value", data: "A=\nB= # none", want: map[string]string{"A": "", "B": ""}},
		{name: "a comment behind a value", data: "A=1 # one\nB='2'\t# two", want: map[string]string{"A": "1", "B": "2"}},
		{name: "a # that belongs to a value", data: "A=a#b\nB='a # b'", want: map[string]string{"A": "a#b", "B": "a # b"}},
		{name: "an = that belongs to a value", data: "A=b=c==", want: map[string]string{"A": "b=c=="}},
		{name: "nothing is expanded", data: "A=$B\nC=\"${B}\"", want: map[string]string{"A": "$B", "C": "${B}"}},
		{name: "single quotes keep everything", data: `A='\n"$x'`, want: map[string]string{"A": `\n"$x`}},
		{name: "double quotes know some escapes", data: `A="\n\r\t\\\"\$'"`, want: map[string]string{"A": "\n\r\t\\\"$'"}},
		{name: "backslashes and quotes within a plain value", data: `A=a\nb"c"'d'`, want: map[string]string{"A": `a\nb"c"'d'`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.ParseEnvFile(".env", []byte(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseEnvFileRefuses(t *testing.T) {
	t.Parallel()
	const (
		noPair   = "is not KEY=VALUE"
		unclosed = "has a quote that is not closed on its line"
		behind   = "goes on behind its closing quote"
		noText   = "is not plain text in UTF-8"
	)
	for _, tt := range []struct{ name, line, want string }{
		{"no sign", canary, noPair},
		{"no key", "=" + canary, noPair},
		{"a key with a space", "A B=" + canary, noPair},
		{"a key that begins with a digit", "1A=" + canary, noPair},
		{"a key with a dash", canary + "=x", noPair},
		{"two words before the key", "export export A=" + canary, noPair},
		{"an open single quote", "A='" + canary, "A: " + unclosed},
		{"an open double quote", `A="` + canary, "A: " + unclosed},
		{"a double quote that is escaped", `A="` + canary + `\"`, "A: " + unclosed},
		{"a backslash at the end", `A="` + canary + `\`, "A: " + unclosed},
		{"an unknown escape", `A="` + canary + `\x"`, `A: has a backslash in double quotes that does not stand before one of n r t \ " $`},
		{"more behind single quotes", "A='" + canary + "'" + canary, "A: " + behind},
		{"more behind double quotes", `A="" ` + canary, "A: " + behind},
		{"a comment without a space before it", "A=''#" + canary, "A: " + behind},
		{"backticks", "A=`" + canary + "`", "A: begins with a backtick, which is a quote to some readers and not to others"},
		{"a NUL", "A=" + canary + "\x00", noText},
		{"a lone carriage return", "A=" + canary + "\rB=1", noText},
		{"bytes that are no text", "A=" + canary + "\xff", noText},
		{"a key for the second time", "FIRST=" + canary, "FIRST: stands twice, first on line 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.ParseEnvFile(".env", []byte("FIRST=1\n"+tt.line+"\nLAST"))
			if got != nil {
				t.Errorf("got variables %q beside the error", got)
			}
			want := []string{".env:2: " + tt.want, ".env:3: " + noPair}
			if diff := cmp.Diff(want, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the value is in the problem: %v", err)
			}
		})
	}
}

func FuzzParseEnvFile(f *testing.F) {
	for _, seed := range []string{
		"A=1\nexport B='2' # two\n", "A=\"\\n\\$\"", "\ufeffA=#", "A='", "=", "A=a #b", "A=a#b", "export=1", "A=`", "A=\x00", "A=\xff", "A=1\rB=2",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		env, err := config.ParseEnvFile(".env", data)
		if err != nil {
			problems(t, err)
			return
		}
		// What was accepted can be written and read again.
		quote := strings.NewReplacer("\\", `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`)
		var text strings.Builder
		for key, value := range env {
			text.WriteString("export " + key + `="` + quote.Replace(value) + "\" # again\n")
		}
		again, err := config.ParseEnvFile(".env", []byte(text.String()))
		if err != nil {
			t.Fatalf("written as\n%s\nit is refused: %v", text.String(), err)
		}
		if diff := cmp.Diff(env, again); diff != "" {
			t.Errorf("read again (-first +again):\n%s", diff)
		}
	})
}
