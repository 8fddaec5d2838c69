// Command mcp-gateway is the gateway: an OAuth 2.1 authorization server for MCP
// clients in front of Microsoft Entra ID, and the MCP server behind it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/buildinfo"
)

const usage = `mcp-gateway puts your company's tools into every MCP client, signed in with Microsoft.

Usage:
  mcp-gateway serve        --config FILE [--env-file FILE]   run the gateway
  mcp-gateway check-config --config FILE [--env-file FILE]   report every mistake, or print the effective settings
  mcp-gateway keys init    FILE                              make a key ring, once
  mcp-gateway version                                        print the version
  mcp-gateway help                                           print this

Start with:
  mcp-gateway keys init /var/lib/mcp-gateway/keys.json
  mcp-gateway check-config --config gateway.yaml
  mcp-gateway serve --config gateway.yaml

Settings of the Microsoft application may stand in the environment instead of the
file: MICROSOFT_CLIENT_ID, MICROSOFT_CLIENT_SECRET, MICROSOFT_TENANT_ID and
MICROSOFT_AUTHORITY_HOST, each also as NAME_FILE with the path of a file that holds
the value (better, for the secret). --env-file reads such variables from a file of
NAME=value lines; the process environment wins.

The answer is on stdout, everything else on stderr. Exit status: 0 done, 1 failed,
2 used wrongly. SIGINT and SIGTERM let running calls finish.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.LookupEnv))
}

// errUsage: the command line is wrong, and was told so.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer, env func(string) (string, bool)) int {
	c := command{stdout: stdout, stderr: stderr, env: env}
	err := c.dispatch(ctx, args)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	default:
		_, _ = fmt.Fprintf(stderr, "mcp-gateway: %v\n", err)
		return 1
	}
}

type command struct {
	stdout, stderr io.Writer
	env            func(string) (string, bool)
}

func (c command) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return c.misused("name a command")
	}
	switch name, rest := args[0], args[1:]; name {
	case "serve":
		return c.serve(ctx, rest)
	case "check-config":
		return c.checkConfig(rest)
	case "keys":
		if len(rest) != 2 || rest[0] != "init" {
			return c.misused("keys takes: init FILE")
		}
		return c.keysInit(rest[1])
	case "version", "--version":
		_, err := fmt.Fprintln(c.stdout, buildinfo.Version())
		return err
	case "help", "--help", "-h":
		_, err := io.WriteString(c.stdout, usage)
		return err
	default:
		return c.misused(fmt.Sprintf("there is no command %q", name))
	}
}

// misused says what is wrong with the command line and where to look.
func (c command) misused(what string) error {
	_, _ = fmt.Fprintf(c.stderr, "mcp-gateway: %s\nrun \"mcp-gateway help\" for the commands\n", what)
	return errUsage
}

// load reads the flags of a command that needs a configuration, and that.
func (c command) load(name string, args []string) (*config.Config, error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(c.stderr)
	flags.Usage = func() { _, _ = io.WriteString(c.stderr, usage) }
	file := flags.String("config", "", "")
	envFile := flags.String("env-file", "", "")
	if err := flags.Parse(args); err != nil {
		return nil, errUsage
	}
	if flags.NArg() > 0 {
		return nil, c.misused(fmt.Sprintf("%s takes no argument %q", name, flags.Arg(0)))
	}
	if *file == "" {
		return nil, c.misused(name + " needs --config FILE")
	}
	data, err := os.ReadFile(*file)
	if err != nil {
		return nil, err
	}
	env, err := withEnvFile(c.env, *envFile)
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(config.Source{File: *file, Data: data, Env: env, ReadFile: os.ReadFile})
	if err != nil {
		return nil, fmt.Errorf("the configuration has mistakes:\n%w", err)
	}
	if len(cfg.Access) == 0 {
		_, _ = fmt.Fprintf(c.stderr, "mcp-gateway: warning: %s has no access rules, so nobody may call anything\n", *file)
	}
	return cfg, nil
}

// withEnvFile adds the variables of a file to the environment, which wins.
func withEnvFile(env func(string) (string, bool), name string) (func(string) (string, bool), error) {
	if name == "" {
		return env, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	values, err := config.ParseEnvFile(name, data)
	if err != nil {
		return nil, err
	}
	return func(key string) (string, bool) {
		if v, ok := env(key); ok {
			return v, true
		}
		v, ok := values[key]
		return v, ok
	}, nil
}

func (c command) serve(ctx context.Context, args []string) error {
	cfg, err := c.load("serve", args)
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Options{Config: cfg, Logger: newLogger(cfg.Log, c.stderr)})
}

func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	opts := &slog.HandlerOptions{Level: levels[cfg.Level]}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func (c command) checkConfig(args []string) error {
	cfg, err := c.load("check-config", args)
	if err != nil {
		return err
	}
	return cfg.Print(c.stdout)
}

func (c command) keysInit(file string) error {
	if err := keyring.Create(file, time.Now()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "key ring written to %s; put it into your backup: without it every client must register again\n", file)
	return err
}
