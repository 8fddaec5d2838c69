// Package shared_test holds the house rules of the module that no compiler
// checks. What both products share must stay small and free of surprises, so
// it imports the standard library and nothing else; the simulated Entra ID,
// which is in neither product, is the one exception.
package shared_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "mcp-gateway/shared/"

// arrows lists every package with all that it may import besides the standard
// library. Tests may import the package they test and go-cmp as well.
var arrows = map[string]string{
	"buildinfo": "",
	"entrasim":  "github.com/go-jose/go-jose/v4",
	"netguard":  "",
	"oauth":     "",
	"secret":    "",
	"wire":      "",
}

// calls are for commands and for those who own a secret: no shared code.
var calls = map[string]string{
	"os.Getenv":    "shared code is configured by its caller, not by the environment",
	"os.LookupEnv": "shared code is configured by its caller, not by the environment",
	"os.Environ":   "shared code is configured by its caller, not by the environment",
	"os.Exit":      "only a command may end the process",
}

func TestSharedCodeImportsTheStandardLibraryOnly(t *testing.T) {
	used := make(map[string]bool)
	for _, src := range sources(t) {
		listed, ok := arrows[src.pkg]
		if !ok && src.pkg != "." {
			t.Errorf("%s is not in the table: add it", src.pkg)
		}
		may := strings.Fields(listed)
		if src.test {
			may = append(may, module+src.pkg, "github.com/google/go-cmp/cmp")
		}
		used[src.pkg] = true
		for _, spec := range src.file.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			used[src.pkg+" "+imp] = true
			if !standard(imp) && !slices.Contains(may, imp) {
				t.Errorf("%s imports %s: what both products share stands on the standard library alone", src.path, imp)
			}
		}
	}
	for pkg, listed := range arrows {
		if !used[pkg] {
			t.Errorf("%s is in the table and not in the tree: drop it", pkg)
		}
		for imp := range strings.FieldsSeq(listed) {
			if !used[pkg+" "+imp] {
				t.Errorf("%s may import %s and does not: drop it from the table", pkg, imp)
			}
		}
	}
}

func TestSharedCodeLeavesTheProcessToItsCaller(t *testing.T) {
	for _, src := range sources(t) {
		if src.test {
			continue
		}
		for node := range ast.Preorder(src.file) {
			sel, ok := node.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			if left, ok := sel.X.(*ast.Ident); ok {
				if why, banned := calls[left.Name+"."+sel.Sel.Name]; banned {
					t.Errorf("%s uses %s.%s: %s", src.path, left.Name, sel.Sel.Name, why)
				}
			}
			if sel.Sel.Name == "Reveal" {
				t.Errorf("%s reveals a secret: only the products may", src.path)
			}
		}
	}
}

// source is one Go file of the module.
type source struct {
	path, pkg string
	test      bool
	file      *ast.File
}

// sources parses every file of the module, whatever system it is for.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && entry.Name() == "testdata" {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		all = append(all, source{
			path: filepath.ToSlash(name),
			pkg:  filepath.ToSlash(filepath.Dir(name)),
			test: strings.HasSuffix(name, "_test.go"),
			file: file,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// standard tells a package of the standard library: no dot in the first
// element, and not ours.
func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".") && first != "mcp-gateway"
}
