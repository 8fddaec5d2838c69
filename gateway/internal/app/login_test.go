package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// loginChecks is what holds of a sign-in, whoever stands in for Microsoft.
var loginChecks = []struct {
	name  string
	check func(t *testing.T, l login)
	// A check that needs its own gateway has settings of the application, or
	// of the gateway, or is alone because it breaks something.
	settings map[string]string
	extra    string
	alone    bool
}{
	{name: "who cancels is denied", check: cancelled},
	{name: "nobody of another tenant comes in", check: stranger},
	{name: "an ID token for another nonce is refused", check: changedNonce},
	{name: "a code for another challenge is refused", check: changedChallenge},
	{name: "a code of another sign-in is refused", check: swappedCodes},
	{name: "a code that nobody issued is refused", check: inventedCode},
	{name: "an answer for another state is refused, and the right one still counts", check: changedState},
	{name: "an answer counts once", check: answeredTwice},
	{name: "an answer counts in the browser that began", check: otherBrowser},
	{name: "an answer with an error for another state is refused", check: errorForAnotherState},
	{name: "the roles are those of the last sign-in", check: changedRoles, alone: true},
	{name: "a tenant goes by its id", check: signsIn, settings: map[string]string{"MICROSOFT_TENANT_ID": entrasim.DemoTenant}},
	{name: "a page that asks for the password", check: signsIn, extra: "microsoft: {prompt: login}\n"},
	{name: "a wrong secret is the operator's fault", check: wrongSecret, settings: map[string]string{"MICROSOFT_CLIENT_SECRET": "wrong-secret-canary"}},
	{
		name: "an unknown application ends at Microsoft", check: endsAtMicrosoft,
		settings: map[string]string{"MICROSOFT_CLIENT_ID": "c0ffee00-0000-4000-8000-00000000dead"},
	},
	{name: "an outage between page and callback is temporary", check: goneMeanwhile, alone: true},
	{name: "a restart between page and callback loses nothing", check: restartedMeanwhile, alone: true},
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for _, u := range upstreams {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			all := startLogin(t, u.start, nil, wideRates)
			for _, c := range loginChecks {
				t.Run(c.name, func(t *testing.T) {
					if c.settings == nil && c.extra == "" && !c.alone {
						c.check(t, all.on(t))
						return
					}
					c.check(t, startLogin(t, u.start, c.settings, c.extra))
				})
			}
		})
	}
}

// toMicrosoft takes a browser through consent and returns where at Microsoft it
// is sent.
func (l login) toMicrosoft(b *browser, a authorization) *url.URL {
	l.t.Helper()
	consent, _ := b.open(l.t.Context(), l.authorizeURL(a, nil))
	b.stopAt = l.authority
	defer func() { b.stopAt = clientRedirect }()
	_, at := b.press(l.t.Context(), consent, "allow")
	if at == nil {
		l.t.Fatal("the consent page leads nowhere")
	}
	return at
}

// fromMicrosoft signs a person in there and returns where the browser is sent
// back to, without going.
func (l login) fromMicrosoft(b *browser, at *url.URL, who string) *url.URL {
	l.t.Helper()
	page, _ := b.open(l.t.Context(), at.String())
	b.stopAt = l.url + "/callback?"
	defer func() { b.stopAt = clientRedirect }()
	page, back := b.press(l.t.Context(), page, who)
	if back == nil {
		l.t.Fatalf("Microsoft sent nobody back (status %d):\n%s", page.status, page.body)
	}
	return back
}

// begun is a sign-in whose answer is on its way back.
func (l login) begun(who string) (b *browser, a authorization, callback *url.URL) {
	l.t.Helper()
	b, a = newBrowser(l.t), newAuthorization(l.registration())
	return b, a, l.fromMicrosoft(b, l.toMicrosoft(b, a), who)
}

// failed checks the page of a sign-in that did not succeed: the status, and an
// error for the client that has its state and no code.
func (l login) failed(a authorization, page document, next *url.URL, status int, code string) {
	l.t.Helper()
	if next != nil {
		l.t.Fatalf("the browser went on to %s without a page", next)
	}
	if page.status != status {
		l.t.Errorf("status %d, want %d:\n%s", page.status, status, page.body)
	}
	back := strings.ReplaceAll(page.body, "&amp;", "&")
	for _, want := range []string{clientRedirect + "?error=" + code + "&", "state=" + a.state, "iss=" + url.QueryEscape(l.url)} {
		if !strings.Contains(back, want) {
			l.t.Errorf("the way back lacks %q:\n%s", want, page.body)
		}
	}
	if strings.Contains(back, "?code=") || strings.Contains(back, "&code=") {
		l.t.Errorf("the way back has a code:\n%s", page.body)
	}
}

