package client_test

import (
	"slices"
	"testing"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/oauth"
)

// TestTheGrantOfDevicesIsForWhoListsIt, in each way of being known, as long as it is
// served.
func TestTheGrantOfDevicesIsForWhoListsIt(t *testing.T) {
	t.Parallel()
	code := []string{"authorization_code"}
	listed := append(slices.Clone(code), oauth.GrantTypeDeviceCode)
	w, ring := newWeb(), newRing(t)
	served, closed := everybody, everybody
	served.Device = true
	with := directory(w, ring, served,
		client.Registered{ID: "kiosk", RedirectURIs: []string{"https://a.example/"}, AuthMethod: oauth.AuthMethodNone, GrantTypes: listed},
		client.Registered{ID: "desk", RedirectURIs: []string{"https://a.example/"}, AuthMethod: oauth.AuthMethodNone})
	without := directory(w, ring, closed, client.Registered{ID: "kiosk", RedirectURIs: []string{"https://a.example/"}, AuthMethod: oauth.AuthMethodNone, GrantTypes: listed})
	register := func(d *client.Directory, grants []string) oauth.ClientInformation {
		return mustRegister(t, d, oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/"}, GrantTypes: grants})
	}
	w.publish(documentURL, document(documentURL, members{"grant_types": listed}))
	const plainURL = "https://client.example/plain.json"
	w.publish(plainURL, document(plainURL, members{"grant_types": code}))
	whoAsked := register(with, listed)
	if !slices.Equal(whoAsked.GrantTypes, listed) {
		t.Errorf("who asked for it is registered for %q", whoAsked.GrantTypes)
	}
	if got := register(without, listed); !slices.Equal(got.GrantTypes, code) {
		t.Errorf("where it is not served, who asked for it is registered for %q", got.GrantTypes)
	}
	for _, tt := range []struct {
		name string
		d    *client.Directory
		id   string
		want bool
	}{
		{name: "a registration that lists it", d: with, id: whoAsked.ClientID, want: true},
		{name: "one that names no grants", d: with, id: register(with, nil).ClientID},
		{name: "one that lists others", d: with, id: register(with, code).ClientID},
		{name: "one that listed it where it is not served any longer", d: without, id: whoAsked.ClientID},
		{name: "one that listed it before it was served", d: with, id: register(without, listed).ClientID},
		{name: "a document that lists it", d: with, id: documentURL, want: true},
		{name: "a document that does not", d: with, id: plainURL},
		{name: "a document that lists it where it is not served", d: without, id: documentURL},
		{name: "a client of the configuration", d: with, id: "kiosk", want: true},
		{name: "another one", d: with, id: "desk"},
		{name: "a client of the configuration where it is not served", d: without, id: "kiosk"},
	} {
		c, err := tt.d.Resolve(t.Context(), tt.id)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := slices.Contains(c.GrantTypes, oauth.GrantTypeDeviceCode); got != tt.want {
			t.Errorf("%s: it may sign in devices: %v, want %v", tt.name, got, tt.want)
		}
	}
}
