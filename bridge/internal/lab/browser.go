package lab

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Browser opens addresses like a person's browser: it returns at once, and follows
// the redirects meanwhile. Its work ends with the test.
func Browser(t *testing.T) func(ctx context.Context, url string) error {
	t.Helper()
	var open sync.WaitGroup
	t.Cleanup(open.Wait)
	client := &http.Client{Timeout: 10 * time.Second}
	return func(_ context.Context, url string) error {
		// Not the opener's context: a page stays open when its opener is done.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		open.Go(func() {
			res, err := client.Do(req)
			if err != nil {
				return // like a page that does not load
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		})
		return nil
	}
}
