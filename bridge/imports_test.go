// Package bridge_test holds the house rules of the module that no compiler
// checks: which package may import which, and where outside packages may be
// used. A rule whose subject has gone fails too, so the tables never speak of
// what is not there.
package bridge_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "mcp-gateway/bridge/"

// arrows lists every package from the top of the house down, with the packages
// of this module that it may import.
var arrows = map[string]string{
	// The command puts the parts together.
	"cmd/mcp-bridge": "internal/browser internal/host internal/keychain internal/oauth internal/relay internal/remote",

	// It measures the program from outside, as a host sees it.
	"cmd/bridgebench": "",

	// Both sides, and what happens when they do not meet.
	"internal/relay":  "internal/host internal/oauth internal/remote",
	"internal/host":   "",
	"internal/remote": "",

	// The OAuth client, above all that a sign-in needs of this computer.
	"internal/oauth": "internal/browser internal/flight internal/keychain",
	// One sign-in at a time across processes, beside the files that it ends in.
	"internal/flight":   "internal/keychain",
	"internal/keychain": "",
	"internal/browser":  "",

	// Servers and browsers for tests; no code imports it.
	"internal/lab": "",
}

// outside lists the packages from elsewhere that code may import, with their
// only owners.
var outside = map[string]string{
	"github.com/pkg/browser":          "internal/browser",  // one place decides what may be opened
	"github.com/boombuler/barcode/qr": "cmd/mcp-bridge",    // only a terminal needs its pictures
	"github.com/zalando/go-keyring":   "internal/keychain", // one place knows that it may never answer
}

// calls lists what only some files may use.
var calls = []struct {
	name, files, why string
}{
	{"os.Getenv", "cmd/", "components are configured by their Config, not by the environment"},
	{"os.LookupEnv", "cmd/", "components are configured by their Config, not by the environment"},
	{"os.Exit", "cmd/", "only a command may end the process"},
	{".Reveal", "internal/oauth/token.go", "each place where a secret becomes plain text is known"},
}

func TestCallsStayWhereTheyAreListed(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, _ := selector.X.(*ast.Ident)
			for _, row := range calls {
				pkg, method, _ := strings.Cut(row.name, ".")
				if selector.Sel.Name != method || pkg != "" && (from == nil || from.Name != pkg) {
					continue
				}
				found[row.name] = true
				if !strings.HasPrefix(filepath.ToSlash(name), row.files) {
					t.Errorf("%s uses %s: %s", name, row.name, row.why)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range calls {
		if !found[row.name] {
			t.Errorf("%s may use %s and does not: drop the rule", row.files, row.name)
		}
	}
}

func TestImportsFollowTheArrows(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found, used := map[string]bool{}, map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(pkg.ImportPath, module)
		if pkg.ImportPath+"/" == module {
			continue // the root has tests only
		}
		may, listed := arrows[name]
		if !listed {
			t.Errorf("%s is not in the table: give it a place in the house", name)
		}
		found[name] = true
		for _, imp := range pkg.Imports {
			check(t, name, imp, strings.Fields(may))
			used[name+" "+strings.TrimPrefix(imp, module)] = true
		}
	}
	for name, may := range arrows {
		if !found[name] {
			t.Errorf("%s is in the table and not in the tree: drop its row", name)
		}
		for imp := range strings.FieldsSeq(may) {
			if !used[name+" "+imp] {
				t.Errorf("%s may import %s and does not: drop the arrow", name, imp)
			}
		}
	}
	for imp, owner := range outside {
		if !used[owner+" "+imp] {
			t.Errorf("%s owns %s and does not import it: drop the rule", owner, imp)
		}
	}
}

// check holds one import against the tables.
func check(t *testing.T, name, imp string, may []string) {
	t.Helper()
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case strings.HasPrefix(imp, module):
		if !slices.Contains(may, strings.TrimPrefix(imp, module)) {
			t.Errorf("%s imports %s, which is no arrow of the table: turn the dependency round, or add the arrow and say why in the commit", name, imp)
		}
	case strings.HasPrefix(imp, "mcp-gateway/shared/"):
		if imp == "mcp-gateway/shared/entrasim" {
			t.Errorf("%s imports the simulated sign-in, which must never be part of the product", name)
		}
	case strings.HasPrefix(imp, "mcp-gateway/"):
		t.Errorf("%s imports %s: the bridge works with any server and knows nothing of the gateway's inside", name, imp)
	case imp == "golang.org/x/sys/windows":
		// Seen on Windows only, so no rule can ask for it.
		if name != "internal/keychain" {
			t.Errorf("%s imports %s: only the store replaces files under readers", name, imp)
		}
	case strings.Contains(first, "."):
		if outside[imp] != name {
			t.Errorf("%s imports %s, which it does not own", name, imp)
		}
	}
}
