package entra

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables of Microsoft's numbers in docs/troubleshooting.md")

const troubleshooting = "../../../docs/troubleshooting.md"

// The page for people says what the gateway itself says, of every number that it
// knows and of no other.
func TestTheTroubleshootingPageHasMicrosoftsNumbers(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, part := range []struct {
		name string
		has  func(Kind) bool
	}{
		{"people", func(k Kind) bool { return k == "" || k == KindDenied }},
		{"gateway", func(k Kind) bool { return k == KindMisconfigured || k == KindUnavailable }},
	} {
		begin, end := "<!-- AADSTS "+part.name+": begin, made by go test ./internal/entra -update -->\n", "<!-- AADSTS "+part.name+": end -->\n"
		before, rest, found := strings.Cut(text, begin)
		got, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s has no table of what Microsoft says of %s", troubleshooting, part.name)
		}
		want := adviceTable(part.has)
		if got != want {
			t.Errorf("the table of %s is not what the gateway says (go test ./internal/entra -update rewrites it); got\n%s\nwant\n%s", part.name, got, want)
		}
		text = before + begin + want + end + after
	}
	if *update {
		if err := os.WriteFile(troubleshooting, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// adviceTable has a row for each advice, with all numbers that it is given for.
func adviceTable(has func(Kind) bool) string {
	numbers := map[advice][]int{}
	for number, a := range advices {
		if has(a.kind) {
			numbers[a] = append(numbers[a], number)
		}
	}
	for _, n := range numbers {
		slices.Sort(n)
	}
	rows := slices.SortedFunc(maps.Keys(numbers), func(a, b advice) int { return cmp.Compare(numbers[a][0], numbers[b][0]) })
	var b strings.Builder
	b.WriteString("| AADSTS | What the page says | What helps |\n|---|---|---|\n")
	for _, a := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers[a]), " ", ", "), "[]"), a.summary, a.help)
	}
	return b.String()
}
