package main

import (
	"maps"
	"math"
	"os"
	"strings"
	"testing"
)

// BenchmarkStandIn is what the tests measure: this program's own tests.
func BenchmarkStandIn(b *testing.B) {
	for b.Loop() {
		_ = b.Name()
	}
	b.ReportMetric(7, unitRate)
}

func TestABenchmarkIsMeasured(t *testing.T) {
	t.Parallel()
	got, err := measure(t.Context(), os.Args[0], t.TempDir(), subject{name: "stand-in", bench: "^BenchmarkStandIn$"}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if got[unitRate] != 7 || got[unitTime] <= 0 {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsNoBenchmarkIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ binary, bench, says string }{
		"no such benchmark": {os.Args[0], "^BenchmarkNone$", "reported nothing"},
		"no such binary":    {"nowhere.test", "^BenchmarkStandIn$", "stand-in: "},
		"no pattern":        {os.Args[0], "(", "stand-in: exit status"},
	} {
		_, err := measure(t.Context(), tt.binary, t.TempDir(), subject{name: "stand-in", bench: tt.bench}, 1)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
	if _, err := parseSample([]byte("BenchmarkX-2   1   many ns/op\n")); err == nil {
		t.Error("a figure that is no number was read")
	}
}

func TestTheCommandLineIsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--rounds", "0"}, {"--requests", "0"}, {"--rounds", "x"}, {"more"}, {"--gates"}} {
		if _, err := parse(args, t.Output()); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

// within is a run in which every budget was kept.
func within() report {
	r := report{rounds: 2, samples: map[string][]sample{}}
	for name, s := range map[string]sample{
		echo:     {unitTime: 60e3, unitCPU: 60e3, unitRate: 16e3, unitP99: 1e6, unitAllocs: 94},
		exchange: {unitTime: 3e5, unitCPU: 6e5, unitRate: 3100, unitP99: 9e6, unitAllocs: 390},
		issue:    {unitTime: 2e5, unitStore: 5000, unitAllocs: 131},
		refresh:  {unitTime: 3e5, unitCPU: 4e5, unitRate: 3500, unitP99: 9e6, unitAllocs: 300},
		rotate:   {unitTime: 2e5, unitStore: 5000, unitAllocs: 160},
		bearer:   {unitTime: 500, unitAllocs: 2},
		verify:   {unitTime: 200, unitAllocs: 0},
	} {
		r.samples[name] = []sample{s, s}
	}
	for _, s := range subjects {
		if r.samples[s.name] == nil {
			one := sample{unitTime: 1e5, unitAllocs: 200, unitRSS: 12 << 10, unitHeap: 4 << 10, unitStack: 6 << 10}
			r.samples[s.name] = []sample{one, maps.Clone(one)}
		}
	}
	return r
}

func TestOnlyGatesFailARun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		subject, unit string
		value         float64
		says          string // empty: nothing fails
	}{
		"everything kept":                         {says: ""},
		"a token check that allocates twice":      {verify, unitAllocs, 2, "token only: allocations: 2, at most 1"},
		"a guard that allocates three times":      {bearer, unitAllocs, 3, "its guard: allocations: 3, at most 2"},
		"a bearer check as slow as a request":     {bearer, unitTime, 60e3, "share of an echo: 1.000, at most 0.100"},
		"an exchange that allocates more":         {exchange, unitAllocs, 481, "code exchange: allocations: 481"},
		"a refresh that allocates more":           {refresh, unitAllocs, 401, "refresh: allocations: 401"},
		"an exchange that costs many echoes":      {exchange, unitCPU, 15 * 60e3, "code exchange: CPU in echoes: 15.0, at most 14.0"},
		"a refresh that costs many echoes":        {refresh, unitCPU, 11 * 60e3, "refresh: CPU in echoes: 11.0, at most 10.0"},
		"an exchange that waits beside the store": {exchange, unitRate, 1000, "code exchange: speed in the store's: 0.20, at least 0.25"},
		"a refresh that waits beside the store":   {refresh, unitRate, 1000, "refresh: speed in the store's: 0.20, at least 0.25"},
		"a slow machine's bearer check":           {verify, unitTime, 900, ""},
		"a slow machine's disk":                   {exchange, unitRate, 2900, ""},
		"a stream that holds more":                {"idle listen", unitHeap, 7 << 10, "idle listen: heap and stack, KiB: 13.0, at most 12.0"},
		"a process that grew by itself":           {"idle sse", unitRSS, 20 << 10, ""},
		"no resident memory on this system":       {"idle GET", unitRSS, 0, ""},
		"no CPU time on this system":              {echo, unitCPU, 0, ""},
	} {
		r := within()
		for i := range r.samples[tt.subject] {
			r.samples[tt.subject][i][tt.unit] = tt.value
		}
		err := r.verdict()
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: got %v, want %q alone", name, err, tt.says)
		}
	}
}

func TestRatiosAreComparedWithinARound(t *testing.T) {
	t.Parallel()
	r := report{rounds: 3, samples: map[string][]sample{
		"a": {{"x": 1}, {"x": 10}, {"x": 300}},
		"b": {{"x": 2}, {"x": 20}, {"x": 100}},
	}}
	if got := r.ratio("a", "x", "b", "x"); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("the ratio is %v, want 0.5", got)
	}
	if got := r.median("a", "x"); got != 10 {
		t.Errorf("the median is %v, want 10", got)
	}
	if got := r.ratio("a", "x", "c", "x") + r.median("c", "x"); got != 0 {
		t.Errorf("what was not measured is %v", got)
	}
}

func TestTheTableShowsEverySubject(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := within().write(&out); err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		if !strings.Contains(out.String(), s.name+"  ") {
			t.Errorf("there is no %q in:\n%s", s.name, out.String())
		}
	}
	if n := strings.Count(out.String(), "passed"); n != 18 || strings.Contains(out.String(), "missed") {
		t.Errorf("%d budgets are passed, want 18:\n%s", n, out.String())
	}
}
