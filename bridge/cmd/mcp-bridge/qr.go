package main

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

const (
	// quiet is the margin that readers of a code want, in modules (ISO/IEC 18004 §6.3.8).
	quiet = 4
	// widestCode is how many modules fit into a terminal of 80 columns.
	widestCode = 80 - 2*quiet
)

// drawQR draws a text as a QR code for a terminal, two rows of modules in each line.
// The light modules are what is drawn, in white on black if colors are understood:
// most terminals are dark, and a code must be dark on light for all readers. An
// address that needs a code wider than a terminal gets none.
func drawQR(text string, colors bool) string {
	code, err := qr.Encode(text, qr.L, qr.Auto)
	if err != nil || code.Bounds().Dx() > widestCode {
		return ""
	}
	size := code.Bounds().Dx()
	light := func(x, y int) bool {
		within := x >= 0 && y >= 0 && x < size && y < size
		return !within || code.At(x, y) == color.White
	}
	begin, end := "", "\n"
	if colors {
		begin, end = "\x1b[97;40m", "\x1b[0m\n"
	}
	var b strings.Builder
	for y := -quiet; y < size+quiet; y += 2 {
		b.WriteString(begin)
		for x := -quiet; x < size+quiet; x++ {
			b.WriteString(half(light(x, y), light(x, y+1)))
		}
		b.WriteString(end)
	}
	return b.String()
}

func half(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}

// showCode tells a person at a terminal where to type which code.
func (c *command) showCode(server, address, code string) {
	var picture string
	if c.terminal {
		picture = drawQR(address, c.goos != "windows")
	}
	if picture != "" {
		picture = "Or read it with a phone:\n\n" + picture + "\n"
	}
	_, _ = fmt.Fprintf(c.stderr, "To sign in to %s, open this address in a browser on any machine:\n\n    %s\n\n"+
		"and go on if it shows this code, or type it there:\n\n    %s\n\n%sWaiting for you to sign in...\n", server, address, code, picture)
}
