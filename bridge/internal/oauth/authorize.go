package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/shared/oauth"
)

// lead runs the one sign-in that a person is asked for, with a time limit.
func (c *Client) lead(ctx context.Context, publish func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, signInTimeout, errors.New("nobody signed in within 10 minutes"))
	defer cancel()
	c.mu.Lock()
	wanted, ch := c.wanted, c.challenge
	c.mu.Unlock()
	if wanted { // another process may have been faster
		if taken, err := c.takeStored(ctx); taken || err != nil {
			return err
		}
	}
	r, err := c.load(ctx)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	status := 0
	if ch == nil {
		if ch, status, err = c.probe(ctx); err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
	}
	p, err := c.discover(ctx, ch.metadata, status)
	if err != nil {
		return fmt.Errorf("sign in to %s: %w", c.server.Host, err)
	}
	s := &signIn{c: c, place: p, record: r, publish: publish}
	s.scopes = c.scopes(p, r, ch)
	if ch.stepUp {
		if err := c.stepUp(time.Now()); err != nil {
			return err
		}
	}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("sign in to %s: %w", c.server.Host, err)
	}
	c.logger.InfoContext(ctx, "signed in", "server", c.server.Host, "issuer", p.as.Issuer)
	return nil
}

// stepUp counts one sign-in for more scope.
func (c *Client) stepUp(now time.Time) error {
	if err := c.mayStepUp(now); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stepped = append(c.stepped, now)
	return nil
}

// scopes decides what to ask for (MCP authorization, Scope Selection Strategy).
func (c *Client) scopes(p place, r keychain.Record, ch *challenge) []string {
	if c.cfg.Scopes != nil {
		return c.cfg.Scopes
	}
	var scopes []string
	switch {
	case ch.stepUp:
		// What was granted stays: a token for the new scope alone would fail at
		// the next operation.
		scopes = union(r.Scopes, strings.Fields(ch.scope))
	case ch.scope != "":
		scopes = strings.Fields(ch.scope)
	default:
		scopes = slices.Clone(p.scopes)
	}
	// Alone it would replace the server's default scope.
	if len(scopes) > 0 && slices.Contains(p.as.ScopesSupported, "offline_access") {
		scopes = union(scopes, []string{"offline_access"})
	}
	return scopes
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// signIn is one sign-in on its way. record becomes what is stored.
type signIn struct {
	c       *Client
	place   place
	record  keychain.Record
	scopes  []string
	publish func(string)
}

// run asks the person, and once more each when the server turns out not to want
// the resource parameter or to have forgotten our registration.
func (s *signIn) run(ctx context.Context) error {
	// What the person chose is tried first, whatever was learned before.
	if s.c.cfg.Resource == "" && s.record.Issuer == s.place.as.Issuer && s.record.Resource == NoResource {
		s.place.resource = ""
	}
	anew := false
	for {
		err := s.ask(ctx)
		switch {
		case refusesResource(err) && s.place.resource != "":
			s.c.logger.InfoContext(ctx, "the authorization server wants no resource parameter, asking again", "issuer", s.place.as.Issuer)
			s.place.resource = ""
		case is(err, oauth.CodeInvalidClient, oauth.CodeUnauthorizedClient) && len(s.record.Registration) > 0 && !anew:
			s.c.logger.InfoContext(ctx, "the authorization server has forgotten this client, registering again", "issuer", s.place.as.Issuer)
			s.record, anew = forgotten(s.record), true
		default:
			return err
		}
	}
}

// address is the authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3).
func (s *signIn) address(state, verifier, redirect string) (string, error) {
	u, err := url.Parse(s.place.as.AuthorizationEndpoint)
	if err != nil {
		return "", fmt.Errorf("authorization endpoint: %w", err)
	}
	query := u.Query() // "which MUST be retained" (RFC 6749 §3.1)
	query.Set("response_type", "code")
	query.Set("client_id", s.record.ClientID)
	query.Set("redirect_uri", redirect)
	query.Set("state", state)
	query.Set("code_challenge", oauth.ChallengeS256(verifier))
	query.Set("code_challenge_method", "S256")
	if s.place.resource != "" {
		query.Set("resource", s.place.resource)
	}
	if len(s.scopes) > 0 {
		query.Set("scope", strings.Join(s.scopes, " "))
	}
	u.RawQuery = query.Encode()
	if err := s.c.checkURL(u.String()); err != nil {
		return "", fmt.Errorf("authorization endpoint: %w", err)
	}
	return u.String(), nil
}

// check refuses an answer that did not come from the server that was asked, and
// one that says no.
func (s *signIn) check(answer url.Values) error {
	// RFC 9207 §2.4. Nothing of a mixed-up answer is shown: it is a stranger's.
	switch {
	case answer.Has("iss") && answer.Get("iss") != s.place.as.Issuer:
		return errors.New("the answer came from another authorization server than was asked: it is not used; sign in again")
	case !answer.Has("iss") && s.place.as.AuthorizationResponseIssParameterSupported:
		return errors.New("the answer does not say which authorization server it is from, and ours always does: it is not used; sign in again")
	case answer.Get("error") != "":
		return refusal("authorize", answer.Get("error"), answer.Get("error_description"))
	case answer.Get("code") == "":
		return errors.New("the authorization server answered with neither a code nor an error")
	}
	return nil
}

// exchange turns the code into tokens (RFC 6749 §4.1.3) and stores them.
func (s *signIn) exchange(ctx context.Context, code, verifier, redirect string) error {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	}
	if s.place.resource != "" {
		form.Set("resource", s.place.resource)
	}
	t, err := s.c.token(ctx, "exchange code", s.record, form)
	if err != nil {
		return err
	}
	return s.keep(ctx, t)
}
