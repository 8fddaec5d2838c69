package mcphttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"mcp-gateway/shared/wire"
)

// maxNotes bounds the notifications of a request that wait for their turn. Whoever
// sends more waits, until the client has read some or is cut off.
const maxNotes = 64

// view is what mcp-go sees of the client during one request. Each request has its
// own, so nothing of one can come to another; it costs nothing until something is
// sent.
type view struct {
	h *Handler
	x *exchange

	start sync.Once
	// notes are places for one notification each, in the order in which they were
	// asked for.
	notes chan note
	stop  chan struct{}
	done  chan struct{}
}

// note is one notification, or a mark whose turn somebody waits for.
type note struct {
	place chan mcp.JSONRPCNotification
	turn  chan struct{}
}

func newView(h *Handler, x *exchange) *view { return &view{h: h, x: x} }

// Initialize and Initialized are of no use here: only sessions that were begun
// get this far.
func (v *view) Initialize()       {}
func (v *view) Initialized() bool { return true }

// SessionID implements server.ClientSession. No two requests share one.
func (v *view) SessionID() string { return fmt.Sprintf("request %p", v) }

// NotificationChannel implements server.ClientSession. mcp-go asks for it once per
// notification and drops what does not fit at once, so each gets a place of its own;
// it is here that a sender waits. nil, which takes nothing, is for who comes after
// the response.
func (v *view) NotificationChannel() chan<- mcp.JSONRPCNotification {
	place := make(chan mcp.JSONRPCNotification, 1)
	if !v.enqueue(note{place: place}) {
		return nil
	}
	return place
}

// settle returns when all that was sent before has been passed on, or ctx is over.
func (v *view) settle(ctx context.Context) {
	turn := make(chan struct{})
	if v.enqueue(note{turn: turn}) {
		select {
		case <-turn:
		case <-v.done:
		case <-ctx.Done():
		}
	}
}

// enqueue reports whether a note will have its turn.
func (v *view) enqueue(n note) bool {
	v.start.Do(func() {
		v.notes, v.stop, v.done = make(chan note, maxNotes), make(chan struct{}), make(chan struct{})
		go v.pump()
	})
	select {
	case v.notes <- n:
		return true
	case <-v.stop: // if nothing was sent before close, notes is nil
		return false
	}
}

// pump passes the notifications on, in order, until close.
func (v *view) pump() {
	defer close(v.done)
	for {
		select {
		case n := <-v.notes:
			v.take(n)
		case <-v.stop:
			for len(v.notes) > 0 {
				v.take(<-v.notes)
			}
			return
		}
	}
}

// take passes on what comes to a note's place; after close only what is there already.
func (v *view) take(n note) {
	if n.turn != nil {
		close(n.turn)
		return
	}
	select {
	case n := <-n.place:
		v.pass(n)
	case <-v.stop:
		select {
		case n := <-n.place:
			v.pass(n)
		default:
		}
	}
}

// closed is the stop of a view that nothing was sent on.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// close returns when all that was sent has been passed on, so that the response
// comes after it.
func (v *view) close() {
	v.start.Do(func() { v.stop = closed }) // nothing begins any more
	if v.notes != nil {
		close(v.stop)
		<-v.done
	}
}

// pass sends one notification to the client, with its own progress token, byte for
// byte: encoding/json would escape some characters in it.
func (v *view) pass(n mcp.JSONRPCNotification) {
	_, progress := n.Params.AdditionalFields["progressToken"]
	if progress {
		if v.x.progress == nil {
			return // nobody asked for it
		}
		n.Params.AdditionalFields = maps.Clone(n.Params.AdditionalFields) // it is the tool's
		delete(n.Params.AdditionalFields, "progressToken")
	}
	params, err := encode(n.Params)
	if err != nil {
		v.h.cfg.Logger.Error("notification cannot be encoded", slog.String("method", n.Method), slog.Any("error", err))
		return
	}
	if progress {
		rest := params[1:]
		params = append([]byte(`{"progressToken":`), v.x.progress...)
		if len(rest) > 1 {
			params = append(params, ',')
		}
		params = append(params, rest...)
	}
	v.x.out.send(wire.AppendNotification(nil, n.Method, params))
}

// CloseStream closes the connection of a request that takes long, and reports whether
// it did: a client of 2025-11-25 comes back for what is said later, and for the
// response. A tool finds it by asking its session for this method.
func (v *view) CloseStream() bool {
	p, ok := v.x.out.(*reply)
	return ok && p.pause()
}

// SetLogLevel and GetLogLevel implement server.SessionWithLogging.
func (v *view) SetLogLevel(level mcp.LoggingLevel) {
	if s := v.x.state; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.level = level
	}
}

