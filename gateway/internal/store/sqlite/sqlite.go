// Package sqlite keeps the gateway's records in one SQLite file, for one node.
// It implements the contract of package store and owns everything that is
// particular to SQLite: pragmas, migrations, the single writer, the lease that
// keeps a second process out.
//
// All writes pass one goroutine (Run), which commits what is queued as one
// transaction synced to disk: a reply is sent only after its data is durable,
// and many callers share one sync.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an open database. Reads work at once, writes while Run does.
type Store struct {
	writer *sql.DB
	reader *sql.DB
	lease  *os.File
	reads  readStatements

	queue chan *request
	// stopped is closed when Run has ended: no write will be taken any more.
	stopped chan struct{}
}

// Open opens the database at path, makes it if it is not there, and brings its
// schema up to date. It refuses a database that another process serves, and one
// with a newer schema than this binary knows.
func Open(ctx context.Context, path string) (_ *Store, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the state folder: %w", err)
	}
	lease, err := takeLease(path + ".lock")
	if err != nil {
		return nil, err
	}
	s := &Store{lease: lease, queue: make(chan *request, queueBound), stopped: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	// Made first with mode 0600: SQLite gives -wal and -shm the same mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if s.writer, err = sql.Open("sqlite", dsn(path, "_txlock=immediate", "synchronous(FULL)")); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writer, path); err != nil {
		return nil, err
	}
	if s.reader, err = sql.Open("sqlite", dsn(path, "_txlock=deferred", "query_only(1)")); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s.reader.SetMaxOpenConns(max(2, runtime.NumCPU()))
	s.reader.SetMaxIdleConns(max(2, runtime.NumCPU()))
	if err := s.reads.prepare(ctx, s.reader); err != nil {
		return nil, err
	}
	return s, nil
}

// dsn names the database with the pragmas that every connection gets.
func dsn(path, lock, pragma string) string {
	q := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "foreign_keys(1)", "temp_store(MEMORY)",
		"journal_size_limit(67108864)", pragma,
	}}
	// An opaque file: URI, because a path may hold characters that mean
	// something in a URL.
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + lock + "&" + q.Encode()
}

// migrate brings the schema up to date. goose runs each migration in a
// transaction of its own.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version of %s: %w", path, err)
	}
	if have > want {
		return fmt.Errorf("%s has schema version %d and this mcp-gateway knows only up to %d: run the newer version that wrote it, or restore a backup", path, have, want)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("update the schema of %s: %w", path, err)
	}
	return nil
}

// Close closes the database. Run must have ended.
func (s *Store) Close() error {
	var errs []error
	errs = append(errs, s.reads.close())
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lease != nil {
		errs = append(errs, s.lease.Close())
	}
	return errors.Join(errs...)
}
