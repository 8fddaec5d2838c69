package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

// How long a request waits, from its arrival. Hosts give up after a minute.
const (
	// callPatience is for a person who signs in.
	callPatience = 50 * time.Second
	// listPatience is for lists, which have a stand-in, and for a server
	// that cannot be reached.
	listPatience = 20 * time.Second
	// progressEvery is how often a host that asked for progress hears why it
	// waits.
	progressEvery = 5 * time.Second
	// cancelGrace is how long a cancelled call may go on hearing its stream.
	cancelGrace = 10 * time.Second
)

// call is one request of the host.
type call struct {
	m       wire.Message
	raw     []byte
	modern  bool
	arrived time.Time

	ctx     context.Context // ends when the call is abandoned
	cancel  context.CancelCauseFunc
	acked   atomic.Bool   // the server has opened the stream of a subscriptions/listen
	tried   time.Time     // when the last attempt began; of the goroutine that carries the call
	session int           // which the last attempt used, or 0; of the same goroutine
	outage  time.Duration // how long it waits for the server; of the same goroutine
	posted  atomic.Bool   // it was given to the remote, which may not have written it yet
	once    sync.Once     // closes sent
	sent    chan struct{} // closed when the request was written to the server
	done    chan struct{} // closed when it was answered, or needs no answer
}

// newCall enters a request among the unanswered ones. It is nil for one that
// may not be entered, which is answered.
func (r *Relay) newCall(m wire.Message, raw []byte) *call {
	c := &call{m: m, raw: raw, modern: modern(m), arrived: time.Now(), outage: listPatience, sent: make(chan struct{}), done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(r.life)
	key := wire.IDKey(m.ID)
	r.mu.Lock()
	reason := ""
	switch {
	case r.calls[key] != nil:
		reason = "another request with this id is not yet answered"
	case len(r.calls) >= maxCalls:
		reason = fmt.Sprintf("more than %d requests are not yet answered", maxCalls)
	default:
		r.calls[key] = c
	}
	r.mu.Unlock()
	if reason != "" {
		c.cancel(nil)
		r.say(wire.AppendError(nil, m.ID, wire.CodeInvalidRequest, reason, nil))
		return nil
	}
	return c
}

// find returns the unanswered call with an id, or nil.
func (r *Relay) find(id json.RawMessage) *call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[wire.IDKey(id)]
}

