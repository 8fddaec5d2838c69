package clients_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/clients.md as it was seen")

const document = "../../docs/clients.md"

const preface = `# Clients

What real clients do with this gateway. The table is written by a test, [gateway/clients](../gateway/clients), and CI fails if what it sees
is not what stands here. It starts the built mcp-gateway with a simulated Microsoft, and for each row the program named there, which

1. **signs in** through the gateway's consent page and Microsoft's sign-in page. It finds its way there by itself, from a 401. For a program
   that opens a browser, a scripted person follows the pages; Inspector's own pages are in Chromium, and so is their sign-in;
2. **lists** the tools and finds math_add;
3. **adds** 23 and 19;
4. adds again when its access token **has expired**, without a new sign-in;
5. adds again when the gateway was **restarted** meanwhile, without a new sign-in.

No row is made with a token that was got in another way.

`

const remarks = `
Inspector's page of today always goes through the server that it comes with; only the older one, which gets security fixes only, can be told to
connect directly, so that the browser asks for the gateway's consent to cross-origin requests (CORS). Each is the version that npm
installed for the test. Claude Desktop, Cursor, Windsurf and VS Code cannot be run in a test like this, and were not run.
`

// compare holds the table against the one in the documentation, or writes it.
func compare(t *testing.T, r *rig, runs []*run) {
	t.Helper()
	seen := preface + table(t, r, runs) + remarks
	if *update {
		if err := os.WriteFile(document, []byte(seen), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	stands, err := os.ReadFile(document)
	if diff := cmp.Diff(string(stands), seen); err != nil || diff != "" {
		t.Errorf("go test ./clients -update writes docs/clients.md, if this is as it should be: %v\n%s", err, diff)
	}
}

func table(t *testing.T, r *rig, runs []*run) string {
	t.Helper()
	var rows, notes strings.Builder
	fmt.Fprintf(&rows, "| Client | Address | Protocol | %s |\n|%s\n", strings.Join(steps, " | "), strings.Repeat("---|", 3+len(steps)))
	noted := map[string]int{}
	for _, one := range runs {
		name := one.name
		if version := one.version(t, r); version != "" {
			name += " " + version
		}
		if one.part != "" {
			name += ", " + one.part
		}
		cells := []string{name, "`" + one.address + "`", one.revision}
		for _, step := range steps {
			cell := "no"
			if one.passed[step] {
				cell = "yes"
			}
			if known := one.limit(step); known != nil {
				if noted[known.note] == 0 {
					noted[known.note] = len(noted) + 1
					fmt.Fprintf(&notes, "\n(%d) %s.\n", noted[known.note], known.note)
				}
				cell += fmt.Sprintf(" (%d)", noted[known.note])
			}
			cells = append(cells, cell)
		}
		fmt.Fprintf(&rows, "| %s |\n", strings.Join(cells, " | "))
	}
	return rows.String() + notes.String()
}
