package sqlite_test

import (
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
	driver.RegisterConnectionHook(watchCommits)
	os.Exit(m.Run())
}

// watch sees the commits of one database from within SQLite.
type watch struct {
	commits atomic.Int64
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

func watchCommits(conn driver.ExecQuerierContext, dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return err
	}
	watches.Range(func(path, value any) bool {
		if strings.HasSuffix(u.Path, path.(string)) {
			w := value.(*watch)
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
	return nil
}
