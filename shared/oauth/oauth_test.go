package oauth_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

func TestCodesAreSpelledAsTheRFCsSpellThem(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{
		"invalid_request": 400, "invalid_client": 401, "invalid_grant": 400, "unauthorized_client": 400, "unsupported_grant_type": 400,
		"unsupported_response_type": 400, "invalid_scope": 400, "access_denied": 403, "server_error": 500, "temporarily_unavailable": 503,
		"invalid_token": 401, "insufficient_scope": 403, "invalid_redirect_uri": 400, "invalid_client_metadata": 400, "invalid_target": 400,
	} {
		if !slices.Contains([]string{
			oauth.CodeInvalidRequest, oauth.CodeInvalidClient, oauth.CodeInvalidGrant, oauth.CodeUnauthorizedClient,
			oauth.CodeUnsupportedGrantType, oauth.CodeUnsupportedResponseType, oauth.CodeInvalidScope, oauth.CodeAccessDenied,
			oauth.CodeServerError, oauth.CodeTemporarilyUnavailable, oauth.CodeInvalidToken, oauth.CodeInsufficientScope,
			oauth.CodeInvalidRedirectURI, oauth.CodeInvalidClientMetadata, oauth.CodeInvalidTarget,
		}, code) {
			t.Errorf("no constant for %s", code)
		}
		if got := oauth.NewError(code, "d").Status; got != status {
			t.Errorf("%s has status %d, want %d", code, got, status)
		}
	}
}

func TestErrorKeepsItsCauseForTheLogOnly(t *testing.T) {
	t.Parallel()
	cause := errors.New("secret cause")
	base := oauth.NewError(oauth.CodeInvalidGrant, "sign in again")
	err := base.WithCause(cause)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "secret cause") || strings.Contains(err.Description, "secret") {
		t.Errorf("err = %v", err)
	}
	if errors.Is(base, cause) {
		t.Error("WithCause changed the original")
	}
}

func TestPKCE(t *testing.T) {
	t.Parallel()
	// RFC 7636 appendix B.
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if got := oauth.ChallengeS256(verifier); got != challenge {
		t.Errorf("challenge = %s", got)
	}
	if !oauth.VerifyS256(challenge, verifier) || oauth.VerifyS256(challenge, challenge) || oauth.VerifyS256(verifier, verifier) {
		t.Error("VerifyS256 is wrong")
	}
	short := strings.Repeat("a", 42)
	if oauth.VerifyS256(oauth.ChallengeS256(short), short) {
		t.Error("a verifier of 42 characters was accepted")
	}
	if v := oauth.NewVerifier(); !oauth.ValidVerifier(v) || v == oauth.NewVerifier() || !oauth.ValidChallenge(oauth.ChallengeS256(v)) {
		t.Errorf("verifier %q", v)
	}
	for _, bad := range []string{"", short, challenge + "=", challenge[:42] + "!", challenge + "A", challenge[:42] + "N"} {
		if oauth.ValidChallenge(bad) {
			t.Errorf("challenge %q was accepted", bad)
		}
	}
	for _, bad := range []string{"", short, strings.Repeat("a", 129), strings.Repeat("a", 43) + " ", strings.Repeat("ä", 43)} {
		if oauth.ValidVerifier(bad) {
			t.Errorf("verifier %q was accepted", bad)
		}
	}
}

