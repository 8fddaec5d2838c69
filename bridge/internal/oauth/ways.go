package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"mcp-gateway/bridge/internal/browser"
	"mcp-gateway/shared/oauth"
)

// Way is how a person signs in.
type Way string

// The ways. The zero value is InBrowser.
const (
	// InBrowser: in a browser on this machine, which brings the answer back.
	InBrowser Way = "browser"
	// ByDevice: in a browser anywhere, where the person types a code (RFC 8628).
	// It needs a server that offers it.
	ByDevice Way = "device"
	// ByPaste: in a browser anywhere, from which the person copies the address
	// that it was sent to. It works with every server.
	ByPaste Way = "paste"
)

// Prompt is what a person needs to sign in.
type Prompt struct {
	// URL is to be opened, on this machine unless the way says otherwise.
	URL string
	// Code is to be typed there, or to be the one that is shown there; empty
	// unless the way is ByDevice.
	Code string
}

// pending is a Prompt as it is published to other processes. A URL has no space.
func (p Prompt) pending() string { return strings.TrimSpace(p.URL + " " + p.Code) }

func parsePending(text string) Prompt {
	address, code, _ := strings.Cut(text, " ")
	return Prompt{URL: address, Code: code}
}

// ask has the person sign in, in the way that was chosen, and stores what comes
// of it.
func (s *signIn) ask(ctx context.Context) error {
	if s.c.cfg.Way == ByDevice {
		return s.askDevice(ctx)
	}
	return s.askForCode(ctx)
}

// askForCode sends the person to the authorization server and takes the answer.
func (s *signIn) askForCode(ctx context.Context) error {
	state, verifier := rand.Text(), oauth.NewVerifier()
	callback, err := browser.NewCallback(ctx, state)
	if err != nil {
		return err
	}
	defer func() { _ = callback.Close() }()
	redirect := callback.RedirectURI()
	if err := s.c.identify(ctx, s.place, &s.record, redirect, s.scopes); err != nil {
		return err
	}
	address, err := s.address(state, verifier, redirect)
	if err != nil {
		return err
	}
	// It holds the state and the challenge, and no secret.
	s.show(ctx, Prompt{URL: address})
	answer, err := s.answer(ctx, callback)
	if err != nil {
		return err
	}
	if err := s.check(answer); err != nil {
		return err
	}
	return s.exchange(ctx, answer.Get("code"), verifier, redirect)
}

// show tells the person, this process's log and the other processes.
func (s *signIn) show(ctx context.Context, p Prompt) {
	s.publish(p.pending())
	attrs := []any{"url", p.URL}
	if p.Code != "" {
		attrs = append(attrs, "code", p.Code)
	}
	s.c.logger.InfoContext(ctx, "sign in at", attrs...)
	if err := s.c.cfg.Open(ctx, p); err != nil {
		s.c.logger.WarnContext(ctx, "the browser did not open: open the sign-in page by hand", "error", err.Error())
	}
}

// answer waits for the browser, or for what the person pastes.
func (s *signIn) answer(ctx context.Context, callback *browser.Callback) (url.Values, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if s.c.cfg.Way == ByPaste {
		go func() {
			// It ends with what it reads from, which may be the process's stdin.
			if err := s.c.cfg.Paste(ctx, callback.Paste); err != nil {
				cancel(err)
			}
		}()
	}
	answer, err := callback.Wait(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the browser: %w", context.Cause(ctx))
	}
	return answer, nil
}

// checkWay refuses a way that cannot be gone here.
func checkWay(cfg Config) error {
	switch cfg.Way {
	case "", InBrowser, ByDevice, ByPaste:
		return nil
	}
	return fmt.Errorf("sign-in by %q: want %s, %s or %s", cfg.Way, InBrowser, ByDevice, ByPaste)
}

// errNoTerminal: an answer cannot be pasted where a program is at the other end.
var errNoTerminal = errors.New("the answer can only be pasted in a terminal")

// keep stores what a sign-in brought.
func (s *signIn) keep(ctx context.Context, t tokens) error {
	r := t.into(without(s.record), time.Now())
	if t.scope == "" {
		r.Scopes = s.scopes // "OPTIONAL, if identical to the scope requested" (RFC 6749 §5.1)
	}
	// Remembered is what the server has taught us, not what the person chose.
	if r.Resource = s.place.resource; r.Resource == "" && s.c.cfg.Resource != NoResource {
		r.Resource = NoResource
	}
	err := s.c.locked(ctx, func() error { return s.c.cfg.Store.Save(ctx, s.c.key, r) })
	if err != nil {
		return err
	}
	s.c.signedIn(r)
	return nil
}
