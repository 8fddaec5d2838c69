package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// quotedEscapes are what a backslash may stand before in double quotes.
var quotedEscapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '\\': '\\', '"': '"', '$': '$'}

// ParseEnvFile reads a file of KEY=VALUE lines, such as .env or .dev.vars: one
// on each line, with blank lines and # comments between them. "export " may
// stand before the key. A value is taken as it is up to the end of the line or
// to a # after white space; 'single quotes' keep everything, "double quotes"
// know \n \r \t \\ \" \$. Nothing is expanded. The error is Problems; no
// problem repeats what a line holds.
func ParseEnvFile(name string, data []byte) (map[string]string, error) {
	env := make(map[string]string)
	first := make(map[string]int)
	var problems Problems
	text := strings.TrimPrefix(string(data), "\ufeff") // some Windows editors begin with it
	number := 0
	for line := range strings.Lines(text) {
		number++
		key, value, bad := envLine(strings.TrimRight(line, "\r\n"))
		if bad == nil && key != "" && first[key] > 0 {
			bad = &refusal{fmt.Sprintf("stands twice, first on line %d", first[key]), "keep one of them"}
		}
		switch {
		case bad != nil:
			problems = append(problems, Problem{File: name, Line: number, Key: key, Message: bad.message, Remedy: bad.remedy})
		case key != "":
			env[key], first[key] = value, number
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return env, nil
}

// envLine returns the key and the value of a line; no key for a line that has
// none. With a refusal, the key is what is known of it.
func envLine(line string) (key, value string, bad *refusal) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return "", "", &refusal{"is not plain text in UTF-8", "save the file as UTF-8"}
	}
	name, rest, ok := strings.Cut(line, "=")
	if fields := strings.Fields(name); ok && len(fields) == 2 && fields[0] == "export" {
		name = fields[1]
	}
	name = strings.TrimSpace(name)
	if !ok || !envName.MatchString(name) {
		return "", "", &refusal{"is not KEY=VALUE", "write one on each line, and # before a comment; a value cannot go on to the next line"}
	}
	value, bad = envValue(strings.TrimSpace(rest))
	return name, value, bad
}

func envValue(text string) (string, *refusal) {
	if text == "" {
		return "", nil
	}
	switch text[0] {
	case '\'':
		value, after, closed := strings.Cut(text[1:], "'")
		if !closed {
			return "", unclosed
		}
		return value, trailing(after)
	case '"':
		value, after, bad := doubleQuoted(text[1:])
		if bad != nil {
			return "", bad
		}
		return value, trailing(after)
	case '`':
		return "", &refusal{"begins with a backtick, which is a quote to some readers and not to others", "use single quotes"}
	case '#':
		return "", nil // KEY= # comment
	}
	for i := 1; i < len(text); i++ {
		if text[i] == '#' && (text[i-1] == ' ' || text[i-1] == '\t') {
			text = text[:i]
		}
	}
	return strings.TrimSpace(text), nil
}

var unclosed = &refusal{"has a quote that is not closed on its line", "close it, or put a value that begins with a quote into the other kind of quotes"}

func doubleQuoted(text string) (value, after string, bad *refusal) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			return b.String(), text[i+1:], nil
		case '\\':
			i++
			if i == len(text) {
				return "", "", unclosed
			}
			plain, ok := quotedEscapes[text[i]]
			if !ok {
				return "", "", &refusal{"has a backslash in double quotes that does not stand before one of n r t \\ \" $", "write it twice, or use single quotes"}
			}
			b.WriteByte(plain)
		default:
			b.WriteByte(c)
		}
	}
	return "", "", unclosed
}

// trailing allows only a comment behind a quoted value.
func trailing(after string) *refusal {
	if t := strings.TrimSpace(after); t == "" || t[0] == '#' && t != after {
		return nil
	}
	return &refusal{"goes on behind its closing quote", "put all of the value into the quotes"}
}
