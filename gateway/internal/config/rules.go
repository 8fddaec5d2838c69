package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRuleName keeps audit lines readable, in characters.
const maxRuleName = 100

// toolForm is a tool name, or a pattern of one.
var toolForm = regexp.MustCompile(`^[A-Za-z0-9_.*-]{1,128}$`)

// access are the access rules.
var access = &records[Rule]{
	key: "access", one: "rule",
	fields: []field[Rule]{
		textField("name", func(r *Rule) *string { return &r.Name }, ruleName),
		listField("users", func(r *Rule) *[]string { return &r.Users }, userID),
		listField("groups", func(r *Rule) *[]string { return &r.Groups }, groupID),
		listField("roles", func(r *Rule) *[]string { return &r.Roles }, role),
		listField("tenants", func(r *Rule) *[]string { return &r.Tenants }, tenantID),
		listField("clients", func(r *Rule) *[]string { return &r.Clients }, registeredID),
		listField("tools", func(r *Rule) *[]string { return &r.Tools }, tool),
	},
	all:  func(c *Config) *[]Rule { return &c.Access },
	name: func(r *Rule) string { return r.Name },
	missing: func(given map[string]bool, report func(message, remedy string)) {
		if !given["name"] {
			report("the rule has no name", "add name: it stands in the audit trail of each call that the rule allows")
		}
		if !given["users"] && !given["groups"] && !given["roles"] && !given["tenants"] && !given["clients"] {
			report("the rule is for nobody", "add one of: users, groups, roles, tenants, clients")
		}
		if !given["tools"] {
			report("the rule allows no tool", "add tools, such as [\"math_*\", whoami]")
		}
	},
}

func ruleName(text string) (string, *refusal) {
	if n := utf8.RuneCountInString(text); n == 0 || n > maxRuleName || strings.ContainsFunc(text, unicode.IsControl) {
		return text, &refusal{fmt.Sprintf("is not 1 to %d characters on one line", maxRuleName), "choose a short name"}
	}
	return text, nil
}

// ofTenant cuts the tenant off what is written as tenant/what; it is empty where
// there is none, and then all is what.
func ofTenant(text string) (tenant, what string) {
	before, after, found := strings.Cut(text, "/")
	if id, ok := guid(before); ok && found {
		return id, after
	}
	return "", text
}

// objectID reads the id of one object in Entra, with or without its tenant.
func objectID(one, remedy string) func(string) (string, *refusal) {
	return func(text string) (string, *refusal) {
		tenant, object := ofTenant(text)
		id, ok := guid(object)
		switch {
		case !ok:
			return "", &refusal{fmt.Sprintf("%q is not the object id of a %s", text, one), remedy}
		case tenant != "":
			return tenant + "/" + id, nil
		}
		return id, nil
	}
}

var (
	userID  = objectID("user", "copy the object id from the user's page in Entra; names and addresses can pass to somebody else")
	groupID = objectID("group", "copy the object id from the group's page in Entra; anybody can take a group's name")
)

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
	tenant, value := ofTenant(text)
	if n := utf8.RuneCountInString(value); n == 0 || n > 120 || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", &refusal{fmt.Sprintf("%q is not the value of an app role", text), "copy the role's value, not its display name: it has no spaces"}
	}
	if tenant != "" {
		return tenant + "/" + value, nil
	}
	return text, nil
}

func tool(text string) (string, *refusal) {
	if !toolForm.MatchString(text) {
		return "", &refusal{fmt.Sprintf("%q is not a tool name or a pattern of one", text), "use letters, digits, and the characters _ . - and *, which stands for any run of them"}
	}
	return text, nil
}
