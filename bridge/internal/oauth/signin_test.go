package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/bridge/internal/lab"
	"mcp-gateway/bridge/internal/oauth"
	protocol "mcp-gateway/shared/oauth"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.IssParameter, k.Scope = true, "tools:read" })
	var pending string
	var c *oauth.Client
	browse := r.open
	r.open = func(ctx context.Context, url string) error {
		pending = c.Pending().URL
		return errors.Join(browse(ctx, url), errors.New("and yet it opened"))
	}
	c = r.process()
	if token := r.token(c); token != "" {
		t.Fatal("a token before any sign-in")
	}
	res := r.get("")
	if err := c.Rejected(t.Context(), "", res.StatusCode, res.Header); !errors.Is(err, oauth.ErrSignIn) {
		t.Fatalf("after 401: %v", err)
	}
	if err := c.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.good(r.token(c))
	r.good(r.token(r.process())) // another process reads the store
	asked := r.as.LastAuthorize()
	if asked.Get("resource") != r.as.Server() || asked.Get("scope") != "tools:read" || asked.Get("code_challenge_method") != "S256" {
		t.Errorf("authorization request %v", asked)
	}
	if u, err := url.Parse(pending); err != nil || u.Query().Get("state") != asked.Get("state") || c.Pending() != (oauth.Prompt{}) {
		t.Errorf("pending %q, afterwards %v", pending, c.Pending())
	}
	status, err := c.Status(t.Context())
	want := oauth.Status{
		Server: r.as.Server(), SignedIn: true, Issuer: r.as.URL, ClientID: asked.Get("client_id"), Scopes: []string{"tools:read"},
		HasRefreshToken: true, Store: r.store().Where(), ExpiresAt: status.ExpiresAt,
	}
	if diff := cmp.Diff(want, status); diff != "" || err != nil || time.Until(status.ExpiresAt) < 50*time.Minute {
		t.Errorf("status %v, %v", diff, err)
	}
	// The registration serves again, on another port and in another process.
	r.signedIn()
	if n := r.as.Counts(); n.Registrations != 1 || n.Authorizations != 2 {
		t.Errorf("counts %+v", n)
	}
}

func TestSignInNotNeeded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) {
		k.Open, k.Resource = true, func(doc map[string]any) { clear(doc) }
	})
	if err := r.process().SignIn(t.Context()); !errors.Is(err, oauth.ErrNotNeeded) {
		t.Fatalf("got %v", err)
	}
}

func TestSignInIgnoresAnswerWithAnotherState(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.Answer = func(v url.Values) { v.Set("state", "guessed") } })
	ctx, cancel := context.WithCancel(t.Context())
	var page int
	r.open = func(ctx context.Context, url string) error {
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		page = res.StatusCode
		return res.Body.Close()
	}
	if err := r.process().SignIn(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := r.as.Counts(); page != http.StatusBadRequest || n.Exchanges != 0 {
		t.Errorf("page %d, counts %+v", page, n)
	}
}

// TestDiscoveryPlaces: metadata is found in each of its places, and without
// resource metadata at the server's own origin (MCP 2025-03-26).
func TestDiscoveryPlaces(t *testing.T) {
	t.Parallel()
	for name, knobs := range map[string]func(*lab.Knobs){
		"origin":             func(*lab.Knobs) {},
		"OpenID":             func(k *lab.Knobs) { k.MetadataAt = protocol.PathOpenIDConfiguration },
		"path":               func(k *lab.Knobs) { k.Path = "/tenant" },
		"OpenID before path": func(k *lab.Knobs) { k.Path, k.MetadataAt = "/tenant", protocol.PathOpenIDConfiguration+"/tenant" },
		"OpenID behind path": func(k *lab.Knobs) { k.Path, k.MetadataAt = "/tenant", "/tenant"+protocol.PathOpenIDConfiguration },
		"2025-03-26":         func(k *lab.Knobs) { k.Resource = func(doc map[string]any) { clear(doc) } },
		"resource above": func(k *lab.Knobs) {
			k.Resource = func(doc map[string]any) { doc["resource"] = strings.TrimSuffix(doc["resource"].(string), "/mcp") }
		},
		"second server": func(k *lab.Knobs) {
			k.Resource = func(doc map[string]any) {
				doc["authorization_servers"] = append([]string{"http://127.0.0.1:1"}, doc["authorization_servers"].([]string)...)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(knobs)
			r.good(r.token(r.signedIn()))
			want := r.as.Server()
			if name == "resource above" {
				want = r.as.URL
			}
			if got := r.as.LastToken().Get("resource"); got != want {
				t.Errorf("resource %q", got)
			}
		})
	}
}

// waiting is a context that says when somebody first waits for its end.
type waiting struct {
	context.Context
	begun func()
}

func (w waiting) Done() <-chan struct{} {
	w.begun()
	return w.Context.Done()
}

// TestOneBrowserTab: of two processes one asks the person, and the other uses what
// came of it, or says that nothing did.
func TestOneBrowserTab(t *testing.T) {
	t.Parallel()
	for _, deny := range []string{"", protocol.CodeAccessDenied} {
		t.Run("denied:"+deny, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(func(k *lab.Knobs) { k.Approve = func(url.Values) string { return deny } })
			store := r.store()
			if err := store.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			follower := r.process(func(c *oauth.Config) { c.Store = store })
			queued, outcome := make(chan struct{}), make(chan error, 1)
			browse := r.open
			r.open = func(ctx context.Context, url string) error {
				go func() {
					outcome <- follower.SignIn(waiting{t.Context(), sync.OnceFunc(func() { close(queued) })})
				}()
				<-queued
				return browse(ctx, url)
			}
			err := r.process().SignIn(t.Context())
			followed := r.seen(<-outcome)
			if (err == nil) != (deny == "") || (followed == nil) != (deny == "") {
				t.Fatalf("leader %v, follower %v", err, followed)
			}
			if deny == "" {
				r.good(r.token(follower))
			} else if !errors.Is(followed, oauth.ErrSignIn) || !strings.Contains(followed.Error(), "another process") {
				t.Errorf("follower %v", followed)
			}
			if n := r.as.Counts().Authorizations; n != 1 {
				t.Errorf("%d authorizations", n)
			}
		})
	}
}

// TestSignInAfterAnother: a sign-in that another process has finished meanwhile
// costs no second browser tab.
func TestSignInAfterAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	late := r.process()
	if err := r.rejected(late, ""); !errors.Is(err, oauth.ErrSignIn) {
		t.Fatal(err)
	}
	r.signedIn()
	if err := late.SignIn(t.Context()); err != nil || r.as.Counts().Authorizations != 1 {
		t.Errorf("got %v, %+v", err, r.as.Counts())
	}
	r.good(r.token(late))
}

// TestRedirectsAreNotFollowed: a code or refresh token never goes where a redirect
// points.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		t.Errorf("%s %s arrived elsewhere", req.Method, req.URL.Path)
	}))
	t.Cleanup(elsewhere.Close)
	redirect := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirect.Close)
	r.as.Set(func(k *lab.Knobs) { k.Metadata = func(doc map[string]any) { doc["token_endpoint"] = redirect.URL } })
	if err := r.seen(r.process().SignIn(t.Context())); err == nil || !strings.Contains(err.Error(), "answered 307") {
		t.Errorf("got %v", err)
	}
}
