package mcphttp

import "fmt"

// Counted is what is counted of the clients that are served.
func (h *Handler) Counted() string {
	h.states.mu.Lock()
	users, idle, all := 0, h.states.idle.Len(), len(h.states.all)
	for _, s := range h.states.all {
		users += s.use.users
	}
	h.states.mu.Unlock()
	h.streams.mu.Lock()
	open, nameless, persons := len(h.streams.open), h.streams.nameless, len(h.streams.persons)
	h.streams.mu.Unlock()
	h.slots.mu.Lock()
	slots := len(h.slots.taken)
	h.slots.mu.Unlock()
	h.bodies.mu.Lock()
	bodies := len(h.bodies.taken)
	h.bodies.mu.Unlock()
	h.listens.mu.Lock()
	listens := len(h.listens.all)
	h.listens.mu.Unlock()
	h.calls.mu.Lock()
	calls := len(h.calls.cancel)
	h.calls.mu.Unlock()
	return fmt.Sprintf("users=%d notIdle=%d open=%d nameless=%d persons=%d slots=%d bodies=%d listens=%d calls=%d",
		users, all-idle, open, nameless, persons, slots, bodies, listens, calls)
}
