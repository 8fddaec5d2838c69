package mcphttp_test

import (
	"net/http"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

const (
	link      = `{"type":"resource_link","uri":"file:///a","name":"a","description":"","mimeType":"text/plain"}`
	audio     = `{"type":"audio","data":"AAAA","mimeType":"audio/wav"}`
	noLink    = `{"type":"text","text":"file:///a"}`
	noAudio   = `{"type":"text","text":"(audio, which this client cannot play)"}`
	plainText = `{"type":"text","text":"t"}`
)

func TestAResultIsWhatTheRevisionOfTheClientHas(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	for revision, want := range map[string]struct{ content, structured, schema string }{
		"2026-07-28": {"[" + link + "," + audio + "," + plainText + "]", "[1]", `{"type":"array"}`},
		"2025-11-25": {"[" + link + "," + audio + "," + plainText + "]", "", ""},
		"2025-06-18": {"[" + link + "," + audio + "," + plainText + "]", "", ""},
		"2025-03-26": {"[" + noLink + "," + audio + "," + plainText + "]", "", ""},
		"2024-11-05": {"[" + noLink + "," + noAudio + "," + plainText + "]", "", ""},
	} {
		call, list := modernCall("1", "rich", "{}"), modernRequest("2", "tools/list", "")
		if revision != "2026-07-28" {
			s := g.beginWith("alice", revision, "{}")
			call = s.call("1", "rich", "{}").with("MCP-Protocol-Version", revision)
			list = s.request("2", "tools/list", "{}").with("MCP-Protocol-Version", revision)
		}
		got := g.send(call).body
		content := member(got, "result", "content")
		if !sameJSON(t, content, want.content) || member(got, "result", "structuredContent") != want.structured {
			t.Errorf("%s: got %s", revision, got)
		}
		listed := g.send(list).body
		tools, err := wire.Batch([]byte(member(listed, "result", "tools")))
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, tool := range tools {
			switch member(string(tool), "name") {
			case `"rich"`:
				if got := member(string(tool), "outputSchema"); got != want.schema {
					t.Errorf("%s: the schema is %s, want %q", revision, got, want.schema)
				}
				seen++
			case `"math_add"`:
				if member(string(tool), "outputSchema", "type") != `"object"` {
					t.Errorf("%s: a schema of an object is lost: %s", revision, tool)
				}
				seen++
			}
		}
		if seen != 2 {
			t.Errorf("%s: listed %s", revision, listed)
		}
	}
}

// The same over HTTP+SSE, whose revision comes with initialize.
func TestAResultOverSSEIsWhatTheRevisionOfTheClientHas(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.open("alice")
	s.post(strings.Replace(initialize, "2025-06-18", "2024-11-05", 1))
	s.next()
	s.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rich"}}`)
	if got := s.next(); !sameJSON(t, member(got, "result", "content"), "["+noLink+","+noAudio+","+plainText+"]") || member(got, "result", "structuredContent") != "" {
		t.Errorf("got %s", got)
	}
}

// In the library a batch is -32700 in every revision.
func TestABatchIsServedInTheOneRevisionThatHasItUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.beginWith("alice", wire.Revision20250326, "{}")
	in := func(r request) request { return r.with("MCP-Protocol-Version", wire.Revision20250326) }
	ping := func(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"method":"ping"}` }
	note := `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	burst := `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"burst","_meta":{"progressToken":7}}}`
	got := g.send(in(s.message("[" + ping("1") + "," + note + "," + ping(`"1"`) + "]")))
	if got.body != `[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":"1","result":{}}]` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := g.send(in(s.message("[" + note + "," + note + "]"))); got.status != http.StatusAccepted || got.body != "" {
		t.Errorf("notifications: got %d %s", got.status, got.body)
	}
	all := g.live(in(s.message("[" + burst + "," + ping("2") + "]"))).rest()
	last := all[len(all)-1]
	if len(all) != 2*bursts+1 || last[0] != '[' || !strings.Contains(last, `"text":"0"`) || !strings.Contains(last, ping2) {
		t.Errorf("a call that says something: %d messages, the last %s", len(all), last)
	}
	for name, test := range map[string]struct {
		in     request
		reason string
	}{
		"none":                                 {in(s.message("[]")), "1 to 50 messages"},
		"too many":                             {in(s.message("[" + strings.Repeat(ping("1")+",", 50) + ping("2") + "]")), "1 to 50 messages"},
		"one with initialize":                  {in(s.message("[" + ping("1") + "," + initialize + "]")), "must not be part of a batch"},
		"one within another":                   {in(s.message("[[" + ping("1") + "]]")), ""},
		"one with what is no message":          {in(s.message("[" + ping("1") + ",1]")), ""},
		"in 2025-06-18":                        {g.beginWith("alice", "2025-06-18", "{}").message("["+ping("1")+"]").with("MCP-Protocol-Version", "2025-06-18"), "batches are not accepted"},
		"in 2025-11-25":                        {g.begin("alice").message("[" + ping("1") + "]"), "batches are not accepted"},
		"of the modern era":                    {request{body: "[" + modernCall("1", "math_add", "{}").body + "]", header: map[string]string{"MCP-Protocol-Version": "2026-07-28"}}, "batches are not accepted"},
		"in another person's session":          {in(session{g.gateway, "bob", s.id}.message("[" + ping("1") + "]")), "no such session"},
		"with a modern message in the session": {in(s.message("[" + modernCall("1", "math_add", "{}").body + "]")), "batches are not accepted"},
	} {
		got := g.send(test.in)
		if got.status/100 != 4 || !strings.Contains(got.body, test.reason) {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
}

const ping2 = `{"jsonrpc":"2.0","id":2,"result":{}}`
