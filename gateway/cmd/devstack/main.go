// Command devstack is what "make run" starts: the gateway with a development
// configuration on http://localhost:8788 and, as long as no Microsoft
// application is configured, a simulated Microsoft Entra ID beside it.
//
// The gateway is the production one, app.Run; only its configuration and the
// simulator are made here.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/entrasim"
)

const usage = `devstack runs the gateway for development, with a simulated Microsoft sign-in.

Usage:
  devstack [--port 8788] [--state .devstack] [--verbose]

If MICROSOFT_CLIENT_ID, MICROSOFT_CLIENT_SECRET or MICROSOFT_TENANT_ID is set, in
the environment or in a file .env or .dev.vars here, the real Microsoft is used
instead, and all three must be right.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.LookupEnv); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintf(os.Stderr, "devstack: %v\n", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) (string, bool)) error {
	flags := flag.NewFlagSet("devstack", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage) }
	port := flags.Int("port", 8788, "")
	state := flags.String("state", ".devstack", "")
	verbose := flags.Bool("verbose", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	env, err := environment(getenv)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		return fmt.Errorf("%w; is it running already? --port takes another", err)
	}
	public := fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port) //nolint:errcheck // a tcp listener
	s := stack{public: public, state: *state, env: env, desktop: getenv, stdout: stdout, logger: logger}
	return s.run(ctx, listener)
}

// environment is the process environment over .env and .dev.vars.
func environment(getenv func(string) (string, bool)) (func(string) (string, bool), error) {
	values := map[string]string{}
	for _, name := range []string{".env", ".dev.vars"} {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		more, err := config.ParseEnvFile(name, data)
		if err != nil {
			return nil, err
		}
		maps.Copy(values, more)
	}
	return func(key string) (string, bool) {
		if v, ok := getenv(key); ok {
			return v, true
		}
		v, ok := values[key]
		return v, ok
	}, nil
}

type stack struct {
	public string
	state  string
	env    func(string) (string, bool)
	// desktop is the environment of the process, without files.
	desktop func(string) (string, bool)
	stdout  io.Writer
	logger  *slog.Logger
}

func (s stack) run(ctx context.Context, listener net.Listener) error {
	if err := s.makeKeys(); err != nil {
		return errors.Join(err, listener.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	simulated := !s.hasMicrosoft()
	if simulated {
		env, serve, err := s.simulate(ctx)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		s.env = env
		group.Go(func() error { return serve(ctx) })
	}
	cfg, err := config.Load(config.Source{
		File: "the development configuration", Data: s.configuration(simulated), Env: s.env, ReadFile: os.ReadFile, InsecureDevelopment: true,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("the configuration has mistakes:\n%w", err), listener.Close())
	}
	group.Go(func() error {
		return app.Run(ctx, app.Options{Config: cfg, Logger: s.logger, Listener: listener, Ready: func(net.Addr) { s.ready(ctx, simulated) }})
	})
	return group.Wait()
}

// hasMicrosoft reports whether any setting of a real application is there;
// then all must be right, and nothing is simulated.
func (s stack) hasMicrosoft() bool {
	for _, name := range []string{
		"MICROSOFT_CLIENT_ID", "MICROSOFT_CLIENT_SECRET", "MICROSOFT_CLIENT_SECRET_EXPIRES", "MICROSOFT_CLIENT_CERTIFICATE_PATH", "MICROSOFT_TENANT_ID", "MICROSOFT_ALLOWED_TENANTS", "MICROSOFT_AUTHORITY_HOST", "MICROSOFT_GRAPH_URL",
	} {
		_, plain := s.env(name)
		_, file := s.env(name + "_FILE")
		if plain || file {
			return true
		}
	}
	return false
}

// simulate makes a simulated Microsoft on loopback. It returns the environment
// that names its application, whose secret is random, and what serves it.
func (s stack) simulate(ctx context.Context) (env func(string) (string, bool), serve func(context.Context) error, err error) {
	secret := rand.Text()
	demo := entrasim.Demo(entrasim.DemoClientID, secret, s.public+"/callback")
	demo.Apps[0].SessionClaim, demo.Apps[0].LogoutURL = true, s.public+"/logout/microsoft"
	sim, err := entrasim.New(demo)
	if err != nil {
		return nil, nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	address := fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port) //nolint:errcheck // a tcp listener
	values := map[string]string{
		"MICROSOFT_CLIENT_ID": entrasim.DemoClientID, "MICROSOFT_CLIENT_SECRET": secret,
		"MICROSOFT_TENANT_ID": entrasim.DemoTenant, "MICROSOFT_AUTHORITY_HOST": address, "MICROSOFT_GRAPH_URL": address,
	}
	env = func(key string) (string, bool) { v, ok := values[key]; return v, ok }
	return env, func(ctx context.Context) error { return sim.Serve(ctx, listener) }, nil
}

// configuration is the development configuration file. With the simulator,
// rules show what roles, groups and their absence do, and devices may be signed in;
// with a real tenant, everybody in it may call everything.
func (s stack) configuration(simulated bool) []byte {
	rules := fmt.Sprintf(`
clients: {device_sign_in: true}
access:
  - {name: administrators may call everything, roles: [%s], tools: ["*"]}
  - {name: members may calculate, roles: [%s], tools: [math_add, math_subtract, math_multiply]}
  - {name: engineers may divide, groups: [%s], tools: [math_divide]}
  - {name: everybody may ask who they are, tenants: [%s], tools: [whoami]}
`, entrasim.RoleAdmin, entrasim.RoleUser, entrasim.GroupEngineering, entrasim.DemoTenant)
	if !simulated {
		rules = "\naccess:\n  - {name: everybody in the tenant, tenants: [\"*\"], tools: [\"*\"]}\n"
	}
	return fmt.Appendf(nil, "public_url: %s\nstate_dir: %q\nkey_file: %q\n%s", s.public, s.state, s.keyFile(), rules)
}

func (s stack) keyFile() string { return filepath.Join(s.state, "keys.json") }

// makeKeys makes the development's own key ring in its state folder.
func (s stack) makeKeys() error {
	err := keyring.Create(s.keyFile(), time.Now())
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (s stack) ready(ctx context.Context, simulated bool) {
	_, _ = fmt.Fprintf(s.stdout, "The gateway is up on %s (Ctrl-C stops it).\n", s.public)
	if simulated {
		_, _ = fmt.Fprintln(s.stdout, "Sign-in is SIMULATED: choose a demonstration person on the sign-in page.")
	} else {
		_, _ = fmt.Fprintf(s.stdout, "Sign-in is with Microsoft. The application must have the redirect URI %s/callback (platform Web).\n", s.public)
	}
	printClients(s.stdout, s.public, findBridge(ctx, s.desktop))
}
