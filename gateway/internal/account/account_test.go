package account_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/gateway/internal/account"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/secret"
)

// TestASlowAnswerIsKept: what Microsoft gave in the last moment that there is for a
// question is stored all the same, since the token before may be good no longer.
func TestASlowAnswerIsKept(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.answer = func(ctx context.Context, before entra.SignIn) (entra.SignIn, error) {
			<-ctx.Done() // as when Microsoft Graph does not answer
			before.Refresh, before.Incomplete = secret.New("slow"), true
			return before, nil
		}
		r.passes("the slow answer", "a", 1)
		r.answer = r.presents("slow")
		time.Sleep(interval)
		r.passes("the next one", "a", 1)
	})
}

// TestASlowOutageIsNobodysEnd: a question that takes all its time is an outage like
// another, and leaves nothing behind that keeps the next from being asked.
func TestASlowOutageIsNobodysEnd(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.answer = func(ctx context.Context, _ entra.SignIn) (entra.SignIn, error) {
			<-ctx.Done()
			return entra.SignIn{}, &entra.Error{Kind: entra.KindUnavailable, Code: "no_answer"}
		}
		r.passes("within the grace", "a", 1)
		if _, err := r.db.ClaimAccount(r.Context(), tenant, ada, time.Now(), time.Now()); err != nil {
			r.Errorf("after the question the account is %v", err)
		}
	})
}

// TestMicrosoftIsLeftAloneForAsLongAsItAsked, whatever comes of a question that was
// on its way.
func TestMicrosoftIsLeftAloneForAsLongAsItAsked(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		r.signIn(bob, "m")
		time.Sleep(interval)
		r.answer = func(_ context.Context, before entra.SignIn) (entra.SignIn, error) {
			if before.Object == ada {
				time.Sleep(10 * time.Second)
				return entra.SignIn{}, unavailable(0)
			}
			return entra.SignIn{}, unavailable(5 * time.Minute)
		}
		slow := make(chan error, 1)
		go func() { slow <- r.check("a") }()
		synctest.Wait()
		r.passes("a question beside it", "m", 1)
		if err := <-slow; err != nil {
			r.Error(err)
		}
		time.Sleep(4 * time.Minute)
		r.passes("a while later", "a", 0)
		time.Sleep(time.Minute)
		r.passes("when it may be asked again", "a", 1)
	})
}

// TestAnOutageThatHangsIsKnownFromItsEnd: or nobody would be spared the wait.
func TestAnOutageThatHangsIsKnownFromItsEnd(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		r.signIn(bob, "m")
		time.Sleep(interval)
		r.answer = func(ctx context.Context, _ entra.SignIn) (entra.SignIn, error) {
			<-ctx.Done()
			return entra.SignIn{}, unavailable(0)
		}
		r.passes("the one who finds out", "a", 1)
		time.Sleep(14 * time.Second)
		r.passes("another, a moment later", "m", 0)
		time.Sleep(time.Second)
		r.passes("another, after a while", "m", 1)
		time.Sleep(24 * time.Second) // beside the 20 of that question
		r.passes("the first, within the minute", "a", 0)
		time.Sleep(time.Second)
		r.passes("the first, after the minute", "a", 1)
	})
}

func TestTheLastWordHoldsForItsTimeAndNoLonger(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		said := time.Now()
		time.Sleep(interval - time.Nanosecond)
		r.passes("a moment before it is old", "a", 0)
		r.answer = func(context.Context, entra.SignIn) (entra.SignIn, error) { return entra.SignIn{}, unavailable(0) }
		time.Sleep(time.Nanosecond)
		r.passes("when it is old", "a", 1)
		time.Sleep(time.Until(said.Add(interval + grace - time.Microsecond)))
		r.passes("a moment before the end", "a", 1)
		time.Sleep(time.Microsecond)
		r.late("at the end", "a", 0, said, time.Minute-time.Microsecond)
		time.Sleep(50 * time.Second)
		r.late("shortly before it is asked again", "a", 0, said, 15*time.Second)
		r.answer = r.answers("next")
		time.Sleep(10 * time.Second)
		r.passes("when Microsoft answers again", "a", 1)
		if r.live(ada) != 1 || len(r.forgotten) != 0 {
			r.Error("the outage has ended something")
		}
	})
}

