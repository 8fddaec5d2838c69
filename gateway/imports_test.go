// Package gateway_test holds the house rules of the module that no compiler
// checks: which package may import which, where outside packages may be used,
// and who may touch the process or a secret. Each rule says why. A rule whose
// subject has gone fails too, so the tables never speak of what is not there.
package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "mcp-gateway/gateway/"
	shared = "mcp-gateway/shared/"
)

// arrows lists every package from the top of the house down, with the packages
// of this module that it may import. An arrow only ever points further down.
var arrows = []struct {
	pkg string
	may string
}{
	// bench measures programs from outside; what sign-ins would have left in a
	// gateway's state folder it puts there itself.
	{"cmd/bench", "internal/keyring internal/store/sqlite internal/store"},
	{"cmd/devstack", "internal/app internal/config internal/keyring"},
	{"cmd/mcp-gateway", "internal/app internal/config internal/admin internal/keyring"},
	// app builds all the others and alone turns the configuration into theirs.
	{"internal/app", "internal/config internal/admin internal/authserver internal/mcphttp internal/resource internal/limit internal/grant" +
		" internal/client internal/token internal/account internal/entra internal/session internal/catalog internal/access internal/audit internal/store/sqlite" +
		" internal/keyring internal/page internal/route internal/store"},
	{"internal/config", ""},
	// The edges: what a client, a browser or an administrator talks to.
	{"internal/admin", "internal/client internal/audit internal/store internal/keyring"},
	{"internal/authserver", "internal/grant internal/client internal/token internal/entra internal/session internal/audit internal/store internal/keyring internal/page internal/route"},
	{"internal/mcphttp", "internal/client internal/access internal/audit internal/store internal/keyring"},
	// The guards: what stands before an edge. A session also has the one page on
	// which Microsoft ends it.
	{"internal/session", "internal/store internal/page internal/route"},
	{"internal/resource", "internal/access internal/store"},
	{"internal/limit", ""},
	{"internal/route", ""},
	// The rules: what is allowed.
	{"internal/grant", "internal/client internal/token internal/account internal/access internal/audit internal/store"},
	{"internal/client", "internal/keyring internal/store"},
	{"internal/token", "internal/access internal/store"},
	{"internal/account", "internal/entra internal/audit internal/keyring internal/store"},
	{"internal/entra", "internal/entra/clientauth internal/store"},
	{"internal/entra/clientauth", ""},
	{"internal/catalog", "internal/access"},
	{"internal/access", "internal/store"},
	// What is written down, and where.
	{"internal/audit", "internal/store"},
	{"internal/store/sqlite", "internal/store"},
	{"internal/store/storetest", "internal/store"},
	{"internal/store", ""},
	{"internal/keyring", ""},
	{"internal/page", ""},
	// A browser and a person before one, for tests; no code imports it.
	{"internal/lab", ""},
}

// outside lists the packages from elsewhere that code may import, each with
// its owners; tests may import any of them. A path stands for all below it.
var outside = []struct {
	path   string
	owners string
	why    string
}{
	{"database/sql", "internal/store/sqlite", "SQL stays behind the store's contract"},
	{"modernc.org/sqlite", "internal/store/sqlite", "SQL stays behind the store's contract"},
	{"github.com/pressly/goose/v3", "internal/store/sqlite", "migrations belong to the back end that they change"},
	{"github.com/coreos/go-oidc/v3", "internal/entra", "only the login with Microsoft reads tokens that others signed"},
	{"github.com/go-jose/go-jose/v4", "internal/entra internal/entra/clientauth internal/client", "only the login with Microsoft and the check of clients read or sign tokens of others"},
	{"golang.org/x/oauth2", "internal/entra", "only the login with Microsoft is an OAuth client"},
	{"github.com/mark3labs/mcp-go", "internal/mcphttp internal/catalog cmd/bench", "the rules know nothing of the MCP library, and bench measures its own servers"},
	{"go.yaml.in/yaml/v4", "internal/config", "there is one configuration file with one reader"},
	{"golang.org/x/time", "internal/limit", "rate limits live in one place"},
	{"golang.org/x/sync", "internal/app internal/client internal/account cmd/devstack", "app owns every goroutine, devstack the simulator's, and client and account only ask once for all who wait"},
	{"log", "", "logs are log/slog attributes"},
	{"math/rand", "", "randomness is crypto/rand"},
	{"math/rand/v2", "", "randomness is crypto/rand"},
	{"net/http/httptest", "", "it is made for tests"},
	{"github.com/chromedp", "internal/lab", "only tests drive a browser"},
	{shared + "entrasim", "cmd/devstack internal/lab", "the simulated sign-in must never be part of the product"},
}

