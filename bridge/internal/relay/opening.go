package relay

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

// How long a host waits for the answer to its first request before it gets one
// that the server did not give.
const (
	// quick is for a person who is not signed in, so that no host takes the
	// bridge for dead: within 100 ms.
	quick = 80 * time.Millisecond
	// patient is for a server that can be expected to answer.
	patient = 2 * time.Second
)

// open answers initialize: with the server's own result if it comes in time, else
// with the last one known, else with one that claims no more than lists.
func (r *Relay) open(c *call) {
	r.mu.Lock()
	first := r.hello == nil
	r.hello, r.greeted, r.told = c, nil, nil
	clear(r.replays) // the host begins anew
	r.mu.Unlock()
	if first {
		r.work.Go(r.connect)
	} else {
		r.link.lose(r.link.look().session)
		r.link.retry()
	}
	r.work.Go(func() {
		defer c.cancel(nil)
		err := r.firstNews(c)
		if refused, ok := errors.AsType[*refusedError](err); ok {
			if r.take(c) {
				r.say(refused.raw)
			}
			return
		}
		r.greetLocally(c)
	})
}

// firstNews waits until a call is answered, the link is known not to come up, or
// it has taken too long.
func (r *Relay) firstNews(c *call) error {
	soon, late := time.NewTimer(quick), time.NewTimer(patient)
	defer soon.Stop()
	defer late.Stop()
	for {
		now := r.link.look()
		if now.err != nil {
			return now.err
		}
		select {
		case <-now.changed:
		case <-c.done:
			return nil
		case <-soon.C:
			if !r.expectsServer() {
				return nil
			}
		case <-late.C:
			return nil
		}
	}
}

// expectsServer reports whether the server can be expected to answer: somebody is
// signed in, or nobody needs to be.
func (r *Relay) expectsServer() bool {
	select {
	case <-r.known:
	default:
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.signedIn || r.memory.isOpen()
}

// greetLocally answers initialize without the server.
func (r *Relay) greetLocally(c *call) {
	result := r.memory.initialize(askedRevision(c))
	if result == nil {
		result = r.genericResult(askedRevision(c))
	}
	if !r.take(c) {
		return
	}
	r.mu.Lock()
	r.told, _ = wire.Member(result, "capabilities")
	r.invented = true
	r.mu.Unlock()
	r.say(wire.AppendResult(nil, c.m.ID, result))
}

// askedRevision is the revision that initialize asks for.
func askedRevision(c *call) string {
	version, _ := wire.Member(c.m.Params, "protocolVersion")
	asked, _ := wire.String(version)
	return asked
}

// genericResult is what any server can be said to have: lists, that may change.
func (r *Relay) genericResult(asked string) json.RawMessage {
	if !wire.Serves(asked, wire.EraLegacy) {
		asked = wire.LatestLegacy
	}
	changes := map[string]bool{"listChanged": true}
	result, err := json.Marshal(map[string]any{
		"protocolVersion": asked,
		"capabilities":    map[string]any{"tools": changes, "prompts": changes, "resources": changes},
		"serverInfo":      map[string]string{"name": "mcp-bridge", "version": r.cfg.Version},
		"instructions":    "These are the tools of " + r.cfg.Server + ", which has not answered yet.",
	})
	if err != nil {
		panic(err) // strings and booleans
	}
	return result
}

// welcomed takes the server's answer to initialize.
func (r *Relay) welcomed(hello *call, raw []byte, result json.RawMessage) {
	capabilities, _ := wire.Member(result, "capabilities")
	answers := r.take(hello)
	r.mu.Lock()
	r.served = capabilities
	if answers {
		r.told, r.invented = capabilities, false
	}
	r.mu.Unlock()
	if answers {
		r.say(raw)
	}
	r.remember(func(m *memory) { m.keepInitialize(askedRevision(hello), result) })
}

// greet takes the host's notifications/initialized, for this session and those
// that follow it.
func (r *Relay) greet(raw []byte) {
	r.mu.Lock()
	r.greeted = raw
	r.mu.Unlock()
	select {
	case r.greeting <- struct{}{}:
	default:
	}
}

// introduce passes notifications/initialized on: calls come after it. A host that
// does not send it is not waited for long.
func (r *Relay) introduce(ctx context.Context) error {
	late := time.NewTimer(patient)
	defer late.Stop()
	for {
		r.mu.Lock()
		raw := r.greeted
		r.mu.Unlock()
		if raw != nil {
			m, err := wire.Parse(raw)
			if err != nil {
				return err
			}
			return r.cfg.Remote.Notify(ctx, m, raw)
		}
		select {
		case <-r.greeting:
		case <-late.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// discover answers server/discover if the server does not in time. The call goes
// on: its answer is remembered for the next start.
func (r *Relay) discover(c *call) {
	r.work.Go(func() {
		soon, late := time.NewTimer(quick), time.NewTimer(patient)
		defer soon.Stop()
		defer late.Stop()
		for {
			select {
			case <-c.done:
				return
			case <-r.stopping:
				return
			case <-soon.C:
				if !r.expectsServer() && r.memory.knowsEra() {
					r.discoverLocally(c)
					return
				}
			case <-late.C:
				r.discoverLocally(c)
				return
			}
		}
	})
}

// discoverLocally answers with what the server last said. To a host that hears
// -32601 the server is of before, and it sends initialize, which is always
// answered.
func (r *Relay) discoverLocally(c *call) {
	if result := r.memory.discover(); result != nil {
		r.reply(c, result)
		return
	}
	r.fail(c, wire.CodeMethodNotFound, r.cfg.Server+" has not answered yet: begin with initialize", nil)
}

// sniff remembers of an answer what the next start can use.
func (r *Relay) sniff(c *call, m wire.Message) {
	if c.m.Method == "server/discover" && m.Result != nil {
		r.remember(func(memory *memory) { memory.keepDiscover(m.Result) })
	}
}

// remember changes what is remembered, off the way of the messages.
func (r *Relay) remember(change func(*memory)) {
	r.work.Go(func() {
		change(r.memory)
		token, err := r.cfg.Auth.Token(r.life)
		if err == nil {
			r.memory.keepOpen(token == "")
		}
		r.memory.save(r.cfg.Remember)
	})
}

// replay is a request whose effect a new session must have too.
type replay struct {
	method string
	params json.RawMessage
}

// noteReplay keeps requests whose effect belongs to a session.
func (r *Relay) noteReplay(c *call) {
	if c.modern {
		return
	}
	uri, _ := wire.Member(c.m.Params, "uri")
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c.m.Method {
	case "logging/setLevel":
		r.replays["logging"] = replay{c.m.Method, c.m.Params}
	case "resources/subscribe":
		r.replays["resource "+string(uri)] = replay{c.m.Method, c.m.Params}
	case "resources/unsubscribe":
		delete(r.replays, "resource "+string(uri))
	}
}

// repeat does one replay. Its answer is nobody's.
func (r *Relay) repeat(ctx context.Context, i int, p replay) {
	raw := wire.AppendRequest(nil, json.RawMessage(strconv.Quote("mcp-bridge/replay/"+strconv.Itoa(i))), p.method, p.params)
	m, err := wire.Parse(raw)
	if err == nil {
		err = r.cfg.Remote.Request(ctx, m, raw, remote.Options{}, r.fromRemote)
	}
	if err != nil && r.life.Err() == nil && !errors.Is(err, oauth.ErrSignIn) {
		r.log.WarnContext(r.life, "the new session lacks what the host had set", "method", p.method, "error", err)
	}
}
