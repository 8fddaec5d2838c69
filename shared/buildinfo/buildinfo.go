// Package buildinfo says which build is running.
package buildinfo

import "runtime/debug"

// version is set by the linker for releases (-X mcp-gateway/shared/buildinfo.version=v1.2.3).
var version string

// Version returns the release, or "dev" with the commit where the toolchain
// recorded one.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "dev-" + s.Value[:12]
			}
		}
	}
	return "dev"
}
