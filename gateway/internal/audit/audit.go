// Package audit writes down what happened: sign-ins, grants, calls, denials.
// A row is durable before the answer it describes goes out. It refuses to hold
// secrets or arguments, and to lose rows quietly: when the trail cannot be
// written, callers stop serving calls (503) until it can.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// Kinds of event.
const (
	// KindLogin: somebody signed in at Microsoft, or tried to.
	KindLogin = "login"
	// KindConsent: somebody denied a client access.
	KindConsent = "consent"
	// KindDevice: a client got a code for a person to type, or somebody denied
	// what it is for.
	KindDevice = "device"
	// KindGrant: a client got its first tokens, or tried a stolen code or
	// refresh token.
	KindGrant = "grant"
	// KindRevoke: a client ended its grant.
	KindRevoke = "revoke"
	// KindCall: a tool was called, or the call was denied.
	KindCall = "call"
	// KindAdmin: an administrator revoked, disabled, enabled or rotated
	// something. Address says who: a user of the gateway's machine.
	KindAdmin = "admin"
	// KindResume: the trail can be written again after it could not.
	KindResume = "resume"
)

// Outcomes of an event.
const (
	OutcomeOK     = "ok"
	OutcomeDenied = "denied"
	OutcomeError  = "error"
)

type appender interface {
	AppendEvents(ctx context.Context, events []store.Event) error
}

// Log is the audit trail.
type Log struct {
	store  appender
	logger *slog.Logger
	// failing is set while the last append failed.
	failing atomic.Bool
}

// New returns a trail that writes to s. Rows that could not be written are
// logged whole, so that nothing is lost while the store is down.
func New(s appender, logger *slog.Logger) *Log { return &Log{store: s, logger: logger} }

// Append writes one event; it is durable when Append returns nil. The write is
// finished even if ctx ends: what happened is written down although the client
// went away.
func (l *Log) Append(ctx context.Context, e store.Event) error {
	return l.AppendAll(ctx, []store.Event{e})
}

// AppendAll is Append for events that are one: all are written or none.
func (l *Log) AppendAll(ctx context.Context, events []store.Event) error {
	err := l.store.AppendEvents(context.WithoutCancel(ctx), events)
	l.failing.Store(err != nil)
	if err != nil {
		for _, e := range events {
			l.logger.ErrorContext(ctx, "audit trail cannot be written", slog.Any("error", err), slog.Any("event", e))
		}
		return fmt.Errorf("write audit trail: %w", err)
	}
	return nil
}

// Ready reports whether the trail can be written, so that nothing is run that
// could not be recorded. While the last append failed, each call probes.
func (l *Log) Ready(ctx context.Context) error {
	if !l.failing.Load() {
		return nil
	}
	return l.Append(ctx, store.Event{Time: time.Now(), Kind: KindResume, Outcome: OutcomeOK})
}
