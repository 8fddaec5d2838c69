package client_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/oauth"
)

func TestPolicyOfDocuments(t *testing.T) {
	t.Parallel()
	const closed, notListed = "clients.documents is closed", "not listed in clients.document_hosts"
	listed := func(hosts ...string) client.Policy {
		return client.Policy{Documents: client.AdmitListed, DocumentHosts: hosts}
	}
	const at = "https://client.example/client.json"
	for _, tt := range []struct {
		name   string
		policy client.Policy
		id     string
		reason string // let in if empty
	}{
		{name: "the zero policy", id: at, reason: closed},
		{name: "closed", policy: client.Policy{Documents: client.AdmitNone, DocumentHosts: []string{"client.example"}}, id: at, reason: closed},
		{name: "open for registrations alone", policy: client.Policy{Registration: client.AdmitAll, RedirectHosts: []string{"client.example"}}, id: at, reason: closed},
		{name: "a word that is none", policy: client.Policy{Documents: "Open"}, id: at, reason: closed},
		{name: "listed, and no list", policy: listed(), id: at, reason: notListed},
		{name: "listed as a redirect host", policy: client.Policy{Documents: client.AdmitListed, RedirectHosts: []string{"client.example"}}, id: at, reason: notListed},
		{name: "another host listed", policy: listed("other.example"), id: at, reason: notListed},
		{name: "a host below the one listed", policy: listed("client.example"), id: "https://a.client.example/x", reason: notListed},
		{name: "a host above the one listed", policy: listed("a.client.example"), id: at, reason: notListed},
		{name: "the domain of a wildcard itself", policy: listed("*.client.example"), id: at, reason: notListed},
		{name: "a host that ends like the domain of a wildcard", policy: listed("*.client.example"), id: "https://evilclient.example/x", reason: notListed},
		{name: "a host that begins like the one listed", policy: listed("client.example"), id: "https://client.example.evil.example/x", reason: notListed},
		{name: "the listed host in the path", policy: listed("client.example"), id: "https://evil.example/client.example/x", reason: notListed},
		{name: "an empty entry", policy: listed(""), id: at, reason: notListed},
		{name: "open", policy: client.Policy{Documents: client.AdmitAll}, id: at},
		{name: "the host listed", policy: listed("other.example", "client.example"), id: at},
		{name: "the host listed, in another case", policy: listed("client.example"), id: "https://Client.EXAMPLE/x"},
		{name: "the host listed, at a port", policy: listed("client.example"), id: "https://client.example:8443/x"},
		{name: "a host under a wildcard", policy: listed("*.client.example"), id: "https://a.client.example/x"},
		{name: "a host deep under a wildcard", policy: listed("*.client.example"), id: "https://a.b.client.example/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWeb()
			w.publish(tt.id, document(tt.id, nil))
			d := directory(w, nil, tt.policy)
			_, err := d.Resolve(t.Context(), tt.id)
			if tt.reason == "" {
				wantError(t, err, fine, "")
				return
			}
			wantError(t, err, forbidden, tt.reason)
			if n := w.total(); n != 0 {
				t.Errorf("%d requests were made for a client that may not come in", n)
			}
		})
	}
}

