package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The cases run the real go test, since its output is what the report stands
// on. They change the working directory, so they are not parallel.
func TestReport(t *testing.T) {
	for _, tc := range []struct {
		name     string
		test     string // body of a test file
		complete bool
		ok       bool
		want     []string // whole lines of the report, in this order
		not      string   // must not be in it
	}{
		{
			name: "a passing run ends in its counts and keeps its logs to itself",
			test: `func TestA(t *testing.T) { t.Log("chatter"); t.Run("b", func(t *testing.T) {}) }`,
			ok:   true,
			want: []string{"left out: nothing", "2 passed, 0 failed, 0 skipped"},
			not:  "chatter",
		},
		{
			name: "figures stand in the closing list once, and no other attribute",
			test: `func TestA(t *testing.T) { t.Attr("figures", "7 of 7 moons"); t.Attr("chatter", "8") }
			func TestB(t *testing.T) { t.Attr("figures", "7 of 7 moons") }`,
			ok:   true,
			want: []string{"figures: 7 of 7 moons", "left out: nothing", "2 passed, 0 failed, 0 skipped"},
			not:  "chatter",
		},
		{
			name: "a failing test shows its figures too",
			test: `func TestA(t *testing.T) { t.Attr("figures", "6 of 7 moons"); t.Error("boom") }`,
			want: []string{"figures: 6 of 7 moons", "failed: probe TestA", "0 passed, 1 failed, 0 skipped"},
		},
		{
			name: "a failing test is shown with what it said",
			test: `func TestA(t *testing.T) { t.Error("boom") }
			func TestB(t *testing.T) { t.Log("chatter") }`,
			want: []string{"failed: probe TestA", "1 passed, 1 failed, 0 skipped"},
			not:  "chatter",
		},
		{
			name: "a file that does not compile is one failure",
			test: `func TestA(t *testing.T) { undefined() }`,
			want: []string{"./probe_test.go:4:28: undefined: undefined", "failed: probe", "0 passed, 1 failed, 0 skipped"},
		},
		{
			name: "a panic fails the test it came from",
			test: `func TestA(t *testing.T) { panic("boom") }`,
			want: []string{"failed: probe TestA", "0 passed, 1 failed, 0 skipped"},
		},
		{
			name: "a test that ends the process fails its package and is named",
			test: `func TestA(t *testing.T) { os.Exit(3) }`,
			want: []string{"unfinished: probe TestA", "failed: probe", "0 passed, 1 failed, 0 skipped"},
		},
		{
			name: "an early exit before any test fails the package",
			test: `func TestMain(*testing.M) { os.Exit(3) }`,
			want: []string{"failed: probe", "0 passed, 1 failed, 0 skipped"},
		},
		{
			name: "no test at all is not a good run",
			test: ``,
			want: []string{"no test ran, so this run fails", "0 passed, 0 failed, 0 skipped"},
		},
		{
			name: "a part left out by two tests is listed once",
			test: `func TestA(t *testing.T) { t.Skip("left out: moon (no rocket)") }
			func TestB(t *testing.T) { t.Skip("left out: moon (no rocket)") }
			func TestC(t *testing.T) {}`,
			ok:   true,
			want: []string{"left out: moon (no rocket)", "1 passed, 0 failed, 2 skipped"},
		},
		{
			name:     "a part left out fails a run that must be complete",
			test:     `func TestA(t *testing.T) { t.Skip("left out: moon (no rocket)") }; func TestC(t *testing.T) {}`,
			complete: true,
			want: []string{
				"left out: moon (no rocket)",
				"MCP_GATEWAY_TEST_COMPLETE=1 asks for every part, so this run fails",
				"1 passed, 0 failed, 1 skipped",
			},
		},
		{
			name:     "a skip that is not about a part is listed and fails nothing",
			test:     `func TestA(t *testing.T) { t.Skip("other systems only") }; func TestC(t *testing.T) {}`,
			complete: true,
			ok:       true,
			want:     []string{"skipped: probe TestA (other systems only)", "1 passed, 0 failed, 1 skipped"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if why := raceUnavailable(); tc.complete && why != "" {
				t.Skipf("left out: race detector (%s)", why)
			}
			probe(t, tc.test)
			var out strings.Builder
			ok, err := run([]string{"."}, tc.complete, &out, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if ok != tc.ok {
				t.Errorf("ok = %v, want %v", ok, tc.ok)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			for _, want := range tc.want {
				i := slices.Index(lines, want)
				if i < 0 {
					t.Fatalf("no line %q, or not in this place, in:\n%s", want, out.String())
				}
				lines = lines[i+1:]
			}
			if len(lines) > 0 {
				t.Errorf("after the closing line: %q", lines)
			}
			if tc.not != "" && strings.Contains(out.String(), tc.not) {
				t.Errorf("%q is in:\n%s", tc.not, out.String())
			}
		})
	}
}

func TestAFlagThatGoTestRefusesFailsTheRun(t *testing.T) {
	probe(t, `func TestA(t *testing.T) {}`)
	var out, diagnosis strings.Builder
	ok, err := run([]string{"-nosuchflag", "."}, false, &out, &diagnosis)
	if ok || err != nil {
		t.Errorf("ok = %v, err = %v, want a failed run", ok, err)
	}
	if got := out.String() + diagnosis.String(); !strings.Contains(got, "nosuchflag") {
		t.Errorf("the refused flag is not named in:\n%s", got)
	}
}

// probe makes a module with one test file and steps into it.
func probe(t *testing.T, body string) {
	t.Helper()
	dir := t.TempDir()
	file := "package probe\n\nimport (\"os\"; \"testing\"); var _ = os.Args; type _ = testing.T\n" + body + "\n"
	for name, text := range map[string]string{"go.mod": "module probe\n\ngo 1.26.0\n", "probe_test.go": file} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOWORK", "off")
}
