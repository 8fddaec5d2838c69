package entrasim

import (
	"fmt"
	"maps"
	"slices"
)

// RevokeSessions ends what a person was given until now, as an administrator
// does: no refresh token of theirs is good any more (AADSTS50173). They can sign
// in again.
func (s *Sim) RevokeSessions(username string) error {
	u, err := s.named(username)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[u] = s.now()
	return nil
}

// Disable blocks a person's account, or lets them in again: neither signing in
// nor a refresh token works meanwhile (AADSTS50057).
func (s *Sim) Disable(username string, disabled bool) error {
	u, err := s.named(username)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled[u] = disabled
	return nil
}

func (s *Sim) isDisabled(u *User) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disabled[u]
}

func (s *Sim) named(username string) (*User, error) {
	u := s.dir.user(username)
	if u == nil {
		return nil, fmt.Errorf("nobody is called %q", username)
	}
	return u, nil
}

// OneTimeRefreshTokens makes each refresh token good once. Microsoft's are good
// until they end, and others' are not.
func (s *Sim) OneTimeRefreshTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oneTime = true
}

// RefreshTokens are those that are good or have been: nobody but the client may
// have one.
func (s *Sim) RefreshTokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.refresh))
}
