// Package access decides who may call what. It owns the principal, the rules
// and the one decision function that filters lists, checks calls and will
// explain answers (DESIGN, promise 6). It refuses to know about transports,
// tools or where rules are written.
//
// Nothing is allowed unless a rule allows it.
package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// Principal is who is asking, through which client, as the access token says: a
// person, or Nobody where the client asks for itself.
type Principal struct {
	store.Identity
	// ClientID and ClientName are the MCP client; the name is for display.
	ClientID   string
	ClientName string
	// GrantID is the grant behind the token.
	GrantID string
	// Scopes of the token.
	Scopes []string
	// ExpiresAt is when the access token ends, CheckedAt when the store was asked
	// about it.
	ExpiresAt, CheckedAt time.Time
}

type principalKey struct{}

// WithPrincipal returns a context that carries p. Only the bearer check
// calls it.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns the principal of the request, or nil.
func PrincipalFrom(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}

// SubjectKind says what a Subject names.
type SubjectKind string

// The kinds of subject.
const (
	KindUser   SubjectKind = "user"
	KindGroup  SubjectKind = "group"
	KindRole   SubjectKind = "role"
	KindTenant SubjectKind = "tenant"
	// KindClient is a client that asks for itself, and never a person who comes
	// through it: what a client may do with nobody there says nothing of them.
	KindClient SubjectKind = "client"
)

var kinds = []SubjectKind{KindUser, KindGroup, KindRole, KindTenant, KindClient}

// Subject is one kind of person, or the client, that a rule is for.
type Subject struct {
	Kind SubjectKind
	// Value is an object id (user or group), the value of an app role, a tenant id,
	// where "*" is everybody who can sign in, or a client_id. "tid/" before one of
	// the first three means that of this tenant alone. It is compared exactly; ids
	// of Microsoft are lower-case.
	Value string
}

// Rule allows its subjects to call its tools.
type Rule struct {
	// Name is shown in decisions and in the audit trail.
	Name string
	// Subjects: one that matches is enough.
	Subjects []Subject
	// Tools are names in which * stands for any run of characters.
	Tools []string
}

// Scope is what a client must have been granted, besides the person's right, to
// call its tools. A tool may be in several and then needs all of them.
type Scope struct {
	Name string
	// Tools are names in which * stands for any run of characters.
	Tools []string
}

// Reasons of a Decision.
const (
	// ReasonRule: Decision.Rule allowed it.
	ReasonRule = "rule"
	// ReasonNoRule: no rule allows it.
	ReasonNoRule = "no_rule"
	// ReasonGroupsUnknown: only a group rule could have allowed it, and the
	// person is in too many groups for Microsoft to list them in the token.
	ReasonGroupsUnknown = "groups_unknown"
	// ReasonScope: the person may, and the client has not been granted what
	// the tool needs. It is never the reason of a Decision, since the client can
	// ask for it (see Lacks).
	ReasonScope = "insufficient_scope"
)

// Decision is the answer to "may they call it?", with the reason.
type Decision struct {
	Allowed bool
	// Rule is the name of the rule that allowed, or that would have if the
	// person's groups were known.
	Rule string
	// Reason is one of the Reason constants.
	Reason string
}

// Policy is a checked set of rules and scopes. It is immutable.
type Policy struct {
	rules  []Rule
	scopes []Scope
}

// New checks rules and returns every problem at once. The scopes are taken as
// they are.
func New(rules []Rule, scopes ...Scope) (*Policy, error) {
	var problems []error
	names := make(map[string]bool, len(rules))
	for i, r := range rules {
		problem := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("access rule %d (%q): %s", i+1, r.Name, fmt.Sprintf(format, args...)))
		}
		if r.Name == "" {
			problem("it has no name")
		}
		if names[r.Name] {
			problem("the name stands twice")
		}
		names[r.Name] = true
		if len(r.Subjects) == 0 {
			problem("it names nobody: add a user, group, role, tenant or client")
		}
		for _, s := range r.Subjects {
			if s.Value == "" {
				problem("a %s is empty", s.Kind)
			}
			if !slices.Contains(kinds, s.Kind) {
				problem("%q is not a kind of subject", s.Kind)
			}
		}
		if len(r.Tools) == 0 {
			problem("it names no tool")
		}
		if slices.Contains(r.Tools, "") {
			problem("a tool is empty")
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &Policy{rules: slices.Clone(rules), scopes: slices.Clone(scopes)}, nil
}

// Lacks returns the scopes that tool needs and that p's client was not granted:
// a call gets them by way of a step-up (RFC 6750 §3.1, insufficient_scope). Such
// a tool is listed all the same, or no client would ever ask.
func (pol *Policy) Lacks(p *Principal, tool string) []string {
	var lacking []string
	for i := range pol.scopes {
		s := &pol.scopes[i]
		if covers(s.Tools, tool) && (p == nil || !slices.Contains(p.Scopes, s.Name)) {
			lacking = append(lacking, s.Name)
		}
	}
	return lacking
}

func covers(globs []string, tool string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return matchGlob(glob, tool) })
}

// Decide says whether p may call tool. A nil principal may call nothing.
//
// The first rule that allows decides. A group subject of somebody whose
// groups are unknown never matches; if nothing else allows, the decision says
// so, because "no rule" would send an administrator looking in the wrong place.
func (pol *Policy) Decide(p *Principal, tool string) Decision {
	denied := Decision{Reason: ReasonNoRule}
	if p == nil {
		return denied
	}
	for i := range pol.rules {
		r := &pol.rules[i]
		if !covers(r.Tools, tool) {
			continue
		}
		for _, s := range r.Subjects {
			if s.matches(p) {
				return Decision{Allowed: true, Rule: r.Name, Reason: ReasonRule}
			}
			if s.Kind == KindGroup && p.GroupsUnknown && !strings.Contains(s.in(p.Tenant), "/") && denied.Reason == ReasonNoRule {
				denied = Decision{Rule: r.Name, Reason: ReasonGroupsUnknown}
			}
		}
	}
	return denied
}

// in is what the subject names in a tenant; "tid/" stays before what is another's,
// which nobody in this one is or has.
func (s Subject) in(tenant string) string { return strings.TrimPrefix(s.Value, tenant+"/") }

func (s Subject) matches(p *Principal) bool {
	// Nobody is in no tenant, not even in "*".
	if p.Nobody() || s.Kind == KindClient {
		return p.Nobody() && s.Kind == KindClient && s.Value == p.ClientID
	}
	switch s.Kind {
	case KindUser:
		return s.in(p.Tenant) == p.Object
	case KindGroup:
		// Groups of a person with too many are not the truth, even the ones
		// that are there.
		return !p.GroupsUnknown && slices.Contains(p.Groups, s.in(p.Tenant))
	case KindRole:
		return slices.Contains(p.Roles, s.in(p.Tenant))
	case KindTenant:
		return s.Value == "*" || s.Value == p.Tenant
	default:
		return false
	}
}

// matchGlob reports whether name matches glob, in which * is any run of
// characters and everything else is itself. Linear in len(glob)*stars.
func matchGlob(glob, name string) bool {
	head, rest, star := strings.Cut(glob, "*")
	if !star {
		return glob == name
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok {
		return false
	}
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], after
	}
}
