// Package browser is the bridge's way to the person: it opens an address in
// their browser and receives the answer of a sign-in on loopback. It refuses
// every address that a browser should not be given by a stranger, and to know
// what a sign-in is about.
//
// It implements RFC 8252 §7.3 (loopback redirection) for a native app.
package browser

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pkg/browser"
)

// ErrNoBrowser: there is no browser on this machine to show anything to the
// person. The address must be shown in another way.
var ErrNoBrowser = errors.New("no browser can be opened here")

// ErrAddress: the address is not one to open, whoever it came from.
var ErrAddress = errors.New("not an address to open in a browser")

// settle is how long a launcher may take to fail. One that runs longer is a
// browser in the foreground, which is a success.
const settle = 500 * time.Millisecond

// Environment is what decides whether there is a browser.
type Environment struct {
	// GOOS is runtime.GOOS.
	GOOS string
	// Getenv looks up a variable: DISPLAY, WAYLAND_DISPLAY, WSL_DISTRO_NAME,
	// BROWSER, SSH_CONNECTION, container, KUBERNETES_SERVICE_HOST.
	Getenv func(string) string
	// Exists reports whether there is a file; nil for none.
	Exists func(path string) bool
}

// Opener opens addresses in the person's browser.
type Opener struct {
	env Environment
	// launch starts a browser and returns when the launcher ends.
	launch func(address string) error
}

// launcherToStderr is once for the process: the library has one variable.
var launcherToStderr = sync.OnceFunc(func() { browser.Stdout = os.Stderr })

// NewOpener returns an Opener that uses the system's launcher. What the
// launcher prints goes to stderr: stdout belongs to the protocol.
func NewOpener(env Environment) *Opener {
	if env.GOOS == "" {
		env.GOOS = runtime.GOOS
	}
	launcherToStderr()
	return &Opener{env: env, launch: browser.OpenURL}
}

// Open opens an address. It returns after at most half a second: when the
// launcher has failed, or has not.
func (o *Opener) Open(ctx context.Context, address string) error {
	if err := CheckAddress(address); err != nil {
		return err
	}
	if why := o.env.lacksBrowser(); why != "" {
		return fmt.Errorf("%w: %s", ErrNoBrowser, why)
	}
	done := make(chan error, 1)
	go func() { done <- o.launch(address) }()
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil && o.env.Getenv("WSL_DISTRO_NAME") != "" {
			return fmt.Errorf("%w: WSL knows none (the package wslu brings one to it): %w", ErrNoBrowser, err)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoBrowser, err)
		}
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lacksBrowser says why no browser could show anything to the person, or "". On
// desktops that have no display server to lack there is one, unless the person sits
// before another machine; elsewhere if there is a display, or somebody has said
// which browser to use, as editors do that work on another machine.
func (e Environment) lacksBrowser() string {
	given := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return e.Getenv(name) != "" })
	}
	desktop := e.GOOS == "windows" || e.GOOS == "darwin"
	remote := given("SSH_CONNECTION")
	switch {
	case given("BROWSER"), desktop && !remote, !desktop && given("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
		return ""
	case remote:
		return "this is a session over SSH"
	case given("container", "KUBERNETES_SERVICE_HOST"), e.exists("/.dockerenv"), e.exists("/run/.containerenv"):
		return "this is a container"
	}
	return "there is no display"
}

func (e Environment) exists(path string) bool { return e.Exists != nil && e.Exists(path) }

// CheckAddress refuses what a server could send to make a launcher run
// something else (CVE-2025-6514): only https, or http on loopback, spelled so
// that no launcher can read it otherwise.
func CheckAddress(address string) error {
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '\'' || c == '`' || c == '<' || c == '>' || c == '^' || c == '|' {
			return fmt.Errorf("%w: it has a character that does not belong in a URL", ErrAddress)
		}
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Hostname() == "":
		return fmt.Errorf("%w: it is not an absolute URL with a host", ErrAddress)
	case u.User != nil:
		return fmt.Errorf("%w: it carries a user name", ErrAddress)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("%w: only https is, and http on this computer", ErrAddress)
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
