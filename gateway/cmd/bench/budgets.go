package main

import (
	"errors"
	"fmt"
	"slices"
)

// budget is a promise, and whether it was kept.
type budget struct {
	Area  string  `json:"area"`
	Name  string  `json:"name"`
	Got   float64 `json:"got"`
	Limit float64 `json:"limit"`
	// AtLeast: the limit is a floor.
	AtLeast bool `json:"at_least,omitempty"`
	// Gate: it does not depend on how busy the machine is.
	Gate bool `json:"gate"`
	// Measured: there was something to measure it with.
	Measured bool `json:"measured"`
	Kept     bool `json:"kept"`

	format string
}

func (b budget) String() string {
	if !b.Measured {
		return fmt.Sprintf("%-8s  %s: %s: there is nothing to measure it with here", "left out", b.Area, b.Name)
	}
	status, note := "missed", ""
	if b.Kept {
		status = "passed"
	}
	if !b.Gate {
		note = " (no gate: it depends on the machine)"
	}
	return fmt.Sprintf("%-8s  %s%s", status, b.detail(), note)
}

func (b budget) detail() string {
	bound := "at most"
	if b.AtLeast {
		bound = "at least"
	}
	return fmt.Sprintf("%s: %s: "+b.format+", %s "+b.format, b.Area, b.Name, b.Got, bound, b.Limit)
}

// judge compares the figures of the areas with what was promised.
func (r *report) judge(areas []string) {
	for _, b := range slices.Concat(r.serverBudgets(), r.tokenBudgets(), r.streamBudgets(), r.bridgeBudgets()) {
		if !slices.Contains(areas, b.Area) {
			continue
		}
		b.Kept = b.Got <= b.Limit
		if b.AtLeast {
			b.Kept = b.Got >= b.Limit
		}
		r.Budgets = append(r.Budgets, b)
	}
}

// verdict is an error that names the gates that were missed.
func (r *report) verdict() error {
	var errs []error
	for _, b := range r.Budgets {
		if b.Gate && b.Measured && !b.Kept {
			errs = append(errs, errors.New("over budget: "+b.detail()))
		}
	}
	return errors.Join(errs...)
}

// callEchoes holds what a call costs on any machine: 5 to 9 echoes were measured, on
// two processors under a load of 3 to 22. The budget is less than what is there.
const callEchoes = 16

// serverBudgets are for the product as a process.
func (r *report) serverBudgets() (all []budget) {
	add := func(b budget) {
		b.Area, b.Measured = areaServer, b.Got > 0
		all = append(all, b)
	}
	for _, mode := range []mode{modeModern, modeSession, modeSSE} {
		name := by(gateway, mode.name, 16)
		got := r.inBaseline(r.find(areaServer, name), unitCPU)
		add(budget{Name: name + ": CPU in echoes", Got: got, Limit: 2, format: "%.1f"})
		add(budget{Name: name + ": CPU in echoes, on any machine", Got: got, Limit: callEchoes, format: "%.1f", Gate: true})
	}
	for _, one := range []struct {
		callers int
		limit   float64
	}{{16, 1.6}, {64, 3}} {
		name := by(gateway, modeModern.name, one.callers)
		add(budget{Name: name + ": p99 in echoes", Got: r.inBaseline(r.find(areaServer, name), unitP99), Limit: one.limit, format: "%.1f"})
	}
	add(budget{Name: "start to ready, the least, ms", Got: r.least(areaServer, gateway, unitStart) / perMs, Limit: 100, format: "%.0f"})
	add(budget{Name: "memory, idle, MiB", Got: r.median(areaServer, gateway, unitIdle) / perMiB, Limit: 30, format: "%.1f", Gate: true})
	add(budget{Name: "memory after the load, MiB", Got: r.median(areaServer, gateway, unitMemory) / perMiB, Limit: 100, format: "%.1f", Gate: true})
	return all
}

