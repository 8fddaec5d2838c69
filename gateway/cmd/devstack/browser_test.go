package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mcp-gateway/gateway/internal/lab"
)

// TestMain is also the desktop's browser: whoever calls the test binary
// xdg-open gets a person who signs in as Ada.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "xdg-open" {
		os.Exit(m.Run())
	}
	if err := lab.Desktop(context.Background(), os.Getenv("HOME"), os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
