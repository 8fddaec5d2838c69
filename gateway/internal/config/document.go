package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// The file is read as nodes rather than into a struct: nodes know their lines,
// and show what a decoder drops (a key given twice, a value of another kind).

// document returns the mapping that the file is; nil if the file is empty.
func (l *loader) document() (*yaml.Node, error) {
	var docs []yaml.Node
	if err := yaml.Load(l.src.Data, &docs, yaml.WithAllDocuments()); err != nil {
		return nil, Problems{l.syntax(err)}
	}
	if len(docs) > 1 {
		return nil, Problems{{File: l.src.File, Line: docs[1].Line, Message: "a second document begins here", Remedy: "remove the line ---, and what is behind it"}}
	}
	if len(docs) == 0 || len(docs[0].Content) == 0 || empty(docs[0].Content[0]) {
		return nil, nil
	}
	root := docs[0].Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, Problems{{File: l.src.File, Line: root.Line, Message: "the file is not a list of settings", Remedy: "write lines such as: state_dir: /var/lib/mcp-gateway"}}
	}
	return root, nil
}

// syntax is what the YAML reader says, without its repeating what it read: a
// secret that begins with * would be taken for an alias.
func (l *loader) syntax(err error) Problem {
	p := Problem{File: l.src.File, Message: "this is not YAML", Remedy: "look at the indentation, the quotes and the colons around here"}
	if at, ok := errors.AsType[*yaml.LoadError](err); ok {
		p.Line = at.Mark.Line
		p.Message += ": " + at.Message
		if strings.HasPrefix(at.Message, "unknown anchor") {
			p.Message, p.Remedy = "a value that begins with * is an alias in YAML", "put the value in quotes"
		}
	}
	return p
}

// inFile are the settings by the key they have in the file, and sections are
// the keys above them.
var inFile, sections = func() (map[string]*setting, map[string]bool) {
	keys, above := make(map[string]*setting), make(map[string]bool)
	for i := range settings {
		key := settings[i].fileKey()
		keys[key] = &settings[i]
		for dot := strings.LastIndexByte(key, '.'); dot >= 0; dot = strings.LastIndexByte(key, '.') {
			key = key[:dot]
			above[key] = true
		}
	}
	return keys, above
}()

// section collects the nodes of the settings below prefix.
func (l *loader) section(prefix string, mapping *yaml.Node) {
	for _, p := range l.pairs(prefix, mapping) {
		key := prefix + p.name.Value
		l.lines[key] = p.name.Line
		s := inFile[key]
		switch {
		case sections[key] && empty(p.node):
			// All that was in it is commented out.
		case sections[key] && p.node.Kind != yaml.MappingNode:
			l.report(l.at(key, p.node), "is a section, not a value", "write its keys below it, indented")
			for _, s := range inFile {
				l.bad[s.key] = l.bad[s.key] || strings.HasPrefix(s.key, key+".")
			}
		case sections[key]:
			l.section(key+".", p.node)
		case recordsAt(key) != nil:
			l.nodes[key] = p.node
		case s == nil:
			l.unknown(prefix, p.name)
		case empty(p.node) && s.kind != list:
			l.report(l.at(key, p.name), "has no value", "give it one, or leave the key out")
			l.bad[s.key] = true
		case !empty(p.node):
			l.nodes[key] = p.node
		}
	}
}

// unknown reports a key that there is not, and what was likely meant.
func (l *loader) unknown(prefix string, name *yaml.Node) {
	key := prefix + name.Value
	if s := inFile[key+"_file"]; s != nil && s.kind == hidden {
		l.meant[s.key] = true
		l.report(l.at(key, name), "does not belong in this file, because it is secret",
			"put it into a file of its own and name that with "+s.fileKey()+", or set "+s.env+"_FILE; and replace the secret if others could read this file")
		return
	}
	var siblings []string
	for k := range inFile {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			sibling, _, _ := strings.Cut(rest, ".")
			siblings = append(siblings, sibling)
		}
		if strings.HasSuffix(k, "."+name.Value) {
			l.meant[inFile[k].key] = true
			l.report(l.at(key, name), "stands in the wrong place", "its place is "+k)
			return
		}
	}
	if prefix == "" {
		for _, r := range recordLists {
			siblings = append(siblings, r.in())
		}
	}
	slices.Sort(siblings)
	remedy := "the keys here are: " + strings.Join(slices.Compact(siblings), ", ")
	if near := Nearest(name.Value, siblings); near != "" {
		remedy = "did you mean " + near + "?"
		if s := inFile[prefix+near]; s != nil {
			l.meant[s.key] = true
		}
	}
	l.report(l.at(key, name), "there is no such key", remedy)
}

// pair is one entry of a mapping.
type pair struct{ name, node *yaml.Node }

// pairs returns the entries of a mapping, and reports the keys that are no
// names or that stand twice.
func (l *loader) pairs(prefix string, mapping *yaml.Node) []pair {
	if mapping == nil {
		return nil
	}
	var pairs []pair
	first := make(map[string]int)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		p := pair{mapping.Content[i], mapping.Content[i+1]}
		line, twice := first[p.name.Value]
		switch {
		case p.name.Kind != yaml.ScalarNode || p.name.ShortTag() == "!!merge":
			l.report(l.at(strings.TrimSuffix(prefix, "."), p.name), "there is a key that is not a name", "write every key out, as a plain word")
		case twice:
			l.report(l.at(prefix+p.name.Value, p.name), fmt.Sprintf("stands twice, first on line %d", line), "keep one of them")
		default:
			first[p.name.Value] = p.name.Line
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// list returns the texts of a list, and whether that is all of them.
func (l *loader) list(key string, node *yaml.Node) ([]value, bool) {
	if node.Kind != yaml.SequenceNode {
		l.report(l.at(key, node), "is a list", "write it as [one, two], or with one \"- \" line for each")
		return nil, false
	}
	var values []value
	for _, item := range node.Content {
		if v, ok := l.scalar(key, item); ok {
			values = append(values, v)
		}
	}
	return values, len(values) == len(node.Content)
}

// scalar returns a text. Numbers and dates are texts here: each setting reads
// its own.
func (l *loader) scalar(key string, node *yaml.Node) (value, bool) {
	v := l.at(key, node)
	switch {
	case node.Kind == yaml.AliasNode:
		l.report(v, "is an alias", "write the value out; if it begins with *, put it in quotes")
	case node.Kind != yaml.ScalarNode:
		l.report(v, "is one value, not several", "write it on the line of its key")
	case node.Style&yaml.TaggedStyle != 0:
		l.report(v, "has a tag", "remove the ! and the word behind it; if the value begins with !, put it in quotes")
	case empty(node):
		l.report(v, "has an entry without a value", "remove the entry, or give it a value")
	default:
		v.text = node.Value
		return v, true
	}
	return v, false
}

// at is a value at a node, without its text.
func (l *loader) at(key string, node *yaml.Node) value {
	return value{file: l.src.File, line: node.Line, key: key, origin: fmt.Sprintf("%s:%d", filepath.Base(l.src.File), node.Line)}
}

// empty tells a value that was left out.
func empty(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}