func TestCheckRedirectURI(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://claude.ai/api/mcp/auth_callback", "https://a.example", "https://a.example:8443/cb?x=1&y=%2F", "http://localhost/callback",
		"http://127.0.0.1/callback", "http://127.0.0.1:33418/", "http://[::1]:8080/cb", "cursor://anysphere.cursor-retrieval/oauth/callback",
		"com.example.app:/cb", "vscode://vscode.github-authentication/did-authenticate",
	} {
		if err := oauth.CheckRedirectURI(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, reason := range map[string]string{
		"": "1 to 512", "https://a.example/" + strings.Repeat("x", 512): "1 to 512",
		"/callback": "absolute", "//a.example/cb": "absolute", "a.example/cb": "absolute",
		"https://a.example/cb#f": "fragment", "https://a.example/cb#": "fragment",
		"https://user@a.example/cb": "user name", "https://a.example@evil.example/": "user name", "https://u:p@a.example/": "user name",
		"https://a.example/../cb": "segments", "https://a.example/%2e%2E/cb": "segments", "https://a.example/a/./b": "segments",
		"http://evil.example/cb": "only allowed", "http://127.0.0.1.evil.example/cb": "only allowed", "http://localhost.evil.example/": "only allowed",
		"http://127.0.0.2/cb": "only allowed", "http://0.0.0.0/cb": "only allowed", "http://2130706433/cb": "only allowed",
		"HTTPS://a.example/cb": "lower case", "https:a.example/cb": "form", "https:///cb": "form", "https:/a.example": "form",
		"https://a.example\\@evil.example/": "cannot have", "https://a.example/ cb": "cannot have", "https://a.example/\tcb": "cannot have",
		"https://a.example/\x00": "cannot have", "https://ä.example/": "cannot have", "https://a.example/<script>": "cannot have",
		"https://a%2eexample/": "", "javascript:alert(1)": "own", "JaVaScRiPt:alert(1)": "own", "data:text/html,x": "own", "file:///etc/passwd": "own",
		"vbscript:x": "own", "blob:https://a.example/x": "own", "view-source:https://a.example": "own", "intent://x": "own",
		"Cursor://x/y": "lower case", "http://127.0.0.1:/cb": "port", "https://a.example:/": "port", "https://a.example:99999/": "port",
	} {
		err := oauth.CheckRedirectURI(bad)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: err = %v, want %q", bad, err, reason)
		}
	}
}

func TestMatchRedirect(t *testing.T) {
	t.Parallel()
	registered := []string{"https://a.example/cb", "http://127.0.0.1/callback", "http://localhost:1234/cb?x=1", "http://[::1]/cb", "cursor://x/cb"}
	for requested, want := range map[string]bool{
		"https://a.example/cb": true, "https://a.example/cb/": false, "https://a.example/cb?x": false, "https://A.example/cb": false,
		"https://a.example:443/cb": false, "http://a.example/cb": false, "https://a.example/%63b": false,
		"http://127.0.0.1/callback": true, "http://127.0.0.1:33418/callback": true, "http://127.0.0.1:1/callback": true,
		"http://127.0.0.1:33418/callback/": false, "http://127.0.0.1:33418/callback?x=1": false, "http://localhost:33418/callback": false,
		"http://127.0.0.1:33418/../callback": false, "http://127.0.0.1:x/callback": false, "http://127.0.0.1:33418@evil.example/callback": false,
		"http://localhost:99/cb?x=1": true, "http://localhost/cb?x=1": true, "http://localhost/cb": false, "http://127.0.0.1:1234/cb?x=1": false,
		"http://[::1]:8080/cb": true, "http://[::1]/cb": true, "cursor://x/cb": true, "cursor://x/cb2": false, "https://127.0.0.1:1/callback": false,
		"": false,
	} {
		if got := oauth.MatchRedirect(registered, requested); got != want {
			t.Errorf("MatchRedirect(%q) = %v, want %v", requested, got, want)
		}
	}
	if oauth.MatchRedirect([]string{"http://evil.example/cb"}, "http://evil.example/cb") {
		t.Error("a registered URI that cannot be one matched")
	}
	if !oauth.IsLoopbackRedirect("http://127.0.0.1:1/x") || oauth.IsLoopbackRedirect("https://127.0.0.1/x") || oauth.IsLoopbackRedirect("http://a.example") {
		t.Error("IsLoopbackRedirect is wrong")
	}
}

