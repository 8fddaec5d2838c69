package entra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/store"
)

func TestAnIDTokenIsRejected(t *testing.T) {
	t.Parallel()
	claim := func(name string, value any) func(*fake, map[string]any) string {
		return func(_ *fake, claims map[string]any) string {
			claims[name] = value
			if value == nil {
				delete(claims, name)
			}
			return sign("kid-a", jose.RS256, keyA(), claims)
		}
	}
	// keyWith signs with a key that the key set has with a member of its own.
	keyWith := func(name string, value any) func(*fake, map[string]any) string {
		return func(f *fake, claims map[string]any) string {
			key := f.jwk("kid-b", keyB())
			key[name] = value
			f.set(&f.keySet, keySetOf(f.jwk("kid-a", keyA()), key))
			return sign("kid-b", jose.RS256, keyB(), claims)
		}
	}
	tests := map[string]struct {
		token  func(*fake, map[string]any) string
		reason string
	}{
		"it is for another application": {claim("aud", otherID), "expected audience"},
		"it is for nobody":              {claim("aud", nil), "expected audience"},
		"it is for us and another":      {claim("aud", []string{clientID, otherID}), "2 audiences"},
		"it was issued to another":      {claim("azp", otherID), "was issued to"},
		"another tenant issued it": {func(f *fake, claims map[string]any) string {
			claims["iss"], claims["tid"] = f.URL+"/"+otherID+"/v2.0", otherID
			return sign("kid-a", jose.RS256, keyA(), claims)
		}, "is of tenant"},
		"a v1.0 endpoint issued it":         {claim("iss", "https://sts.windows.net/"+tenantID+"/"), "was issued by"},
		"nobody issued it":                  {claim("iss", nil), "was issued by"},
		"its tenant is another":             {claim("tid", otherID), "of tenant"},
		"its tenant is in capitals":         {claim("tid", "ABCDEF00-2222-4333-8444-555555555555"), "of tenant"},
		"it has no tenant":                  {claim("tid", nil), `of tenant ""`},
		"it has no object id":               {claim("oid", nil), `object id (oid) is ""`},
		"its object id is no GUID":          {claim("oid", objectID+"\n"), "object id (oid) is"},
		"it is of version 1.0":              {claim("ver", "1.0"), `version "1.0"`},
		"it has no version":                 {claim("ver", nil), `version ""`},
		"it is for another sign-in":         {claim("nonce", "another"), "nonce is not the one"},
		"it has no nonce":                   {claim("nonce", nil), "nonce is not the one"},
		"it expired to the second":          {claim("exp", now.Add(-2*time.Minute).Unix()), "the token expired at"},
		"it has no end":                     {claim("exp", nil), "the token expired at"},
		"its end is no time":                {claim("exp", "soon"), "unmarshal"},
		"it begins too late to the second":  {claim("nbf", now.Add(5*time.Minute+time.Second).Unix()), "not valid before"},
		"its groups are no list":            {claim("groups", "all"), "unmarshal"},
		"its groups are nowhere to be read": {claim("_claim_names", map[string]string{"groups": "src1"}), "source does not exist"},
		"nobody signed it": {func(_ *fake, claims map[string]any) string {
			payload, _ := json.Marshal(claims)
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"kid-a"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
		}, "unexpected signature algorithm"},
		"the public key signed it as a shared secret": {func(_ *fake, claims map[string]any) string {
			public, err := x509.MarshalPKIXPublicKey(&keyA().PublicKey)
			if err != nil {
				panic(err)
			}
			return sign("kid-a", jose.HS256, public, claims)
		}, "unexpected signature algorithm"},
		"it is signed by another algorithm of the same key": {func(_ *fake, claims map[string]any) string {
			return sign("kid-a", jose.PS256, keyA(), claims)
		}, "unexpected signature algorithm"},
		"another key signed it in the name of the known one": {func(_ *fake, claims map[string]any) string {
			return sign("kid-a", jose.RS256, keyB(), claims)
		}, `signature of key "kid-a"`},
		"a key nobody knows signed it": {func(_ *fake, claims map[string]any) string {
			return sign("kid-x", jose.RS256, keyB(), claims)
		}, `no key "kid-x"`},
		"it names no key": {func(_ *fake, claims map[string]any) string {
			return sign("", jose.RS256, keyA(), claims)
		}, `no key ""`},
		"a key of personal accounts signed it": {func(f *fake, claims map[string]any) string {
			key := f.jwk("kid-msa", keyB())
			key["issuer"] = f.URL + "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
			f.set(&f.keySet, keySetOf(f.jwk("kid-a", keyA()), key))
			return sign("kid-msa", jose.RS256, keyB(), claims)
		}, `key "kid-msa" signs for issuer`},
		"a key that names no issuer signed it": {keyWith("issuer", nil), `signs for issuer ""`},
		"a key that is too short signed it": {func(f *fake, claims map[string]any) string {
			short, err := rsa.GenerateKey(rand.Reader, 1024)
			if err != nil {
				panic(err)
			}
			f.set(&f.keySet, keySetOf(f.jwk("kid-a", keyA()), f.jwk("kid-short", short)))
			return sign("kid-short", jose.RS256, short, claims)
		}, `no key "kid-short"`},
		"a key for encryption signed it":        {keyWith("use", "enc"), `no key "kid-b"`},
		"a key for another algorithm signed it": {keyWith("alg", "RS512"), `no key "kid-b"`},
		"it was changed on the way": {func(_ *fake, claims map[string]any) string {
			parts := strings.Split(sign("kid-a", jose.RS256, keyA(), claims), ".")
			claims["oid"] = otherID
			payload, _ := json.Marshal(claims)
			return parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2]
		}, `signature of key "kid-a"`},
		"it is signed twice, in JSON": {func(_ *fake, claims map[string]any) string {
			parts := strings.Split(sign("kid-a", jose.RS256, keyA(), claims), ".")
			signature := map[string]string{"protected": parts[0], "signature": parts[2]}
			both, _ := json.Marshal(map[string]any{"payload": parts[1], "signatures": []any{signature, signature}})
			return string(both)
		}, "multiple signatures"},
		"it is no token": {func(*fake, map[string]any) string { return "no.token" }, "malformed jwt"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.token, tokenOf(test.token(f, f.claims())))
			who, err := f.provider(t).Exchange(t.Context(), authCode, request, now)
			wantError(t, err, entra.KindMisconfigured, "id_token_rejected", test.reason)
			if diff := cmp.Diff(store.Identity{}, who.Identity); diff != "" || !who.Refresh.IsZero() {
				t.Errorf("a rejected token gave an identity: %s", diff)
			}
		})
	}
}

