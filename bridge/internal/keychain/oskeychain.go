package keychain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	keyring "github.com/zalando/go-keyring"
)

// The one item of the bridge in the OS keychain, and one that is there for a moment.
const (
	keychainService = "mcp-bridge"
	keychainAccount = "store-key-v1"
	keychainTrial   = "trial"
)

// errNoAnswer is a keychain call over its time: often a question to unlock the
// keychain on a screen that nobody looks at.
var errNoAnswer = errors.New("it does not answer")

// osKeeper keeps the key in the keychain of the operating system.
type osKeeper struct {
	timeout time.Duration
	bus     string
}

func (osKeeper) String() string { return "the OS keychain" }

func (o osKeeper) get(ctx context.Context) (string, error) {
	return o.call(ctx, func() (string, error) { return keyring.Get(keychainService, keychainAccount) })
}

func (o osKeeper) set(ctx context.Context, text string) error {
	_, err := o.call(ctx, func() (string, error) { return "", keyring.Set(keychainService, keychainAccount, text) })
	return err
}

// try stores another item and deletes it: a Secret Service without a collection to
// store in still answers that it has no such item.
func (o osKeeper) try(ctx context.Context) error {
	_, err := o.call(ctx, func() (string, error) {
		if err := keyring.Set(keychainService, keychainTrial, "trial"); err != nil {
			return "", err
		}
		return "", keyring.Delete(keychainService, keychainTrial)
	})
	return err
}

func (o osKeeper) call(ctx context.Context, f func() (string, error)) (string, error) {
	if !haveBus(o.bus) {
		return "", unreachable(errors.New("no D-Bus session"))
	}
	text, err := calls.do(ctx, o.timeout, f)
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, keyring.ErrNotFound):
		return "", errNoKey
	case ctx.Err() != nil:
		return "", fmt.Errorf("wait for the OS keychain: %w", context.Cause(ctx))
	default:
		return "", unreachable(err)
	}
}

// unreachable is ErrLocked with what a person can do about it.
func unreachable(reason error) error {
	return fmt.Errorf("%w: the OS keychain (%s) cannot be used: %w; unlock it and try again, or choose --token-store file",
		ErrLocked, serviceName(), reason)
}

// haveBus reports whether the Secret Service can be asked. The D-Bus library tries
// the same two places and then starts dbus-launch, which leaves a daemon behind.
func haveBus(address string) bool {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" || address != "" {
		return true
	}
	_, err := os.Stat("/run/user/" + strconv.Itoa(os.Getuid()) + "/bus")
	return err == nil
}

func serviceName() string {
	switch runtime.GOOS {
	case "darwin":
		return "macOS Keychain"
	case "windows":
		return "Windows Credential Manager"
	default:
		return "Secret Service"
	}
}

// calls bounds the keychain calls of this process, whatever the number of stores.
var calls = callGate{slot: make(chan struct{}, 1)}

// callGate runs one call at a time. A keychain call cannot be interrupted, so one
// that never returns keeps its goroutine; the gate keeps that to one goroutine,
// and refuses at once while it is still waiting.
type callGate struct {
	slot      chan struct{}                 // held while a call runs
	abandoned atomic.Pointer[chan struct{}] // closed when the call given up on has returned after all
}

func (g *callGate) do(ctx context.Context, timeout time.Duration, f func() (string, error)) (string, error) {
	if c := g.abandoned.Load(); c != nil {
		select {
		case <-*c: // the person answered in the end
		default:
			return "", errNoAnswer
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errNoAnswer)
	defer cancel()
	select {
	case g.slot <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	var text string
	var err error
	done := make(chan struct{})
	go func() {
		defer func() { <-g.slot }()
		defer close(done)
		text, err = f()
	}()
	select {
	case <-done:
		return text, err
	case <-ctx.Done():
		// A caller that left says nothing about the keychain; a timeout does.
		if cause := context.Cause(ctx); errors.Is(cause, errNoAnswer) {
			g.abandoned.Store(&done)
		}
		return "", context.Cause(ctx)
	}
}
