package oauth_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/bridge/internal/oauth"
)

// sealed is the file of the stored sign-in.
func sealed(r *rig) string { return filepath.Join(r.dir, r.key().ID()+".file.sealed") }

func TestDamagedStore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	if err := os.WriteFile(sealed(r), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := r.process()
	if token := r.token(c); token != "" {
		t.Error("a token out of rubbish")
	}
	if err := r.rejected(c, ""); !errors.Is(err, oauth.ErrSignIn) {
		t.Errorf("got %v", err)
	}
	if err := c.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.good(r.token(r.process()))
	if !strings.Contains(r.logs.String(), "cannot be read") {
		t.Error("nothing is logged")
	}
}

func TestLockedStore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.signedIn()
	if err := os.Remove(filepath.Join(r.dir, "store-key")); err != nil {
		t.Fatal(err)
	}
	c := r.process()
	_, err := c.Token(t.Context())
	for what, err := range map[string]error{
		"token": err, "rejected": r.rejected(c, "used"), "sign in": c.SignIn(t.Context()),
	} {
		if !errors.Is(err, keychain.ErrLocked) || errors.Is(err, oauth.ErrSignIn) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := r.as.Counts().Authorizations; n != 1 {
		t.Errorf("%d authorizations", n)
	}
	if _, err := c.SignOut(t.Context(), false); !errors.Is(err, keychain.ErrLocked) {
		t.Errorf("sign out: %v", err)
	}
	if revoked, err := c.SignOut(t.Context(), true); revoked || !errors.Is(err, keychain.ErrLocked) {
		t.Errorf("forget: %t, %v", revoked, err)
	}
	if _, err := os.Stat(sealed(r)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}
