package wire_test

import (
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

func TestHeaderValues(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ plain, header string }{
		"a plain name stays":                  {"math_add", "math_add"},
		"space inside stays":                  {"a b", "a b"},
		"nothing stays":                       {"", ""},
		"space at an end is encoded":          {" a", "=?base64?IGE=?="},
		"letters beyond ASCII are encoded":    {"größe", "=?base64?Z3LDtsOfZQ==?="},
		"a line break is encoded":             {"a\r\nb", "=?base64?YQ0KYg==?="},
		"what looks encoded is encoded again": {"=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="},
		"a prefix alone is not encoded":       {"=?base64?", "=?base64?"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := wire.EncodeHeader(test.plain); got != test.header {
				t.Errorf("encoded: got %q, want %q", got, test.header)
			}
			if got, err := wire.DecodeHeader(test.header); err != nil || got != test.plain {
				t.Errorf("decoded: got %q, %v, want %q", got, err, test.plain)
			}
		})
	}
}

func TestDecodeHeaderRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ header, reason string }{
		"letters beyond ASCII":      {"gr\xc3\xb6\xc3\x9fe", "need base64"},
		"a control character":       {"a\tb", "need base64"},
		"base64 without padding":    {"=?base64?YQ?=", "not valid base64"},
		"base64 with stray bits":    {"=?base64?YR==?=", "not valid base64"},
		"the other base64 alphabet": {"=?base64?-_-_?=", "not valid base64"},
		"bytes that are not UTF-8":  {"=?base64?/w==?=", "not UTF-8"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := wire.DecodeHeader(test.header); err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %q, %v, want %q", got, err, test.reason)
			}
		})
	}
}

// FuzzHeader: no panic, and what was decoded encodes to something that decodes
// to the same.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"a", " a", "=?base64?YQ==?=", "=?base64?", "=?base64??=", "ö", "=?base64?=?="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		plain, err := wire.DecodeHeader(value)
		if err != nil {
			return
		}
		if again, err := wire.DecodeHeader(wire.EncodeHeader(plain)); err != nil || again != plain {
			t.Fatalf("%q came back as %q, %v", plain, again, err)
		}
	})
}
