// Package sqlite keeps the gateway's records in one SQLite file on a local
// disk, for one process. It owns the schema, the file's rights and the single
// writer; it obeys the contract of package store, which storetest checks. It
// refuses to hold rules of the protocol beyond that contract, and to share its
// file with a second process.
//
// All writes pass through one goroutine (Run) that commits what is queued in
// one synced transaction, a savepoint for each request: a disk that syncs a
// thousand times a second so serves many thousand writes. Reads go through a
// pool of their own and never wait for the writer (write-ahead log).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"
)

// settings of the writer's connection, beyond those of every connection.
var settings = []string{
	"journal_mode(WAL)",
	// A commit is on disk before it is acknowledged. NORMAL would lose the last
	// ones with the power, and a revocation or a rotation with them.
	"synchronous(FULL)",
	"foreign_keys(1)",
	// The log is moved into the database every 32 MB: many commits touch the
	// same pages, which are then moved once.
	"wal_autocheckpoint(8000)",
	"journal_size_limit(67108864)",
	"cache_size(-16384)",
}

// ErrHeld: another process holds the lease.
var ErrHeld = errors.New("another process is using it")

// Store is an open database. It is safe for concurrent use. Writes wait until
// Run runs.
type Store struct {
	lease  *os.File
	writer *sql.DB
	reader *sql.DB
	// conn is the one connection of writer; its statements are write.
	conn  *sql.Conn
	write statements
	read  statements

	queue chan *request
	// stopped is closed when nothing queued will be written any more.
	stopped chan struct{}
	running atomic.Bool
}

// Open opens the database at path, creates it with its folder if it is not
// there, and brings its schema up to date. Only one process, and one Store, may
// have it open: a lock on "<path>.lock" says so and is left there for the next
// one. It starts nothing: see Run.
func Open(ctx context.Context, path string) (_ *Store, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of the database: %w", err)
	}
	lease, err := takeLease(ctx, path+".lock")
	if err != nil {
		return nil, fmt.Errorf("lock database %s by %s.lock: %w", path, filepath.Base(path), err)
	}
	s := &Store{lease: lease, queue: make(chan *request, queueBound), stopped: make(chan struct{})}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), s.Close())
	}
	return s, nil
}

// takeLease waits a moment for a lease that is held: the gateway before this one
// may be just stopping, or the process have a child that is just being started
// and still shares its files.
func takeLease(ctx context.Context, path string) (*os.File, error) {
	const tries, pause = 20, 50 * time.Millisecond
	for i := 1; ; i++ {
		lease, err := lock(path)
		if !errors.Is(err, ErrHeld) || i == tries {
			return lease, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (s *Store) open(ctx context.Context, path string) error {
	if err := restrict(path); err != nil {
		return err
	}
	// As SQLite's own builds do: as durable as fsync, without a wait for the
	// timestamps. macOS and Windows have no such call.
	if _, err := driver.Fdatasync(true); err != nil && !errors.Is(err, driver.ErrFdatasyncUnavailable) {
		return err
	}
	var err error
	if s.writer, err = sql.Open("sqlite", source(path, "_txlock=immediate", settings...)); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writer); err != nil {
		return err
	}
	if s.conn, err = s.writer.Conn(ctx); err != nil {
		return err
	}
	if s.write, err = prepare(ctx, s.conn, false); err != nil {
		return err
	}
	if s.reader, err = sql.Open("sqlite", source(path, "_query_only=1")); err != nil {
		return err
	}
	readers := max(2, runtime.NumCPU())
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	s.read, err = prepare(ctx, s.reader, true)
	return err
}

// Close closes the files and gives the lease back. Call it after Run has
// returned; records already acknowledged are safe in any case.
func (s *Store) Close() error {
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.writer != nil {
		// The last connection to close moves the log into the database.
		errs = append(errs, s.writer.Close())
	}
	return errors.Join(append(errs, s.lease.Close())...)
}

// source names the file and the settings of every connection. The path is
// escaped, because "?" and "%" mean something in such a name.
func source(path, parameter string, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/...
		path = "/" + path
	}
	query := []string{parameter}
	for _, p := range append([]string{"busy_timeout(5000)", "temp_store(MEMORY)"}, pragmas...) {
		query = append(query, "_pragma="+url.QueryEscape(p))
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: strings.Join(query, "&")}).String()
}

// restrict makes the database readable for its owner only. SQLite gives its
// log and index files ("-wal", "-shm") the rights of the database, so it must
// have them before SQLite first sees it.
func restrict(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
