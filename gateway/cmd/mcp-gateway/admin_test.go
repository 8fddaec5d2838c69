package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/oauth"
)

func TestGrantsRevokeBitesAtOnce(t *testing.T) {
	t.Parallel()
	i, _, people := running(t)
	i.fails("there is no grant \"GRANT\"; see which there are: mcp-gateway grants list --all", "grants", "revoke", "GRANTADA", "GRANT")
	if got := i.status(people["ada"].bearer); got != http.StatusOK {
		t.Errorf("a refused command ended a grant: %d", got)
	}
	i.says("GRANTADA\n", "mcp-gateway: 1 grant ended, with all tokens\n", "grants", "revoke", "GRANTADA")
	i.refused(people["ada"].bearer)
	i.says("", "mcp-gateway: 0 grants ended, with all tokens\n", "grants", "revoke", "GRANTADA")
	if got := i.status(people["grace"].bearer); got != http.StatusOK {
		t.Errorf("somebody else's token gets %d", got)
	}
}

func TestUsersDisableKeepsOut(t *testing.T) {
	t.Parallel()
	i, clientID, people := running(t)
	i.says("GRANTADA\n", "mcp-gateway: user ada@example.com is now disabled\nmcp-gateway: 1 grant of user ada@example.com ended, with all tokens\n",
		"users", "disable", "Ada@example.com")
	i.refused(people["ada"].bearer)
	if status, code := i.redeem(clientID, people["ada"].code); status != http.StatusBadRequest || code != oauth.CodeInvalidGrant {
		t.Errorf("the code that waited: %d %s", status, code)
	}
	if status, code := i.redeem(clientID, people["grace"].code); status != http.StatusOK {
		t.Errorf("somebody else's code: %d %s", status, code)
	}
	i.says("", "mcp-gateway: user ada@example.com is disabled already\nmcp-gateway: 0 grants of user ada@example.com ended, with all tokens\n", "users", "disable", ada)
	i.says("", "mcp-gateway: user ada@example.com is now enabled\n", "users", "enable", tenant+"/"+ada)
	i.says("", "mcp-gateway: user ada@example.com is enabled already\n", "users", "enable", "ada@example.com")
	if status, _ := i.redeem(clientID, people["ada"].code); status != http.StatusBadRequest {
		t.Errorf("enabled, the code that waited: %d", status)
	}
	unseen := tenant + "/bbbbbbbb-0000-0000-0000-00000000000c"
	i.says("", "mcp-gateway: user "+unseen+" is now disabled\nmcp-gateway: nobody signed in under this id so far: check that it is right\n"+
		"mcp-gateway: 0 grants of user "+unseen+" ended, with all tokens\n", "users", "disable", unseen)
	i.fails("somebody who never signed in is named by TENANT/OBJECT", "users", "disable", "bob@example.com")
	i.fails("see who there is: mcp-gateway users list", "users", "show", "bob@example.com")
}

func TestClientsDisableEndsAll(t *testing.T) {
	t.Parallel()
	i, clientID, people := running(t)
	list := strings.Split(i.run("clients", "list").stdout, "\n")
	if len(list) != 3 {
		t.Fatalf("the list is %q", list)
	}
	fingerprint, _, _ := strings.Cut(list[1], " ")
	name := "client Edi\ufffd[2Jtor (" + fingerprint + ")"
	i.says("GRANTADA\nGRANTGRACE\n", "mcp-gateway: "+name+" is now disabled\nmcp-gateway: 2 grants of "+name+" ended, with all tokens\n", "clients", "disable", fingerprint)
	for name, p := range people {
		i.refused(p.bearer)
		if status, _ := i.redeem(clientID, p.code); status < 400 {
			t.Errorf("%s's code that waited: %d", name, status)
		}
	}
	i.says("", "mcp-gateway: "+name+" is now enabled\n", "clients", "enable", clientID)
	i.fails("named by its client_id in full", "clients", "disable", "01234567")
}

