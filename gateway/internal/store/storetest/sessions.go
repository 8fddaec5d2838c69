package storetest

import (
	"errors"
	"time"

	"mcp-gateway/gateway/internal/store"
)

const sessionLife = 90 * day

// session returns one not yet stored.
func (k *kit) session() store.Session {
	return store.Session{Tenant: tenantA, ID: k.hash(), ExpiresAt: start.Add(sessionLife)}
}

// remember remembers a session at start and must succeed.
func (k *kit) remember(s store.Session) store.Session {
	k.Helper()
	k.wants("remember", k.RememberSession(k.Context(), s, start), nil)
	return s
}

// sees fails unless a session is as it should be; a zero time is of one that
// has not ended.
func (k *kit) sees(what string, s store.Session, ended time.Time) {
	k.Helper()
	got, err := k.Session(k.Context(), s.Tenant, s.ID, start)
	k.wants(what, err, nil)
	if s.ExpiresAt, s.EndedAt = stored(s.ExpiresAt), ended; !ended.IsZero() {
		s.EndedAt = stored(ended)
	}
	equal(k, what, got, s)
}

// missing fails if a session is remembered.
func (k *kit) missing(what, tenant string, id store.Hash, now time.Time) {
	k.Helper()
	_, err := k.Session(k.Context(), tenant, id, now)
	k.wants(what, err, store.ErrNotFound)
}

func sessionRemembered(k *kit) {
	s := k.session()
	k.missing("before anything", s.Tenant, s.ID, start)
	k.remember(s)
	k.reopen()
	k.sees("what was remembered", s, time.Time{})
	k.missing("the same in another tenant", "other", s.ID, start)
	k.missing("the same in no tenant", "", s.ID, start)
	k.missing("another in the same tenant", s.Tenant, k.hash(), start)

	sooner := s
	sooner.ExpiresAt = start.Add(day)
	k.remember(sooner)
	k.sees("a sign-in that is remembered for less", s, time.Time{})
	s.ExpiresAt = start.Add(sessionLife + day)
	k.remember(s)
	k.sees("a sign-in that is remembered for longer", s, time.Time{})

	end := stored(s.ExpiresAt)
	_, err := k.Session(k.Context(), s.Tenant, s.ID, end.Add(-tick))
	k.wants("a moment before its end", err, nil)
	k.missing("at its end", s.Tenant, s.ID, end)
	k.wants("an end after its end", k.EndSession(k.Context(), s.Tenant, s.ID, end), store.ErrNotFound)
	k.collect("a day after its end", end.Add(day), 0)
	k.collect("a moment later", end.Add(day+tick), 1)
	k.missing("what was collected", s.Tenant, s.ID, start)
}

func sessionEnded(k *kit) {
	mine, other, elsewhere := k.session(), k.session(), k.session()
	elsewhere.Tenant, elsewhere.ID = "other", mine.ID
	for _, s := range []store.Session{mine, other, elsewhere} {
		k.remember(s)
	}
	first, last := start.Add(time.Second), start.Add(time.Hour)
	k.wants("end", k.EndSession(k.Context(), mine.Tenant, mine.ID, first), nil)
	k.sees("the one that ended", mine, first)
	k.sees("another of the tenant", other, time.Time{})
	k.sees("one of the same name elsewhere", elsewhere, time.Time{})
	k.wants("end again", k.EndSession(k.Context(), mine.Tenant, mine.ID, last), nil)
	k.reopen()
	k.sees("the one that ended twice", mine, last)
	k.wants("end without a tenant", k.EndSession(k.Context(), "", elsewhere.ID, last), nil)
	k.sees("one of the same name elsewhere", elsewhere, last)
	k.sees("another of the tenant", other, time.Time{})
}

func sessionUnknown(k *kit) {
	known := k.remember(k.session())
	for _, tt := range []struct {
		name, tenant string
		id           store.Hash
	}{
		{name: "another session", tenant: known.Tenant, id: k.hash()},
		{name: "another tenant", tenant: "other", id: known.ID},
		{name: "another session of no tenant", id: k.hash()},
		{name: "no session", tenant: known.Tenant},
		{name: "nothing"},
	} {
		k.wants(tt.name, k.EndSession(k.Context(), tt.tenant, tt.id, start), store.ErrNotFound)
		k.missing(tt.name, tt.tenant, tt.id, start)
	}
	k.sees("the session", known, time.Time{})
	k.collect("a hundred years later", start.AddDate(100, 0, 0), 1)
}

func sessionOvertaken(k *kit) {
	s := k.remember(k.session())
	ended := stored(start.Add(time.Minute))
	k.wants("end", k.EndSession(k.Context(), s.Tenant, s.ID, ended), nil)
	longer := s
	longer.ExpiresAt = start.Add(2 * sessionLife)
	for name, began := range map[string]time.Time{"long before": start, "a moment before": ended.Add(-tick), "at the same time": ended} {
		k.wants("a sign-in that began "+name, k.RememberSession(k.Context(), longer, began), store.ErrRevoked)
		k.sees("after a sign-in that began "+name, s, ended)
	}
	k.wants("a sign-in that began after it", k.RememberSession(k.Context(), longer, ended.Add(tick)), nil)
	k.sees("after a new sign-in", longer, time.Time{})
}

func sessionRace(k *kit) {
	s := k.remember(k.session())
	ended := stored(start.Add(time.Minute))
	for i, err := range race(65, func(i int) error {
		if i == 32 {
			return k.EndSession(k.Context(), s.Tenant, s.ID, ended)
		}
		return k.RememberSession(k.Context(), s, start)
	}) {
		if err != nil && (i == 32 || !errors.Is(err, store.ErrRevoked)) {
			k.Errorf("caller %d: %v", i, err)
		}
	}
	k.sees("after all of them", s, ended)
}
