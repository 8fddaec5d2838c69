package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Source is where a configuration comes from.
type Source struct {
	// File is the name of the YAML file, as problems show it. Relative paths
	// in the file start from its folder.
	File string
	// Data is the content of File; without any, all values are defaults or
	// come from Env.
	Data []byte
	// Env looks up an environment variable. An empty one counts as not set.
	Env func(name string) (string, bool)
	// ReadFile reads a file that holds a secret; os.ReadFile if it is nil.
	ReadFile func(name string) ([]byte, error)
	// InsecureDevelopment is for the development stack: see Config.
	InsecureDevelopment bool
}

// environment is what Problem.File says of a variable.
const environment = "environment"

// maxSecretFile bounds a file that holds one value.
const maxSecretFile = 64 << 10

// loader reads one Source.
type loader struct {
	src      Source
	cfg      *Config
	problems Problems
	// nodes are the values of the file by key, lines the place of each key
	// and section.
	nodes map[string]*yaml.Node
	lines map[string]int
	// bad are the settings that have a problem already, and meant those that
	// a key which does not exist seems to have been meant for. What depends
	// on them is not checked, so that one mistake is one problem.
	bad, meant map[string]bool
}

func newLoader(src Source) *loader {
	return &loader{
		src: src,
		cfg: &Config{InsecureDevelopment: src.InsecureDevelopment, origins: make(map[string]string)},

		nodes: make(map[string]*yaml.Node), lines: make(map[string]int),
		bad: make(map[string]bool), meant: make(map[string]bool),
	}
}

// Load reads and checks a configuration. Its error is Problems: all of them.
func Load(src Source) (*Config, error) {
	l := newLoader(src)
	root, err := l.document()
	if err != nil {
		return nil, err // nothing else can be told of a file that is no YAML
	}
	l.section("", root)
	for i := range settings {
		l.load(&settings[i])
	}
	for _, r := range recordLists {
		r.load(l, l.nodes[r.in()])
	}
	l.finish()
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	return l.cfg, nil
}

// value is one text and where it stands.
type value struct {
	text string
	// file, line and key are as in Problem.
	file string
	line int
	key  string
	// origin is what Redacted says of it.
	origin string
}

func (l *loader) report(v value, message, remedy string) {
	l.problems = append(l.problems, Problem{File: v.file, Line: v.line, Key: v.key, Message: message, Remedy: remedy})
}

// blame reports a problem of a key that is not about its text alone.
func (l *loader) blame(key, message, remedy string) {
	l.bad[key] = true
	l.report(value{file: l.src.File, line: l.lines[key], key: key}, message, remedy)
}

// load finds the value of a setting, in exactly one place, and parses it. What
// is wrong with any of the places or values is reported, not only the first.
func (l *loader) load(s *setting) {
	values, found := l.find(s)
	switch {
	case found:
	case l.bad[s.key] || l.meant[s.key]:
		l.bad[s.key] = true
	case s.missing != "":
		section, _, _ := strings.Cut(s.key, ".")
		l.bad[s.key] = true
		l.report(value{file: l.src.File, line: l.lines[section], key: s.key}, "is missing", s.missing)
	case s.initial != "":
		values = []value{{text: s.initial, origin: "default"}}
	}
	for _, v := range values {
		var refused *refusal
		switch {
		case v.text == "":
			refused = &refusal{"is empty", "give it a value, or leave the key out"}
		case strings.ContainsFunc(v.text, unicode.IsControl):
			refused = &refusal{"holds a line break or another control character", "remove it"}
		default:
			refused = s.parse(l.cfg, v.text)
		}
		if refused != nil {
			l.bad[s.key] = true
			l.report(v, refused.message, refused.remedy)
		}
		l.cfg.origins[s.key] = v.origin
	}
}

// find returns the values of a setting and whether somebody gave it, even if
// wrongly.
func (l *loader) find(s *setting) (values []value, found bool) {
	var places []string
	if node := l.nodes[s.fileKey()]; node != nil {
		places = append(places, fmt.Sprintf("%s (%s:%d)", s.fileKey(), l.src.File, node.Line))
		given, ok := l.fromFile(s, node)
		l.bad[s.key] = l.bad[s.key] || !ok
		values = append(values, given...)
	}
	for _, name := range s.variables() {
		text, ok := l.env(name)
		if !ok {
			continue
		}
		places = append(places, name)
		v := value{text: text, file: environment, key: name, origin: name + " in the environment"}
		if name != s.env {
			v, ok = l.content(v, text)
		}
		l.bad[s.key] = l.bad[s.key] || !ok
		if ok {
			values = append(values, s.split(v)...)
		}
	}
	if len(places) > 1 {
		l.bad[s.key] = true
		v := value{file: environment, key: places[len(places)-1]}
		l.report(v, "the same setting is given twice: "+strings.Join(places, " and "), "keep one of them")
	}
	return values, len(places) > 0
}

// variables are those that can give the setting.
func (s *setting) variables() []string {
	switch {
	case s.env == "":
		return nil
	case s.kind == path:
		return []string{s.env}
	}
	return []string{s.env, s.env + "_FILE"}
}

// split is the values of a variable: several in a list, with commas or white space
// between them.
func (s *setting) split(v value) []value {
	if s.kind != list {
		return []value{v}
	}
	var values []value
	for text := range strings.FieldsFuncSeq(v.text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		one := v
		one.text = text
		values = append(values, one)
	}
	return values
}

func (l *loader) env(name string) (string, bool) {
	if l.src.Env == nil {
		return "", false
	}
	text, ok := l.src.Env(name)
	return text, ok && text != ""
}

// fromFile returns what a node of the file holds for a setting, and whether
// that is all there is.
func (l *loader) fromFile(s *setting, node *yaml.Node) ([]value, bool) {
	if s.kind == list {
		return l.list(s.key, node)
	}
	v, ok := l.scalar(s.fileKey(), node)
	if ok && v.text != "" && (s.kind == path || s.kind == hidden) && !filepath.IsAbs(v.text) {
		v.text = filepath.Join(filepath.Dir(l.src.File), v.text)
	}
	if ok && v.text != "" && s.kind == hidden {
		v, ok = l.content(v, v.text)
	}
	if !ok {
		return nil, false
	}
	return []value{v}, true
}

// content replaces a value by the content of the file that it names, without
// the white space around it: editors end a file with a line break. No problem
// repeats the name, because it could be the secret itself, put in the wrong
// place.
func (l *loader) content(v value, name string) (value, bool) {
	v.text = ""
	read := l.src.ReadFile
	if read == nil {
		read = os.ReadFile
	}
	data, err := read(name)
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	if err != nil {
		l.report(v, "the file cannot be read: "+err.Error(), "name a file that the gateway can read")
		return v, false
	}
	v.text = strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff"))
	switch {
	case len(data) > maxSecretFile || !utf8.Valid(data):
		l.report(v, "the file is not a short text in UTF-8", "put the value into the file and nothing else")
	case v.text == "":
		l.report(v, "the file is empty", "put the value into the file")
	default:
		return v, true
	}
	return v, false
}