// tokenBudgets are DESIGN §5, and what holds them on any machine: the ratios were
// measured (6 to 10 and 5 to 7 echoes, 0.4 to 0.6 and 0.4 to 0.8 of the store, on
// two processors under a load of 2 to 22) and leave room for noise.
func (r *report) tokenBudgets() (all []budget) {
	add := func(b budget) {
		b.Area, b.Measured = areaToken, b.Measured || b.Got > 0
		all = append(all, b)
	}
	figure := func(name, unit string) float64 { return r.median(areaToken, name, unit) }
	share := func(a, unitA, b, unitB string) float64 { return r.ratio(areaToken, a, unitA, b, unitB) }
	add(budget{Name: "bearer check, token only: allocations", Got: figure(verify, unitAllocs), Limit: 1, format: "%.0f", Gate: true, Measured: r.find(areaToken, verify) != nil})
	add(budget{Name: "bearer check with its guard: allocations", Got: figure(bearer, unitAllocs), Limit: 2, format: "%.0f", Gate: true})
	add(budget{Name: "bearer check: share of an echo", Got: share(bearer, unitTime, echo, unitTime), Limit: 0.1, format: "%.3f", Gate: true})
	add(budget{Name: "code exchange: allocations", Got: figure(exchange, unitAllocs), Limit: 480, format: "%.0f", Gate: true})
	add(budget{Name: "refresh: allocations", Got: figure(refresh, unitAllocs), Limit: 400, format: "%.0f", Gate: true})
	add(budget{Name: "code exchange: CPU in echoes", Got: share(exchange, unitCPU, echo, unitCPU), Limit: 14, format: "%.1f", Gate: true})
	add(budget{Name: "refresh: CPU in echoes", Got: share(refresh, unitCPU, echo, unitCPU), Limit: 10, format: "%.1f", Gate: true})
	add(budget{Name: "code exchange: speed in the store's", Got: share(exchange, unitRate, issue, unitStore), Limit: 0.25, format: "%.2f", AtLeast: true, Gate: true})
	add(budget{Name: "refresh: speed in the store's", Got: share(refresh, unitRate, rotate, unitStore), Limit: 0.25, format: "%.2f", AtLeast: true, Gate: true})
	add(budget{Name: "bearer check, us", Got: figure(verify, unitTime) / perUs, Limit: 0.5, format: "%.2f"})
	add(budget{Name: "code exchange, per second", Got: figure(exchange, unitRate), Limit: 3000, format: "%.0f", AtLeast: true})
	add(budget{Name: "refresh, per second", Got: figure(refresh, unitRate), Limit: 3000, format: "%.0f", AtLeast: true})
	return all
}

// streamBudgets are for an idle stream over plain HTTP/1.1. What the system counts
// has the process's own growth in it, which is little for many streams only.
func (r *report) streamBudgets() (all []budget) {
	for _, name := range []string{"GET", "listen", "SSE"} {
		held, resident := r.median(areaIdle, name, unitHeap)+r.median(areaIdle, name, unitStack), r.median(areaIdle, name, unitRSS)
		all = append(all,
			budget{Area: areaIdle, Name: name + ": heap and stack, KiB", Got: held / perKiB, Limit: 12, format: "%.1f", Gate: true, Measured: held > 0},
			budget{Area: areaIdle, Name: name + ": resident, KiB", Got: resident / perKiB, Limit: 12, format: "%.1f", Measured: resident > 0})
	}
	return all
}

// leastParts holds the start of the bridge on any machine. How many starts of
// mcp-bridge go into one of mcp-remote depends on what a page fault costs there,
// which is most of a short start and little of a long one: 37 to 56 were measured
// where a Go program that does nothing needs 6 ms.
const leastParts = 25

// bridgeBudgets compare starts by the least of all, on both sides: whatever else
// runs on the machine can only make a start slower, and a short one many times
// slower, so medians would hold the programs to what their neighbours do. What a
// program itself needs is in its least start too.
func (r *report) bridgeBudgets() (all []budget) {
	add := func(b budget) { b.Area = areaBridge; all = append(all, b) }
	start, memory := r.least(areaBridge, bridge, unitLeast), r.median(areaBridge, bridge, unitMemory)
	size, added := r.median(areaBridge, bridge, unitSize), r.median(areaBridge, bridge, unitAdd50)
	add(budget{Name: "start, the least, ms", Got: start / perMs, Limit: 8, format: "%.1f", Measured: start > 0})
	add(budget{Name: "memory after 100 calls, MiB", Got: memory / perMiB, Limit: 15, format: "%.1f", Gate: true, Measured: memory > 0})
	add(budget{Name: "size, MB", Got: size / perMB, Limit: 10, format: "%.2f", Gate: true, Measured: size > 0})
	add(budget{Name: "added to a call, p50, ms", Got: added / perMs, Limit: 0.25, format: "%.3f", Measured: r.find(areaBridge, bridge) != nil})
	starts := parts(start, r.least(areaBridge, remote, unitLeast))
	memories := parts(memory, r.median(areaBridge, remote, unitMemory))
	at50, at99 := parts(added, r.median(areaBridge, remote, unitAdd50)), parts(r.median(areaBridge, bridge, unitAdd99), r.median(areaBridge, remote, unitAdd99))
	for _, b := range []budget{
		{Name: "starts in the least one of mcp-remote", Got: starts, Limit: 40},
		{Name: "starts in the least one of mcp-remote, on any machine", Got: starts, Limit: leastParts, Gate: true},
		{Name: "memories in that of mcp-remote", Got: memories, Limit: 7, Gate: true},
		{Name: "delays in that of mcp-remote, p50", Got: at50, Limit: 5},
		{Name: "delays in that of mcp-remote, p99", Got: at99, Limit: 5},
	} {
		b.AtLeast, b.format, b.Measured = true, "%.1f", b.Got > 0
		add(b)
	}
	return all
}

// parts is how many of ours make one of theirs, or 0. A delay of nothing or less,
// which noise makes, counts as a microsecond.
func parts(ours, theirs float64) float64 {
	if theirs <= 0 || ours == 0 {
		return 0
	}
	return theirs / max(ours, perUs)
}
