package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

// handshakeTime bounds one attempt to open a session.
const handshakeTime = 30 * time.Second

// The waits between attempts, which a call that needs the session cuts short.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = time.Minute
)

// refusedError is an error of the server's own in answer to initialize.
type refusedError struct {
	server string
	raw    []byte
	object json.RawMessage // its error member
}

// Error implements error.
func (e *refusedError) Error() string {
	message, _ := wire.Member(e.object, "message")
	text, _ := wire.String(message)
	return fmt.Sprintf("%s refuses to begin: %s", e.server, text)
}

// link is what is known of the session with the server (legacy eras). One
// goroutine opens it, again and again; calls wait for it.
type link struct {
	mu      sync.Mutex    // guards below
	changed chan struct{} // closed and replaced at every change
	wanted  chan struct{} // a call waits
	session int           // counts the sessions opened
	up      bool
	err     error // why it is not up, nil while that is not known
}

func newLink() *link {
	return &link{changed: make(chan struct{}), wanted: make(chan struct{}, 1)}
}

// set publishes a change. The lock is held.
func (l *link) set(up bool, err error) {
	l.up, l.err = up, err
	close(l.changed)
	l.changed = make(chan struct{})
}

// isUp reports whether there is a session.
func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// opened publishes a new session, or why there is none.
func (l *link) opened(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.session++
	}
	l.set(err == nil, err)
}

// lose says that a session is not known to the server any more.
func (l *link) lose(session int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up && session == l.session {
		l.set(false, nil)
	}
}

// retry forgets why there is no session: something has changed.
func (l *link) retry() {
	l.mu.Lock()
	if !l.up && l.err != nil {
		l.set(false, nil)
	}
	l.mu.Unlock()
	l.want()
}

// want wakes the one who opens sessions.
func (l *link) want() {
	select {
	case l.wanted <- struct{}{}:
	default:
	}
}

// state is what is known of the session at one time.
type state struct {
	session int
	up      bool
	err     error           // why it is not up, nil while that is not known
	changed <-chan struct{} // closed when this is not true any more
}

// look returns the state.
func (l *link) look() state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return state{l.session, l.up, l.err, l.changed}
}

// await waits for a session and returns its number. It waits out an outage until
// the deadline, and nothing else: who must sign in, or is refused, hears at once.
func (l *link) await(ctx context.Context, stopping <-chan struct{}, deadline time.Time) (int, error) {
	var expired <-chan time.Time
	ending := false
	for {
		now := l.look()
		switch {
		case now.up:
			return now.session, nil
		case now.err != nil && !isOutage(now.err):
			return 0, now.err
		case now.err != nil && ending:
			return 0, errStopping // an attempt that runs may come to its end, no other begins
		}
		l.want()
		if expired == nil {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case <-now.changed:
		case <-expired:
			if now.err == nil {
				return 0, &remote.UnreachableError{Err: errors.New("the server does not answer")}
			}
			return 0, now.err
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-stopping:
			stopping, ending = nil, true
		}
	}
}

// isOutage reports whether an error says that the server cannot be asked now, and
// was not: time may heal that, and a repetition does no harm.
func isOutage(err error) bool {
	if _, ok := errors.AsType[*remote.UnreachableError](err); ok {
		return true
	}
	status, ok := errors.AsType[*remote.StatusError](err)
	return ok && (status.Status == http.StatusServiceUnavailable || status.Status == http.StatusTooManyRequests)
}

// connect keeps a session open for as long as the bridge lives.
func (r *Relay) connect() {
	pause, restarted, asked := firstPause, false, false
	for r.life.Err() == nil {
		hello := r.greeter()
		err := r.handshake(hello)
		if r.life.Err() != nil {
			return
		}
		if r.greeter() != hello {
			continue // the host has begun anew
		}
		r.link.opened(err)
		if r.greeter() != hello { // in between
			r.link.lose(r.link.look().session)
			continue
		}
		if err == nil {
			r.announce(restarted)
			restarted, asked = true, false
			began := time.Now()
			r.stay()
			if time.Since(began) >= lastPause {
				pause = firstPause
				continue
			}
			// A server that forgets at once, say one that knows no GET and
			// answers it with 404, is not asked without rest.
			if !r.rest(pause, 0) {
				return
			}
			pause = min(2*pause, lastPause)
			continue
		}
		r.log.InfoContext(r.life, "no session", "server", r.cfg.Server, "error", err)
		if errors.Is(err, oauth.ErrSignIn) {
			if !r.signedInAgain(asked) {
				return
			}
			pause, asked = firstPause, true
			continue
		}
		if !r.rest(pause, asksToWait(err)) {
			return
		}
		pause = min(2*pause, lastPause)
	}
}

