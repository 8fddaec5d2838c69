package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain is also a server to compare with, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serveCommand {
		if err := serve(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// BenchmarkStandIn is what the tests measure: this program's own tests.
func BenchmarkStandIn(b *testing.B) {
	for b.Loop() {
		_ = b.Name()
	}
	b.ReportMetric(7, unitRate)
}

func TestABenchmarkIsMeasured(t *testing.T) {
	t.Parallel()
	got, err := runBenchmark(t.Context(), os.Args[0], t.TempDir(), benchmark{pattern: "^BenchmarkStandIn$"}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if got[unitRate] != 7 || got[unitTime] <= 0 {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsNoBenchmarkIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ binary, pattern, says string }{
		"no such benchmark": {os.Args[0], "^BenchmarkNone$", "reported nothing"},
		"no such binary":    {"nowhere.test", "^BenchmarkStandIn$", "nowhere.test"},
		"no pattern":        {os.Args[0], "(", "exit status"},
	} {
		_, err := runBenchmark(t.Context(), tt.binary, t.TempDir(), benchmark{pattern: tt.pattern}, 1)
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
	for _, args := range [][]string{
		{"--rounds", "0"}, {"--requests", "0"}, {"--window", "0s"}, {"--rounds", "x"}, {"more"}, {"--gates"}, {"--only", "server,bridges"}, {"--only", ""},
	} {
		if _, err := parse(args, t.Output()); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

// within is a run in which every budget was kept.
func within() *report {
	r := &report{Rounds: 2}
	thing := func(area, name, baseline string, s sample) {
		r.add(area, []measured{{name, s, baseline}})
		r.add(area, []measured{{name, maps.Clone(s), baseline}})
	}
	for _, n := range callers {
		thing(areaServer, by(netHTTP, modeEcho.name, n), "", sample{unitCPU: 40e3, unitRate: 1e4, unitP99: 1e6})
		for _, m := range []mode{modeModern, modeSession, modeSSE} {
			thing(areaServer, by(gateway, m.name, n), by(netHTTP, modeEcho.name, n), sample{unitCPU: 72e3, unitRate: 1e4, unitP99: 1.5e6})
		}
	}
	thing(areaServer, gateway, "", sample{unitStart: 90e6, unitIdle: 20 << 20, unitMemory: 35 << 20})
	tokens := map[string]sample{
		echo:     {unitTime: 60e3, unitCPU: 60e3, unitRate: 16e3, unitP99: 1e6, unitAllocs: 94},
		exchange: {unitTime: 3e5, unitCPU: 6e5, unitRate: 3100, unitP99: 9e6, unitAllocs: 390},
		issue:    {unitTime: 2e5, unitStore: 5000, unitAllocs: 131},
		refresh:  {unitTime: 3e5, unitCPU: 4e5, unitRate: 3500, unitP99: 9e6, unitAllocs: 300},
		rotate:   {unitTime: 2e5, unitStore: 5000, unitAllocs: 160},
		bearer:   {unitTime: 500, unitAllocs: 2},
		verify:   {unitTime: 200, unitAllocs: 0},
	}
	for _, s := range benchmarks {
		figures, ok := tokens[s.name]
		if !ok {
			figures = sample{unitTime: 1e5, unitAllocs: 200, unitRSS: 12 << 10, unitHeap: 4 << 10, unitStack: 6 << 10}
		}
		thing(s.area, s.name, s.baseline, figures)
	}
	thing(areaBridge, direct, "", sample{unitStart: 1e6, unitLeast: 1e6, unitP50: 1e5, unitP99: 1e6})
	thing(areaBridge, bridge, remote, sample{unitStart: 15e6, unitLeast: 8e6, unitMemory: 14 << 20, unitAdd50: 1e5, unitAdd99: 1e6, unitSize: 9e6})
	thing(areaBridge, remote, "", sample{unitStart: 410e6, unitLeast: 400e6, unitMemory: 100 << 20, unitAdd50: 1e6, unitAdd99: 8e6})
	return r
}

func TestOnlyGatesFailARun(t *testing.T) {
	t.Parallel()
	type change struct {
		area, thing, unit string
		value             float64
	}
	for name, tt := range map[string]struct {
		change
		says string // empty: nothing fails
	}{
		"everything kept":                         {},
		"a token check that allocates twice":      {change{areaToken, verify, unitAllocs, 2}, "token only: allocations: 2, at most 1"},
		"a guard that allocates three times":      {change{areaToken, bearer, unitAllocs, 3}, "its guard: allocations: 3, at most 2"},
		"a bearer check as slow as a request":     {change{areaToken, bearer, unitTime, 60e3}, "share of an echo: 1.000, at most 0.100"},
		"an exchange that allocates more":         {change{areaToken, exchange, unitAllocs, 481}, "code exchange: allocations: 481"},
		"a refresh that allocates more":           {change{areaToken, refresh, unitAllocs, 401}, "refresh: allocations: 401"},
		"an exchange that costs many echoes":      {change{areaToken, exchange, unitCPU, 15 * 60e3}, "code exchange: CPU in echoes: 15.0, at most 14.0"},
		"a refresh that costs many echoes":        {change{areaToken, refresh, unitCPU, 11 * 60e3}, "refresh: CPU in echoes: 11.0, at most 10.0"},
		"an exchange that waits beside the store": {change{areaToken, exchange, unitRate, 1000}, "code exchange: speed in the store's: 0.20, at least 0.25"},
		"a refresh that waits beside the store":   {change{areaToken, refresh, unitRate, 1000}, "refresh: speed in the store's: 0.20, at least 0.25"},
		"a slow machine's bearer check":           {change{areaToken, verify, unitTime, 900}, ""},
		"a slow machine's disk":                   {change{areaToken, exchange, unitRate, 2900}, ""},
		"a stream that holds more":                {change{areaIdle, "listen", unitHeap, 7 << 10}, "idle: listen: heap and stack, KiB: 13.0, at most 12.0"},
		"a process that grew by itself":           {change{areaIdle, "SSE", unitRSS, 20 << 10}, ""},
		"no resident memory on this system":       {change{areaIdle, "GET", unitRSS, 0}, ""},
		"no CPU time on this system":              {change{areaToken, echo, unitCPU, 0}, ""},
		"a gateway that is large when idle":       {change{areaServer, gateway, unitIdle, 31 << 20}, "memory, idle, MiB: 31.0, at most 30.0"},
		"a gateway that keeps what it needed":     {change{areaServer, gateway, unitMemory, 101 << 20}, "memory after the load, MiB: 101.0, at most 100.0"},
		"a call that costs many echoes":           {change{areaServer, by(gateway, modeSSE.name, 16), unitCPU, 17 * 40e3}, "SSE, 16 callers: CPU in echoes, on any machine: 17.0, at most 16.0"},
		"a slow start of the gateway":             {change{areaServer, gateway, unitStart, 200e6}, ""},
		"a slow start of the bridge":              {change{areaBridge, bridge, unitLeast, 17e6}, "on any machine: 23.5, at least 25.0"},
		"a start that is better elsewhere":        {change{areaBridge, bridge, unitLeast, 15e6}, ""},
		"a median start on a busy machine":        {change{areaBridge, bridge, unitStart, 100e6}, ""},
		"too much memory of the bridge":           {change{areaBridge, bridge, unitMemory, 16 << 20}, "bridge: memories in that of mcp-remote: 6.2"},
		"memory no better than theirs":            {change{areaBridge, remote, unitMemory, 60 << 20}, "memories in that of mcp-remote: 4.3, at least 7.0"},
		"a bridge that is a byte too large":       {change{areaBridge, bridge, unitSize, 10e6 + 1}, "bridge: size, MB: 10.00, at most 10.00"},
		"slow calls of the bridge":                {change{areaBridge, bridge, unitAdd50, 1e9}, ""},
	} {
		r := within()
		if tt.thing != "" {
			for _, s := range r.find(tt.area, tt.thing).Samples {
				s[tt.unit] = tt.value
			}
		}
		r.judge(areas)
		err := r.verdict()
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
}

func TestWhatWasNotMeasuredIsNotPassed(t *testing.T) {
	t.Parallel()
	r := &report{}
	r.judge([]string{areaBridge, areaServer})
	for _, b := range r.Budgets {
		if b.Measured || b.Area == areaToken || !strings.HasPrefix(b.String(), "left out") {
			t.Errorf("%v", b)
		}
	}
	if err := r.verdict(); err != nil || len(r.Budgets) != 20 {
		t.Errorf("%d budgets, %v", len(r.Budgets), err)
	}
}

func TestRatiosAreComparedWithinARound(t *testing.T) {
	t.Parallel()
	r := &report{}
	for _, one := range [][2]float64{{1, 2}, {10, 20}, {300, 100}} {
		r.add("x", []measured{{"a", sample{"x": one[0]}, "b"}, {"b", sample{"x": one[1]}, ""}})
	}
	if got := r.inBaseline(r.find("x", "a"), "x"); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("the ratio is %v, want 0.5", got)
	}
	if got := r.median("x", "a", "x"); got != 10 {
		t.Errorf("the median is %v, want 10", got)
	}
	if got := r.least("x", "a", "x"); got != 1 {
		t.Errorf("the least is %v, want 1", got)
	}
	if got := r.ratio("x", "a", "x", "c", "x") + r.median("x", "c", "x") + r.least("x", "c", "x") + r.inBaseline(nil, "x"); got != 0 {
		t.Errorf("what was not measured is %v", got)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{3}, 0.99, 3},
		{[]float64{5, 1, 4, 2, 3}, 0.5, 3},
		{[]float64{5, 1, 4, 2, 3}, 1, 5},
		{[]float64{2, 1}, 0, 1},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("%v of %v: %v", test.q, test.values, got)
		}
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median of four is %v", got)
	}
}

func TestTheReportShowsEverything(t *testing.T) {
	t.Parallel()
	r := within()
	r.Machine = describe(t.Context())
	r.judge(areas)
	var out strings.Builder
	file := filepath.Join(t.TempDir(), "out.json")
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.All {
		if !strings.Contains(out.String(), s.Name+"  ") {
			t.Errorf("there is no %q in:\n%s", s.Name, out.String())
		}
	}
	if strings.Contains(out.String(), "missed") || strings.Count(out.String(), "\npassed") != len(r.Budgets) {
		t.Errorf("not every budget is passed:\n%s", out.String())
	}
	if err := r.writeJSON(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Machine machine
		Things  []thing
		Budgets []budget
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(got.Things, func(one thing) bool { return one.Name == by(gateway, modeModern.name, 16) })
	if i < 0 || got.Things[i].Figures[unitCPU].InBaseline != 1.8 || len(got.Things[i].Figures[unitCPU].Rounds) != 2 {
		t.Errorf("there is no ratio in %s", data)
	}
	if got.Machine.CPUs < 1 || got.Machine.Started.IsZero() || len(got.Things) != len(r.All) || len(got.Budgets) != len(r.Budgets) {
		t.Errorf("got %+v", got)
	}
}

func TestWhatTheBridgeMeasuredIsRead(t *testing.T) {
	t.Parallel()
	got, err := parseBridge([]byte(`{"direct":{"latencies_ns":[1000,1000,1000]},"mcp-bridge":{"starts_ns":[30,10,20],"latencies_ns":[3000,2000,9000],"memory_bytes":5}}`))
	if err != nil || len(got) != 2 || got[0].name != direct || got[1].name != bridge {
		t.Fatalf("got %v, %v", got, err)
	}
	if s := got[1].sample; s[unitStart] != 20 || s[unitLeast] != 10 || s[unitAdd50] != 2000 || s[unitAdd99] != 8000 || s[unitMemory] != 5 {
		t.Errorf("got %v", s)
	}
	if _, err := parseBridge([]byte(`round 1`)); err == nil {
		t.Error("what is no JSON was read")
	}
	if got := parts(-5, 2000); got != 2 {
		t.Errorf("a delay below nothing goes %v times into two microseconds", got)
	}
}

// TestAWrongAnswerIsNotMeasured: a server that fails quickly is not fast.
func TestAWrongAnswerIsNotMeasured(t *testing.T) {
	t.Parallel()
	p, err := startPeer(t.Context(), peerEcho)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, m := range []mode{modeModern, modeSession, modeSSE} {
		if got, err := load(t.Context(), p, m, []string{"nobody"}, time.Millisecond); err == nil {
			t.Errorf("an echo is taken for a server in mode %s: %v", m.name, got)
		}
	}
	if _, err := startPeer(t.Context(), "nothing"); err == nil {
		t.Error("a server that is none has started")
	}
}
