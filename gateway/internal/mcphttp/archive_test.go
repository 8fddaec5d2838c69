package mcphttp_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// archived is one part of a conversation: "-- does of --" and what stands below it.
type archived struct{ does, of, body string }

// parseArchive reads the txtar format: a comment, and files after lines with their
// names.
func parseArchive(text string) (comment string, steps []archived) {
	var body strings.Builder
	end := func() {
		if len(steps) == 0 {
			comment = body.String()
		} else {
			steps[len(steps)-1].body = body.String()
		}
		body.Reset()
	}
	for line := range strings.Lines(text) {
		name, marked := strings.CutPrefix(strings.TrimRight(line, "\n"), "-- ")
		if name, closed := strings.CutSuffix(name, " --"); marked && closed {
			end()
			does, of, _ := strings.Cut(name, " ")
			steps = append(steps, archived{does: does, of: of})
			continue
		}
		body.WriteString(line)
	}
	end()
	return comment, steps
}

// formatArchive is the inverse of parseArchive.
func formatArchive(comment string, steps []archived) string {
	var text strings.Builder
	text.WriteString(comment)
	for _, s := range steps {
		text.WriteString("-- " + strings.TrimSpace(s.does+" "+s.of) + " --\n" + s.body)
	}
	return text.String()
}

// sent is a request as a archived writes it: method and path, headers, an empty line,
// the body.
type sent struct {
	method, path string
	header       http.Header
	body         string
}

// parseRequest reads a request. What nearly all have need not be written: a bearer,
// who is alice, and the types of content; a header without a value is not sent.
func parseRequest(text string) sent {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	r := sent{header: http.Header{}, body: strings.TrimRight(body, "\n")}
	r.method, r.path, _ = strings.Cut(lines[0], " ")
	r.header.Set("Authorization", "Bearer alice")
	r.header.Set("Accept", "application/json, text/event-stream")
	if r.method == http.MethodPost {
		r.header.Set("Content-Type", jsonType)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if r.header.Set(name, strings.TrimSpace(value)); strings.TrimSpace(value) == "" {
			r.header.Del(name)
		}
	}
	return r
}

// names are those of what a gateway makes up.
type names struct {
	named  map[string]string // by value
	values map[string]string // by name
	counts map[string]int
}

func newNames() *names {
	return &names{named: make(map[string]string), values: make(map[string]string), counts: make(map[string]int)}
}

// madeUp finds what is made up: the first group of each is the value.
var madeUp = []struct {
	kind string
	at   *regexp.Regexp
}{
	{"session", regexp.MustCompile(`(?m)^Mcp-Session-Id: (.+)$`)},
	{"stream", regexp.MustCompile(`session_id=(\w+)`)},
	{"event", regexp.MustCompile(`(?m)^id: (.+)$`)},
	{"state", regexp.MustCompile(`"requestState":"([^"]+)"`)},
	{"question", regexp.MustCompile(`"(gateway-[A-Z2-7]+)"`)},
}

// hide puts names in place of values, new ones if need be.
func (n *names) hide(text string) string {
	for _, m := range madeUp {
		text = m.at.ReplaceAllStringFunc(text, func(found string) string {
			value := m.at.FindStringSubmatch(found)[1]
			name := n.named[m.kind+" "+value]
			if name == "" {
				n.counts[m.kind]++
				name = "$" + m.kind + strconv.Itoa(n.counts[m.kind])
				n.named[m.kind+" "+value], n.values[name] = name, value
			}
			return strings.Replace(found, value, name, 1)
		})
	}
	return text
}

var (
	named = regexp.MustCompile(`\$(?:session|stream|event|state|question)\d+`)
	// times is $51(x): x, 51 times with commas between.
	times = regexp.MustCompile(`\$(\d+)\((.*)\)`)
)

// modernMeta is what $meta stands for.
const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// show puts values in place of names.
func (n *names) show(text string) string {
	text = strings.ReplaceAll(text, "$meta", modernMeta)
	text = times.ReplaceAllStringFunc(text, func(found string) string {
		parts := times.FindStringSubmatch(found)
		count, _ := strconv.Atoi(parts[1])
		return strings.TrimSuffix(strings.Repeat(parts[2]+",", count), ",")
	})
	return named.ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := n.values[name]; ok {
			return value
		}
		return fmt.Sprintf("(nothing is %s)", name)
	})
}

func TestConversationsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	const text = "What it is.\n-- request a --\nPOST /mcp\nX: y\n\n{}\n-- started --\n-- response a --\n200 OK\n"
	comment, steps := parseArchive(text)
	want := []archived{
		{does: "request", of: "a", body: "POST /mcp\nX: y\n\n{}\n"}, {does: "started"}, {does: "response", of: "a", body: "200 OK\n"},
	}
	if diff := cmp.Diff(want, steps, cmp.AllowUnexported(archived{})); diff != "" || comment != "What it is.\n" {
		t.Errorf("%q\n%s", comment, diff)
	}
	if again := formatArchive(comment, steps); again != text {
		t.Errorf("%q", again)
	}
	n := newNames()
	hidden := n.hide("Mcp-Session-Id: s-1\nid: 1-0\nid: 1-1\nid: 1-0\n")
	if hidden != "Mcp-Session-Id: $session1\nid: $event1\nid: $event2\nid: $event1\n" {
		t.Errorf("hidden: %q", hidden)
	}
	if shown := n.show("$session1 $event2 $3(x) $event9"); shown != "s-1 1-1 x,x,x (nothing is $event9)" {
		t.Errorf("shown: %q", shown)
	}
}
