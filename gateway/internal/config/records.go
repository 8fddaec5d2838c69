package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// recordList is a key whose value is a list of records, each a mapping with keys
// of its own. records is the one kind of it, for each type of record.
type recordList interface {
	// in is its key, which stands at the top of the file.
	in() string
	// load reads the list into the configuration.
	load(l *loader, node *yaml.Node)
	// show writes it as the file would have it.
	show(c *Config) *yaml.Node
}

// recordLists are all of them, in the order in which they are shown.
var recordLists = []recordList{registeredClients, resourceServers, scopes, access}

// recordsAt returns the list with that key, or nil.
func recordsAt(key string) recordList {
	if i := slices.IndexFunc(recordLists, func(r recordList) bool { return r.in() == key }); i >= 0 {
		return recordLists[i]
	}
	return nil
}

// records is a list of records of type T.
type records[T any] struct {
	key string
	// one is what a record is called in problems.
	one    string
	fields []field[T]
	// all is where the records go, and name tells them apart.
	all  func(*Config) *[]T
	name func(*T) string
	// missing reports what a record lacks, by the keys that it has.
	missing func(given map[string]bool, report func(message, remedy string))
	// check judges a record as a whole; nil if there is nothing to judge.
	check func(*T) *refusal
}

// field is one key of a record. The first field of a record is its name.
type field[T any] struct {
	key string
	// list: the value is a list of texts, and parse is called for each.
	list bool
	// secret: the value is the name of a file that holds the text.
	secret bool
	parse  func(*T, string) *refusal
	// show returns the texts as they would be written; none if it is not given.
	show func(*T) []string
}

func (rs *records[T]) in() string { return rs.key }

func (rs *records[T]) load(l *loader, node *yaml.Node) {
	if node == nil || empty(node) {
		return
	}
	begin := fmt.Sprintf("begin each %s with \"- %s:\"", rs.one, rs.fields[0].key)
	if node.Kind != yaml.SequenceNode {
		l.report(l.at(rs.key, node), "is a list of "+rs.one+"s", begin)
		return
	}
	all, first := rs.all(l.cfg), make(map[string]int)
	for _, item := range node.Content {
		if item.Kind != yaml.MappingNode {
			l.report(l.at(rs.key, item), "has an entry that is not a "+rs.one, begin)
			continue
		}
		r := rs.record(l, item)
		name := rs.name(&r)
		if line, twice := first[name]; twice && name != "" {
			l.report(l.at(rs.key, item), fmt.Sprintf("there is a %s of the same %s on line %d", rs.one, rs.fields[0].key, line),
				fmt.Sprintf("give each %s a %s of its own", rs.one, rs.fields[0].key))
		}
		first[name] = item.Line
		l.cfg.origins[rs.origin(len(*all))] = l.at(rs.key, item).origin
		*all = append(*all, r)
	}
}

// origin is the key of a record's origin.
func (rs *records[T]) origin(i int) string { return fmt.Sprintf("%s[%d]", rs.key, i) }

func (rs *records[T]) record(l *loader, item *yaml.Node) (r T) {
	given := make(map[string]bool)
	before := len(l.problems)
	for _, p := range l.pairs(rs.key+".", item) {
		key := p.name.Value
		i := slices.IndexFunc(rs.fields, func(f field[T]) bool { return f.key == key })
		switch {
		case i >= 0 && empty(p.node):
			l.report(l.at(rs.key+"."+key, p.name), "has no value", "give it one, or remove the key")
		case i >= 0 && rs.fields[i].list:
			rs.list(l, &r, rs.fields[i], p.node)
		case i >= 0:
			rs.text(l, &r, rs.fields[i], p.node)
		default:
			key = rs.unknown(l, p.name)
		}
		given[key] = true
	}
	rs.missing(given, func(message, remedy string) { l.report(l.at(rs.key, item), message, remedy) })
	if rs.check != nil && len(l.problems) == before {
		if bad := rs.check(&r); bad != nil {
			l.report(l.at(rs.key, item), bad.message, bad.remedy)
		}
	}
	return r
}

func (rs *records[T]) text(l *loader, r *T, f field[T], node *yaml.Node) {
	v, ok := l.scalar(rs.key+"."+f.key, node)
	if ok && f.secret {
		if !filepath.IsAbs(v.text) {
			v.text = filepath.Join(filepath.Dir(l.src.File), v.text)
		}
		v, ok = l.content(v, v.text)
	}
	if !ok {
		return
	}
	if bad := f.parse(r, v.text); bad != nil {
		l.report(v, bad.message, bad.remedy)
	}
}

func (rs *records[T]) list(l *loader, r *T, f field[T], node *yaml.Node) {
	values, ok := l.list(rs.key+"."+f.key, node)
	if ok && len(values) == 0 {
		l.report(l.at(rs.key+"."+f.key, node), "is an empty list", "list something, or remove the key")
	}
	for _, v := range values {
		if bad := f.parse(r, v.text); bad != nil {
			l.report(v, bad.message, bad.remedy)
		}
	}
}

// unknown reports a key that the records do not have and returns the one that
// was likely meant.
func (rs *records[T]) unknown(l *loader, name *yaml.Node) string {
	var keys []string
	for _, f := range rs.fields {
		if strings.TrimSuffix(f.key, "_file") == name.Value && f.secret {
			l.report(l.at(rs.key+"."+name.Value, name), "does not belong in this file, because it is secret",
				"put it into a file of its own and name that with "+f.key+"; and replace the secret if others could read this file")
			return f.key
		}
		keys = append(keys, f.key)
	}
	near, remedy := Nearest(name.Value, keys), "the keys of a "+rs.one+" are: "+strings.Join(keys, ", ")
	if near != "" {
		remedy = "did you mean " + near + "?"
	}
	l.report(l.at(rs.key+"."+name.Value, name), "there is no such key", remedy)
	return near
}

func (rs *records[T]) show(c *Config) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	for i, r := range *rs.all(c) {
		record := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range rs.fields {
			texts := f.show(&r)
			switch {
			case len(texts) == 0:
			case f.list:
				add(record, f.key, flow(texts))
			default:
				add(record, f.key, scalar(texts[0]))
			}
		}
		record.Content[1].LineComment = c.origins[rs.origin(i)]
		node.Content = append(node.Content, record)
	}
	if len(node.Content) == 0 {
		node.Style = yaml.FlowStyle // []
	}
	return node
}

// textField is a field of one text.
func textField[T any](key string, at func(*T) *string, parse func(string) (string, *refusal)) field[T] {
	return field[T]{key: key,
		parse: func(r *T, text string) (bad *refusal) {
			*at(r), bad = parse(text)
			return bad
		},
		show: func(r *T) []string {
			if *at(r) == "" {
				return nil
			}
			return []string{*at(r)}
		},
	}
}

// listField is a field of several texts. A bad one is kept, so that it stands in
// no other's place.
func listField[T any](key string, at func(*T) *[]string, parse func(string) (string, *refusal)) field[T] {
	return field[T]{key: key, list: true,
		parse: func(r *T, text string) *refusal {
			parsed, bad := parse(text)
			*at(r) = append(*at(r), parsed)
			return bad
		},
		show: func(r *T) []string { return *at(r) },
	}
}

// require is a missing for keys that each record must have, with the remedies.
func require(one string, remedies map[string]string) func(map[string]bool, func(message, remedy string)) {
	keys := slices.Sorted(maps.Keys(remedies))
	return func(given map[string]bool, report func(message, remedy string)) {
		for _, key := range keys {
			if !given[key] {
				report("the "+one+" has no "+key, remedies[key])
			}
		}
	}
}
