package entra_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/secret"
)

// simulated is a whole sign-in against the simulated Microsoft, which refuses
// and records what the real one would not accept.
type simulated struct {
	*entrasim.Sim
	*entra.Provider
	cfg entra.Config
	url string
}

func simulate(t *testing.T, change func(*entra.Config)) *simulated {
	t.Helper()
	return simulateIn(t, nil, change)
}

// simulateIn is simulate in another world than the demonstration's.
func simulateIn(t *testing.T, world func(*entrasim.Options), change func(*entra.Config)) *simulated {
	t.Helper()
	o := entrasim.Demo(entrasim.DemoClientID, clientSecret, redirect)
	if world != nil {
		world(&o)
	}
	sim, err := entrasim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		for _, violation := range sim.Violations() {
			t.Errorf("violation: %s", violation)
		}
	})
	cfg := entra.Config{
		Authority: server.URL, Tenant: entrasim.DemoTenant, ClientID: entrasim.DemoClientID,
		ClientSecret: secret.New(clientSecret), RedirectURL: redirect, InsecureAllowHTTP: true,
		HTTPClient: &http.Client{Transport: server.Client().Transport, Timeout: 2 * time.Second},
	}
	if change != nil {
		change(&cfg)
	}
	return &simulated{Sim: sim, Provider: newProvider(t, cfg), cfg: cfg, url: server.URL}
}

// signIn does what the gateway and a browser do together.
func (s *simulated) signIn(ctx context.Context, choice string) (store.Identity, error) {
	in, err := s.exchange(ctx, choice)
	return in.Identity, err
}

func (s *simulated) exchange(ctx context.Context, choice string) (entra.SignIn, error) {
	location, err := s.AuthURL(ctx, request)
	if err != nil {
		return entra.SignIn{}, err
	}
	callback, err := entrasim.SignIn(ctx, http.DefaultClient, location, choice)
	if err != nil {
		return entra.SignIn{}, err
	}
	u, err := url.Parse(callback)
	if err != nil {
		return entra.SignIn{}, err
	}
	if q := u.Query(); q.Get("error") != "" {
		return entra.SignIn{}, entra.CallbackError(q)
	}
	return s.Exchange(ctx, u.Query().Get("code"), request, time.Now())
}