// calls lists what only some files may use; tests are free. A method is written
// without its receiver.
var calls = []struct {
	name  string
	files string // files, or folders with a slash at the end
	why   string
}{
	{"os.Getenv", "", "components are configured by their Config, not by the environment"},
	{"os.Environ", "", "components are configured by their Config, not by the environment"},
	{"os.LookupEnv", "cmd/", "components are configured by their Config, not by the environment"},
	{"os.Exit", "cmd/", "only a command may end the process"},
	{"net/http.ServeMux", "internal/route/", "what is served over the network is in the table of routes, with its policy"},
	{"net/http.NewServeMux", "internal/route/ internal/admin/server.go", "what is served over the network is in the table of routes, with its policy"},
	{".Reveal", "internal/entra/entra.go internal/entra/clientauth/clientauth.go internal/account/account.go internal/app/clients.go", "each place where a secret becomes plain text is known"},
}

func TestImportsFollowTheArrows(t *testing.T) {
	order := make(map[string]int)
	for i, row := range arrows {
		order[row.pkg] = i
	}
	code, tests := imports(t)
	for _, row := range arrows {
		may := strings.Fields(row.may)
		if _, ok := code[row.pkg]; !ok {
			t.Errorf("%s is in the table and not in the tree: drop its row", row.pkg)
		}
		for _, imp := range within(code[row.pkg]) {
			if !slices.Contains(may, imp) {
				t.Errorf("%s imports %s, which is no arrow of the table: turn the dependency round, or add the arrow and say why in the commit", row.pkg, imp)
			}
		}
		for _, imp := range may {
			if !slices.Contains(code[row.pkg], module+imp) {
				t.Errorf("%s may import %s and does not: drop the arrow", row.pkg, imp)
			}
		}
		for _, imp := range append(within(tests[row.pkg]), may...) {
			if to, ok := order[imp]; imp != row.pkg && ok && to <= order[row.pkg] {
				t.Errorf("the arrow from %s to %s, or from its tests, points up", row.pkg, imp)
			}
		}
	}
	for pkg := range code {
		if _, ok := order[pkg]; !ok {
			t.Errorf("%s is not in the table: give it a place in the house", pkg)
		}
	}
}

func TestOutsidePackagesStayWithTheirOwners(t *testing.T) {
	code, _ := imports(t)
	used := make(map[string]bool)
	for pkg, imports := range code {
		for _, imp := range imports {
			listed := false
			for _, row := range outside {
				if imp != row.path && (!strings.HasPrefix(imp, row.path+"/") || std(row.path)) {
					continue
				}
				listed = true
				used[row.path+" in "+pkg] = true
				if !slices.Contains(strings.Fields(row.owners), pkg) {
					t.Errorf("%s imports %s: %s", pkg, imp, row.why)
				}
			}
			if !listed && !std(imp) && !strings.HasPrefix(imp, module) && !strings.HasPrefix(imp, shared) {
				t.Errorf("%s imports %s, which is in no row of the table: give it an owner and a reason", pkg, imp)
			}
		}
	}
	for _, row := range outside {
		for pkg := range strings.FieldsSeq(row.owners) {
			if !used[row.path+" in "+pkg] {
				t.Errorf("%s owns %s and does not import it: drop the rule", pkg, row.path)
			}
		}
		if row.owners == "" {
			goList(t, row.path) // fails when there is no such package
		}
	}
}

