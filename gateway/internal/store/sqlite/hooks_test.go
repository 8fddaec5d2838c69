package sqlite_test

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	driver "modernc.org/sqlite"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
	driver.RegisterConnectionHook(watchConnection)
	os.Exit(m.Run())
}

// watch sees one database from within SQLite.
type watch struct {
	// settings are those of each connection, as keys.
	settings sync.Map
	commits  atomic.Int64
	// veto turns commits into failures.
	veto atomic.Bool
}

// watches by the path of the database.
var watches sync.Map

// watchDatabase must come before the database is opened.
func watchDatabase(t *testing.T, path string) *watch {
	t.Helper()
	w := new(watch)
	watches.Store(filepath.ToSlash(path), w)
	t.Cleanup(func() { watches.Delete(filepath.ToSlash(path)) })
	return w
}

func watchConnection(conn driver.ExecQuerierContext, dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return err
	}
	watches.Range(func(path, value any) bool {
		if strings.HasSuffix(u.Path, path.(string)) {
			w := value.(*watch)
			settings, failed := settingsOf(conn)
			err = errors.Join(err, failed)
			w.settings.Store(settings, true)
			conn.(driver.HookRegisterer).RegisterCommitHook(func() int32 {
				if w.veto.Load() {
					return 1
				}
				w.commits.Add(1)
				return 0
			})
		}
		return true
	})
	return err
}

func settingsOf(conn driver.ExecQuerierContext) (string, error) {
	var settings []string
	for _, name := range []string{"query_only", "journal_mode", "synchronous", "foreign_keys", "busy_timeout"} {
		rows, err := conn.QueryContext(context.Background(), "PRAGMA "+name, nil)
		if err != nil {
			return "", err
		}
		value := make([]sqldriver.Value, 1)
		if err := errors.Join(rows.Next(value), rows.Close()); err != nil {
			return "", err
		}
		settings = append(settings, fmt.Sprintf("%s=%v", name, value[0]))
	}
	return strings.Join(settings, " "), nil
}