// GetLogLevel is what the client wants to hear; a level that there is not lets
// nothing through.
func (v *view) GetLogLevel() mcp.LoggingLevel {
	s := v.x.state
	if s == nil {
		return "none"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.level == "" {
		return mcp.LoggingLevelInfo // as servers did that set no level (2025-11-25, Logging)
	}
	return s.level
}

// The client's name changes nothing, and its capabilities are those of the session
// or of the request.
func (v *view) GetClientInfo() mcp.Implementation              { return mcp.Implementation{} }
func (v *view) SetClientInfo(mcp.Implementation)               {}
func (v *view) SetClientCapabilities(c mcp.ClientCapabilities) {}

// GetClientCapabilities implements server.SessionWithClientInfo.
func (v *view) GetClientCapabilities() mcp.ClientCapabilities { return v.x.capabilities }

// ProtocolVersion implements server.SessionWithProtocolVersion.
func (v *view) ProtocolVersion() string { return v.x.revision }

// SubscribeToResource and its kin implement server.SessionWithResourceSubscriptions.
func (v *view) SubscribeToResource(uri string) { _ = v.SubscribeToResourceErr(uri) }

// SubscribeToResourceErr refuses when there are too many.
func (v *view) SubscribeToResourceErr(uri string) error {
	s := v.x.state
	if s == nil {
		return errors.New("there is no session to subscribe in")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscribed.add(uri)
}

// UnsubscribeFromResource implements server.SessionWithResourceSubscriptions.
func (v *view) UnsubscribeFromResource(uri string) {
	if s := v.x.state; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subscribed.remove(uri)
	}
}

// SubscribedResources implements server.SessionWithResourceSubscriptions; nobody
// asks.
func (v *view) SubscribedResources() []string { return nil }

// IsSubscribedToResource implements server.SessionWithResourceSubscriptions.
func (v *view) IsSubscribedToResource(uri string) bool { return v.x.state.wants(uri) }

func (s *state) wants(uri string) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscribed.has(uri)
}

// RequestElicitation implements server.SessionWithElicitation.
func (v *view) RequestElicitation(ctx context.Context, req mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	return ask[mcp.ElicitationResult](ctx, v, "elicitation/create", req.Params)
}

// RequestSampling implements server.SessionWithSampling. Tools expect contents, as
// mcp-go's own sessions return them, and no maps.
func (v *view) RequestSampling(ctx context.Context, req mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	result, err := ask[mcp.CreateMessageResult](ctx, v, "sampling/createMessage", req.CreateMessageParams)
	if err != nil {
		return nil, err
	}
	if result.Content, err = mcp.ParseSamplingContent(result.Content); err != nil {
		return nil, fmt.Errorf("the client's answer cannot be read: %w", err)
	}
	switch result.Content.(type) {
	case mcp.Content, []mcp.Content:
		return result, nil
	}
	return nil, errors.New("the client's answer cannot be read: it has no content")
}

// ListRoots implements server.SessionWithRoots.
func (v *view) ListRoots(ctx context.Context, req mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	return ask[mcp.ListRootsResult](ctx, v, "roots/list", nil)
}

// ask puts a question to the client, on the stream of the request that it belongs
// to, and waits for the answer as long as the request does.
func ask[T any](ctx context.Context, v *view, method string, params any) (*T, error) {
	s := v.x.state
	if s == nil {
		return nil, errors.New("a client of this revision is not asked in between")
	}
	var encoded json.RawMessage
	if params != nil {
		var err error
		if encoded, err = json.Marshal(params); err != nil {
			return nil, err
		}
	}
	if lacks(v.x.capabilities, method, encoded) != nil {
		return nil, fmt.Errorf("the client has not said that it can be asked this by %s", method)
	}
	id, answer, ok := s.ask()
	if !ok {
		return nil, errors.New("the client has too many questions to answer already, or has ended its session")
	}
	defer s.forget(id)
	v.settle(ctx)
	if !v.x.out.send(wire.AppendRequest(nil, id, method, encoded)) {
		return nil, errors.New("the client does not read what it is asked")
	}
	select {
	case <-ctx.Done():
		v.x.out.send(wire.AppendNotification(nil, "notifications/cancelled", json.RawMessage(`{"requestId":`+string(id)+`}`)))
		return nil, context.Cause(ctx)
	case msg, ok := <-answer:
		if !ok {
			return nil, errors.New("the client ended its session and did not answer")
		}
		if msg.Error != nil {
			return nil, fmt.Errorf("the client refused: %.200s", msg.Error)
		}
		var result T
		if err := json.Unmarshal(msg.Result, &result); err != nil {
			return nil, fmt.Errorf("the client's answer cannot be read: %w", err)
		}
		return &result, nil
	}
}
