// Command mcp-bridge connects a program that starts MCP servers over stdio to a
// remote MCP server, and signs its person in. It owns the command line: arguments,
// exit codes, what goes to which output, and how the parts are put together.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"mcp-gateway/bridge/internal/browser"
)

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// isTerminal reports whether a person may read a file as it is written.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	c := command{
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		getenv: os.Getenv,
		open:   browser.NewOpener(browser.Environment{GOOS: runtime.GOOS, Getenv: os.Getenv, Exists: exists}).Open,
		goos:   runtime.GOOS,

		terminal: isTerminal(os.Stderr),
	}
	code := c.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