func TestAdministeringWithoutAGateway(t *testing.T) {
	t.Parallel()
	i, _, people := running(t)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i.says("GRANTADA\n", "mcp-gateway: 1 grant of user ada@example.com ended, with all tokens\n", "users", "revoke", "ada@example.com")
	i.serve()
	i.refused(people["ada"].bearer)
	if got := i.status(people["grace"].bearer); got != http.StatusOK {
		t.Errorf("somebody else's token gets %d", got)
	}
	if err := os.Remove(filepath.Join(i.dir, admin.SocketName)); err != nil {
		t.Fatal(err)
	}
	i.fails("does not answer on", "users", "list")
	empty := install(t)
	empty.fails("is state_dir right, and has the gateway ever run?", "users", "list")
}

// times are what changes from run to run.
var times = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z( \((in )?\d+[smhd]( ago)?\))?`)

func TestTables(t *testing.T) {
	t.Parallel()
	i, _, _ := running(t)
	const stamp = "<time>"
	for _, tt := range []struct {
		args  string
		lines []string
	}{
		{"users list", []string{"USER NAME GRANTS LAST SIGN-IN ACCESS TENANT/OBJECT",
			"ada@example.com ada\ufffd 1 <time> enabled " + tenant + "/" + ada, "grace@example.com grace\ufffd 1 <time> enabled " + tenant + "/" + grace}},
		{"users show ada@example.com", []string{"USER ada@example.com", "NAME ada\ufffd", "TENANT/OBJECT " + tenant + "/" + ada, "ACCESS enabled", "LAST SIGN-IN <time>", "",
			"GRANT USER CLIENT STATE CREATED EXPIRES", "GRANTADA ada@example.com Edi\ufffd[2Jtor (<client>) live <time> <time>"}},
		{"clients list", []string{"CLIENT NAME GRANTS PEOPLE LAST SIGN-IN ACCESS", "<client> Edi\ufffd[2Jtor 2 2 <time> enabled"}},
		{"grants list --user ada@example.com", []string{"GRANT USER CLIENT STATE CREATED EXPIRES", "GRANTADA ada@example.com Edi\ufffd[2Jtor (<client>) live <time> <time>"}},
	} {
		o := i.run(strings.Fields(tt.args)...)
		text := regexp.MustCompile(`\b[0-9a-f]{8}([ )])`).ReplaceAllString(times.ReplaceAllString(o.stdout, stamp), "<client>$1")
		var lines []string
		for line := range strings.Lines(text) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		if diff := cmp.Diff(tt.lines, lines); diff != "" || o.code != 0 || o.stderr != "" {
			t.Errorf("%s: %d, %s (-want +got):\n%s", tt.args, o.code, o.stderr, diff)
		}
	}
	var starts []int
	for line := range strings.Lines(i.run("users", "list").stdout) {
		starts = append(starts, strings.Index(line, "aaaaaaaa"), strings.Index(line, "TENANT/"))
	}
	if starts[1] < 40 || len([]rune(i.run("users", "list").stdout[:starts[1]])) != starts[1] {
		t.Errorf("the columns start at %v", starts)
	}
}

// shape is a JSON document with its values replaced by their kinds.
func shape(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = shape(member)
		}
		return v
	case []any:
		for n, element := range v {
			v[n] = shape(element)
		}
		return v
	case string:
		if times.MatchString(v) {
			return "time"
		}
		return "string"
	}
	return fmt.Sprintf("%T", value)
}

// TestTheGrantOfAClientItselfIsNobodys: no column is empty, and none looks like a user.
func TestTheGrantOfAClientItselfIsNobodys(t *testing.T) {
	t.Parallel()
	var list, one table
	g := admin.Grant{ID: "GRANT", State: admin.StateLive, ClientID: "ci", ClientName: "CI", ClientFingerprint: "01234567"}
	list.grants([]admin.Grant{g}, time.Now())
	one.grant(g, time.Now())
	for want, shown := range map[string]*table{"GRANT  -     CI (01234567)  live": &list, "TENANT/OBJECT  -\n": &one} {
		if text, err := shown.String(); err != nil || !strings.Contains(text, want) {
			t.Errorf("%v, want %q in\n%s", err, want, text)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	i, _, _ := running(t)
	user := map[string]any{"tenant": "string", "object": "string", "name": "string", "username": "string", "live_grants": "float64", "last_sign_in": "time", "seen": "bool"}
	client := map[string]any{"client_id": "string", "fingerprint": "string", "name": "string", "live_grants": "float64", "people": "float64", "last_sign_in": "time", "seen": "bool"}
	grant := map[string]any{
		"id": "string", "state": "string", "tenant": "string", "object": "string", "name": "string", "username": "string", "client_id": "string",
		"client_fingerprint": "string", "client_name": "string", "scopes": []any{"string"}, "resource": "string", "created_at": "time", "expires_at": "time",
	}
	with := func(m map[string]any, name string, value any) map[string]any {
		out := map[string]any{name: value}
		maps.Copy(out, m)
		return out
	}
	for _, tt := range []struct {
		args string
		want map[string]any
	}{
		{"users list", map[string]any{"users": []any{user, user}}},
		{"clients list", map[string]any{"clients": []any{client}}},
		{"grants list --user ada@example.com", map[string]any{"grants": []any{grant}}},
		{"grants show GRANTADA", map[string]any{"grant": grant}},
		{"users show ada@example.com", map[string]any{"user": user, "grants": []any{grant}}},
		{"grants revoke GRANTADA", map[string]any{"revoked": []any{"string"}}},
		{"grants list --user ada@example.com ", map[string]any{"grants": []any{}}},
		{"users revoke ada@example.com", map[string]any{"user": user, "revoked": []any{}}},
		{"grants show GRANTADA ", map[string]any{"grant": with(with(grant, "revoked_at", "time"), "revoked_reason", "string")}},
		{"users disable ada@example.com", map[string]any{"user": with(user, "disabled_at", "time"), "changed": "bool", "revoked": []any{}}},
		{"users enable ada@example.com", map[string]any{"user": user, "changed": "bool"}},
		{"clients disable mcpc_new", map[string]any{"changed": "bool", "revoked": []any{}, "client": map[string]any{
			"client_id": "string", "fingerprint": "string", "name": "string", "live_grants": "float64", "people": "float64", "seen": "bool", "disabled_at": "time"}}},
	} {
		o := i.run(append(strings.Fields(tt.args), "--json")...)
		dec := json.NewDecoder(strings.NewReader(o.stdout))
		var got any
		if err := dec.Decode(&got); err != nil || o.code != 0 || o.stderr != "" {
			t.Errorf("%s: %d %s, %v", tt.args, o.code, o.stderr, err)
			continue
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: there is more than one document: %v", tt.args, err)
		}
		if diff := cmp.Diff(any(tt.want), shape(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
	}
	i.fails("there is no user", "users", "show", "bob", "--json")
}

// What a terminal would obey is spelled out, and is the same to a program.
func TestEscapedJSONIsTheSameDocument(t *testing.T) {
	t.Parallel()
	const name = "a\x1b[2J\u009b\u202eZoë \U000e0001"
	plain, err := json.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	text := escaped(string(plain))
	if want := `"a\u001b[2J\u009b\u202eZoë \udb40\udc01"`; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
	var got string
	if err := json.Unmarshal([]byte(text), &got); err != nil || got != name {
		t.Errorf("it is read as %q, %v", got, err)
	}
}

func TestKeysRotateAsksTheGateway(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.serve()
	ring := filepath.Join(i.dir, "keys.json")
	elsewhere := filepath.Join(i.dir, "other.json")
	if err := keyring.Create(elsewhere, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		path string
		says string
	}{
		{"by the configuration", []string{"keys", "rotate", "--config", i.file}, ring, "the gateway added key "},
		{"by the file", []string{"keys", "rotate", ring}, ring, "the gateway added key "},
		{"another ring beside it", []string{"keys", "rotate", elsewhere}, elsewhere, "mcp-gateway: added key "},
	} {
		before, err := keyring.List(tt.path, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o := runWith(t, nil, nil, tt.args...)
		after, err := keyring.List(tt.path, time.Now())
		if o.code != 0 || !strings.Contains(o.stderr, tt.says) || err != nil || len(after) != len(before)+1 {
			t.Errorf("%s: %+v, %d keys after %d, %v", tt.name, o, len(after), len(before), err)
		}
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	if o := runWith(t, nil, nil, "keys", "rotate", "--config", i.file); o.code != 0 || !strings.Contains(o.stderr, "mcp-gateway: added key ") {
		t.Errorf("where none runs: %+v", o)
	}
	if o := runWith(t, nil, nil, "keys", "list", "--config", i.file); o.code != 0 || strings.Count(o.stdout, "\n") != 5 {
		t.Errorf("list: %+v", o)
	}
}
