package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the folder that a newcomer has after git clone.
const root = "../../.."

// Each command of the documents is in documentedCommands, run or with the reason
// why not, and nothing else is.
func TestEveryCommandOfTheDocumentsIsKnown(t *testing.T) {
	t.Parallel()
	files := []string{filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"), filepath.Join(root, "SECURITY.md")}
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(docs) == 0 {
		t.Fatal("there are no documents", err)
	}
	known := map[string]bool{}
	for _, c := range documentedCommands {
		if known[c.command] {
			t.Errorf("%q is there twice", c.command)
		}
		known[c.command] = true
		if (c.left == "") == (c.want == "") {
			t.Errorf("%q is neither run, with something to look for, nor left out with a reason", c.command)
		}
	}
	found := map[string]bool{}
	for _, file := range append(files, docs...) {
		if documentsNotRun[filepath.Base(file)] != "" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		commands, problems := commandsOf(string(text))
		for _, p := range problems {
			t.Errorf("%s: %s", file, p)
		}
		for _, command := range commands {
			if found[command] = true; !known[command] {
				t.Errorf("%s: nobody runs %q: add it to documentedCommands", file, command)
			}
		}
	}
	for command := range known {
		if !found[command] {
			t.Errorf("no document has %q any more", command)
		}
	}
}

var (
	codeFence  = regexp.MustCompile("^ *```(\\w*)$")
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	afterwards = regexp.MustCompile(`\s+#.*$`)
	// programs are what a line or a code span begins with that is a command.
	programs = []string{"make", "go", "git", "npx", "npm", "claude", "curl", "sqlite3", "bin/mcp-gateway", "bin/mcp-bridge", "mcp-gateway", "mcp-bridge"}
)

// commandsOf are the commands of a document: the lines of its blocks of sh, and
// the code spans that begin with a program and have more than its name.
func commandsOf(text string) (commands, problems []string) {
	language, inside := "", false
	for i, line := range strings.Split(text, "\n") {
		if fence := codeFence.FindStringSubmatch(line); fence != nil {
			if language, inside = fence[1], !inside; inside && language == "" {
				problems = append(problems, fmt.Sprintf("line %d: a block without a language: sh for commands, text for what is none", i+1))
			}
			continue
		}
		line = strings.TrimSpace(afterwards.ReplaceAllString(line, ""))
		switch {
		case inside && language == "sh" && line != "":
			commands = append(commands, line)
		case inside && isCommand(line):
			problems = append(problems, fmt.Sprintf("line %d: a command in a block of %s", i+1, language))
		case !inside:
			for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
				if isCommand(span[1]) && strings.Contains(span[1], " ") {
					commands = append(commands, span[1])
				}
			}
		}
	}
	return commands, problems
}

func isCommand(line string) bool {
	program, _, _ := strings.Cut(line, " ")
	return slices.Contains(programs, program)
}

func TestCommandsAreFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text    string
		want, problem string
	}{
		{name: "a block", text: "```sh\nmake run     # it runs\n\n   bin/x a#b\n```\n", want: "make run; bin/x a#b"},
		{name: "a span", text: "Say `make test PKG=./x`, `make`, `keys init` or `claude mcp add x`.", want: "make test PKG=./x; claude mcp add x"},
		{name: "a block in a list", text: "1. Do\n   ```sh\n   make build\n   ```\n", want: "make build"},
		{name: "what is none", text: "```yaml\nmake: 1\n```\n```text\n`make run`\n```\n"},
		{name: "a block that may be anything", text: "```\nrm x\n```\n", problem: "line 1: a block without a language"},
		{name: "a command that hides", text: "```text\nmake run\n```\n", problem: "line 2: a command in a block of text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			commands, problems := commandsOf(tt.text)
			if got := strings.Join(commands, "; "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := strings.Join(problems, "; "); (got == "") != (tt.problem == "") || !strings.Contains(got, tt.problem) {
				t.Errorf("got the problem %q, want %q", got, tt.problem)
			}
		})
	}
}
