// Command bench measures the gateway and the bridge beside what they are compared
// with, in one run: everything once a round, one after the other, so that a busy
// machine is busy for all of them. It takes medians over the rounds, ratios within
// a round, and holds them to the budgets.
//
// What it measures are programs: the built mcp-gateway and mcp-bridge, servers to
// compare them with, and the benchmarks of packages, which stand where they belong
// and run alone too. It needs the workspace and Go.
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
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `bench measures the gateway and the bridge, and compares them with their budgets.

Usage:
  bench [--only AREA,...] [--rounds 5] [--requests 2000] [--window 500ms]
        [--json FILE] [--gate]

  --only      of these areas: server (the gateway's process beside an echo and
              beside mcp-go's own servers), token, call and idle (benchmarks of the
              gateway's packages), bridge (mcp-bridge beside mcp-remote)
  --requests  of one benchmark in one round, and idle streams
  --window    how long one server is called by so many callers in one round
  --gate      exit with 1 when a budget is missed that does not depend on how busy
              the machine is

Run it from the workspace, after make build. Databases are made in the folder for
temporary files: set TMPDIR to measure another disk. MCP_REMOTE names the proxy.js
of mcp-remote, if it is not in testdata/clients/node_modules.
`

// The areas, in the order of a round.
const (
	areaServer = "server"
	areaToken  = "token"
	areaCall   = "call"
	areaIdle   = "idle"
	areaBridge = "bridge"
)

var areas = []string{areaServer, areaToken, areaCall, areaIdle, areaBridge}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 3 && os.Args[1] == serveCommand {
		err = serve(ctx, os.Args[2], os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		}
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	areas    []string
	rounds   int
	requests int
	window   time.Duration
	jsonFile string
	gate     bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage) }
	only := flags.String("only", strings.Join(areas, ","), "")
	flags.IntVar(&o.rounds, "rounds", 5, "")
	flags.IntVar(&o.requests, "requests", 2000, "")
	flags.DurationVar(&o.window, "window", 500*time.Millisecond, "")
	flags.StringVar(&o.jsonFile, "json", "", "")
	flags.BoolVar(&o.gate, "gate", false, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.requests < 1 || o.window <= 0 {
		return o, errors.New("--rounds, --requests and --window are more than nothing, and nothing stands behind the flags")
	}
	o.areas = strings.Split(*only, ",")
	for _, area := range o.areas {
		if !slices.Contains(areas, area) {
			return o, fmt.Errorf("--only: there is no area %q: there are %s", area, strings.Join(areas, ", "))
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	sources, err := prepare(ctx, o, folder)
	if err != nil {
		return err
	}
	r := report{Machine: describe(ctx), Rounds: o.rounds}
	for round := range o.rounds {
		for _, s := range sources {
			_, _ = fmt.Fprintf(stderr, "round %d of %d: %s\n", round+1, o.rounds, s.name)
			got, err := s.measure(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			r.add(s.area, got)
		}
	}
	r.judge(o.areas)
	if err := r.write(stdout); err != nil {
		return err
	}
	if o.jsonFile != "" {
		if err := r.writeJSON(o.jsonFile); err != nil {
			return err
		}
	}
	if !o.gate {
		return nil
	}
	return r.verdict()
}

// source measures something once, in its turn.
type source struct {
	area, name string
	measure    func(context.Context) ([]measured, error)
}

// measured are figures of one thing in one round.
type measured struct {
	name   string
	sample sample
	// baseline is the thing that it is compared with, if any.
	baseline string
}

// prepare builds what the areas need, and says what to measure in a round.
func prepare(ctx context.Context, o options, folder string) ([]source, error) {
	var all []source
	if slices.Contains(o.areas, areaServer) && runtime.GOOS != "windows" { // which ends no program kindly
		all = append(all, serverSource(filepath.Join("bin", gateway), folder, o))
	}
	benchmarks, err := benchmarkSources(ctx, folder, o)
	if err != nil {
		return nil, err
	}
	all = append(all, benchmarks...)
	if slices.Contains(o.areas, areaBridge) {
		command, err := build(ctx, folder, "bridgebench", "build", "mcp-gateway/bridge/cmd/bridgebench")
		if err != nil {
			return nil, err
		}
		all = append(all, bridgeSource(command, o))
	}
	return all, nil
}

// build compiles a program or the tests of a package into folder.
func build(ctx context.Context, folder, name string, how ...string) (string, error) {
	file := filepath.Join(folder, name+exe())
	last := len(how) - 1
	args := slices.Concat(how[:last], []string{"-o", file, how[last]})
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", how[last], err, out)
	}
	return file, nil
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}
