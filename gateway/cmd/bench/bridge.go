package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// The programs that bridgebench measures; direct is none of them in between.
const (
	direct = "direct"
	bridge = "mcp-bridge"
	remote = "mcp-remote"
)

// bridgeRound is what bridgebench prints for each program, in nanoseconds and bytes.
type bridgeRound struct {
	Starts    []float64 `json:"starts_ns"`
	Latencies []float64 `json:"latencies_ns"`
	PerSecond float64   `json:"in_flight_per_second"`
	Memory    float64   `json:"memory_bytes"`
	Exit      float64   `json:"exit_ns"`
	Size      float64   `json:"size_bytes"`
}

// bridgeSource has bridgebench, which belongs to the bridge, measure one round.
func bridgeSource(command string, o options) source {
	return source{area: areaBridge, name: areaBridge, measure: func(ctx context.Context) ([]measured, error) {
		// Fewer calls than of a server: a process in between takes its time.
		cmd := exec.CommandContext(ctx, command, "--bridge", filepath.Join("bin", bridge+exe()), "--calls", strconv.Itoa(max(1, o.requests/4)))
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, err
		}
		return parseBridge(out)
	}}
}

func parseBridge(out []byte) (all []measured, err error) {
	var programs map[string]bridgeRound
	if err := json.Unmarshal(out, &programs); err != nil {
		return nil, err
	}
	plain := programs[direct]
	for _, name := range []string{direct, bridge, remote} {
		p, ok := programs[name]
		if !ok {
			continue // there is no Node, or no mcp-remote
		}
		s := sample{
			unitStart: median(p.Starts), unitLeast: quantile(p.Starts, 0), unitMemory: p.Memory, unitRate: p.PerSecond, unitExit: p.Exit, unitSize: p.Size,
			unitP50: quantile(p.Latencies, 0.5), unitP99: quantile(p.Latencies, 0.99),
		}
		if name != direct {
			s[unitAdd50] = s[unitP50] - quantile(plain.Latencies, 0.5)
			s[unitAdd99] = s[unitP99] - quantile(plain.Latencies, 0.99)
		}
		m := measured{name: name, sample: s}
		if name == bridge {
			m.baseline = remote
		}
		all = append(all, m)
	}
	return all, nil
}