func TestDemonstrationUsersSignIn(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	byDomain := simulate(t, func(c *entra.Config) { c.Tenant = entrasim.DemoDomain })
	tests := map[string]store.Identity{
		entrasim.Ada: {
			Object: entrasim.AdaObject, Name: "Ada Admin", Roles: []string{entrasim.RoleAdmin, entrasim.RoleUser},
			Groups: []string{entrasim.GroupEngineering, entrasim.GroupOperations},
		},
		entrasim.Max: {
			Object: entrasim.MaxObject, Name: "Max Member", Roles: []string{entrasim.RoleUser}, Groups: []string{entrasim.GroupEngineering},
		},
		entrasim.Nora: {Object: entrasim.NoraObject, Name: "Nora Norole"},
		entrasim.Olga: {Object: entrasim.OlgaObject, Name: "Olga Overage", Roles: []string{entrasim.RoleUser}, GroupsUnknown: true},
		entrasim.Gus:  {Object: entrasim.GusObject, Name: "Gus Guest", Roles: []string{entrasim.RoleUser}, Guest: true},
	}
	for user, want := range tests {
		t.Run(user, func(t *testing.T) {
			want.Tenant, want.Username = entrasim.DemoTenant, user
			for _, s := range []*simulated{s, byDomain} {
				who, err := s.signIn(t.Context(), user)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, who); diff != "" {
					t.Errorf("identity (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// Same object id, same mail address, another organization.
func TestAnImpostorOfAnotherTenantIsDenied(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	_, err := s.signIn(t.Context(), entrasim.Mallory)
	if got := wantError(t, err, entra.KindDenied, "access_denied", ""); got.AADSTS != 50020 || got.TraceID == "" || got.CorrelationID == "" {
		t.Errorf("got %+v", *got)
	}
	s.MutateClaims(func(claims map[string]any) { claims["tid"] = entrasim.OtherTenant })
	_, err = s.signIn(t.Context(), entrasim.Ada)
	wantError(t, err, entra.KindMisconfigured, "id_token_rejected", "of tenant")
}

func TestCancellingIsDenied(t *testing.T) {
	t.Parallel()
	_, err := simulate(t, nil).signIn(t.Context(), entrasim.Cancel)
	if got := wantError(t, err, entra.KindDenied, "access_denied", "AADSTS65004"); got.Summary != "You cancelled the sign-in with Microsoft." {
		t.Errorf("got %q", got.Summary)
	}
}

func TestSignInSurvivesAGentleKeyRoll(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	old := s.SigningKey()
	next, err := s.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(){func() {}, next.Publish, next.Sign, old.Retire} {
		step()
		if _, err := s.signIn(t.Context(), entrasim.Max); err != nil {
			t.Error(err)
		}
	}
}

// Microsoft takes a key back at once: the new one counts from the next sign-in on,
// and the old one no more.
func TestSignInSurvivesAnEmergencyKeyRoll(t *testing.T) {
	t.Parallel()
	s := simulate(t, nil)
	if err := s.renews(t.Context()); err != nil {
		t.Fatal(err)
	}
	stolen := s.SigningKey()
	next, err := s.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	stolen.Retire()
	next.Publish()
	next.Sign()
	if err := s.renews(t.Context()); err != nil {
		t.Errorf("after the roll: %v", err)
	}
	stolen.Sign()
	_, err = s.signIn(t.Context(), entrasim.Ada)
	wantError(t, err, entra.KindMisconfigured, "id_token_rejected", "no key")
}

func TestSimulatedFailures(t *testing.T) {
	t.Parallel()
	const denied, unavailable, misconfigured = entra.KindDenied, entra.KindUnavailable, entra.KindMisconfigured
	tests := map[string]struct {
		plan func(*simulated)
		kind entra.Kind
		code string
	}{
		"a policy, on the page":        {func(s *simulated) { s.FailAuthorize(entrasim.Outcome{AADSTS: 53003}) }, denied, "access_denied"},
		"trouble, on the page":         {func(s *simulated) { s.FailAuthorize(entrasim.Outcome{}) }, unavailable, "server_error"},
		"not assigned":                 {func(s *simulated) { s.FailToken(entrasim.Outcome{AADSTS: 50105}) }, denied, "access_denied"},
		"a code that took too long":    {func(s *simulated) { s.FailToken(entrasim.Outcome{AADSTS: 70008}) }, denied, "invalid_grant"},
		"an expired secret":            {func(s *simulated) { s.FailToken(entrasim.Outcome{AADSTS: 7000222}) }, misconfigured, "invalid_client"},
		"no ID token":                  {func(s *simulated) { s.FailToken(entrasim.Outcome{Fault: entrasim.NoIDToken}) }, misconfigured, "protocol_error"},
		"a token that nobody signed":   {func(s *simulated) { s.MutateHeader(func(h map[string]any) { h["alg"] = "none" }) }, misconfigured, "id_token_rejected"},
		"a token signed with a secret": {func(s *simulated) { s.MutateHeader(func(h map[string]any) { h["alg"] = "HS256" }) }, misconfigured, "id_token_rejected"},
		"throttled":                    {func(s *simulated) { s.FailToken(entrasim.Outcome{Fault: entrasim.Throttled}) }, unavailable, "no_answer"},
		"an outage":                    {func(s *simulated) { s.FailToken(entrasim.Outcome{Fault: entrasim.Outage}) }, unavailable, "no_answer"},
		"garbage":                      {func(s *simulated) { s.FailToken(entrasim.Outcome{Fault: entrasim.Garbage}) }, unavailable, "no_answer"},
		"half an answer":               {func(s *simulated) { s.FailToken(entrasim.Outcome{Fault: entrasim.Truncated}) }, unavailable, "no_answer"},
		"a connection closed":          {func(s *simulated) { s.FailToken(entrasim.Outcome{Fault: entrasim.HangUp}) }, unavailable, "no_answer"},
		"a redirect":                   {func(s *simulated) { s.FailToken(entrasim.Outcome{Fault: entrasim.Redirected}) }, misconfigured, "protocol_error"},
		"no metadata":                  {func(s *simulated) { s.FailDiscovery(entrasim.Outcome{Fault: entrasim.Outage}) }, unavailable, "no_answer"},
		"no keys":                      {func(s *simulated) { s.FailKeys(entrasim.Outcome{Fault: entrasim.Garbage}) }, unavailable, "no_answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, nil)
			test.plan(s)
			_, err := s.signIn(t.Context(), entrasim.Ada)
			wantError(t, err, test.kind, test.code, "")
		})
	}
}

func TestSettingsThatAreNotTheRegistrations(t *testing.T) {
	t.Parallel()
	s := simulate(t, func(c *entra.Config) { c.ClientSecret = secret.New("canary-wrong") })
	_, err := s.signIn(t.Context(), entrasim.Ada)
	wantError(t, err, entra.KindMisconfigured, "invalid_client", "AADSTS7000215")
}

// The simulator would record it; so it gets one of its own.
func TestATenantThatMicrosoftDoesNotKnow(t *testing.T) {
	t.Parallel()
	sim, err := entrasim.New(entrasim.Demo(entrasim.DemoClientID, clientSecret, redirect))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	p := newProvider(t, entra.Config{
		Authority: server.URL, Tenant: "nobody.example", ClientID: entrasim.DemoClientID,
		ClientSecret: secret.New(clientSecret), RedirectURL: redirect, InsecureAllowHTTP: true,
	})
	_, err = p.AuthURL(t.Context(), request)
	wantError(t, err, entra.KindMisconfigured, "invalid_tenant", "AADSTS90002")
}
