package mcphttp_test

import (
	"strconv"
	"strings"
	"testing"
)

// checkBurst: everything came, in order, and the response last.
func checkBurst(t *testing.T, all []string, token string) {
	t.Helper()
	logs, progress := 0, 0
	for _, m := range all[:len(all)-1] {
		switch member(m, "method") {
		case `"notifications/message"`:
			if got := member(m, "params", "data"); got != strconv.Itoa(logs) {
				t.Fatalf("log %s came as number %d", got, logs)
			}
			logs++
		case `"notifications/progress"`:
			if got := member(m, "params", "progress"); got != strconv.Itoa(progress) {
				t.Fatalf("progress %s came as number %d", got, progress)
			}
			if got := member(m, "params", "progressToken"); got != token {
				t.Fatalf("the token is %s, want %s", got, token)
			}
			progress++
		default:
			t.Fatalf("got %s", m)
		}
	}
	if logs != bursts || progress != bursts || !strings.Contains(all[len(all)-1], `"text":"0"`) {
		t.Fatalf("%d log messages and %d of progress came before %s", logs, progress, all[len(all)-1])
	}
}

func TestNoNotificationIsLostUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	const runs = 20
	t.Run("legacy", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.begin("alice")
		for i := range runs {
			token := strconv.Itoa(i)
			l := g.live(s.request(token, "tools/call", `{"name":"burst","_meta":{"progressToken":`+token+`}}`))
			checkBurst(t, l.rest(), token)
		}
	})
	t.Run("modern", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		for i := range runs {
			token := `"t` + strconv.Itoa(i) + `"`
			r := modernCall("1", "burst", "{}")
			r.body = strings.Replace(r.body, `"_meta":{`, `"_meta":{"progressToken":`+token+`,"io.modelcontextprotocol/logLevel":"info",`, 1)
			checkBurst(t, g.live(r).rest(), token)
		}
	})
	t.Run("over sse", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.open("alice")
		s.post(initialize)
		s.next()
		for i := range runs {
			token := strconv.Itoa(i)
			s.post(`{"jsonrpc":"2.0","id":` + token + `,"method":"tools/call","params":{"name":"burst","_meta":{"progressToken":` + token + `}}}`)
			var all []string
			for len(all) == 0 || member(all[len(all)-1], "id") == "" {
				all = append(all, s.next())
			}
			checkBurst(t, all, token)
		}
	})
	t.Run("and a client that reads JSON only gets its answer", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.begin("alice")
		for i := range runs {
			l := g.live(s.request(strconv.Itoa(i), "tools/call", `{"name":"burst","_meta":{"progressToken":1}}`).with("Accept", jsonType))
			if all := l.rest(); len(all) != 1 || !strings.Contains(all[0], `"text":"0"`) {
				t.Fatalf("got %q", all)
			}
		}
	})
}
