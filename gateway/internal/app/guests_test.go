package app_test

import (
	"net/http"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

const membersOnly = "microsoft: {guests: deny, recheck_interval: 0s}\n"

// TestGuestsAreToldThatTheyAreKeptOut, and members come in.
func TestGuestsAreToldThatTheyAreKeptOut(t *testing.T) {
	t.Parallel()
	l := startLogin(t, upstreams[0].start, nil, always)
	gus, tokens := l.grant("Gus")
	tokens = l.renew(gus, tokens)
	l.restart(membersOnly, nil)
	l.send("/token", l.refreshForm(gus, tokens.RefreshToken), nil).wants(t, http.StatusBadRequest, oauth.CodeInvalidGrant, "")
	b, a, callback := l.begun("Gus")
	page, next := b.get(callback.String())
	l.failed(a, page, next, http.StatusForbidden, oauth.CodeAccessDenied)
	if !strings.Contains(page.body, "this gateway is for its members only") {
		t.Errorf("the page does not say why:\n%s", page.body)
	}
	ada, own := l.grant("Ada")
	l.renew(ada, own)
	n := 0
	for _, e := range l.trail() {
		if e.Kind == "login" && e.Outcome == "denied" && e.Reason == "guest_refused" && e.Tenant == entrasim.DemoTenant && e.Object == entrasim.GusObject {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the trail says %d times that the guest was refused", n)
	}
}

// TestNobodyComesInWhereGuestsCannotBeTold: the claim is missing, which is the
// operator's fault and not the person's, whose programs are not signed out.
func TestNobodyComesInWhereGuestsCannotBeTold(t *testing.T) {
	t.Parallel()
	l := startLogin(t, func(t *testing.T, url string) upstream {
		return startSimulator(t, url, func(o *entrasim.Options) { o.Apps[0].AcctClaim = false })
	}, nil, always)
	ada, tokens := l.grant("Ada")
	l.restart(membersOnly, nil)
	logged := l.logging()
	l.renew(ada, tokens) // the old word holds
	b, a, callback := l.begun("Nora")
	page, next := b.get(callback.String())
	l.failed(a, page, next, http.StatusBadGateway, oauth.CodeServerError)
	if !strings.Contains(page.body, "add the optional claim acct") {
		t.Errorf("the page does not say what is missing:\n%s", page.body)
	}
	logged("outcome=misconfigured", "code=acct_missing")
}
