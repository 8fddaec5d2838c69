package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// column is one figure in a table of an area.
type column struct {
	head   string
	format string
	// value is a figure, and whether it was measured.
	value func(*report, *series) (float64, bool)
}

// of is the median of a figure, in units of per.
func of(head, format, unit string, per float64) column {
	return column{head, format, func(_ *report, s *series) (float64, bool) {
		v, free := median(s.values(unit)), false
		if unit == unitAllocs { // of which there may be none
			_, free = s.Samples[0][unit]
		}
		return v / per, v != 0 || free
	}}
}

// in is a figure as a multiple of the baseline's.
func in(head, format, unit string) column {
	return column{head, format, func(r *report, s *series) (float64, bool) {
		v := r.inBaseline(s, unit)
		return v, v != 0
	}}
}

// leastOf is the least of a figure, in units of per.
func leastOf(head, format, unit string, per float64) column {
	return column{head, format, func(_ *report, s *series) (float64, bool) {
		v := slices.Min(s.values(unit))
		return v / per, v != 0
	}}
}

const (
	perMs  = 1e6
	perUs  = 1e3
	perKiB = 1 << 10
	perMiB = 1 << 20
	perMB  = 1e6
)

// tables are what is shown of each area.
var tables = []struct {
	area, title string
	columns     []column
}{
	{areaServer, "tools/call and tokens, each server a process of its own, beside a net/http echo", []column{
		of("CPU", "%.0f us", unitCPU, perUs), in("in echoes", "%.2f", unitCPU), of("per second", "%.0f", unitRate, 1), in("in echoes", "%.2f", unitRate),
		of("p50", "%.2f ms", unitP50, perMs), of("p99", "%.2f ms", unitP99, perMs), in("in echoes", "%.2f", unitP99),
	}},
	{areaServer, "the gateway's process", []column{
		of("start to ready", "%.0f ms", unitStart, perMs), of("memory, idle", "%.1f MiB", unitIdle, perMiB), of("after the load", "%.1f MiB", unitMemory, perMiB),
	}},
	{areaToken, "the token endpoint and the bearer check, in one process with 16 callers", []column{
		of("time", "%.2f us", unitTime, perUs), of("CPU", "%.0f us", unitCPU, perUs), in("in echoes", "%.2f", unitCPU), of("per second", "%.0f", unitRate, 1),
		of("store, per second", "%.0f", unitStore, 1), of("p99", "%.2f ms", unitP99, perMs), of("allocations", "%.0f", unitAllocs, 1),
	}},
	{areaCall, "a call, from the handler on", []column{of("time", "%.0f us", unitTime, perUs), of("allocations", "%.0f", unitAllocs, 1)}},
	{areaIdle, "an idle stream", []column{
		of("resident", "%.1f KiB", unitRSS, perKiB), of("heap", "%.1f KiB", unitHeap, perKiB), of("stack", "%.1f KiB", unitStack, perKiB),
	}},
	{areaBridge, "a program on the way to a server", []column{
		of("start", "%.1f ms", unitStart, perMs), leastOf("least", "%.1f ms", unitLeast, perMs),
		of("memory", "%.1f MiB", unitMemory, perMiB), of("p50", "%.3f ms", unitP50, perMs), of("p99", "%.3f ms", unitP99, perMs),
		of("added, p50", "%.3f ms", unitAdd50, perMs), of("p99", "%.3f ms", unitAdd99, perMs), of("per second", "%.0f", unitRate, 1),
		of("exit", "%.0f ms", unitExit, perMs), of("size", "%.2f MB", unitSize, perMB),
	}},
}

// write prints the tables and the budgets.
func (r *report) write(w io.Writer) error {
	var text strings.Builder
	changed := ""
	if r.Machine.Changed {
		changed = " with changes"
	}
	fmt.Fprintf(&text, "\nMedians of %d rounds in turns; commit %s%s, %s, %s, %d CPUs (%s), load average at the start %s\n", r.Rounds,
		r.Machine.Commit, changed, r.Machine.Go, r.Machine.System, r.Machine.CPUs, r.Machine.CPU, r.Machine.Load)
	for _, t := range tables {
		if err := r.writeTable(&text, t.area, t.title, t.columns); err != nil {
			return err
		}
	}
	text.WriteString("\n")
	for _, b := range r.Budgets {
		fmt.Fprintln(&text, b)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// writeTable leaves out things that have none of its figures.
func (r *report) writeTable(text *strings.Builder, area, title string, columns []column) error {
	var rows []string
	for _, s := range r.All {
		cells, some := []string{s.Name}, false
		for _, c := range columns {
			text := ""
			if v, ok := c.value(r, s); ok {
				text, some = fmt.Sprintf(c.format, v), true
			}
			cells = append(cells, text)
		}
		if s.Area == area && some {
			rows = append(rows, strings.Join(cells, "\t")+"\t")
		}
	}
	if len(rows) == 0 {
		return nil
	}
	var heads strings.Builder
	for _, c := range columns {
		heads.WriteString("\t" + c.head)
	}
	_, _ = fmt.Fprintf(text, "\n%s\n", title)
	table := tabwriter.NewWriter(text, 0, 0, 3, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(table, "%s\t\n%s\n", heads.String(), strings.Join(rows, "\n"))
	return table.Flush()
}
