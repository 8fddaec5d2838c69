package config

import (
	"errors"
	"fmt"
	"strings"
)

// ParseEnvFile reads a file of NAME=value lines, as .env files are: blank lines
// and # comments, an optional export, single or double quotes. Nothing is
// expanded. A name that stands twice is an error, since readers differ on which
// one counts.
func ParseEnvFile(name string, data []byte) (map[string]string, error) {
	values := map[string]string{}
	var problems []error
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		key, value, err := parseEnvLine(strings.TrimSpace(strings.TrimSuffix(line, "\n")))
		if err == nil && key != "" {
			if _, twice := values[key]; twice {
				err = errors.New(key + " stands twice")
			}
			values[key] = value
		}
		if err != nil {
			problems = append(problems, Problem{Where: fmt.Sprintf("%s:%d", name, n), What: err.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return values, nil
}

// parseEnvLine returns no key for a line that sets nothing.
func parseEnvLine(line string) (key, value string, err error) {
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	line = strings.TrimPrefix(line, "export ")
	key, value, ok := strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" || strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" || key[0] >= '0' && key[0] <= '9' {
		return "", "", errors.New("the line is not NAME=value")
	}
	value = strings.TrimSpace(value)
	if value == "" || value[0] != '"' && value[0] != '\'' {
		// An unquoted value ends at a comment.
		if i := strings.Index(value, " #"); i >= 0 {
			value = strings.TrimSpace(value[:i])
		}
		return key, value, nil
	}
	end := strings.IndexByte(value[1:], value[0])
	if end < 0 {
		return "", "", errors.New("a quote does not end")
	}
	if rest := strings.TrimSpace(value[end+2:]); rest != "" && rest[0] != '#' {
		return "", "", errors.New("there is text after the closing quote")
	}
	return key, value[1 : end+1], nil
}
