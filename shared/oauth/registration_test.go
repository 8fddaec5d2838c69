package oauth_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/shared/oauth"
)

func TestParseClientDocument(t *testing.T) {
	t.Parallel()
	got, err := oauth.ParseClientDocument([]byte(` {
		"client_id": "https://client.example/c.json", "client_name": "C", "client_name#ja-Jpan-JP": "\u30af", "Contacts": ["a"],
		"redirect_uris": ["http://127.0.0.1/cb"], "jwks": {"keys": []}, "x": {"client_id": 1, "client_id": 2} } `))
	if err != nil {
		t.Fatal(err)
	}
	want := oauth.ClientDocument{ClientID: "https://client.example/c.json", ClientMetadata: oauth.ClientMetadata{
		ClientName: "C", RedirectURIs: []string{"http://127.0.0.1/cb"}, JWKS: json.RawMessage(`{"keys": []}`),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Each of these is read differently by different parsers, or is no object.
func TestParseClientMetadataRejects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, document, reason string }{
		{name: "nothing", document: ``, reason: "EOF"},
		{name: "a list", document: `[{}]`, reason: "not a JSON object"},
		{name: "null", document: `null`, reason: "not a JSON object"},
		{name: "a text", document: `"{}"`, reason: "not a JSON object"},
		{name: "half an object", document: `{"client_name":"C"`, reason: "EOF"},
		{name: "something behind it", document: `{} {}`, reason: "after top-level value"},
		{name: "a member twice", document: `{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}`, reason: `"redirect_uris" stands twice`},
		{name: "an unknown member twice", document: `{"x":1,"x":1}`, reason: `"x" stands twice`},
		{name: "a member twice, once escaped", document: `{"client_name":"a","client\u005fname":"b"}`, reason: `"client_name" stands twice`},
		{name: "another case", document: `{"Redirect_URIs":["https://b.example/"]}`, reason: "is not spelled redirect_uris"},
		{name: "a letter that folds to ASCII", document: `{"redirect_uri\u017f":["https://b.example/"]}`, reason: "is not spelled redirect_uris"},
		{name: "the Kelvin sign", document: `{"jw\u212as":{}}`, reason: "is not spelled jwks"},
		{name: "a list where a text belongs", document: `{"client_name":["a"]}`, reason: "cannot unmarshal"},
		{name: "a text where a list belongs", document: `{"redirect_uris":"https://a.example/"}`, reason: "cannot unmarshal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := oauth.ParseClientMetadata([]byte(tt.document)); err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %+v, %v, want an error with %q", got, err, tt.reason)
			}
		})
	}
}

func FuzzParseClientDocument(f *testing.F) {
	f.Add(`{"client_id":"https://a.example/c","redirect_uris":["https://a.example/"],"jwks":{"keys":[{}]}}`)
	f.Add(`{"redirect_uris":[],"Redirect_uris":[]}`)
	f.Add(`{"\u0063lient_id":"x"} `)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := oauth.ParseClientDocument([]byte(text))
		if err != nil {
			return
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("%q: what was read cannot be written: %v", text, err)
		}
		e, err := oauth.ParseClientDocument(again)
		if err != nil {
			t.Fatalf("%q: written as %s, which is refused: %v", text, again, err)
		}
		if d.ClientID != e.ClientID || !cmp.Equal(d.RedirectURIs, e.RedirectURIs) && len(d.RedirectURIs) > 0 {
			t.Errorf("%q: read as %+v, then as %+v", text, d, e)
		}
	})
}
