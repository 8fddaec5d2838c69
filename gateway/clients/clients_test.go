// Package clients_test runs programs that we did not write, and mcp-bridge,
// against a process of mcp-gateway: each signs in through the real pages, lists
// the tools, adds 23 and 19, and does so again when its access token has expired
// and when the gateway was restarted. What happened is docs/clients.md.
package clients_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// lifetime of an access token: the shortest that the configuration takes.
	lifetime = time.Minute
	// cached is for how long the gateway may believe a token beyond that.
	cached = 5 * time.Second
	// patience is for one step of a client on a busy machine.
	patience = 3 * time.Minute
	// gone is for how long a client may be without its stream after a restart.
	gone = 15 * time.Second
)

// client is a program and how it connects.
type client struct {
	name    string
	part    string // of the program: its page, its command line
	version func(*testing.T, *rig) string
	address string
	// revision is the protocol's, if the program lets it be chosen or seen.
	revision string
	open     func(context.Context, *desktop, client) (session, error)
	limits   []limit
}

// limit is what a program is known not to do.
type limit struct {
	step string
	err  *regexp.Regexp // with what it fails
	note string         // what the table says of it
	// passes is set if it comes right by itself before gone has passed.
	passes bool
	// anew is set if the program goes on after a new sign-in.
	anew bool
}

// The steps, in this order. Each needs those before it, or a new sign-in.
const (
	signsIn  = "Signs in"
	lists    = "Lists the tools"
	adds     = "Adds 23 and 19"
	expired  = "Adds when its access token has expired"
	restarts = "Adds when the gateway was restarted"
)

var steps = []string{signsIn, lists, adds, expired, restarts}

// session is a program that is connected.
type session interface {
	// list has the tools listed, and fails if math_add is not among them.
	list(context.Context) error
	// add adds 23 and 19 and returns the sum as it is shown.
	add(context.Context) (string, error)
	close() error
}

// beginner is a session that can begin anew, with a new sign-in.
type beginner interface {
	begin(context.Context) error
}

// contains fails if the tools that are listed are without the one to call.
func contains(tools []string) error {
	if !slices.Contains(tools, "math_add") {
		return fmt.Errorf("the tools are %v", tools)
	}
	return nil
}

// dropped is what Inspector says of a call that was sent when its stream ended.
var dropped = regexp.MustCompile("dropped before this could be answered")

// streamGone is what the SDK's EventSource makes of an end of its stream.
func streamGone(step string) limit {
	return limit{
		step: step, err: regexp.MustCompile("there is no such stream|" + dropped.String()), passes: true,
		note: "It opens its stream again after 3 seconds. A call before that fails, and later ones succeed",
	}
}

// noRenewal is of Inspector's page when it connects directly.
var noRenewal = limit{
	step: expired, err: regexp.MustCompile("must be application/x-www-form-urlencoded"),
	note: "The page puts the headers of its first connection on every later request: the form that renews its token goes out as JSON (`Content-Type: application/json`), " +
		"which the token endpoint refuses. It has to be opened and signed in anew, as was done before the restart",
	anew: true,
}

var clients = []client{
	{name: "MCP Inspector", part: "command line", version: inspector, address: "/mcp", open: openCommandLine},
	{name: "MCP Inspector", part: "command line", version: inspector, address: "/sse", open: openCommandLine},
	{name: "MCP Inspector", part: "page, through its server", version: inspector, address: "/mcp", open: openPage},
	{name: "MCP Inspector", part: "page, through its server", version: inspector, address: "/sse", open: openPage, limits: []limit{streamGone(expired), streamGone(restarts)}},
	{name: "MCP Inspector", part: "page, direct", version: oldInspector, address: "/mcp", open: openDirectPage, limits: []limit{noRenewal}},
	{name: "MCP Inspector", part: "page, direct", version: oldInspector, address: "/sse", open: openDirectPage, limits: []limit{noRenewal, streamGone(restarts)}},
	{name: "TypeScript SDK", part: "@modelcontextprotocol/sdk", version: npm("clients", "@modelcontextprotocol/sdk"), address: "/mcp", revision: "2025-11-25", open: openTypeScript},
	{name: "TypeScript SDK", part: "@modelcontextprotocol/sdk", version: npm("clients", "@modelcontextprotocol/sdk"), address: "/sse", revision: "2025-11-25", open: openTypeScript,
		limits: []limit{streamGone(restarts)}},
	{name: "TypeScript SDK", part: "@modelcontextprotocol/client", version: npm("clients", "@modelcontextprotocol/client"), address: "/mcp", revision: "2026-07-28", open: openTypeScript},
	{name: "Go SDK", part: "modelcontextprotocol/go-sdk", version: goSDK, address: "/mcp", revision: "2025-11-25", open: openGo},
	{name: "Go SDK", part: "modelcontextprotocol/go-sdk", version: goSDK, address: "/mcp", revision: "2026-07-28", open: openGo},
	{name: "mcp-remote", version: npm("clients", "mcp-remote"), address: "/mcp", revision: "2025-11-25", open: openRemote},
	{name: "mcp-remote", version: npm("clients", "mcp-remote"), address: "/sse", revision: "2025-11-25", open: openRemote, limits: []limit{streamGone(restarts)}},
	{name: "mcp-bridge", version: ours, address: "/mcp", revision: "2025-11-25", open: openBridge},
	{name: "mcp-bridge", version: ours, address: "/mcp", revision: "2026-07-28", open: openBridge},
	{name: "mcp-bridge", version: ours, address: "/sse", revision: "2025-11-25", open: openBridge},
}

