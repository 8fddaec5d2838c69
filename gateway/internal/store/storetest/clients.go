package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/store"
)

func assertionUsed(k *kit) {
	first, second := k.hash(), k.hash()
	ends := start.Add(time.Minute)
	k.wants("the first use", k.UseAssertion(k.Context(), first, ends), nil)
	k.wants("the second use", k.UseAssertion(k.Context(), first, ends), store.ErrConsumed)
	k.wants("another assertion", k.UseAssertion(k.Context(), second, ends), nil)
	k.reopen()
	k.wants("a use after a restart", k.UseAssertion(k.Context(), first, ends), store.ErrConsumed)
	k.collect("an hour after its end", stored(ends).Add(time.Hour), 0)
	k.wants("a use after its end", k.UseAssertion(k.Context(), first, ends), store.ErrConsumed)
	k.collect("a moment later", stored(ends).Add(time.Hour+tick), 2)
}

func assertionRace(k *kit) {
	hash := k.hash()
	wins := 0
	for _, err := range race(64, func(int) error { return k.UseAssertion(k.Context(), hash, start.Add(time.Minute)) }) {
		if err == nil {
			wins++
			continue
		}
		k.wants("a use that lost", err, store.ErrConsumed)
	}
	equal(k, "winners", wins, 1)
}

func (k *kit) consent(scopes ...string) store.Consent {
	return store.Consent{
		Tenant: "aaaaaaaa-0000-0000-0000-000000000001", Object: "bbbbbbbb-0000-0000-0000-000000000001",
		ClientID: clientID, RedirectURI: "https://client.example/cb?x=%20", Scopes: scopes, ExpiresAt: start.Add(30 * day),
	}
}

// remembers fails unless exactly these scopes are remembered.
func (k *kit) remembers(what string, c store.Consent, now time.Time, want ...string) {
	k.Helper()
	got, err := k.Consented(k.Context(), c, now)
	k.wants(what, err, nil)
	equal(k, what, got, want)
}

func consentRemembered(k *kit) {
	c := k.consent("mcp", "offline_access")
	k.remembers("before anything", c, start)
	k.wants("remember", k.RememberConsent(k.Context(), c, start), nil)
	k.remembers("what was remembered", k.consent(), start, "mcp", "offline_access")
	for _, tt := range []struct {
		name   string
		change func(*store.Consent)
	}{
		{name: "another person", change: func(c *store.Consent) { c.Object = "bbbbbbbb-0000-0000-0000-000000000002" }},
		{name: "the same person of another tenant", change: func(c *store.Consent) { c.Tenant = "aaaaaaaa-0000-0000-0000-000000000002" }},
		{name: "nobody", change: func(c *store.Consent) { c.Tenant, c.Object = "", "" }},
		{name: "another client", change: func(c *store.Consent) { c.ClientID = foreignID }},
		{name: "another redirect URI", change: func(c *store.Consent) { c.RedirectURI = "https://client.example/cb" }},
		{name: "the redirect URI in another case", change: func(c *store.Consent) { c.RedirectURI = "https://client.example/CB?x=%20" }},
		{name: "no redirect URI", change: func(c *store.Consent) { c.RedirectURI = "" }},
	} {
		other := k.consent()
		tt.change(&other)
		k.remembers(tt.name, other, start)
	}

	more := k.consent("mcp", "crm.write")
	more.ExpiresAt = start.Add(40 * day)
	k.wants("remember more", k.RememberConsent(k.Context(), more, start), nil)
	k.reopen()
	k.remembers("both together", c, more.ExpiresAt.Add(-tick), "mcp", "offline_access", "crm.write")
	k.remembers("at the end", c, more.ExpiresAt)
	again := k.consent("mcp")
	again.ExpiresAt = start.Add(80 * day)
	k.wants("remember after the end", k.RememberConsent(k.Context(), again, more.ExpiresAt), nil)
	k.remembers("what is over does not come back", c, more.ExpiresAt, "mcp")
	k.collect("a day after its end", stored(again.ExpiresAt).Add(day), 0)
	k.collect("a moment later", stored(again.ExpiresAt).Add(day+tick), 1)
}

func consentRace(k *kit) {
	var want []string
	for i := range 16 {
		want = append(want, fmt.Sprintf("scope%02d", i))
	}
	if err := errors.Join(race(16, func(i int) error {
		return k.RememberConsent(k.Context(), k.consent(want[i]), start)
	})...); err != nil {
		k.Fatal(err)
	}
	got, err := k.Consented(k.Context(), k.consent(), start)
	k.wants("read", err, nil)
	slices.Sort(got)
	equal(k, "scopes", got, want)
}

// consentForgotten: what is revoked or disabled must be asked for again, and
// nothing else.
func consentForgotten(k *kit) {
	mine := store.Consent{Tenant: tenantA, Object: zoe, ClientID: clientID, RedirectURI: "https://client.example/cb", Scopes: []string{"mcp"}, ExpiresAt: start.Add(day)}
	elsewhere, foreign, hers, others := mine, mine, mine, mine
	elsewhere.RedirectURI = "https://client.example/other"
	foreign.ClientID = foreignID
	hers.Object = ada
	others.Tenant, others.ClientID = "other", foreignID
	all := []store.Consent{mine, elsewhere, foreign, hers, others}
	grant := k.issue(of(zoe, "Zoe", clientID, start))
	for _, tt := range []struct {
		name string
		do   func() ([]string, error)
		kept []bool // as all
	}{
		{
			name: "by the ID of a grant", kept: []bool{false, false, true, true, true},
			do: func() ([]string, error) {
				return k.RevokeGrants(k.Context(), store.GrantFilter{ID: grant.grant.ID}, store.ReasonAdmin, start)
			},
		},
		{
			name: "by an ID that there is not", kept: []bool{true, true, true, true, true},
			do: func() ([]string, error) {
				return k.RevokeGrants(k.Context(), store.GrantFilter{ID: "unknown"}, store.ReasonAdmin, start)
			},
		},
		{
			name: "of a person", kept: []bool{false, false, false, true, true},
			do: func() ([]string, error) {
				return k.RevokeGrants(k.Context(), store.GrantFilter{Tenant: tenantA, Object: zoe}, store.ReasonAdmin, start)
			},
		},
		{
			name: "of a client", kept: []bool{false, false, true, false, true},
			do: func() ([]string, error) {
				return k.RevokeGrants(k.Context(), store.GrantFilter{ClientID: clientID}, store.ReasonAdmin, start)
			},
		},
		{
			name: "a person is disabled", kept: []bool{false, false, false, true, true},
			do: func() ([]string, error) { return k.DisableUser(k.Context(), tenantA, zoe, start) },
		},
		{
			name: "a client is disabled", kept: []bool{false, false, true, false, true},
			do: func() ([]string, error) { return k.DisableClient(k.Context(), clientID, start) },
		},
	} {
		for _, c := range all {
			k.wants(tt.name+": remember", k.RememberConsent(k.Context(), c, start), nil)
		}
		_, err := tt.do()
		k.wants(tt.name, err, nil)
		for i, c := range all {
			var want []string
			if tt.kept[i] {
				want = c.Scopes
			}
			k.remembers(fmt.Sprintf("%s: consent %d", tt.name, i), c, start, want...)
		}
	}
}
