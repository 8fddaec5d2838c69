package entra

import (
	"slices"
	"strings"

	"mcp-gateway/gateway/internal/store"
)

// admit is the gateway's own say about somebody whom Microsoft lets in, and whose
// token is in order. The error is an *Error.
func (p *Provider) admit(who store.Identity, c claims) error {
	refused := &Error{Kind: KindDenied, Tenant: who.Tenant, Object: who.Object}
	switch personal := who.Tenant == personalTenant; {
	case len(p.allowed) > 0 && !slices.Contains(p.allowed, who.Tenant):
		refused.Code = codeTenant
		refused.Summary = "Your account belongs to an organization that this gateway does not serve."
		refused.Help = "Start again and choose an account of an organization that it serves. If it should serve yours, its administrator can add the Directory (tenant) ID " +
			who.Tenant + " to microsoft.allowed_tenants."
		if personal {
			refused.Summary = "Personal Microsoft accounts cannot be used at this gateway."
			refused.Help = "Start again and choose your account at work or school."
		}
	case p.denyGuests && who.Guest:
		refused.Code = codeGuest
		refused.Summary = "You are a guest in this organization, and this gateway is for its members only."
		refused.Help = "Start again if you have another account, which is the organization's own. An administrator of the gateway can let guests in with microsoft.guests."
	case p.denyGuests && !personal && c.account() != member:
		// Fail closed: nobody is a guest among personal accounts, anybody elsewhere.
		refused.Kind, refused.Code = KindMisconfigured, codeAcct
		refused.Summary = "The gateway is for members only, and Microsoft did not say whether you are one."
		refused.Help = "An administrator can add the optional claim acct to ID tokens: the app registration, Token configuration, Add optional claim. Or let guests in with microsoft.guests."
	default:
		return nil
	}
	return refused
}

// The values of the claim acct.
const (
	member = "0"
	guest  = "1"
)

// account is the claim acct, or "" if Microsoft sent none.
func (c claims) account() string { return strings.Trim(string(c.Account), `"`) }

// isGuest: the claim acct says so, or the identity provider is not this tenant, in
// the form of either token version. The second also is a member from another
// organization, as Microsoft calls some of them: their account is not the tenant's.
func (c claims) isGuest(issuer string) bool {
	own := c.IdentityProvider == "" || c.IdentityProvider == issuer ||
		c.IdentityProvider == "https://sts.windows.net/"+c.Tenant+"/"
	return !own || c.account() == guest
}
