package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serverSets are the official suite's requirements for servers, with how many
// scenarios each has that count.
var serverSets = []struct {
	revision string
	scored   int
}{
	{revision: "2025-11-25", scored: 30},
	{revision: "2026-07-28", scored: 37},
}

// TestTheOfficialSuitePassesTheServer: the whole gateway, a person signed in, the
// suite's client with her token, and a fixture as the suite wants it.
func TestTheOfficialSuitePassesTheServer(t *testing.T) {
	t.Parallel()
	s := findSuite(t)
	for _, tt := range serverSets {
		t.Run(tt.revision, func(t *testing.T) {
			t.Parallel()
			g, token := startFixture(t, "")
			run := s.judge(t, g, token, "--requirements", tt.revision)
			scored := s.scored(t, tt.revision)
			passed, remarks := run.passed(scored)
			t.Attr("figures", fmt.Sprintf("official suite, server at %s: %d of %d scenarios, %s",
				tt.revision, passed, len(scored), run.counted(scored)))
			if run.code != 0 || passed != tt.scored || len(scored) != tt.scored || len(remarks) > 0 {
				t.Errorf("exit code %d, %d of %d scenarios passed, want %d and no remark:\n%s",
					run.code, passed, len(scored), tt.scored, strings.Join(remarks, "\n"))
			}
			if _, others := run.passed(run.unscored(scored)); len(others) > 0 {
				t.Errorf("of what does not count, only %v may fail:\n%s", notServed, strings.Join(others, "\n"))
			}
		})
	}
}

// TestTheOfficialSuitePassesSessionsOfOlderRevisions: of the older revisions the
// suite itself speaks only what begins and ends a session.
func TestTheOfficialSuitePassesSessionsOfOlderRevisions(t *testing.T) {
	t.Parallel()
	s := findSuite(t)
	g, token := startFixture(t, "")
	for _, revision := range []string{"2025-03-26", "2025-06-18"} {
		const scenario = "server-session-lifecycle"
		run := s.judge(t, g, token, "--scenario", scenario, "--spec-version", revision)
		if _, remarks := run.passed([]string{scenario}); run.code != 0 || len(remarks) > 0 {
			t.Errorf("%s: exit code %d\n%s", revision, run.code, strings.Join(remarks, "\n"))
		}
	}
}

// TestTheOfficialSuiteFindsAServerWithoutLogging: a suite that passes everything
// would prove nothing. Nothing else fails.
func TestTheOfficialSuiteFindsAServerWithoutLogging(t *testing.T) {
	t.Parallel()
	s := findSuite(t)
	g, token := startFixture(t, "logging")
	run := s.judge(t, g, token, "--requirements", "2025-11-25")
	var failed []string
	for _, scenario := range s.scored(t, "2025-11-25") {
		if !run.good(scenario) {
			failed = append(failed, scenario)
		}
	}
	if diff := cmp.Diff([]string{"logging-set-level", "tools-call-with-logging"}, failed); diff != "" || run.code != 1 {
		t.Errorf("exit code %d, want 1; failed (-want +got):\n%s", run.code, diff)
	}
}

// TestTheOfficialSuiteFindsAServerThatRefusesItsToken is the other end: that the
// token matters.
func TestTheOfficialSuiteFindsAServerThatRefusesItsToken(t *testing.T) {
	t.Parallel()
	s := findSuite(t)
	g, _ := startFixture(t, "")
	if run := s.judge(t, g, "mcpat_invented", "--scenario", "ping"); run.code != 1 || run.good("ping") {
		t.Errorf("exit code %d, want 1: %+v", run.code, run.checks)
	}
}

// TestNothingThatIsSaidBeforeAResponseIsLost repeats the scenarios in which other
// servers lose the last notification now and then.
func TestNothingThatIsSaidBeforeAResponseIsLost(t *testing.T) {
	t.Parallel()
	s := findSuite(t)
	g, token := startFixture(t, "")
	const times = 20
	good := 0
	for i := range times {
		for scenario, revision := range map[string]string{
			"tools-call-with-progress": []string{"2025-11-25", "2026-07-28"}[i%2],
			"tools-call-with-logging":  "2025-11-25",
		} {
			run := s.judge(t, g, token, "--scenario", scenario, "--spec-version", revision)
			if run.code != 0 || !run.good(scenario) {
				t.Errorf("%s at %s: exit code %d, %+v", scenario, revision, run.code, run.checks[scenario])
				continue
			}
			good++
		}
	}
	t.Attr("figures", fmt.Sprintf("official suite, notifications before a response: %d of %d runs without a loss", good, 2*times))
}

