package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The units that the benchmarks report in.
const (
	unitTime   = "ns/op"
	unitCPU    = "cpu-ns/op"
	unitRate   = "req/s"
	unitStore  = "/s"
	unitP99    = "p99-ns"
	unitAllocs = "allocs/op"
	unitRSS    = "rss-B/stream"
	unitHeap   = "heap-B/stream"
	unitStack  = "stack-B/stream"
)

// sample is what one benchmark said in one round, by unit.
type sample map[string]float64

// parseSample reads the one line of results in a benchmark's output.
func parseSample(out []byte) (sample, error) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		s := sample{}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, err
			}
			s[fields[i+1]] = value
		}
		return s, nil
	}
	return nil, errors.New("it reported nothing")
}

// report is the outcome of one run.
type report struct {
	rounds  int
	samples map[string][]sample
}

// median of a figure over the rounds; 0 if it is not measured here.
func (r report) median(name, unit string) float64 {
	return median(r.samples[name], func(i int) float64 { return r.samples[name][i][unit] })
}

// ratio is the median over the rounds of a's figure in b's. Both are compared
// within a round, when the machine was as busy for both.
func (r report) ratio(a, unitA, b, unitB string) float64 {
	return median(r.samples[a], func(i int) float64 {
		if i >= len(r.samples[b]) || r.samples[b][i][unitB] == 0 {
			return 0
		}
		return r.samples[a][i][unitA] / r.samples[b][i][unitB]
	})
}

