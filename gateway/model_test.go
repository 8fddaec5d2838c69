package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	// securityModel tells what is guaranteed against whom, and by which test.
	securityModel = "docs/security-model.md"
	// protocolTable tells what is served in which revision, and which test shows it.
	protocolTable = "docs/protocol.md"
)

func TestTheSecurityModelNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	namesTests(t, securityModel)
}

func TestTheTableOfTheProtocolNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	namesTests(t, protocolTable)
}

func namesTests(t *testing.T, document string) {
	t.Helper()
	text, err := os.ReadFile("../" + document)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range checkModel(newProofs(os.DirFS("..")), string(text)) {
		t.Errorf("%s: %s", document, problem)
	}
}

// A conversation that no document names is one that nobody finds.
func TestTheTableOfTheProtocolNamesEveryConversation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../" + protocolTable)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("internal/mcphttp/testdata/conversations/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no conversations", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		if !strings.Contains(string(text), "`gateway/internal/mcphttp TestConversations/"+name+"`") {
			t.Errorf("%s does not name %s", protocolTable, name)
		}
	}
}

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	modelRef = regexp.MustCompile(`^((?:gateway|bridge|shared)(?:/[a-z0-9-]+)*) ((?:Test|Fuzz)[A-Z]\w*(?:/.+)?)$`)
)

// checkModel looks for every test that a text names as `package dir TestName`,
// or with a slash and a subtest's name after it, and for names in another form,
// which would go unseen.
func checkModel(p *proofs, text string) (problems []string) {
	named := 0
	for _, span := range codeSpan.FindAllStringSubmatch(text, -1) {
		ref := modelRef.FindStringSubmatch(span[1])
		if ref == nil {
			continue
		}
		named += len(testName.FindAllString(span[1], -1))
		if err := p.find(ref[1], ref[2]); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if all := len(testName.FindAllString(text, -1)); named == 0 || named != all {
		problems = append(problems, fmt.Sprintf("%d tests are named, and %d of them as `package dir TestName`", all, named))
	}
	return problems
}

func TestAWrongNameInTheSecurityModelIsFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{name: "a test", text: "It holds (`gateway/internal/a TestIt`), see `a.go`.\n"},
		{name: "a subtest", text: "`gateway/internal/a TestIt/a literal`, `bridge/internal/b TestOther`"},
		{name: "a conversation", text: "`gateway/internal/a TestIt/batches`"},

		{name: "no test", text: "It holds.\n", want: "0 tests are named"},
		{name: "a test that does not exist", text: "`gateway/internal/a TestGone`", want: "no test TestGone"},
		{name: "a subtest that does not exist", text: "`gateway/internal/a TestIt/gone`", want: `no subtest "gone"`},
		{name: "a conversation that does not exist", text: "`gateway/internal/a TestIt/batch`", want: `no subtest "batch"`},
		{name: "a test without its package", text: "`gateway/internal/a TestIt`, `TestGone`", want: "2 tests are named, and 1"},
		{name: "a test outside a code span", text: "`gateway/internal/a TestIt` and TestGone", want: "2 tests are named, and 1"},
		{name: "a test over two lines", text: "`gateway/internal/a\nTestIt`", want: "1 tests are named, and 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(checkModel(newProofs(example), tt.text), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