func TestWhoCannotBeAskedAboutHasADay(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signInWith(ada, "a", "")
		time.Sleep(account.Unchecked - time.Nanosecond)
		r.passes("a moment before the end", "a", 0)
		time.Sleep(time.Nanosecond)
		r.ended("at the end", "a", store.ErrExpired, 0)
	})
}

// TestWhomMicrosoftRefusesHasNothingLeft: by no program, of whatever age.
func TestWhomMicrosoftRefusesHasNothingLeft(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(bob, "m")
		r.signInWith(ada, "old", "")
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.answer = denied
		r.ended("the question", "old", store.ErrRevoked, 1)
		r.passes("whoever redeems it is told by that", "a", 0)
		if r.live(ada) != 0 || r.live(bob) != 1 || len(r.forgotten) != 2 {
			r.Errorf("she has %d grants, he has %d, and %q are forgotten", r.live(ada), r.live(bob), r.forgotten)
		}
		events, err := r.db.Events(r.Context(), 0, 10)
		if err != nil || len(events) != 1 || events[0].Reason != store.ReasonMicrosoft+": AADSTS50173" || events[0].Object != ada {
			r.Errorf("the trail has %+v, %v", events, err)
		}
	})
}

// TestASignInDuringAQuestionIsNewerThanItsAnswer, whatever that is.
func TestASignInDuringAQuestionIsNewerThanItsAnswer(t *testing.T) {
	for name, answer := range map[string]func(r *rig) microsoft{
		"a refusal": func(*rig) microsoft { return denied },
		"a renewal": func(r *rig) microsoft { return r.answers("too late") },
		"none": func(*rig) microsoft {
			return func(context.Context, entra.SignIn) (entra.SignIn, error) { return entra.SignIn{}, unavailable(0) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.signIn(ada, "a")
				time.Sleep(interval)
				r.answer = func(ctx context.Context, before entra.SignIn) (entra.SignIn, error) {
					r.signIn(ada, "anew")
					return answer(r)(ctx, before)
				}
				r.passes("the answer", "a", 1)
				if r.live(ada) != 2 || len(r.forgotten) != 0 {
					r.Errorf("she has %d grants, and %q are forgotten", r.live(ada), r.forgotten)
				}
				r.passes("then", "anew", 0)
				r.answer = r.presents("of sign-in anew")
				time.Sleep(interval)
				r.passes("the next question", "a", 1)
			})
		})
	}
}

// TestWhatHappensJustBeforeAQuestion: what was read is out of date by then.
func TestWhatHappensJustBeforeAQuestion(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.db.beforeClaim = func() { r.signIn(ada, "anew") }
		r.passes("a sign-in", "a", 0)
		r.db.beforeClaim = nil
		if _, err := r.db.ClaimAccount(r.Context(), tenant, ada, time.Now(), time.Now()); err != nil {
			r.Errorf("then the account is %v", err)
		}
		r.answer = r.answers("next")
		time.Sleep(interval)
		r.passes("when it is old", "a", 1)
		time.Sleep(interval)
		r.db.beforeClaim = func() {
			if _, err := r.db.DisableUser(r.Context(), tenant, ada, time.Now()); err != nil {
				r.Error(err)
			}
		}
		r.ended("an administrator", "a", store.ErrRevoked, 0)
	})
}

// TestSomebodyElseAsks, in another process.
func TestSomebodyElseAsks(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		said := time.Now()
		claim := func() {
			r.Helper()
			if _, err := r.db.Store.ClaimAccount(r.Context(), tenant, ada, time.Now().Add(30*time.Second), time.Now()); err != nil {
				r.Fatal(err)
			}
		}
		time.Sleep(interval)
		claim()
		r.passes("within the grace", "a", 0)
		time.Sleep(grace)
		claim()
		r.late("after the grace", "a", 0, said, 15*time.Second)
		r.answer = r.answers("next")
		time.Sleep(30 * time.Second)
		r.passes("when the other was killed", "a", 1)
	})
}

// TestAStoreThatFailsLosesNothing: it is asked again at once, with what was given.
func TestAStoreThatFailsLosesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.db.renewal, r.answer = errors.New("disk full"), r.answers("next")
		r.ended("the disk is full", "a", r.db.renewal, 1)
		r.db.renewal, r.answer = nil, r.presents("next")
		r.passes("and has room again", "a", 1)
		if r.live(ada) != 1 {
			r.Error("the failure has ended something")
		}
	})
}

