package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

// The tools that stand in for those of a server that does not answer yet.
const (
	signInTool = "sign_in"
	statusTool = "connection_status"
)

// urlPatience is how long an answer may wait for the address of the sign-in page:
// the server's metadata has to be read first.
const urlPatience = 3 * time.Second

// kinds are what lists list.
var kinds = []string{"tools", "prompts", "resources"}

// listKind is the kind of thing that a method lists, or "".
func listKind(method string) string {
	switch method {
	case "tools/list":
		return "tools"
	case "prompts/list":
		return "prompts"
	case "resources/list", "resources/templates/list":
		return "resources"
	default:
		return ""
	}
}

// standIn answers a list or a setting that could not be carried, so that the host
// goes on; it looks again when it hears that the list has changed.
func (r *Relay) standIn(c *call, err error) bool {
	if c.m.Method == "logging/setLevel" && !c.modern {
		r.reply(c, json.RawMessage(`{}`)) // repeated when there is a session
		return true
	}
	kind := listKind(c.m.Method)
	if kind == "" || errors.Is(err, errStopping) || !r.passes(err) {
		return false
	}
	result := r.emptyList(c)
	if kind == "tools" {
		result["tools"] = []any{r.standInTool(c, err)}
	}
	r.sayStandIn(c, kind, encode(result))
	if c.modern {
		r.watch(err)
		return true
	}
	// A session in which nobody is signed in any more is none: the next one is
	// announced. One that has come meanwhile was announced too early.
	r.link.lose(c.session)
	if r.link.isUp() {
		r.announce(false)
	}
	return true
}

// sayStandIn answers with a list that is not the server's: that it has changed is
// said before or after, and not between.
func (r *Relay) sayStandIn(c *call, kind string, result json.RawMessage) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	r.standIns[kind] = true
	r.mu.Unlock()
	r.reply(c, result)
}

// passes reports whether what keeps a call from the server can pass without a
// change to the request.
func (r *Relay) passes(err error) bool {
	if errors.Is(err, oauth.ErrSignIn) {
		return true
	}
	return isOutage(err) && !r.link.isUp()
}

// emptyList is the result of a list with nothing in it.
func (r *Relay) emptyList(c *call) map[string]any {
	name := listKind(c.m.Method)
	if c.m.Method == "resources/templates/list" {
		name = "resourceTemplates"
	}
	return r.result(c, map[string]any{name: []any{}})
}

// result adds to a result what its era asks for.
func (r *Relay) result(c *call, members map[string]any) map[string]any {
	if c.modern {
		members["resultType"] = "complete"
		members["_meta"] = map[string]any{"io.modelcontextprotocol/serverInfo": map[string]string{"name": "mcp-bridge", "version": r.cfg.Version}}
		if listKind(c.m.Method) != "" {
			members["ttlMs"], members["cacheScope"] = 0, "private"
		}
	}
	return members
}

// standInTool is the one tool of a server that does not answer yet.
func (r *Relay) standInTool(c *call, err error) map[string]any {
	name, title, text := statusTool, "Connection status", fmt.Sprintf("The server %s cannot be used now: %v. mcp-bridge keeps trying, and its tools appear when it answers. Call this tool to ask how it stands.", r.cfg.Server, err)
	if errors.Is(err, oauth.ErrSignIn) {
		r.waitURL(c)
		name, title, text = signInTool, "Sign in", fmt.Sprintf("The tools of %s appear when the person has signed in. %s. Show them the address, or call this tool to wait until they have.", r.cfg.Server, r.signInHint())
	}
	return map[string]any{
		"name": name, "title": title, "description": text,
		"inputSchema": map[string]any{"type": "object", "properties": map[string]any{}},
		"annotations": map[string]any{"readOnlyHint": true},
	}
}

// waitURL waits for the address of the sign-in page, while a sign-in runs.
func (r *Relay) waitURL(c *call) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	until := time.NewTimer(urlPatience)
	defer until.Stop()
	for r.signIn.isActive() && r.cfg.Auth.Pending().URL == "" {
		select {
		case <-tick.C:
		case <-until.C:
			return
		case <-c.done:
			return
		case <-r.stopping:
			return
		}
	}
}

// standInCalled reports whether a call is for a tool that stands in: the host was
// told of it, and has not heard of the server's own tools since.
func (r *Relay) standInCalled(c *call) bool {
	if c.m.Method != "tools/call" {
		return false
	}
	value, _ := wire.Member(c.m.Params, "name")
	name, _ := wire.String(value)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.standIns["tools"] && (name == signInTool || name == statusTool)
}

