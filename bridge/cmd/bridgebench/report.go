package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// figures are a program's medians over the rounds, but for StartLeast, which is
// the least of all starts. Zero is "not measured".
type figures struct {
	StartP50   time.Duration `json:"start_p50_ns"`
	StartLeast time.Duration `json:"start_least_ns"`
	Memory     int64         `json:"memory_bytes,omitempty"`
	CallP50    time.Duration `json:"call_p50_ns"`
	CallP99    time.Duration `json:"call_p99_ns"`
	AddedP50   time.Duration `json:"added_p50_ns"`
	AddedP99   time.Duration `json:"added_p99_ns"`
	PerSecond  float64       `json:"in_flight_per_second"`
	Exit       time.Duration `json:"exit_ns,omitempty"`
	Size       int64         `json:"size_bytes,omitempty"`
	StillThere bool          `json:"killed_after_eof,omitempty"`
}

// report is the outcome of one run.
type report struct {
	System   string              `json:"system"`
	Go       string              `json:"go"`
	CPUs     int                 `json:"cpus"`
	Rounds   int                 `json:"rounds"`
	Note     string              `json:"note,omitempty"`
	Programs map[string]*figures `json:"programs"`
	Budgets  []budget            `json:"budgets"`
}

func newReport(rounds int, samples map[string][]sample) *report {
	r := &report{
		System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), CPUs: runtime.NumCPU(),
		Rounds: rounds, Programs: map[string]*figures{},
	}
	for name, all := range samples {
		r.Programs[name] = medians(all, samples[direct])
	}
	return r
}

// medians takes the median of each figure over the rounds. What is added to a
// call is compared within a round, when the machine was as busy for both.
func medians(all, plain []sample) *figures {
	var starts, p50, p99, added50, added99, exits []time.Duration
	var rates []float64
	var memory []int64
	for i, s := range all {
		starts = append(starts, s.starts...)
		at50, at99 := quantile(s.latencies, 0.5), quantile(s.latencies, 0.99)
		p50, p99 = append(p50, at50), append(p99, at99)
		added50 = append(added50, at50-quantile(plain[i].latencies, 0.5))
		added99 = append(added99, at99-quantile(plain[i].latencies, 0.99))
		rates, memory, exits = append(rates, s.perSecond), append(memory, s.memory), append(exits, s.exit)
	}
	exit := quantile(exits, 0.5)
	return &figures{
		StartP50: quantile(starts, 0.5), StartLeast: quantile(starts, 0), Memory: quantile(memory, 0.5), CallP50: quantile(p50, 0.5), CallP99: quantile(p99, 0.5),
		AddedP50: quantile(added50, 0.5), AddedP99: quantile(added99, 0.5), PerSecond: quantile(rates, 0.5),
		Exit: exit, StillThere: exit >= exitLimit,
	}
}

// row is one line of the table. format shows a figure, and less tells whether
// a smaller one is better.
type row struct {
	name   string
	value  func(*figures) float64
	format func(float64) string
	more   bool // is better
}

func ms(v float64) string  { return fmt.Sprintf("%.3f ms", v/1e6) }
func mib(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }

var rows = []row{
	{"start to first answer, p50", func(f *figures) float64 { return float64(f.StartP50) }, ms, false},
	{"start to first answer, least", func(f *figures) float64 { return float64(f.StartLeast) }, ms, false},
	{"memory after 100 calls", func(f *figures) float64 { return float64(f.Memory) }, mib, false},
	{"a call, p50", func(f *figures) float64 { return float64(f.CallP50) }, ms, false},
	{"a call, p99", func(f *figures) float64 { return float64(f.CallP99) }, ms, false},
	{"added to a call, p50", func(f *figures) float64 { return float64(f.AddedP50) }, ms, false},
	{"added to a call, p99", func(f *figures) float64 { return float64(f.AddedP99) }, ms, false},
	{"calls/s, 64 in flight", func(f *figures) float64 { return f.PerSecond }, func(v float64) string { return fmt.Sprintf("%.0f", v) }, true},
	{"exit after EOF", func(f *figures) float64 { return float64(f.Exit) }, ms, false},
	{"size of the program", func(f *figures) float64 { return float64(f.Size) }, func(v float64) string { return fmt.Sprintf("%.2f MB", v/1e6) }, false},
}

