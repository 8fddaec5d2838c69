package entrasim

import "fmt"

// The demonstration directory. All ids are stable, so that a development
// configuration and tests can name them.
const (
	DemoTenant   = "11111111-1111-4111-8111-111111111111"
	DemoDomain   = "contoso.example"
	DemoClientID = "c0ffee00-0000-4000-8000-000000000001"

	// OtherTenant is another organization, whose administrator is not honest.
	OtherTenant = "22222222-2222-4222-8222-222222222222"
	OtherDomain = "evil.example"

	// RoleAdmin and RoleUser are the values of the app roles.
	RoleAdmin = "Mcp.Admin"
	RoleUser  = "Mcp.User"

	// GroupEngineering and GroupOperations are group object ids.
	GroupEngineering = "9a000000-0000-4000-8000-000000000001"
	GroupOperations  = "9a000000-0000-4000-8000-000000000002"
)

// The demonstration users: what the sign-in page and SignIn call them, and
// their object ids. Mallory is in OtherTenant and has Ada's object id.
const (
	Ada     = "ada@contoso.example"
	Max     = "max@contoso.example"
	Nora    = "nora@contoso.example"
	Olga    = "olga@contoso.example"
	Gus     = "gus@fabrikam.example"
	Mallory = "mallory@evil.example"

	AdaObject     = "ada00000-0000-4000-8000-000000000001"
	MaxObject     = "3a000000-0000-4000-8000-000000000002"
	NoraObject    = "40000000-0000-4000-8000-000000000003"
	OlgaObject    = "01000000-0000-4000-8000-000000000004"
	GusObject     = "60000000-0000-4000-8000-000000000005"
	MalloryObject = AdaObject
)

// Demo is a demonstration directory with one single-tenant application.
func Demo(clientID, secret, redirectURI string) Options {
	return Options{
		Tenants: []Tenant{
			{ID: DemoTenant, Domain: DemoDomain, Name: "Contoso demo"},
			{ID: OtherTenant, Domain: OtherDomain, Name: "Evil Corp demo"},
		},
		Users: demoUsers(),
		Apps: []App{{
			TenantID: DemoTenant, ClientID: clientID, Name: "MCP gateway",
			RedirectURIs: []string{redirectURI}, Secrets: []Secret{{Value: secret}},
			GroupClaims: true, AcctClaim: true,
		}},
	}
}

func demoUsers() []User {
	// One more than a token carries would do; real people with overage have many.
	many := []string{GroupEngineering}
	for i := range 249 {
		many = append(many, fmt.Sprintf("9b000000-0000-4000-8000-%012d", i+1))
	}
	return []User{
		{
			TenantID: DemoTenant, ObjectID: AdaObject, Username: Ada, Name: "Ada Admin", Email: Ada,
			Description: "Administrator: roles Mcp.Admin and Mcp.User, groups engineering and operations",
			Roles:       []string{RoleAdmin, RoleUser}, Groups: []string{GroupEngineering, GroupOperations},
		},
		{
			TenantID: DemoTenant, ObjectID: MaxObject, Username: Max, Name: "Max Member", Email: Max,
			Description: "Member: role Mcp.User, group engineering",
			Roles:       []string{RoleUser}, Groups: []string{GroupEngineering},
		},
		{
			TenantID: DemoTenant, ObjectID: NoraObject, Username: Nora, Name: "Nora Norole",
			Description: "No role, no group, no mailbox",
		},
		{
			TenantID: DemoTenant, ObjectID: OlgaObject, Username: Olga, Name: "Olga Overage", Email: Olga,
			Description: "Member: role Mcp.User, in too many groups for a token to list",
			Roles:       []string{RoleUser}, Groups: many,
		},
		{
			TenantID: DemoTenant, ObjectID: GusObject, Username: Gus, Name: "Gus Guest", Email: Gus,
			Description: "Guest from another organization: role Mcp.User",
			Roles:       []string{RoleUser}, HomeIDP: "https://sts.windows.net/33333333-3333-4333-8333-333333333333/",
		},
		{
			// Any administrator may give their users any mail address (nOAuth),
			// and nothing makes object ids unique across tenants.
			TenantID: OtherTenant, ObjectID: MalloryObject, Username: Mallory, Name: "Ada Admin", Email: Ada,
			Description: "Impostor: an account of another organization with Ada's name, mail address and object id",
			Roles:       []string{RoleAdmin},
		},
	}
}
