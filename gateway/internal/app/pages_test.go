package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"mcp-gateway/gateway/internal/lab"
)

var update = flag.Bool("update", false, "take the pictures in docs/pages anew")

// pagesConfig has a client that an administrator wrote down, and a scope to ask for.
const pagesConfig = wideRates + divideScope + "clients: {device_sign_in: true}\n" +
	"registered_clients:\n  - {id: build-agent, name: The build agent, redirect_uris: [\"https://build.example/callback\"], auth_method: none}\n"

// stage is a gateway, a browser before it, and a client on the same computer that
// waits for its answers.
type stage struct {
	*gateway
	*publisher
	chromium context.Context
	look     string // the script testdata/look.js
	axe      string // the script of axe-core
	// redirect is where the client listens, and answers what it was told.
	redirect string
	answers  chan url.Values
}

// newStage has the gateway listen at an address of loopback.
func newStage(t *testing.T, address string) *stage {
	t.Helper()
	axe, err := os.ReadFile("../../../testdata/pages/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skip("left out: accessibility of the pages (run npm ci --prefix testdata/pages)")
	}
	look, err := os.ReadFile("testdata/look.js")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{look: string(look), axe: string(axe), answers: make(chan url.Values, 1), chromium: lab.Chromium(t)}
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" { // the icon that browsers ask for
			http.NotFound(w, r)
			return
		}
		s.answers <- r.URL.Query()
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><html lang="en"><title>Client</title><link rel="icon" href="data:,"><h1>Back at the client</h1>`))
	}))
	t.Cleanup(client.Close)
	s.redirect = client.URL + "/callback"
	s.publisher = publish(t, map[string]string{"/app.json": described(t, map[string]any{"client_name": "Documented client"})})
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.gateway = newGateway(t, fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port))
	s.fetch = s.http
	s.serve(l, pagesConfig)
	return s
}

// at is the stage for a part of the test.
func (s *stage) at(t *testing.T) *stage {
	part := *s
	part.gateway = s.in(t)
	return &part
}

// ask opens the address that a client sends its person to.
func (s *stage) ask(w *window, client, redirect string, change func(url.Values)) authorization {
	s.t.Helper()
	a := newAuthorization(client)
	w.open(s.authorizeURL(a, func(q url.Values) {
		q.Set("redirect_uri", redirect)
		if change != nil {
			change(q)
		}
	}))
	return a
}

// stranger registers a client that any program could have registered.
func (s *stage) stranger(name, redirect string) string {
	s.t.Helper()
	members, err := json.Marshal(map[string]any{"client_name": name, "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none"})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.register(string(members)).ClientID
}

// known are the hosts that a window may ask: nothing on the pages is anybody
// else's.
func (s *stage) known() []string {
	var hosts []string
	for _, address := range []string{s.url, s.authority, s.redirect} {
		u, err := url.Parse(address)
		if err != nil {
			s.t.Fatal(err)
		}
		hosts = append(hosts, u.Host)
	}
	return hosts
}

// looks are the ways in which each page is looked at. WCAG 2.2 1.4.10 asks for 320
// pixels, which is also a window of 1280 at 400 %.
var looks = []struct {
	width  int64
	scheme string
}{{320, "light"}, {320, "dark"}, {375, "dark"}, {375, "light"}, {1280, "light"}, {1280, "dark"}}

// TestEveryPageCanBeReadByEverybody: each page, in each look, against what WCAG 2.2
// asks and what a page without scripts and pictures can keep.
func TestEveryPageCanBeReadByEverybody(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:0"
	if *update {
		address = "127.0.0.1:8788" // which is where "make run" has it
	}
	s := newStage(t, address)
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			s := s.at(t)
			w := newWindow(t, s.chromium)
			scene.open(s, w)
			w.see(scene.heading)
			if got := w.lastStatus(); got != scene.status {
				t.Errorf("status %d, want %d", got, scene.status)
			}
			for _, look := range looks {
				w.size(look.width, 720)
				w.scheme(look.scheme)
				for _, wrong := range within(w, chromedp.Evaluate[[]string](s.look+".page()")) {
					t.Errorf("%d wide, %s: %s", look.width, look.scheme, wrong)
				}
			}
			w.check(s.known()...) // before axe-core, which is not the page's
			within(w, chromedp.Evaluate[*runtime.RemoteObject](s.axe))
			for _, wrong := range within(w, chromedp.Evaluate[[]string](askAxe, chromedp.EvalAwaitPromise)) {
				t.Errorf("axe-core: %s", wrong)
			}
			for _, p := range pictures {
				if p.scene == scene.name {
					p.check(t, w)
				}
			}
		})
	}
}

// askAxe has all the rules of axe-core run but one (WCAG 2.2 2.2.1): a failure page
// goes back by itself, since a client waits there for its answer, and it says when.
const askAxe = `axe.run({ rules: { 'meta-refresh': { enabled: false } } })
	.then(r => r.violations.map(v => v.id + ': ' + v.help + ': ' + v.nodes.map(n => n.html).join(' ')))`

// picture is a file in docs/pages.
type picture struct {
	file, scene   string
	width, height int64
	scheme        string
}

var pictures = []picture{
	{file: "consent.png", scene: "consent to a program on this computer", width: 720, height: 640, scheme: "light"},
	{file: "consent-narrow-dark.png", scene: "consent to a program on this computer", width: 375, height: 780, scheme: "dark"},
	{file: "sign-in.png", scene: "the sign-in of the simulated Microsoft", width: 600, height: 920, scheme: "light"},
	{file: "failure.png", scene: "a security policy of the organization", width: 720, height: 560, scheme: "light"},
}

// maxPicture is in bytes: the README shows one.
const maxPicture = 60_000

func (p picture) check(t *testing.T, w *window) {
	t.Helper()
	path := filepath.Join("../../../docs/pages", p.file)
	if *update {
		w.size(p.width, p.height, chromedp.EmulateScale(1.5))
		w.scheme(p.scheme)
		if err := os.WriteFile(path, small(t, within(w, chromedp.CaptureScreenshot())), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxPicture {
		t.Errorf("docs/pages/%s has %d bytes, at most %d are wanted", p.file, info.Size(), maxPicture)
	}
}

// small is a picture with no more than 32 colors, which is enough for text.
func small(t *testing.T, picture []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[color.Color]int)
	for y := range from.Bounds().Dy() {
		for x := range from.Bounds().Dx() {
			seen[from.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(seen), func(a, b color.Color) int { return seen[b] - seen[a] })
	to := image.NewPaletted(from.Bounds(), colors[:min(32, len(colors))])
	draw.Draw(to, to.Bounds(), from, image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, to); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
