package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// deviceSignIn serves devices, as many as a test likes.
const deviceSignIn = "clients: {device_sign_in: true}\n" +
	"http: {rates: {device: {per_minute: 100000, burst: 100000}, register: {per_minute: 100000, burst: 100000}}}\n"

// unknownDevice is what every code that cannot be used is answered.
const unknownDevice = "No device waits with this code"

// device is a program that waits for a person elsewhere.
type device struct {
	*gateway
	clientID string
	oauth.DeviceAuthorization
}

// deviceClient registers a client that may use the grant of devices.
func (g *gateway) deviceClient() string {
	g.t.Helper()
	got := g.register(`{"client_name":"Terminal","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none",` +
		`"grant_types":["authorization_code","refresh_token","` + oauth.GrantTypeDeviceCode + `"]}`)
	if got.status != http.StatusCreated {
		g.t.Fatalf("register: %d %s", got.status, got.body)
	}
	return got.ClientID
}

// device has a new client ask for a code.
func (g *gateway) device() device {
	g.t.Helper()
	d := device{gateway: g, clientID: g.deviceClient()}
	got := g.send("/device_authorization", url.Values{"client_id": {d.clientID}, "scope": {"mcp offline_access openid"}, "resource": {g.url + "/mcp"}}, nil)
	if got.status != http.StatusOK {
		g.t.Fatalf("device authorization: %d %s", got.status, got.body)
	}
	if err := json.Unmarshal([]byte(got.body), &d.DeviceAuthorization); err != nil {
		g.t.Fatal(err)
	}
	return d
}

func (d device) form() url.Values {
	return url.Values{"grant_type": {oauth.GrantTypeDeviceCode}, "client_id": {d.clientID}, "device_code": {d.DeviceCode}}
}

func (d device) poll() reply { return d.send("/token", d.form(), nil) }

// polls wants the device to be told an error.
func (d device) polls(what, code string) {
	d.t.Helper()
	if got := d.poll(); got.status != http.StatusBadRequest || got.Error != code || got.AccessToken != "" {
		d.t.Errorf("%s: %d %s, want %s", what, got.status, got.body, code)
	}
}

// types has a person type a code and send it.
func (g *gateway) types(b *browser, code string) document {
	g.t.Helper()
	doc, _ := b.open(g.t.Context(), g.url+"/device?user_code="+url.QueryEscape(code))
	doc.forms[0].fields.Set("user_code", code)
	doc, next := b.press(g.t.Context(), doc, "Continue")
	if next != nil {
		g.t.Fatalf("the code sends the browser to %s", next)
	}
	return doc
}

// toMicrosoft allows the device in a browser, and returns the page there.
func (d device) toMicrosoft(b *browser) document {
	d.t.Helper()
	doc, _ := b.press(d.t.Context(), d.types(b, d.UserCode), "allow")
	if !strings.Contains(doc.body, "Who are you today?") {
		d.t.Fatalf("not at Microsoft (status %d):\n%s", doc.status, doc.body)
	}
	return doc
}

// signedIn takes a person all the way.
func (d device) signedIn(b *browser, who string) document {
	d.t.Helper()
	doc, next := b.press(d.t.Context(), d.toMicrosoft(b), who)
	if next != nil || doc.status != http.StatusOK || !strings.Contains(doc.body, "Your device is signed in") {
		d.t.Fatalf("status %d, sent to %v:\n%s", doc.status, next, doc.body)
	}
	return doc
}

