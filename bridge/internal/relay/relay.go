// Package relay carries messages between the host that started the bridge and the
// remote server, as the bytes that they are, in the host's own era. It owns what
// happens when the two do not meet: the server is down, was restarted, or waits for
// a person to sign in. Then it answers the host in time, with what it knows.
//
// It refuses to read payloads, to know how a person signs in, and to end because
// the server cannot be reached.
//
// It is larger than the house likes: whether there is a server touches the way of
// every message, so that a split would cut each way in two.
//
// It implements MCP 2025-11-25 and 2026-07-28, basic: lifecycle, versioning,
// cancellation, for a program between a client and a server.
package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"mcp-gateway/bridge/internal/host"
	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

// lastCalls is how long calls in flight get when the host leaves; lastWords is
// how long the server gets to hear of it.
const (
	lastCalls = 5 * time.Second
	lastWords = time.Second
)

// maxCalls bounds the requests of a host that are unanswered at one time.
const maxCalls = 4096

// codeUnavailable answers a request that could not be carried: the message says
// why and what to do. It is of the range that JSON-RPC leaves to programs.
const codeUnavailable = -32001

// errStopping ends what waits when the bridge ends.
var errStopping = errors.New("mcp-bridge is stopping")

// Remote is the server: one method for each thing that can be done with a message
// or the connection.
type Remote interface {
	// Request carries a request and gives receive every message of its
	// answer, the response last.
	Request(ctx context.Context, m wire.Message, raw []byte, o remote.Options, receive remote.Receive) error
	// Notify carries a message that has no answer.
	Notify(ctx context.Context, m wire.Message, raw []byte) error
	// Initialize opens a session, as Request; an old one is forgotten.
	Initialize(ctx context.Context, m wire.Message, raw []byte, receive remote.Receive) error
	// Listen gives receive what the server says unasked, until ctx ends or
	// the session is lost; it returns nil if this server never does.
	Listen(ctx context.Context, receive remote.Receive) error
	// Close ends the session.
	Close(ctx context.Context) error
}

// Auth is the sign-in.
type Auth interface {
	// Token returns the access token, "" when there is none.
	Token(ctx context.Context) (string, error)
	// SignIn asks the person, and waits for them.
	SignIn(ctx context.Context) error
	// Pending is what they need, when they are expected.
	Pending() oauth.Prompt
}

// Config is what a Relay works with.
type Config struct {
	Host   *host.Host
	Remote Remote
	Auth   Auth
	// Server names the remote server to the person: its URL.
	Server string
	// Version names this build to a host that no server has answered yet.
	Version string
	// Remembered is what Remember was last given for this server, or nil: no
	// secrets, answers to the host for the time until the server answers. A nil
	// Remember forgets.
	Remembered []byte
	Remember   func([]byte)
	Logger     *slog.Logger
}

// Relay carries messages between one host and one server.
type Relay struct {
	cfg    Config
	log    *slog.Logger
	memory *memory
	signIn *signIn
	link   *link

	// life ends with Run: it is for work that outlasts the call which began it.
	life     context.Context
	work     sync.WaitGroup // every goroutine but the reader
	stopping chan struct{}  // closed when the bridge begins to end
	stop     sync.Once
	known    chan struct{} // closed when it is known whether a token is there
	greeting chan struct{} // has one when the host sent notifications/initialized

	intake sync.Mutex // guards below, and is held while a message is taken
	ended  bool

	telling sync.Mutex // held while a list, or that it has changed, is said

	mu       sync.Mutex // guards below
	calls    map[string]*call
	listens  map[string]*call // of them, the open subscriptions/listen
	hello    *call            // the host's initialize
	greeted  []byte           // the host's notifications/initialized
	told     json.RawMessage  // the capabilities that the host was told
	invented bool             // they were not the server's
	served   json.RawMessage  // the capabilities that the server named
	standIns map[string]bool  // lists that were answered without the server
	replays  map[string]replay
	watching bool // somebody waits for a sign-in, for a modern host
	signedIn bool // a token was there at the start
}

// New returns a Relay. It starts nothing.
func New(cfg Config) *Relay {
	if cfg.Remember == nil {
		cfg.Remember = func([]byte) {}
	}
	r := &Relay{
		cfg: cfg, log: cfg.Logger, memory: newMemory(cfg.Remembered),
		stopping: make(chan struct{}), known: make(chan struct{}), greeting: make(chan struct{}, 1),
		calls: map[string]*call{}, listens: map[string]*call{}, standIns: map[string]bool{}, replays: map[string]replay{},
	}
	r.signIn = &signIn{auth: cfg.Auth, log: cfg.Logger}
	r.link = newLink()
	return r
}

// Run carries messages until the host closes its end or ctx ends. Calls in flight
// then get five seconds. A read that waits for the host may outlast Run when ctx
// ended it: it ends with the input.
func (r *Relay) Run(ctx context.Context) error {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(errStopping)
	r.life = life
	r.work.Go(r.look)
	read := make(chan error, 1)
	go func() { read <- r.read() }()
	var err error
	select {
	case err = <-read:
	case <-ctx.Done():
	case <-r.stopping:
	}
	r.drain()
	end(errStopping)
	r.settle()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if closeErr := r.cfg.Remote.Close(last); closeErr != nil {
		r.log.DebugContext(ctx, "the session could not be closed", "error", closeErr)
	}
	return err
}