func median(rounds []sample, value func(int) float64) float64 {
	if len(rounds) == 0 {
		return 0
	}
	values := make([]float64, len(rounds))
	for i := range rounds {
		values[i] = value(i)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func (r report) write(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "\nMedians of %d rounds in turns, %s/%s, %d CPUs, %s; 16 callers\n\n", r.rounds, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\tper second\tp99\tCPU\tallocations\tCPU in echoes\tspeed in the store's\t")
	for _, row := range []struct{ name, store string }{{echo, ""}, {exchange, issue}, {issue, ""}, {refresh, rotate}, {rotate, ""}} {
		rate := r.median(row.name, unitRate) + r.median(row.name, unitStore) // it has one of them
		share := ""
		if row.store != "" {
			share = fmt.Sprintf("%.2f", r.ratio(row.name, unitRate, row.store, unitStore))
		}
		_, _ = fmt.Fprintf(table, "%s\t%.0f\t%s\t%s\t%.0f\t%s\t%s\t\n", row.name, rate, cell("%.2f ms", r.median(row.name, unitP99)/1e6),
			cell("%.0f us", r.median(row.name, unitCPU)/1e3), r.median(row.name, unitAllocs),
			cell("%.1f", r.ratio(row.name, unitCPU, echo, unitCPU)), share)
	}
	for _, name := range []string{bearer, verify} {
		_, _ = fmt.Fprintf(table, "%s\t%.0f\t\t%.3f us\t%.0f\t%s\t\t\n", name, 1e9/max(1, r.median(name, unitTime)), r.median(name, unitTime)/1e3,
			r.median(name, unitAllocs), cell("%.4f", r.ratio(name, unitTime, echo, unitCPU)))
	}
	if err := errors.Join(table.Flush(), r.writeTransport(&text)); err != nil {
		return err
	}
	text.WriteString("\n")
	for _, b := range r.budgets() {
		fmt.Fprintln(&text, b)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// writeTransport is the table of calls, from the handler on, and of streams.
func (r report) writeTransport(text *strings.Builder) error {
	text.WriteString("\n")
	table := tabwriter.NewWriter(text, 0, 0, 3, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\ttime\tallocations\tresident\theap\tstack\t")
	for _, s := range subjects {
		if !strings.HasPrefix(s.name, calls) && !strings.HasPrefix(s.name, idle) {
			continue
		}
		took, allocs := r.median(s.name, unitTime), r.median(s.name, unitAllocs)
		if strings.HasPrefix(s.name, idle) {
			took, allocs = 0, 0 // the client's
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t\n", s.name, cell("%.0f us", took/1e3), cell("%.0f", allocs),
			cell("%.1f KiB", r.median(s.name, unitRSS)/1024), cell("%.1f KiB", r.median(s.name, unitHeap)/1024), cell("%.1f KiB", r.median(s.name, unitStack)/1024))
	}
	return table.Flush()
}

// cell is a figure, or nothing where it is not measured.
func cell(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// budget is a promise about the gateway, and whether it was kept.
type budget struct {
	name   string
	got    float64
	limit  float64
	format string
	// atLeast: the limit is a floor.
	atLeast bool
	// gate: it does not depend on how busy the machine is.
	gate bool
	// measured: there is something to measure it with on this system.
	measured bool
}

func (b budget) kept() bool {
	if b.atLeast {
		return b.got >= b.limit
	}
	return b.got <= b.limit
}

func (b budget) String() string {
	status, note := "missed", ""
	if b.kept() {
		status = "passed"
	}
	if !b.gate {
		note = " (no gate: it depends on the machine)"
	}
	if !b.measured {
		return fmt.Sprintf("%-8s  %s: there is nothing to measure it with on this system", "left out", b.name)
	}
	return fmt.Sprintf("%-8s  %s%s", status, b.detail(), note)
}

func (b budget) detail() string {
	bound := "at most"
	if b.atLeast {
		bound = "at least"
	}
	return fmt.Sprintf("%s: "+b.format+", %s "+b.format, b.name, b.got, bound, b.limit)
}

// budgets are DESIGN §5, and what holds them on any machine: the ratios were
// measured (6 to 10 and 5 to 7 echoes, 0.4 to 0.6 and 0.4 to 0.8 of the store, on
// two processors under a load of 2 to 22) and leave room for noise.
func (r report) budgets() []budget {
	exchangeCPU, refreshCPU := r.ratio(exchange, unitCPU, echo, unitCPU), r.ratio(refresh, unitCPU, echo, unitCPU)
	all := []budget{
		{name: "bearer check, token only: allocations", got: r.median(verify, unitAllocs), limit: 1, format: "%.0f", gate: true, measured: true},
		{name: "bearer check with its guard: allocations", got: r.median(bearer, unitAllocs), limit: 2, format: "%.0f", gate: true, measured: true},
		{name: "bearer check: share of an echo", got: r.ratio(bearer, unitTime, echo, unitTime), limit: 0.1, format: "%.3f", gate: true, measured: true},
		{name: "code exchange: allocations", got: r.median(exchange, unitAllocs), limit: 480, format: "%.0f", gate: true, measured: true},
		{name: "refresh: allocations", got: r.median(refresh, unitAllocs), limit: 400, format: "%.0f", gate: true, measured: true},
		{name: "code exchange: CPU in echoes", got: exchangeCPU, limit: 14, format: "%.1f", gate: true, measured: exchangeCPU > 0},
		{name: "refresh: CPU in echoes", got: refreshCPU, limit: 10, format: "%.1f", gate: true, measured: refreshCPU > 0},
		{name: "code exchange: speed in the store's", got: r.ratio(exchange, unitRate, issue, unitStore), limit: 0.25, format: "%.2f", atLeast: true, gate: true, measured: true},
		{name: "refresh: speed in the store's", got: r.ratio(refresh, unitRate, rotate, unitStore), limit: 0.25, format: "%.2f", atLeast: true, gate: true, measured: true},
		{name: "bearer check, us", got: r.median(verify, unitTime) / 1e3, limit: 0.5, format: "%.2f", measured: true},
		{name: "code exchange, per second", got: r.median(exchange, unitRate), limit: 3000, format: "%.0f", atLeast: true, measured: true},
		{name: "refresh, per second", got: r.median(refresh, unitRate), limit: 3000, format: "%.0f", atLeast: true, measured: true},
	}
	return append(all, r.streamBudgets()...)
}

// streamBudgets are for an idle stream over plain HTTP/1.1. What the system counts
// has the process's own growth in it, which is little for many streams only.
func (r report) streamBudgets() (all []budget) {
	for _, name := range []string{"idle GET", "idle listen", "idle sse"} {
		held, resident := r.median(name, unitHeap)+r.median(name, unitStack), r.median(name, unitRSS)
		all = append(all,
			budget{name: name + ": heap and stack, KiB", got: held / 1024, limit: 12, format: "%.1f", gate: true, measured: held > 0},
			budget{name: name + ": resident, KiB", got: resident / 1024, limit: 12, format: "%.1f", measured: resident > 0})
	}
	return all
}

// verdict is an error that names the gates that were missed.
func (r report) verdict() error {
	var errs []error
	for _, b := range r.budgets() {
		if b.gate && b.measured && !b.kept() {
			errs = append(errs, errors.New("over budget: "+b.detail()))
		}
	}
	return errors.Join(errs...)
}
