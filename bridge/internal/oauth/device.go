package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"mcp-gateway/shared/oauth"
)

const (
	// pollInterval is how long to wait between polls when the server says nothing
	// (RFC 8628 §3.2), and how much longer when it says slow_down (§3.5).
	pollInterval = 5 * time.Second
	leastPoll    = time.Second
	// longestPoll bounds what failures make of the interval.
	longestPoll = time.Minute
	// maxUserCode is more than anybody would type.
	maxUserCode = 40
)

// device is what the server answered to a device (RFC 8628 §3.2), checked.
type device struct {
	code     string
	prompt   Prompt
	interval time.Duration
	lifetime time.Duration
}

// askDevice has the person sign in elsewhere, and polls until they have (RFC 8628).
func (s *signIn) askDevice(ctx context.Context) error {
	endpoint := s.place.as.DeviceAuthorizationEndpoint
	if endpoint == "" {
		return fmt.Errorf("%s offers no sign-in by a code: use --sign-in %s, which works with every server", s.place.as.Issuer, ByPaste)
	}
	if err := s.c.identify(ctx, s.place, &s.record, unusedPort, s.scopes); err != nil {
		return err
	}
	d, err := s.authorizeDevice(ctx, endpoint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.lifetime, errors.New("nobody signed in with the code before it was over"))
	defer cancel()
	s.show(ctx, d.prompt)
	t, err := s.poll(ctx, d)
	if err != nil {
		return err
	}
	return s.keep(context.WithoutCancel(ctx), t)
}

// authorizeDevice asks for the codes (RFC 8628 §3.1).
func (s *signIn) authorizeDevice(ctx context.Context, endpoint string) (device, error) {
	const step = "ask for a code"
	form := url.Values{}
	if len(s.scopes) > 0 {
		form.Set("scope", strings.Join(s.scopes, " "))
	}
	if s.place.resource != "" {
		form.Set("resource", s.place.resource)
	}
	body, err := s.c.success(ctx, step, endpoint, s.record, form)
	if err != nil {
		return device{}, err
	}
	d, err := s.c.parseDevice(body)
	if err != nil {
		return device{}, fmt.Errorf("%s: answer of %s: %w", step, hostOf(endpoint), err)
	}
	return d, nil
}

// parseDevice reads the answer. What is shown to a person is made harmless, and an
// address that should not be opened is refused.
func (c *Client) parseDevice(body []byte) (device, error) {
	var answer struct {
		oauth.DeviceAuthorization
		ExpiresIn       json.RawMessage `json:"expires_in"`
		Interval        json.RawMessage `json:"interval"`
		VerificationURL string          `json:"verification_url"` // of before the RFC, with some servers
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return device{}, errors.New("it is not the JSON of a device authorization") // the parser would quote it
	}
	userCode := clean(answer.UserCode)
	address := answer.VerificationURI
	if address == "" {
		address = answer.VerificationURL
	}
	switch {
	case answer.DeviceCode == "":
		return device{}, errors.New("it has no device code")
	case userCode == "" || len(userCode) > maxUserCode:
		return device{}, errors.New("it has no code that a person could type")
	}
	if err := c.checkURL(address); err != nil {
		return device{}, fmt.Errorf("verification_uri: %w", err)
	}
	d := device{
		code: answer.DeviceCode, prompt: Prompt{URL: address, Code: userCode},
		interval: lifetime(answer.Interval), lifetime: lifetime(answer.ExpiresIn),
	}
	if complete := answer.VerificationURIComplete; complete != "" && c.checkURL(complete) == nil {
		d.prompt.URL = complete
	}
	if d.interval == 0 {
		d.interval = pollInterval
	}
	d.interval = max(d.interval, leastPoll)
	if d.lifetime == 0 {
		d.lifetime = signInTimeout
	}
	return d, nil
}

// poll asks for the tokens until there is a verdict (RFC 8628 §3.4, §3.5). Whatever
// is no verdict, an outage or a lost connection, makes it wait twice as long each time.
func (s *signIn) poll(ctx context.Context, d device) (tokens, error) {
	form := url.Values{"grant_type": {oauth.GrantTypeDeviceCode}, "device_code": {d.code}}
	if s.place.resource != "" {
		form.Set("resource", s.place.resource)
	}
	wait := d.interval
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return tokens{}, fmt.Errorf("wait for the sign-in: %w", context.Cause(ctx))
		}
		t, err := s.c.token(ctx, "sign in by a code", s.record, form)
		switch {
		case err == nil:
			return t, nil
		case is(err, oauth.CodeAuthorizationPending):
			wait = d.interval
		case is(err, oauth.CodeSlowDown):
			d.interval += pollInterval
			wait = d.interval
		case errors.Is(err, errLater):
			s.c.logger.InfoContext(ctx, "not known yet whether the person has signed in", "error", err.Error())
			wait = max(d.interval, min(2*wait, longestPoll))
		case is(err, oauth.CodeExpiredToken):
			return tokens{}, fmt.Errorf("the code was not used in time, begin again: %w", err)
		default:
			return tokens{}, err
		}
	}
}

// grantTypes are those that a registration asks for: that of devices only where
// it is wanted.
func (c *Client) grantTypes() []string {
	types := []string{"authorization_code", "refresh_token"}
	if c.cfg.Way == ByDevice {
		types = append(types, oauth.GrantTypeDeviceCode)
	}
	return types
}

// mayUse reports whether a registration is for the way that was chosen. A server
// that did not say what it registered will say so.
func (c *Client) mayUse(answer registered) bool {
	return c.cfg.Way != ByDevice || len(answer.GrantTypes) == 0 || slices.Contains(answer.GrantTypes, oauth.GrantTypeDeviceCode)
}