// look finds out whether a token is there, off the way to the first answer.
func (r *Relay) look() {
	defer close(r.known)
	token, err := r.cfg.Auth.Token(r.life)
	if err != nil {
		r.log.WarnContext(r.life, "no stored sign-in can be used", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signedIn = err == nil && token != ""
}

// read takes the host's messages until it has gone.
func (r *Relay) read() error {
	for {
		raw, err := r.cfg.Host.Read()
		switch {
		case err == nil:
			if !r.accept(raw) {
				return nil
			}
		case errors.Is(err, host.ErrTooLong):
			r.say(wire.AppendError(nil, nil, wire.CodeInvalidRequest, err.Error(), nil))
		case errors.Is(err, io.EOF):
			return nil
		default:
			return fmt.Errorf("read from the host: %w", err)
		}
	}
}

// settle waits for what has begun, but not for a host that does not read what it
// is told: a write that it keeps waiting ends with the output.
func (r *Relay) settle() {
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		r.refuse()
		r.work.Wait()
	}()
	late := time.NewTimer(lastWords)
	defer late.Stop()
	select {
	case <-settled:
	case <-late.C:
	}
}

// accept takes a message of the host. It reports false when the bridge has ended:
// what a message starts then, nobody would wait for.
func (r *Relay) accept(raw []byte) bool {
	r.intake.Lock()
	defer r.intake.Unlock()
	if r.ended {
		return false
	}
	r.fromHost(raw)
	return true
}

// refuse ends accept.
func (r *Relay) refuse() {
	r.intake.Lock()
	defer r.intake.Unlock()
	r.ended = true
}

// drain lets calls that the server has come to their end. Those that wait for
// something else, and streams without an end, are not waited for.
func (r *Relay) drain() {
	r.halt()
	until := time.NewTimer(lastCalls)
	defer until.Stop()
	for _, c := range r.unanswered() {
		select {
		case <-c.done:
		case <-until.C:
			return
		}
	}
}

// unanswered returns the calls that are still to be answered.
func (r *Relay) unanswered() []*call {
	r.mu.Lock()
	defer r.mu.Unlock()
	var calls []*call
	for id, c := range r.calls {
		if r.listens[id] == nil {
			calls = append(calls, c)
		}
	}
	return calls
}

// halt begins the end.
func (r *Relay) halt() { r.stop.Do(func() { close(r.stopping) }) }

// say sends a message to the host. A host that does not take it has gone.
func (r *Relay) say(message []byte) {
	if err := r.cfg.Host.Write(message); err != nil {
		r.log.ErrorContext(r.life, "the host does not listen any more", "error", err)
		r.halt()
	}
}

// fromHost starts what a message of the host asks for. It never waits for the
// server: the next message may be the one that cancels this.
func (r *Relay) fromHost(raw []byte) {
	m, err := wire.Parse(raw)
	if err != nil {
		refusal, _ := errors.AsType[*wire.Error](err)
		r.say(wire.AppendError(nil, m.ID, refusal.Code, refusal.Reason, nil))
		return
	}
	switch m.Kind {
	case wire.KindRequest:
		r.request(m, raw)
	case wire.KindNotification:
		r.notification(m, raw)
	case wire.KindResponse:
		r.pass(m, raw)
	}
}

// notification passes on a notification, or does what it asks for.
func (r *Relay) notification(m wire.Message, raw []byte) {
	switch m.Method {
	case "notifications/initialized":
		r.greet(raw)
	case "notifications/cancelled":
		r.cancel(m, raw)
	default:
		r.pass(m, raw)
	}
}

// pass carries a message without an answer, if there is a session for it.
func (r *Relay) pass(m wire.Message, raw []byte) {
	if m.Kind == wire.KindNotification && !r.link.isUp() {
		r.log.DebugContext(r.life, "dropped a message of the host: no session", "method", m.Method)
		return
	}
	r.work.Go(func() {
		if err := r.cfg.Remote.Notify(r.life, m, raw); err != nil && r.life.Err() == nil {
			r.log.WarnContext(r.life, "a message of the host did not reach the server", "method", m.Method, "error", err)
		}
	})
}

// fromRemote takes a message of the server, asked for or not, and reports whether
// it is a response.
func (r *Relay) fromRemote(raw []byte) bool {
	m, err := wire.Parse(raw)
	switch {
	case err != nil:
		return r.garbled(m, r.find(m.ID), err)
	case m.Kind != wire.KindResponse:
		r.say(raw)
		return false
	}
	if c := r.find(m.ID); c != nil && r.take(c) {
		r.say(raw)
	}
	return true
}

// answerOf takes the messages that answer a call. Its response is nobody else's,
// also when its id has been used again since.
func (r *Relay) answerOf(c *call) remote.Receive {
	return func(raw []byte) bool {
		m, err := wire.Parse(raw)
		switch {
		case err != nil:
			return r.garbled(m, c, err)
		case m.Kind != wire.KindResponse:
			if c.endless() && m.Method == "notifications/subscriptions/acknowledged" {
				again := c.acked.Swap(true)
				defer r.arrived(c, again)
				if again {
					return false // the host has heard it before
				}
			}
			r.say(raw)
			return false
		case wire.IDKey(m.ID) != wire.IDKey(c.m.ID):
			return r.fromRemote(raw)
		}
		r.sniff(c, m)
		if r.take(c) {
			r.say(raw)
		}
		return true
	}
}

// garbled says that the server sent what is no message, and to which call. It
// reports whether that call is answered with it.
func (r *Relay) garbled(m wire.Message, c *call, err error) bool {
	r.log.WarnContext(r.life, "the server sent what is no message", "reason", err)
	if c == nil || wire.IDKey(m.ID) != wire.IDKey(c.m.ID) {
		return false
	}
	r.fail(c, wire.CodeInternal, "the answer of "+r.cfg.Server+" is not valid: "+err.Error(), nil)
	return true
}