// TestWhoseFailureItIs: what says nothing about others does not keep them from being
// asked about.
func TestWhoseFailureItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		failure entra.Error
		others  int // questions about others then
	}{
		"an outage":                     {entra.Error{Kind: entra.KindUnavailable, Code: "no_answer"}, 0},
		"a wrong secret":                {entra.Error{Kind: entra.KindMisconfigured, Code: "invalid_client"}, 0},
		"a person who asked too often":  {entra.Error{Kind: entra.KindUnavailable, Code: "invalid_grant", AADSTS: 50196}, 1},
		"an answer about somebody else": {entra.Error{Kind: entra.KindMisconfigured, Code: "id_token_rejected"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.signIn(ada, "a")
				r.signIn(bob, "m")
				time.Sleep(interval)
				failure := tt.failure
				failure.RetryAfter = 3 * time.Minute
				r.answer = func(context.Context, entra.SignIn) (entra.SignIn, error) { return entra.SignIn{}, &failure }
				r.passes("the first", "a", 1)
				r.answer = r.answers("next")
				r.passes("the other", "m", tt.others)
				time.Sleep(3*time.Minute - time.Nanosecond)
				r.passes("the first, before it may be asked again", "a", 0)
				time.Sleep(time.Nanosecond)
				r.passes("and then", "a", 1)
			})
		})
	}
}

// TestWhatCannotBeReadIsNobodysEnd: the key ring is another.
func TestWhatCannotBeReadIsNobodysEnd(t *testing.T) {
	inBubble(t, func(r *rig) {
		now := time.Now()
		r.signIn(ada, "a")
		a, err := r.db.ClaimAccount(r.Context(), tenant, ada, now, now)
		if err != nil {
			r.Fatal(err)
		}
		a.Sealed[len(a.Sealed)-1]++
		if err := r.db.ReleaseAccount(r.Context(), a); err != nil {
			r.Fatal(err)
		}
		time.Sleep(interval)
		r.passes("within the grace", "a", 0)
		time.Sleep(grace)
		r.late("after the grace", "a", 0, now, time.Minute)
	})
}

// TestWhoeverAsksMayLeave: those who wait for the same answer get it.
func TestWhoeverAsksMayLeave(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.answer = func(ctx context.Context, before entra.SignIn) (entra.SignIn, error) {
			time.Sleep(5 * time.Second)
			return before, ctx.Err()
		}
		leaving, leave := context.WithCancel(r.Context())
		checked := make(chan error, 2)
		for _, ctx := range []context.Context{leaving, r.Context()} {
			go func() { checked <- r.Check(ctx, store.HashOf("a"), "client", time.Now()) }()
			synctest.Wait()
		}
		leave()
		if err := errors.Join(<-checked, <-checked); err != nil || r.asked != 1 {
			r.Errorf("%v, after %d questions", err, r.asked)
		}
	})
}

func TestWhatIsIncompleteIsAskedForSoon(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		time.Sleep(interval)
		r.answer = func(_ context.Context, before entra.SignIn) (entra.SignIn, error) {
			before.Incomplete = true
			return before, nil
		}
		r.passes("an answer without groups", "a", 1)
		time.Sleep(5*time.Minute - time.Nanosecond)
		r.passes("a moment before it is asked for again", "a", 0)
		time.Sleep(time.Nanosecond)
		r.passes("and then", "a", 1)
	})
}

// TestAnEndedGrantAsksNobody: Microsoft is not asked for who may not come in by it
// in any case.
func TestAnEndedGrantAsksNobody(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.signIn(ada, "a")
		r.signIn(ada, "other")
		if err := r.db.RevokeGrant(r.Context(), "a", store.ReasonClient, time.Now()); err != nil {
			r.Fatal(err)
		}
		time.Sleep(interval)
		r.passes("the ended one", "a", 0)
		r.answer = r.answers("next")
		r.passes("the other", "other", 1)
		for name, err := range map[string]error{
			"an unknown token":      r.check("x"),
			"another client's":      r.Check(r.Context(), store.HashOf("other"), "x", time.Now()),
			"an access token":       r.check("access other"),
			"an authorization code": r.check("code other"),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				r.Errorf("%s: %v", name, err)
			}
		}
	})
}
