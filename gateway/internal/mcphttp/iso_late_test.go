package mcphttp_test

import (
	"testing"
	"time"

	"mcp-gateway/shared/wire"
)

// A call that takes long says after two seconds that it lives: proxies cut off what
// says nothing.
func TestACallThatTakesLongBecomesAStream(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]func(*lively) request{
		"modern":            func(*lively) request { return modernCall("1", "wait", `{}`) },
		"legacy, resumable": func(g *lively) request { return g.begin("alice").call("1", "wait", `{}`) },
		"legacy, without event ids": func(g *lively) request {
			return g.beginWith("alice", wire.Revision20250618, "{}").call("1", "wait", `{}`).with("MCP-Protocol-Version", wire.Revision20250618)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newLively(t, nil)
			begun := time.Now()
			l := g.live(in(g)) // returns with the headers, while the tool still waits
			if took := time.Since(begun); took < time.Second || took > 10*time.Second {
				t.Fatalf("the stream began after %s", took)
			}
			<-g.waits.started
			close(g.waits.release)
			if all := l.rest(); len(all) == 0 || member(all[len(all)-1], "id") != "1" {
				t.Errorf("got %q", all)
			}
		})
	}
}
