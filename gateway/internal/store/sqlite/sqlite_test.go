package sqlite_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, serve)
}

func BenchmarkContract(b *testing.B) { storetest.Benchmark(b, serve) }

// served is an open store whose writer runs.
type served struct {
	*sqlite.Store
	stop func() error
}

func (s served) Close() error { return s.stop() }

// serve opens the database at path and runs its writer until Close.
func serve(tb testing.TB, path string) storetest.Store {
	tb.Helper()
	s, err := sqlite.Open(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ran, s.Close())
	})
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
	})
	return served{s, stop}
}
