package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"mime"
	"net/http"
	"time"
)

// The waits before a stream is opened again.
const (
	firstWait = time.Second
	lastWait  = time.Minute
)

// Listen gives receive what the server says unasked, until ctx ends or the server
// has lost the session (ErrSession). It returns nil for a server that never says
// anything unasked, as its answer to GET tells.
func (c *Conn) Listen(ctx context.Context, receive Receive) error {
	s := c.current()
	if s.old != nil {
		return s.old.wait(ctx)
	}
	all := func(message []byte) bool { receive(message); return false } // the stream goes on
	lastID, wait := "", firstWait
	for first := true; ; first = false {
		resp, err := c.listen(ctx, s, lastID)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errNoStream) && lastID != "":
			lastID = "" // it may have forgotten the place, and not how to stream
		case errors.Is(err, errNoStream), errors.Is(err, ErrSession) && first:
			// A session does not end as it begins: 404 says then that nobody
			// answers GET here. If it did end, the next call will tell.
			return nil
		case errors.Is(err, ErrSession):
			return err
		case err == nil:
			began, before, pause := time.Now(), lastID, time.Duration(0)
			_, err = readStream(resp, all, &lastID, &pause)
			if lastID != before || time.Since(began) > lastWait {
				wait = firstWait // it works
			}
			if pause > 0 {
				wait = pause // as the server asks
			}
		}
		if status, ok := errors.AsType[*StatusError](err); ok {
			wait = max(wait, min(status.RetryAfter, lastWait))
		}
		c.cfg.Logger.DebugContext(ctx, "the stream of the server ended", "error", err, "again in", wait)
		if !sleep(ctx, wait+rand.N(wait/2+1)) {
			return ctx.Err()
		}
		wait = min(2*wait, lastWait)
	}
}

// errNoStream: the server has no stream to listen to.
var errNoStream = errors.New("the server offers no stream")

// listen opens a GET stream, at its beginning or after the event with that id.
func (c *Conn) listen(ctx context.Context, s session, lastID string) (*http.Response, error) {
	header := exchange{session: s}.header()
	header["Accept"] = acceptStream
	if lastID != "" {
		header["Last-Event-Id"] = []string{lastID}
	}
	resp, err := c.send(ctx, request{method: http.MethodGet, url: c.cfg.URL, header: header})
	if err != nil {
		return nil, err
	}
	if isStream(resp) {
		return resp, nil
	}
	defer discard(resp)
	err = c.refused(resp, s)
	status := resp.StatusCode
	passes := status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status/100 == 5 && status != http.StatusNotImplemented
	if errors.Is(err, ErrSession) || passes {
		return nil, err
	}
	return nil, errors.Join(errNoStream, err)
}

// isStream reports whether a response is an event stream.
func isStream(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return resp.StatusCode == http.StatusOK && kind == "text/event-stream"
}
