package storetest

import (
	"errors"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// subject is what can be disabled: a person or a client.
type subject struct {
	name    string
	disable func(now time.Time) ([]string, error)
	enable  func() error
	is      func() bool
	reason  string
	// mine and others make a code for the subject and for somebody else.
	mine, others func(*store.Code)
}

func (k *kit) subjects() []subject {
	return []subject{
		{
			name:    "a person",
			disable: func(now time.Time) ([]string, error) { return k.DisableUser(k.Context(), tenantA, zoe, now) },
			enable:  func() error { return k.EnableUser(k.Context(), tenantA, zoe) },
			is:      func() bool { return k.userDisabled(tenantA, zoe) },
			reason:  store.ReasonUserDisabled,
			mine:    of(zoe, "Zoe", clientID, start), others: of(ada, "Ada", foreignID, start),
		},
		{
			name:    "a client",
			disable: func(now time.Time) ([]string, error) { return k.DisableClient(k.Context(), clientID, now) },
			enable:  func() error { return k.EnableClient(k.Context(), clientID) },
			is:      func() bool { return k.clientDisabled(clientID) },
			reason:  store.ReasonClientDisabled,
			mine:    of(zoe, "Zoe", clientID, start), others: of(zoe, "Zoe", foreignID, start),
		},
	}
}

func disabled(k *kit) {
	for _, s := range k.subjects() {
		first, second, other := k.issue(s.mine), k.issue(s.mine), k.issue(s.others)
		waiting := k.code()
		s.mine(&waiting)
		k.wants(s.name+": a code", k.CreateCode(k.Context(), waiting), nil)
		if s.is() {
			k.Errorf("%s is disabled from the start", s.name)
		}
		got, err := s.disable(start.Add(tick))
		k.wants(s.name, err, nil)
		equal(k, s.name+": grants revoked", got, ids(first, second))
		got, err = s.disable(start.Add(time.Hour))
		k.wants(s.name+", again", err, nil)
		equal(k, s.name+": grants revoked again", got, nil)
		k.reopen()
		if !s.is() {
			k.Errorf("%s is not disabled", s.name)
		}
		k.ended(s.name, start, []store.Hash{first.access.Hash, second.access.Hash}, []store.Hash{first.refresh.Hash, second.refresh.Hash})
		g, err := k.GrantByID(k.Context(), first.grant.ID)
		k.wants(s.name, err, nil)
		equal(k, s.name+": the reason", g.RevokedReason, s.reason)

		access := k.access(start)
		_, err = k.RedeemCode(k.Context(), store.Redemption{Code: waiting.Hash, Access: access}, start)
		k.wants(s.name+": the code that waited", err, store.ErrDisabled)
		k.wants(s.name+": its token", k.use(access.Hash, start), store.ErrNotFound)
		_, err = k.RedeemCode(k.Context(), store.Redemption{Code: first.code.Hash, Access: access}, start)
		k.wants(s.name+": a used code", err, store.ErrConsumed)
		fresh := k.code()
		s.mine(&fresh)
		k.wants(s.name+": a new code", k.CreateCode(k.Context(), fresh), store.ErrDisabled)
		_, err = k.Code(k.Context(), fresh.Hash)
		k.wants(s.name+": the refused code", err, store.ErrNotFound)

		k.wants(s.name+": somebody else's token", k.use(other.access.Hash, start), nil)
		k.issue(s.others)
		k.enabledAgain(s, first, waiting)
	}
}

// enabledAgain: a new sign-in works, and nothing of before does.
func (k *kit) enabledAgain(s subject, before issued, waiting store.Code) {
	k.Helper()
	for range 2 {
		k.wants(s.name+" enabled", s.enable(), nil)
		if s.is() {
			k.Errorf("%s is still disabled", s.name)
		}
	}
	k.ended(s.name+" enabled", start, []store.Hash{before.access.Hash}, []store.Hash{before.refresh.Hash})
	_, err := k.RedeemCode(k.Context(), store.Redemption{Code: waiting.Hash, Access: k.access(start)}, start)
	k.wants(s.name+" enabled: the code that waited", err, store.ErrExpired)
	again := k.issue(s.mine)
	k.wants(s.name+" enabled: a new token", k.use(again.access.Hash, start), nil)
	k.wants("revoke", k.RevokeGrant(k.Context(), again.grant.ID, revokedByHim, start), nil)
}

func disabledUnseen(k *kit) {
	for _, s := range k.subjects() {
		got, err := s.disable(start)
		k.wants(s.name, err, nil)
		equal(k, s.name+": grants revoked", got, nil)
		c := k.code()
		s.mine(&c)
		k.wants(s.name+": a code", k.CreateCode(k.Context(), c), store.ErrDisabled)
		k.wants(s.name+" enabled", s.enable(), nil)
		k.wants(s.name+": a code", k.CreateCode(k.Context(), c), nil)
	}
	for _, id := range []string{"", "unknown", clientID} {
		if k.clientDisabled(id) || k.userDisabled(tenantA, id) || k.userDisabled(id, zoe) {
			k.Errorf("%q is disabled", id)
		}
	}
}

// disabledRace has 64 callers redeem codes and one disable. What was redeemed
// before is ended, and nothing is redeemed after.
func disabledRace(k *kit) {
	for _, s := range k.subjects() {
		const callers = 64
		codes, tokens := make([]store.Code, callers), make([]store.AccessToken, callers)
		for i := range codes {
			codes[i], tokens[i] = k.code(), k.access(start)
			s.mine(&codes[i])
			k.wants("create", k.CreateCode(k.Context(), codes[i]), nil)
		}
		var revoked []string
		errs := race(callers, func(i int) error {
			if i == callers/2 {
				var err error
				revoked, err = s.disable(start)
				return err
			}
			_, err := k.RedeemCode(k.Context(), store.Redemption{Code: codes[i].Hash, Access: tokens[i]}, start)
			return err
		})
		var redeemed []string
		for i, err := range errs {
			switch {
			case i == callers/2:
				k.wants("disable", err, nil)
			case err == nil:
				redeemed = append(redeemed, codes[i].Grant.ID)
				k.wants(s.name+": a token of before", k.use(tokens[i].Hash, start), store.ErrRevoked)
			case !errors.Is(err, store.ErrDisabled):
				k.Errorf("%s: a code after: error is %v, want %v", s.name, err, store.ErrDisabled)
			}
		}
		slices.Sort(redeemed)
		equal(k, s.name+": what was revoked is what was redeemed", revoked, redeemed)
		k.wants("enable", s.enable(), nil)
	}
}
