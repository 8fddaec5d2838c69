package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	startsPerRound = 5               // of each program
	block          = 50              // calls in a row, before it is another's turn
	callsForMemory = 100             // before the memory is read
	inFlight       = 64              // of the calls in flight
	exitLimit      = 5 * time.Second // for a program to end after its stdin did
)

// meter measures programs against a server.
type meter struct {
	url      string
	home     string
	calls    int
	progress io.Writer
}

// sample is one round's figures for one program. Zero is "not measured".
type sample struct {
	starts    []time.Duration
	latencies []time.Duration
	perSecond float64
	memory    int64
	exit      time.Duration
}

// measure runs all rounds and takes the medians.
func (m *meter) measure(ctx context.Context, programs []program, rounds int) (*report, error) {
	samples := map[string][]sample{}
	for round := range rounds {
		_, _ = fmt.Fprintf(m.progress, "round %d of %d\n", round+1, rounds)
		got, err := m.round(ctx, programs)
		if err != nil {
			return nil, err
		}
		for name, s := range got {
			samples[name] = append(samples[name], *s)
		}
	}
	r := newReport(rounds, samples)
	for _, p := range programs {
		if p.file == "" {
			continue
		}
		info, err := os.Stat(p.file)
		if err != nil {
			return nil, err
		}
		r.Programs[p.name].Size = info.Size()
	}
	return r, nil
}

// round measures everything once, each part in turns.
func (m *meter) round(ctx context.Context, programs []program) (map[string]*sample, error) {
	got := map[string]*sample{direct: {}}
	for _, p := range programs {
		got[p.name] = &sample{}
	}
	if err := m.starts(ctx, programs, got); err != nil {
		return nil, err
	}
	plain := newStraight(m.url, inFlight)
	defer plain.close()
	callers := []caller{plain}
	names := []string{direct}
	var running []*stdio
	for _, p := range programs {
		s, err := start(ctx, p, m.home)
		if err != nil {
			return nil, errors.Join(err, stopAll(running, got))
		}
		running, callers, names = append(running, s), append(callers, s), append(names, p.name)
		if err := s.initialized(); err != nil {
			return nil, errors.Join(err, stopAll(running, got))
		}
	}
	err := m.work(ctx, names, callers, running, got)
	return got, errors.Join(err, stopAll(running, got))
}

// starts measures from before a program is started to its first answer.
func (m *meter) starts(ctx context.Context, programs []program, got map[string]*sample) error {
	for range startsPerRound {
		begun := time.Now()
		plain := newStraight(m.url, 1)
		err := plain.call(ctx, 0, "initialize", initializeParams)
		got[direct].starts = append(got[direct].starts, time.Since(begun))
		plain.close()
		if err != nil {
			return err
		}
		for _, p := range programs {
			begun := time.Now()
			s, err := start(ctx, p, m.home)
			if err != nil {
				return err
			}
			got[p.name].starts = append(got[p.name].starts, time.Since(begun))
			if _, err := s.stop(exitLimit); err != nil {
				return err
			}
		}
	}
	return nil
}

// work measures what happens between the start and the end.
func (m *meter) work(ctx context.Context, names []string, callers []caller, running []*stdio, got map[string]*sample) error {
	for _, c := range callers {
		for i := range callsForMemory {
			if err := c.call(ctx, i+1, "tools/call", callParams); err != nil {
				return err
			}
		}
	}
	for _, s := range running {
		memory, err := treeMemory(s.cmd.Process.Pid)
		if err != nil {
			return err
		}
		got[s.name].memory = memory
	}
	for first := 0; first < m.calls; first += block {
		for i, c := range callers {
			for id := first; id < min(first+block, m.calls); id++ {
				begun := time.Now()
				if err := c.call(ctx, id+1000, "tools/call", callParams); err != nil {
					return err
				}
				got[names[i]].latencies = append(got[names[i]].latencies, time.Since(begun))
			}
		}
	}
	for i, c := range callers {
		begun := time.Now()
		if err := c.flood(ctx, m.calls+inFlight, inFlight); err != nil {
			return err
		}
		got[names[i]].perSecond = float64(m.calls+inFlight) / time.Since(begun).Seconds()
	}
	return nil
}

// stopAll ends the programs, and measures how long each takes.
func stopAll(running []*stdio, got map[string]*sample) error {
	var errs []error
	for _, s := range running {
		took, err := s.stop(exitLimit)
		got[s.name].exit = took
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// treeMemory is the resident memory of a process and of those that it started,
// in bytes. It is 0 where there is no /proc to read.
func treeMemory(pid int) (int64, error) {
	if runtime.GOOS != "linux" {
		return 0, nil
	}
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	parents, resident := map[int]int{}, map[int]int64{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parents[id] = int(statusField(data, "PPid:"))
		resident[id] = statusField(data, "VmRSS:") << 10 // it is in KiB
	}
	var total int64
	for id := range resident {
		if inTree(parents, id, pid) {
			total += resident[id]
		}
	}
	if total == 0 {
		return 0, fmt.Errorf("process %d has no memory: it has ended", pid)
	}
	return total, nil
}

func inTree(parents map[int]int, id, root int) bool {
	for id > 1 && id != root {
		id = parents[id]
	}
	return id == root
}

// statusField reads a number of a /proc status file, or 0.
func statusField(data []byte, name string) int64 {
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// quantile is the value that a share q of all values does not exceed.
func quantile[T ~int64 | ~float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
