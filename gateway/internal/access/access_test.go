package access_test

import (
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/store"
)

const (
	tenant = "aaaaaaaa-0000-0000-0000-000000000001"
	object = "bbbbbbbb-0000-0000-0000-000000000001"
	group  = "cccccccc-0000-0000-0000-000000000001"
	other  = "aaaaaaaa-0000-0000-0000-000000000002"
)

func person(change func(*access.Principal)) *access.Principal {
	p := &access.Principal{Identity: store.Identity{Tenant: tenant, Object: object}}
	if change != nil {
		change(p)
	}
	return p
}

// itself is a client that asks for itself; whatever its token said of roles and
// groups must not count.
func itself(clientID string, claims ...string) *access.Principal {
	return &access.Principal{Identity: store.Identity{Roles: claims, Groups: claims}, ClientID: clientID}
}

func one(kind access.SubjectKind, value string, tools ...string) []access.Rule {
	return []access.Rule{{Name: "r", Subjects: []access.Subject{{Kind: kind, Value: value}}, Tools: tools}}
}

func TestDecide(t *testing.T) {
	withGroup := func(p *access.Principal) { p.Groups = []string{group} }
	overage := func(p *access.Principal) { p.Groups, p.GroupsUnknown = []string{group}, true }
	for _, tt := range []struct {
		name  string
		rules []access.Rule
		who   *access.Principal
		tool  string
		want  access.Decision
	}{
		{name: "no rules deny", who: person(nil), tool: "math_add", want: access.Decision{Reason: "no_rule"}},
		{name: "no principal is denied even by a rule for all tools", rules: one(access.KindTenant, tenant, "*"), tool: "math_add", want: access.Decision{Reason: "no_rule"}},
		{name: "a user by object id", rules: one(access.KindUser, object, "math_add"), who: person(nil), tool: "math_add", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "a user by tenant and object", rules: one(access.KindUser, tenant+"/"+object, "*"), who: person(nil), tool: "x", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "the same object id in another tenant is another person", rules: one(access.KindUser, other+"/"+object, "*"), who: person(nil), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "another tool", rules: one(access.KindUser, object, "math_add"), who: person(nil), tool: "math_adds", want: access.Decision{Reason: "no_rule"}},
		{name: "a role the person has", rules: one(access.KindRole, "Mcp.User", "math_*"), who: person(func(p *access.Principal) { p.Roles = []string{"Mcp.User"} }), tool: "math_add", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "a role in another case is another role", rules: one(access.KindRole, "Mcp.User", "*"), who: person(func(p *access.Principal) { p.Roles = []string{"mcp.user"} }), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a role that their tenant gave", rules: one(access.KindRole, tenant+"/Mcp.User", "*"), who: person(func(p *access.Principal) { p.Roles = []string{"Mcp.User"} }), tool: "x", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "the same role, given by another tenant", rules: one(access.KindRole, other+"/Mcp.User", "*"), who: person(func(p *access.Principal) { p.Roles = []string{"Mcp.User"} }), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a group of their tenant", rules: one(access.KindGroup, tenant+"/"+group, "*"), who: person(withGroup), tool: "x", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "a group of the same id in another tenant", rules: one(access.KindGroup, other+"/"+group, "*"), who: person(withGroup), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "unknown groups do not matter for a group of another tenant", rules: one(access.KindGroup, other+"/"+group, "*"), who: person(overage), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "unknown groups matter for a group of their tenant", rules: one(access.KindGroup, tenant+"/"+group, "*"), who: person(overage), tool: "x", want: access.Decision{Rule: "r", Reason: "groups_unknown"}},
		{name: "a client that is called like a user of a tenant", rules: one(access.KindUser, tenant+"/"+object, "*"), who: itself(object), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a role never matches a group of the same text", rules: one(access.KindRole, group, "*"), who: person(withGroup), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a group the person is in", rules: one(access.KindGroup, group, "*"), who: person(withGroup), tool: "x", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "a group rule denies when the groups are unknown, and says why", rules: one(access.KindGroup, group, "*"), who: person(overage), tool: "x", want: access.Decision{Rule: "r", Reason: "groups_unknown"}},
		{name: "unknown groups do not matter for a tool the group rule does not name", rules: one(access.KindGroup, group, "y"), who: person(overage), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{
			name: "a role still allows somebody whose groups are unknown", tool: "x",
			rules: append(one(access.KindGroup, group, "*"), access.Rule{Name: "s", Subjects: []access.Subject{{Kind: access.KindRole, Value: "A"}}, Tools: []string{"x"}}),
			who:   person(func(p *access.Principal) { overage(p); p.Roles = []string{"A"} }),
			want:  access.Decision{Allowed: true, Rule: "s", Reason: "rule"},
		},
		{name: "a tenant", rules: one(access.KindTenant, tenant, "whoami"), who: person(nil), tool: "whoami", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "everybody who can sign in", rules: one(access.KindTenant, "*", "whoami"), who: person(nil), tool: "whoami", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "a star is not everybody for roles", rules: one(access.KindRole, "*", "whoami"), who: person(nil), tool: "whoami", want: access.Decision{Reason: "no_rule"}},
		{name: "another tenant", rules: one(access.KindTenant, object, "whoami"), who: person(nil), tool: "whoami", want: access.Decision{Reason: "no_rule"}},
		{name: "a client that asks for itself", rules: one(access.KindClient, "ci", "math_*"), who: itself("ci"), tool: "math_add", want: access.Decision{Allowed: true, Rule: "r", Reason: "rule"}},
		{name: "another tool of a client", rules: one(access.KindClient, "ci", "math_*"), who: itself("ci"), tool: "whoami", want: access.Decision{Reason: "no_rule"}},
		{name: "another client", rules: one(access.KindClient, "ci", "*"), who: itself("cd"), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a client in another case is another client", rules: one(access.KindClient, "ci", "*"), who: itself("CI"), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a star is not every client", rules: one(access.KindClient, "*", "*"), who: itself("ci"), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a person who comes through the client", rules: one(access.KindClient, "ci", "*"), who: person(func(p *access.Principal) { p.ClientID = "ci" }), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a client that is called like the user", rules: one(access.KindUser, object, "*"), who: itself(object), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a client that is called like the tenant", rules: one(access.KindTenant, tenant, "*"), who: itself(tenant), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a client is not somebody who can sign in", rules: one(access.KindTenant, "*", "*"), who: itself("ci"), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a client has no role", rules: one(access.KindRole, "A", "*"), who: itself("A", "A"), tool: "x", want: access.Decision{Reason: "no_rule"}},
		{name: "a client is in no group", rules: one(access.KindGroup, group, "*"), who: itself("ci", group), tool: "x", want: access.Decision{Reason: "no_rule"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			policy, err := access.New(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			if got := policy.Decide(tt.who, tt.tool); got != tt.want {
				t.Errorf("Decide = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestGlobs(t *testing.T) {
	for _, tt := range []struct {
		glob, tool string
		want       bool
	}{
		{"*", "", true}, {"*", "anything", true}, {"math_*", "math_", true}, {"math_*", "math_add", true},
		{"math_*", "xmath_add", false}, {"*_add", "math_add", true}, {"*_add", "math_added", false},
		{"a*b*c", "abc", true}, {"a*b*c", "a--b--c", true}, {"a*b*c", "acb", false}, {"a*a", "a", false},
		{"a*bc*bc", "abcbc", true}, {"a*bc*bc", "abc", false}, {"**", "x", true}, {"a.c", "abc", false}, {"[a]", "a", false},
	} {
		policy, err := access.New(one(access.KindTenant, tenant, tt.glob))
		if err != nil {
			t.Fatal(err)
		}
		if got := policy.Decide(person(nil), tt.tool).Allowed; got != tt.want {
			t.Errorf("glob %q, tool %q: allowed = %v, want %v", tt.glob, tt.tool, got, tt.want)
		}
	}
}

func TestNewReportsEveryProblemAtOnce(t *testing.T) {
	_, err := access.New([]access.Rule{
		{Name: "", Subjects: []access.Subject{{Kind: "everyone", Value: "x"}}, Tools: []string{""}},
		{Name: "twice", Subjects: []access.Subject{{Kind: access.KindRole}}, Tools: []string{"a"}},
		{Name: "twice"},
	})
	if err == nil {
		t.Fatal("bad rules were accepted")
	}
	for _, want := range []string{
		`rule 1 (""): it has no name`, `"everyone" is not a kind of subject`, "a tool is empty",
		`rule 2 ("twice"): a role is empty`, `rule 3 ("twice"): the name stands twice`, "it names nobody", "it names no tool",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}
