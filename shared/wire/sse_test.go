package wire_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/shared/wire"
)

func readEvents(in io.Reader, limit int) (events []wire.Event, err error) {
	for r := wire.NewEventReader(in, limit); ; {
		event, err := r.Next()
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}

func TestEventReader(t *testing.T) {
	t.Parallel()
	data := func(s string) wire.Event { return wire.Event{Data: []byte(s)} }
	for name, tc := range map[string]struct {
		in   string
		want []wire.Event
	}{
		"one event":                {"data: {}\n\n", []wire.Event{data("{}")}},
		"every field":              {"id: 7\nevent: message\ndata: {}\nretry: 1500\n\n", []wire.Event{{Name: "message", Data: []byte("{}"), ID: "7", HasID: true, Retry: 1500 * time.Millisecond}}},
		"lines of data are joined": {"data: a\ndata: b\ndata\ndata:\n\n", []wire.Event{data("a\nb\n\n")}},
		"only one space is not part of the value": {"data:  a\ndata:b\n\n", []wire.Event{data(" a\nb")}},
		"CR ends a line":                              {"data: a\rdata: b\r\rdata: c\r\r", []wire.Event{data("a\nb"), data("c")}},
		"CRLF ends a line once":                       {"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", []wire.Event{data("a\nb"), data("c")}},
		"a byte order mark is skipped":                {"\xef\xbb\xbfdata: a\n\n", []wire.Event{data("a")}},
		"a second one is not":                         {"data: a\n\n\xef\xbb\xbfdata: b\n\n", []wire.Event{data("a")}},
		"comments are skipped":                        {": hello\n\n:\ndata: a\n: b\n\n", []wire.Event{data("a")}},
		"unknown fields are skipped":                  {"foo: bar\nDATA: x\ndata: a\n\n", []wire.Event{data("a")}},
		"a type alone is no event":                    {"event: x\n\ndata: a\n\n", []wire.Event{data("a")}},
		"an id alone is returned: it opens a stream":  {"id: 1\ndata:\n\nid: 2\n\n", []wire.Event{{ID: "1", HasID: true, Data: []byte{}}, {ID: "2", HasID: true}}},
		"an empty id is an id":                        {"id\ndata: a\n\n", []wire.Event{{HasID: true, Data: []byte("a")}}},
		"an id with NUL is ignored":                   {"id: a\x00b\ndata: a\n\n", []wire.Event{data("a")}},
		"a retry time alone is returned":              {"retry: 10\n\n", []wire.Event{{Retry: 10 * time.Millisecond}}},
		"a retry time that is no number is ignored":   {"retry: 1s\nretry: -1\nretry: 99999999999999999999\ndata: a\n\n", []wire.Event{data("a")}},
		"an event that is not finished is dropped":    {"data: a\n\ndata: b\n", []wire.Event{data("a")}},
		"a line that is not finished is dropped too":  {"data: a\n\ndata: b", []wire.Event{data("a")}},
		"an empty stream has no event":                {"", nil},
		"a colon in the value belongs to it":          {"data: a:b\n\n", []wire.Event{data("a:b")}},
		"an event larger than the buffer comes whole": {"data: " + strings.Repeat("x", 100_000) + "\n\n", []wire.Event{data(strings.Repeat("x", 100_000))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []io.Reader{strings.NewReader(tc.in), iotest.OneByteReader(strings.NewReader(tc.in)), iotest.DataErrReader(strings.NewReader(tc.in))} {
				got, err := readEvents(in, 1<<20)
				if !errors.Is(err, io.EOF) {
					t.Errorf("ends with %v", err)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestEventReaderRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"one line":            "data: " + strings.Repeat("x", 100) + "\n\n",
		"one line, no end":    "data: " + strings.Repeat("x", 100),
		"many lines":          strings.Repeat("data: xxxxxxxxxx\n", 10) + "\n",
		"many empty lines":    strings.Repeat("data\n", 100) + "\n",
		"many ids":            strings.Repeat("id: 1\n", 100) + "\n",
		"one comment":         ":" + strings.Repeat("x", 101) + "\n",
		"many unknown fields": strings.Repeat("foo: bar\n", 100),
	} {
		if got, err := readEvents(strings.NewReader(in), 100); !errors.Is(err, wire.ErrEventTooLarge) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if got, err := readEvents(strings.NewReader(strings.Repeat(": ping\n", 1000)+"data: a\n\n"), 100); len(got) != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("comments count as part of an event: %v, %v", got, err)
	}
}

func TestEventReaderPassesOnABrokenConnection(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	got, err := readEvents(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken)), 100)
	if len(got) != 1 || !errors.Is(err, broken) {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzEventReader(f *testing.F) {
	f.Add("id: 1\nevent: message\ndata: {}\ndata: x\nretry: 3\n\n: c\r\rdata\r\n\r\n")
	f.Add("\xef\xbb\xbfdata: a\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		got, _ := readEvents(strings.NewReader(in), 1000)
		inBytes, _ := readEvents(iotest.OneByteReader(strings.NewReader(in)), 1000)
		if diff := cmp.Diff(got, inBytes); diff != "" {
			t.Fatalf("the size of reads matters:\n%s", diff)
		}
		// What was accepted and is written again is read again as the same.
		var again strings.Builder
		for _, event := range got {
			if event.HasID {
				_, _ = fmt.Fprintf(&again, "id: %s\n", event.ID)
			}
			if event.Name != "" {
				_, _ = fmt.Fprintf(&again, "event: %s\n", event.Name)
			}
			if event.Retry > 0 || !event.HasID && event.Data == nil {
				_, _ = fmt.Fprintf(&again, "retry: %d\n", event.Retry.Milliseconds())
			}
			if event.Data != nil {
				for line := range strings.SplitSeq(string(event.Data), "\n") {
					_, _ = fmt.Fprintf(&again, "data: %s\n", line)
				}
			}
			again.WriteString("\n")
		}
		reread, err := readEvents(strings.NewReader(again.String()), 100_000)
		if diff := cmp.Diff(got, reread); diff != "" || !errors.Is(err, io.EOF) {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

func BenchmarkEventReader(b *testing.B) {
	event := "id: 1\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"42\"}]}}\n\n"
	in := strings.NewReader(event)
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(event)
		if _, err := wire.NewEventReader(in, 1<<20).Next(); err != nil {
			b.Fatal(err)
		}
	}
}
