package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/store/storetest"
)

// childEnv makes the test binary a process that writes until it is killed.
const childEnv = "MCP_GATEWAY_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(writeUntilKilled(path))
	}
	os.Exit(m.Run())
}

// run opens and runs a store; closeStore may be called more than once.
func run(t testing.TB, path string) (s *sqlite.Store, closeStore func()) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	closeStore = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closeStore)
	return s, closeStore
}

func open(t testing.TB, path string) (storetest.Store, func()) {
	return run(t, filepath.Join(path, "gateway.db"))
}

func TestContract(t *testing.T) { storetest.Run(t, open) }

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, open) }

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s, _ := run(t, filepath.Join(dir, "gateway.db"))
	if err := s.AppendEvents(t.Context(), []store.Event{{Kind: "k"}}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestASecondProcessIsKeptOut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	_, closeFirst := run(t, path)
	if _, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another mcp-gateway is using") {
		t.Fatalf("err = %v, want one that names the other process", err)
	}
	closeFirst()
	run(t, path)
}

// edit changes a database behind the store's back.
func edit(t *testing.T, path, statement string) error {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(t.Context(), statement)
	return err
}

func TestANewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	_, closeStore := run(t, path)
	closeStore()
	if err := edit(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "schema version 9999") {
		t.Errorf("err = %v, want one that names the version", err)
	}
}

func TestAFileThatIsNoDatabaseIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	const content = "these are my notes, not a database, and they are long enough to look like one to nobody"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); err == nil {
		t.Error("it was opened")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("the file was changed: %q, %v", got, err)
	}
}

func TestTheAuditTrailIsAppendOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	s, closeStore := run(t, path)
	if err := s.AppendEvents(t.Context(), []store.Event{{Kind: "k"}}); err != nil {
		t.Fatal(err)
	}
	closeStore()
	for _, statement := range []string{`UPDATE events SET outcome = 'ok'`, `DELETE FROM events`} {
		if err := edit(t, path, statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestOneFailingWriteDoesNotFailItsNeighbours(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	// Queued before the writer runs, so that all are one batch.
	var wg sync.WaitGroup
	errs := make([]error, 9)
	for i := range errs {
		wg.Go(func() {
			state := store.HashOf(fmt.Sprint(i / 3)) // three each with the same key: one wins
			errs[i] = s.CreateLogin(context.WithoutCancel(t.Context()), store.Login{State: state, Sealed: []byte("x")})
		})
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		}
	}
	if won != 3 {
		t.Errorf("%d writes succeeded, want one of each key: %v", won, errs)
	}
	cancel()
	if err := errors.Join(<-done, s.Close()); err != nil {
		t.Error(err)
	}
	if err := s.CreateLogin(context.WithoutCancel(t.Context()), store.Login{}); err == nil {
		t.Error("a closed store took a write")
	}
}

// writeUntilKilled acknowledges each write on stdout after it returned.
func writeUntilKilled(path string) int {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go func() { _ = s.Run(context.Background()) }()
	for i := 0; ; i++ {
		if err := s.CreateLogin(context.Background(), store.Login{
			State: store.HashOf(fmt.Sprint(i)), Browser: store.HashOf("b"), Sealed: []byte("x"), ExpiresAt: time.Unix(4e9, 0),
		}); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(i)
	}
}

func TestNothingAcknowledgedIsLostByAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, last := bufio.NewScanner(out), -1
	for lines.Scan() {
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			t.Fatalf("the writer says %q", lines.Text())
		}
		if last == 200 {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if last < 200 {
		t.Fatalf("the writer ended by itself after %d", last)
	}
	s, _ := run(t, path)
	for i := range last + 1 {
		if _, err := s.ConsumeLogin(t.Context(), store.HashOf(fmt.Sprint(i)), store.HashOf("b"), time.Now()); err != nil {
			t.Fatalf("write %d of %d was acknowledged and is lost: %v", i, last, err)
		}
	}
}
