package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// collect collects at an instant and must delete want records.
func (k *kit) collect(what string, now time.Time, want int) {
	k.Helper()
	n, err := k.Collect(k.Context(), now)
	k.wants(what, err, nil)
	equal(k, "records deleted "+what, n, want)
}

// collected keeps one record of each kind until its end and a day, and not a
// microsecond longer. That a record is still there shows at an earlier time.
func collected(k *kit) {
	l := k.login()
	k.wants("create", k.CreateLogin(k.Context(), l), nil)
	i := k.issue(nil)
	k.wants("append", k.AppendEvents(k.Context(), []store.Event{{Time: start, Kind: "call"}}), nil)

	at := func(end time.Time) time.Time { return stored(end).Add(day) }
	k.collect("before anything died", start, 0)
	k.collect("a day after the code's end", at(i.code.ExpiresAt), 0)
	_, err := k.Code(k.Context(), i.code.Hash)
	k.wants("the code", err, nil)
	k.collect("a moment later", at(i.code.ExpiresAt).Add(tick), 1)
	_, err = k.Code(k.Context(), i.code.Hash)
	k.wants("the code", err, store.ErrNotFound)

	// Login and access token end together.
	k.collect("a day after the access token's end", at(i.access.ExpiresAt), 0)
	k.wants("the access token", k.use(i.access.Hash, start), nil)
	k.collect("a moment later", at(i.access.ExpiresAt).Add(tick), 2)
	k.wants("the access token", k.use(i.access.Hash, start), store.ErrNotFound)
	_, err = k.ConsumeLogin(k.Context(), l.State, l.Browser, start)
	k.wants("the login", err, store.ErrNotFound)

	k.collect("a day after the refresh token's end", at(i.refresh.ExpiresAt), 0)
	k.rotate(i.refresh.Hash, start) // adds an access and a refresh token
	k.collect("a moment later", at(i.refresh.ExpiresAt).Add(tick), 3)
	_, err = k.RotateRefresh(k.Context(), k.rotation(i.refresh.Hash, start), start)
	k.wants("the refresh token", err, store.ErrNotFound)

	k.collect("a day after the grant's end", at(i.grant.ExpiresAt), 0)
	k.wants("the grant", k.RevokeGrant(k.Context(), i.grant.ID, revokedByHim, start.Add(grantLife)), nil)
	k.collect("a moment later", at(i.grant.ExpiresAt).Add(tick), 1)
	k.wants("the grant", k.RevokeGrant(k.Context(), i.grant.ID, revokedByHim, start), store.ErrNotFound)

	k.collect("a hundred years later", start.AddDate(100, 0, 0), 0)
	events, err := k.Events(k.Context(), 0, 10)
	k.wants("events", err, nil)
	equal(k, "events that stay", len(events), 1)
}

func collectedRevoked(k *kit) {
	i := k.issue(nil)
	second := k.rotate(i.refresh.Hash, start)
	k.collect("the code", start.Add(day+codeLife+tick), 1)
	k.wants("revoke", k.RevokeGrant(k.Context(), i.grant.ID, revokedByHim, start), nil)
	k.collect("a day after the revocation", stored(start).Add(day), 0)
	k.wants("its token", k.use(second.Access.Hash, start), store.ErrRevoked)
	k.collect("a moment later", stored(start).Add(day+tick), 5)
	k.wants("its token", k.use(second.Access.Hash, start), store.ErrNotFound)
	k.wants("the grant", k.RevokeGrant(k.Context(), i.grant.ID, revokedByHim, start), store.ErrNotFound)
}

func collectedBacklog(k *kit) {
	const dead = 1201
	for _, err := range race(dead, func(int) error { return k.CreateLogin(k.Context(), k.login()) }) {
		k.wants("create", err, nil)
	}
	live := k.login()
	live.ExpiresAt = start.Add(30 * day)
	k.wants("create", k.CreateLogin(k.Context(), live), nil)
	k.collect("of a backlog", start.Add(3*day), dead)
	_, err := k.ConsumeLogin(k.Context(), live.State, live.Browser, start)
	k.wants("the one that lives", err, nil)
}

