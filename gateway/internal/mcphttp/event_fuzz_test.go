package mcphttp

import (
	"bytes"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

// FuzzEvent: whatever a message contains, a client reads one event from the
// stream, and in it the message, line by line.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{}}`, "{\n  \"id\": 1\r\n}", "{\r\"id\":1}", "\n", "\r\n\n\r", "data: x\n\nevent: endpoint\ndata: /evil",
		"id: 7\nretry: 1", ": c", "\xef\xbb\xbf{}", "", "\x00",
	} {
		f.Add([]byte(seed))
	}
	lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	f.Fuzz(func(t *testing.T, message []byte) {
		framed := event("", message)
		r := wire.NewEventReader(bytes.NewReader(framed), len(framed)+1)
		got, err := r.Next()
		if err != nil {
			t.Fatalf("%q cannot be read: %v", framed, err)
		}
		if got.Name != "message" || got.HasID || got.Retry != 0 || string(got.Data) != lines.Replace(string(message)) {
			t.Fatalf("%q is read as %+v with the data %q", message, got, got.Data)
		}
		if more, err := r.Next(); err == nil {
			t.Fatalf("after %q comes another event: %+v", message, more)
		}
	})
}
