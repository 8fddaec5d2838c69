package wire

import (
	"encoding/base64"
	"slices"
	"strings"
)

// Protocol revisions. They are dates, so they compare as text.
const (
	Revision20250618 = "2025-06-18"
	Revision20251125 = "2025-11-25"
	Revision20260728 = "2026-07-28"
)

// Served lists the revisions that are served, newest first.
var Served = []string{Revision20260728, Revision20251125, Revision20250618}

// LatestLegacy is the newest revision with an initialize handshake.
const LatestLegacy = Revision20251125

// IsModern reports whether a revision is of the stateless era, in which every
// request carries its revision, and nothing is negotiated (MCP 2026-07-28,
// Versioning). Revisions still unknown are modern if they are later.
func IsModern(revision string) bool { return revision >= Revision20260728 }

// IsServed reports whether a revision is served.
func IsServed(revision string) bool { return slices.Contains(Served, revision) }

const (
	headerPrefix = "=?base64?"
	headerSuffix = "?="
)

// DecodeHeader decodes a header value that may be wrapped in =?base64?...?=
// because a header cannot carry it as it is (MCP 2026-07-28, Streamable HTTP,
// Value Encoding).
func DecodeHeader(value string) (string, bool) {
	value = strings.Trim(value, " \t")
	inner, ok := strings.CutPrefix(value, headerPrefix)
	if !ok {
		return value, true
	}
	if inner, ok = strings.CutSuffix(inner, headerSuffix); !ok {
		return value, true
	}
	b, err := base64.StdEncoding.DecodeString(inner)
	return string(b), err == nil
}
