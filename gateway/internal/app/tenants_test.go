package app_test

import (
	"net/http"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// pat has a personal account.
const (
	pat       = "pat@outlook.example"
	patObject = "00000000-0000-0000-6f6f-000000000001"
)

// everybody may ask who they are.
const everybody = `access: [{name: everybody, tenants: ["*"], tools: [whoami]}]` + "\n"

// severalTenants makes the application one for several, in a world with a personal
// account.
func severalTenants(o *entrasim.Options) {
	o.Apps[0].MultiTenant = true
	o.Users = append(o.Users, entrasim.User{
		TenantID: entrasim.PersonalTenant, ObjectID: patObject, Username: pat, Name: "Pat Person",
	})
}

// startFor runs a gateway for what stands under tenant_id and allowed_tenants.
func startFor(t *testing.T, tenant, allowed, rules, extra string) login {
	t.Helper()
	listener, url := listen(t)
	sim := startSimulator(t, url, severalTenants)
	g := newGatewayWithoutMicrosoft(t, url)
	g.sim, g.authority, g.rules = sim.sim, sim.address, rules
	g.settings = map[string]string{"MICROSOFT_TENANT_ID": tenant, "MICROSOFT_ALLOWED_TENANTS": allowed}
	g.serve(listener, extra)
	return login{gateway: g, upstream: sim}
}

// TestRulesTellTenantsApart: whoever signs in from several tenants may do what the
// rules give to theirs.
func TestRulesTellTenantsApart(t *testing.T) {
	t.Parallel()
	l := startFor(t, "common", entrasim.DemoTenant+","+entrasim.PersonalTenant, `
access:
  - {name: our people, tenants: [`+entrasim.DemoTenant+`], tools: [math_add]}
  - {name: anybody, tenants: [`+entrasim.PersonalTenant+`], tools: [math_subtract]}
  - {name: everybody, tenants: ["*"], tools: [whoami]}
`, "")
	for who, want := range map[string][3]bool{"Nora": {true, false, true}, entrasim.Gus: {true, false, true}, pat: {false, true, true}} {
		_, tokens := l.grant(who)
		for i, tool := range []string{"math_add", "math_subtract", "whoami"} {
			if l.lists(tokens, tool) != want[i] {
				t.Errorf("%s sees %s: %v", who, tool, !want[i])
			}
		}
	}
	if v := l.sim.Violations(); len(v) > 0 {
		t.Errorf("Microsoft was asked what it would refuse: %v", v)
	}
}

// TestATenantsAdministratorsGiveRolesToTheirOwnPeople, and to nobody else's: Mallory
// is Mcp.Admin, because the administrator of Evil Corp says so, and has Ada's id.
func TestATenantsAdministratorsGiveRolesToTheirOwnPeople(t *testing.T) {
	t.Parallel()
	const own = entrasim.DemoTenant + "/"
	l := startFor(t, "organizations", entrasim.DemoTenant+","+entrasim.OtherTenant, `
access:
  - {name: administrators, roles: [`+own+entrasim.RoleAdmin+`], tools: [math_add]}
  - {name: ada, users: [`+own+entrasim.AdaObject+`], tools: [math_subtract]}
  - {name: engineers, groups: [`+own+entrasim.GroupEngineering+`], tools: [math_divide]}
  - {name: their administrators, roles: [`+entrasim.OtherTenant+"/"+entrasim.RoleAdmin+`], tools: [math_multiply]}
`, always)
	for who, want := range map[string][4]bool{"Ada": {true, true, true, false}, "Olga": {false, false, true, false}, entrasim.Mallory: {false, false, false, true}} {
		_, tokens := l.grant(who)
		for i, tool := range []string{"math_add", "math_subtract", "math_divide", "math_multiply"} {
			if l.lists(tokens, tool) != want[i] {
				t.Errorf("%s sees %s: %v", who, tool, !want[i])
			}
		}
	}
}

// TestATenantThatIsNotAllowed: Microsoft lets them in, and the gateway does not. They
// are told why, the program gets access_denied, and the trail says who it was.
func TestATenantThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	l := startFor(t, "common", entrasim.DemoTenant, "", "")
	for who, says := range map[string]string{
		entrasim.Mallory: "belongs to an organization that this gateway does not serve",
		pat:              "Personal Microsoft accounts cannot be used at this gateway",
	} {
		b, a, callback := l.begun(who)
		page, next := b.get(callback.String())
		l.failed(a, page, next, http.StatusForbidden, oauth.CodeAccessDenied)
		if !strings.Contains(page.body, says) || !strings.Contains(page.body, "You are not signed in") {
			t.Errorf("%s is not told why:\n%s", who, page.body)
		}
	}
	// Ada has the same object id as Mallory, and comes in.
	_, tokens := l.grant("Ada")
	if !l.lists(tokens, "whoami") {
		t.Error("Ada does not see her tools")
	}
	var denied []store.Event
	for _, e := range l.trail() {
		if e.Kind == "login" && e.Outcome == "denied" {
			denied = append(denied, e)
		}
	}
	for tenant, object := range map[string]string{entrasim.OtherTenant: entrasim.MalloryObject, entrasim.PersonalTenant: patObject} {
		n := 0
		for _, e := range denied {
			if e.Tenant == tenant && e.Object == object && e.Reason == "tenant_refused" && e.Client != "" && e.Address != "" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the trail has %d rows about %s of %s: %+v", n, object, tenant, denied)
		}
	}
}

// TestATenantThatIsTakenOffTheList: its people are out when their programs renew.
func TestATenantThatIsTakenOffTheList(t *testing.T) {
	t.Parallel()
	l := startFor(t, "organizations", entrasim.DemoTenant+" "+entrasim.OtherTenant, everybody, always)
	mallory, foreign := l.grant(entrasim.Mallory)
	ada, own := l.grant("Ada")
	foreign, own = l.renew(mallory, foreign), l.renew(ada, own)
	l.settings["MICROSOFT_ALLOWED_TENANTS"] = entrasim.DemoTenant
	l.restart(always, nil)
	l.send("/token", l.refreshForm(mallory, foreign.RefreshToken), nil).wants(t, http.StatusBadRequest, oauth.CodeInvalidGrant, "")
	l.renew(ada, own)
	// It was not Microsoft who said so.
	if n := l.one(`SELECT count(*) FROM events WHERE kind = 'revoke' AND reason = 'tenant_refused' AND tenant = ?`, entrasim.OtherTenant); n != "1" {
		t.Errorf("%s rows in the trail", n)
	}
}

// TestPersonalAccountsMayPassThroughTheirOwnLogin: Microsoft sends browsers on to
// another host for them, which the consent page's form must be allowed to reach.
func TestPersonalAccountsMayPassThroughTheirOwnLogin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		tenant, allowed string
		want            bool
	}{
		{"organizations", entrasim.DemoTenant, false},
		{"common", entrasim.DemoTenant, false},
		{"common", entrasim.DemoTenant + "," + entrasim.PersonalTenant, true},
		{"consumers", entrasim.PersonalTenant, true},
	} {
		l := startFor(t, tt.tenant, tt.allowed, everybody, "")
		consent, _ := newBrowser(t).open(t.Context(), l.authorizeURL(newAuthorization(l.registration()), nil))
		policy := consent.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "form-action 'self' "+l.authority) || strings.Contains(policy, " https://login.live.com ") != tt.want {
			t.Errorf("%s with %s: %s", tt.tenant, tt.allowed, policy)
		}
	}
}
