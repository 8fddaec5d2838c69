package client_test

import (
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/client"
)

// Each of these is read differently by different parsers, or is no object.
func TestParseMetadataRejects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, document, reason string }{
		{name: "nothing", document: ``, reason: "not JSON"},
		{name: "a list", document: `[{}]`, reason: "not an object"},
		{name: "null", document: `null`, reason: "not an object"},
		{name: "a text", document: `"{}"`, reason: "not an object"},
		{name: "half an object", document: `{"client_name":"C"`, reason: "not JSON"},
		{name: "something behind it", document: `{} {}`, reason: "after the document"},
		{name: "a member twice", document: `{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}`, reason: `"redirect_uris" stands twice`},
		{name: "an unknown member twice", document: `{"x":1,"x":1}`, reason: `"x" stands twice`},
		{name: "a member twice, once escaped", document: `{"client_name":"a","client\u005fname":"b"}`, reason: `"client_name" stands twice`},
		{name: "another case", document: `{"Redirect_URIs":["https://b.example/"]}`, reason: "looks like \"redirect_uris\""},
		{name: "a letter that folds to ASCII", document: `{"redirect_uri\u017f":["https://b.example/"]}`, reason: "looks like \"redirect_uris\""},
		{name: "the Kelvin sign", document: `{"jw\u212as":{}}`, reason: "looks like \"jwks\""},
		{name: "a list where a text belongs", document: `{"client_name":["a"]}`, reason: "cannot unmarshal"},
		{name: "a text where a list belongs", document: `{"redirect_uris":"https://a.example/"}`, reason: "cannot unmarshal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := client.ParseMetadata([]byte(tt.document)); err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %+v, %v, want an error with %q", got, err, tt.reason)
			}
		})
	}
}