func TestPolicyOfRegistrationsHoldsForThoseMadeBefore(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	const closed, notListed = "clients.registration is closed", "not listed in clients.redirect_hosts"
	listed := func(hosts ...string) client.Policy {
		return client.Policy{Registration: client.AdmitListed, RedirectHosts: hosts}
	}
	const web, private, loopback = "https://client.example/cb", "cursor://anysphere/cb", "http://127.0.0.1/cb"
	for _, tt := range []struct {
		name      string
		policy    client.Policy
		redirects []string
		reason    string   // let in if empty
		want      []string // all of redirects if nil
		code      string   // of a registration now; there is none if empty
	}{
		{name: "the zero policy", redirects: []string{loopback}, reason: closed, code: "access_denied"},
		{name: "closed", policy: client.Policy{Registration: client.AdmitNone}, redirects: []string{loopback}, reason: closed, code: "access_denied"},
		{name: "open for documents alone", policy: client.Policy{Documents: client.AdmitAll}, redirects: []string{web}, reason: closed, code: "access_denied"},
		{name: "a word that is none", policy: client.Policy{Registration: "OPEN"}, redirects: []string{web}, reason: closed, code: "access_denied"},
		{name: "another host listed", policy: listed("other.example"), redirects: []string{web}, reason: notListed, code: "invalid_redirect_uri"},
		{name: "one of two hosts listed", policy: listed("client.example"), redirects: []string{web, "https://other.example/cb"}, reason: notListed, code: "invalid_redirect_uri"},
		{name: "the domain of a wildcard itself", policy: listed("*.client.example"), redirects: []string{web}, reason: notListed, code: "invalid_redirect_uri"},
		{name: "a host that ends like the domain of a wildcard", policy: listed("*.client.example"), redirects: []string{"https://evilclient.example/cb"}, reason: notListed, code: "invalid_redirect_uri"},
		{name: "listed as a document host", policy: client.Policy{Registration: client.AdmitListed, DocumentHosts: []string{"client.example"}}, redirects: []string{web}, reason: notListed, code: "invalid_redirect_uri"},
		{name: "a private-use scheme alone", policy: client.Policy{Registration: client.AdmitAll}, redirects: []string{private}, reason: "none of its redirect URIs is served here", code: "invalid_redirect_uri"},
		{name: "a private-use scheme alone, among listed hosts", policy: listed("client.example"), redirects: []string{private}, reason: "none of its redirect URIs is served here", code: "invalid_redirect_uri"},
		{name: "a private-use scheme beside others", policy: client.Policy{Registration: client.AdmitAll}, redirects: []string{private, loopback, web}, want: []string{loopback, web}},
		{name: "open", policy: everybody, redirects: []string{private, loopback, web}},
		{name: "the host listed", policy: listed("client.example"), redirects: []string{web, loopback}},
		{name: "the host listed, in another case", policy: listed("client.example"), redirects: []string{"https://CLIENT.example/cb"}},
		{name: "a host under a wildcard", policy: listed("*.client.example"), redirects: []string{"https://a.client.example/cb"}},
		{name: "the person's own computer, which needs no list", policy: listed(), redirects: []string{loopback, "http://localhost:1/", "http://[::1]/"}},
		{name: "a private-use scheme that is switched on, which is on that computer", policy: client.Policy{Registration: client.AdmitListed, PrivateUseRedirects: true}, redirects: []string{private}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			meta := oauth.ClientMetadata{RedirectURIs: tt.redirects}
			id := mustRegister(t, open(ring), meta).ClientID
			d := directory(newWeb(), ring, tt.policy)
			got, err := d.Resolve(t.Context(), id)
			_, registration := d.Register(meta, now)
			if code := codeOf(registration); code != tt.code {
				t.Errorf("a registration now: got %v, want %q", registration, tt.code)
			}
			if tt.reason != "" {
				wantError(t, err, forbidden, tt.reason)
				return
			}
			wantError(t, err, fine, "")
			if tt.want == nil {
				tt.want = tt.redirects
			}
			if diff := cmp.Diff(tt.want, got.RedirectURIs); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func codeOf(err error) string {
	if refusal, ok := errors.AsType[*oauth.Error](err); ok {
		return refusal.Code
	}
	return ""
}

func TestADocumentsPrivateUseRedirectsNeedTheSwitch(t *testing.T) {
	t.Parallel()
	const private, web = "cursor://anysphere/cb", "https://client.example/cb"
	for _, tt := range []struct {
		name      string
		on        bool
		redirects []string
		want      []string // forbidden if nil
	}{
		{name: "off, and one alone", redirects: []string{private}},
		{name: "off, and one beside another", redirects: []string{private, web}, want: []string{web}},
		{name: "on", on: true, redirects: []string{private, web}, want: []string{private, web}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWeb()
			w.publish(documentURL, document(documentURL, members{"redirect_uris": tt.redirects}))
			d := directory(w, nil, client.Policy{Documents: client.AdmitAll, PrivateUseRedirects: tt.on})
			for range 2 { // the second is by the copy, which must not have changed
				got, err := d.Resolve(t.Context(), documentURL)
				if tt.want == nil {
					wantError(t, err, forbidden, "none of its redirect URIs is served here")
				} else if diff := cmp.Diff(tt.want, got.RedirectURIs); err != nil || diff != "" {
					t.Errorf("got %v, and -want +got:\n%s", err, diff)
				}
			}
		})
	}
}

func TestTheZeroPolicyLetsInWhomAnAdministratorWroteDown(t *testing.T) {
	t.Parallel()
	d := directory(newWeb(), newRing(t), client.Policy{}, client.Registered{ID: "portal", RedirectURIs: []string{"https://portal.example/cb"}, AuthMethod: "none"})
	_, err := d.Resolve(t.Context(), "portal")
	wantError(t, err, fine, "")
	for _, id := range []string{"Portal", "portal ", "other"} {
		_, err := d.Resolve(t.Context(), id)
		wantError(t, err, unknown, "client is not known here")
	}
	if d.Registers() || d.ReadsDocuments() {
		t.Error("it says that others may come")
	}
}
