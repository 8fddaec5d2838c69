package admin_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
)

const (
	tenant = "aaaaaaaa-0000-0000-0000-000000000001"
	ada    = "bbbbbbbb-0000-0000-0000-00000000000a"
	grace  = "bbbbbbbb-0000-0000-0000-00000000000b"
	unseen = "bbbbbbbb-0000-0000-0000-00000000000c"
	cursor = "mcpc_cursor"
	other  = "mcpc_other"
)

// rig is a state folder with a store whose writer runs.
type rig struct {
	t   *testing.T
	dir string
	db  *sqlite.Store
	ops *admin.Operations
	// forgotten are the grants that the process was told to forget.
	mu        sync.Mutex // guards below
	forgotten []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	// The path of a socket is short, and the names of tests are long.
	dir, err := os.MkdirTemp("", "adm")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir}
	if r.db, err = sqlite.Open(t.Context(), filepath.Join(dir, "gateway.db")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- r.db.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ran, r.db.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	keys := filepath.Join(dir, "keys.json")
	if err := keyring.Create(keys, time.Now()); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Load(keys, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.ops = admin.NewOperations(admin.Config{
		Store: r.db, Audit: audit.New(r.db, slog.New(slog.DiscardHandler)), Ring: ring, Forget: r.forget,
	})
	return r
}

func (r *rig) forget(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten = append(r.forgotten, ids...)
}

// serve runs the server until the test ends, or stop is called.
func (r *rig) serve() (stop func() error) {
	r.t.Helper()
	l, err := admin.Listen(r.t.Context(), r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.serveOn(l)
}

func (r *rig) serveOn(l net.Listener) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan error, 1)
	go func() { done <- admin.Serve(ctx, l, r.ops, slog.New(slog.NewTextHandler(r.t.Output(), nil))) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	r.t.Cleanup(func() {
		if err := stop(); err != nil {
			r.t.Error(err)
		}
	})
	return stop
}

// sign signs somebody in with a client and returns the grant's id.
func (r *rig) sign(id, object, username, client string) string {
	r.t.Helper()
	now := time.Now()
	code := store.Code{
		Hash: store.HashOf("code " + id), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
		Grant: store.Grant{
			ID: id, ClientID: client, ClientName: "Client", Scopes: []string{"mcp"}, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			Identity: store.Identity{Tenant: tenant, Object: object, Name: username, Username: username + "@example.com"},
		},
	}
	if err := r.db.CreateCode(r.t.Context(), code); err != nil {
		r.t.Fatal(err)
	}
	access := store.AccessToken{Hash: store.HashOf("access " + id), IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	if _, err := r.db.RedeemCode(r.t.Context(), store.Redemption{Code: code.Hash, Access: access}, now); err != nil {
		r.t.Fatal(err)
	}
	return id
}

// trail is what the audit trail says of administration: a line for each row.
func (r *rig) trail() []string {
	r.t.Helper()
	events, err := r.db.Events(r.t.Context(), 0, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	var rows []string
	for _, e := range events {
		if e.Kind != audit.KindAdmin || e.Time.IsZero() {
			r.t.Errorf("a row is not administration's: %+v", e)
		}
		rows = append(rows, strings.Join(strings.Fields(strings.Join([]string{e.Outcome, e.Reason, e.Object, e.GrantID, e.Client, "by", e.Address}, " ")), " "))
	}
	return rows
}

// wants fails unless err is an Error of that code that says something.
func wants(t *testing.T, what string, err error, code, says string) {
	t.Helper()
	told, ok := errors.AsType[*admin.Error](err)
	if !ok || told.Code != code || !strings.Contains(told.Message, says) {
		t.Errorf("%s: error is %v, want %s about %q", what, err, code, says)
	}
}
