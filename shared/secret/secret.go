// Package secret holds values that must never reach a log, an error text or a
// printed configuration by accident.
package secret

import (
	"fmt"
	"log/slog"
)

// redacted is all that any form of printing shows.
const redacted = "[redacted]"

// Value is a secret string. Every way of printing it shows "[redacted]": fmt
// verbs, slog, JSON, text encoders. The string is behind a pointer so that fmt
// cannot reach it even through an unexported field of a printed struct.
type Value struct{ s *string }

// New wraps a secret.
func New(s string) Value { return Value{s: &s} }

// Reveal returns the secret. Its callers are listed in imports_test.go.
func (v Value) Reveal() string {
	if v.s == nil {
		return ""
	}
	return *v.s
}

// IsZero reports whether there is no secret, or an empty one.
func (v Value) IsZero() bool { return v.s == nil || *v.s == "" }

// Format implements fmt.Formatter for every verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(v.String())) }

// String shows that there is a secret, or nothing.
func (v Value) String() string {
	if v.IsZero() {
		return ""
	}
	return redacted
}

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalText implements encoding.TextMarshaler, and so JSON.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }
