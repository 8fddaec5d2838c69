package mcphttp

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/wire"
)

func fuzzRing(f *testing.F) *keyring.Ring {
	f.Helper()
	path := filepath.Join(f.TempDir(), "keys.json")
	if err := keyring.Create(path, time.Now()); err != nil {
		f.Fatal(err)
	}
	ring, err := keyring.Load(path, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	return ring
}

func visitor(tenant, object, clientID string) *access.Principal {
	p := &access.Principal{ClientID: clientID}
	p.Tenant, p.Object = tenant, object
	return p
}

// FuzzSessionID: an id opens in the one spelling it was given out in, and for
// nobody but its person and client. Every fuzzing process has a key ring of its
// own, so inputs are edits of an id that this process sealed, never whole ids.
func FuzzSessionID(f *testing.F) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ss := newSessions(fuzzRing(f), time.Hour)
	whose := visitor("t", "o", "c")
	good := ss.begin(whose, wire.LatestLegacy, 0, now)
	f.Add(uint16(0), uint16(0), "", "t", "o", "c")
	f.Add(uint16(0), uint16(len(good)), good, "t", "o", "c")
	f.Add(uint16(len(good)-1), uint16(len(good)), "_", "t", "o", "c") // unused bits
	f.Add(uint16(9), uint16(9), "\r\n", "t", "o", "c")                // skipped by decoders
	f.Add(uint16(len(good)), uint16(len(good)), "==", "t", "o", "c")
	f.Add(uint16(0), uint16(8), "", "t", "o", "c")
	f.Add(uint16(0), uint16(0), "", "to", "", "c")
	f.Add(uint16(0), uint16(0), "", "t", "oc", "")
	f.Fuzz(func(t *testing.T, from, to uint16, text, tenant, object, clientID string) {
		start := min(int(from), len(good))
		id := good[:start] + text + good[max(start, min(int(to), len(good))):]
		p := visitor(tenant, object, clientID)
		s, ok := ss.find(id, p, now)
		if own := id == good && tenant == "t" && object == "o" && clientID == "c"; ok != own {
			t.Fatalf("%q of %q, %q, %q: found is %t", id, tenant, object, clientID, ok)
		}
		if ok && (s.revision != wire.LatestLegacy || !s.expires.Equal(now.Add(time.Hour))) {
			t.Fatalf("it comes back as %+v", s)
		}
		// Nobody's id makes the gateway decode without a bound.
		if len(id) > maxSessionID && ok {
			t.Fatalf("an id of %d bytes was opened", len(id))
		}
	})
}

// FuzzSessionContent: even what was sealed with our key is believed only as far
// as this version understands it: another version of the gateway may have
// sealed it, or seal it again in another form.
func FuzzSessionContent(f *testing.F) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ring := fuzzRing(f)
	ss := newSessions(ring, time.Hour)
	p := visitor("t", "o", "c")
	content := func(expires uint64, revision string) []byte {
		return append(append(binary.BigEndian.AppendUint64(make([]byte, len(sessionID{})), expires), 0), revision...)
	}
	future := uint64(now.Add(time.Hour).Unix())
	f.Add(content(future, wire.LatestLegacy))
	f.Add(content(future, wire.Revision20251125))
	f.Add(content(uint64(now.Unix()), wire.LatestLegacy))      // ends now
	f.Add(content(1<<63, wire.LatestLegacy))                   // before the beginning of time
	f.Add(content(1<<63-1, wire.LatestLegacy))                 // after the end of it
	f.Add(content(future, "2026-07-28"))                       // the era without sessions
	f.Add(content(future, "1999-01-01"))                       // never served
	f.Add(content(future, wire.LatestLegacy+"x"))              // too long
	f.Add(content(future, wire.LatestLegacy)[:sessionBytes-1]) // too short
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, ok := ss.find(ring.SealText(keyring.Session, content, owner(p)), p, now)
		if !ok {
			return
		}
		if !now.Before(s.expires) || !wire.Serves(s.revision, wire.EraLegacy) {
			t.Fatalf("%x is found as %+v", content, s)
		}
		again := append(append(binary.BigEndian.AppendUint64(s.id[:], uint64(s.expires.Unix())), byte(s.can)), s.revision...)
		if string(again) != string(content) {
			t.Fatalf("%x is printed again as %x", content, again)
		}
		ss.end(s, now)
		if _, ok := ss.find(ring.SealText(keyring.Session, content, owner(p)), p, now); ok {
			t.Fatal("it was ended, and is found under another seal")
		}
		ss.mu.Lock()
		defer ss.mu.Unlock()
		clear(ss.ended) // the next input may be the same
		ss.order = nil
	})
}
