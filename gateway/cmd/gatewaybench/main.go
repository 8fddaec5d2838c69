// Command gatewaybench runs the benchmarks behind the gateway's budgets in
// turns, so that a busy machine is busy for all of them, and sets their medians
// side by side: the token endpoint beside a net/http JSON echo and beside the
// bare store on the same disk, the bearer check beside the echo; and what a call in
// each mode and an idle stream of each kind need.
//
// It refuses to measure anything itself: each benchmark stands with the package
// that it measures, and runs alone too. It needs the sources and Go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

const usage = `gatewaybench measures the gateway beside an echo and compares it with its budgets.

Usage:
  gatewaybench [--rounds 5] [--requests 2000] [--gate]

  --gate   exit with 1 when a budget is missed that does not depend on how busy
           the machine is: allocations, and ratios within one run

Run it from the workspace. Databases are made in the folder for temporary files:
set TMPDIR to measure another disk.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintf(os.Stderr, "gatewaybench: %v\n", err)
		}
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	rounds   int
	requests int
	gate     bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("gatewaybench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage) }
	flags.IntVar(&o.rounds, "rounds", 5, "")
	flags.IntVar(&o.requests, "requests", 2000, "")
	flags.BoolVar(&o.gate, "gate", false, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.requests < 1 {
		return o, errors.New("--rounds and --requests are 1 or more, and nothing stands behind the flags")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "gatewaybench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	binaries, err := build(ctx, folder)
	if err != nil {
		return err
	}
	r := report{rounds: o.rounds, samples: map[string][]sample{}}
	for round := range o.rounds {
		_, _ = fmt.Fprintf(stderr, "round %d of %d\n", round+1, o.rounds)
		for _, s := range subjects {
			if s.left() {
				continue
			}
			got, err := measure(ctx, binaries[s.pkg], folder, s, o.requests)
			if err != nil {
				return err
			}
			r.samples[s.name] = append(r.samples[s.name], got)
		}
	}
	if err := r.write(stdout); err != nil || !o.gate {
		return err
	}
	return r.verdict()
}

// subject is one benchmark.
type subject struct {
	name, pkg, bench string
	// quick ones take a thousand times as many iterations.
	quick bool
	// unix: it runs there only.
	unix bool
}

func (s subject) left() bool { return s.unix && runtime.GOOS == "windows" }

const (
	echo     = "echo"
	exchange = "code exchange"
	refresh  = "refresh"
	issue    = "store: redeem a code"
	rotate   = "store: rotate a token"
	bearer   = "bearer check"
	verify   = "bearer check, token only"
)

// subjects in the order of a round: what is compared is measured close together.
var subjects = []subject{
	{name: echo, pkg: "app", bench: "^BenchmarkEcho$"},
	{name: exchange, pkg: "app", bench: "^BenchmarkExchange$"},
	{name: issue, pkg: "store/sqlite", bench: "^BenchmarkContract$/^issue$"},
	{name: refresh, pkg: "app", bench: "^BenchmarkRefresh$"},
	{name: rotate, pkg: "store/sqlite", bench: "^BenchmarkContract$/^rotate$"},
	{name: bearer, pkg: "resource", bench: "^BenchmarkBearerCheck$", quick: true},
	{name: verify, pkg: "token", bench: "^BenchmarkVerifyCached$", quick: true},
	{name: "call: modern", pkg: "mcphttp", bench: "^BenchmarkCall$/^modern$"},
	{name: "call: modern with progress", pkg: "mcphttp", bench: "^BenchmarkCall$/^modern_with_progress$"},
	{name: "call: legacy", pkg: "mcphttp", bench: "^BenchmarkCall$/^legacy$"},
	{name: "call: sse", pkg: "mcphttp", bench: "^BenchmarkCall$/^sse$"},
	{name: "idle GET", pkg: "app", bench: "^BenchmarkIdle$/^http1$/^get$", unix: true},
	{name: "idle listen", pkg: "app", bench: "^BenchmarkIdle$/^http1$/^listen$", unix: true},
	{name: "idle sse", pkg: "app", bench: "^BenchmarkIdle$/^http1$/^sse$", unix: true},
	{name: "idle listen, TLS", pkg: "app", bench: "^BenchmarkIdle$/^tls$/^listen$", unix: true},
	{name: "idle listen, HTTP/2", pkg: "app", bench: "^BenchmarkIdle$/^http2$/^listen$", unix: true},
}

// The subjects of a kind begin so.
const (
	calls = "call: "
	idle  = "idle "
)

// build compiles the benchmarks of each package once.
func build(ctx context.Context, folder string) (map[string]string, error) {
	binaries := map[string]string{}
	for _, s := range subjects {
		if binaries[s.pkg] != "" || s.left() {
			continue
		}
		file := filepath.Join(folder, filepath.Base(s.pkg)+".test")
		if runtime.GOOS == "windows" {
			file += ".exe"
		}
		if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", file, "mcp-gateway/gateway/internal/"+s.pkg).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the benchmarks of %s: %w\n%s", s.pkg, err, out)
		}
		binaries[s.pkg] = file
	}
	return binaries, nil
}

func measure(ctx context.Context, binary, folder string, s subject, requests int) (sample, error) {
	if s.quick {
		requests *= 1000
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.bench="+s.bench, "-test.benchmem", "-test.benchtime="+strconv.Itoa(requests)+"x")
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", s.name, err, out)
	}
	got, err := parseSample(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", s.name, err, out)
	}
	return got, nil
}