// take reports whether a call was still to be answered: who has taken it is the
// one to answer it.
func (r *Relay) take(c *call) bool {
	key := wire.IDKey(c.m.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls[key] != c {
		return false
	}
	delete(r.calls, key)
	delete(r.listens, key)
	close(c.done)
	return true
}

// reply answers a call with a result, unless it has been answered.
func (r *Relay) reply(c *call, result json.RawMessage) {
	if r.take(c) {
		r.say(wire.AppendResult(nil, c.m.ID, result))
	}
}

// fail answers a call with an error, unless it has been answered.
func (r *Relay) fail(c *call, code int, message string, data json.RawMessage) {
	if r.take(c) {
		r.say(wire.AppendError(nil, c.m.ID, code, message, data))
	}
}

// request starts what a request asks for.
func (r *Relay) request(m wire.Message, raw []byte) {
	c := r.newCall(m, raw)
	if c == nil {
		return
	}
	switch {
	case m.Method == "initialize" && !c.modern:
		r.open(c)
	case m.Method == "ping" && !c.modern && !r.link.isUp():
		defer c.cancel(nil) // or it stays with life until the end
		r.reply(c, json.RawMessage(`{}`))
	case r.standInCalled(c):
		r.work.Go(func() { defer c.cancel(nil); r.callStandIn(c) })
	default:
		if m.Method == "server/discover" {
			r.discover(c)
		}
		if c.modern && m.Method == "subscriptions/listen" {
			r.mu.Lock()
			r.listens[wire.IDKey(m.ID)] = c
			r.mu.Unlock()
		}
		r.work.Go(func() { defer c.cancel(nil); r.carry(c) })
	}
}

// carry brings a call to the server and its answer back, through sign-ins,
// restarts and outages, for as long as a host waits.
func (r *Relay) carry(c *call) {
	r.noteReplay(c)
	renewed := false
	for try := 0; ; try++ {
		err := r.attempt(c)
		if c.ctx.Err() != nil {
			r.abandon(c)
			return
		}
		if errors.Is(err, remote.ErrSession) && !errors.Is(err, remote.ErrInterrupted) && !renewed {
			renewed = true
			continue
		}
		if wait := r.wait(c, err, try); wait != nil {
			r.conclude(c, wait)
			return
		}
	}
}

// attempt carries a call once. The session it needs is the link's to open.
func (r *Relay) attempt(c *call) error {
	c.tried, c.session = time.Now(), 0
	if !c.modern {
		var err error
		if c.session, err = r.link.await(c.ctx, r.stopping, c.deadline(c.outage)); err != nil {
			return err
		}
		if r.answerForServer(c) {
			return nil
		}
	}
	c.posted.Store(true)
	err := r.cfg.Remote.Request(c.ctx, c.m, c.raw, remote.Options{Sent: c.markSent}, r.answerOf(c))
	if errors.Is(err, remote.ErrSession) {
		r.link.lose(c.session)
	}
	return err
}

// markSent says that the request was written. It may be called again for a
// repetition, also while the transport still reports the attempt before.
func (c *call) markSent() { c.once.Do(func() { close(c.sent) }) }

// deadline is when a call that began to wait has waited for too long.
func (c *call) deadline(patience time.Duration) time.Time { return c.arrived.Add(patience) }

// wait waits for what a failed attempt lacks. It returns nil when it is worth
// another one, else the reason to give up.
func (r *Relay) wait(c *call, err error, try int) error {
	switch {
	case err == nil:
		return remote.ErrInterrupted // unless it was answered
	case errors.Is(err, oauth.ErrSignIn):
		return r.waitSignIn(c, err)
	case errors.Is(err, remote.ErrInterrupted) && c.endless():
		// Nothing was carried out that a repetition would do twice.
	case !isOutage(err):
		return err
	}
	pause := max(min(firstPause<<min(try, 3), 2*time.Second), asksToWait(err))
	if until := c.deadline(c.outage); !c.endless() && time.Now().Add(pause).After(until) {
		return err
	}
	return r.pause(c, pause, err)
}

// pause lets time pass. It returns why when the call shall not wait to its end.
func (r *Relay) pause(c *call, d time.Duration, err error) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	case <-c.done:
		return err
	case <-r.stopping:
		return errStopping
	}
}

// endless reports whether the call is a stream that a host leaves open: it waits
// for the server as long as the host does.
func (c *call) endless() bool { return c.modern && c.m.Method == "subscriptions/listen" }