func TestCallsStayWhereTheyAreListed(t *testing.T) {
	found := make(map[string]bool)
	for _, src := range sources(t) {
		if src.test {
			continue
		}
		for _, call := range selectors(src.file) {
			for _, row := range calls {
				if call != row.name && !(row.name[0] == '.' && strings.HasSuffix(call, row.name)) {
					continue
				}
				places := strings.Fields(row.files)
				i := slices.IndexFunc(places, func(p string) bool {
					return src.path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(src.path, p)
				})
				if i < 0 {
					t.Errorf("%s uses %s: %s", src.path, row.name, row.why)
					continue
				}
				found[row.name+" in "+places[i]] = true
			}
		}
	}
	for _, row := range calls {
		for place := range strings.FieldsSeq(row.files) {
			if !found[row.name+" in "+place] {
				t.Errorf("%s may use %s and does not: drop it from the rule", place, row.name)
			}
		}
	}
}

// What the linker sees, rather than what the tables say.
func TestTheProductLinksNothingMadeForTests(t *testing.T) {
	product := goList(t, "-deps", "./cmd/mcp-gateway")
	for _, pkg := range []string{shared + "entrasim", module + "internal/store/storetest", module + "internal/lab", "testing", "net/http/httptest"} {
		if slices.Contains(product, pkg) {
			t.Errorf("mcp-gateway links %s", pkg)
		}
	}
	// MSAL is here to hold the simulator to what Microsoft's own library expects.
	msal := func(pkg string) bool { return strings.HasPrefix(pkg, "github.com/AzureAD/") }
	if i := slices.IndexFunc(product, msal); i >= 0 {
		t.Errorf("mcp-gateway links %s", product[i])
	}
	if !slices.ContainsFunc(goList(t, "-deps", "-test", "./internal/entra"), msal) {
		t.Error("no test of entra links MSAL: the rule above names nothing")
	}
	if !slices.Contains(product, module+"internal/app") {
		t.Error("the list of what mcp-gateway links is without its app, so it shows nothing")
	}
	if !slices.Contains(goList(t, "-deps", "./cmd/devstack"), shared+"entrasim") {
		t.Error("devstack does not link entrasim: the rule above names nothing")
	}
}

// source is one Go file of the module.
type source struct {
	path string // with slashes, from the module's root
	test bool
	file *ast.File
}

// sources parses every file of the module, whatever system it is for, which
// go list would not. It also makes a cached result of these tests depend on all
// those files: go test does not see what a child process reads.
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
		all = append(all, source{filepath.ToSlash(name), strings.HasSuffix(name, "_test.go"), file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// imports gives the imports of each package's code and of its tests.
func imports(t *testing.T) (code, tests map[string][]string) {
	t.Helper()
	code, tests = make(map[string][]string), make(map[string][]string)
	for _, src := range sources(t) {
		to, pkg := code, path.Dir(src.path)
		if src.test {
			to = tests
		}
		var paths []string
		for _, spec := range src.file.Imports {
			paths = append(paths, importPath(spec))
		}
		to[pkg] = append(to[pkg], paths...) // a package without imports has its place too
	}
	return code, tests
}

// within keeps the imports of this module's packages, without the module's path.
func within(imports []string) []string {
	var own []string
	for _, imp := range imports {
		if pkg, ok := strings.CutPrefix(imp, module); ok {
			own = append(own, pkg)
		}
	}
	return own
}

// selectors lists what a file selects with a dot: pkg.Name of an import by its
// path, whatever name the file gave it, and .Name of anything else.
func selectors(file *ast.File) []string {
	paths := make(map[string]string)
	for _, spec := range file.Imports {
		name := path.Base(importPath(spec))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		paths[name] = importPath(spec)
	}
	var found []string
	for node := range ast.Preorder(file) {
		if sel, ok := node.(*ast.SelectorExpr); ok {
			left := ""
			if ident, ok := sel.X.(*ast.Ident); ok {
				left = paths[ident.Name]
			}
			found = append(found, left+"."+sel.Sel.Name)
		}
	}
	return found
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser accepted it
	}
	return p
}

// std tells a package of the standard library: no dot in the first element,
// and not ours.
func std(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".") && first != "mcp-gateway"
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out))
}