func TestADeviceIsSignedIn(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	d, b := g.device(), newBrowser(t)
	if !regexp.MustCompile(`^mcpdc_[A-Za-z0-9_-]{43}$`).MatchString(d.DeviceCode) || !regexp.MustCompile(`^[B-Z]{4}-[B-Z]{4}$`).MatchString(d.UserCode) ||
		d.VerificationURI != g.url+"/device" || d.VerificationURIComplete != g.url+"/device?user_code="+d.UserCode || d.ExpiresIn != 600 || d.Interval != 5 {
		t.Errorf("the answer is %+v", d.DeviceAuthorization)
	}
	d.polls("nobody has signed in", oauth.CodeAuthorizationPending)
	d.polls("too soon", oauth.CodeSlowDown)

	entry, _ := b.open(t.Context(), d.VerificationURIComplete)
	if entry.status != http.StatusOK || len(entry.forms) != 1 || entry.forms[0].fields.Get("user_code") != d.UserCode || strings.Contains(entry.body, "Terminal") {
		t.Fatalf("the address with the code shows (status %d):\n%s", entry.status, entry.body)
	}
	consent, _ := b.press(t.Context(), entry, "Continue")
	for _, want := range []string{
		"<bdi>“Terminal”</bdi> asks", d.UserCode, "asked less than a minute ago", "from the address <code>127.0.0.1</code>, which is this browser",
		"Did you start this yourself, on your device?", "deny: they would use your tools", "nobody has checked it", "list the tools", "stay signed in",
	} {
		if !strings.Contains(consent.body, want) {
			t.Errorf("the consent page lacks %q", want)
		}
	}
	if cookies := consent.header.Values("Set-Cookie"); len(cookies) != 1 || entry.header.Get("Set-Cookie") != "" {
		t.Errorf("the pages set the cookies %q, want one with the consent page", cookies)
	}
	if strings.Contains(consent.body, "Its whole address") || strings.Contains(consent.header.Get("Content-Security-Policy"), "127.0.0.1") {
		t.Errorf("the consent page speaks of a redirect:\n%s", consent.body)
	}
	microsoft, _ := b.press(t.Context(), consent, "allow")
	done, _ := b.press(t.Context(), microsoft, entrasim.Ada)
	if done.status != http.StatusOK || !strings.Contains(done.body, "You are "+entrasim.Ada) || strings.Contains(done.body, "http-equiv") {
		t.Errorf("in the end (status %d):\n%s", done.status, done.body)
	}
	tokens := d.poll()
	if tokens.status != http.StatusOK || tokens.Scope != "mcp offline_access" || tokens.RefreshToken == "" || tokens.ExpiresIn != 600 {
		t.Fatalf("tokens: %d %s", tokens.status, tokens.body)
	}
	if resp, body := g.callModern(tokens.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK || !strings.Contains(body, entrasim.AdaObject) {
		t.Errorf("whoami: %d %s", resp.StatusCode, body)
	}
	if got := g.refresh(d.clientID, tokens.RefreshToken); got.status != http.StatusOK {
		t.Errorf("refresh: %+v", got)
	}
	d.poll().wants(t, 400, oauth.CodeInvalidGrant, "used before")
	if story := g.story(); !strings.Contains(story, "device ok issued\nlogin ok device\ngrant ok "+oauth.GrantTypeDeviceCode+"\n") ||
		!strings.Contains(story, "grant denied replay_of_"+oauth.GrantTypeDeviceCode) {
		t.Errorf("the trail tells\n%s", story)
	}
	for _, secret := range []string{d.DeviceCode, d.UserCode, tokens.AccessToken} {
		if strings.Contains(g.logs.String(), secret) || g.stored(secret) {
			t.Errorf("%.9s... is in the log or in the database", secret)
		}
	}
}

func TestOfManyPollsOneGetsTheTokens(t *testing.T) {
	t.Parallel()
	d := start(t, deviceSignIn).device()
	d.signedIn(newBrowser(t), "Ada")
	answers := make([]reply, 20)
	var callers sync.WaitGroup
	for i := range answers {
		callers.Go(func() { answers[i] = d.poll() })
	}
	callers.Wait()
	won := 0
	for _, got := range answers {
		if got.status == http.StatusOK {
			won++
		} else {
			got.wants(t, 400, oauth.CodeInvalidGrant, "used before")
		}
	}
	if won != 1 {
		t.Errorf("%d polls got tokens, want 1", won)
	}
}

func TestDeviceAuthorizationRefuses(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	good := url.Values{"client_id": {g.deviceClient()}, "scope": {"mcp"}, "resource": {g.url}}
	secretive := g.register(`{"redirect_uris":["` + serverRedirect + `"],"token_endpoint_auth_method":"client_secret_post","grant_types":["authorization_code","` + oauth.GrantTypeDeviceCode + `"]}`)
	twice := with(good)
	twice["scope"] = []string{"mcp", "mcp"}
	for _, tt := range []struct {
		name   string
		form   url.Values
		header http.Header
		status int
		code   string
		says   string
	}{
		{name: "no client", form: with(good, "client_id", ""), status: 400, code: oauth.CodeInvalidRequest, says: "client_id is missing"},
		{name: "an unknown client", form: with(good, "client_id", "mcpc_x"), status: 401, code: oauth.CodeInvalidClient, says: "not issued"},
		{name: "a client that did not register the grant", form: with(good, "client_id", g.registration()), status: 400, code: oauth.CodeUnauthorizedClient, says: "did not register"},
		{name: "a client without its secret", form: with(good, "client_id", secretive.ClientID), status: 401, code: oauth.CodeInvalidClient, says: "did not prove"},
		{name: "a client with a wrong secret", form: with(good, "client_id", secretive.ClientID, "client_secret", "x"), status: 401, code: oauth.CodeInvalidClient, says: "did not prove"},
		{name: "a foreign resource", form: with(good, "resource", "https://other.example/mcp"), status: 400, code: oauth.CodeInvalidTarget, says: "not this gateway"},
		{name: "a parameter twice", form: twice, status: 400, code: oauth.CodeInvalidRequest, says: "more than once"},
		{name: "no form", form: good, header: http.Header{"Content-Type": {"application/json"}}, status: 400, code: oauth.CodeInvalidRequest, says: "form-urlencoded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := g.in(t).send("/device_authorization", tt.form, tt.header)
			got.wants(t, tt.status, tt.code, tt.says)
			if strings.Contains(got.body, "user_code") {
				t.Errorf("it gets a code: %s", got.body)
			}
		})
	}
	g.send("/device_authorization?"+good.Encode(), nil, nil).wants(t, 400, oauth.CodeInvalidRequest, "client_id is missing")
	if resp, err := http.Get(g.url + "/device_authorization?" + good.Encode()); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", resp, err)
	}
	if got := g.send("/device_authorization", with(good, "client_id", secretive.ClientID, "client_secret", secretive.ClientSecret), nil); got.status != http.StatusOK {
		t.Errorf("the client with its secret: %d %s", got.status, got.body)
	}
}