func TestClocksMayDifferALittle(t *testing.T) {
	t.Parallel()
	tests := map[string]map[string]any{
		"expired a moment less than the leeway ago": {"exp": now.Add(-2*time.Minute + time.Second).Unix()},
		"begins exactly the leeway ahead":           {"nbf": now.Add(5 * time.Minute).Unix()},
		"begins at no particular time":              {"nbf": nil},
	}
	for name, claims := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := signIn(t, claims); err != nil {
				t.Error(err)
			}
		})
	}
}

// signIn signs in with an ID token that has some claims of its own.
func signIn(t *testing.T, more map[string]any) (store.Identity, error) {
	t.Helper()
	f := newFake(t)
	claims := f.claims()
	for name, value := range more {
		if value == "{issuer}" {
			value = f.issuer()
		}
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	f.set(&f.token, tokenOf(sign("kid-a", jose.RS256, keyA(), claims)))
	in, err := f.provider(t).Exchange(t.Context(), authCode, request, now)
	return in.Identity, err
}

func TestIdentityFromClaims(t *testing.T) {
	t.Parallel()
	overage := map[string]any{
		"_claim_names":   map[string]string{"groups": "src1"},
		"_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.windows.net/x/users/y/getMemberObjects"}},
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
	}
	tests := map[string]struct {
		claims map[string]any
		want   func(*store.Identity)
	}{
		"roles as they are": {map[string]any{"roles": []string{"Mcp.Admin", "Mcp.User"}}, func(i *store.Identity) { i.Roles = []string{"Mcp.Admin", "Mcp.User"} }},
		"a role longer than any, and an empty one, do not count": {
			map[string]any{"roles": []string{strings.Repeat("r", 257), "", "Mcp.User"}}, func(i *store.Identity) { i.Roles = []string{"Mcp.User"} },
		},
		"no more than 1000 roles":               {map[string]any{"roles": many}, func(i *store.Identity) { i.Roles = many[:1000] }},
		"groups by id":                          {map[string]any{"groups": []string{otherID}}, func(i *store.Identity) { i.Groups = []string{otherID} }},
		"an id in capitals is the same id":      {map[string]any{"oid": strings.ToUpper(objectID), "groups": []string{"ABCDEF00-0000-4000-8000-000000000000"}}, func(i *store.Identity) { i.Groups = []string{"abcdef00-0000-4000-8000-000000000000"} }},
		"groups by name do not count":           {map[string]any{"groups": []string{"Engineering", otherID}}, func(i *store.Identity) { i.Groups = []string{otherID} }},
		"too many groups for Microsoft":         {overage, func(i *store.Identity) { i.GroupsUnknown = true }},
		"too many groups, said the other way":   {map[string]any{"hasgroups": true}, func(i *store.Identity) { i.GroupsUnknown = true }},
		"too many groups, said as text":         {map[string]any{"hasgroups": "true"}, func(i *store.Identity) { i.GroupsUnknown = true }},
		"too many groups is said not to be":     {map[string]any{"hasgroups": false, "groups": []string{otherID}}, func(i *store.Identity) { i.Groups = []string{otherID} }},
		"some groups and a reference to others": {map[string]any{"hasgroups": true, "groups": []string{otherID}}, func(i *store.Identity) { i.GroupsUnknown = true }},
		"more groups than Microsoft ever sends": {map[string]any{"groups": many}, func(i *store.Identity) { i.GroupsUnknown = true }},
		"a guest by a number":                   {map[string]any{"acct": 1}, func(i *store.Identity) { i.Guest = true }},
		"a guest by a string":                   {map[string]any{"acct": "1"}, func(i *store.Identity) { i.Guest = true }},
		"a guest by the home tenant":            {map[string]any{"idp": "https://sts.windows.net/" + otherID + "/"}, func(i *store.Identity) { i.Guest = true }},
		"a guest with a personal account":       {map[string]any{"idp": "live.com"}, func(i *store.Identity) { i.Guest = true }},
		"a member by a number":                  {map[string]any{"acct": 0}, nil},
		"a member by a string":                  {map[string]any{"acct": "0"}, nil},
		"a member whose issuer is named":        {map[string]any{"idp": "{issuer}"}, nil},
		"a member by the old name of the same":  {map[string]any{"idp": "https://sts.windows.net/" + tenantID + "/"}, nil},
		"an address is no identity":             {map[string]any{"email": "ceo@contoso.example", "upn": "ceo@contoso.example"}, nil},
		"no name at all":                        {map[string]any{"name": nil, "preferred_username": nil}, func(i *store.Identity) { i.Name, i.Username = "", "" }},
		"a name in any script":                  {map[string]any{"name": "Żółć 山田 😀"}, func(i *store.Identity) { i.Name = "Żółć 山田 😀" }},
		"a name that would break a line": {
			map[string]any{"name": " Ada\r\n\u2028\x00\x1b[31mAdmin "}, func(i *store.Identity) { i.Name = "Ada[31mAdmin" },
		},
		"a name that would turn the text around": {map[string]any{"name": "Ada\u202enimdA\u2066"}, func(i *store.Identity) { i.Name = "AdanimdA" }},
		"a name longer than anybody's":           {map[string]any{"name": strings.Repeat("é", 300)}, func(i *store.Identity) { i.Name = strings.Repeat("é", 256) }},
		"an audience in a list":                  {map[string]any{"aud": []string{clientID}}, nil},
		"issued to us, said twice":               {map[string]any{"azp": clientID}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who, err := signIn(t, test.claims)
			if err != nil {
				t.Fatal(err)
			}
			want := store.Identity{Tenant: tenantID, Object: objectID, Name: "Ada Admin", Username: "ada@contoso.example"}
			if test.want != nil {
				test.want(&want)
			}
			if diff := cmp.Diff(want, who, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}
