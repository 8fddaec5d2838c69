package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// patience ends a program that answers no more. No round comes near it.
const patience = 10 * time.Minute

const initializeParams = `{"protocolVersion":"` + protocol + `","capabilities":{},"clientInfo":{"name":"bridgebench","version":"1"}}`

const callParams = `{"name":"math_add","arguments":{"a":23,"b":19}}`

func request(id int, method, params string) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", id, method, params)
}

// accept checks that data answers the request id, rightly.
func accept(data []byte, id int) (mine bool, err error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return false, fmt.Errorf("it answered %.200q: %w", data, err)
	}
	if m.Method != "" || (id >= 0 && string(m.ID) != strconv.Itoa(id)) {
		return false, nil
	}
	if m.Error != nil || m.Result == nil {
		return true, fmt.Errorf("it answered %.200q", data)
	}
	return true, nil
}

// caller makes requests of the server, by one way or another.
type caller interface {
	// call makes one request and waits for its answer.
	call(ctx context.Context, id int, method, params string) error
	// flood makes n calls, of which width are in flight.
	flood(ctx context.Context, n, width int) error
}

// straight is the way without a program between.
type straight struct {
	url    string
	client *http.Client
}

func newStraight(url string, width int) *straight {
	return &straight{url: url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: width}}}
}

func (s *straight) close() { s.client.CloseIdleConnections() }

func (s *straight) call(ctx context.Context, id int, method, params string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(request(id, method, params)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Protocol-Version", protocol)
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return err
	}
	if mine, err := accept(data, id); err != nil || !mine {
		return errors.Join(err, errors.New("no answer of the server"))
	}
	return nil
}

func (s *straight) flood(ctx context.Context, n, width int) error {
	ids := make(chan int)
	failed := make(chan error, width)
	var group sync.WaitGroup
	for range width {
		group.Go(func() {
			for id := range ids {
				if err := s.call(ctx, id, "tools/call", callParams); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	var err error
	for id := 0; id < n && err == nil; id++ {
		select {
		case ids <- id:
		case err = <-failed:
		}
	}
	close(ids)
	group.Wait()
	close(failed)
	for more := range failed {
		err = errors.Join(err, more)
	}
	return err
}

// stdio is the way through a program that was started for it.
type stdio struct {
	name   string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	in     io.WriteCloser
	out    *bufio.Reader
	log    bytes.Buffer
}

// start starts a program and has its initialize answered.
func start(ctx context.Context, p program, home string) (*stdio, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	s := &stdio{name: p.name, cmd: exec.CommandContext(ctx, p.command, p.args...), cancel: cancel}
	s.cmd.Env = environment(home)
	s.cmd.Stderr = &s.log
	s.cmd.WaitDelay = time.Second
	in, inErr := s.cmd.StdinPipe()
	out, outErr := s.cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		cancel()
		return nil, err
	}
	s.in, s.out = in, bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	if err := s.call(ctx, 0, "initialize", initializeParams); err != nil {
		cancel()
		_ = s.cmd.Wait() // it was killed
		return nil, s.explain(err)
	}
	return s, nil
}

// initialized ends the handshake. The start is over before it.
func (s *stdio) initialized() error {
	_, err := io.WriteString(s.in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n")
	return err
}

// explain adds what the program had to say. Only call it when it has ended.
func (s *stdio) explain(err error) error {
	return fmt.Errorf("%s: %w; its log ends: %s", s.name, err, bytes.TrimSpace(s.log.Bytes()[max(0, s.log.Len()-800):]))
}

func (s *stdio) call(_ context.Context, id int, method, params string) error {
	if _, err := s.in.Write(request(id, method, params)); err != nil {
		return err
	}
	return s.read(id)
}

// read reads up to the answer to id, or to any answer if id is negative.
func (s *stdio) read(id int) error {
	for {
		line, err := s.out.ReadBytes('\n')
		if err != nil {
			return err
		}
		if mine, err := accept(line, id); mine || err != nil {
			return err
		}
	}
}

// flood writes and reads in one goroutine: width small messages fit in a pipe.
func (s *stdio) flood(_ context.Context, n, width int) error {
	for id := range n {
		if id >= width {
			if err := s.read(-1); err != nil {
				return err
			}
		}
		if _, err := s.in.Write(request(id, "tools/call", callParams)); err != nil {
			return err
		}
	}
	for range min(n, width) {
		if err := s.read(-1); err != nil {
			return err
		}
	}
	return nil
}

// stop closes the program's stdin, as a host does, and returns how long it then
// takes to end. One that is still there after limit is killed.
func (s *stdio) stop(limit time.Duration) (time.Duration, error) {
	defer s.cancel()
	kill := time.AfterFunc(limit, s.cancel)
	defer kill.Stop()
	begun := time.Now()
	if err := s.in.Close(); err != nil {
		return 0, err
	}
	_, copyErr := io.Copy(io.Discard, s.out) // Wait would close it under a reader
	err := s.cmd.Wait()
	took := time.Since(begun)
	if took >= limit {
		return limit, nil
	}
	if err := errors.Join(copyErr, err); err != nil {
		return took, s.explain(err)
	}
	return took, nil
}

// kept are the variables that a program needs to run. What else this machine
// sets, such as a company's certificates to load, is not part of a program.
var kept = []string{"PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR"}

// environment is a home of its own without a desktop: no session bus, so no
// keychain, and no screen, so no browser.
func environment(home string) []string {
	env := []string{"HOME=" + home, "USERPROFILE=" + home, "APPDATA=" + home, "LOCALAPPDATA=" + home,
		"XDG_RUNTIME_DIR=" + filepath.Join(home, "run")}
	for _, name := range kept {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
