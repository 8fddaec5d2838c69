package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// nodes are the clients that npm installs, and what runs them.
type nodes struct {
	root   string // testdata
	node   string // new enough for most
	newer  string // new enough for Inspector
	remote string // mcp-remote's program
}

// findNodes finds them, or leaves the test out.
func findNodes(t *testing.T) nodes {
	t.Helper()
	root, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	n := nodes{root: root, remote: filepath.Join(root, "clients/node_modules/mcp-remote/dist/proxy.js")}
	n.node, err = exec.LookPath("node")
	if _, missing := os.Stat(n.remote); err != nil || missing != nil {
		t.Skip("left out: Node clients (run npm ci --prefix testdata/clients)")
	}
	// npm installs only the one that runs here.
	found, err := filepath.Glob(filepath.Join(root, "inspector/node_modules/node-*/bin/node"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Skip("left out: MCP Inspector (run npm ci --prefix testdata/inspector, on Linux)")
	}
	n.newer = found[0]
	return n
}

// npm is the version of a package in a folder of testdata.
func npm(folder, name string) func(*testing.T, *rig) string {
	return func(t *testing.T, r *rig) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(r.nodes.root, folder, "node_modules", filepath.FromSlash(name), "package.json"))
		if err != nil {
			t.Fatal(err)
		}
		var read struct{ Version string }
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		return read.Version
	}
}

var (
	inspector    = npm("inspector", "@modelcontextprotocol/inspector")
	oldInspector = npm("inspector", "@modelcontextprotocol/inspector-client")
)

// lineSession is sdk.mjs: a line in, a line out.
type lineSession struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan []byte
}

// openTypeScript starts a program made of the TypeScript SDK, and waits until it
// is connected.
func openTypeScript(ctx context.Context, d *desktop, c client) (session, error) {
	kind := map[string]string{"/mcp": "http", "/sse": "sse"}[c.address]
	cmd := d.command(d.nodes.node, filepath.Join(d.nodes.root, "clients/sdk.mjs"), d.gateway.url+c.address, c.revision, kind)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &lineSession{cmd: cmd, in: in, lines: make(chan []byte)}
	go func() {
		defer close(s.lines)
		for read := bufio.NewScanner(out); read.Scan(); {
			s.lines <- bytes.Clone(read.Bytes())
		}
	}()
	var spoken string
	if err := s.read(ctx, &spoken); err != nil || spoken != c.revision {
		return nil, errors.Join(fmt.Errorf("it speaks %q", spoken), err, s.close())
	}
	return s, nil
}

func (s *lineSession) read(ctx context.Context, into any) error {
	select {
	case line, ok := <-s.lines:
		if !ok {
			return io.ErrUnexpectedEOF
		}
		answer := struct {
			Result any
			Error  string
		}{Result: into}
		err := json.Unmarshal(line, &answer)
		if err == nil && answer.Error != "" {
			err = errors.New(answer.Error)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *lineSession) ask(ctx context.Context, command string, into any) error {
	if _, err := io.WriteString(s.in, command+"\n"); err != nil {
		return err
	}
	return s.read(ctx, into)
}

func (s *lineSession) list(ctx context.Context) error {
	var names []string
	err := s.ask(ctx, "tools", &names)
	return errors.Join(err, contains(names))
}

func (s *lineSession) add(ctx context.Context) (sum string, err error) {
	err = s.ask(ctx, "add", &sum)
	return sum, err
}

// close ends the program by the end of its input.
func (s *lineSession) close() error {
	err := s.in.Close()
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	for range s.lines { // what nobody waits for any more
	}
	return errors.Join(err, s.cmd.Wait())
}

// commandLine is Inspector's, a process for each call.
type commandLine struct {
	*desktop
	client
}

// openCommandLine signs in with a first call.
func openCommandLine(ctx context.Context, d *desktop, c client) (session, error) {
	s := commandLine{d, c}
	return s, s.list(ctx)
}

// call calls a method and reads what is printed.
func (s commandLine) call(ctx context.Context, into any, args ...string) error {
	cmd := s.command(s.nodes.newer, append([]string{filepath.Join(s.nodes.root, "inspector/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"),
		"--cli", s.gateway.url + s.address, "--callback-url", "http://127.0.0.1:" + s.ports[0] + "/oauth/callback", "--format", "json"}, args...)...)
	// It opens a browser only for somebody at a terminal, or so; and it forgets
	// its tokens where there is no keychain, unless it is told to use a file.
	cmd.Env = append(cmd.Env, "MCP_AUTO_OPEN_ENABLED=true", "MCP_INSPECTOR_SECRET_STORE=file")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return err
	}
	late := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer late()
	if err := cmd.Wait(); err != nil {
		return errors.Join(err, ctx.Err(), errors.New(out.String()))
	}
	answer := struct{ Result any }{into}
	return json.Unmarshal(out.Bytes(), &answer)
}

func (s commandLine) list(ctx context.Context) error {
	var result struct{ Tools []struct{ Name string } }
	if err := s.call(ctx, &result, "--method", "tools/list"); err != nil {
		return err
	}
	var names []string
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return contains(names)
}

func (s commandLine) add(ctx context.Context) (string, error) {
	var result struct{ Content []struct{ Text string } }
	err := s.call(ctx, &result, "--method", "tools/call", "--tool-name", "math_add", "--tool-arg", "a=23", "b=19")
	if err != nil || len(result.Content) != 1 {
		return "", errors.Join(err, fmt.Errorf("%+v", result))
	}
	return result.Content[0].Text, nil
}

func (s commandLine) close() error { return nil }
