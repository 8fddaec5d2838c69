// Command bridgebench measures mcp-bridge once, beside mcp-remote where Node is
// installed: how soon it answers a host, how much memory it keeps, what a call
// takes, how large it is. It prints what it measured as JSON, for gateway/cmd/bench,
// which repeats it in turns with others, takes the medians and knows the budgets.
//
// The programs take turns here too. The server behind them is in this process and
// asks for no sign-in.
package main

import (
	"context"
	"encoding/json"
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

const usage = `bridgebench measures mcp-bridge beside mcp-remote once, and prints what it measured.

Usage:
  bridgebench [--bridge bin/mcp-bridge] [--calls 500]

make bench runs it, repeats it and compares it with the budgets. The programs see only
PATH, a home of their own and a folder for temporary files, and nothing else of the
environment, such as certificates to load. The environment variable MCP_REMOTE names
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
	bridge string
	calls  int
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bridgebench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage) }
	flags.StringVar(&o.bridge, "bridge", filepath.Join("bin", "mcp-bridge"+exe()), "")
	flags.IntVar(&o.calls, "calls", 500, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.calls < 1 {
		return o, errors.New("--calls is 1 or more, and nothing stands behind the flags")
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
	if _, set := getenv("NODE_EXTRA_CA_CERTS"); set {
		_, _ = fmt.Fprintln(stderr, "NODE_EXTRA_CA_CERTS is set here and kept from the programs: loading certificates is part of their start.")
	}
	m := meter{url: srv.url, home: home, calls: o.calls}
	got, err := m.round(ctx, programs)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if p.file == "" {
			continue
		}
		info, err := os.Stat(p.file)
		if err != nil {
			return err
		}
		got[p.name].Size = info.Size()
	}
	return json.NewEncoder(stdout).Encode(got)
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
