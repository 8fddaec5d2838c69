package entra_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/entra"
)

const unverified = "docs/entra-unverified.md"

// numberRow is a row of the table of Microsoft's numbers: where the number is
// used, the error code that it is expected with, and what the gateway makes of both.
var numberRow = regexp.MustCompile("(?m)^\\| (\\d+) \\| ([a-z ]+) \\| `([a-z_]+)` \\| ([a-z]+) \\|")

// Every number that the gateway or the simulator knows is in the table, once,
// and treated as it says.
func TestTheTableOfUnverifiedNumbersIsTrue(t *testing.T) {
	t.Parallel()
	gateway := keysOf(t, "gateway/internal/entra/advice.go", "advices")
	simulator := keysOf(t, "shared/entrasim/failure.go", "meanings")
	left := map[string]bool{}
	for number := range gateway {
		left[number] = true
	}
	for number := range simulator {
		left[number] = true
	}
	for _, row := range numberRow.FindAllStringSubmatch(readFile(t, unverified), -1) {
		number, use, code, treated := row[1], row[2], row[3], row[4]
		if !left[number] {
			t.Errorf("%s is in the table twice, or nowhere else", number)
			continue
		}
		delete(left, number)
		_, inGateway := gateway[number]
		entry, inSimulator := simulator[number]
		var want []string
		if inGateway {
			want = append(want, "gateway")
		}
		if inSimulator {
			want = append(want, "simulator")
			if first, ok := entry.(*ast.CompositeLit).Elts[0].(*ast.BasicLit); !ok || first.Value != strconv.Quote(code) {
				t.Errorf("%s comes with %s from the simulator, and with %s in the table", number, first.Value, code)
			}
		}
		if use != strings.Join(want, " ") {
			t.Errorf("%s is used by %q, and by %q in the table", number, want, use)
		}
		got := entra.CallbackError(url.Values{"error": {code}, "error_description": {fmt.Sprintf("AADSTS%s: text", number)}})
		if string(got.Kind) != treated {
			t.Errorf("%s with %s is %s, and %s in the table", number, code, got.Kind, treated)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(left)) {
		t.Errorf("%s is not in the table", number)
	}
}

// What the document names as the place of a fact is there.
func TestTheUnverifiedFactsNameFilesThatExist(t *testing.T) {
	t.Parallel()
	names := regexp.MustCompile("`((?:gateway|shared|testdata)/[^`]+)`").FindAllStringSubmatch(readFile(t, unverified), -1)
	if len(names) < 10 {
		t.Errorf("%d files are named", len(names))
	}
	for _, name := range names {
		if _, err := os.Stat(fromRoot(name[1])); err != nil {
			t.Error(err)
		}
	}
}

// keysOf reads the keys of a map literal, with their values, from the source.
func keysOf(t *testing.T, file, name string) map[string]ast.Expr {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), fromRoot(file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]ast.Expr{}
	for node := range ast.Preorder(parsed) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != name {
			continue
		}
		for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
			pair := element.(*ast.KeyValueExpr)
			keys[pair.Key.(*ast.BasicLit).Value] = pair.Value
		}
	}
	if len(keys) == 0 {
		t.Fatalf("%s has no map %s", file, name)
	}
	return keys
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(fromRoot(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fromRoot is where a file of the repository is, from this package.
func fromRoot(name string) string { return path.Join("../../..", name) }