// refused checks a page that answers no client.
func (l login) refused(page document, next *url.URL) {
	l.t.Helper()
	if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "This sign-in cannot be finished") || strings.Contains(page.body, clientRedirect) {
		l.t.Errorf("status %d, redirected to %v:\n%s", page.status, next, page.body)
	}
}

// completed checks that a callback brings the client its code, and redeems it.
func (l login) completed(a authorization, page document, next *url.URL) {
	l.t.Helper()
	if next == nil || next.Query().Get("code") == "" || next.Query().Get("state") != a.state {
		l.t.Fatalf("status %d, the client was answered %v:\n%s", page.status, next, page.body)
	}
	if got := l.redeem(a, next.Query().Get("code"), nil); got.status != http.StatusOK {
		l.t.Errorf("redeem: %+v", got)
	}
}

func signsIn(_ *testing.T, l login) {
	b, a, callback := l.begun("Ada")
	page, next := b.get(callback.String())
	l.completed(a, page, next)
}

func cancelled(_ *testing.T, l login) {
	b, a, callback := l.begun("Cancel")
	if q := callback.Query(); q.Get("error") != oauth.CodeAccessDenied || q.Has("code") {
		l.t.Errorf("Microsoft answers %v", q)
	}
	page, next := b.get(callback.String())
	l.failed(a, page, next, http.StatusForbidden, oauth.CodeAccessDenied)
}

// stranger has Ada's object id, in another tenant. Microsoft refuses them; if it
// did not, the gateway would.
func stranger(_ *testing.T, l login) {
	logged := l.logging()
	b, a, callback := l.begun(entrasim.Mallory)
	page, next := b.get(callback.String())
	if callback.Query().Has("error") {
		l.failed(a, page, next, http.StatusForbidden, oauth.CodeAccessDenied)
		return
	}
	l.failed(a, page, next, http.StatusBadGateway, oauth.CodeServerError)
	logged("code=id_token_rejected", "the token of tenant")
}

// changedNonce: the code is good, and the ID token is for another sign-in.
func changedNonce(_ *testing.T, l login) {
	logged := l.logging()
	b, a, at := l.changed("nonce")
	page, next := b.get(l.fromMicrosoft(b, at, "Ada").String())
	l.failed(a, page, next, http.StatusBadGateway, oauth.CodeServerError)
	logged("code=id_token_rejected", "nonce is not the one of this sign-in")
}

func changedChallenge(_ *testing.T, l login) {
	logged := l.logging()
	b, a, at := l.changed("code_challenge")
	page, next := b.get(l.fromMicrosoft(b, at, "Ada").String())
	l.notTheVerifier(a, page, next)
	logged("code=invalid_grant")
}

// changed is a sign-in at an address that somebody changed on its way from the
// gateway to Microsoft.
func (l login) changed(parameter string) (b *browser, a authorization, at *url.URL) {
	l.t.Helper()
	b, a = newBrowser(l.t), newAuthorization(l.registration())
	at = l.toMicrosoft(b, a)
	q := at.Query()
	if !q.Has(parameter) {
		l.t.Fatalf("there is no %s in %s", parameter, at)
	}
	q.Set(parameter, oauth.ChallengeS256(oauth.NewVerifier()))
	at.RawQuery = q.Encode()
	return b, a, at
}

// notTheVerifier: with its number (AADSTS501481) Microsoft's invalid_grant is
// known for a mismatch, without one it is a code that is over.
func (l login) notTheVerifier(a authorization, page document, next *url.URL) {
	l.t.Helper()
	if l.sim == nil {
		l.failed(a, page, next, http.StatusForbidden, oauth.CodeAccessDenied)
		return
	}
	l.failed(a, page, next, http.StatusBadGateway, oauth.CodeServerError)
}

// logging returns a check that the log has, from now on, what is wanted of it.
func (l login) logging() func(want ...string) {
	before := len(l.logs.String())
	return func(want ...string) {
		l.t.Helper()
		log := l.logs.String()[before:]
		for _, w := range want {
			if !strings.Contains(log, w) {
				l.t.Errorf("the log lacks %q:\n%s", w, log)
			}
		}
	}
}

// swappedCodes: a code that a thief got for themselves, put into the victim's
// answer, would sign the victim in as the thief.
func swappedCodes(_ *testing.T, l login) {
	_, _, thief := l.begun("Max")
	b, a, callback := l.begun("Ada")
	logged := l.logging()
	page, next := b.get(withQuery(callback, "code", thief.Query().Get("code")))
	l.notTheVerifier(a, page, next)
	logged("code=invalid_grant")
	page, next = b.get(callback.String())
	l.refused(page, next) // it is over
}

func inventedCode(_ *testing.T, l login) {
	b, a, callback := l.begun("Ada")
	page, next := b.get(withQuery(callback, "code", "1.invented"))
	l.failed(a, page, next, http.StatusForbidden, oauth.CodeAccessDenied)
}

