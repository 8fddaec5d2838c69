package admin_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
)

// collide are two client ids with one fingerprint, found by trying.
const (
	collideA = "mcpc_61698"
	collideB = "mcpc_62903"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sign("g1", ada, "ada", cursor)
	r.sign("g2", grace, "ada", other)
	r.sign("g3", unseen+"0", "who", collideA)
	r.sign("g4", unseen+"0", "who", collideB)
	doer := r.ops.As("uid 1")
	for _, tt := range []struct {
		name string
		req  admin.Request
		code string
		says string
	}{
		{"no command", admin.Request{}, admin.CodeInvalid, "another version"},
		{"a command that is none", admin.Request{Command: "users burn"}, admin.CodeInvalid, `"users burn"`},
		{"no user", admin.Request{Command: admin.UsersShow}, admin.CodeInvalid, "no user"},
		{"an unknown user", admin.Request{Command: admin.UsersShow, User: "bob@example.com"}, admin.CodeUnknown, "users list"},
		{"an unknown user to revoke", admin.Request{Command: admin.UsersRevoke, User: tenant + "/" + unseen}, admin.CodeUnknown, "users list"},
		{"an unknown user to disable by name", admin.Request{Command: admin.UsersDisable, User: "bob@example.com"}, admin.CodeUnknown, "TENANT/OBJECT"},
		{"an unknown user to disable by half a name", admin.Request{Command: admin.UsersDisable, User: unseen}, admin.CodeUnknown, "TENANT/OBJECT"},
		{"an unknown user with a short id", admin.Request{Command: admin.UsersDisable, User: tenant + "/x"}, admin.CodeUnknown, "in full"},
		{"an unknown user to enable", admin.Request{Command: admin.UsersEnable, User: "bob"}, admin.CodeUnknown, "users list"},
		{"another tenant", admin.Request{Command: admin.UsersShow, User: unseen + "/" + ada}, admin.CodeUnknown, "users list"},
		{"two users of one name", admin.Request{Command: admin.UsersDisable, User: "ADA@example.com"}, admin.CodeAmbiguous, tenant + "/" + grace},
		{"a display name", admin.Request{Command: admin.UsersShow, User: "who"}, admin.CodeUnknown, "users list"},
		{"no client", admin.Request{Command: admin.ClientsDisable}, admin.CodeInvalid, "no client"},
		{"an unknown client", admin.Request{Command: admin.ClientsShow, Client: "mcpc_x"}, admin.CodeUnknown, "clients list"},
		{"an unknown fingerprint to disable", admin.Request{Command: admin.ClientsDisable, Client: "01234567"}, admin.CodeUnknown, "in full"},
		{"a client's display name", admin.Request{Command: admin.ClientsShow, Client: "Client"}, admin.CodeUnknown, "clients list"},
		{"a fingerprint of two", admin.Request{Command: admin.ClientsRevoke, Client: client.Fingerprint(collideA)}, admin.CodeAmbiguous, collideB},
		{"grants of an unknown user", admin.Request{Command: admin.GrantsList, User: "bob"}, admin.CodeUnknown, "users list"},
		{"grants of an unknown client", admin.Request{Command: admin.GrantsList, Client: "mcpc_x"}, admin.CodeUnknown, "clients list"},
		{"no grant to show", admin.Request{Command: admin.GrantsShow}, admin.CodeInvalid, "one grant"},
		{"an unknown grant", admin.Request{Command: admin.GrantsShow, Grants: []string{"g"}}, admin.CodeUnknown, "grants list --all"},
		{"no grant to revoke", admin.Request{Command: admin.GrantsRevoke}, admin.CodeInvalid, "no grant"},
		{"an unknown grant beside a good one", admin.Request{Command: admin.GrantsRevoke, Grants: []string{"g1", "g"}}, admin.CodeUnknown, `"g"`},
		{"another key ring", admin.Request{Command: admin.KeysRotate, KeyFile: "/nowhere"}, admin.CodeOtherRing, "does not use"},
	} {
		answer, err := doer.Do(t.Context(), tt.req)
		wants(t, tt.name, err, tt.code, tt.says)
		if diff := cmp.Diff(admin.Answer{}, answer); diff != "" {
			t.Errorf("%s: an answer beside the error: %s", tt.name, diff)
		}
	}
	if live, err := r.db.Grants(t.Context(), store.GrantFilter{}, time.Now()); err != nil || len(live) != 4 {
		t.Errorf("%d grants live after all of these, %v", len(live), err)
	}
	if rows := r.trail(); rows != nil || r.forgotten != nil {
		t.Errorf("what did not happen is in the trail (%q), or forgotten (%q)", rows, r.forgotten)
	}
}

