package token_test

import (
	"testing"
	"time"
)

// TestWhatWatchesAGrantEndsWithIt, however late it begins to watch, as long as whom
// the token speaks for was found out before.
func TestWhatWatchesAGrantEndsWithIt(t *testing.T) {
	t.Parallel()
	s, c := service(t)
	start := time.Now()
	issued := redeem(t, s, c, codeUntil(now.Add(24*time.Hour)))
	p, err := s.Verify(t.Context(), issued.Access, now)
	if err != nil {
		t.Fatal(err)
	}
	before, leave := s.Watch(t.Context(), p)
	defer leave()
	if before.Err() != nil {
		t.Fatal("it ends before the grant does")
	}
	other := *p
	other.GrantID = "another"
	unconcerned, leaveOther := s.Watch(t.Context(), &other)
	defer leaveOther()
	if err := s.Revoke(t.Context(), p.GrantID, "test", now); err != nil {
		t.Fatal(err)
	}
	if before.Err() == nil {
		t.Error("who watched does not notice")
	}
	if unconcerned.Err() != nil {
		t.Error("what watches another grant ended too")
	}
	verified := *p
	for _, tt := range []struct {
		name  string
		at    time.Time
		ended bool
	}{
		{name: "before the revocation", at: start, ended: true},
		{name: "after it: the store says that the grant is good", at: time.Now(), ended: false},
	} {
		verified.CheckedAt = tt.at
		late, leave := s.Watch(t.Context(), &verified)
		if ended := late.Err() != nil; ended != tt.ended {
			t.Errorf("verified %s: ended is %t", tt.name, ended)
		}
		leave()
	}
}
