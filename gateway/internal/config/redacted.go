package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Redacted returns every setting as YAML, with the place that it came from as
// a comment and "[redacted]" for the secret. What is a secret's own file in
// the configuration stands here under the secret's name, so that this is for
// reading only.
func (c *Config) Redacted() (string, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for i := range settings {
		s := &settings[i]
		texts := s.show(c)
		if s.kind != list && texts[0] == "" {
			continue // it is optional and not given
		}
		below, name := root, s.key
		for section, rest, ok := strings.Cut(name, "."); ok; section, rest, ok = strings.Cut(name, ".") {
			below, name = subsection(below, section), rest
		}
		node := flow(texts)
		if s.kind != list {
			node = scalar(texts[0])
		}
		node.LineComment = c.origins[s.key]
		add(below, name, node)
	}
	for _, r := range recordLists {
		add(root, r.in(), r.show(c))
	}
	data, err := yaml.Dump(root, yaml.WithLineWidth(-1), yaml.WithCompactSeqIndent(false))
	return string(data), err
}

// subsection returns the mapping of that name, which it adds if need be. The
// settings of a section follow each other, so it can only be the last.
func subsection(mapping *yaml.Node, name string) *yaml.Node {
	if n := len(mapping.Content); n > 0 && mapping.Content[n-2].Value == name {
		return mapping.Content[n-1]
	}
	section := &yaml.Node{Kind: yaml.MappingNode}
	add(mapping, name, section)
	return section
}

func add(mapping *yaml.Node, name string, node *yaml.Node) {
	mapping.Content = append(mapping.Content, scalar(name), node)
}

func flow(texts []string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, text := range texts {
		node.Content = append(node.Content, scalar(text))
	}
	return node
}

// scalar is a text, quoted where YAML would take it for something else; a
// number needs no quotes.
func scalar(text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Tag: "!!str"}
	if strings.Trim(text, "0123456789") == "" {
		node.Tag = "!!int"
	}
	return node
}
