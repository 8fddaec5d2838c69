package gateway_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// troubleshooting is where people look for what they were told.
const troubleshooting = "docs/troubleshooting.md"

func TestTheTroubleshootingPageQuotesWhatTheGatewaySays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../" + troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	source, err := everySource(os.DirFS("internal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range unsaid(string(text), source) {
		t.Errorf("%s quotes what is nowhere in the source: %s", troubleshooting, words)
	}
}

// everySource is the text of all that the gateway is made of, and none of its tests.
func everySource(tree fs.FS) (string, error) {
	var b strings.Builder
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(tree, path)
		b.Write(data)
		return err
	})
	return b.String(), err
}

var (
	fence      = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	logMessage = regexp.MustCompile(`(?m) msg=(?:"([^"]+)"|(\S+))`)
	// variable is what differs from one message to the next.
	variable = regexp.MustCompile(`"?\.\.\."?`)
)

// unsaid are the messages of a text that no source has: the code spans of three
// words and more, and what the lines of a log are about. A span with a = is a
// piece of a line, or a command.
func unsaid(text, source string) (missing []string) {
	seen := 0
	look := func(words string) {
		seen++
		for _, part := range variable.Split(words, -1) {
			if !strings.Contains(source, strings.TrimSpace(part)) {
				missing = append(missing, words)
				return
			}
		}
	}
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		for _, m := range logMessage.FindAllStringSubmatch(block[2], -1) {
			look(m[1] + m[2])
		}
	}
	for _, span := range codeSpan.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		if strings.Count(span[1], " ") >= 2 && !strings.ContainsAny(span[1], "=/") {
			look(span[1])
		}
	}
	if seen == 0 {
		missing = append(missing, "nothing at all")
	}
	return missing
}

func TestAWrongQuotationIsFound(t *testing.T) {
	t.Parallel()
	const source = `"the host %.100q is not this gateway's", "token issued", "request"`
	for _, tt := range []struct{ name, text, want string }{
		{name: "a message", text: "| 403 `the host \"...\" is not this gateway's` |"},
		{name: "a line of a log", text: "```text\nlevel=INFO msg=\"token issued\" a=b\nlevel=INFO msg=request\n```\n"},
		{name: "a setting and a piece of a line", text: "`token issued`, `http.rates`, `msg=a b c`, `the host is`, `the host`", want: "the host is"},

		{name: "a message that is gone", text: "`the host \"...\" is another`", want: `the host "..." is another`},
		{name: "a log that is gone", text: "```text\nlevel=INFO msg=\"token given\"\n```\n", want: "token given"},
		{name: "no quotation", text: "`http.rates`", want: "nothing at all"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(unsaid(tt.text, source), "\n"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
