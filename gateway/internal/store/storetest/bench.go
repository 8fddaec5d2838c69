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

// later is a clock that moves on with every record made, as a real one does:
// ends that are all the same would scatter in an index what is neighbours there.
func (k *kit) later() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return start.Add(time.Duration(k.made) * tick)
}

func benchIssue(b *testing.B, k *kit) {
	codes := make([]store.Hash, b.N)
	for _, err := range race(callers, func(n int) error {
		for i := n; i < len(codes); i += callers {
			c := k.code()
			c.ExpiresAt = k.later().Add(time.Hour)
			c.Grant.ExpiresAt = k.later().Add(grantLife)
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
			now := k.later()
			refresh := k.refresh(now)
			_, err := k.RedeemCode(k.Context(), store.Redemption{Code: code, Access: k.access(now), Refresh: &refresh}, now)
			return err
		}
	})
}

func benchRotate(b *testing.B, k *kit) {
	parallel(b, 1, func() func() error {
		token := k.issue(nil).refresh.Hash
		return func() error {
			now := k.later()
			r, err := k.RotateRefresh(k.Context(), k.rotation(token, now), now)
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
