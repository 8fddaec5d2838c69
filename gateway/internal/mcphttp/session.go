package mcphttp

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/keyring"
)

// session is what a session id carries, sealed (DESIGN D9): nothing is stored,
// so any replica can serve it and none can run out of them. It is never
// authentication: it must match the token's person and client.
type session struct {
	ID       string    `json:"i"`
	Tenant   string    `json:"t"`
	Object   string    `json:"o"`
	Client   string    `json:"c"` // fingerprint
	Revision string    `json:"r"`
	Expires  time.Time `json:"e"`
}

// maxSessionID bounds what is decrypted.
const maxSessionID = 1024

// maxEnded bounds the list of sessions that were ended early. At the bound the
// one that expires first is forgotten; a session gives nothing that the token
// does not.
const maxEnded = 16384

type sessions struct {
	ring     *keyring.Ring
	lifetime time.Duration

	mu sync.Mutex
	// guards below
	ended map[string]time.Time // id -> when it would have expired
}

func newSessions(ring *keyring.Ring, lifetime time.Duration) *sessions {
	return &sessions{ring: ring, lifetime: lifetime, ended: map[string]time.Time{}}
}

// start returns the id of a new session.
func (s *sessions) start(p *access.Principal, revision string, now time.Time) (string, error) {
	plain, err := json.Marshal(session{
		ID: rand.Text(), Tenant: p.Tenant, Object: p.Object, Client: client.Fingerprint(p.ClientID),
		Revision: revision, Expires: now.Add(s.lifetime).UTC().Truncate(time.Second),
	})
	if err != nil {
		return "", fmt.Errorf("encode session: %w", err)
	}
	return s.ring.SealText(keyring.Session, plain, nil), nil
}

// open returns the session that id names, if it is p's and not over.
func (s *sessions) open(id string, p *access.Principal, now time.Time) (session, bool) {
	if len(id) > maxSessionID {
		return session{}, false
	}
	plain, err := s.ring.OpenText(keyring.Session, id, nil)
	if err != nil {
		return session{}, false
	}
	var sess session
	if json.Unmarshal(plain, &sess) != nil {
		return session{}, false
	}
	if sess.Tenant != p.Tenant || sess.Object != p.Object || sess.Client != client.Fingerprint(p.ClientID) || !now.Before(sess.Expires) {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, over := s.ended[sess.ID]
	return sess, !over
}

// end makes a session unknown until it would have expired.
func (s *sessions) end(sess session, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ended) >= maxEnded {
		s.forget(now)
	}
	s.ended[sess.ID] = sess.Expires
}

// forget drops what has expired, or the first to expire.
func (s *sessions) forget(now time.Time) {
	var first string
	for id, expires := range s.ended {
		if !now.Before(expires) {
			delete(s.ended, id)
		} else if first == "" || expires.Before(s.ended[first]) {
			first = id
		}
	}
	if len(s.ended) >= maxEnded {
		delete(s.ended, first)
	}
}
