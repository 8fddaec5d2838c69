package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/shared/buildinfo"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// maxFile is more than any configuration has, and keeps a wrong file name from
// filling the memory.
const maxFile = 1 << 20

// pages are the help pages, one for each command and one for all.
//
//go:embed help/*.txt
var pages embed.FS

// command is one run of the program and what it may use of the process.
type command struct {
	stdout, stderr io.Writer
	env            func(name string) (string, bool)
	serve          func(context.Context, *config.Config, *slog.Logger) error
	// administer does something at the gateway of a state folder.
	administer func(ctx context.Context, dir string, logger *slog.Logger, req admin.Request) (admin.Answer, error)
}

// usageError is a command line that is not understood.
type usageError struct {
	message string
	// page is the help page to read next.
	page string
}

func (e usageError) Error() string { return e.message }

// names are the commands, as typed.
var names = []string{"serve", "check-config", "keys", "users", "clients", "grants", "version", "help"}

// run does what the arguments say and returns the exit code.
func (c *command) run(ctx context.Context, args []string) int {
	err := c.dispatch(ctx, args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if wrong, ok := errors.AsType[usageError](err); ok {
		c.say("%s\nRun \"%s\" for how to use it.", wrong.message, strings.TrimSpace("mcp-gateway help "+wrong.page))
		return exitUsage
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		mistakes := "mistakes"
		if len(problems) == 1 {
			mistakes = "mistake"
		}
		_, _ = fmt.Fprintln(c.stderr, problems)
		c.say("the configuration has %d %s", len(problems), mistakes)
		return exitFailure
	}
	c.say("%v", err)
	return exitFailure
}

// say writes a line for the person at the terminal.
func (c *command) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.stderr, "mcp-gateway: "+format+"\n", args...)
}

func (c *command) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usageError{message: "no command is given"}
	}
	switch name, rest := args[0], args[1:]; name {
	case "serve":
		return c.runServe(ctx, rest)
	case "check-config":
		return c.runCheckConfig(ctx, rest)
	case "keys":
		return c.runKeys(ctx, rest)
	case "users", "clients", "grants":
		return c.runAdmin(ctx, name, rest)
	case "version", "-version", "--version":
		return c.runVersion(rest)
	case "help", "-h", "-help", "--help":
		return c.runHelp(rest)
	default:
		if strings.HasPrefix(name, "-") {
			return usageError{message: fmt.Sprintf("the command is missing before %s", name)}
		}
		return noCommand(name, names, "")
	}
}

func noCommand(name string, names []string, under string) error {
	return usageError{fmt.Sprintf("there is no command %q%s", under+name, suggest(name, names, under)), strings.TrimSpace(under)}
}

func (c *command) runServe(ctx context.Context, args []string) error {
	cfg, err := c.load("serve", args)
	if err != nil {
		return err
	}
	logger := c.logger(cfg.Log)
	for _, warning := range cfg.Warnings() {
		logger.WarnContext(ctx, "configuration", slog.String("warning", warning))
	}
	return c.serve(ctx, cfg, logger)
}

func (c *command) runCheckConfig(ctx context.Context, args []string) error {
	cfg, err := c.load("check-config", args)
	if err != nil {
		return err
	}
	expiry, err := app.CheckLogin(ctx, cfg)
	if err != nil {
		return err
	}
	text, err := cfg.Redacted()
	if err != nil {
		return fmt.Errorf("show the configuration: %w", err)
	}
	for _, warning := range cfg.Warnings() {
		c.say("warning: %s", warning)
	}
	switch now := time.Now(); {
	case expiry.Soon(now):
		c.say("warning: %s", expiry.Words(now))
	case !expiry.At.IsZero():
		c.say("%s", expiry.Words(now))
	}
	return c.answer(text)
}

func (c *command) runVersion(args []string) error {
	flags := newFlags()
	if err := c.parseAll("version", flags, args); err != nil {
		return err
	}
	return c.answer(fmt.Sprintf("mcp-gateway %s %s %s/%s\n", buildinfo.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
}

func (c *command) runHelp(args []string) error {
	if len(args) == 0 || args[0] == "help" {
		return c.help("mcp-gateway")
	}
	return c.help(args[0]) // "help keys init" is "help keys"
}

func (c *command) help(page string) error {
	text, err := pages.ReadFile("help/" + page + ".txt")
	if err != nil {
		return noCommand(page, names, "")
	}
	return c.answer(string(text))
}

// answer writes what the command was asked for.
func (c *command) answer(text string) error {
	if _, err := io.WriteString(c.stdout, text); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// load reads the configuration that the options name.
func (c *command) load(name string, args []string) (*config.Config, error) {
	flags := newFlags()
	file := flags.String("config", "", "")
	envFile := flags.String("env-file", "", "")
	if err := c.parseAll(name, flags, args); err != nil {
		return nil, err
	}
	if *file == "" {
		return nil, usageError{name + " needs --config FILE", name}
	}
	data, err := readFile(*file)
	if err != nil {
		return nil, err
	}
	env := c.env
	if *envFile != "" {
		if env, err = c.withFile(*envFile); err != nil {
			return nil, err
		}
	}
	return config.Load(config.Source{File: *file, Data: data, Env: env})
}

// withFile is the environment with a file behind it.
func (c *command) withFile(name string) (func(string) (string, bool), error) {
	data, err := readFile(name)
	if err != nil {
		return nil, err
	}
	values, err := config.ParseEnvFile(name, data)
	if err != nil {
		return nil, err
	}
	return func(key string) (string, bool) {
		if v, ok := c.env(key); ok {
			return v, true
		}
		v, ok := values[key]
		return v, ok
	}, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes, which no configuration is", name, maxFile)
	}
	return data, nil
}

func (c *command) logger(log config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: log.Level}
	if log.Format == "json" {
		return slog.New(slog.NewJSONHandler(c.stderr, options))
	}
	return slog.New(slog.NewTextHandler(c.stderr, options))
}

func newFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags
}

// parse reads the options of a command; asked for help, it shows the page and
// returns flag.ErrHelp.
func (c *command) parse(name string, flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err == nil {
		return nil
	}
	if errors.Is(err, flag.ErrHelp) {
		if err := c.help(name); err != nil {
			return err
		}
		return flag.ErrHelp
	}
	var defined []string
	flags.VisitAll(func(f *flag.Flag) { defined = append(defined, f.Name) })
	message := name + ": " + err.Error()
	if unknown, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: "); ok {
		unknown = strings.TrimLeft(unknown, "-")
		message = fmt.Sprintf("%s has no option --%s%s", name, unknown, suggest(unknown, defined, "--"))
	}
	return usageError{message, name}
}

// parseAll is parse for a command that takes nothing but options.
func (c *command) parseAll(name string, flags *flag.FlagSet, args []string) error {
	if err := c.parse(name, flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return usageError{fmt.Sprintf("%s does not take %q", name, flags.Arg(0)), name}
	}
	return nil
}

// suggest is a question to append, or nothing.
func suggest(typed string, words []string, prefix string) string {
	if near := config.Nearest(typed, words); near != "" {
		return fmt.Sprintf("; did you mean %s%s?", prefix, near)
	}
	return ""
}
