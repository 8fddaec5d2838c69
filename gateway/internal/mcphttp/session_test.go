package mcphttp

import (
	"encoding/binary"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/access"
)

// The list of ended sessions cannot be seen from outside, and must not grow
// with what clients do.
func TestEndedSessionsAreForgottenInTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ss := newSessions(nil, time.Hour)
	numbered := func(i int, lifetime time.Duration) session {
		s := session{expires: now.Add(lifetime)}
		binary.BigEndian.PutUint64(s.id[:], uint64(i))
		return s
	}
	for i := range maxEnded + 10 {
		ss.end(numbered(i, time.Hour), now)
		ss.end(numbered(i, time.Hour), now) // twice is once
	}
	if len(ss.ended) != maxEnded || len(ss.order) != maxEnded {
		t.Errorf("got %d and %d sessions, want %d", len(ss.ended), len(ss.order), maxEnded)
	}
	if _, ok := ss.ended[numbered(9, 0).id]; ok {
		t.Error("the oldest was not the one to go")
	}
	ss.end(numbered(-1, 2*time.Hour), now.Add(time.Hour))
	if len(ss.ended) != 1 || len(ss.order) != 1 {
		t.Errorf("got %d and %d sessions, want the one that is not expired", len(ss.ended), len(ss.order))
	}
}

func TestNoTwoOwnersAreAlike(t *testing.T) {
	t.Parallel()
	seen := make(map[string][3]string)
	for _, parts := range [][3]string{
		{"t", "o", "c"}, {"", "", "c"}, {"", "", "d"}, {"to", "", "c"}, {"", "to", "c"}, {"t", "oc", ""}, {"t", "", "oc"}, {"", "", "toc"}, {"toc", "", ""},
	} {
		p := &access.Principal{ClientID: parts[2]}
		p.Tenant, p.Object = parts[0], parts[1]
		key := string(owner(p))
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have one owner", parts, other)
		}
		seen[key] = parts
	}
}
