package gateway_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// threats is the table, from the repository's root. It names tests of all
// modules, and a cached result of go test would not see a change outside this
// one; the house runs its tests with -shuffle, which is never cached.
const threats = "testdata/threats.tsv"

// subjects are what a proof may still be owed by: a piece of work that is known
// and not done. Anything else is a threat that nobody takes care of.
var subjects = []string{
	"transports", "clients", "entra", "catalog", "credentials", "bridge", "scale",
}

func TestEveryThreatHasItsProofOrADebtor(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../" + threats)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range checkThreats(newProofs(os.DirFS("..")), string(table)) {
		t.Errorf("%s: %s", threats, problem)
	}
}

// checkThreats reads a table of threats and says what is wrong with it.
func checkThreats(p *proofs, table string) (problems []string) {
	header, rows, _ := strings.Cut(table, "\n")
	if !strings.HasPrefix(header, "# id\t") {
		problems = append(problems, "line 1 does not explain the columns")
	}
	seen := make(map[string]bool)
	number := 1
	for line := range strings.Lines(rows) {
		number++
		for _, problem := range checkThreat(p, seen, strings.TrimSuffix(line, "\n")) {
			problems = append(problems, fmt.Sprintf("line %d: %s", number, problem))
		}
	}
	if len(seen) == 0 {
		problems = append(problems, "there is no threat in it")
	}
	return problems
}

var slug = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func checkThreat(p *proofs, seen map[string]bool, line string) (problems []string) {
	fields := strings.Split(line, "\t")
	if len(fields) != 4 || slices.ContainsFunc(fields, func(f string) bool { return f == "" || f != strings.TrimSpace(f) }) {
		return []string{fmt.Sprintf("%.40q is not id, threat, guard and proof with one tab between them", line)}
	}
	id, proof := fields[0], fields[3]
	if !slug.MatchString(id) {
		problems = append(problems, fmt.Sprintf("the id %q is no slug", id))
	}
	if seen[id] {
		problems = append(problems, fmt.Sprintf("the id %q stands twice", id))
	}
	seen[id] = true
	keyword := ""
	for item := range strings.SplitSeq(proof, " ; ") {
		// "test a ; b" are two tests: the keyword holds until the next one.
		if word, rest, ok := strings.Cut(item, " "); ok && (word == "test" || word == "owed") {
			keyword, item = word, rest
		}
		if err := checkProof(p, keyword, item); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", id, err))
		}
	}
	return problems
}

func checkProof(p *proofs, keyword, item string) error {
	switch keyword {
	case "test":
		dir, name, ok := strings.Cut(item, ".")
		if !ok {
			return fmt.Errorf("%q is not <package dir>.<test>", item)
		}
		return p.find(dir, name)
	case "owed":
		if !slices.Contains(subjects, item) {
			return fmt.Errorf("%q is no subject that a proof can be owed by", item)
		}
		return nil
	}
	return fmt.Errorf("the proof %q says neither test nor owed", item)
}

// testName is what go test takes for a test, with a name that says something.
var testName = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w*`)

// proofs finds tests in the files of a repository.
type proofs struct {
	files    fs.FS
	packages map[string]*tested
}

// tested is what the tests of one folder hold.
type tested struct {
	tests    map[string]bool
	literals map[string]bool // among them the names of subtests
}

func newProofs(files fs.FS) *proofs {
	return &proofs{files: files, packages: make(map[string]*tested)}
}

// find says why there is no such test: TestName, or TestName/the name of a
// subtest as the source has it.
func (p *proofs) find(dir, name string) error {
	name, sub, nested := strings.Cut(name, "/")
	if !testName.MatchString(name) {
		return fmt.Errorf("%q is no name of a test", name)
	}
	pkg, err := p.load(dir)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", dir, err)
	case !pkg.tests[name]:
		return fmt.Errorf("%s has no test %s", dir, name)
	case nested && !pkg.literals[sub] && !p.conversation(dir, sub):
		return fmt.Errorf("%s has no subtest %q for %s", dir, sub, name)
	}
	return nil
}

// conversation reports whether a subtest replays the file of that name.
func (p *proofs) conversation(dir, name string) bool {
	_, err := fs.Stat(p.files, path.Join(dir, "testdata", "conversations", name+".txtar"))
	return err == nil
}

func (p *proofs) load(dir string) (*tested, error) {
	if pkg, ok := p.packages[dir]; ok {
		return pkg, nil
	}
	names, err := fs.Glob(p.files, path.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("no tests there")
	}
	pkg := &tested{tests: make(map[string]bool), literals: make(map[string]bool)}
	for _, name := range names {
		file, err := p.parse(name)
		if err != nil {
			return nil, err
		}
		pkg.add(file)
		if err := p.addSuites(pkg, file); err != nil {
			return nil, err
		}
	}
	p.packages[dir] = pkg
	return pkg, nil
}

// addSuites adds the names of subtests that stand in a package of ours made
// for tests, like storetest.
func (p *proofs) addSuites(pkg *tested, file *ast.File) error {
	for _, spec := range file.Imports {
		dir, ours := strings.CutPrefix(importPath(spec), "mcp-gateway/")
		if !ours || !strings.HasSuffix(dir, "test") {
			continue
		}
		names, err := fs.Glob(p.files, path.Join(dir, "*.go"))
		if err != nil {
			return err
		}
		for _, name := range names {
			suite, err := p.parse(name)
			if err != nil {
				return err
			}
			pkg.addLiterals(suite)
		}
	}
	return nil
}

func (p *proofs) parse(name string) (*ast.File, error) {
	data, err := fs.ReadFile(p.files, name)
	if err != nil {
		return nil, err
	}
	return parser.ParseFile(token.NewFileSet(), name, data, parser.SkipObjectResolution)
}

func (t *tested) add(file *ast.File) {
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && testName.MatchString(f.Name.Name) {
			t.tests[f.Name.Name] = true
		}
	}
	t.addLiterals(file)
}

func (t *tested) addLiterals(file *ast.File) {
	for node := range ast.Preorder(file) {
		if lit, ok := node.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				t.literals[text] = true
			}
		}
	}
}

// example is a repository with one package, whose subtests stand in a suite.
var example = fstest.MapFS{
	"gateway/internal/a/a.go": {Data: []byte("package a\nfunc TestInTheCode() {}\n")},
	"gateway/internal/a/a_test.go": {Data: []byte(`package a
