package admin

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
)

func (o *Operations) usersRevoke(ctx context.Context, c call) (Answer, error) {
	u, err := o.user(ctx, c.User, false, c.now)
	if err != nil {
		return Answer{}, err
	}
	f := store.GrantFilter{Tenant: u.Tenant, Object: u.Object}
	revoked, err := o.cfg.Store.RevokeGrants(ctx, f, store.ReasonAdmin, c.now)
	if err != nil {
		return Answer{}, err
	}
	u.LiveGrants = 0
	return Answer{User: &u, Revoked: list(revoked)}, o.done(ctx, c, userEvent(u), f, store.ReasonAdmin, revoked)
}

func (o *Operations) usersDisable(ctx context.Context, c call) (Answer, error) {
	u, err := o.user(ctx, c.User, true, c.now)
	if err != nil {
		return Answer{}, err
	}
	revoked, err := o.cfg.Store.DisableUser(ctx, u.Tenant, u.Object, c.now)
	if err != nil {
		return Answer{}, err
	}
	changed := u.DisabledAt.IsZero()
	if changed {
		u.DisabledAt = c.now.UTC()
	}
	u.LiveGrants = 0
	f := store.GrantFilter{Tenant: u.Tenant, Object: u.Object}
	return Answer{User: &u, Changed: &changed, Revoked: list(revoked)}, o.done(ctx, c, userEvent(u), f, store.ReasonUserDisabled, revoked)
}

func (o *Operations) usersEnable(ctx context.Context, c call) (Answer, error) {
	u, err := o.user(ctx, c.User, true, c.now)
	if err != nil {
		return Answer{}, err
	}
	if err := o.cfg.Store.EnableUser(ctx, u.Tenant, u.Object); err != nil {
		return Answer{}, err
	}
	changed := !u.DisabledAt.IsZero()
	u.DisabledAt = time.Time{}
	return Answer{User: &u, Changed: &changed}, o.done(ctx, c, userEvent(u), store.GrantFilter{}, "", nil)
}

func (o *Operations) clientsRevoke(ctx context.Context, c call) (Answer, error) {
	one, err := o.client(ctx, c.Client, false, c.now)
	if err != nil {
		return Answer{}, err
	}
	f := store.GrantFilter{ClientID: one.ClientID}
	revoked, err := o.cfg.Store.RevokeGrants(ctx, f, store.ReasonAdmin, c.now)
	if err != nil {
		return Answer{}, err
	}
	one.LiveGrants, one.People = 0, 0
	return Answer{Client: &one, Revoked: list(revoked)}, o.done(ctx, c, clientEvent(one), f, store.ReasonAdmin, revoked)
}

func (o *Operations) clientsDisable(ctx context.Context, c call) (Answer, error) {
	one, err := o.client(ctx, c.Client, true, c.now)
	if err != nil {
		return Answer{}, err
	}
	revoked, err := o.cfg.Store.DisableClient(ctx, one.ClientID, c.now)
	if err != nil {
		return Answer{}, err
	}
	changed := one.DisabledAt.IsZero()
	if changed {
		one.DisabledAt = c.now.UTC()
	}
	one.LiveGrants, one.People = 0, 0
	f := store.GrantFilter{ClientID: one.ClientID}
	return Answer{Client: &one, Changed: &changed, Revoked: list(revoked)}, o.done(ctx, c, clientEvent(one), f, store.ReasonClientDisabled, revoked)
}

func (o *Operations) clientsEnable(ctx context.Context, c call) (Answer, error) {
	one, err := o.client(ctx, c.Client, true, c.now)
	if err != nil {
		return Answer{}, err
	}
	if err := o.cfg.Store.EnableClient(ctx, one.ClientID); err != nil {
		return Answer{}, err
	}
	changed := !one.DisabledAt.IsZero()
	one.DisabledAt = time.Time{}
	return Answer{Client: &one, Changed: &changed}, o.done(ctx, c, clientEvent(one), store.GrantFilter{}, "", nil)
}

// grantsRevoke ends all of the grants named, or none if one of them is unknown.
func (o *Operations) grantsRevoke(ctx context.Context, c call) (Answer, error) {
	if len(c.Grants) == 0 {
		return Answer{}, &Error{Code: CodeInvalid, Message: "no grant is named"}
	}
	for _, id := range c.Grants {
		if _, err := o.grant(ctx, id, c.now); err != nil {
			return Answer{}, err
		}
	}
	answer := Answer{Revoked: []string{}}
	for _, id := range c.Grants {
		f := store.GrantFilter{ID: id}
		revoked, err := o.cfg.Store.RevokeGrants(ctx, f, store.ReasonAdmin, c.now)
		if err != nil {
			return Answer{}, err
		}
		answer.Revoked = append(answer.Revoked, revoked...)
		if err := o.done(ctx, c, store.Event{GrantID: id}, f, store.ReasonAdmin, revoked); err != nil {
			return Answer{}, err
		}
	}
	return answer, nil
}

func (o *Operations) keysRotate(ctx context.Context, c call) (Answer, error) {
	if o.cfg.Ring == nil || c.KeyFile != "" && !sameFile(c.KeyFile, o.cfg.Ring.Path()) {
		return Answer{}, &Error{Code: CodeOtherRing, Message: "the gateway does not use this key ring"}
	}
	k, err := o.cfg.Ring.Rotate(c.now)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Key: &Key{ID: k.ID, File: o.cfg.Ring.Path(), Seals: k.Seals}}
	return answer, o.done(ctx, c, store.Event{}, store.GrantFilter{}, "", nil)
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// list is never null in JSON.
func list(ids []string) []string { return append([]string{}, ids...) }

func userEvent(u User) store.Event { return store.Event{Tenant: u.Tenant, Object: u.Object} }

func clientEvent(c Client) store.Event {
	return store.Event{Client: client.Client{ID: c.ClientID, Name: c.Name}.Label()}
}

// done ends a change: the process forgets the tokens of what was revoked, and
// the trail has a row for the command and one for each grant, before the answer.
// It is finished even if the administrator goes away: the change has happened.
func (o *Operations) done(ctx context.Context, c call, subject store.Event, f store.GrantFilter, reason string, revoked []string) error {
	ctx = context.WithoutCancel(ctx)
	if o.cfg.Forget != nil {
		o.cfg.Forget(revoked...)
	}
	row := func(e store.Event, reason string) store.Event {
		e.Time, e.Kind, e.Outcome, e.Reason, e.Address = c.now, audit.KindAdmin, audit.OutcomeOK, reason, c.operator
		return e
	}
	rows := []store.Event{row(subject, strings.ReplaceAll(c.Command, " ", "_"))}
	if len(revoked) > 0 {
		f.All = true
		grants, err := o.cfg.Store.Grants(ctx, f, c.now)
		if err != nil {
			return notWritten(err)
		}
		byID := make(map[string]store.Grant, len(grants))
		for _, g := range grants {
			byID[g.ID] = g
		}
		for _, id := range revoked {
			g := byID[id]
			rows = append(rows, row(store.Event{
				Tenant: g.Identity.Tenant, Object: g.Identity.Object, GrantID: id,
				Client: client.Client{ID: g.ClientID, Name: g.ClientName}.Label(),
			}, reason))
		}
	}
	if err := o.cfg.Audit.AppendAll(ctx, rows); err != nil {
		return notWritten(err)
	}
	return nil
}

func notWritten(err error) *Error {
	return &Error{Code: CodeUnavailable, cause: err,
		Message: fmt.Sprintf("it was done, and could not be written into the audit trail: %v\n    see to the disk and run the command again", err)}
}
