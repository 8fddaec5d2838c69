package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/bridge/internal/host"
	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

const (
	server     = "https://gateway.example.com/mcp"
	signInPage = "https://login.example.com/authorize?state=s"
	initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"host","version":"1"}}}`
	welcome    = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"real","version":"9"}, "big":9007199254740993}}`
	greeting   = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	realTools  = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"math_add"}] ,"n":9007199254740993}}`
	listTools  = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	discover   = `{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{` + modernMeta + `}}`
)

var errDown = &remote.UnreachableError{Err: errors.New("connection refused")}

// fakeRemote is a server whose every answer the test writes.
type fakeRemote struct {
	mu     sync.Mutex
	log    []string // what was asked, in order
	err    error    // what every request gets
	answer func(ctx context.Context, m wire.Message, receive remote.Receive) error
	notify func(ctx context.Context) error
	hear   remote.Receive // of the open Listen
	lost   chan error     // ends Listen
	closed bool
}

func (f *fakeRemote) note(entry string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, entry)
	return f.err
}

func (f *fakeRemote) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// asked returns how often something was asked of the server.
func (f *fakeRemote) asked(entry string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.log {
		if e == entry {
			n++
		}
	}
	return n
}

func (f *fakeRemote) Request(ctx context.Context, m wire.Message, _ []byte, o remote.Options, receive remote.Receive) error {
	if err := f.note(m.Method); err != nil {
		return err
	}
	if o.Sent != nil {
		o.Sent()
	}
	if f.answer != nil {
		return f.answer(ctx, m, receive)
	}
	if m.Method == "tools/list" {
		parsed, _ := wire.Parse([]byte(realTools))
		receive(parsed.ReplaceID(m.ID))
		return nil
	}
	receive(wire.AppendResult(nil, m.ID, json.RawMessage(`{"content":[]}`)))
	return nil
}

func (f *fakeRemote) Notify(ctx context.Context, m wire.Message, raw []byte) error {
	if f.notify != nil {
		return errors.Join(f.note(m.Method), f.notify(ctx))
	}
	if m.Kind == wire.KindResponse {
		return f.note("response " + string(raw))
	}
	return f.note(m.Method)
}

func (f *fakeRemote) Initialize(ctx context.Context, m wire.Message, raw []byte, receive remote.Receive) error {
	if string(raw) != initialize && !strings.Contains(string(raw), `"initialize"`) {
		return fmt.Errorf("initialize is not the host's: %s", raw)
	}
	if err := f.note("initialize"); err != nil {
		return err
	}
	if f.answer != nil {
		return f.answer(ctx, m, receive)
	}
	receive([]byte(welcome))
	return nil
}

func (f *fakeRemote) Listen(ctx context.Context, receive remote.Receive) error {
	if err := f.note("listen"); err != nil {
		return err
	}
	f.mu.Lock()
	f.hear = receive
	f.mu.Unlock()
	select {
	case err := <-f.lost:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeRemote) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// fakeAuth is a person who signs in when the test says so.
type fakeAuth struct {
	mu      sync.Mutex
	token   string
	pending bool
	silent  bool   // it never comes to an address
	code    string // to type there
	asked   int
	end     chan error // what the sign-in that runs ends with
}

func (f *fakeAuth) Token(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.token, nil
}

func (f *fakeAuth) SignIn(ctx context.Context) error {
	f.mu.Lock()
	f.asked++
	f.pending = true
	f.mu.Unlock()
	var err error
	select {
	case err = <-f.end:
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = false
	if err == nil {
		f.token = "token"
	}
	return err
}

func (f *fakeAuth) Pending() oauth.Prompt {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending && !f.silent {
		return oauth.Prompt{URL: signInPage, Code: f.code}
	}
	return oauth.Prompt{}
}

func (f *fakeAuth) windows() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fakeAuth) set(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = token
}

// desk is a bridge between a host and a server that the test plays.
type desk struct {
	t      *testing.T
	remote *fakeRemote
	auth   *fakeAuth
	in     *io.PipeWriter
	lines  chan string
	ended  chan error
	stop   context.CancelFunc
	mu     sync.Mutex
	kept   []byte // under mu once the bridge runs
	began  time.Time
}

// signedIn, signedOut and down are how a test may begin.
func signedIn(d *desk)  { d.auth.token = "token" }
func signedOut(d *desk) { d.remote.err = fmt.Errorf("post: %w", oauth.ErrSignIn) }
func down(d *desk)      { d.remote.err = errDown }

// with is run beside other tests.
func with(t *testing.T, begin func(*desk), test func(t *testing.T, d *desk)) {
	t.Helper()
	run(t, begin, test)
}

// run runs a test in which time passes only when nothing else happens.
func run(t *testing.T, begin func(*desk), test func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{
			t: t, remote: &fakeRemote{lost: make(chan error)}, auth: &fakeAuth{end: make(chan error)},
			lines: make(chan string, 1000), ended: make(chan error, 1), began: time.Now(),
		}
		begin(d)
		in, hostOut := io.Pipe()
		hostIn, out := io.Pipe()
		d.in = hostOut
		ctx, cancel := context.WithCancel(t.Context())
		d.stop = cancel
		r := New(Config{
			Host: host.New(in, out), Remote: d.remote, Auth: d.auth, Server: server, Version: "test",
			Remembered: d.kept, Remember: func(data []byte) { d.mu.Lock(); defer d.mu.Unlock(); d.kept = data },
			Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		go func() { d.ended <- r.Run(ctx); _ = in.Close(); _ = out.Close() }()
		go func() {
			defer close(d.lines)
			for scanner := bufio.NewScanner(hostIn); scanner.Scan(); {
				d.lines <- scanner.Text()
			}
		}()
		test(t, d)
		cancel()
		for range d.lines { //nolint:revive // to the end
		}
		if !d.remote.closed {
			t.Error("the session was not closed")
		}
	})
}

// remembered is what the bridge has kept for the next start.
func (d *desk) remembered() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept
}

// send is the host writing a line.
func (d *desk) send(line string) {
	d.t.Helper()
	if _, err := io.WriteString(d.in, line+"\n"); err != nil {
		d.t.Fatal(err)
	}
}

// next is the next line that the host gets, whenever that is.
func (d *desk) next() string {
	d.t.Helper()
	select {
	case line, ok := <-d.lines:
		if !ok {
			d.t.Fatal("the bridge has ended")
		}
		return line
	case <-time.After(time.Hour):
		d.t.Fatal("no line for an hour")
		return ""
	}
}

// expect is next, which must be exactly that line.
func (d *desk) expect(want string) {
	d.t.Helper()
	if got := d.next(); got != want {
		d.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// expectPart is next, which must have all those parts.
func (d *desk) expectPart(parts ...string) string {
	d.t.Helper()
	got := d.next()
	if i := slices.IndexFunc(parts, func(p string) bool { return !strings.Contains(got, p) }); i >= 0 {
		d.t.Fatalf("got %s\nwithout %s", got, parts[i])
	}
	return got
}

// silent fails if there is a line now.
func (d *desk) silent() {
	d.t.Helper()
	synctest.Wait()
	select {
	case line := <-d.lines:
		d.t.Fatalf("unexpected line %s", line)
	default:
	}
}

// took fails unless the last line came between two times after the start.
func (d *desk) took(least, most time.Duration) {
	d.t.Helper()
	if took := time.Since(d.began); took < least || took > most {
		d.t.Errorf("took %v, want %v to %v", took, least, most)
	}
	d.began = time.Now()
}

// open does the handshake of a signed-in host.
func (d *desk) open() {
	d.t.Helper()
	d.send(initialize)
	d.expect(welcome)
	d.send(greeting)
	synctest.Wait()
}