// write prints the table and the budgets.
func (r *report) write(w io.Writer, gate bool) error {
	var text strings.Builder
	fmt.Fprintf(&text, "\nMedians of %d rounds in turns, %s, %d CPUs, %s\n\n", r.Rounds, r.System, r.CPUs, r.Go)
	if r.Note != "" {
		fmt.Fprintf(&text, "%s\n\n", r.Note)
	}
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintf(table, "\t%s\t%s\t%s\tratio\n", direct, bridge, remote)
	for i, row := range rows {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t", row.name, r.cell(direct, row), r.cell(bridge, row))
		switch _, ok := r.Programs[remote]; {
		case ok:
			_, _ = fmt.Fprintf(table, "%s\t%s\n", r.cell(remote, row), r.ratio(row))
		case i == 0:
			_, _ = fmt.Fprintln(table, "left out: Node\t")
		default:
			_, _ = fmt.Fprintln(table, "\t")
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	text.WriteString("\n")
	for _, b := range r.budgets(gate) {
		fmt.Fprintln(&text, b)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (r *report) cell(name string, row row) string {
	f := r.Programs[name]
	v := row.value(f)
	switch {
	case v == 0:
		return "-"
	case f.StillThere && row.name == "exit after EOF":
		return "still there after " + exitLimit.String()
	default:
		return row.format(v)
	}
}

// ratio is how many times better the bridge is: 1/7 of the memory, 3 x the calls.
func (r *report) ratio(row row) string {
	ours, theirs := row.value(r.Programs[bridge]), row.value(r.Programs[remote])
	switch {
	case ours <= 0 || theirs <= 0:
		return "-"
	case row.more:
		return fmt.Sprintf("%.1f x", ours/theirs)
	default:
		return fmt.Sprintf("1/%.1f", theirs/ours)
	}
}

// budget is a promise about mcp-bridge, and whether it was kept.
type budget struct {
	Name   string `json:"name"`
	Status string `json:"status"` // passed, missed or left out
	Gate   bool   `json:"gate"`
	Detail string `json:"detail"`
}

func (b budget) String() string {
	note := ""
	if !b.Gate {
		note = " (no gate)"
	}
	return fmt.Sprintf("%-8s  %s: %s%s", b.Status, b.Name, b.Detail, note)
}

const megabyte = 1e6

// startParts holds the start on any machine. How many starts of mcp-bridge go into
// one of mcp-remote depends on what a page fault costs there, which is most of a
// short start and little of a long one: 37 to 49 were measured where a Go program
// that does nothing needs 6 ms.
const startParts = 25

// budgets compares the figures with what was promised. A start is the least of
// them all, on both sides: whatever else runs on the machine can only make a start
// slower, and a short one many times slower, so medians would hold the programs to
// what their neighbours do. What a program itself needs is in its least start too.
func (r *report) budgets(gate bool) []budget {
	start, memory, added50, added99, size := rows[1], rows[2], rows[5], rows[6], rows[9]
	return []budget{
		r.atMost(start, float64(8*time.Millisecond), gate),
		r.shareAtMost(start, 40, false),
		r.shareAtMost(start, startParts, true),
		r.atMost(memory, 15<<20, true),
		r.shareAtMost(memory, 7, true),
		r.atMost(size, 10*megabyte, true),
		r.atMost(added50, float64(250*time.Microsecond), false),
		r.shareAtMost(added50, 5, false),
		r.shareAtMost(added99, 5, false),
	}
}

// atMost is a budget in the row's own unit. Added latency may be 0 or less,
// which keeps it; any other figure that is 0 was not measured.
func (r *report) atMost(row row, limit float64, gate bool) budget {
	v := row.value(r.Programs[bridge])
	b := budget{Name: row.name, Gate: gate, Detail: fmt.Sprintf("%s, at most %s", row.format(v), row.format(limit))}
	b.Status = status(v <= limit)
	if v == 0 && !strings.HasPrefix(row.name, "added") {
		b.Status, b.Detail = leftOut, "there is nothing to measure it with on this system"
	}
	return b
}

// shareAtMost is a budget of 1/parts of what mcp-remote has.
func (r *report) shareAtMost(row row, parts float64, gate bool) budget {
	b := budget{Name: row.name + ", beside mcp-remote", Gate: gate, Status: leftOut}
	theirs, ok := r.Programs[remote]
	if !ok {
		b.Detail = "Node with mcp-remote (run npm ci --prefix testdata/clients)"
		return b
	}
	ours, whole := row.value(r.Programs[bridge]), row.value(theirs)
	if whole == 0 {
		b.Detail = "there is nothing to measure it with on this system"
		return b
	}
	b.Detail = fmt.Sprintf("%s, at most 1/%.0f of %s", row.format(ours), parts, row.format(whole))
	b.Status = status(ours*parts <= whole)
	return b
}

const leftOut = "left out"

func status(kept bool) string {
	if kept {
		return "passed"
	}
	return "missed"
}

// verdict is an error that names the gates that were missed.
func (r *report) verdict(gate bool) error {
	var errs []error
	for _, b := range r.budgets(gate) {
		if b.Gate && b.Status == "missed" {
			errs = append(errs, fmt.Errorf("over budget: %s: %s", b.Name, b.Detail))
		}
	}
	return errors.Join(errs...)
}

// writeJSON writes the figures and the budgets to a file.
func (r *report) writeJSON(file string, gate bool) error {
	r.Budgets = r.budgets(gate)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o600)
}
