package oauth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/bridge/internal/lab"
	"mcp-gateway/bridge/internal/oauth"
)

// rig is one authorization server and one folder, for any number of processes.
type rig struct {
	t    *testing.T
	as   *lab.AuthServer
	dir  string
	open func(ctx context.Context, url string) error
	logs *journal
}

// journal is a log that goroutines share.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// canaries are the secrets as the lab makes them.
var canaries = regexp.MustCompile(`(access|refresh|code)-[A-Z2-7]{26}|the secret`)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, as: lab.NewAuthServer(t), dir: t.TempDir(), open: lab.Browser(t), logs: &journal{}}
	// No test may leave a secret in the log, or in an error that it saw.
	t.Cleanup(func() {
		text := r.logs.String()
		if found := canaries.FindString(text); found != "" {
			t.Errorf("the log has a secret, %s:\n%s", found, text)
		}
		if v := r.as.LastToken().Get("code_verifier"); v != "" && strings.Contains(text, v) {
			t.Errorf("the log has the verifier:\n%s", text)
		}
		if strings.ContainsRune(text, '\x1b') {
			t.Errorf("the log has an escape sequence: %q", text)
		}
	})
	return r
}

// store opens the folder as another process does.
func (r *rig) store() *keychain.Store {
	r.t.Helper()
	s, err := keychain.Open(keychain.Options{Kind: keychain.KindFile, Dir: r.dir})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// process is a Client with a store of its own on the shared folder.
func (r *rig) process(changes ...func(*oauth.Config)) *oauth.Client {
	r.t.Helper()
	cfg := oauth.Config{
		Server: r.as.Server(), Store: r.store(), Dir: r.dir, Open: r.show,
		Logger: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, change := range changes {
		change(&cfg)
	}
	c, err := oauth.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// show opens what a person needs in the browser.
func (r *rig) show(ctx context.Context, p oauth.Prompt) error { return r.open(ctx, p.URL) }

// signedIn is a process whose person has signed in.
func (r *rig) signedIn(changes ...func(*oauth.Config)) *oauth.Client {
	r.t.Helper()
	c := r.process(changes...)
	if err := c.SignIn(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) key() keychain.Key { return keychain.Key{Server: r.as.Server()} }

// stored is what the folder holds, the zero record for nothing.
func (r *rig) stored() keychain.Record {
	r.t.Helper()
	rec, err := r.store().Load(r.t.Context(), r.key())
	if err != nil && !errors.Is(err, keychain.ErrNotFound) {
		r.t.Fatal(err)
	}
	return rec
}

// age leaves the stored access token the given time to live, out of an hour.
func (r *rig) age(left time.Duration) {
	r.t.Helper()
	rec := r.stored()
	rec.ExpiresAt = time.Now().Add(left)
	rec.UpdatedAt = rec.ExpiresAt.Add(-time.Hour)
	if err := r.store().Save(r.t.Context(), r.key(), rec); err != nil {
		r.t.Fatal(err)
	}
}

// token is the access token that a request would carry.
func (r *rig) token(c *oauth.Client) string {
	r.t.Helper()
	token, err := c.Token(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// get sends a request to the resource.
func (r *rig) get(token string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.as.Server(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

// rejected reports a 401 of the resource.
func (r *rig) rejected(c *oauth.Client, used string) error {
	return r.seen(c.Rejected(r.t.Context(), used, http.StatusUnauthorized, http.Header{"Www-Authenticate": {r.as.Challenge()}}))
}

// seen puts an error where no secret may be.
func (r *rig) seen(err error) error {
	if err != nil {
		_, _ = r.logs.Write([]byte(err.Error() + "\n"))
	}
	return err
}

// good fails unless the resource takes the token.
func (r *rig) good(token string) {
	r.t.Helper()
	if res := r.get(token); res.StatusCode != http.StatusOK {
		r.t.Errorf("the resource answers %d", res.StatusCode)
	}
}
