package buildinfo_test

import (
	"testing"

	"mcp-gateway/shared/buildinfo"
)

func TestVersionIsNeverEmpty(t *testing.T) {
	t.Parallel()
	if buildinfo.Version() == "" {
		t.Error("a build without a release has no name")
	}
}
