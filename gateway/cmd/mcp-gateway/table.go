package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"mcp-gateway/gateway/internal/admin"
)

// table is aligned text. Every cell goes through plain: a client chooses its own
// name, and a person may not be what their name says.
type table struct {
	text strings.Builder
	w    *tabwriter.Writer
}

func (t *table) row(cells ...string) {
	if t.w == nil {
		t.w = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	}
	for i, cell := range cells {
		cells[i] = plain(cell)
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// String is the table; a line is not longer than what it holds.
func (t *table) String() (string, error) {
	if t.w == nil {
		return "", nil
	}
	if err := t.w.Flush(); err != nil {
		return "", err
	}
	var trimmed strings.Builder
	for line := range strings.Lines(t.text.String()) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return trimmed.String(), nil
}

// plain replaces what a terminal would obey, or a reader would not see.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// when is a time with its distance from now; "-" for none.
func when(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	text := at.UTC().Format(time.RFC3339)
	if at.After(now) {
		return text + " (in " + span(at.Sub(now)) + ")"
	}
	return text + " (" + span(now.Sub(at)) + " ago)"
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// or is s, or "-" so that a column is never empty.
func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// userName is how to name a user in a command.
func userName(u admin.User) string {
	if u.Username != "" {
		return plain(u.Username)
	}
	return plain(userID(u.Tenant, u.Object))
}

// userID is TENANT/OBJECT; "-" for nobody, whose grant is one that a client has for
// itself.
func userID(tenant, object string) string {
	if object == "" {
		return "-"
	}
	return tenant + "/" + object
}

// clientName is how to tell clients apart.
func clientName(c admin.Client) string {
	return plain(strings.TrimSpace(c.Name + " (" + c.Fingerprint + ")"))
}

func access(disabled, now time.Time) string {
	if disabled.IsZero() {
		return "enabled"
	}
	return "disabled " + when(disabled, now)
}

func (t *table) users(users []admin.User, now time.Time) {
	t.row("USER", "NAME", "GRANTS", "LAST SIGN-IN", "ACCESS", "TENANT/OBJECT")
	for _, u := range users {
		t.row(or(u.Username), or(u.Name), fmt.Sprint(u.LiveGrants), when(u.LastSignIn, now), access(u.DisabledAt, now), userID(u.Tenant, u.Object))
	}
}

func (t *table) user(u admin.User, now time.Time) {
	t.row("USER", or(u.Username))
	t.row("NAME", or(u.Name))
	t.row("TENANT/OBJECT", userID(u.Tenant, u.Object))
	t.row("ACCESS", access(u.DisabledAt, now))
	t.row("LAST SIGN-IN", when(u.LastSignIn, now))
	t.row("")
}

func (t *table) clients(clients []admin.Client, now time.Time) {
	t.row("CLIENT", "NAME", "GRANTS", "PEOPLE", "LAST SIGN-IN", "ACCESS")
	for _, c := range clients {
		t.row(c.Fingerprint, or(c.Name), fmt.Sprint(c.LiveGrants), fmt.Sprint(c.People), when(c.LastSignIn, now), access(c.DisabledAt, now))
	}
}

func (t *table) client(c admin.Client, now time.Time) {
	t.row("CLIENT", c.Fingerprint)
	t.row("NAME", or(c.Name))
	t.row("CLIENT_ID", c.ClientID)
	t.row("PEOPLE", fmt.Sprint(c.People))
	t.row("ACCESS", access(c.DisabledAt, now))
	t.row("LAST SIGN-IN", when(c.LastSignIn, now))
	t.row("")
}

func (t *table) grants(grants []admin.Grant, now time.Time) {
	t.row("GRANT", "USER", "CLIENT", "STATE", "CREATED", "EXPIRES")
	for _, g := range grants {
		t.row(g.ID, userName(admin.User{Username: g.Username, Tenant: g.Tenant, Object: g.Object}),
			clientName(admin.Client{Name: g.ClientName, Fingerprint: g.ClientFingerprint}), state(g), when(g.CreatedAt, now), when(g.ExpiresAt, now))
	}
}

func (t *table) grant(g admin.Grant, now time.Time) {
	t.row("GRANT", g.ID)
	t.row("USER", or(g.Username))
	t.row("NAME", or(g.Name))
	t.row("TENANT/OBJECT", userID(g.Tenant, g.Object))
	t.row("CLIENT", clientName(admin.Client{Name: g.ClientName, Fingerprint: g.ClientFingerprint}))
	t.row("CLIENT_ID", g.ClientID)
	t.row("SCOPES", strings.Join(g.Scopes, " "))
	t.row("RESOURCE", g.Resource)
	t.row("STATE", state(g))
	t.row("CREATED", when(g.CreatedAt, now))
	t.row("EXPIRES", when(g.ExpiresAt, now))
	t.row("REVOKED", when(g.RevokedAt, now))
}

// state says why a grant was revoked, too.
func state(g admin.Grant) string {
	if g.RevokedReason != "" {
		return g.State + " (" + g.RevokedReason + ")"
	}
	return g.State
}