func TestTheGrantOfDevicesRefuses(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	d, other := g.device(), g.device()
	d.signedIn(newBrowser(t), "Ada")
	a, code := g.code()
	for _, tt := range []struct {
		name   string
		form   url.Values
		status int
		code   string
		says   string
	}{
		{name: "no device code", form: with(d.form(), "device_code", ""), status: 400, code: oauth.CodeInvalidRequest, says: "device_code is missing"},
		{name: "an invented device code", form: with(d.form(), "device_code", d.DeviceCode[:len(d.DeviceCode)-1]+"-"), status: 400, code: oauth.CodeInvalidGrant, says: "unknown"},
		{name: "the user code", form: with(d.form(), "device_code", d.UserCode), status: 400, code: oauth.CodeInvalidGrant, says: "unknown"},
		{name: "an authorization code", form: with(d.form(), "device_code", code, "client_id", a.clientID), status: 400, code: oauth.CodeUnauthorizedClient, says: "did not register"},
		{name: "an authorization code of somebody else", form: with(d.form(), "device_code", code), status: 400, code: oauth.CodeInvalidGrant, says: "unknown"},
		{name: "another client", form: with(d.form(), "client_id", other.clientID), status: 400, code: oauth.CodeInvalidGrant, says: "unknown"},
		{name: "a client without the grant", form: with(d.form(), "client_id", a.clientID), status: 400, code: oauth.CodeUnauthorizedClient, says: "did not register"},
		{name: "no client", form: with(d.form(), "client_id", ""), status: 400, code: oauth.CodeInvalidRequest, says: "client_id is missing"},
		{name: "a foreign resource", form: with(d.form(), "resource", "https://other.example"), status: 400, code: oauth.CodeInvalidTarget, says: "not this gateway"},
		{name: "the device code as an authorization code", status: 400, code: oauth.CodeInvalidGrant, says: "any longer",
			form: url.Values{"grant_type": {"authorization_code"}, "client_id": {d.clientID}, "code": {d.DeviceCode}, "code_verifier": {oauth.NewVerifier()}}},
		{name: "the device code as an authorization code with a redirect", status: 400, code: oauth.CodeInvalidGrant, says: "redirect_uri is not",
			form: url.Values{"grant_type": {"authorization_code"}, "client_id": {d.clientID}, "code": {d.DeviceCode}, "redirect_uri": {clientRedirect}, "code_verifier": {oauth.NewVerifier()}}},
		{name: "the device code as a refresh token", form: g.refreshForm(d.clientID, d.DeviceCode), status: 400, code: oauth.CodeInvalidGrant, says: "unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) { g.in(t).send("/token", tt.form, nil).wants(t, tt.status, tt.code, tt.says) })
	}
	if got := d.poll(); got.status != http.StatusOK {
		t.Errorf("after all of these: %d %s", got.status, got.body)
	}
	g.alter(`UPDATE devices SET expires_at = 1`)
	other.polls("a device whose time is over", oauth.CodeExpiredToken)
	over := g.device()
	over.signedIn(newBrowser(t), "Ada")
	g.alter(`UPDATE codes SET expires_at = 1 WHERE used_at IS NULL`)
	over.polls("an approved device whose time is over", oauth.CodeExpiredToken)
}

// TestCodesThatCannotBeUsedLookAlike: whoever guesses learns nothing, and nobody
// takes what is another browser's.
func TestCodesThatCannotBeUsedLookAlike(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	used, denied, taken, over := g.device(), g.device(), g.device(), g.device()
	used.signedIn(newBrowser(t), "Ada")
	if doc, _ := newBrowser(t).press(t.Context(), g.types(newBrowser(t), denied.UserCode), "deny"); doc.status != http.StatusBadRequest {
		t.Errorf("a form that another browser sends: %d", doc.status)
	}
	b := newBrowser(t)
	if doc, _ := b.press(t.Context(), g.types(b, denied.UserCode), "deny"); !strings.Contains(doc.body, "Access was denied") {
		t.Errorf("denied (status %d):\n%s", doc.status, doc.body)
	}
	denied.polls("denied", oauth.CodeAccessDenied)
	denied.polls("denied, again", oauth.CodeAccessDenied)
	late := newBrowser(t)
	open := g.types(late, taken.UserCode)
	taken.toMicrosoft(newBrowser(t))
	g.alter(`UPDATE devices SET expires_at = 1 WHERE browser IS NULL AND denied_at IS NULL`)
	var first string
	for name, code := range map[string]string{
		"invented": "BCDF-GHJK", "used": used.UserCode, "denied": denied.UserCode, "of another browser": taken.UserCode, "over": over.UserCode, "in small letters": strings.ToLower(over.UserCode),
	} {
		doc := g.types(newBrowser(t), code)
		if doc.status != http.StatusBadRequest || !strings.Contains(doc.body, unknownDevice) || first != "" && doc.body != first {
			t.Errorf("a code that is %s (status %d):\n%s", name, doc.status, doc.body)
		}
		first = doc.body
	}
	doc, next := late.press(t.Context(), open, "allow")
	if next != nil || doc.status != http.StatusBadRequest || !strings.Contains(doc.body, unknownDevice) {
		t.Errorf("a page that was open before another browser came (status %d):\n%s", doc.status, doc.body)
	}
	if doc, _ := late.press(t.Context(), open, "deny"); doc.status != http.StatusBadRequest {
		t.Errorf("and its denial: status %d", doc.status)
	}
	taken.polls("the device of the other browser", oauth.CodeAuthorizationPending)
	for _, code := range []string{"", "BCDF", "BCDF-GHJKL", "AEIO-UAEI", "1234-5678", strings.Repeat("BCDF", 20)} {
		if doc := g.types(newBrowser(t), code); doc.status != http.StatusBadRequest || !strings.Contains(doc.body, "A code is eight letters") {
			t.Errorf("%q (status %d):\n%s", code, doc.status, doc.body)
		}
	}
}

// TestADeviceIsOnePersons: the browser that allowed it finishes, and the person who
// finished first has it.
func TestADeviceIsOnePersons(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	d, b := g.device(), newBrowser(t)
	first, second := d.toMicrosoft(b), d.toMicrosoft(b)
	b.stopAt = g.url + "/callback?"
	_, back := b.press(t.Context(), first, "Ada")
	if doc, _ := newBrowser(t).open(t.Context(), back.String()); doc.status != http.StatusBadRequest || !strings.Contains(doc.body, "cannot be finished") {
		t.Errorf("the callback in another browser (status %d):\n%s", doc.status, doc.body)
	}
	d.polls("then", oauth.CodeAuthorizationPending)
	b.stopAt = clientRedirect
	if doc, _ := b.open(t.Context(), back.String()); !strings.Contains(doc.body, "Your device is signed in") {
		t.Fatalf("status %d:\n%s", doc.status, doc.body)
	}
	doc, _ := b.press(t.Context(), second, "Max")
	if doc.status != http.StatusBadRequest || !strings.Contains(doc.body, unknownDevice) {
		t.Errorf("a second person (status %d):\n%s", doc.status, doc.body)
	}
	tokens := d.poll()
	if resp, body := g.callModern(tokens.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK || !strings.Contains(body, entrasim.AdaObject) {
		t.Errorf("whoami: %d %s", resp.StatusCode, body)
	}
	if story := g.story(); !strings.Contains(story, "login denied device is decided or over") {
		t.Errorf("the trail tells\n%s", story)
	}
}

func TestADeviceThatMicrosoftRefuses(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	for _, tt := range []struct {
		name   string
		fail   func()
		click  string
		status int
		polls  string
	}{
		{name: "cancelled", fail: func() {}, click: "Cancel", status: 403, polls: oauth.CodeAccessDenied},
		{name: "a policy of the organization", fail: func() { g.sim.FailAuthorize(entrasim.Outcome{AADSTS: 53003}) }, click: "Ada", status: 403, polls: oauth.CodeAccessDenied},
		{name: "an outage", fail: func() { g.sim.FailToken(entrasim.Outcome{Fault: entrasim.Outage}) }, click: "Ada", status: 503, polls: oauth.CodeAuthorizationPending},
		{name: "a wrong setting", fail: func() { g.sim.FailToken(entrasim.Outcome{AADSTS: 7000215}) }, click: "Ada", status: 502, polls: oauth.CodeAuthorizationPending},
		{name: "an administrator, the person", click: "Olga", status: 403, polls: oauth.CodeAccessDenied, fail: func() {
			g.must(admin.Request{Command: admin.UsersDisable, User: entrasim.DemoTenant + "/" + entrasim.OlgaObject})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, b := g.in(t).device(), newBrowser(t)
			page := d.toMicrosoft(b)
			tt.fail()
			doc, next := b.press(t.Context(), page, tt.click)
			if next != nil || doc.status != tt.status || strings.Contains(doc.body, "http-equiv") || strings.Contains(doc.body, "Return to") {
				t.Errorf("status %d, sent to %v:\n%s", doc.status, next, doc.body)
			}
			d.polls("then", tt.polls)
			if tt.polls == oauth.CodeAuthorizationPending {
				d.signedIn(b, "Ada") // in the browser that has it
				if got := d.poll(); got.status != http.StatusOK {
					t.Errorf("tried again: %d %s", got.status, got.body)
				}
			}
		})
	}
}

func TestADeviceWhoseClientIsDisabled(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	kept := func(doc document) {
		t.Helper()
		if doc.status < 400 || !strings.Contains(doc.body, "may not use this gateway") && !strings.Contains(doc.body, "An administrator has disabled") {
			t.Errorf("status %d:\n%s", doc.status, doc.body)
		}
	}
	typing, allowing, signing, polling := g.device(), g.device(), g.device(), g.device()
	b := newBrowser(t)
	open, microsoft := g.types(b, allowing.UserCode), signing.toMicrosoft(b)
	polling.signedIn(b, "Ada")
	for _, d := range []device{typing, allowing, signing, polling} {
		g.must(admin.Request{Command: admin.ClientsDisable, Client: d.clientID})
		d.poll().wants(t, 400, oauth.CodeUnauthorizedClient, "does not let this client in")
		g.send("/device_authorization", url.Values{"client_id": {d.clientID}}, nil).wants(t, 400, oauth.CodeUnauthorizedClient, "does not let this client in")
	}
	kept(g.types(b, typing.UserCode))
	doc, _ := b.press(t.Context(), open, "allow")
	kept(doc)
	doc, _ = b.press(t.Context(), microsoft, "Ada")
	kept(doc)
	g.must(admin.Request{Command: admin.ClientsEnable, Client: polling.clientID})
	polling.polls("what was approved before it was disabled", oauth.CodeExpiredToken)
}
