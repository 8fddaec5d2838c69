package entrasim

// The demonstration directory. The ids are fixed so that access rules can name
// them.
const (
	DemoTenant       = "0de30000-0000-4000-8000-000000000001"
	DemoDomain       = "contoso.example"
	DemoOtherTenant  = "0de30000-0000-4000-8000-000000000002"
	DemoClientID     = "0de30000-0000-4000-8000-00000000c11d"
	DemoAdmin        = "0de30000-0000-4000-8000-0000000000a1"
	DemoMember       = "0de30000-0000-4000-8000-0000000000a2"
	DemoNoRole       = "0de30000-0000-4000-8000-0000000000a3"
	DemoOverage      = "0de30000-0000-4000-8000-0000000000a4"
	DemoGuest        = "0de30000-0000-4000-8000-0000000000a5"
	DemoEngineering  = "0de30000-0000-4000-8000-0000000000e1"
	DemoRoleAdmin    = "Mcp.Admin"
	DemoRoleUser     = "Mcp.User"
	demoSharedEmail  = "ada@contoso.example"
	demoSecretPrefix = "demo-secret-"
)

// Demo is a directory with one person of each kind and one application, whose
// secret is random.
func Demo(redirectURI string) Options {
	return Options{
		Tenants: []Tenant{
			{ID: DemoTenant, Domain: DemoDomain, Name: "Contoso (demonstration)"},
			{ID: DemoOtherTenant, Domain: "evil.example", Name: "Evil (demonstration)"},
		},
		Users: []User{
			{Tenant: DemoTenant, Object: DemoAdmin, Name: "Ada Admin", Username: "ada@contoso.example", Email: demoSharedEmail, About: "administrator", Roles: []string{DemoRoleAdmin, DemoRoleUser}, Groups: []string{DemoEngineering}},
			{Tenant: DemoTenant, Object: DemoMember, Name: "Max Member", Username: "max@contoso.example", Email: "max@contoso.example", About: "member of Engineering", Roles: []string{DemoRoleUser}, Groups: []string{DemoEngineering}},
			{Tenant: DemoTenant, Object: DemoNoRole, Name: "Nora Norole", Username: "nora@contoso.example", About: "no roles, no groups"},
			{Tenant: DemoTenant, Object: DemoOverage, Name: "Olga Overage", Username: "olga@contoso.example", Email: "olga@contoso.example", About: "in more groups than a token can list", Overage: true},
			{Tenant: DemoTenant, Object: DemoGuest, Name: "Gus Guest", Username: "gus_evil.example#EXT#@contoso.example", Email: "gus@evil.example", About: "guest", Roles: []string{DemoRoleUser}, Home: DemoOtherTenant},
			// Another tenant's administrator can give anybody any mail
			// address, and object ids are only distinct within a tenant.
			{Tenant: DemoOtherTenant, Object: DemoAdmin, Name: "Mallory Elsewhere", Username: "mallory@evil.example", Email: demoSharedEmail, About: "of another tenant, with Ada's address and object id"},
		},
		Apps: []App{{ClientID: DemoClientID, Secret: demoSecretPrefix + newGUID(), Tenant: DemoTenant, RedirectURIs: []string{redirectURI}}},
	}
}

// Secret returns an application's client secret.
func (s *Sim) Secret(clientID string) string {
	for _, a := range s.opts.Apps {
		if a.ClientID == clientID {
			return a.Secret
		}
	}
	return ""
}
