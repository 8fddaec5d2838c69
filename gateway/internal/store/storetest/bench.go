package storetest

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// callers of the budgets (DESIGN §5).
const callers = 16

// Benchmark measures the verbs of the budgets.
func Benchmark(b *testing.B, open Opener) {
	for _, c := range []struct {
		name string
		run  func(*testing.B, *kit)
	}{
		{"issue", benchIssue},
		{"rotate", benchRotate},
		{"use", benchUse},
		{"append-1", func(b *testing.B, k *kit) { benchAppend(b, k, 1) }},
		{"append-100", func(b *testing.B, k *kit) { benchAppend(b, k, 100) }},
	} {
		b.Run(c.name, func(b *testing.B) { c.run(b, newKit(b, open)) })
	}
}

// parallel spreads b.N calls over the callers; each has its own state.
func parallel(b *testing.B, unit int, caller func() func() error) {
	b.ReportAllocs()
	b.SetParallelism((callers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	began := time.Now()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		call := caller()
		for pb.Next() {
			if err := call(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N*unit)/time.Since(began).Seconds(), "/s")
}

func benchIssue(b *testing.B, k *kit) {
	codes := make([]store.Hash, b.N)
	for _, err := range race(callers, func(n int) error {
		for i := n; i < len(codes); i += callers {
			c := k.code()
			codes[i] = c.Hash
			if err := k.CreateCode(k.Context(), c); err != nil {
				return err
			}
		}
		return nil
	}) {
		k.wants("create", err, nil)
	}
	var mu sync.Mutex
	parallel(b, 1, func() func() error {
		return func() error {
			mu.Lock()
			code := codes[0]
			codes = codes[1:]
			mu.Unlock()
			refresh := k.refresh(start)
			_, err := k.RedeemCode(k.Context(), code, k.access(start), &refresh, start)
			return err
		}
	})
}

func benchRotate(b *testing.B, k *kit) {
	parallel(b, 1, func() func() error {
		token := k.issue(nil).refresh.Hash
		return func() error {
			r, err := k.RotateRefresh(k.Context(), k.rotation(token, start), start)
			token = r.Refresh.Hash
			return err
		}
	})
}

func benchUse(b *testing.B, k *kit) {
	parallel(b, 1, func() func() error {
		token := k.issue(nil).access.Hash
		return func() error { return k.use(token, start) }
	})
}

func benchAppend(b *testing.B, k *kit, rows int) {
	batch := make([]store.Event, rows)
	for i := range batch {
		batch[i] = store.Event{
			Time: start, Kind: "call", Outcome: "ok", Reason: "everyone", Tenant: "aaaaaaaa-0000-0000-0000-000000000001",
			Object: "bbbbbbbb-0000-0000-0000-000000000001", GrantID: "grant", Client: "Cursor (0123abcd)", Tool: "math_add",
			Address: "192.0.2.1", Duration: time.Millisecond,
		}
	}
	parallel(b, rows, func() func() error {
		return func() error { return k.AppendEvents(k.Context(), batch) }
	})
}
