package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"mcp-gateway/bridge/internal/browser"
	"mcp-gateway/bridge/internal/oauth"
)

// maxPasted bounds a line that a person pastes, in bytes.
const maxPasted = 64 << 10

// tell shows a person at a terminal what they need, in the way that they chose.
func (c *command) tell(o *options) show {
	open := c.opener(o)
	return func(ctx context.Context, p oauth.Prompt) error {
		switch o.way {
		case oauth.ByDevice:
			c.showCode(o.server, p.URL, p.Code)
			return nil
		case oauth.ByPaste:
			_, _ = fmt.Fprintf(c.stderr, "To sign in to %s, open this address in a browser on any machine:\n\n    %s\n\n"+
				"In the end the browser goes to a page of 127.0.0.1, which it cannot show if it is on\nanother machine. Copy the whole address of that page, paste it here and press Enter:\n\n", o.server, p.URL)
			return nil
		}
		_, _ = fmt.Fprintf(c.stderr, "Open this address in a browser on this machine to sign in to %s:\n\n    %s\n\n", o.server, p.URL)
		err := open(ctx, p)
		if errors.Is(err, browser.ErrNoBrowser) && !o.noBrowser {
			_, _ = fmt.Fprintf(c.stderr, "%v. With a browser on another machine, stop this (Ctrl-C) and run one of:\n\n"+
				"    mcp-bridge login %s --device    if the server offers it\n    mcp-bridge login %s --paste\n\n", err, o.server, o.server)
			return nil
		}
		return err
	}
}

// paste is how a person pastes where their browser went.
type paste = func(ctx context.Context, take func(text string) error) error

// paste reads lines until one is taken. What is wrong with a line is said, and the
// line itself nowhere: it may hold a code.
func (c *command) paste(ctx context.Context, take func(text string) error) error {
	lines := bufio.NewScanner(c.stdin)
	lines.Buffer(make([]byte, 0, 4<<10), maxPasted)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		err := take(lines.Text())
		if err == nil || ctx.Err() != nil {
			return err
		}
		c.say("%v", err)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("what was pasted is longer than %d bytes", maxPasted)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read what is pasted: %w", err)
	}
	return fmt.Errorf("no address was pasted: %w", io.ErrUnexpectedEOF)
}