func changedState(_ *testing.T, l login) {
	b, a, callback := l.begun("Ada")
	for _, state := range []string{"", "x", oauth.NewVerifier()} {
		page, next := b.get(withQuery(callback, "state", state))
		l.refused(page, next)
	}
	page, next := b.get(callback.String())
	l.completed(a, page, next)
}

func answeredTwice(_ *testing.T, l login) {
	b, a, callback := l.begun("Ada")
	page, next := b.get(callback.String())
	l.completed(a, page, next)
	page, next = b.get(callback.String())
	l.refused(page, next)
}

func otherBrowser(_ *testing.T, l login) {
	b, a, callback := l.begun("Ada")
	page, next := newBrowser(l.t).get(callback.String())
	l.refused(page, next)
	page, next = b.get(callback.String())
	l.completed(a, page, next)
}

func errorForAnotherState(_ *testing.T, l login) {
	b, a, callback := l.begun("Ada")
	page, next := b.get(l.url + "/callback?error=access_denied&state=" + oauth.NewVerifier())
	l.refused(page, next)
	page, next = b.get(callback.String())
	l.completed(a, page, next)
}

func withQuery(u *url.URL, name, value string) string {
	changed, q := *u, u.Query()
	q.Set(name, value)
	changed.RawQuery = q.Encode()
	return changed.String()
}

// changedRoles: what a person may do follows their roles at Microsoft, from one
// sign-in to the next, up and down.
func changedRoles(t *testing.T, l login) {
	members := []string{"math_add", "math_multiply", "math_subtract", "whoami"}
	for _, step := range []struct {
		person, username string
		change           bool
		roles, tools     []string
	}{
		{person: "Nora", tools: []string{"whoami"}},
		{person: "Nora", username: entrasim.Nora, change: true, roles: []string{entrasim.RoleUser}, tools: members},
		{person: "Nora", username: entrasim.Nora, change: true, roles: []string{"mcp.user", "Mcp.User.Read"}, tools: []string{"whoami"}},
		{person: "Max", tools: []string{"math_add", "math_divide", "math_multiply", "math_subtract", "whoami"}},
		// He is still an engineer.
		{person: "Max", username: entrasim.Max, change: true, tools: []string{"math_divide", "whoami"}},
	} {
		if step.change {
			l.upstream.setRoles(step.username, step.roles...)
		}
		_, tokens := l.grant(step.person)
		list, err := connect(t.Context(), t, l.gateway, tokens.AccessToken, "2026-07-28").ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var tools []string
		for _, tool := range list.Tools {
			tools = append(tools, tool.Name)
		}
		if slices.Sort(tools); !slices.Equal(tools, step.tools) {
			t.Errorf("%s with the roles %q: tools %q, want %q", step.person, step.roles, tools, step.tools)
		}
	}
}

// wrongSecret: nothing is wrong with the person, and nobody can sign in until the
// operator has changed it.
func wrongSecret(t *testing.T, l login) {
	logged := l.logging()
	b, a, callback := l.begun("Ada")
	page, next := b.get(callback.String())
	l.failed(a, page, next, http.StatusBadGateway, oauth.CodeServerError)
	if !strings.Contains(page.body, "not set up correctly") {
		t.Errorf("the page does not say whose fault it is:\n%s", page.body)
	}
	logged("outcome=misconfigured", "code=invalid_client")
	if strings.Contains(l.logs.String(), "secret-canary") || strings.Contains(page.body, "secret-canary") {
		t.Error("the secret is in the log or on the page")
	}
}

// endsAtMicrosoft: whoever does not know the application sends no browser to an
// address that it names.
func endsAtMicrosoft(t *testing.T, l login) {
	b := newBrowser(t)
	page, next := b.open(t.Context(), l.toMicrosoft(b, newAuthorization(l.registration())).String())
	if next != nil || page.status != http.StatusBadRequest || !strings.HasPrefix(page.url.String(), l.authority) {
		t.Errorf("status %d at %s, redirected to %v", page.status, page.url.Host, next)
	}
}

func restartedMeanwhile(_ *testing.T, l login) {
	b, a, callback := l.begun("Ada")
	l.restart("", nil)
	page, next := b.get(callback.String())
	l.completed(a, page, next)
}

func goneMeanwhile(t *testing.T, l login) {
	b, a, callback := l.begun("Ada")
	l.upstream.stop()
	page, next := b.get(callback.String())
	l.failed(a, page, next, http.StatusServiceUnavailable, oauth.CodeTemporarilyUnavailable)
	if !strings.Contains(page.body, "cannot be reached") {
		t.Errorf("the page does not say what is wrong:\n%s", page.body)
	}
}
