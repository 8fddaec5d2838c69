package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
	url   string
	home  string
	calls int
}

// sample is one round's figures for one program. Zero is "not measured".
type sample struct {
	Starts    []time.Duration `json:"starts_ns"`
	Latencies []time.Duration `json:"latencies_ns"`
	PerSecond float64         `json:"in_flight_per_second"`
	Memory    int64           `json:"memory_bytes"`
	Exit      time.Duration   `json:"exit_ns"`
	Size      int64           `json:"size_bytes"`
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
		got[direct].Starts = append(got[direct].Starts, time.Since(begun))
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
			got[p.name].Starts = append(got[p.name].Starts, time.Since(begun))
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
		got[s.name].Memory = memory
	}
	for first := 0; first < m.calls; first += block {
		for i, c := range callers {
			for id := first; id < min(first+block, m.calls); id++ {
				begun := time.Now()
				if err := c.call(ctx, id+1000, "tools/call", callParams); err != nil {
					return err
				}
				got[names[i]].Latencies = append(got[names[i]].Latencies, time.Since(begun))
			}
		}
	}
	for i, c := range callers {
		begun := time.Now()
		if err := c.flood(ctx, m.calls+inFlight, inFlight); err != nil {
			return err
		}
		got[names[i]].PerSecond = float64(m.calls+inFlight) / time.Since(begun).Seconds()
	}
	return nil
}

// stopAll ends the programs, and measures how long each takes.
func stopAll(running []*stdio, got map[string]*sample) error {
	var errs []error
	for _, s := range running {
		took, err := s.stop(exitLimit)
		got[s.name].Exit = took
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
