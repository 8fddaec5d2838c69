package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mcp-gateway/shared/secret"
)

const canary = "hunter2-canary"

type holder struct {
	Public  secret.Value
	private secret.Value
	list    []secret.Value
	byName  map[string]secret.Value
}

func TestNoWayOfPrintingShowsTheSecret(t *testing.T) {
	v := secret.New(canary)
	h := holder{Public: v, private: v, list: []secret.Value{v}, byName: map[string]secret.Value{"k": v}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", &v)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
	}
	fmt.Fprintln(&out, v, h, &h, fmt.Errorf("wrapped: %v", h))
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("m", slog.Any("v", v), slog.Any("h", h), slog.Any("p", &h))
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"v": v, "h": h}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Fatalf("the secret was printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing says that a secret was left out")
	}
}

func TestRevealAndZero(t *testing.T) {
	if got := secret.New(canary).Reveal(); got != canary {
		t.Errorf("Reveal() = %q, want the secret", got)
	}
	var zero secret.Value
	if !zero.IsZero() || !secret.New("").IsZero() || secret.New(canary).IsZero() {
		t.Error("IsZero is true for no secret and for an empty one only")
	}
	if zero.String() != "" || zero.Reveal() != "" {
		t.Error("a zero Value is empty")
	}
}