// Every change is in the trail with who made it, and is forgotten.
func TestChanges(t *testing.T) {
	t.Parallel()
	label := func(id string) string { return "Client (" + client.Fingerprint(id) + ")" }
	for _, tt := range []struct {
		name    string
		req     admin.Request
		revoked []string
		changed *bool
		rows    []string
	}{
		{
			name: "one grant, twice named", req: admin.Request{Command: admin.GrantsRevoke, Grants: []string{"g1", "g1"}}, revoked: []string{"g1"},
			rows: []string{"ok grants_revoke g1 by uid 7", "ok revoked_by_administrator " + ada + " g1 " + label(cursor) + " by uid 7", "ok grants_revoke g1 by uid 7"},
		},
		{
			name: "a user by the object alone", req: admin.Request{Command: admin.UsersRevoke, User: ada}, revoked: []string{"g1", "g2"},
			rows: []string{"ok users_revoke " + ada + " by uid 7",
				"ok revoked_by_administrator " + ada + " g1 " + label(cursor) + " by uid 7", "ok revoked_by_administrator " + ada + " g2 " + label(other) + " by uid 7"},
		},
		{
			name: "a user by username in another case", req: admin.Request{Command: admin.UsersDisable, User: "Ada@Example.com"}, revoked: []string{"g1", "g2"}, changed: new(true),
			rows: []string{"ok users_disable " + ada + " by uid 7",
				"ok user_disabled " + ada + " g1 " + label(cursor) + " by uid 7", "ok user_disabled " + ada + " g2 " + label(other) + " by uid 7"},
		},
		{
			name: "a user never seen", req: admin.Request{Command: admin.UsersDisable, User: tenant + "/" + unseen}, revoked: []string{}, changed: new(true),
			rows: []string{"ok users_disable " + unseen + " by uid 7"},
		},
		{
			name: "a user who is enabled", req: admin.Request{Command: admin.UsersEnable, User: tenant + "/" + ada}, changed: new(false),
			rows: []string{"ok users_enable " + ada + " by uid 7"},
		},
		{
			name: "a client by fingerprint", req: admin.Request{Command: admin.ClientsDisable, Client: client.Fingerprint(cursor)}, revoked: []string{"g1", "g3"}, changed: new(true),
			rows: []string{"ok clients_disable " + label(cursor) + " by uid 7",
				"ok client_disabled " + ada + " g1 " + label(cursor) + " by uid 7", "ok client_disabled " + grace + " g3 " + label(cursor) + " by uid 7"},
		},
		{
			name: "a client by its id", req: admin.Request{Command: admin.ClientsRevoke, Client: other}, revoked: []string{"g2"},
			rows: []string{"ok clients_revoke " + label(other) + " by uid 7", "ok revoked_by_administrator " + ada + " g2 " + label(other) + " by uid 7"},
		},
		{
			name: "a client never seen", req: admin.Request{Command: admin.ClientsDisable, Client: "mcpc_new"}, revoked: []string{}, changed: new(true),
			rows: []string{"ok clients_disable " + client.Fingerprint("mcpc_new") + " by uid 7"},
		},
		{
			name: "the key", req: admin.Request{Command: admin.KeysRotate}, rows: []string{"ok keys_rotate by uid 7"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.sign("g1", ada, "ada", cursor)
			r.sign("g2", ada, "ada", other)
			r.sign("g3", grace, "grace", cursor)
			answer, err := r.ops.As("uid 7").Do(t.Context(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.revoked, answer.Revoked); diff != "" {
				t.Errorf("revoked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.changed, answer.Changed); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.rows, r.trail()); diff != "" {
				t.Errorf("the trail (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.revoked, r.forgotten, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("forgotten (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDisablingAndEnablingShow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sign("g1", ada, "ada", cursor)
	do := func(command string) admin.Answer {
		t.Helper()
		answer, err := r.ops.As("uid 7").Do(t.Context(), admin.Request{Command: command, User: "ada@example.com", Client: cursor})
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		return answer
	}
	if u := do(admin.UsersShow); u.User.LiveGrants != 1 || !u.User.Seen || !u.User.DisabledAt.IsZero() || len(u.Grants) != 1 || u.Grants[0].State != admin.StateLive {
		t.Errorf("at first: %+v", u)
	}
	first := do(admin.UsersDisable).User.DisabledAt
	if again := do(admin.UsersDisable); *again.Changed || again.User.DisabledAt.Sub(first).Abs() > time.Millisecond {
		t.Errorf("disabled again: %+v", again.User)
	}
	if u := do(admin.UsersShow); u.User.LiveGrants != 0 || u.User.DisabledAt.IsZero() || u.Grants[0].State != admin.StateRevoked || u.Grants[0].RevokedReason != store.ReasonUserDisabled {
		t.Errorf("disabled: %+v", u)
	}
	if u := do(admin.UsersEnable); !*u.Changed || !u.User.DisabledAt.IsZero() {
		t.Errorf("enabled: %+v", u.User)
	}
	do(admin.ClientsDisable)
	if c := do(admin.ClientsShow); c.Client.DisabledAt.IsZero() || c.Client.Fingerprint != client.Fingerprint(cursor) {
		t.Errorf("disabled: %+v", c.Client)
	}
	if c := do(admin.ClientsEnable); !*c.Changed || !c.Client.DisabledAt.IsZero() {
		t.Errorf("enabled: %+v", c.Client)
	}
	if list := do(admin.ClientsList); len(list.Clients) != 1 || !list.Clients[0].DisabledAt.IsZero() {
		t.Errorf("listed: %+v", list.Clients)
	}
}

// failing is a trail that cannot be written.
type failing struct{}

func (failing) AppendAll(context.Context, []store.Event) error { return errors.New("disk full") }

func TestAChangeThatIsNotWrittenDownIsNotConfirmed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sign("g1", ada, "ada", cursor)
	ops := admin.NewOperations(admin.Config{Store: r.db, Audit: failing{}, Forget: r.forget})
	_, err := ops.As("uid 7").Do(t.Context(), admin.Request{Command: admin.UsersDisable, User: ada})
	wants(t, "disable", err, admin.CodeUnavailable, "run the command again")
	if off, err := r.db.UserDisabled(t.Context(), tenant, ada); !off || err != nil {
		t.Errorf("disabled: %v, %v", off, err)
	}
	if diff := cmp.Diff([]string{"g1"}, r.forgotten); diff != "" {
		t.Errorf("forgotten (-want +got):\n%s", diff)
	}
}

func TestKeysAreRotatedByWhoeverUsesThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.dir, "keys.json")
	answer, err := r.ops.As("uid 7").Do(t.Context(), admin.Request{Command: admin.KeysRotate, KeyFile: path})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.List(path, time.Now())
	if err != nil || len(keys) != 2 || keys[1].ID != answer.Key.ID || !keys[1].Seals.Equal(answer.Key.Seals) || answer.Key.File != path {
		t.Errorf("the ring has %+v (%v), the answer is %+v", keys, err, answer.Key)
	}
	none := admin.NewOperations(admin.Config{Store: r.db, Audit: audit.New(r.db, slog.New(slog.DiscardHandler))})
	_, err = none.As("uid 7").Do(t.Context(), admin.Request{Command: admin.KeysRotate, KeyFile: path})
	wants(t, "where no gateway runs", err, admin.CodeOtherRing, "does not use")
}
