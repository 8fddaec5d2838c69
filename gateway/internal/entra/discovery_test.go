package entra_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/entra"
)

func TestDiscoveryIsRefused(t *testing.T) {
	t.Parallel()
	member := func(name string, value any) func(*fake) http.HandlerFunc {
		return func(f *fake) http.HandlerFunc {
			document := f.metadata()
			document[name] = value
			return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, document) }
		}
	}
	moved := func(name, host string) func(*fake) http.HandlerFunc {
		return func(f *fake) http.HandlerFunc {
			return member(name, strings.Replace(f.metadata()[name].(string), f.URL, host, 1))(f)
		}
	}
	answer := func(handler http.HandlerFunc) func(*fake) http.HandlerFunc {
		return func(*fake) http.HandlerFunc { return handler }
	}
	const unavailable, misconfigured = entra.KindUnavailable, entra.KindMisconfigured
	tests := map[string]struct {
		document     func(*fake) http.HandlerFunc
		kind         entra.Kind
		code, reason string
	}{
		"the issuer is another tenant": {func(f *fake) http.HandlerFunc {
			return member("issuer", f.URL+"/"+otherID+"/v2.0")(f)
		}, misconfigured, "protocol_error", "is for tenant " + otherID},
		"the issuer is elsewhere":      {member("issuer", "http://evil.example/"+tenantID+"/v2.0"), misconfigured, "protocol_error", "issuer is"},
		"the issuer is a template":     {func(f *fake) http.HandlerFunc { return member("issuer", f.URL+"/{tenantid}/v2.0")(f) }, misconfigured, "protocol_error", "is for tenant {tenantid}"},
		"the issuer is of version 1":   {func(f *fake) http.HandlerFunc { return member("issuer", f.URL+"/"+tenantID+"/")(f) }, misconfigured, "protocol_error", "issuer is"},
		"there is no issuer":           {member("issuer", ""), misconfigured, "protocol_error", "issuer is"},
		"people are sent elsewhere":    {moved("authorization_endpoint", "http://evil.example"), misconfigured, "protocol_error", "endpoint that is not on"},
		"the secret is sent elsewhere": {moved("token_endpoint", "http://evil.example"), misconfigured, "protocol_error", "endpoint that is not on"},
		"the keys are elsewhere":       {moved("jwks_uri", "http://evil.example"), misconfigured, "protocol_error", "endpoint that is not on"},
		"an endpoint has another scheme": {func(f *fake) http.HandlerFunc {
			return moved("token_endpoint", strings.Replace(f.URL, "http", "ftp", 1))(f)
		}, misconfigured, "protocol_error", "endpoint that is not on"},
		"an endpoint has a user": {func(f *fake) http.HandlerFunc {
			return moved("token_endpoint", strings.Replace(f.URL, "//", "//x@", 1))(f)
		}, misconfigured, "protocol_error", "endpoint that is not on"},
		"an endpoint is missing":              {member("jwks_uri", ""), misconfigured, "protocol_error", "endpoint that is not on"},
		"a member has another type":           {member("issuer", 7), unavailable, "no_answer", "read the metadata document"},
		"it is a page":                        {answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>Welcome</h1>")) }), unavailable, "no_answer", "read the metadata document"},
		"it is endless":                       {answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat(" ", 1<<20+1))) }), unavailable, "no_answer", "answered with too much"},
		"Microsoft does not know the tenant":  {answer(refusal(http.StatusBadRequest, "invalid_tenant", 90002, nil)), misconfigured, "invalid_tenant", "(AADSTS90002)"},
		"Microsoft is in trouble":             {answer(broken), unavailable, "no_answer", "answered 500"},
		"there is something else at the host": {answer(http.NotFound), unavailable, "no_answer", "answered 404"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.document, test.document(f))
			p := f.provider(t)
			_, err := p.AuthURL(t.Context(), request)
			wantError(t, err, test.kind, test.code, test.reason)
			_, err = p.Exchange(t.Context(), authCode, request, now)
			wantError(t, err, test.kind, test.code, test.reason)
			if f.redemptions.Load() != 0 {
				t.Error("the code and the secret were sent all the same")
			}
		})
	}
}

// A domain stands for a GUID that only Microsoft knows.
func TestADomainIsResolvedToItsTenant(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cfg := f.config()
	cfg.Tenant = "Contoso.example"
	who, err := newProvider(t, cfg).Exchange(t.Context(), authCode, request, now)
	if err != nil {
		t.Fatal(err)
	}
	if who.Tenant != tenantID {
		t.Errorf("got tenant %s, want %s", who.Tenant, tenantID)
	}
}

func TestADomainOfPersonalAccountsIsRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cfg := f.config()
	cfg.Tenant = "outlook.example"
	f.set(&f.document, func(w http.ResponseWriter, _ *http.Request) {
		document := f.metadata()
		document["issuer"] = f.URL + "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
		writeJSON(w, http.StatusOK, document)
	})
	_, err := newProvider(t, cfg).AuthURL(t.Context(), request)
	wantError(t, err, entra.KindMisconfigured, "protocol_error", "is for tenant 9188040d-6c67-4c5b-b112-36a304b66dad, which outlook.example is not")
}

func TestGUIDsInCapitalsAreTheSameIDs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cfg := f.config()
	cfg.Tenant, cfg.ClientID = strings.ToUpper(tenantID), strings.ToUpper(clientID)
	p := newProvider(t, cfg)
	if _, err := p.Exchange(t.Context(), authCode, request, now); err != nil {
		t.Fatal(err)
	}
	location, err := p.AuthURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Query().Get("client_id"); got != clientID {
		t.Errorf("got client_id %s", got)
	}
}

func TestDiscoveryIsLazyAndRemembered(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	if n := f.documents.Load(); n != 0 {
		t.Fatalf("New asked Microsoft %d times", n)
	}
	steps := []struct {
		when  string
		after time.Duration
		down  bool
		fails bool
		want  int32
	}{
		{"before the first answer, in an outage", 0, true, true, 1},
		{"5 seconds later, in the outage", 5 * time.Second, true, true, 1},
		{"6 seconds later, which is too soon to see that it is over", 6 * time.Second, false, true, 1},
		{"11 seconds later", 11 * time.Second, false, false, 2},
		{"the same day", 23 * time.Hour, false, false, 2},
		{"the next day, in an outage", 25 * time.Hour, true, false, 3},
		{"5 seconds later, in that outage", 25*time.Hour + 5*time.Second, true, false, 3},
		{"a minute later, after it", 25*time.Hour + time.Minute, false, false, 4},
		{"a week and a day later, in an outage", 9 * 24 * time.Hour, true, true, 5},
	}
	for _, step := range steps {
		f.set(&f.document, nil)
		if step.down {
			f.set(&f.document, broken)
		}
		if err := f.exchange(t, p, step.after, "kid-a"); (err != nil) != step.fails {
			t.Errorf("%s: got error %v, want one: %v", step.when, err, step.fails)
		}
		if got := f.documents.Load(); got != step.want {
			t.Errorf("%s: the document was fetched %d times, want %d", step.when, got, step.want)
		}
	}
}