// signedInAgain waits for a sign-in, which it starts if the person has not been
// asked since there was a session: after that only calls ask, for a person who may
// be there. It reports false when the bridge ends.
func (r *Relay) signedInAgain(asked bool) bool {
	running, err := r.signIn.current(), errRefusedAgain
	if !asked || r.signIn.isActive() {
		running, err = r.signIn.start(r.life, &r.work, false, time.Now())
	}
	every := lookEvery
	if errors.Is(err, errRefusedAgain) {
		every = signInEvery // there is a token, which the server does not take
	}
	for {
		if err == nil {
			select {
			case <-running:
				if r.signIn.outcome() == nil {
					return true
				}
			case <-r.stopping:
				return false
			}
		}
		// Nobody is at the screen. Another process may sign in, or a call
		// begin anew.
		for {
			select {
			case <-r.link.wanted:
			case <-time.After(every):
			case <-r.stopping:
				return false
			}
			if r.hasToken(r.life) {
				return true
			}
			if next := r.signIn.current(); next != running {
				running, err = next, nil
				break
			}
		}
	}
}

// asksToWait returns for how long the server does not want to be asked, within
// reason (RFC 9110 §10.2.3).
func asksToWait(err error) time.Duration {
	if status, ok := errors.AsType[*remote.StatusError](err); ok {
		return min(status.RetryAfter, lastPause)
	}
	return 0
}

// rest waits before the next attempt. A call that waits shortens it, but not below
// what the server asks for.
func (r *Relay) rest(pause, asked time.Duration) bool {
	least := time.NewTimer(max(min(pause, time.Second), asked))
	defer least.Stop()
	full := time.NewTimer(pause + time.Duration(rand.Int64N(int64(pause)/4+1)))
	defer full.Stop()
	select {
	case <-least.C:
	case <-r.stopping:
		return false
	}
	select {
	case <-r.link.wanted:
	case <-full.C:
	case <-r.stopping:
		return false
	}
	return true
}

// greeter returns the host's last initialize.
func (r *Relay) greeter() *call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hello
}

// handshake opens a session with the host's own words.
func (r *Relay) handshake(hello *call) error {
	ctx, cancel := context.WithTimeoutCause(r.life, handshakeTime, errors.New("no answer to the handshake"))
	defer cancel()
	var raw []byte
	var answer wire.Message
	err := r.cfg.Remote.Initialize(ctx, hello.m, hello.raw, func(message []byte) bool {
		if m, err := wire.Parse(message); err == nil && m.Kind == wire.KindResponse && wire.IDKey(m.ID) == wire.IDKey(hello.m.ID) {
			raw, answer = message, m
			return true
		}
		return r.fromRemote(message)
	})
	switch {
	case err != nil:
		return r.late(ctx, err)
	case answer.Error != nil:
		return &refusedError{server: r.cfg.Server, raw: raw, object: answer.Error}
	case answer.Result == nil:
		return fmt.Errorf("%s did not answer initialize", r.cfg.Server)
	}
	r.welcomed(hello, raw, answer.Result)
	if err := r.introduce(ctx); err != nil {
		return r.late(ctx, err)
	}
	r.repeatAll(ctx)
	return nil
}

// late is the error of a handshake: a server that takes too long is not there, nor
// is one that a gateway before it cannot reach. To repeat a handshake does no harm.
func (r *Relay) late(ctx context.Context, err error) error {
	if ctx.Err() != nil && r.life.Err() == nil {
		return &remote.UnreachableError{Err: context.Cause(ctx)}
	}
	status, ok := errors.AsType[*remote.StatusError](err)
	if ok && (status.Status == http.StatusBadGateway || status.Status == http.StatusGatewayTimeout) {
		return &remote.UnreachableError{Err: err}
	}
	return err
}

// repeatAll makes a new session what the host had made of the one before.
func (r *Relay) repeatAll(ctx context.Context) {
	r.mu.Lock()
	replays := make([]replay, 0, len(r.replays))
	for _, key := range slices.Sorted(maps.Keys(r.replays)) {
		replays = append(replays, r.replays[key])
	}
	r.mu.Unlock()
	for i, p := range replays {
		r.repeat(ctx, i, p)
	}
}

// stay hears what the server says unasked, until the session is lost.
func (r *Relay) stay() {
	session := r.link.look().session
	ctx, cancel := context.WithCancel(r.life)
	defer cancel()
	ended := make(chan error, 1)
	r.work.Go(func() { ended <- r.cfg.Remote.Listen(ctx, r.fromRemote) })
	for {
		now := r.link.look()
		if !now.up || now.session != session {
			return
		}
		select {
		case err := <-ended:
			if err != nil {
				r.link.lose(session)
			}
			ended = nil // this server says nothing unasked
		case <-now.changed:
		case <-r.life.Done():
			return
		}
	}
}
