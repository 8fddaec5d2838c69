package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"mcp-gateway/shared/wire"
)

// endpointTime is how long a server of the HTTP+SSE transport has to say where it
// takes messages.
const endpointTime = 10 * time.Second

var (
	// errNotOld: the server does not speak HTTP+SSE at this address.
	errNotOld = errors.New("no stream of HTTP+SSE")
	// errForeign: it does, and wants messages sent elsewhere.
	errForeign = errors.New("the server names an address for messages that is not its own")
)

// oldStream is a session of the HTTP+SSE transport (MCP 2024-11-05 Transports): one
// stream with everything that the server says, and an address for the rest.
type oldStream struct {
	conn     *Conn
	endpoint string
	receive  Receive // of what answers nothing
	cancel   context.CancelFunc
	done     chan struct{} // closed when the stream has ended
	err      error         // why; read after done

	mu      sync.Mutex // guards below
	waiting map[string]waiter
}

// waiter is a request whose answer the stream will bring.
type waiter struct {
	receive  Receive
	answered chan struct{}
}

// openOld opens the stream and learns the address.
func (c *Conn) openOld(ctx context.Context, receive Receive) (*oldStream, error) {
	life, cancel := context.WithCancel(c.life)
	stopWaiting := context.AfterFunc(ctx, cancel) // until the stream is there
	defer stopWaiting()
	late := time.AfterFunc(endpointTime, cancel)
	defer late.Stop()
	resp, err := c.send(life, request{method: http.MethodGet, url: c.cfg.URL, header: http.Header{"Accept": acceptStream}})
	if err != nil {
		cancel()
		return nil, err
	}
	if !isStream(resp) {
		discard(resp)
		cancel()
		return nil, errNotOld
	}
	events := wire.NewEventReader(resp.Body, maxMessage)
	event, err := events.Next()
	if err != nil || event.Name != "endpoint" {
		_ = resp.Body.Close()
		cancel()
		return nil, errNotOld
	}
	endpoint, err := c.resolve(string(event.Data))
	if err != nil {
		_ = resp.Body.Close()
		cancel()
		return nil, err
	}
	s := &oldStream{conn: c, endpoint: endpoint, receive: receive, cancel: cancel, done: make(chan struct{}), waiting: map[string]waiter{}}
	c.work.Go(func() {
		defer cancel()
		defer func() { _ = resp.Body.Close() }()
		s.read(events)
	})
	return s, nil
}

// resolve returns the address for messages, which must be of the same origin:
// the token goes there.
func (c *Conn) resolve(endpoint string) (string, error) {
	base, err := url.Parse(c.cfg.URL)
	if err != nil {
		return "", err
	}
	target, err := base.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errForeign, err)
	}
	if origin(target) != origin(base) {
		return "", fmt.Errorf("%w: %s", errForeign, clean(target.Redacted()))
	}
	return target.String(), nil
}

// read gives out what the stream brings, until it ends.
func (s *oldStream) read(events *wire.EventReader) {
	defer close(s.done)
	for {
		event, err := events.Next()
		if err != nil {
			s.err = err
			return
		}
		if len(event.Data) == 0 || event.Name != "" && event.Name != "message" {
			continue
		}
		m, err := wire.Parse(event.Data)
		if err != nil || m.Kind != wire.KindResponse {
			s.receive(event.Data)
			continue
		}
		s.mu.Lock()
		w, ok := s.waiting[wire.IDKey(m.ID)]
		delete(s.waiting, wire.IDKey(m.ID))
		s.mu.Unlock()
		if ok {
			w.receive(event.Data)
			close(w.answered)
		}
	}
}

// request posts a request and waits until the stream has brought its answer.
func (s *oldStream) request(ctx context.Context, m wire.Message, raw []byte, o Options, receive Receive) error {
	w := waiter{receive: receive, answered: make(chan struct{})}
	s.mu.Lock()
	s.waiting[wire.IDKey(m.ID)] = w
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, wire.IDKey(m.ID))
	}()
	if err := s.post(ctx, raw, o.Sent); err != nil {
		return err
	}
	select {
	case <-w.answered:
		return nil
	case <-s.done:
		return interrupted(ctx, s.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post sends a message.
func (s *oldStream) post(ctx context.Context, raw []byte, sent func()) error {
	select {
	case <-s.done:
		return ErrSession
	default:
	}
	resp, err := s.conn.send(ctx, request{method: http.MethodPost, url: s.endpoint, body: raw, header: http.Header{"Content-Type": typeJSON, "Accept": acceptBoth}, sent: sent})
	if err != nil {
		return err
	}
	defer discard(resp)
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return fmt.Errorf("%w: it answers %d", ErrSession, resp.StatusCode)
	default:
		return s.conn.refused(resp, session{})
	}
}

// wait returns when the stream has ended, and with it the session.
func (s *oldStream) wait(ctx context.Context) error {
	select {
	case <-s.done:
		return fmt.Errorf("%w: %w", ErrSession, s.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}