import ("testing"; "mcp-gateway/gateway/internal/atest")
// func TestInAComment(t *testing.T) {}
func TestIt(t *testing.T) { t.Run("a literal", nil); atest.Run(t) }
func FuzzIt(f *testing.F) {}
func (suite) TestOfASuite(t *testing.T) {}
`)},
	"gateway/internal/atest/atest.go":                         {Data: []byte("package atest\nvar name = \"from the suite\"\n")},
	"gateway/internal/a/testdata/conversations/batches.txtar": {},
	"bridge/internal/b/b_test.go":                             {Data: []byte("package b\nfunc TestOther(t *testing.T) {}\n")},
}

func TestAWrongTableOfThreatsIsFound(t *testing.T) {
	t.Parallel()
	const header, good = "# id\tthreat\tguard\tproof\n", "one\tt\tg\ttest gateway/internal/a.TestIt\n"
	row := func(proof string) string { return header + "one\tt\tg\t" + proof + "\n" }
	for _, tt := range []struct{ name, table, want string }{
		{name: "a test", table: header + good},
		{name: "a fuzz test", table: row("test gateway/internal/a.FuzzIt")},
		{name: "two tests", table: row("test gateway/internal/a.TestIt ; bridge/internal/b.TestOther")},
		{name: "subtests", table: row("test gateway/internal/a.TestIt/a literal ; gateway/internal/a.TestIt/from the suite")},
		{name: "a debt", table: row("owed entra")},
		{name: "a test and a debt", table: row("test gateway/internal/a.TestIt ; owed bridge")},

		{name: "nothing", table: "", want: "does not explain the columns"},
		{name: "no header", table: good, want: "does not explain the columns"},
		{name: "a header alone", table: header, want: "no threat"},
		{name: "three fields", table: header + "one\tt\ttest gateway/internal/a.TestIt\n", want: "one tab between"},
		{name: "five fields", table: header + "one\tt\tg\towed entra\tx\n", want: "one tab between"},
		{name: "an empty field", table: header + "one\t\tg\towed entra\n", want: "one tab between"},
		{name: "a space around a field", table: header + "one\tt \tg\towed entra\n", want: "one tab between"},
		{name: "an empty line", table: header + good + "\n", want: "one tab between"},
		{name: "an id with a space", table: header + "o ne\tt\tg\towed entra\n", want: "no slug"},
		{name: "an id twice", table: header + good + good, want: "stands twice"},
		{name: "no proof", table: row("none"), want: "neither test nor owed"},
		{name: "an unknown subject", table: row("owed somebody"), want: "no subject"},
		{name: "a test for a subject", table: row("owed entra ; gateway/internal/a.TestIt"), want: "no subject"},
		{name: "a test without a package", table: row("test TestIt"), want: "not <package dir>"},
		{name: "no name of a test", table: row("test gateway/internal/a.Run"), want: "no name of a test"},
		{name: "a test that does not exist", table: row("test gateway/internal/a.TestGone"), want: "no test TestGone"},
		{name: "the second test does not exist", table: row("test gateway/internal/a.TestIt ; gateway/internal/a.TestGone"), want: "no test TestGone"},
		{name: "a test of another package", table: row("test gateway/internal/a.TestOther"), want: "no test TestOther"},
		{name: "a test in a comment", table: row("test gateway/internal/a.TestInAComment"), want: "no test TestInAComment"},
		{name: "a test outside the test files", table: row("test gateway/internal/a.TestInTheCode"), want: "no test TestInTheCode"},
		{name: "a method", table: row("test gateway/internal/a.TestOfASuite"), want: "no test TestOfASuite"},
		{name: "a subtest that does not exist", table: row("test gateway/internal/a.TestIt/gone"), want: `no subtest "gone"`},
		{name: "a package that does not exist", table: row("test gateway/internal/c.TestIt"), want: "no tests there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(checkThreats(newProofs(example), tt.table), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
