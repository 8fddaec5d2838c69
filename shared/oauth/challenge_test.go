package oauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/shared/oauth"
)

func TestFormatBearer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		params [][2]string
		want   string
	}{
		{name: "no parameters", want: "Bearer"},
		{
			name:   "parameters in their order",
			params: [][2]string{{"resource_metadata", "https://gw.example/.well-known/oauth-protected-resource/mcp"}, {"scope", "mcp a"}, {"error", "invalid_token"}},
			want:   `Bearer resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp", scope="mcp a", error="invalid_token"`,
		},
		{name: "an empty value", params: [][2]string{{"scope", ""}}, want: `Bearer scope=""`},
		{name: "quotes and backslashes", params: [][2]string{{"realm", `a"b\c`}}, want: `Bearer realm="a\"b\\c"`},
		{name: "a line break that would start a header", params: [][2]string{{"realm", "a\r\nSet-Cookie: b"}}, want: `Bearer realm="a??Set-Cookie: b"`},
		{name: "what is not ASCII", params: [][2]string{{"realm", "né\x00\x7f\xff"}}, want: `Bearer realm="n????"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := oauth.FormatBearer(tt.params...); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	bearer := func(params map[string]string) oauth.Challenge {
		return oauth.Challenge{Scheme: "bearer", Params: params}
	}
	none := map[string]string{}
	for _, tt := range []struct {
		name    string
		headers []string
		want    []oauth.Challenge
	}{
		{name: "no header"},
		{name: "an empty header", headers: []string{"", " , ,"}},
		{name: "a scheme alone", headers: []string{"Bearer"}, want: []oauth.Challenge{bearer(none)}},
		{name: "a scheme and a space", headers: []string{"Bearer "}, want: []oauth.Challenge{bearer(none)}},
		{
			name: "what MCP servers send", headers: []string{`Bearer resource_metadata="https://gw.example/x", scope="a b"`},
			want: []oauth.Challenge{bearer(map[string]string{"resource_metadata": "https://gw.example/x", "scope": "a b"})},
		},
		{
			name: "upper-case names", headers: []string{`BEARER Realm="X"`},
			want: []oauth.Challenge{bearer(map[string]string{"realm": "X"})},
		},
		{
			name: "a token as value, and spaces around the equals sign", headers: []string{"Bearer error = invalid_token ,\tscope=\t\"a\""},
			want: []oauth.Challenge{bearer(map[string]string{"error": "invalid_token", "scope": "a"})},
		},
		{
			name: "a URL without quotes", headers: []string{"Bearer resource_metadata=https://gw.example/x?a=b;c, error=e"},
			want: []oauth.Challenge{bearer(map[string]string{"resource_metadata": "https://gw.example/x?a=b;c", "error": "e"})},
		},
		{
			name: "escapes, commas and equals signs in quotes", headers: []string{`Bearer realm="a\"b\\c, Basic d=e"`},
			want: []oauth.Challenge{bearer(map[string]string{"realm": `a"b\c, Basic d=e`})},
		},
		{
			name: "several in one header", headers: []string{`Negotiate, Basic realm="a", charset="UTF-8", Bearer scope="b"`},
			want: []oauth.Challenge{
				{Scheme: "negotiate", Params: none},
				{Scheme: "basic", Params: map[string]string{"realm": "a", "charset": "UTF-8"}},
				bearer(map[string]string{"scope": "b"}),
			},
		},
		{
			name: "several headers", headers: []string{`DPoP algs="ES256"`, `Bearer scope="b"`},
			want: []oauth.Challenge{{Scheme: "dpop", Params: map[string]string{"algs": "ES256"}}, bearer(map[string]string{"scope": "b"})},
		},
		{
			name: "the token of another scheme, which is dropped", headers: []string{"Negotiate YWJj/+==, Bearer a=b"},
			want: []oauth.Challenge{{Scheme: "negotiate", Params: none}, bearer(map[string]string{"a": "b"})},
		},
		{
			name: "empty list elements", headers: []string{`,, Bearer a=b,, ,c="d", , Basic,`},
			want: []oauth.Challenge{bearer(map[string]string{"a": "b", "c": "d"}), {Scheme: "basic", Params: none}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := oauth.ParseChallenges(tt.headers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseChallengesRejects(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 33 {
		fmt.Fprintf(&many, "p%d=x, ", i)
	}
	for _, tt := range []struct{ name, header, reason string }{
		{name: "a quote where a scheme belongs", header: `"Bearer"`, reason: "challenge 1: there is no scheme"},
		{name: "an equals sign in the scheme", header: `realm="x"`, reason: "challenge 1: the scheme has a character that it cannot have"},
		{name: "a second challenge that is malformed", header: `Basic realm="x", @`, reason: "challenge 2: there is no scheme"},
		{name: "a quoted value that does not end", header: `Bearer realm="x`, reason: "challenge 1: a quoted value does not end"},
		{name: "a quoted value that ends in a backslash", header: `Bearer realm="x\`, reason: "challenge 1: a quoted value does not end"},
		{name: "a line break in a quoted value", header: "Bearer realm=\"x\r\ny\"", reason: "challenge 1: a quoted value has a control character"},
		{name: "an escaped null byte", header: "Bearer realm=\"\\\x00\"", reason: "challenge 1: a quoted value has a control character"},
		{name: "no comma between parameters", header: `Bearer realm="x" scope="y"`, reason: "challenge 1: a comma is missing between parameters"},
		{name: "text after a quoted value", header: `Bearer realm="x"y`, reason: "challenge 1: a comma is missing between parameters"},
		{name: "a quote within a value without quotes", header: `Bearer realm=x"y"`, reason: "challenge 1: a comma is missing between parameters"},
		{name: "a value beyond ASCII without quotes", header: "Bearer realm=é", reason: "challenge 1: a parameter has no value"},
		{name: "two words after the scheme", header: "Bearer a b", reason: "challenge 1: a parameter is malformed"},
		{name: "a parameter without a name", header: `Bearer ="x"`, reason: "challenge 1: a parameter is malformed"},
		{name: "a parameter without a value", header: "Bearer a=b, c=", reason: "challenge 1: a parameter has no value"},
		{name: "a parameter twice", header: `Bearer resource_metadata="https://a/", Resource_Metadata="https://b/"`, reason: "challenge 1: a parameter stands twice"},
		{name: "too many parameters", header: "Bearer " + many.String(), reason: "challenge 1: there are more than 32 parameters"},
		{name: "too many challenges", header: strings.Repeat("Basic, ", 17), reason: "challenge: there are more than 16"},
		{name: "a header that is too long", header: `Bearer realm="` + strings.Repeat("x", 16<<10) + `"`, reason: "challenge: the header is longer than 16384 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := oauth.ParseChallenges([]string{tt.header})
			if err == nil {
				t.Fatalf("it is read as %v", got)
			}
			if err.Error() != tt.reason {
				t.Errorf("got %q, want %q", err, tt.reason)
			}
		})
	}
	if _, err := oauth.ParseChallenges([]string{strings.Repeat(",", 10<<10), strings.Repeat(",", 10<<10)}); err == nil {
		t.Error("the bound is for each header and not for all")
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{
		`Bearer resource_metadata="https://gw.example/x", scope="a b"`, `Basic realm="a\"\\", Bearer a=b`,
		"Negotiate YWJj==, Bearer a = b ,, c=\td", `Bearer realm="x`, "Bearer a=https://x/?y=z;w,b=c", ", ,", "A=", "A B=", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got, err := oauth.ParseChallenges([]string{header})
		if err != nil {
			return
		}
		for _, c := range got {
			if c.Scheme == "" || c.Scheme != strings.ToLower(c.Scheme) || len(c.Params) > 32 {
				t.Errorf("%q: scheme %q with %d parameters", header, c.Scheme, len(c.Params))
			}
			var params [][2]string
			plain := true
			for name, value := range c.Params {
				params = append(params, [2]string{name, value})
				plain = plain && strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) < 0
			}
			formatted := oauth.FormatBearer(params...)
			if len(formatted) > 16<<10 {
				continue // longer than we read, because of its escapes
			}
			again, err := oauth.ParseChallenges([]string{formatted})
			if err != nil {
				t.Fatalf("%q: %v", params, err)
			}
			want := []oauth.Challenge{{Scheme: "bearer", Params: c.Params}}
			if diff := cmp.Diff(want, again); plain && diff != "" {
				t.Errorf("%q: -want +got:\n%s", header, diff)
			}
		}
	})
}

func FuzzFormatBearer(f *testing.F) {
	f.Add("https://gw.example/x", `a "quoted" \ word`)
	f.Add("a\r\nb", "\xff\x00é")
	f.Fuzz(func(t *testing.T, a, b string) {
		header := oauth.FormatBearer([2]string{"a", a}, [2]string{"b", b})
		if strings.IndexFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
			t.Fatalf("%q cannot be a header", header)
		}
		if len(header) > 16<<10 {
			return // longer than we read ourselves
		}
		got, err := oauth.ParseChallenges([]string{header})
		if err != nil || len(got) != 1 || len(got[0].Params) != 2 {
			t.Fatalf("%q is read as %v, %v", header, got, err)
		}
		for i, sent := range []string{a, b} {
			read := got[0].Params[string(rune('a'+i))]
			if len([]rune(read)) != len([]rune(sent)) {
				t.Errorf("%q is read as %q", sent, read)
			}
			if !strings.ContainsFunc(sent, func(r rune) bool { return r < ' ' || r > '~' }) && read != sent {
				t.Errorf("%q is read as %q", sent, read)
			}
		}
	})
}
