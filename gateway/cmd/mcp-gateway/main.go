// Command mcp-gateway runs the gateway and prepares what it needs. It owns the
// command line: arguments, exit codes, and what goes to which output. It
// refuses to hold any rule of the gateway itself.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	c := command{
		stdout: os.Stdout,
		stderr: os.Stderr,
		env:    os.LookupEnv,
		serve: func(ctx context.Context, cfg *config.Config, logger *slog.Logger) error {
			return app.Run(ctx, app.Options{Config: cfg, Logger: logger})
		},
		administer: func(ctx context.Context, dir string, logger *slog.Logger, req admin.Request) (admin.Answer, error) {
			return app.Administer(ctx, dir, admin.Operator(os.Getuid()), logger, req)
		},
	}
	code := c.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
