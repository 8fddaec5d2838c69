package mcphttp

import (
	"sync"
	"time"
)

// queue holds the messages that wait for the one reader of a stream. It takes no
// room for those that do not.
type queue struct {
	// limit and bytes are how many may wait, and how much, though one message always
	// may. Those after them wait with whoever puts them.
	limit, bytes int
	// more has one when there is something to take.
	more chan struct{}

	mu      sync.Mutex // guards below
	waiting []waits
	taken   int
	// told and size are how many of those wait that nobody waits with, and how much.
	told, size int
	// moved, if somebody waits for it, is closed when the reader has taken one, or
	// will take none.
	moved chan struct{}
	// full: one more came than may wait. closed: nobody reads any more.
	full, closed bool
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, bytes: maxBytes, more: make(chan struct{}, 1)}
}

// waits is a message that waits. told: whoever put it does not wait with it.
type waits struct {
	message []byte
	told    bool
}

// put hands over a message, and reports whether it may be read. If there is no room
// for it among those that nobody waits with, the reader is too slow.
func (q *queue) put(message []byte) bool {
	_, ok := q.add(message, false)
	return ok
}

// putWithin is put for a message that waits for room, behind those that came before,
// as long as the reader takes one within patience.
func (q *queue) putWithin(message []byte, patience time.Duration) bool {
	number, ok := q.add(message, true)
	if !ok {
		return false
	}
	moved, ok := q.place(number)
	if moved == nil {
		return ok
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	for moved != nil {
		select {
		case <-moved:
			over.Reset(patience)
			moved, ok = q.place(number)
		case <-over.C:
			return q.giveUp(number)
		}
	}
	return ok
}

// add appends a message and returns its number; one that cannot wait for room must
// have it.
func (q *queue) add(message []byte, patient bool) (number int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if full := q.told >= q.limit || q.size+len(message) > q.bytes; full && q.told > 0 && !patient {
		q.cut()
	}
	if q.closed || q.full {
		return 0, false
	}
	if q.waiting = append(q.waiting, waits{message, !patient}); !patient {
		q.told++
		q.size += len(message)
	}
	q.wake()
	return q.taken + len(q.waiting), true
}

// place returns what to wait on if there is no room yet for the message with that
// number; else whether it may be read.
func (q *queue) place(number int) (moved <-chan struct{}, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.full {
		return nil, number <= q.taken
	}
	if q.fits(number) {
		return nil, true
	}
	if q.moved == nil {
		q.moved = make(chan struct{})
	}
	return q.moved, false
}

// fits reports whether there is room for the message with that number.
func (q *queue) fits(number int) bool {
	ahead, size := number-q.taken, 0
	if ahead <= 1 || ahead > q.limit {
		return ahead <= 1
	}
	for _, one := range q.waiting[:ahead] {
		size += len(one.message)
	}
	return size <= q.bytes
}

// giveUp is for a message that has waited long enough: if there is no room yet, the
// reader is too slow.
func (q *queue) giveUp(number int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed && !q.full && !q.fits(number) {
		q.cut()
	}
	return number <= q.taken || !q.closed && !q.full
}

// take returns the next message; nil if none waits. !ok says that the reader was too
// slow, and something is lost.
func (q *queue) take() (message []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full || len(q.waiting) == 0 {
		return nil, !q.full
	}
	first := q.waiting[0]
	q.waiting[0] = waits{}
	if message = first.message; first.told {
		q.told--
		q.size -= len(message)
	}
	q.taken++
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil
	} else {
		q.wake()
	}
	q.move()
	return message, true
}

// empty reports whether nothing waits.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.waiting, q.told, q.size = true, nil, 0, 0
	q.move()
}

// cut tells the reader that it is too slow.
func (q *queue) cut() {
	q.full, q.waiting, q.told, q.size = true, nil, 0, 0
	q.wake()
	q.move()
}

func (q *queue) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *queue) move() {
	if q.moved != nil {
		close(q.moved)
		q.moved = nil
	}
}