func eventRoundTrip(k *kit) {
	full := store.Event{
		Time: start, Kind: "call", Outcome: "denied", Reason: "no_rule", Tenant: "t", Object: "o", GrantID: "g",
		Client: "Cursor (0123abcd)", Tool: "math_add", Address: "2001:db8::1", Duration: 1234567 * time.Nanosecond,
	}
	want := full
	want.Time, want.Duration = stored(start), 1234*time.Microsecond
	given := full
	given.ID = 4711 // not the caller's to choose
	k.wants("append nothing", k.AppendEvents(k.Context(), nil), nil)
	k.wants("append", k.AppendEvents(k.Context(), []store.Event{given, {Kind: "second"}, {Kind: "third"}}), nil)
	k.wants("append", k.AppendEvents(k.Context(), []store.Event{{Time: start, Kind: "fourth"}}), nil)

	all, err := k.Events(k.Context(), 0, 10)
	k.wants("read", err, nil)
	if len(all) != 4 {
		k.Fatalf("%d events, want 4", len(all))
	}
	want.ID = all[0].ID
	equal(k, "event", all[0], want)
	equal(k, "a bare event", all[1], store.Event{ID: all[1].ID, Kind: "second"})
	for i, e := range all[1:] {
		if e.ID <= all[i].ID {
			k.Errorf("event %d has ID %d after %d", i+1, e.ID, all[i].ID)
		}
	}
	for _, tt := range []struct {
		name  string
		after int64
		limit int
		want  []store.Event
	}{
		{name: "a limit", limit: 2, want: all[:2]},
		{name: "after the second", after: all[1].ID, limit: 10, want: all[2:]},
		{name: "after the second, a limit", after: all[1].ID, limit: 1, want: all[2:3]},
		{name: "after the last", after: all[3].ID, limit: 10},
		{name: "limit zero", limit: 0},
		{name: "a negative limit", limit: -1},
	} {
		got, err := k.Events(k.Context(), tt.after, tt.limit)
		k.wants(tt.name, err, nil)
		equal(k, tt.name, got, tt.want)
	}
}

func eventRace(k *kit) {
	const callers, each = 16, 5
	race(callers, func(i int) error {
		var batch []store.Event
		for n := range each {
			batch = append(batch, store.Event{Time: start, Kind: fmt.Sprintf("%d/%d", i, n)})
		}
		err := k.AppendEvents(k.Context(), batch)
		k.wants("append", err, nil)
		return err
	})
	events, err := k.Events(k.Context(), 0, 2*callers*each)
	k.wants("read", err, nil)
	kinds := make(map[string]bool)
	for _, e := range events {
		kinds[e.Kind] = true
	}
	equal(k, "events", len(events), callers*each)
	equal(k, "different events", len(kinds), callers*each)
}

func restart(k *kit) {
	l, c := k.login(), k.code()
	k.wants("create", k.CreateLogin(k.Context(), l), nil)
	k.wants("create", k.CreateCode(k.Context(), c), nil)
	k.wants("fail", k.FailCode(k.Context(), c.Hash), nil)
	i := k.issue(nil)
	first := k.rotate(i.refresh.Hash, start)
	k.wants("first use", k.use(first.Access.Hash, start), nil)
	k.wants("append", k.AppendEvents(k.Context(), []store.Event{{Time: start, Kind: "call"}}), nil)

	k.reopen()

	got, err := k.Code(k.Context(), c.Hash)
	k.wants("code", err, nil)
	want := storedCode(c)
	want.Failures = 1
	equal(k, "code", got, want)
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: i.code.Hash, Access: k.access(start)}, start)
	k.wants("the used code", err, store.ErrConsumed)
	_, err = k.ConsumeLogin(k.Context(), l.State, l.Browser, start)
	k.wants("login", err, nil)
	_, grant, err := k.UseAccessToken(k.Context(), first.Access.Hash, start)
	k.wants("access token", err, nil)
	equal(k, "grant", grant, i.grant)
	again := k.rotate(i.refresh.Hash, start.Add(grace))
	equal(k, "successor", again.Refresh, first.Refresh)
	events, err := k.Events(k.Context(), 0, 10)
	k.wants("events", err, nil)
	equal(k, "events", len(events), 1)

	k.reopen()
	late := start.Add(grace + tick)
	_, err = k.RotateRefresh(k.Context(), k.rotation(i.refresh.Hash, late), late)
	k.wants("the first use is remembered", err, store.ErrConsumed)
}

