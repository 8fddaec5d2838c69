package wire_test

import (
	"slices"
	"testing"

	"mcp-gateway/shared/wire"
)

func TestServedRevisionsAreNewestFirst(t *testing.T) {
	t.Parallel()
	served := wire.ServedRevisions()
	want := []string{wire.Revision20260728, wire.Revision20251125, wire.Revision20250618, wire.Revision20250326, wire.Revision20241105}
	if !slices.Equal(served, want) {
		t.Errorf("got %v, want %v", served, want)
	}
	if !wire.Serves(wire.LatestLegacy, wire.EraLegacy) {
		t.Errorf("%s, which initialize falls back to, is not served", wire.LatestLegacy)
	}
}

func TestServesInItsEraOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		version        string
		legacy, modern bool
	}{
		"the current revision":               {version: "2026-07-28", modern: true},
		"the last revision with a handshake": {version: "2025-11-25", legacy: true},
		"the one before":                     {version: "2025-06-18", legacy: true},
		"the one with batches":               {version: "2025-03-26", legacy: true},
		"the first":                          {version: "2024-11-05", legacy: true},
		"one to come":                        {version: "2027-03-01"},
		"nonsense":                           {version: "2026-07-28 "},
		"nothing":                            {version: ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			legacy, modern := wire.Serves(test.version, wire.EraLegacy), wire.Serves(test.version, wire.EraModern)
			if legacy != test.legacy || modern != test.modern {
				t.Errorf("got legacy %v and modern %v, want %v and %v", legacy, modern, test.legacy, test.modern)
			}
		})
	}
}

func TestNamesModern(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"2026-07-28": true, "2026-07-29": true, "2027-01-01": true, "9999-99-99": true,
		"2026-07-27": false, "2025-11-25": false, "": false, "zzzz-zz-zz": false,
		"2026/07/28": false, "2026-07-281": false, "9": false, "2026-0a-28": false, "2027-01-0-": false,
	} {
		if got := wire.NamesModern(version); got != want {
			t.Errorf("%q: got %v, want %v", version, got, want)
		}
	}
}
