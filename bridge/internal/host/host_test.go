package host

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestReadReturnsLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*keep)
	for name, tc := range map[string]struct {
		in   string
		want []string
	}{
		"each line is a message":                  {"{\"a\":1}\n{\"b\":2}\n", []string{`{"a":1}`, `{"b":2}`}},
		"a Windows line end is not part of it":    {"{}\r\n[]\r\n", []string{`{}`, `[]`}},
		"empty lines are skipped":                 {"\n\r\n  \n{}\n\n", []string{`{}`}},
		"the last line may lack its end":          {"{}\n[]", []string{`{}`, `[]`}},
		"a line larger than the buffer is whole":  {long + "\n{}\n", []string{long, `{}`}},
		"nothing at all is the end":               {"", nil},
		"a line that is no JSON is a line too":    {"hello\n", []string{"hello"}},
		"a NUL and other bytes are left as found": {"\x00\xff\n", []string{"\x00\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []io.Reader{strings.NewReader(tc.in), iotest.OneByteReader(strings.NewReader(tc.in)), iotest.DataErrReader(strings.NewReader(tc.in))} {
				if diff := cmp.Diff(tc.want, lines(t, New(in, io.Discard))); diff != "" {
					t.Errorf("lines (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func lines(t *testing.T, h *Host) (got []string) {
	t.Helper()
	for {
		line, err := h.Read()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
}

func TestALineThatIsTooLongIsSkippedAlone(t *testing.T) {
	t.Parallel()
	for _, size := range []int{101, 100 + keep, 3 * keep} {
		h := New(strings.NewReader(strings.Repeat("x", size)+"\n{}\n"+strings.Repeat("y", size)), io.Discard)
		h.max = 100
		if _, err := h.Read(); !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes: got %v, want ErrTooLong", size, err)
		}
		if line, err := h.Read(); err != nil || string(line) != "{}" {
			t.Errorf("%d bytes: the next line is %q, %v", size, line, err)
		}
		if _, err := h.Read(); !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes without an end: got %v, want ErrTooLong", size, err)
		}
		if _, err := h.Read(); !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes: got %v, want io.EOF", size, err)
		}
	}
}

func TestABrokenPipeIsNotTheEnd(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	h := New(io.MultiReader(strings.NewReader(`{"half":`), iotest.ErrReader(broken)), io.Discard)
	if line, err := h.Read(); !errors.Is(err, broken) {
		t.Errorf("got %q, %v: half a message must not pass for one", line, err)
	}
	if err := New(strings.NewReader(""), failing{broken}).Write([]byte("{}")); !errors.Is(err, broken) {
		t.Errorf("write: got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWriteSendsOneLine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	h := New(strings.NewReader(""), &out)
	in := []byte("{\r\n  \"a\": \"\\n\",\n  \"b\": 9007199254740993\n}")
	before := string(in)
	if err := h.Write(in); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "{    \"a\": \"\\n\",   \"b\": 9007199254740993 }\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if string(in) != before {
		t.Error("the caller's bytes were changed")
	}
}

func TestWritersDoNotMixLines(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	h := New(strings.NewReader(""), writer)
	const writers, each = 8, 50
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if err := h.Write(fmt.Appendf(nil, `{"w":%d,"i":%d,"pad":%q}`, w, i, strings.Repeat("p", w*5000))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { group.Wait(); _ = writer.Close() }()
	got := lines(t, New(reader, io.Discard))
	for _, line := range got {
		if !strings.HasPrefix(line, `{"w":`) || !strings.HasSuffix(line, `p"}`) && !strings.HasSuffix(line, `""}`) {
			t.Fatalf("mixed line %.60q", line)
		}
	}
	if len(got) != writers*each {
		t.Errorf("got %d lines, want %d", len(got), writers*each)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("{}\n\n{\"a\":1}\r\n", 7)
	f.Add("xxxxxxxxxxxxxxxxxxxx\n{}", 10)
	f.Fuzz(func(t *testing.T, in string, limit int) {
		h := New(iotest.HalfReader(strings.NewReader(in)), io.Discard)
		h.max = max(1, limit%1000)
		var got, want []string
		for {
			line, err := h.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil && !errors.Is(err, ErrTooLong) {
				t.Fatal(err)
			}
			if err == nil {
				got = append(got, string(line))
			}
		}
		for line := range strings.Lines(in) {
			if trimmed := strings.TrimSpace(line); len(line) <= h.max && trimmed != "" {
				want = append(want, trimmed)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}