// gone calls every verb for a caller whose context has ended.
func gone(k *kit) {
	ctx, cancel := context.WithCancel(k.Context())
	cancel()
	l, c, i, d := k.login(), k.code(), k.issue(nil), k.created()
	for name, call := range map[string]func() error{
		"CreateLogin":  func() error { return k.CreateLogin(ctx, l) },
		"ConsumeLogin": func() error { _, err := k.ConsumeLogin(ctx, l.State, l.Browser, start); return err },
		"CreateCode":   func() error { return k.CreateCode(ctx, c) },
		"Code":         func() error { _, err := k.Code(ctx, i.code.Hash); return err },
		"FailCode":     func() error { return k.FailCode(ctx, i.code.Hash) },
		"RedeemCode": func() error {
			_, err := k.RedeemCode(ctx, store.Redemption{Code: c.Hash, Access: k.access(start)}, start)
			return err
		},
		"CreateDevice":     func() error { return k.CreateDevice(ctx, k.device()) },
		"DeviceByUserCode": func() error { _, err := k.DeviceByUserCode(ctx, d.UserCode, l.Browser, start); return err },
		"ClaimDevice":      func() error { return k.ClaimDevice(ctx, d.Hash, l.Browser, start) },
		"DenyDevice":       func() error { return k.DenyDevice(ctx, d.Hash, l.Browser, start) },
		"ApproveDevice":    func() error { return k.ApproveDevice(ctx, l.Browser, k.approval(d), start) },
		"PollDevice":       func() error { _, err := k.PollDevice(ctx, d.Hash, clientID, start); return err },
		"CreateOwnGrant":   func() error { return k.CreateOwnGrant(ctx, k.own(clientID, start)) },
		"RotateRefresh":    func() error { _, err := k.RotateRefresh(ctx, k.rotation(i.refresh.Hash, start), start); return err },
		"UseAccessToken": func() error {
			_, _, err := k.UseAccessToken(ctx, i.access.Hash, start)
			return err
		},
		"RevokeGrant": func() error { return k.RevokeGrant(ctx, i.grant.ID, revokedByHim, start) },
		"RevokeToken": func() error {
			_, err := k.RevokeToken(ctx, i.access.Hash, clientID, start)
			return err
		},
		"AccountOfToken": func() error {
			_, err := k.AccountOfToken(ctx, i.refresh.Hash, clientID)
			return err
		},
		"ClaimAccount": func() error {
			_, err := k.ClaimAccount(ctx, tenantA, zoe, start, start)
			return err
		},
		"RenewAccount":   func() error { return k.RenewAccount(ctx, store.Account{}, store.Identity{}, start) },
		"ReleaseAccount": func() error { return k.ReleaseAccount(ctx, store.Account{}) },
		"EndAccount": func() error {
			_, err := k.EndAccount(ctx, store.Account{}, ending, start)
			return err
		},
		"Users":   func() error { _, err := k.Users(ctx, start); return err },
		"Clients": func() error { _, err := k.Clients(ctx, start); return err },
		"Grants":  func() error { _, err := k.Grants(ctx, store.GrantFilter{}, start); return err },
		"GrantByID": func() error {
			_, err := k.GrantByID(ctx, i.grant.ID)
			return err
		},
		"RevokeGrants": func() error {
			_, err := k.RevokeGrants(ctx, store.GrantFilter{}, revokedByHim, start)
			return err
		},
		"DisableUser":    func() error { _, err := k.DisableUser(ctx, tenantA, zoe, start); return err },
		"DisableClient":  func() error { _, err := k.DisableClient(ctx, clientID, start); return err },
		"EnableUser":     func() error { return k.EnableUser(ctx, tenantA, zoe) },
		"EnableClient":   func() error { return k.EnableClient(ctx, clientID) },
		"UserDisabled":   func() error { _, err := k.UserDisabled(ctx, tenantA, zoe); return err },
		"ClientDisabled": func() error { _, err := k.ClientDisabled(ctx, clientID); return err },
		"AppendEvents":   func() error { return k.AppendEvents(ctx, []store.Event{{Kind: "call"}}) },
		"Events":         func() error { _, err := k.Events(ctx, 0, 1); return err },
		"Collect":        func() error { _, err := k.Collect(ctx, start.AddDate(1, 0, 0)); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			k.Errorf("%s: error is %v, want %v", name, err, context.Canceled)
		}
	}
	_, err := k.Code(k.Context(), c.Hash)
	k.wants("the code that was not created", err, store.ErrNotFound)
	k.wants("the device that nobody claimed", k.ClaimDevice(k.Context(), d.Hash, k.hash(), start), nil)
	k.wants("the token that was not revoked", k.use(i.access.Hash, start), nil)
	if r := k.rotate(i.refresh.Hash, start); r.Repeated {
		k.Error("the rotation was stored")
	}
	events, err := k.Events(k.Context(), 0, 10)
	k.wants("events", err, nil)
	equal(k, "events", len(events), 0)
}
