package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The suite holds the whole gateway, over HTTP, to what the MCP authorization
// specification (revision 2026-07-28) and the RFCs behind it ask of an
// authorization server and of a protected resource. The numbers before the
// names: 1.1 protected resource metadata, 1.2 authorization server metadata,
// 1.3 the authorization endpoint, 1.4 clients with a document, 1.5 clients that
// register, 1.6 consent, 1.7 the token endpoint and tokens, 1.8 challenges.

const must, should = "MUST", "SHOULD"

// requirement is a sentence of the specification and its check, on a gateway
// that all share or, if the check changes what others rely on, on its own.
type requirement struct {
	level, name string
	check       func(t *testing.T, g *gateway)
}

var requirements = slices.Concat(metadataRequirements, authorizeRequirements, documentRequirements, clientRequirements,
	consentRequirements, tokenRequirements, challengeRequirements)

// musts is how many sentences with a MUST the specification has about each
// part; one sentence may need more than one row, and the RFCs behind it have
// more.
var musts = map[string]int{"1.1": 5, "1.2": 4, "1.3": 3, "1.4": 10, "1.5": 0, "1.6": 6, "1.7": 6, "1.8": 2}

func TestEveryPartOfTheSpecificationHasItsRows(t *testing.T) {
	t.Parallel()
	rows := make(map[string]int)
	for _, r := range requirements {
		part, _, _ := strings.Cut(r.name, " ")
		if _, known := musts[part]; !known && part != "RFC" {
			t.Errorf("%q is of no part of the specification", r.name)
		}
		switch r.level {
		case must:
			rows[part]++
		case should:
		default:
			t.Errorf("%q is neither a MUST nor a SHOULD", r.name)
		}
	}
	for part, want := range musts {
		if rows[part] < want {
			t.Errorf("part %s has %d rows for %d sentences with a MUST", part, rows[part], want)
		}
	}
}

// alone is a check that starts a gateway for itself.
func alone(check func(t *testing.T)) func(*testing.T, *gateway) {
	return func(t *testing.T, _ *gateway) { check(t) }
}

func TestSuite(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	seen := make(map[string]bool)
	for _, r := range requirements {
		if seen[r.name] {
			t.Errorf("two requirements are called %q", r.name)
		}
		seen[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			t.Attr("level", r.level)
			r.check(t, g.in(t))
		})
	}
}

// document gets a JSON document and decodes it.
func (g *gateway) document(path string, into any) *http.Response {
	g.t.Helper()
	resp, err := http.Get(g.url + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		g.t.Fatalf("%s: status %d, type %q: %s", path, resp.StatusCode, resp.Header.Get("Content-Type"), data)
	}
	if err := json.Unmarshal(data, into); err != nil {
		g.t.Fatalf("%s: %s: %v", path, data, err)
	}
	return resp
}

// code signs Ada in for a new client.
func (g *gateway) code() (a authorization, code string) {
	g.t.Helper()
	a = newAuthorization(g.registration())
	return a, g.signIn(newBrowser(g.t), a, "Ada").Get("code")
}

// alter changes what the running gateway has stored.
func (g *gateway) alter(statement string) {
	g.t.Helper()
	breakTrail(g.t, filepath.Join(g.dir, "gateway.db"), statement)
}

// refused checks an answer of the token endpoint.
func (g *gateway) refused(what string, got tokenAnswer, status int, code string) {
	g.t.Helper()
	if got.status != status || got.Error != code || got.ErrorDescription == "" || got.AccessToken != "" || got.RefreshToken != "" {
		g.t.Errorf("%s: got %d %q (%s), want %d %q", what, got.status, got.Error, got.ErrorDescription, status, code)
	}
}
