package entra

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	// personalTenant is the directory of all personal accounts, the one that
	// "consumers" stands for.
	personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
	// templateTenant stands in an issuer where it depends on who signs in.
	templateTenant = "{tenantid}"
)

// several are the names that stand for more than one organization, and by which of
// them a personal account can come in.
var several = map[string]struct{ organizations, personal bool }{
	"organizations": {organizations: true},
	"common":        {organizations: true, personal: true},
	"consumers":     {personal: true},
	personalTenant:  {personal: true},
}

// domain is what a tenant can be called besides its GUID: labels of letters,
// digits and hyphens, at least two. It is also safe in a path.
var domain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$`)

// checkTenants refuses to let in whoever has an account: a name that stands for
// many needs a list of those that are meant.
func checkTenants(tenant string, allowed []string) error {
	const remedy = "use the Directory (tenant) ID, or a domain of the tenant"
	admits, many := several[tenant]
	switch {
	case !many && !isGUID(tenant) && (!domain.MatchString(tenant) || len(tenant) > 253):
		return fmt.Errorf("tenant %q is neither a GUID nor a domain: %s", tenant, remedy)
	case !many && len(allowed) > 0:
		return fmt.Errorf("tenant %q is one directory, and allowed tenants only go with organizations, common or consumers", tenant)
	case many && len(allowed) == 0:
		return fmt.Errorf("tenant %q would let in people of any organization: list the allowed tenants, or %s", tenant, remedy)
	}
	var problems []error
	for _, id := range allowed {
		switch personal := id == personalTenant; {
		case !isGUID(id):
			problems = append(problems, fmt.Errorf("allowed tenant %q is not a GUID: use its Directory (tenant) ID", id))
		case personal && !admits.personal:
			problems = append(problems, fmt.Errorf("allowed tenant %s is that of personal accounts, which cannot sign in through %q: use common", id, tenant))
		case !personal && !admits.organizations:
			problems = append(problems, fmt.Errorf("allowed tenant %s cannot sign in through %q, which is for personal accounts: use common or organizations", id, tenant))
		}
	}
	return errors.Join(problems...)
}

// stands reports whether the metadata of a configured tenant may be about id,
// which is a GUID or templateTenant.
func stands(tenant, id string) bool {
	switch admits, many := several[tenant]; {
	case admits.organizations:
		return id == templateTenant
	case many:
		return id == personalTenant
	case isGUID(tenant):
		return id == tenant
	}
	return isGUID(id) && id != personalTenant // a domain of an organization
}

// mayServe reports whether people of a tenant may be served here. Which tenant a
// domain stands for only Microsoft knows, so then any organization may be it.
func (p *Provider) mayServe(id string) bool {
	switch {
	case !isGUID(id):
		return false
	case len(p.allowed) > 0:
		return slices.Contains(p.allowed, id)
	case isGUID(p.tenant):
		return id == p.tenant
	}
	return id != personalTenant
}

// issuerOf puts a tenant into an issuer that may be a template.
func issuerOf(issuer, tenant string) string {
	return strings.ReplaceAll(issuer, templateTenant, tenant)
}
