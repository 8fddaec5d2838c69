package mcphttp

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/wire"
)

// sessionID is the random part of a legacy session id.
type sessionID [16]byte

// session is what a legacy session id says. It is never authentication: the
// bearer token of each request is, and the session must be of the same person
// and client.
type session struct {
	id       sessionID
	revision string
	can      can
	expires  time.Time
	// state is what is remembered of it besides, for who has entered it.
	state *state
}

const (
	// sessionBytes is the sealed content: id, expiry in Unix seconds, what the
	// client can do, revision.
	sessionBytes = len(sessionID{}) + 8 + 1 + len(wire.Revision20251125)
	// maxSessionID bounds what is decoded at all; a real id is shorter.
	maxSessionID = 2 * (sessionBytes + keyring.Overhead)
	// maxEnded bounds how many ended sessions are remembered. Beyond it the
	// oldest works again until it expires, which gives nobody anything: it
	// was, and still is, of use only to the person whose it is.
	maxEnded = 10_000
)

// sessions seals legacy sessions into their ids instead of storing them
// (DESIGN D9), and remembers the ones that were ended.
type sessions struct {
	ring     *keyring.Ring
	lifetime time.Duration

	mu sync.Mutex // guards below
	// ended holds the ended sessions until they expire, order the same in
	// the order of their end.
	ended map[sessionID]time.Time
	order []sessionID
}

func newSessions(ring *keyring.Ring, lifetime time.Duration) *sessions {
	return &sessions{ring: ring, lifetime: lifetime, ended: make(map[sessionID]time.Time)}
}

// begin returns the id of a new session. It is visible ASCII (base64url).
func (ss *sessions) begin(p *access.Principal, revision string, can can, now time.Time) string {
	content := make([]byte, len(sessionID{}), sessionBytes)
	_, _ = rand.Read(content) // never fails since Go 1.24
	content = binary.BigEndian.AppendUint64(content, uint64(now.Add(ss.lifetime).Unix()))
	content = append(append(content, byte(can)), revision...)
	return ss.ring.SealText(keyring.Session, content, owner(p))
}

// find opens an id. It finds nothing if the id is made up, of another person
// or another client, expired or ended; callers cannot tell which.
func (ss *sessions) find(id string, p *access.Principal, now time.Time) (session, bool) {
	if len(id) > maxSessionID {
		return session{}, false
	}
	content, err := ss.ring.OpenText(keyring.Session, id, owner(p))
	if err != nil || len(content) != sessionBytes {
		return session{}, false
	}
	rest := content[len(sessionID{}):]
	s := session{
		id:       sessionID(content),
		expires:  time.Unix(int64(binary.BigEndian.Uint64(rest)), 0),
		can:      can(rest[8]),
		revision: string(rest[9:]),
	}
	// A revision may be served no more by the version of the gateway that
	// reads the id.
	if !now.Before(s.expires) || !wire.Serves(s.revision, wire.EraLegacy) {
		return session{}, false
	}
	return s, !ss.hasEnded(s.id)
}

// hasEnded reports whether a session is known no more.
func (ss *sessions) hasEnded(id sessionID) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	_, ended := ss.ended[id]
	return ended
}

// end makes the session unknown.
func (ss *sessions) end(s session, now time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if _, again := ss.ended[s.id]; again {
		return
	}
	for len(ss.order) > 0 && (len(ss.order) >= maxEnded || !now.Before(ss.ended[ss.order[0]])) {
		delete(ss.ended, ss.order[0])
		ss.order = ss.order[1:]
	}
	ss.ended[s.id] = s.expires
	ss.order = append(ss.order, s.id)
}

// owner is the context that a session is sealed in: the person, empty for a client
// that asks for itself, and the client, each with its length before it, so that no
// two owners are alike.
func owner(p *access.Principal) []byte {
	context := make([]byte, 0, 3*4+len(p.Tenant)+len(p.Object)+len(p.ClientID))
	for _, part := range []string{p.Tenant, p.Object, p.ClientID} {
		context = binary.BigEndian.AppendUint32(context, uint32(len(part)))
		context = append(context, part...)
	}
	return context
}
