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
	k.collect("a day after its end", stored(ends).Add(day), 0)
	k.wants("a use after its end", k.UseAssertion(k.Context(), first, ends), store.ErrConsumed)
	k.collect("a moment later", stored(ends).Add(day+tick), 2)
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

func consentForgotten(k *kit) {
	other := "bbbbbbbb-0000-0000-0000-000000000009"
	for _, tt := range []struct {
		name   string
		forget func(id string) error
		// kept are the consents that stay: of the other person, for the other client.
		otherPerson, otherClient bool
	}{
		{name: "one grant", otherPerson: true, otherClient: true, forget: func(id string) error {
			_, err := k.RevokeGrants(k.Context(), store.GrantFilter{ID: id}, store.ReasonAdmin, start)
			return err
		}},
		{name: "a person", otherPerson: true, forget: func(string) error {
			c := k.consent()
			_, err := k.RevokeGrants(k.Context(), store.GrantFilter{Tenant: c.Tenant, Object: c.Object}, store.ReasonAdmin, start)
			return err
		}},
		{name: "a client", otherClient: true, forget: func(string) error {
			_, err := k.RevokeGrants(k.Context(), store.GrantFilter{ClientID: clientID}, store.ReasonAdmin, start)
			return err
		}},
		{name: "a disabled client", otherClient: true, forget: func(string) error {
			_, err := k.DisableClient(k.Context(), clientID, start)
			return errors.Join(err, k.EnableClient(k.Context(), clientID))
		}},
		{name: "a disabled person", otherPerson: true, forget: func(string) error {
			c := k.consent()
			_, err := k.DisableUser(k.Context(), c.Tenant, c.Object, start)
			return errors.Join(err, k.EnableUser(k.Context(), c.Tenant, c.Object))
		}},
	} {
		i := k.issue(nil)
		own, person, client := k.consent("mcp"), k.consent("mcp"), k.consent("mcp")
		person.Object, client.ClientID = other, foreignID
		for _, c := range []store.Consent{own, person, client} {
			k.wants("remember", k.RememberConsent(k.Context(), c, start), nil)
		}
		k.wants(tt.name, tt.forget(i.grant.ID), nil)
		k.remembers(tt.name+": own", own, start)
		for _, c := range []struct {
			what    string
			consent store.Consent
			kept    bool
		}{{"another person's", person, tt.otherPerson}, {"for another client", client, tt.otherClient}} {
			if c.kept {
				k.remembers(tt.name+": "+c.what, c.consent, start, "mcp")
			} else {
				k.remembers(tt.name+": "+c.what, c.consent, start)
			}
		}
	}
	// The client's own goodbye is no reason to be asked again.
	i := k.issue(nil)
	k.wants("remember", k.RememberConsent(k.Context(), k.consent("mcp"), start), nil)
	_, err := k.RevokeToken(k.Context(), i.access.Hash, clientID, start)
	k.wants("revoke", err, nil)
	k.remembers("after the client's own revocation", k.consent(), start, "mcp")
}
