package main

import (
	"image/color"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
)

// TestTheDrawnCodeIsTheCode reads the modules back from what is drawn.
func TestTheDrawnCodeIsTheCode(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"https://gateway.example.com/device?user_code=WDJB-MJHT", "x", strings.Repeat("https://a.example/", 12)} {
		for _, colors := range []bool{true, false} {
			drawn := drawQR(text, colors)
			code, err := qr.Encode(text, qr.L, qr.Auto)
			if err != nil || drawn == "" {
				t.Fatalf("%q: %v, drawn as %q", text, err, drawn)
			}
			size := code.Bounds().Dx()
			lines := strings.Split(strings.TrimSuffix(drawn, "\n"), "\n")
			if want := (size + 2*quiet + 1) / 2; len(lines) != want {
				t.Fatalf("%d lines for %d modules, want %d", len(lines), size, want)
			}
			for i, line := range lines {
				if colors != strings.HasPrefix(line, "\x1b[97;40m") || colors != strings.HasSuffix(line, "\x1b[0m") {
					t.Fatalf("line %d is colored: %q", i, line)
				}
				cells := []rune(strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[97;40m"), "\x1b[0m"))
				if len(cells) != size+2*quiet || len(cells) > 80 {
					t.Fatalf("line %d has %d cells for %d modules", i, len(cells), size)
				}
				for x, cell := range cells {
					for half, lit := range []bool{cell == '█' || cell == '▀', cell == '█' || cell == '▄'} {
						mx, my := x-quiet, 2*i+half-quiet
						dark := mx >= 0 && my >= 0 && mx < size && my < size && code.At(mx, my) == color.Black
						if lit == dark {
							t.Fatalf("module %d, %d is wrong", mx, my)
						}
					}
				}
			}
		}
	}
	for name, text := range map[string]string{"an endless address": strings.Repeat("x", 5000), "an address too wide for a terminal": strings.Repeat("https://a.example/", 60)} {
		if drawn := drawQR(text, true); drawn != "" {
			t.Errorf("%s is drawn: %d bytes", name, len(drawn))
		}
	}
}
