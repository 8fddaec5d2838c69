package relay

import (
	"bytes"
	"encoding/json"
	"sync"
)

// maxRemembered bounds one remembered result, in bytes.
const maxRemembered = 64 << 10

// memory is what the server last said of itself: for hosts that ask before it can
// be asked again. It holds no secret.
type memory struct {
	saving sync.Mutex // guards saved
	saved  []byte

	mu    sync.Mutex // guards below
	facts facts
}

// facts is the stored form.
type facts struct {
	// Open: the server answered without a sign-in.
	Open bool `json:"open,omitempty"`
	// Initialize holds results by the revision that was asked for.
	Initialize map[string]json.RawMessage `json:"initialize,omitempty"`
	Discover   json.RawMessage            `json:"discover,omitempty"`
}

// newMemory reads the stored form. One that cannot be read is forgotten.
func newMemory(stored []byte) *memory {
	m := &memory{saved: stored}
	if len(stored) > 0 && json.Unmarshal(stored, &m.facts) != nil {
		m.facts = facts{}
	}
	return m
}

func (m *memory) isOpen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts.Open
}

func (m *memory) keepOpen(open bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts.Open = open
}

// initialize returns the last result for that revision, or nil.
func (m *memory) initialize(asked string) json.RawMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts.Initialize[asked]
}

func (m *memory) keepInitialize(asked string, result json.RawMessage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(result) > maxRemembered || len(m.facts.Initialize) >= 16 {
		return
	}
	if m.facts.Initialize == nil {
		m.facts.Initialize = map[string]json.RawMessage{}
	}
	m.facts.Initialize[asked] = bytes.Clone(result)
}

// discover returns the last result of server/discover, or nil.
func (m *memory) discover() json.RawMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts.Discover
}

func (m *memory) keepDiscover(result json.RawMessage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(result) <= maxRemembered {
		m.facts.Discover = bytes.Clone(result)
	}
}

// knowsEra reports whether the server has ever answered.
func (m *memory) knowsEra() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts.Discover != nil || len(m.facts.Initialize) > 0
}

// save gives keep the stored form if it has changed: one at a time, so that the
// last one is the newest.
func (m *memory) save(keep func([]byte)) {
	m.saving.Lock()
	defer m.saving.Unlock()
	m.mu.Lock()
	data, err := json.Marshal(m.facts)
	m.mu.Unlock()
	if err != nil || bytes.Equal(data, m.saved) {
		return
	}
	m.saved = data
	keep(data)
}
