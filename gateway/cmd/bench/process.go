package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that was started to be measured.
type process struct {
	cmd     *exec.Cmd
	address string
	end     func() error
}

// startPeer starts this program as a server to compare the gateway with.
func startPeer(ctx context.Context, kind string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, serveCommand, kind)
	cmd.Stderr = os.Stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, end: in.Close}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", kind, err), p.stop())
	}
	p.address = strings.TrimSpace(line)
	return p, nil
}

// patience is for a gateway to become ready, and for a program to end.
const patience = 30 * time.Second

// startGateway starts the product with a configuration, and returns how long it
// took to be ready.
func startGateway(ctx context.Context, program, dir, address string) (_ *process, took time.Duration, err error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, log.Close()) }() // the process has its own
	cmd := exec.CommandContext(ctx, program, "serve", "--config", filepath.Join(dir, "gateway.yaml"))
	cmd.Env = []string{"MICROSOFT_CLIENT_SECRET=never-used-on-the-way-of-a-call"}
	cmd.Stderr = log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("%w; make build puts it there", err)
	}
	p := &process{cmd: cmd, address: address, end: func() error { return cmd.Process.Signal(syscall.SIGTERM) }}
	for !ready(ctx, address) {
		if time.Since(begun) > patience || ctx.Err() != nil {
			said, _ := os.ReadFile(log.Name())
			return nil, 0, errors.Join(fmt.Errorf("the gateway is not ready; its log: %s", said), p.stop())
		}
		time.Sleep(time.Millisecond)
	}
	return p, time.Since(begun), nil
}

func ready(ctx context.Context, address string) bool {
	c, err := dial(ctx, address)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	status, _, err := c.send(http.MethodGet, "/readyz", "")
	return err == nil && status == http.StatusOK
}

// stop has the process end by itself, and waits for that.
func (p *process) stop() error {
	kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	err := p.end()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, p.cmd.Wait())
}

// tick is what Linux counts a process's time in, on every architecture of Go.
const tick = 10 * time.Millisecond

// cpu is what the process has spent of the processors; 0 where nothing tells.
func (p *process) cpu() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// memory is what of the process is resident, in bytes; 0 where nothing tells.
func (p *process) memory() float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	_, after, _ := strings.Cut(string(status), "\nVmRSS:")
	kib, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	n, _ := strconv.ParseFloat(kib, 64)
	return n * 1024
}

// conn is one connection of a client that costs as little as one can, since it
// shares the processors with what is measured.
type conn struct {
	net.Conn
	in *bufio.Reader
	// headers go with each request, each with its line's end.
	headers string
	// answer is what came with the last answer.
	answer http.Header
}

func dial(ctx context.Context, address string) (*conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil { // no round comes near it
		return nil, errors.Join(err, c.Close())
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}, nil
}

func (c *conn) write(method, path, body string) error {
	head := method + " " + path + " HTTP/1.1\r\nHost: localhost:1\r\n" + c.headers
	if body != "" {
		head += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	_, err := c.Write([]byte(head + "\r\n" + body))
	return err
}

// send makes a request and returns the whole answer.
func (c *conn) send(method, path, body string) (status int, answer []byte, err error) {
	if err := c.write(method, path, body); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(resp.Body)
	c.answer = resp.Header
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

// post makes a request that is answered with one of the statuses.
func (c *conn) post(path, body string, want int) ([]byte, error) {
	status, answer, err := c.send(http.MethodPost, path, body)
	if err == nil && status != want {
		err = fmt.Errorf("POST %s was answered with %d %.300s", path, status, answer)
	}
	return answer, err
}
