package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// benchmark is one of a package of the gateway.
type benchmark struct {
	area, name, pkg, pattern string
	// baseline is what it is compared with.
	baseline string
	// quick ones take a thousand times as many iterations.
	quick bool
	// unix: it runs there only.
	unix bool
}

func (s benchmark) left() bool { return s.unix && runtime.GOOS == "windows" }

const (
	echo     = "echo, in its client's process"
	exchange = "code exchange"
	refresh  = "refresh"
	issue    = "store: redeem a code"
	rotate   = "store: rotate a token"
	bearer   = "bearer check"
	verify   = "bearer check, token only"
)

// benchmarks in the order of a round: what is compared is measured close together.
var benchmarks = []benchmark{
	{area: areaToken, name: echo, pkg: "app", pattern: "^BenchmarkEcho$"},
	{area: areaToken, name: exchange, pkg: "app", pattern: "^BenchmarkExchange$", baseline: echo},
	{area: areaToken, name: issue, pkg: "store/sqlite", pattern: "^BenchmarkContract$/^issue$"},
	{area: areaToken, name: refresh, pkg: "app", pattern: "^BenchmarkRefresh$", baseline: echo},
	{area: areaToken, name: rotate, pkg: "store/sqlite", pattern: "^BenchmarkContract$/^rotate$"},
	{area: areaToken, name: bearer, pkg: "resource", pattern: "^BenchmarkBearerCheck$", baseline: echo, quick: true},
	{area: areaToken, name: verify, pkg: "token", pattern: "^BenchmarkVerifyCached$", baseline: echo, quick: true},
	{area: areaCall, name: "modern", pkg: "mcphttp", pattern: "^BenchmarkCall$/^modern$"},
	{area: areaCall, name: "modern with progress", pkg: "mcphttp", pattern: "^BenchmarkCall$/^modern_with_progress$"},
	{area: areaCall, name: "session", pkg: "mcphttp", pattern: "^BenchmarkCall$/^legacy$"},
	{area: areaCall, name: "SSE", pkg: "mcphttp", pattern: "^BenchmarkCall$/^sse$"},
	{area: areaIdle, name: "GET", pkg: "app", pattern: "^BenchmarkIdle$/^http1$/^get$", unix: true},
	{area: areaIdle, name: "listen", pkg: "app", pattern: "^BenchmarkIdle$/^http1$/^listen$", unix: true},
	{area: areaIdle, name: "SSE", pkg: "app", pattern: "^BenchmarkIdle$/^http1$/^sse$", unix: true},
	{area: areaIdle, name: "listen, TLS", pkg: "app", pattern: "^BenchmarkIdle$/^tls$/^listen$", unix: true},
	{area: areaIdle, name: "listen, HTTP/2", pkg: "app", pattern: "^BenchmarkIdle$/^http2$/^listen$", unix: true},
}

// benchmarkSources compiles the benchmarks of each package once.
func benchmarkSources(ctx context.Context, folder string, o options) ([]source, error) {
	binaries := map[string]string{}
	var all []source
	for _, s := range benchmarks {
		if s.left() || !slices.Contains(o.areas, s.area) {
			continue
		}
		if binaries[s.pkg] == "" {
			file, err := build(ctx, folder, filepath.Base(s.pkg)+".test", "test", "-c", "mcp-gateway/gateway/internal/"+s.pkg)
			if err != nil {
				return nil, err
			}
			binaries[s.pkg] = file
		}
		all = append(all, source{area: s.area, name: s.area + ": " + s.name, measure: func(ctx context.Context) ([]measured, error) {
			got, err := runBenchmark(ctx, binaries[s.pkg], folder, s, o.requests)
			return []measured{{name: s.name, sample: got, baseline: s.baseline}}, err
		}})
	}
	return all, nil
}

func runBenchmark(ctx context.Context, binary, folder string, s benchmark, requests int) (sample, error) {
	if s.quick {
		requests *= 1000
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.bench="+s.pattern, "-test.benchmem", "-test.benchtime="+strconv.Itoa(requests)+"x")
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	got, err := parseSample(out)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return got, nil
}

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
