package wire

// Era is how a revision talks: with a handshake and sessions, or with all
// that matters in every request.
type Era uint8

// The eras (MCP 2026-07-28 basic, Versioning).
const (
	// EraLegacy opens with initialize.
	EraLegacy Era = iota + 1
	// EraModern carries its revision and capabilities in _meta.
	EraModern
)

// The revisions of the protocol.
const (
	Revision20241105 = "2024-11-05"
	Revision20250326 = "2025-03-26"
	Revision20250618 = "2025-06-18"
	Revision20251125 = "2025-11-25"
	Revision20260728 = "2026-07-28"
)

// LatestLegacy is what initialize is answered with when the client asks for a
// revision that is not served: never a modern one.
const LatestLegacy = Revision20251125

// Keys in the _meta of a modern message.
const (
	MetaProtocolVersion    = "io.modelcontextprotocol/protocolVersion"
	MetaClientCapabilities = "io.modelcontextprotocol/clientCapabilities"
	MetaClientInfo         = "io.modelcontextprotocol/clientInfo"
	MetaLogLevel           = "io.modelcontextprotocol/logLevel"
	MetaSubscriptionID     = "io.modelcontextprotocol/subscriptionId"
)

// revisions is every revision there is, newest first.
var revisions = []struct {
	name string
	era  Era
	// served: the gateway serves it now.
	served bool
}{
	{Revision20260728, EraModern, true},
	{Revision20251125, EraLegacy, true},
	{Revision20250618, EraLegacy, true},
	{Revision20250326, EraLegacy, true},
	{Revision20241105, EraLegacy, true},
}

// Serves reports whether the revision is served in that era.
func Serves(name string, era Era) bool {
	for _, r := range revisions {
		if r.name == name {
			return r.served && r.era == era
		}
	}
	return false
}

// ServedRevisions names what is served, newest first.
func ServedRevisions() []string {
	var names []string
	for _, r := range revisions {
		if r.served {
			names = append(names, r.name)
		}
	}
	return names
}

// NamesModern reports whether a protocol version is, or by its date would be,
// a modern revision: one not yet known must be refused in the modern way.
func NamesModern(version string) bool {
	if len(version) != len(Revision20260728) || version < Revision20260728 {
		return false
	}
	for i, c := range []byte(version) {
		if isDash := i == 4 || i == 7; isDash != (c == '-') || !isDash && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