// FuzzCheckRedirectURI: what is accepted is one URL to every reader, and
// matches itself.
func FuzzCheckRedirectURI(f *testing.F) {
	for _, seed := range []string{"https://a.example/cb?x=%20", "http://[::1]:80/", "cursor://x/y", "com.app:/cb", "http://localhost:0/#", "https://a@b/", "http://127.0.0.1:/cb", "https://a.example:99999/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if oauth.CheckRedirectURI(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q was accepted and parses as %+v, %v", raw, u, err)
		}
		if u.Scheme == "http" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" && u.Hostname() != "localhost" {
			t.Fatalf("%q was accepted: host %q", raw, u.Hostname())
		}
		if !oauth.MatchRedirect([]string{raw}, raw) {
			t.Fatalf("%q does not match itself", raw)
		}
		// A browser sees the same: what it is sent to begins as registered.
		req, err := http.NewRequest(http.MethodGet, raw, nil)
		if err != nil || (u.Scheme == "http" || u.Scheme == "https") && req.URL.Host != u.Host {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

func TestChallengeRoundTrip(t *testing.T) {
	t.Parallel()
	header := oauth.FormatBearer([2]string{"resource_metadata", "https://gw/.well-known/x"}, [2]string{"error_description", "a \"quoted\" \\ thing,\r\nwith a break"})
	if strings.ContainsAny(header, "\r\n") {
		t.Errorf("a header was split: %q", header)
	}
	got, err := oauth.ParseChallenges([]string{header})
	if err != nil || len(got) != 1 || got[0].Scheme != "bearer" || got[0].Params["resource_metadata"] != "https://gw/.well-known/x" ||
		got[0].Params["error_description"] != `a "quoted" \ thing,with a break` {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		lines []string
		want  []oauth.Challenge
	}{
		{"none", nil, nil},
		{"a scheme alone", []string{"Negotiate"}, []oauth.Challenge{{Scheme: "negotiate"}}},
		{"a token68", []string{"Negotiate abc=="}, []oauth.Challenge{{Scheme: "negotiate", Params: map[string]string{"": "abc=="}}}},
		{"two in a line", []string{`Basic realm="x", Bearer scope=mcp , error="e"`}, []oauth.Challenge{
			{Scheme: "basic", Params: map[string]string{"realm": "x"}}, {Scheme: "bearer", Params: map[string]string{"scope": "mcp", "error": "e"}}}},
		{"two lines, odd spaces and empty elements", []string{`,, Bearer  a = "1" ,`, `DPoP algs="ES256"`}, []oauth.Challenge{
			{Scheme: "bearer", Params: map[string]string{"a": "1"}}, {Scheme: "dpop", Params: map[string]string{"algs": "ES256"}}}},
		{"a name in upper case", []string{`Bearer Scope="A"`}, []oauth.Challenge{{Scheme: "bearer", Params: map[string]string{"scope": "A"}}}},
	} {
		got, err := oauth.ParseChallenges(tt.lines)
		if err != nil || len(got) != len(tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
			continue
		}
		for i := range got {
			if got[i].Scheme != tt.want[i].Scheme || !maps.Equal(got[i].Params, tt.want[i].Params) {
				t.Errorf("%s: got %+v, want %+v", tt.name, got[i], tt.want[i])
			}
		}
	}
	for _, bad := range []string{`Bearer a="x`, `Bearer a="1", a="2"`, `Bearer a="x", b=`, `="x"`, `Bearer a="x"b`, "Bearer a=\"\x00\"", `Bearer "x"`, strings.Repeat("x", 20000), `@`} {
		if got, err := oauth.ParseChallenges([]string{bad}); err == nil {
			t.Errorf("%.40q was accepted: %+v", bad, got)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="a", error="b\"c", x=y, Basic abc==`)
	f.Add(`Negotiate, DPoP a = b`)
	f.Fuzz(func(t *testing.T, line string) {
		all, err := oauth.ParseChallenges([]string{line})
		if err != nil {
			return
		}
		for _, c := range all {
			if c.Scheme == "" || c.Scheme != strings.ToLower(c.Scheme) {
				t.Fatalf("%q: scheme %q", line, c.Scheme)
			}
			var params [][2]string
			for name, value := range c.Params {
				if name != "" && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
					params = append(params, [2]string{name, value})
				}
			}
			again, err := oauth.ParseChallenges([]string{oauth.FormatBearer(params...)})
			if err != nil || len(again) != 1 {
				t.Fatalf("%q: printed again it is %+v, %v", line, again, err)
			}
			for _, p := range params {
				if again[0].Params[p[0]] != p[1] {
					t.Fatalf("%q: %s = %q, printed again %q", line, p[0], p[1], again[0].Params[p[0]])
				}
			}
		}
	})
}
