// Command bridgebench measures mcp-bridge, beside mcp-remote where Node is
// installed, and holds it to its budgets: how soon it answers a host, how much
// memory it keeps, what it adds to a call, how large it is.
//
// All is measured in one run and in turns, so that a busy machine is busy for
// everybody. The server behind the programs is in this process and asks for no
// sign-in. It refuses to be a part of the product, or of the tests: whether a
// budget is kept depends on the machine, which no test may.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

const usage = `bridgebench measures mcp-bridge beside mcp-remote and compares it with its budgets.

Usage:
  bridgebench [--bridge bin/mcp-bridge] [--rounds 5] [--calls 500] [--json FILE] [--gate]

  --gate   the time to start is a gate even without mcp-remote to compare it with:
           for machines that are not shared

It exits with 1 when a gate is missed. The programs see only PATH, a home of their
own and a folder for temporary files, and nothing else of the environment, such as
certificates to load. The environment variable MCP_REMOTE names
the proxy.js of mcp-remote, if it is not in testdata/clients/node_modules.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.LookupEnv); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintf(os.Stderr, "bridgebench: %v\n", err)
		}
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	bridge   string
	jsonFile string
	rounds   int
	calls    int
	gate     bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bridgebench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage) }
	flags.StringVar(&o.bridge, "bridge", filepath.Join("bin", "mcp-bridge"+exe()), "")
	flags.StringVar(&o.jsonFile, "json", "", "")
	flags.IntVar(&o.rounds, "rounds", 5, "")
	flags.IntVar(&o.calls, "calls", 500, "")
	flags.BoolVar(&o.gate, "gate", false, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.calls < 1 {
		return o, errors.New("--rounds and --calls are 1 or more, and nothing stands behind the flags")
	}
	return o, nil
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) (string, bool)) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	home, err := os.MkdirTemp("", "bridgebench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	srv, err := serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.close()) }()
	programs, err := find(o.bridge, srv.url, getenv)
	if err != nil {
		return err
	}
	m := meter{url: srv.url, home: home, calls: o.calls, progress: stderr}
	r, err := m.measure(ctx, programs, o.rounds)
	if err != nil {
		return err
	}
	if _, set := getenv("NODE_EXTRA_CA_CERTS"); set {
		r.Note = "NODE_EXTRA_CA_CERTS is set here and was kept from the programs: loading certificates is part of their start."
	}
	if err := r.write(stdout, o.gate); err != nil {
		return err
	}
	if o.jsonFile != "" {
		if err := r.writeJSON(o.jsonFile, o.gate); err != nil {
			return err
		}
	}
	return r.verdict(o.gate)
}

// program is how to start one of the programs that are compared.
type program struct {
	name    string
	command string
	args    []string
	file    string // whose size is its size, or empty
}

const (
	direct = "direct"
	bridge = "mcp-bridge"
	remote = "mcp-remote"
)

// find returns the programs to measure: the bridge, which must be there, and
// mcp-remote, which need not.
func find(path, url string, getenv func(string) (string, bool)) ([]program, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no program to measure: %w; make build puts it there", err)
	}
	// The keychain is the default of the product. There is none in an empty
	// home without a session bus, and asking for it is part of the start.
	all := []program{{
		name: bridge, command: path, file: path,
		args: []string{url, "--allow-http", "--no-browser", "--token-store", "keychain"},
	}}
	script, err := findRemote(getenv)
	if err != nil {
		return nil, err
	}
	node, nodeErr := exec.LookPath("node")
	if script != "" && nodeErr == nil {
		all = append(all, program{name: remote, command: node, args: []string{script, url, "--allow-http"}})
	}
	return all, nil
}

// findRemote returns the script of mcp-remote, or "" where it is not installed.
// A script that was asked for by name must be there.
func findRemote(getenv func(string) (string, bool)) (string, error) {
	named, asked := getenv("MCP_REMOTE")
	if !asked {
		named = filepath.Join("testdata", "clients", "node_modules", "mcp-remote", "dist", "proxy.js")
	}
	path, err := filepath.Abs(named)
	if err != nil {
		return "", err
	}
	switch _, err := os.Stat(path); {
	case err == nil:
		return path, nil
	case !asked && errors.Is(err, fs.ErrNotExist):
		return "", nil
	default:
		return "", fmt.Errorf("MCP_REMOTE: %w", err)
	}
}
