package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/store/sqlite"
)

const databaseName = "gateway.db"

// administer serves the administration's socket in group until ctx ends; the
// channel is closed when nothing of it is under way any more.
//
// A gateway that cannot make the socket serves people all the same: what is lost
// is a way to end access without a restart, and the log says so.
func administer(ctx context.Context, group *errgroup.Group, o Options, c core) <-chan struct{} {
	done := make(chan struct{})
	l, err := admin.Listen(ctx, o.Config.StateDir)
	if err != nil {
		o.Logger.ErrorContext(ctx, "the gateway cannot be administered while it runs", slog.Any("error", err))
		close(done)
		return done
	}
	ops := admin.NewOperations(admin.Config{Store: c.db, Audit: c.trail, Forget: c.tokens.Forget, Ring: c.ring})
	group.Go(func() error {
		defer close(done)
		if err := admin.Serve(ctx, l, ops, o.Logger); err != nil {
			return fmt.Errorf("serve administration: %w", err)
		}
		return nil
	})
	return done
}

// Administer has the gateway that runs on a state folder do what req asks; where
// none runs it does the same itself, on the database, in the name of operator.
func Administer(ctx context.Context, dir, operator string, logger *slog.Logger, req admin.Request) (admin.Answer, error) {
	answer, err := admin.NewRemote(dir).Do(ctx, req)
	if !errors.Is(err, admin.ErrNoServer) {
		return answer, err
	}
	return administerOffline(ctx, dir, operator, logger, req)
}

func administerOffline(ctx context.Context, dir, operator string, logger *slog.Logger, req admin.Request) (answer admin.Answer, err error) {
	path := filepath.Join(dir, databaseName)
	// Opening would make it, and a mistyped folder would look like an empty one.
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return admin.Answer{}, fmt.Errorf("there is no database at %s: is state_dir right, and has the gateway ever run?", path)
	}
	db, err := sqlite.Open(ctx, path)
	if errors.Is(err, sqlite.ErrHeld) {
		return admin.Answer{}, fmt.Errorf("a gateway has %s open and does not answer on %s: it is starting or stopping, or its log says"+
			" why it has no socket. Try again, or stop it first: %w", path, filepath.Join(dir, admin.SocketName), err)
	}
	if err != nil {
		return admin.Answer{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error { return db.Run(writing) })
	defer func() { stop(); err = errors.Join(err, group.Wait()) }()
	ops := admin.NewOperations(admin.Config{Store: db, Audit: audit.New(db, logger)})
	return ops.As(operator).Do(ctx, req)
}
