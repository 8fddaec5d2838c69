package oauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"mcp-gateway/bridge/internal/lab"
	"mcp-gateway/bridge/internal/oauth"
	protocol "mcp-gateway/shared/oauth"
)

func TestNoResourceWanted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"authorize", "token"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(func(k *lab.Knobs) { k.NoResource = at })
			r.signedIn()
			if n := r.as.Counts().Authorizations; n != 2 || r.stored().Resource != oauth.NoResource {
				t.Errorf("%d authorizations, resource %q", n, r.stored().Resource)
			}
			r.age(0)
			c := r.process()
			r.good(r.token(c))
			if r.as.LastToken().Has("resource") {
				t.Error("the refresh has a resource")
			}
			if err := c.SignIn(t.Context()); err != nil || r.as.Counts().Authorizations != 3 {
				t.Errorf("the lesson is forgotten: %v, %+v", err, r.as.Counts())
			}
		})
	}
	t.Run("chosen", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.signedIn(func(c *oauth.Config) { c.Resource = oauth.NoResource })
		if r.as.LastAuthorize().Has("resource") || r.as.LastToken().Has("resource") {
			t.Error("a resource is sent")
		}
		r.signedIn(func(c *oauth.Config) { c.Resource = "urn:mcp" })
		if r.as.LastAuthorize().Get("resource") != "urn:mcp" {
			t.Error("the chosen resource is not sent")
		}
	})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	offline := func(k *lab.Knobs) {
		k.Metadata = func(doc map[string]any) { doc["scopes_supported"] = []string{"offline_access", "openid"} }
	}
	supported := func(k *lab.Knobs) {
		k.Resource = func(doc map[string]any) { doc["scopes_supported"] = []string{"a", "b"} }
	}
	for _, tt := range []struct {
		name   string
		knobs  []func(*lab.Knobs)
		pinned []string
		want   string
	}{
		{"none", nil, nil, ""},
		{"of the resource", []func(*lab.Knobs){supported}, nil, "a b"},
		{"of the challenge", []func(*lab.Knobs){supported, func(k *lab.Knobs) { k.Scope = "c" }}, nil, "c"},
		{"offline access", []func(*lab.Knobs){supported, offline}, nil, "a b offline_access"},
		{"offline access alone", []func(*lab.Knobs){offline}, nil, ""},
		{"pinned", []func(*lab.Knobs){supported, offline}, []string{"mine"}, "mine"},
		{"pinned to none", []func(*lab.Knobs){supported, offline}, []string{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for _, set := range tt.knobs {
				r.as.Set(set)
			}
			r.signedIn(func(c *oauth.Config) { c.Scopes = tt.pinned })
			if got := r.as.LastAuthorize(); got.Get("scope") != tt.want || got.Has("scope") != (tt.want != "") {
				t.Errorf("scope %q", got.Get("scope"))
			}
		})
	}
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.Scope = "tools:read" })
	c := r.signedIn()
	more := func(c *oauth.Client) error {
		h := http.Header{"Www-Authenticate": {protocol.FormatBearer([2]string{"error", "insufficient_scope"}, [2]string{"scope", "tools:write tools:read"})}}
		return r.seen(c.Rejected(t.Context(), r.token(c), http.StatusForbidden, h))
	}
	for range 3 {
		if err := more(c); !errors.Is(err, oauth.ErrSignIn) {
			t.Fatalf("got %v", err)
		}
		if err := c.SignIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.as.LastAuthorize().Get("scope"); got != "tools:read tools:write" {
			t.Errorf("scope %q", got)
		}
	}
	if err := more(c); err == nil || errors.Is(err, oauth.ErrSignIn) || !strings.Contains(err.Error(), "after 3 sign-ins") {
		t.Errorf("after three: %v", err)
	}
	if err := r.seen(c.SignIn(t.Context())); err == nil || r.as.Counts().Authorizations != 4 {
		t.Errorf("a fourth one: %v", err)
	}
	pinned := r.process(func(c *oauth.Config) { c.Scopes = []string{"tools:read"} })
	if err := more(pinned); err == nil || errors.Is(err, oauth.ErrSignIn) || !strings.Contains(err.Error(), "add it") {
		t.Errorf("pinned: %v", err)
	}
}
