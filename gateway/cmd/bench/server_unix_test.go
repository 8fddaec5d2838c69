//go:build unix

package main

import (
	"os"
	"testing"
	"time"
)

// TestEveryServerIsMeasured has one short round of the built gateway, beside what it
// is compared with.
func TestEveryServerIsMeasured(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	program, err := build(t.Context(), folder, gateway, "build", "mcp-gateway/gateway/cmd/mcp-gateway")
	if err != nil {
		t.Fatal(err)
	}
	got, err := serverSource(program, folder, options{requests: 20, window: 20 * time.Millisecond}).measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := 7*len(callers) + 3; len(got) != want {
		t.Errorf("%d things were measured, want %d", len(got), want)
	}
	for _, one := range got {
		rate, own := one.sample[unitRate], one.sample[unitStart]
		if (rate <= 0 || one.sample[unitP99] < one.sample[unitP50]) && one.name != gateway || own <= 0 && one.name == gateway {
			t.Errorf("%s: %v", one.name, one.sample)
		}
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
}