// waitSignIn waits for a person to sign in, and tells the host why it waits.
func (r *Relay) waitSignIn(c *call, err error) error {
	running, refused := r.signIn.start(r.life, &r.work, false, c.tried)
	switch {
	case refused != nil && !c.endless():
		return fmt.Errorf("%w: %w", err, refused)
	case errors.Is(refused, errRefusedAgain):
		return r.pause(c, signInEvery, err) // there is nothing else to wait for
	}
	patience := callPatience
	if listKind(c.m.Method) != "" {
		patience = listPatience
	}
	expired := time.NewTimer(time.Until(c.deadline(patience)))
	defer expired.Stop()
	if c.endless() {
		expired.Stop()
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for step := -int(callPatience / progressEvery); ; step++ {
		select {
		case <-running:
			if last := r.signIn.outcome(); last != nil && !c.endless() {
				return fmt.Errorf("%w: %w", err, last)
			} else if last != nil && !r.waitToken(c.ctx) {
				return errStopping
			}
			c.outage = patience // the person has done their part: the handshake gets what is left
			r.link.retry()
			return nil
		case <-tick.C:
			r.progress(c, step)
		case <-expired.C:
			return err
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-c.done:
			return err
		case <-r.stopping:
			return errStopping
		}
	}
}

// progress tells a host that asked for it why a call waits. The steps are below
// zero, because the server's own must be greater ("MUST increase with each
// notification", MCP basic, Progress) and may begin there.
func (r *Relay) progress(c *call, step int) {
	token, ok := c.m.Meta("progressToken")
	if !ok {
		return
	}
	params, err := json.Marshal(map[string]any{"progressToken": token, "progress": step, "message": r.signInHint()})
	if err == nil {
		r.say(wire.AppendNotification(nil, "notifications/progress", params))
	}
}

// conclude answers a call that could not be carried.
func (r *Relay) conclude(c *call, err error) {
	if r.standIn(c, err) {
		return
	}
	status, isStatus := errors.AsType[*remote.StatusError](err)
	switch {
	case errors.Is(err, errStopping):
		r.fail(c, codeUnavailable, err.Error(), nil)
	case errors.Is(err, oauth.ErrSignIn):
		var data json.RawMessage
		if p := r.cfg.Auth.Pending(); p.URL != "" {
			members := map[string]string{"url": p.URL}
			if p.Code != "" {
				members["code"] = p.Code
			}
			data, _ = json.Marshal(members)
		}
		r.fail(c, codeUnavailable, r.signInHint(), data)
	case isStatus && c.m.Method == "server/discover" && isRefusal(status.Status):
		// "Any other error: fall back to initialize" (MCP 2026-07-28 basic,
		// Versioning): a server of before does not know the method.
		r.fail(c, wire.CodeMethodNotFound, err.Error(), nil)
	case errors.Is(err, remote.ErrInterrupted):
		r.fail(c, codeUnavailable, "the connection to "+r.cfg.Server+" was lost before the answer came. The request may have been carried out, so it was not repeated", nil)
	default:
		r.fail(c, codeUnavailable, r.cfg.Server+": "+err.Error(), nil)
	}
}

// isRefusal reports whether a status says that the request itself is wrong.
func isRefusal(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusUnauthorized && status != http.StatusForbidden &&
		status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

// cancel abandons a call that the host does not want any more.
func (r *Relay) cancel(m wire.Message, raw []byte) {
	id, _ := wire.Member(m.Params, "requestId")
	c := r.find(id)
	if c == nil || c.m.Method == "initialize" { // "MUST NOT be cancelled"
		return
	}
	if c.modern {
		// "Closing the stream is the cancellation", and it is never posted
		// (MCP 2026-07-28 basic, Cancellation).
		c.cancel(context.Canceled)
		return
	}
	r.work.Go(func() { r.cancelLegacy(c, m, raw) })
}

// cancelLegacy tells the server, after the call itself; a call that was not
// posted yet just is not.
func (r *Relay) cancelLegacy(c *call, m wire.Message, raw []byte) {
	defer c.cancel(context.Canceled)
	if !r.take(c) || !c.posted.Load() { // answered: "SHOULD NOT send a response"
		return
	}
	grace := time.NewTimer(cancelGrace)
	defer grace.Stop()
	select {
	case <-c.sent:
	case <-grace.C:
		return
	case <-c.ctx.Done():
		return
	}
	if err := r.cfg.Remote.Notify(c.ctx, m, raw); err != nil && c.ctx.Err() == nil {
		r.log.WarnContext(r.life, "a cancellation did not reach the server", "error", err)
	}
	// The stream may still bring what the server sent before it heard.
	select {
	case <-c.ctx.Done():
	case <-grace.C:
	}
}

// abandon ends a call whose host does not wait for it any more, or is told why.
func (r *Relay) abandon(c *call) {
	if r.life.Err() != nil {
		r.fail(c, codeUnavailable, errStopping.Error(), nil)
		return
	}
	r.take(c)
}

// modern reports whether a request carries a modern revision in _meta.
func modern(m wire.Message) bool {
	version, _ := m.Meta(wire.MetaProtocolVersion)
	name, _ := wire.String(version)
	return wire.NamesModern(name)
}
