package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"mcp-gateway/shared/wire"
)

// caller is one client: call makes one call and waits for its answer. io.EOF ends
// it.
type caller struct {
	call  func() error
	conns []*conn
}

func (c caller) close() {
	for _, one := range c.conns {
		_ = one.Close()
	}
}

// mode is a way to call a server.
type mode struct {
	name string
	dial func(ctx context.Context, address, bearer string) (caller, error)
}

const addArguments = `"name":"math_add","arguments":{"a":23,"b":19}`

var (
	modeEcho    = mode{"echo", dialEcho}
	modeModern  = mode{"modern", dialModern}
	modeSession = mode{"session", dialSession}
	modeSSE     = mode{"SSE", dialSSE}
)

// connect opens a connection that says who it is.
func connect(ctx context.Context, address, bearer, more string) (*conn, error) {
	c, err := dial(ctx, address)
	if err == nil {
		c.headers = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nAuthorization: Bearer " + bearer + "\r\n" + more
	}
	return c, err
}

// posting is a caller that makes the same request each time, on one connection.
func posting(c *conn, path, body, want string) caller {
	return caller{conns: []*conn{c}, call: func() error {
		answer, err := c.post(path, body, http.StatusOK)
		if err == nil && !bytes.Contains(answer, []byte(want)) {
			err = fmt.Errorf("it answered %.300s", answer)
		}
		return err
	}}
}

func dialEcho(ctx context.Context, address, bearer string) (caller, error) {
	c, err := connect(ctx, address, bearer, "")
	if err != nil {
		return caller{}, err
	}
	return posting(c, "/", legacyCall, "math_add"), nil
}

func dialModern(ctx context.Context, address, bearer string) (caller, error) {
	c, err := connect(ctx, address, bearer, "Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: math_add\r\n")
	if err != nil {
		return caller{}, err
	}
	return posting(c, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{`+addArguments+
		`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, `"42"`), nil
}

const (
	initializeBody = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
	initialized    = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	legacyCall     = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + addArguments + `}}`
)

func dialSession(ctx context.Context, address, bearer string) (caller, error) {
	c, err := connect(ctx, address, bearer, "")
	if err != nil {
		return caller{}, err
	}
	if _, err := c.post("/mcp", initializeBody, http.StatusOK); err != nil {
		return caller{}, errors.Join(err, c.Close())
	}
	c.headers += "Mcp-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: " + c.answer.Get("Mcp-Session-Id") + "\r\n"
	if _, err := c.post("/mcp", initialized, http.StatusAccepted); err != nil {
		return caller{}, errors.Join(err, c.Close())
	}
	return posting(c, "/mcp", legacyCall, `"42"`), nil
}

// dialSSE opens a stream of HTTP+SSE: a call is a POST on a second connection, and
// its answer is an event of the stream.
func dialSSE(ctx context.Context, address, bearer string) (caller, error) {
	stream, err := connect(ctx, address, bearer, "")
	if err != nil {
		return caller{}, err
	}
	c := caller{conns: []*conn{stream}}
	poster, err := connect(ctx, address, bearer, "")
	if err != nil {
		return c, err
	}
	c.conns = append(c.conns, poster)
	if err := stream.write(http.MethodGet, "/sse", ""); err != nil {
		return c, err
	}
	resp, err := http.ReadResponse(stream.in, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		return c, fmt.Errorf("GET /sse: %v, %w", resp, err)
	}
	events := wire.NewEventReader(resp.Body, 1<<20)
	endpoint, err := events.Next()
	if err != nil {
		return c, err
	}
	target, err := url.Parse(string(endpoint.Data))
	if err != nil {
		return c, err
	}
	send := func(body, want string) error {
		if _, err := poster.post(target.RequestURI(), body, http.StatusAccepted); err != nil || want == "" {
			return err
		}
		event, err := events.Next()
		if err == nil && !bytes.Contains(event.Data, []byte(want)) {
			err = fmt.Errorf("the stream says %.300s", event.Data)
		}
		return err
	}
	c.call = func() error { return send(legacyCall, `"42"`) }
	return c, errors.Join(send(initializeBody, `"serverInfo"`), send(initialized, ""))
}

// warmUp is how many calls each caller makes before it is measured.
const warmUp = 20

// load has callers call a server in one mode for a while.
func load(ctx context.Context, p *process, m mode, bearers []string, window time.Duration) (_ sample, err error) {
	callers := make([]caller, len(bearers))
	defer func() {
		for _, c := range callers {
			c.close()
		}
	}()
	for i, bearer := range bearers {
		if callers[i], err = m.dial(ctx, p.address, bearer); err != nil {
			return nil, err
		}
		for range warmUp {
			if err := callers[i].call(); err != nil {
				return nil, err
			}
		}
	}
	return drive(ctx, p, callers, window)
}

// drive lets the callers call at the same time, until the window is over or there
// is nothing left to do.
func drive(ctx context.Context, p *process, callers []caller, window time.Duration) (sample, error) {
	latencies, errs := make([][]time.Duration, len(callers)), make([]error, len(callers))
	begun, spent := time.Now(), p.cpu()
	var group sync.WaitGroup
	for i, c := range callers {
		group.Go(func() {
			for at := time.Now(); at.Sub(begun) < window && ctx.Err() == nil; {
				if errs[i] = c.call(); errs[i] != nil {
					return
				}
				now := time.Now()
				latencies[i] = append(latencies[i], now.Sub(at))
				at = now
			}
		})
	}
	group.Wait()
	took, spent := time.Since(begun), p.cpu()-spent
	for _, err := range errs {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	all := slices.Concat(latencies...)
	if len(all) == 0 || ctx.Err() != nil {
		return nil, errors.Join(errors.New("nothing was called"), ctx.Err())
	}
	return sample{
		unitRate: float64(len(all)) / took.Seconds(), unitCPU: float64(spent) / float64(len(all)),
		unitP50: float64(quantile(all, 0.5)), unitP99: float64(quantile(all, 0.99)),
	}, nil
}