// run is one client on its way through the steps.
type run struct {
	client
	desktop *desktop
	session session
	passed  map[string]bool // of the steps that were taken
	lost    bool            // no further step can be taken
	anew    bool            // it has signed in a second time
	// unanswered calls may have been made: the program lost its stream meanwhile.
	unanswered int
}

func TestClients(t *testing.T) {
	r := newRig(t)
	var runs []*run
	for i, c := range clients {
		one := &run{client: c, desktop: r.newDesktop(t, fmt.Sprint(i)), passed: map[string]bool{}}
		runs = append(runs, one)
		t.Cleanup(one.end(t))
	}
	each := func(when string, runs []*run, do func(*testing.T, *run)) {
		t.Run(when, func(t *testing.T) {
			for _, one := range runs {
				t.Run(one.title(), func(t *testing.T) { t.Parallel(); do(t, one) })
			}
		})
	}
	take := func(steps ...string) func(*testing.T, *run) {
		return func(t *testing.T, one *run) {
			t.Helper()
			for _, step := range steps {
				one.take(t, step)
			}
		}
	}
	each("new", runs, take(signsIn, lists, adds)) // in one go, before the token is over
	time.Sleep(lifetime + cached)                 // no clock but the gateway's own ends a token
	each("expired", runs, take(expired))
	var begun, others []*run
	for _, one := range runs {
		if slices.ContainsFunc(one.limits, func(known limit) bool { return known.anew }) {
			begun = append(begun, one)
		} else {
			others = append(others, one)
		}
	}
	each("signed in anew", begun, func(t *testing.T, one *run) { t.Helper(); one.begin(t) })
	r.gateway.stop(t)
	r.gateway.start(t)
	each("restarted, signed in anew", begun, take(restarts)) // first, before the token is over
	each("restarted", others, take(restarts))
	for _, one := range runs {
		one.end(t)()
	}
	r.gateway.stop(t)
	r.check(t, runs)
	if !t.Failed() {
		compare(t, r, runs)
	}
}

func (one *run) title() string {
	words := slices.DeleteFunc([]string{one.name, one.part, one.address, one.revision}, func(word string) bool { return word == "" })
	return strings.Join(words, ", ")
}

// take takes a step, if those before it were good, and holds what happens against
// what is known.
func (one *run) take(t *testing.T, step string) {
	t.Helper()
	do := map[string]func(context.Context) error{signsIn: one.connect, lists: one.list}[step]
	if do == nil {
		do = one.add
	}
	if one.lost {
		return // which is an error of its own, or known
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	known := one.limit(step)
	err := do(ctx)
	if known != nil && known.passes {
		for end := time.Now().Add(gone); err != nil && known.err.MatchString(err.Error()) && time.Now().Before(end); err = do(ctx) {
			if dropped.MatchString(err.Error()) {
				one.unanswered++
			}
			time.Sleep(100 * time.Millisecond) // it is not told when it may
		}
		known = nil
	}
	switch {
	case known == nil && err != nil:
		t.Errorf("%s: %v", step, err)
	case known != nil && err == nil:
		t.Errorf("%s: it is known to fail, and did not: drop the limit", step)
	case known != nil && !known.err.MatchString(err.Error()):
		t.Errorf("%s: it is known to fail otherwise: %v", step, err)
	}
	one.passed[step], one.lost = err == nil, err != nil
}

// begin has a program sign in anew that could not go on without.
func (one *run) begin(t *testing.T) {
	t.Helper()
	if !one.passed[adds] {
		return // which is an error of its own
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := one.session.(beginner).begin(ctx)
	if err == nil {
		err = one.session.list(ctx) // so that it shows what there is to call
	}
	if err != nil {
		t.Errorf("signs in anew: %v", err)
		return
	}
	one.anew, one.lost = true, false
}

func (one *run) limit(step string) *limit {
	for i, known := range one.limits {
		if known.step == step {
			return &one.limits[i]
		}
	}
	return nil
}

func (one *run) connect(ctx context.Context) error {
	s, err := one.open(ctx, one.desktop, one.client)
	if s != nil {
		one.session = s
	}
	return err
}

func (one *run) list(ctx context.Context) error { return one.session.list(ctx) }

func (one *run) add(ctx context.Context) error {
	sum, err := one.session.add(ctx)
	if err == nil && sum != "42" {
		err = fmt.Errorf("23 + 19 = %q", sum)
	}
	return err
}

// end ends the program, once.
func (one *run) end(t *testing.T) func() {
	return func() {
		if one.session == nil {
			return
		}
		if err := one.session.close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s did not end as it should: %v", one.title(), err)
		}
		one.session = nil
	}
}