// callStandIn waits for a sign-in or for the server, and says how it ended.
func (r *Relay) callStandIn(c *call) {
	c.tried = time.Now()
	value, _ := wire.Member(c.m.Params, "name")
	err := r.tryAgain(c, string(value) == `"`+signInTool+`"`)
	if c.ctx.Err() != nil {
		r.abandon(c)
		return
	}
	text := fmt.Sprintf("%s answers, and you are signed in. Its tools can be used now; list them again.", r.cfg.Server)
	switch {
	case errors.Is(err, oauth.ErrSignIn):
		r.waitURL(c)
		text = r.signInHint() + ". Then call this tool again."
	case err != nil:
		text = fmt.Sprintf("%s cannot be used now: %v. mcp-bridge keeps trying.", r.cfg.Server, err)
	}
	r.reply(c, encode(r.result(c, map[string]any{
		"content": []any{map[string]string{"type": "text", "text": text}}, "isError": err != nil,
	})))
}

// tryAgain asks for a sign-in if one is needed and waits for its end, and for the
// server.
func (r *Relay) tryAgain(c *call, signIn bool) error {
	if !signIn {
		return r.reach(c)
	}
	if r.hasToken(c.ctx) && !r.signIn.isActive() {
		// A token may be there that the server does not take.
		if err := r.reach(c); !errors.Is(err, oauth.ErrSignIn) {
			return err
		}
	}
	if _, err := r.signIn.start(r.life, &r.work, true, time.Now()); err != nil {
		return err
	}
	if err := r.waitSignIn(c, oauth.ErrSignIn); err != nil {
		return err
	}
	return r.reach(c)
}

// reach returns nil when the server answers.
func (r *Relay) reach(c *call) error {
	if !c.modern {
		r.link.retry()
		_, err := r.link.await(c.ctx, r.stopping, time.Now().Add(listPatience/2))
		return err
	}
	ctx, cancel := context.WithTimeoutCause(c.ctx, listPatience/2, errors.New("it does not answer"))
	defer cancel()
	meta, _ := wire.Member(c.m.Params, "_meta")
	raw := wire.AppendRequest(nil, json.RawMessage(`"mcp-bridge/reach"`), "server/discover", encode(map[string]any{"_meta": meta}))
	m, err := wire.Parse(raw)
	if err == nil {
		err = r.cfg.Remote.Request(ctx, m, raw, remote.Options{}, r.fromRemote)
	}
	if err == nil {
		r.tellListens()
	} else if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// tellListens tells a modern host, on every open stream, which lists to read again.
func (r *Relay) tellListens() {
	r.mu.Lock()
	open := slices.Collect(maps.Values(r.listens))
	r.mu.Unlock()
	for _, listen := range open {
		if listen.acked.Load() {
			r.arrived(listen, false)
		}
	}
}

// watch waits until somebody has signed in, for a modern host whose streams are
// open all the while. A stream that is opened later tells of itself.
func (r *Relay) watch(err error) {
	if !errors.Is(err, oauth.ErrSignIn) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watching {
		return
	}
	r.watching = true
	r.work.Go(func() {
		signedIn := r.waitToken(r.life)
		r.mu.Lock()
		r.watching = false
		r.mu.Unlock()
		if signedIn {
			r.tellListens()
		}
	})
}

// answerForServer answers a list of a kind that the server does not have, though
// the host was told that it may.
func (r *Relay) answerForServer(c *call) bool {
	kind := listKind(c.m.Method)
	r.mu.Lock()
	_, has := wire.Member(r.served, kind)
	invented := r.invented
	r.mu.Unlock()
	if kind == "" || has || !invented {
		return false
	}
	r.reply(c, encode(r.emptyList(c)))
	return true
}

// announce tells a host of the legacy eras which lists to read again: those that
// stood in, and after a restart of the server all.
func (r *Relay) announce(restarted bool) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	var changed []string
	for _, kind := range kinds {
		if capability, ok := wire.Member(r.told, kind); ok {
			value, _ := wire.Member(capability, "listChanged")
			if (restarted || r.standIns[kind]) && string(value) == "true" {
				changed = append(changed, kind)
			}
		}
	}
	clear(r.standIns)
	r.mu.Unlock()
	for _, kind := range changed {
		r.say(wire.AppendNotification(nil, "notifications/"+kind+"/list_changed", nil))
	}
}

// arrived tells a modern host, on one of its open streams, which lists to read
// again: those that stood in, or all that it wants to hear of, because the stream
// was lost for a while.
func (r *Relay) arrived(listen *call, all bool) {
	wanted, _ := wire.Member(listen.m.Params, "notifications")
	r.mu.Lock()
	var changed []string
	for _, kind := range kinds {
		value, _ := wire.Member(wanted, kind+"ListChanged")
		if string(value) == "true" && (all || r.standIns[kind]) {
			changed = append(changed, kind)
			delete(r.standIns, kind)
		}
	}
	r.mu.Unlock()
	for _, kind := range changed {
		r.say(wire.AppendNotification(nil, "notifications/"+kind+"/list_changed", encode(map[string]any{
			"_meta": map[string]any{wire.MetaSubscriptionID: listen.m.ID},
		})))
	}
}

// encode is JSON of what can always be encoded.
func encode(members map[string]any) json.RawMessage {
	data, err := json.Marshal(members)
	if err != nil {
		panic(err) // strings, numbers and valid JSON
	}
	return data
}
