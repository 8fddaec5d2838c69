package sqlite_test

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
)

// raw opens a database behind the store's back.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// column reads all values of a query for one column of text.
func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var values []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// loadFixture fills a database as the first version left it.
func loadFixture(t *testing.T, db *sql.DB) {
	t.Helper()
	fixture, err := os.ReadFile("testdata/schema-1.sql")
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, string(fixture))
}

// openAndClose opens a database that must be fit to open.
func openAndClose(t *testing.T, path string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("rights of files are access lists there")
	}
	folder := filepath.Join(t.TempDir(), "state", "gateway")
	path := filepath.Join(folder, "gateway.db")
	s := serve(t, path)
	if err := s.AppendEvents(t.Context(), []store.Event{{Kind: "start"}}); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for name, want := range map[string]fs.FileMode{
			folder: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, path + ".lock": 0o600,
		} {
			info, err := os.Stat(name)
			if err != nil {
				t.Error(err)
			} else if got := info.Mode().Perm(); got != want {
				t.Errorf("%s has mode %o, want %o", filepath.Base(name), got, want)
			}
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	s = serve(t, path)
	if err := s.AppendEvents(t.Context(), []store.Event{{Kind: "start"}}); err != nil {
		t.Fatal(err)
	}
	check()
}

func TestOpenTakesAnyPath(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "100%25.db", "what?_pragma=foo#x.db", "zoë.db", "file:x.db"} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, "?:") {
			continue // no such names there
		}
		path := filepath.Join(t.TempDir(), name)
		openAndClose(t, path)
		info, err := os.Stat(path)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		} else if info.Size() == 0 {
			t.Errorf("%q is empty: the records are elsewhere", name)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// prepare makes what is at path before.
		prepare func(t *testing.T, path string)
		want    string
	}{
		{name: "a schema newer than the program", want: "its schema is version 9001 and this program knows only up to 6: run the version that wrote it, or a newer one",
			prepare: func(t *testing.T, path string) {
				openAndClose(t, path)
				execute(t, raw(t, path), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, 1)`)
			}},
		{name: "a file that is no database", want: "file is not a database",
			prepare: func(t *testing.T, path string) {
				if err := os.WriteFile(path, []byte(strings.Repeat("not a database. ", 512)), 0o600); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "a folder in its place", want: "is a directory",
			prepare: func(t *testing.T, path string) {
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "a database that this process has open", want: "another process is using it",
			prepare: func(t *testing.T, path string) { serve(t, path) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "gateway.db")
			tt.prepare(t, path)
			s, err := sqlite.Open(t.Context(), path)
			if err == nil {
				t.Fatal("it was opened", s.Close())
			}
			for _, want := range []string{path, tt.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
	t.Run("a file in the place of its folder", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Open(t.Context(), filepath.Join(file, "gateway.db")); err == nil || !strings.Contains(err.Error(), "create the folder") {
			t.Errorf("error is %v, want one about the folder", err)
		}
	})
}

func TestARefusedOpenChangesNothingAndLetsGo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	openAndClose(t, path)
	db := raw(t, path)
	execute(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, 1)`)
	before := column(t, db, `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name`)
	if s, err := sqlite.Open(t.Context(), path); err == nil {
		t.Fatal("a newer schema was opened", s.Close())
	}
	if after := column(t, db, `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name`); !slices.Equal(before, after) {
		t.Errorf("the schema was %q and is %q", before, after)
	}
	execute(t, db, `DELETE FROM goose_db_version WHERE version_id = 9001`)
	openAndClose(t, path)
}

// A database of the first version is brought up to date with all it holds.
func TestAnOldDatabaseIsMigrated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	old := raw(t, path)
	loadFixture(t, old)
	s := serve(t, path)

	ctx := t.Context()
	if l, err := s.ConsumeLogin(ctx, store.HashOf("state"), store.HashOf("browser"), start); err != nil || string(l.Sealed) != "sealed" {
		t.Errorf("the sign-in: sealed %q, error %v", l.Sealed, err)
	}
	_, g, err := s.UseAccessToken(ctx, store.HashOf("access 1"), start)
	if err != nil || g.Identity.Name != "Zoë" {
		t.Errorf("the access token: name %q, error %v", g.Identity.Name, err)
	}
	repeat := store.Rotation{
		Presented: store.HashOf("refresh 1"), ClientID: "client",
		Access: store.AccessToken{Hash: store.HashOf("access 3"), ExpiresAt: start.Add(time.Hour)},
	}
	r, err := s.RotateRefresh(ctx, repeat, start)
	if err != nil || string(r.Sealed) != "sealed successor" || r.Refresh.Hash != store.HashOf("refresh 2") {
		t.Errorf("the refresh token: sealed %q, error %v", r.Sealed, err)
	}
	access := store.AccessToken{Hash: store.HashOf("access 4"), ExpiresAt: start.Add(time.Hour)}
	if _, err := s.RedeemCode(ctx, store.Redemption{Code: store.HashOf("code 2"), Access: access}, start); err != nil {
		t.Errorf("the open code: %v", err)
	}
	if events, err := s.Events(ctx, 0, 10); err != nil || len(events) != 1 {
		t.Errorf("%d events, error %v, want 1", len(events), err)
	}

	fresh := filepath.Join(t.TempDir(), "gateway.db")
	openAndClose(t, fresh)
	const schema = `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'goose_db_version' ORDER BY name`
	if got, want := column(t, old, schema), column(t, raw(t, fresh), schema); !slices.Equal(got, want) {
		t.Errorf("the schema after migration is\n%s\nand of a new database\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestConnectionsAreDurableAndReadersOnlyRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	w := watchDatabase(t, path)
	openAndClose(t, path)
	var got []string
	w.settings.Range(func(setting, _ any) bool {
		got = append(got, setting.(string))
		return true
	})
	slices.Sort(got)
	// synchronous: 2 is FULL.
	want := []string{
		"query_only=0 journal_mode=wal synchronous=2 foreign_keys=1 busy_timeout=5000",
		"query_only=1 journal_mode=wal synchronous=2 foreign_keys=0 busy_timeout=5000",
	}
	if !slices.Equal(got, want) {
		t.Errorf("connections were set up as\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheAuditTrailOnlyGrows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	s := serve(t, path)
	if err := s.AppendEvents(t.Context(), []store.Event{{Kind: "login"}}); err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	for _, text := range []string{
		`UPDATE events SET kind = 'nothing'`, `DELETE FROM events`, `DELETE FROM events WHERE id = 1`,
		`INSERT INTO events SELECT * FROM events WHERE true ON CONFLICT (id) DO UPDATE SET kind = 'nothing'`,
	} {
		_, err := db.ExecContext(t.Context(), text)
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: error is %v, want that the trail is append-only", text, err)
		}
	}
	if got, want := column(t, db, `SELECT kind FROM events`), []string{"login"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestTheFirstReasonOfARevocationStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	s := serve(t, path).(served)
	if err := issue(t.Context(), s.Store, "g"); err != nil {
		t.Fatal(err)
	}
	for i, reason := range []string{"first", "second"} {
		if err := s.RevokeGrant(t.Context(), "g", reason, start.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	got := column(t, raw(t, path), `SELECT revoked_reason || ' at ' || revoked_at FROM grants`)
	if want := []string{"first at 1774749600000000"}; !slices.Equal(got, want) {
		t.Errorf("the grant was revoked %q, want %q", got, want)
	}
}