// startFixture runs a gateway with the fixture and signs Ada in.
func startFixture(t *testing.T, without string) (g *gateway, token string) {
	t.Helper()
	l, url := listen(t)
	g = newGateway(t, url)
	g.pack = fixturePack(without)
	g.serve(l, "")
	_, tokens := g.grant("Ada")
	return g, tokens.AccessToken
}

// judgement is what the suite found: the checks of each scenario, and its exit
// code.
type judgement struct {
	checks map[string][]suiteCheck
	code   int
}

// judge lets the suite test a server with a person's token.
func (s suite) judge(t *testing.T, g *gateway, token string, args ...string) judgement {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out := t.TempDir()
	preload := filepath.Join(filepath.Dir(s.script), "../../../../bearer.mjs")
	args = append([]string{"--import", preload, s.script, "server", "--url", g.url + "/mcp", "--output-dir", out}, args...)
	cmd := exec.CommandContext(ctx, s.node, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = out, t.Output(), t.Output()
	cmd.Env = append(os.Environ(), "MCP_TOKEN="+token, "MCP_HOST="+strings.TrimPrefix(g.url, "http://"),
		"NODE_COMPILE_CACHE="+s.cache)
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || cmd.ProcessState.ExitCode() < 0) {
		t.Fatal(err)
	}
	return judgement{checks: readScenarios(t, out), code: cmd.ProcessState.ExitCode()}
}

// readScenarios reads the checks that the suite wrote down, by scenario. Its
// folders are named server-SCENARIO-TIME.
func readScenarios(t *testing.T, dir string) map[string][]suiteCheck {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	scenarios := map[string][]suiteCheck{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var checks []suiteCheck
		if err := json.Unmarshal(data, &checks); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		folder := strings.TrimPrefix(filepath.Base(filepath.Dir(name)), "server-")
		scenario := folder
		if year := strings.Index(folder, "-20"+time.Now().UTC().Format("06-")); year >= 0 {
			scenario = folder[:year]
		}
		scenarios[scenario] = append(scenarios[scenario], checks...)
	}
	return scenarios
}

// good reports whether a scenario was run and nothing in it failed.
func (j judgement) good(scenario string) bool {
	checks := j.checks[scenario]
	return slices.ContainsFunc(checks, func(c suiteCheck) bool { return c.Status == "SUCCESS" }) &&
		!slices.ContainsFunc(checks, func(c suiteCheck) bool { return c.Status == "FAILURE" })
}

// passed counts the good ones, and says what is wrong with the others, and what
// the suite would rather have seen.
func (j judgement) passed(scenarios []string) (count int, remarks []string) {
	for _, scenario := range scenarios {
		if j.good(scenario) {
			count++
		} else {
			remarks = append(remarks, scenario+": not passed")
		}
		for _, c := range j.checks[scenario] {
			if c.Status == "FAILURE" || c.Status == "WARNING" {
				remarks = append(remarks, fmt.Sprintf("%s: %s %s: %s", scenario, c.Status, c.ID, c.Message))
			}
		}
	}
	return count, remarks
}

// counted is passed for the single checks.
func (j judgement) counted(scenarios []string) string {
	count := map[string]int{}
	for _, scenario := range scenarios {
		for _, c := range j.checks[scenario] {
			count[c.Status]++
		}
	}
	return fmt.Sprintf("checks: %d passed, %d failed, %d warned, %d skipped",
		count["SUCCESS"], count["FAILURE"], count["WARNING"], count["SKIPPED"])
}

// notServed begins the names of scenarios that do not count and that a server may
// do without: long tasks and skills are extensions.
var notServed = []string{"tasks-", "sep-2640-skills-"}

// unscored are the scenarios that were run and do not count, without notServed.
func (j judgement) unscored(scored []string) (others []string) {
	for scenario := range j.checks {
		left := slices.ContainsFunc(notServed, func(prefix string) bool { return strings.HasPrefix(scenario, prefix) })
		if !left && !slices.Contains(scored, scenario) {
			others = append(others, scenario)
		}
	}
	slices.Sort(others)
	return others
}

// scored reads which scenarios for servers count at a revision. The suite has
// lists of its own; the last names what does not count.
func (s suite) scored(t *testing.T, revision string) (scenarios []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(s.script), "../requirements", revision+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(strings.TrimSpace(line), "#"):
		case !strings.HasPrefix(line, " "):
			section, _, _ = strings.Cut(line, ":")
		case section == "server":
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
				scenarios = append(scenarios, name)
			}
		}
	}
	slices.Sort(scenarios)
	return scenarios
}
