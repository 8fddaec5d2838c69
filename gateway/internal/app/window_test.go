package app_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// window is a window of Chromium that shares nothing with others.
type window struct {
	t   *testing.T
	tab context.Context

	mu sync.Mutex // guards below
	// status of the document that was loaded last.
	status int64
	// hosts that were asked for anything.
	hosts []string
	// complaints of the browser about the pages.
	complaints []string
}

func newWindow(t *testing.T, chromium context.Context) *window {
	t.Helper()
	tab, leave := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(leave)
	w := &window{t: t, tab: tab}
	if err := chromedp.Do(tab); err != nil { // with the window's own time
		t.Fatal(err)
	}
	if err := chromedp.Listen(tab, w.hear); err != nil {
		t.Fatal(err)
	}
	return w
}

// hear notes what the browser says.
func (w *window) hear(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || !slices.Contains(w.hosts, u.Host) {
			w.hosts = append(w.hosts, u.Host)
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			w.status = e.Response.Status
		}
	case *log.EventEntryAdded:
		// That the document itself has a status of an error is no fault of its.
		if e.Entry.Source != log.EntrySourceNetwork || w.status < http.StatusBadRequest || !strings.Contains(e.Entry.Text, "responded with a status of") {
			w.complaints = append(w.complaints, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		w.complaints = append(w.complaints, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		w.complaints = append(w.complaints, "a script speaks: "+string(e.Type))
	}
}

// within runs an action in the window; it is an error if that takes long, on
// however busy a machine.
func within[T any](w *window, action chromedp.Action[T]) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.tab, time.Minute)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		late, cancel := context.WithTimeout(w.tab, 10*time.Second)
		defer cancel()
		shown, _ := chromedp.Run(late, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
		w.t.Fatalf("%v\nthe page is %s", err, shown)
	}
	return result
}

func (w *window) open(address string) {
	w.t.Helper()
	within(w, chromedp.Navigate(address))
}

// see waits for the page with a heading.
func (w *window) see(heading string) {
	w.t.Helper()
	within(w, chromedp.WaitVisible(chromedp.Search(`//h1[contains(., "`+heading+`")]`)))
}

// click presses the button that says so.
func (w *window) click(words string) {
	w.t.Helper()
	within(w, chromedp.Click(chromedp.Search(`//button[contains(., "`+words+`")]`)))
}

// press presses a key, perhaps with others held.
func (w *window) press(key string, held ...chromedp.Modifier) {
	w.t.Helper()
	within(w, chromedp.KeyEvent(key, chromedp.KeyModifiers(held...)))
}

// scheme is light or dark.
func (w *window) scheme(name string) {
	w.t.Helper()
	within(w, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	}))
}

func (w *window) size(width, height int64, options ...chromedp.EmulateViewportOption) {
	w.t.Helper()
	within(w, chromedp.EmulateViewport(width, height, options...))
}

// check reports what the browser complained of, and hosts that nobody had to ask.
func (w *window) check(known ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, complaint := range w.complaints {
		w.t.Errorf("the browser complains: %s", complaint)
	}
	for _, host := range w.hosts {
		if !slices.Contains(known, host) {
			w.t.Errorf("%q was asked for something", host)
		}
	}
}

func (w *window) lastStatus() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int(w.status)
}

// forget has the browser forget its cookies.
func (w *window) forget() {
	w.t.Helper()
	within(w, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
}

func (w *window) address() string {
	w.t.Helper()
	return within(w, chromedp.Location())
}
