package app_test

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// TestNothingOfAnotherGatewayIsKnown brings everything that one gateway gives
// out to another one, which has other keys and another store.
func TestNothingOfAnotherGatewayIsKnown(t *testing.T) {
	t.Parallel()
	here, there := start(t, wideRates), start(t, wideRates)
	a := newAuthorization(there.registration())
	b := newBrowser(t)
	tokens := there.redeem(a, there.signIn(b, a, "Ada").Get("code"), nil)
	code := there.signIn(b, a, "Ada").Get("code")
	own := newAuthorization(here.registration())
	t.Run("a client", func(t *testing.T) {
		page, next := b.get(here.authorizeURL(a, nil))
		if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "not registered") {
			t.Errorf("status %d, redirected to %v", page.status, next)
		}
		here.in(t).refused("at the token endpoint", here.redeem(a, code, nil), http.StatusUnauthorized, oauth.CodeInvalidClient)
	})
	t.Run("a code, for a client of ours", func(t *testing.T) {
		here.in(t).refused("it", here.redeem(authorization{clientID: own.clientID, verifier: a.verifier}, code, nil), http.StatusBadRequest, oauth.CodeInvalidGrant)
	})
	t.Run("a refresh token, for a client of ours", func(t *testing.T) {
		here.in(t).refused("it", here.refresh(own.clientID, tokens.RefreshToken), http.StatusBadRequest, oauth.CodeInvalidGrant)
	})
	t.Run("a consent form", func(t *testing.T) {
		// Cookies have no ports, so the browser has one cookie for both.
		consent, _ := b.open(t.Context(), there.authorizeURL(a, nil))
		form := url.Values{"form": {consent.forms[0].fields.Get("form")}, "decision": {"allow"}}.Encode()
		page, next := b.send(http.MethodPost, here.url+"/consent", form, http.Header{"Sec-Fetch-Site": {"same-origin"}})
		if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "no longer valid") {
			t.Errorf("status %d, redirected to %v", page.status, next)
		}
	})
	t.Run("a callback", func(t *testing.T) {
		address := strings.Replace(there.in(t).callback(b, a), there.url, here.url, 1)
		if page, next := b.get(address); next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "cannot be finished") {
			t.Errorf("status %d, redirected to %v", page.status, next)
		}
	})
	t.Run("a token to revoke", func(t *testing.T) {
		if got := here.in(t).revoke(url.Values{"token": {tokens.RefreshToken}, "client_id": {own.clientID}}); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		there.in(t).works("at home", a.clientID, tokens)
	})
}

// TestAnSSESessionIsOfOnePerson: the address that a stream names is not enough
// to post to it, and what is posted by others reaches nobody.
func TestAnSSESessionIsOfOnePerson(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	_, ada := g.grant("Ada")
	_, others := g.grant("Max")
	_, again := g.grant("Ada")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+ada.AccessToken)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	stream := bufio.NewScanner(resp.Body)
	messages := nextData(t, stream)
	if !strings.HasPrefix(messages, "/sse/messages?") {
		t.Fatalf("the stream names %q", messages)
	}
	for _, tt := range []struct {
		name, bearer, address string
		status                int
	}{
		{name: "somebody else", bearer: others.AccessToken, address: messages, status: http.StatusNotFound},
		{name: "the same person with another client", bearer: again.AccessToken, address: messages, status: http.StatusNotFound},
		{name: "nobody", address: messages, status: http.StatusUnauthorized},
		{name: "the person at another session", bearer: ada.AccessToken, address: "/sse/messages?sessionId=x", status: http.StatusNotFound},
		{name: "the person at no session", bearer: ada.AccessToken, address: "/sse/messages", status: http.StatusNotFound},
		{name: "the person, at last", bearer: ada.AccessToken, address: messages, status: http.StatusAccepted},
	} {
		header := http.Header{"Content-Type": {"application/json"}}
		if tt.bearer != "" {
			header.Set("Authorization", "Bearer "+tt.bearer)
		}
		body := strings.Replace(ping, `"id":1`, `"id":"`+tt.name+`"`, 1)
		if page, _ := newBrowser(t).send(http.MethodPost, g.url+tt.address, body, header); page.status != tt.status {
			t.Errorf("%s: status %d, want %d: %s", tt.name, page.status, tt.status, page.body)
		}
	}
	// The first answer on the stream is the one to the person's own message.
	if answer := nextData(t, stream); !strings.Contains(answer, `"the person, at last"`) {
		t.Errorf("the stream answers %s", answer)
	}
}

// nextData reads the data of the next event.
func nextData(t *testing.T, stream *bufio.Scanner) string {
	t.Helper()
	for stream.Scan() {
		if data, ok := strings.CutPrefix(stream.Text(), "data: "); ok {
			return data
		}
	}
	t.Fatalf("the stream ended: %v", stream.Err())
	return ""
}
