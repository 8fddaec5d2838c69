package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// wideRates keep a test that asks hundreds of times from being limited.
const wideRates = "http: {rates: {register: {per_minute: 100000, burst: 100000}, authorize: {per_minute: 100000, burst: 100000}," +
	" token: {per_minute: 100000, burst: 100000}}}\n"

// in is the gateway as a subtest sees it, so that it fails the subtest.
func (g *gateway) in(t *testing.T) *gateway {
	h := *g
	h.t = t
	return &h
}

// registered is an answer of the registration endpoint.
type registered struct {
	status int
	body   string
	oauth.ClientInformation
	oauth.ErrorResponse
}

// register sends a registration document.
func (g *gateway) register(document string) registered {
	g.t.Helper()
	resp, err := http.Post(g.url+"/register", "application/json", strings.NewReader(document))
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	got := registered{status: resp.StatusCode, body: string(data)}
	for _, into := range []any{&got.ClientInformation, &got.ErrorResponse} {
		if err := json.Unmarshal(data, into); err != nil {
			g.t.Fatalf("registration answer %s: %v", data, err)
		}
	}
	return got
}

// TestRegistrationIsReadInOneWay: what stands before the gateway, or after it,
// may take the first of two equal keys where encoding/json takes the last, and
// not fold case where encoding/json does.
func TestRegistrationIsReadInOneWay(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	const good = `"redirect_uris":["https://good.example/cb"]`
	for _, tt := range []struct{ name, document, logged string }{
		{name: "two lists of redirect URIs", document: `{` + good + `,"redirect_uris":["https://evil.example/cb"]}`, logged: "stands twice"},
		{name: "one list twice", document: `{` + good + `,` + good + `}`, logged: "stands twice"},
		{name: "a second list whose key is escaped", document: `{` + good + `,"redirect\u005furis":["https://evil.example/cb"]}`, logged: "stands twice"},
		{name: "a second list in other case", document: `{` + good + `,"Redirect_URIs":["https://evil.example/cb"]}`, logged: `looks like \"redirect_uris`},
		{name: "a list in other case alone", document: `{"Redirect_URIs":["https://evil.example/cb"]}`, logged: `looks like \"redirect_uris`},
		{name: "a list with a long s", document: `{` + good + `,"redirect_uri` + "\u017f" + `":["https://evil.example/cb"]}`, logged: `looks like \"redirect_uris`},
		{name: "a list with an escaped long s", document: `{` + good + `,"redirect_uri\u017f":["https://evil.example/cb"]}`, logged: `looks like \"redirect_uris`},
		{name: "two names", document: `{` + good + `,"client_name":"A","client_name":"Claude"}`, logged: "stands twice"},
		{name: "a name in other case", document: `{` + good + `,"client_name":"A","CLIENT_NAME":"Claude"}`, logged: `looks like \"client_name`},
		{name: "grant types in other case", document: `{` + good + `,"Grant_Types":["authorization_code"]}`, logged: `looks like \"grant_types`},
		{name: "an unknown member twice", document: `{` + good + `,"contacts":["a"],"contacts":["b"]}`, logged: "stands twice"},
		{name: "a key twice within a member", document: `{` + good + `,"jwks":{"keys":[],"keys":[]}}`, logged: "stands twice"},
		{name: "NUL in a key", document: `{` + good + `,"client_name\u0000":"A"}`, logged: "NUL"},
		{name: "a name that is not UTF-8", document: `{` + good + `,"client_name":"` + "\xff" + `"}`, logged: "UTF-8"},
		{name: "a document after the document", document: `{` + good + `}{` + good + `}`, logged: "not JSON"},
		{name: "nothing", document: ``, logged: "not JSON"},
		{name: "null", document: `null`, logged: "not an object"},
		{name: "a text", document: `"redirect_uris"`, logged: "not an object"},
		{name: "a list of documents", document: `[{` + good + `}]`, logged: "not an object"},
		{name: "a member that nests without end", document: `{` + good + `,"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, logged: "deeper"},
		{name: "redirect URIs that are one text", document: `{"redirect_uris":"https://good.example/cb"}`, logged: "cannot unmarshal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(g.logs.String())
			got := g.in(t).register(tt.document)
			if got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidClientMetadata {
				t.Errorf("got %d %s, want 400 invalid_client_metadata", got.status, got.body)
			}
			// The answer echoes nothing; the log says what and where.
			if log := g.logs.String()[before:]; !strings.Contains(log, tt.logged) {
				t.Errorf("the log does not say %q: %s", tt.logged, log)
			}
		})
	}
	for _, tt := range []struct{ name, document string }{
		{name: "members that nobody knows", document: `{` + good + `,"Contacts":["x"],"software_id":"x"}`},
		{name: "a name in another language", document: `{` + good + `,"client_name":"A","client_name#de":"B"}`},
		{name: "escapes in a key", document: `{"redirect\u005furis":["https://good.example/cb"]}`},
		{name: "an unknown member in two cases", document: `{` + good + `,"x":1,"X":2}`},
		{name: "space around it", document: "\n {" + good + "}\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := g.in(t).register(tt.document); got.status != http.StatusCreated || len(got.RedirectURIs) != 1 || got.RedirectURIs[0] != "https://good.example/cb" {
				t.Errorf("got %d %s, want 201", got.status, got.body)
			}
		})
	}
}

// TestMessagesAreReadInOneWay: Nora may call whoami and nothing else. What the
// gateway decides about must be what is then run and written down, so a
// message that names two methods or tools is refused whichever comes first.
func TestMessagesAreReadInOneWay(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	_, nora := g.grant("Nora")
	resp, body := g.post(nora.AccessToken, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	legacy := http.Header{"Mcp-Session-Id": {resp.Header.Get("Mcp-Session-Id")}, "Mcp-Protocol-Version": {"2025-11-25"}}
	modern := http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"whoami"}}
	for _, tt := range []struct{ name, envelope, params, says string }{
		{name: "a second method", envelope: `"method":"tools/call","method":"tools/list"`, params: `"name":"whoami"`, says: "stands twice"},
		{name: "METHOD after method", envelope: `"method":"tools/call","METHOD":"tools/list"`, params: `"name":"whoami"`, says: "looks like"},
		{name: "METHOD before method", envelope: `"METHOD":"tools/list","method":"tools/call"`, params: `"name":"whoami"`, says: "looks like"},
		{name: "METHOD alone", envelope: `"METHOD":"tools/call"`, params: `"name":"whoami"`, says: "looks like"},
		{name: "a second name", envelope: `"method":"tools/call"`, params: `"name":"whoami","name":"math_add"`, says: "stands twice"},
		{name: "a second name, escaped", envelope: `"method":"tools/call"`, params: `"name":"whoami","n\u0061me":"math_add"`, says: "stands twice"},
		{name: "Name after name", envelope: `"method":"tools/call"`, params: `"name":"whoami","Name":"math_add"`, says: "looks like"},
		{name: "Name before name", envelope: `"method":"tools/call"`, params: `"Name":"math_add","name":"whoami"`, says: "looks like"},
		{name: "second params", envelope: `"method":"tools/call","params":{"name":"math_add"}`, params: `"name":"whoami"`, says: "stands twice"},
		{name: "Params with a long s", envelope: `"method":"tools/call","param\u017f":{"name":"math_add"}`, params: `"name":"whoami"`, says: "looks like"},
		{name: "second arguments", envelope: `"method":"tools/call"`, params: `"name":"whoami","arguments":{"a":1}`, says: "stands twice"},
		{name: "Arguments beside arguments", envelope: `"method":"tools/call"`, params: `"name":"whoami","Arguments":{"a":1}`, says: "looks like"},
		{name: "a second id", envelope: `"method":"tools/call","id":2`, params: `"name":"whoami"`, says: "stands twice"},
	} {
		for era, header := range map[string]http.Header{"legacy": legacy, "modern": modern} {
			t.Run(tt.name+", "+era, func(t *testing.T) {
				params := tt.params + `,"arguments":{}`
				if era == "modern" {
					params += "," + modernMeta
				}
				resp, body := g.in(t).post(nora.AccessToken, `{"jsonrpc":"2.0","id":1,`+tt.envelope+`,"params":{`+params+`}}`, header)
				if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"code":-32600`) || !strings.Contains(body, tt.says) {
					t.Errorf("status %d, want 400 and %q: %s", resp.StatusCode, tt.says, body)
				}
			})
		}
	}
	if n := g.rows("events WHERE kind = 'call'"); n != 0 {
		t.Errorf("%d calls were written down", n)
	}
}
