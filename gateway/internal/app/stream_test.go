package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// idle opens a stream of /sse.
func (g *gateway) idle(bearer string) *http.Response {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url+"/sse", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		g.t.Fatalf("got %s", resp.Status)
	}
	return resp
}

// TestStreamsEndWithTheGateway: the server of net/http does not know them, and they
// end all the same, each with its last chunk.
func TestStreamsEndWithTheGateway(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	_, tokens := g.grant("Ada")
	var streams []*http.Response
	for range 20 {
		streams = append(streams, g.idle(tokens.AccessToken))
	}
	if err := g.stop(); err != nil {
		t.Errorf("the gateway stopped with %v", err)
	}
	for _, s := range streams {
		if rest, err := io.ReadAll(s.Body); err != nil || !strings.HasPrefix(string(rest), "event: endpoint\n") {
			t.Errorf("a stream ended with %q, %v", rest, err)
		}
	}
	logs := g.logs.String()
	if strings.Contains(logs, "status=0") || strings.Contains(logs, `"status":0`) || strings.Contains(logs, "hijacked") {
		t.Errorf("the log is wrong about streams:\n%s", logs)
	}
}

// TestAStreamEndsWhenItsGrantDoes: whoever was signed out hears nothing more.
func TestAStreamEndsWhenItsGrantDoes(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, tokens := g.grant("Ada")
	s := g.idle(tokens.AccessToken)
	if got := g.send("/revoke", map[string][]string{"token": {tokens.AccessToken}, "client_id": {clientID}}, nil); got.status != http.StatusOK {
		t.Fatalf("revoke: %d %s", got.status, got.body)
	}
	if rest, err := io.ReadAll(s.Body); err != nil || strings.Count(string(rest), "event: ") != 1 {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
}

// TestNothingIsDoneWhoseTokenEndedWhileItsBodyCame: the token was good when the
// headers came, which the gateway says by asking for the rest.
func TestNothingIsDoneWhoseTokenEndedWhileItsBodyCame(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for method, body := range map[string]string{
		"tools/call":           `"name":"whoami",`,
		"subscriptions/listen": `"notifications":{},`,
	} {
		clientID, tokens := g.grant("Ada")
		body = `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + body + modernMeta + `}}`
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
			"Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: %s\r\nMcp-Name: whoami\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
			tokens.AccessToken, method, len(body))
		in := bufio.NewReader(conn)
		if line, err := in.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("%s: got %q, %v", method, line, err)
		}
		_, _ = in.ReadString('\n')
		if got := g.send("/revoke", map[string][]string{"token": {tokens.AccessToken}, "client_id": {clientID}}, nil); got.status != http.StatusOK {
			t.Fatalf("revoke: %d %s", got.status, got.body)
		}
		_, _ = io.WriteString(conn, body)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, "invalid_token") {
			t.Errorf("%s: %s with %q", method, resp.Status, challenge)
		}
	}
	if story := g.story(); strings.Contains(story, "whoami") {
		t.Errorf("the tool was called: %s", story)
	}
}
