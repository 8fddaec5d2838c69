package keychain

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func answer(text string) func() (string, error) {
	return func() (string, error) { return text, nil }
}

func TestACallThatNeverReturnsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := callGate{slot: make(chan struct{}, 1)}
		prompt := make(chan struct{})
		hang := func() (string, error) { <-prompt; return "late", nil }

		start := time.Now()
		if _, err := g.do(t.Context(), time.Second, hang); !errors.Is(err, errNoAnswer) || time.Since(start) != time.Second {
			t.Errorf("first call: %v after %v, want errNoAnswer after 1s", err, time.Since(start))
		}
		start = time.Now()
		if _, err := g.do(t.Context(), time.Second, answer("x")); !errors.Is(err, errNoAnswer) || time.Since(start) != 0 {
			t.Errorf("second call: %v after %v, want errNoAnswer at once", err, time.Since(start))
		}
		close(prompt) // the person answers
		synctest.Wait()
		if got, err := g.do(t.Context(), time.Second, answer("x")); got != "x" || err != nil {
			t.Errorf("call after the answer: %q, %v", got, err)
		}
	})
}

func TestACallerThatLeavesDoesNotCloseTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := callGate{slot: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		slow := func() (string, error) { time.Sleep(100 * time.Millisecond); return "slow", nil }
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := g.do(ctx, time.Second, slow); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled call: %v", err)
		}
		if got, err := g.do(t.Context(), time.Second, answer("x")); got != "x" || err != nil {
			t.Errorf("call after it: %q, %v, want it to wait its turn", got, err)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	key := make([]byte, keySize)
	good, err := seal(key, "name", []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("name", good)
	f.Add("other", good)
	f.Add("name", good[:len(formatV1)+12])
	f.Add("name", []byte(formatV1))
	f.Add("name", []byte(nil))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		plain, err := unseal(key, name, data)
		if err == nil && (name != "name" || string(plain) != "plain") {
			t.Errorf("a file nobody sealed was opened as %q", plain)
		}
	})
}
