package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxRuleName keeps audit lines readable, in characters.
const maxRuleName = 100

// toolForm is a tool name, or a pattern of one.
var toolForm = regexp.MustCompile(`^[A-Za-z0-9_.*-]{1,128}$`)

// ruleList is a key of a rule whose value is a list.
type ruleList struct {
	key   string
	field func(*Rule) *[]string
	parse func(string) (string, *refusal)
}

var ruleLists = []ruleList{
	{"users", func(r *Rule) *[]string { return &r.Users }, userID},
	{"groups", func(r *Rule) *[]string { return &r.Groups }, groupID},
	{"roles", func(r *Rule) *[]string { return &r.Roles }, role},
	{"tenants", func(r *Rule) *[]string { return &r.Tenants }, tenantID},
	{"tools", func(r *Rule) *[]string { return &r.Tools }, tool},
}

// rules reads the access rules.
func (l *loader) rules(node *yaml.Node) {
	if node == nil || empty(node) {
		return
	}
	if node.Kind != yaml.SequenceNode {
		l.report(l.at(accessKey, node), "is a list of rules", "begin each rule with \"- name:\"")
		return
	}
	first := make(map[string]int)
	for _, item := range node.Content {
		if item.Kind != yaml.MappingNode {
			l.report(l.at(accessKey, item), "has an entry that is not a rule", "begin each rule with \"- name:\"")
			continue
		}
		r := l.rule(item)
		if line, twice := first[r.Name]; twice && r.Name != "" {
			l.report(l.at(accessKey, item), fmt.Sprintf("there is a rule of the same name on line %d", line), "give each rule a name of its own")
		}
		first[r.Name] = item.Line
		l.cfg.origins[ruleKey(len(l.cfg.Access))] = l.at(accessKey, item).origin
		l.cfg.Access = append(l.cfg.Access, r)
	}
}

// ruleKey is the key of a rule's origin.
func ruleKey(i int) string { return fmt.Sprintf("%s[%d]", accessKey, i) }

func (l *loader) rule(item *yaml.Node) Rule {
	var r Rule
	given := make(map[string]bool)
	for _, p := range l.pairs(accessKey+".", item) {
		name := p.name.Value
		i := slices.IndexFunc(ruleLists, func(k ruleList) bool { return k.key == name })
		switch {
		case empty(p.node) && (name == "name" || i >= 0):
			l.report(l.at(accessKey+"."+name, p.name), "has no value", "give it one, or remove the key")
		case name == "name":
			r.Name = l.ruleName(p.node)
		case i >= 0:
			l.ruleList(&r, ruleLists[i], p.node)
		default:
			name = l.unknownInRule(p.name)
		}
		given[name] = true
	}
	if !given["name"] {
		l.report(l.at(accessKey, item), "the rule has no name", "add name: it stands in the audit trail of each call that the rule allows")
	}
	if !given["users"] && !given["groups"] && !given["roles"] && !given["tenants"] {
		l.report(l.at(accessKey, item), "the rule is for nobody", "add one of: users, groups, roles, tenants")
	}
	if !given["tools"] {
		l.report(l.at(accessKey, item), "the rule allows no tool", "add tools, such as [\"math_*\", whoami]")
	}
	return r
}

func (l *loader) ruleName(node *yaml.Node) string {
	v, ok := l.scalar(accessKey+".name", node)
	if n := utf8.RuneCountInString(v.text); ok && (n == 0 || n > maxRuleName || strings.ContainsFunc(v.text, unicode.IsControl)) {
		l.report(v, fmt.Sprintf("is not 1 to %d characters on one line", maxRuleName), "choose a short name")
	}
	return v.text
}

func (l *loader) ruleList(r *Rule, k ruleList, node *yaml.Node) {
	values, ok := l.list(accessKey+"."+k.key, node)
	if ok && len(values) == 0 {
		l.report(l.at(accessKey+"."+k.key, node), "is an empty list", "list something, or remove the key")
	}
	for _, v := range values {
		text, bad := k.parse(v.text)
		if bad != nil {
			l.report(v, bad.message, bad.remedy)
		}
		*k.field(r) = append(*k.field(r), text)
	}
}

// unknownInRule reports a key that rules do not have and returns the one that
// was likely meant.
func (l *loader) unknownInRule(name *yaml.Node) string {
	names := []string{"name"}
	for _, k := range ruleLists {
		names = append(names, k.key)
	}
	near, remedy := Nearest(name.Value, names), "the keys of a rule are: "+strings.Join(names, ", ")
	if near != "" {
		remedy = "did you mean " + near + "?"
	}
	l.report(l.at(accessKey+"."+name.Value, name), "there is no such key", remedy)
	return near
}

func userID(text string) (string, *refusal) {
	id := strings.ToLower(text)
	tenant, object, both := strings.Cut(id, "/")
	if !both {
		object = id
	}
	if !guidForm.MatchString(object) || both && !guidForm.MatchString(tenant) {
		return "", &refusal{fmt.Sprintf("%q is not the object id of a user", text),
			"copy the object id from the user's page in Entra; names and addresses can pass to somebody else"}
	}
	return id, nil
}

func groupID(text string) (string, *refusal) {
	id, ok := guid(text)
	if !ok {
		return "", &refusal{fmt.Sprintf("%q is not the object id of a group", text), "copy the object id from the group's page in Entra; anybody can take a group's name"}
	}
	return id, nil
}

// tenantID accepts "*", everybody who can sign in: with a domain as tenant_id
// nobody need look up the id for that.
func tenantID(text string) (string, *refusal) {
	id, ok := guid(text)
	if !ok && text != "*" {
		return "", &refusal{fmt.Sprintf("%q is not the id of a tenant", text), "copy the directory (tenant) id, since tokens do not hold the domain; or write \"*\" for everybody who can sign in"}
	}
	return id, nil
}

func role(text string) (string, *refusal) {
	if n := utf8.RuneCountInString(text); n == 0 || n > 120 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", &refusal{fmt.Sprintf("%q is not the value of an app role", text), "copy the role's value, not its display name: it has no spaces"}
	}
	return text, nil
}

func tool(text string) (string, *refusal) {
	if !toolForm.MatchString(text) {
		return "", &refusal{fmt.Sprintf("%q is not a tool name or a pattern of one", text), "use letters, digits, and the characters _ . - and *, which stands for any run of them"}
	}
	return text, nil
}
