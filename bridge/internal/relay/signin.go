package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mcp-gateway/bridge/internal/oauth"
)

// signInEvery brakes what opens browser windows without being asked to.
const signInEvery = time.Minute

// lookEvery is how often the store is looked at for the sign-in of another
// process.
const lookEvery = 3 * time.Second

// errRefusedAgain: signing in once more would not help.
var errRefusedAgain = errors.New("the server refuses the sign-in of a moment ago")

// signIn runs one sign-in at a time, for all calls that need it.
type signIn struct {
	auth Auth
	log  *slog.Logger

	mu      sync.Mutex    // guards below
	running chan struct{} // closed when the last attempt ended; nil before the first
	active  bool
	err     error // of the last attempt
	ended   time.Time
}

// start returns a channel that is closed when the sign-in ends that runs now, or
// that it starts. since is when the request went out that was refused: a sign-in
// that succeeded later is what it lacked. A person who did not sign in is not
// asked again for a minute, unless they asked for it themselves.
func (s *signIn) start(life context.Context, work *sync.WaitGroup, asked bool, since time.Time) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.active:
		return s.running, nil
	case s.running != nil && s.err == nil && s.ended.After(since):
		return s.running, nil
	case s.running != nil && !asked && time.Since(s.ended) < signInEvery:
		if s.err != nil {
			return s.running, s.err
		}
		return s.running, errRefusedAgain
	}
	s.active, s.running = true, make(chan struct{})
	work.Go(func() { s.run(life) })
	return s.running, nil
}

// run is one attempt.
func (s *signIn) run(life context.Context) {
	err := s.auth.SignIn(life)
	if life.Err() == nil {
		if err != nil {
			s.log.WarnContext(life, "the sign-in did not succeed", "error", err)
		} else {
			s.log.InfoContext(life, "signed in")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active, s.err, s.ended = false, err, time.Now()
	close(s.running)
}

// outcome returns the error of the last attempt, nil if it succeeded, runs, or
// was never made.
func (s *signIn) outcome() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active {
		return nil
	}
	return s.err
}

// isActive reports whether an attempt runs.
func (s *signIn) isActive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// current returns the channel of the last attempt.
func (s *signIn) current() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// signInHint tells a person what to do to sign in.
func (r *Relay) signInHint() string {
	switch p := r.cfg.Auth.Pending(); {
	case p.Code != "":
		return fmt.Sprintf("Sign in to %s: open %s in a browser, on any machine, and type the code %s there, or go on if it shows that code", r.cfg.Server, p.URL, p.Code)
	case p.URL != "":
		return fmt.Sprintf("Sign in to %s: open %s in a browser on this machine. If it has none, run in a terminal: mcp-bridge login %s --device, or with --paste", r.cfg.Server, p.URL, r.cfg.Server)
	}
	if err := r.signIn.outcome(); err != nil {
		return fmt.Sprintf("The last sign-in to %s did not succeed: %v. Call the tool %s to try again, or run: mcp-bridge login %s", r.cfg.Server, err, signInTool, r.cfg.Server)
	}
	return fmt.Sprintf("Sign in to %s in the browser window that opens, or run: mcp-bridge login %s", r.cfg.Server, r.cfg.Server)
}

// waitToken waits until somebody has signed in, say by mcp-bridge login in a
// terminal. It reports false when ctx or the bridge ends first.
func (r *Relay) waitToken(ctx context.Context) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if r.hasToken(ctx) {
				return true
			}
		case <-ctx.Done():
			return false
		case <-r.stopping:
			return false
		}
	}
}

// hasToken reports whether there is a token to try with.
func (r *Relay) hasToken(ctx context.Context) bool {
	token, err := r.cfg.Auth.Token(ctx)
	return err == nil && token != "" && !errors.Is(err, oauth.ErrSignIn)
}
