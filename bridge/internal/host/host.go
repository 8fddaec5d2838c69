// Package host is the stdio side of the bridge: one JSON-RPC message a line, in
// from the program that started the bridge, and out to it.
//
// It owns the framing (MCP basic, Transports, stdio) and refuses to know what a
// message means.
package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// MaxLine bounds a message of the host, in bytes.
const MaxLine = 64 << 20

// ErrTooLong refuses a line over MaxLine. It has been skipped to its end.
var ErrTooLong = fmt.Errorf("message over %d MiB", MaxLine>>20)

// keep is how large a buffer may be kept for the next message, in bytes.
const keep = 64 << 10

// Host is the program on the other side of stdin and stdout.
type Host struct {
	in  *bufio.Reader
	max int

	mu  sync.Mutex // guards below: one writer at a time, whole lines
	out io.Writer
	buf []byte
}

// New returns the Host that writes to in and reads from out.
func New(in io.Reader, out io.Writer) *Host {
	return &Host{in: bufio.NewReaderSize(in, keep), max: MaxLine, out: out}
}

// Read returns the next line that is not empty, without its end. The bytes are
// the caller's. It is for one reader at a time. io.EOF says that the host has
// gone; a last line without an end is still a line.
func (h *Host) Read() ([]byte, error) {
	for {
		line, err := h.line()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

// line reads one line, of a size known only at its end.
func (h *Host) line() ([]byte, error) {
	var line []byte
	for {
		part, err := h.in.ReadSlice('\n')
		if len(line)+len(part) > h.max {
			return nil, h.skip(err)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		default:
			return nil, err
		}
	}
}

// skip leaves the rest of a line that is too long, which err says was not yet
// read to its end.
func (h *Host) skip(err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = h.in.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return ErrTooLong
}

// Write sends one message, as one line. Its bytes stay as they are but for line
// ends between its tokens, which become spaces ("MUST NOT contain embedded
// newlines"): JSON has none within a token.
func (h *Host) Write(message []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf = append(h.buf[:0], message...)
	for i, b := range h.buf {
		if b == '\n' || b == '\r' {
			h.buf[i] = ' '
		}
	}
	h.buf = append(h.buf, '\n')
	_, err := h.out.Write(h.buf)
	if cap(h.buf) > keep {
		h.buf = nil
	}
	if err != nil {
		return fmt.Errorf("write to the host: %w", err)
	}
	return nil
}
