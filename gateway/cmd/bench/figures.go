package main

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The units of figures. Benchmarks of packages report in the same.
const (
	unitTime   = "ns/op"
	unitCPU    = "cpu-ns/op"
	unitRate   = "req/s"
	unitStore  = "/s"
	unitP50    = "p50-ns"
	unitP99    = "p99-ns"
	unitAllocs = "allocs/op"
	unitRSS    = "rss-B/stream"
	unitHeap   = "heap-B/stream"
	unitStack  = "stack-B/stream"
	unitStart  = "start-ns"
	unitLeast  = "start-least-ns"
	unitIdle   = "idle-B"
	unitMemory = "memory-B"
	unitAdd50  = "added-p50-ns"
	unitAdd99  = "added-p99-ns"
	unitExit   = "exit-ns"
	unitSize   = "size-B"
)

// sample is what one thing showed in one round, by unit. What is 0 or not there is
// not measured.
type sample map[string]float64

// series are the samples of one thing, one of each round.
type series struct {
	Area     string
	Name     string
	Baseline string
	Samples  []sample
}

// report is the outcome of one run.
type report struct {
	Machine machine
	Rounds  int
	All     []*series
	Budgets []budget
}

// machine is where it was measured, and what.
type machine struct {
	Commit  string    `json:"commit"`
	Changed bool      `json:"changed"` // since that commit
	Go      string    `json:"go"`
	System  string    `json:"system"`
	CPU     string    `json:"cpu,omitempty"`
	CPUs    int       `json:"cpus"`
	Load    string    `json:"load_average,omitempty"` // at the start
	Started time.Time `json:"started"`
}

// describe describes this machine. What it has no answer to is left empty.
func describe(ctx context.Context) machine {
	m := machine{Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Started: time.Now().UTC().Truncate(time.Second)}
	commit, _ := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	changes, _ := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output()
	m.Commit, m.Changed = strings.TrimSpace(string(commit)), len(changes) > 0
	info, _ := os.ReadFile("/proc/cpuinfo") // only Linux has it
	_, model, _ := strings.Cut(string(info), "model name")
	model, _, _ = strings.Cut(model, "\n")
	m.CPU = strings.Trim(model, "\t :")
	load, _ := os.ReadFile("/proc/loadavg")
	m.Load = strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " ")
	return m
}

// add adds what was measured in one round.
func (r *report) add(area string, got []measured) {
	for _, m := range got {
		s := r.find(area, m.name)
		if s == nil {
			s = &series{Area: area, Name: m.name, Baseline: m.baseline}
			r.All = append(r.All, s)
		}
		s.Samples = append(s.Samples, m.sample)
	}
}

func (r *report) find(area, name string) *series {
	i := slices.IndexFunc(r.All, func(s *series) bool { return s.Area == area && s.Name == name })
	if i < 0 {
		return nil
	}
	return r.All[i]
}

func (s *series) values(unit string) []float64 {
	if s == nil {
		return nil
	}
	values := make([]float64, len(s.Samples))
	for i, one := range s.Samples {
		values[i] = one[unit]
	}
	return values
}

// median of a figure over the rounds; 0 if it is not measured here.
func (r *report) median(area, name, unit string) float64 {
	return median(r.find(area, name).values(unit))
}

// least of a figure over the rounds; 0 if it is not measured here.
func (r *report) least(area, name, unit string) float64 {
	values := r.find(area, name).values(unit)
	if len(values) == 0 {
		return 0
	}
	return slices.Min(values)
}

// ratio is the median over the rounds of a's figure in b's. Both are compared
// within a round, when the machine was as busy for both.
func (r *report) ratio(area, a, unitA, b, unitB string) float64 {
	return ratio(r.find(area, a).values(unitA), r.find(area, b).values(unitB))
}

func ratio(ours, theirs []float64) float64 {
	var values []float64
	for i := range min(len(ours), len(theirs)) {
		if theirs[i] != 0 {
			values = append(values, ours[i]/theirs[i])
		}
	}
	return median(values)
}

// inBaseline is a figure as a multiple of the baseline's, or 0.
func (r *report) inBaseline(s *series, unit string) float64 {
	if s == nil || s.Baseline == "" {
		return 0
	}
	return ratio(s.values(unit), r.find(s.Area, s.Baseline).values(unit))
}

// median is the middle value, and of two the mean.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// quantile is the value that a share q of all values does not exceed.
func quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// figure is one figure of a thing, as it is written to a file.
type figure struct {
	Median     float64   `json:"median"`
	Rounds     []float64 `json:"rounds"`
	InBaseline float64   `json:"in_baseline,omitempty"` // the median of the ratios
}

type thing struct {
	Area     string            `json:"area"`
	Name     string            `json:"name"`
	Baseline string            `json:"baseline,omitempty"`
	Figures  map[string]figure `json:"figures"`
}

// writeJSON writes every figure of every round, and the budgets.
func (r *report) writeJSON(file string) error {
	out := struct {
		Machine machine  `json:"machine"`
		Rounds  int      `json:"rounds"`
		Things  []thing  `json:"things"`
		Budgets []budget `json:"budgets"`
	}{Machine: r.Machine, Rounds: r.Rounds, Budgets: r.Budgets}
	for _, s := range r.All {
		one := thing{Area: s.Area, Name: s.Name, Baseline: s.Baseline, Figures: map[string]figure{}}
		for unit := range s.Samples[0] {
			values := s.values(unit)
			one.Figures[unit] = figure{Median: median(values), Rounds: values, InBaseline: r.inBaseline(s, unit)}
		}
		out.Things = append(out.Things, one)
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o600)
}
