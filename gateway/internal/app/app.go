// Package app puts the gateway together and runs it. It is the only place that
// knows every part, reads the configuration into them, and owns every
// goroutine. It refuses to hold rules of its own.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/buildinfo"
)

const (
	// drainTimeout is how long requests in flight may take to finish when the
	// gateway stops.
	drainTimeout = 10 * time.Second
	// collectEvery is how often dead records are deleted.
	collectEvery = 10 * time.Minute
	// maxHeader bounds a request's headers: a client_id in a URL takes 2 KB.
	maxHeader = 64 << 10
)

// Options of a run.
type Options struct {
	Config *config.Config
	Logger *slog.Logger
	// Listener, if set, is served instead of Config.Listen.
	Listener net.Listener
	// Fetch, if set, fetches what clients publish instead of a client that
	// reaches public addresses alone: for tests.
	Fetch *http.Client
	// Pack is served besides the tools: for tests.
	Pack catalog.Pack
	// Ready, if set, is called once when requests are answered.
	Ready func(net.Addr)
}

// Run serves until ctx ends, then drains and returns nil. Any other end is an
// error. Parts stop in the reverse order of their start: first the listener,
// then the requests and the administration, then the store.
func Run(ctx context.Context, o Options) (err error) {
	ring, err := keyring.Load(o.Config.KeyFile, time.Now())
	if err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, filepath.Join(o.Config.StateDir, databaseName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	fetch := o.Fetch
	if fetch == nil {
		if fetch, err = fetcher(o.Config.Clients); err != nil {
			return err
		}
	}
	c := newCore(o.Config, ring, db, o.Logger)
	g, err := build(o.Config, c, outside{fetch: fetch, pack: o.Pack}, o.Logger)
	if err != nil {
		return err
	}
	listener := o.Listener
	if listener == nil {
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", o.Config.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	return serve(ctx, o, parts{core: c, gateway: g}, listener)
}

// parts are what a run serves with.
type parts struct {
	core
	gateway
}

func serve(ctx context.Context, o Options, p parts, listener net.Listener) error {
	// The store outlives the requests: it has a context of its own, which
	// ends after they are drained.
	storeCtx, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.db.Run(storeCtx) })
	group.Go(func() error { collect(ctx, p.db, o.Logger); return nil })
	group.Go(func() error { p.ring.Watch(ctx, o.Logger); return nil })
	group.Go(func() error { p.run(ctx); return nil })
	group.Go(func() error { p.watchLogin(ctx); return nil })

	administered := administer(ctx, group, o, p.core)

	srv := &http.Server{
		Handler:           p.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      o.Config.HTTP.CallTimeout + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	srv.RegisterOnShutdown(p.endStreams)
	group.Go(func() error {
		err := listen(srv, listener, o.Config.TLS)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve: %w", err)
	})
	group.Go(func() error {
		<-ctx.Done()
		defer stopStore()
		defer func() { <-administered }()
		drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		// The server knows nothing of the streams that were taken out of its hands.
		if err := errors.Join(srv.Shutdown(drainCtx), p.awaitStreams(drainCtx)); err != nil {
			return errors.Join(fmt.Errorf("requests were cut off: %w", err), srv.Close())
		}
		return nil
	})
	o.Logger.InfoContext(ctx, "gateway is up", slog.String("version", buildinfo.Version()),
		slog.String("public_url", o.Config.PublicURL), slog.String("listen", listener.Addr().String()))
	if o.Ready != nil {
		o.Ready(listener.Addr())
	}
	err := group.Wait()
	o.Logger.InfoContext(context.WithoutCancel(ctx), "gateway is down")
	return err
}

func listen(srv *http.Server, l net.Listener, tls config.TLS) error {
	if tls.CertificateFile != "" {
		return srv.ServeTLS(l, tls.CertificateFile, tls.KeyFile)
	}
	return srv.Serve(l)
}

// collect deletes dead records now and then. It only frees space, so a failure
// is logged and tried again.
func collect(ctx context.Context, db *sqlite.Store, logger *slog.Logger) {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if n, err := db.Collect(ctx, now); err != nil {
				logger.WarnContext(ctx, "dead records could not be deleted", slog.Any("error", err))
			} else if n > 0 {
				logger.DebugContext(ctx, "dead records deleted", slog.Int("records", n))
			}
		}
	}
}
