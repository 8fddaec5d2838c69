package main

import (
	"context"
	"crypto/x509"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"mcp-gateway/shared/buildinfo"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// commands are the words that may stand first.
var commands = []string{"login", "logout", "status", "version", "help"}

// helpWords ask for help wherever they stand.
var helpWords = []string{"-h", "-help", "--help"}

// pages are the help pages, one for each command and one for all.
//
//go:embed help/*.txt
var pages embed.FS

// command is one run of the program and what it may use of the process.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(name string) string
	// open opens an address in the person's browser.
	open func(ctx context.Context, address string) error
	// terminal: stderr is one, of the system goos.
	terminal bool
	goos     string
}

// usageError is a command line that is not understood.
type usageError struct {
	message string
	// page is the help page to read next.
	page string
}

func (e usageError) Error() string { return e.message }

// errSaid is a failure that the answer has told of.
var errSaid = errors.New("the answer says it")

// run does what the arguments say and returns the exit code.
func (c *command) run(ctx context.Context, args []string) int {
	err := c.dispatch(ctx, args)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errSaid):
		return exitFailure
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		c.say("interrupted")
		return exitFailure
	}
	if wrong, ok := errors.AsType[usageError](err); ok {
		c.say("%s\nRun \"%s\" for how to use it.", wrong.message, strings.TrimSpace("mcp-bridge help "+wrong.page))
		return exitUsage
	}
	c.say("%v%s", err, hint(err))
	return exitFailure
}

// hint is the next step after an error that comes without one.
func hint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return ": if your company signs certificates itself, name its certificate with --ca-cert"
	}
	return ""
}

// say writes a line for the person at the terminal.
func (c *command) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.stderr, "mcp-bridge: "+format+"\n", args...)
}

// answer writes what the command was asked for.
func (c *command) answer(text string) error {
	if _, err := io.WriteString(c.stdout, text); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

func (c *command) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usageError{message: "the address of the server is missing: mcp-bridge https://gateway.example.com/mcp"}
	}
	switch name, rest := args[0], args[1:]; name {
	case "login":
		return c.runLogin(ctx, rest)
	case "logout":
		return c.runLogout(ctx, rest)
	case "status":
		return c.runStatus(ctx, rest)
	case "version", "-version", "--version":
		return c.runVersion(rest)
	case "help", "-h", "-help", "--help":
		return c.runHelp(rest)
	default:
		return c.runProxy(ctx, args)
	}
}

func (c *command) runVersion(args []string) error {
	if len(args) > 0 && slices.Contains(helpWords, args[0]) {
		return c.help("")
	}
	if len(args) > 0 {
		return usageError{fmt.Sprintf("version does not take %q", args[0]), ""}
	}
	return c.answer(fmt.Sprintf("mcp-bridge %s %s %s/%s\n", buildinfo.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
}

func (c *command) runHelp(args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "version" || slices.Contains(helpWords, args[0]) {
		return c.help("")
	}
	return c.help(args[0])
}

// help shows the page of a command, or the one of all.
func (c *command) help(name string) error {
	if name == "" {
		name = "mcp-bridge"
	}
	text, err := pages.ReadFile("help/" + name + ".txt")
	if err != nil {
		return usageError{message: fmt.Sprintf("there is no help on %q", name)}
	}
	return c.answer(string(text))
}
