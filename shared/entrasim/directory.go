package entrasim

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// PersonalTenant is the tenant of all personal Microsoft accounts, which
// "consumers" is a nickname of.
const PersonalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// maxRedirectURI is Microsoft's limit for a registered redirect URI.
const maxRedirectURI = 256

// Tenant is one organization.
type Tenant struct {
	// ID is a GUID in lower case; Domain names the tenant too.
	ID, Domain string
	// Name is for display.
	Name string
}

// User is one account in a tenant.
type User struct {
	// TenantID and ObjectID together are the identity.
	TenantID, ObjectID string
	// Username (preferred_username) picks the person on the sign-in page, so
	// it is unique here. Name and Email are mutable and prove nothing; an
	// empty Email is a person without a mailbox.
	Username, Name, Email string
	// Description tells the sign-in page who this is.
	Description string
	// Roles are values of app roles. Whoever has one counts as assigned to
	// every app of the directory.
	Roles []string
	// Groups are object ids. More than 200 do not fit into a token: it then
	// names a place to ask instead (groups overage).
	Groups []string
	// HomeIDP is set for a guest: the identity provider of the home account,
	// such as https://sts.windows.net/{tenant}/ or live.com.
	HomeIDP string
}

// App is one registered web application.
type App struct {
	// TenantID is where the application is registered. Only accounts of that
	// tenant may use it unless it is MultiTenant.
	TenantID, ClientID, Name string
	MultiTenant              bool
	// RedirectURIs are of the platform Web: whoever redeems a code that went
	// there proves itself with one of the next three.
	RedirectURIs []string
	Secrets      []Secret
	// Certificates are those whose keys sign the client's assertions: RSA only.
	Certificates         []*x509.Certificate
	FederatedCredentials []FederatedCredential
	// PublicRedirectURIs are of the platform "Mobile and desktop applications":
	// whoever redeems a code that went there has no secret and may send none.
	PublicRedirectURIs []string
	// AssignmentRequired stops people without an app role (AADSTS50105).
	AssignmentRequired bool
	// GroupClaims puts groups into tokens (groupMembershipClaims).
	GroupClaims bool
	// AcctClaim adds the optional claim acct: 0 member, 1 guest.
	AcctClaim bool
	// SessionClaim adds the optional claim sid: the session in the browser.
	SessionClaim bool
	// LogoutURL is what a browser is made to load when somebody signs out who was
	// signed in to the app in it ("Front-channel logout URL"); empty: nothing.
	LogoutURL string
}

// Secret is a client secret; zero ExpiresAt never expires.
type Secret struct {
	Value     string
	ExpiresAt time.Time
}

// directory is the checked content of Options. It is immutable.
type directory struct {
	tenants map[string]*Tenant // by GUID and by domain, in lower case
	users   []*User
	apps    map[string]*App
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func newDirectory(o Options) (directory, error) {
	d := directory{tenants: make(map[string]*Tenant), apps: make(map[string]*App)}
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	for _, t := range o.Tenants {
		check(guid.MatchString(t.ID), "tenant %q is not a lower-case GUID", t.ID)
		for _, name := range []string{t.ID, strings.ToLower(t.Domain)} {
			check(name != "" && d.tenants[name] == nil, "tenant %q stands twice or has no name", name)
			d.tenants[name] = &t
		}
	}
	for _, u := range o.Users {
		check(d.tenants[u.TenantID] != nil || u.TenantID == PersonalTenant, "user %q is in an unknown tenant", u.Username)
		check(guid.MatchString(u.ObjectID), "user %q has no GUID for an object id", u.Username)
		check(u.Username != "" && u.Username != Cancel && d.user(u.Username) == nil, "user name %q is taken", u.Username)
		d.users = append(d.users, &u)
	}
	for _, a := range o.Apps {
		check(guid.MatchString(a.ClientID) && d.apps[a.ClientID] == nil, "client id %q is no GUID or stands twice", a.ClientID)
		check(d.tenants[a.TenantID] != nil, "app %q is in an unknown tenant", a.ClientID)
		check(len(a.Secrets)+len(a.Certificates)+len(a.FederatedCredentials) > 0 || len(a.RedirectURIs) == 0,
			"app %q has no secret, no certificate and no federated credential", a.ClientID)
		for _, uri := range slices.Concat(a.RedirectURIs, a.PublicRedirectURIs) {
			check(registrable(uri), "app %q cannot register redirect URI %q", a.ClientID, uri)
		}
		check(a.LogoutURL == "" || registrable(a.LogoutURL), "app %q cannot register logout URL %q", a.ClientID, a.LogoutURL)
		d.apps[a.ClientID] = &a
	}
	return d, errors.Join(problems...)
}

// registrable follows what the portal accepts for a web application: https, or
// http on localhost (127.0.0.1 through the manifest only), no fragment.
func registrable(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxRedirectURI || u.Host == "" || strings.ContainsAny(uri, "#!$'(),;*") {
		return false
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1"
	return u.Scheme == "https" || (u.Scheme == "http" && local)
}

// user finds a person by the name on the sign-in page.
func (d *directory) user(username string) *User {
	i := slices.IndexFunc(d.users, func(u *User) bool { return u.Username == username })
	if i < 0 {
		return nil
	}
	return d.users[i]
}

// tenantName is for display.
func (d *directory) tenantName(id string) string {
	if t := d.tenants[id]; t != nil && t.Name != "" {
		return t.Name
	}
	return id
}

// allows reports whether uri is registered. The comparison is exact and
// case-sensitive; only the port of http://localhost does not matter.
func (a *App) allows(uri string) bool {
	return registered(a.RedirectURIs, uri) || registered(a.PublicRedirectURIs, uri)
}

func registered(uris []string, uri string) bool {
	return slices.ContainsFunc(uris, func(one string) bool {
		return one == uri || withoutLocalPort(one) == withoutLocalPort(uri)
	})
}

func withoutLocalPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.Hostname() != "localhost" || u.Port() == "" {
		return uri
	}
	return strings.Replace(uri, u.Host, "localhost", 1)
}

// authority is what stands in the path of a request where a tenant goes.
type authority struct {
	// segment stands in the endpoints: common, organizations, consumers or the
	// GUID, also when the caller named the tenant by its domain.
	segment string
	// tenantID is empty for common and organizations.
	tenantID string
}

func (d *directory) authority(segment string) (authority, *failure) {
	switch segment {
	case "common", "organizations":
		return authority{segment: segment}, nil
	case "consumers", PersonalTenant:
		return authority{segment: "consumers", tenantID: PersonalTenant}, nil
	}
	t := d.tenants[strings.ToLower(segment)]
	if t == nil {
		return authority{}, violation(90002, "tenant %q", segment)
	}
	return authority{segment: t.ID, tenantID: t.ID}, nil
}

// admits reports whether accounts like u may sign in here.
func (a authority) admits(u *User) bool {
	switch a.segment {
	case "common":
		return true
	case "organizations":
		return u.TenantID != PersonalTenant
	default:
		return u.TenantID == a.tenantID
	}
}

// app finds an application that may be used at this authority.
func (d *directory) app(clientID string, at authority) (*App, *failure) {
	a := d.apps[clientID]
	switch {
	case a == nil, !a.MultiTenant && at.tenantID != "" && a.TenantID != at.tenantID:
		return nil, violation(700016, "client %q", clientID)
	case !a.MultiTenant && at.tenantID == "":
		return nil, violation(50194, "client %q at %q", clientID, at.segment)
	}
	return a, nil
}
