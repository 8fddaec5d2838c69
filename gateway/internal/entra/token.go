package entra

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"

	"mcp-gateway/gateway/internal/store"
)

const (
	// expLeeway and nbfLeeway allow for clocks that differ (RFC 7519 §4.1.4,
	// "some small leeway, usually no more than a few minutes").
	expLeeway = 2 * time.Minute
	nbfLeeway = 5 * time.Minute
	// maxEntries of a list in a token. Microsoft puts at most 200 groups in one.
	maxEntries = 1000
	// maxText of a display name in characters, of a role in bytes.
	maxText = 256
)

// verify checks the ID token as OpenID Connect Core §3.1.3.7 and Microsoft's
// rules for claims ask, and reads who it is about. accept has the last word about
// the token, and admit about the person.
func (p *Provider) verify(ctx context.Context, at endpoints, raw string, now time.Time, accept func(who store.Identity, nonce string) error) (SignIn, error) {
	keys := &tokenKeys{p: p, at: at, now: now}
	token, err := oidc.NewVerifier(at.issuer, keys, &oidc.Config{
		ClientID: p.clientID, SupportedSigningAlgs: []string{oidc.RS256},
		// It has one clock for both ends of the lifetime and no leeway at
		// exp; checkTimes has. It knows one issuer; checkParties knows many.
		SkipExpiryCheck: true, SkipIssuerCheck: true,
	}).Verify(ctx, raw)
	if keys.err != nil {
		return SignIn{}, keys.err
	}
	if err != nil {
		return SignIn{}, misconfigured(codeToken, err)
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return SignIn{}, misconfigured(codeToken, err)
	}
	who := c.identity(token.Issuer)
	if err := errors.Join(p.checkParties(token, c, at), checkTimes(token.Expiry, c.NotBefore, now), accept(who, token.Nonce)); err != nil {
		return SignIn{}, misconfigured(codeToken, err)
	}
	if err := p.admit(who, c); err != nil {
		return SignIn{}, err
	}
	return SignIn{Identity: who, Session: c.session()}, nil
}

// claims are those of a v2.0 ID token that count here.
type claims struct {
	Tenant          string  `json:"tid"`
	Object          string  `json:"oid"`
	Version         string  `json:"ver"`
	AuthorizedParty string  `json:"azp"`
	NotBefore       float64 `json:"nbf"`

	Name             string   `json:"name"`
	Username         string   `json:"preferred_username"`
	IdentityProvider string   `json:"idp"`
	Roles            []string `json:"roles"`
	Groups           []string `json:"groups"`
	// Session is opaque, and nobody is kept out for it.
	Session json.RawMessage `json:"sid"`
	// Account is 1 for a guest and 0 for a member, as a number or as a string; it is
	// there only if the registration asks for it.
	Account json.RawMessage `json:"acct"`
	// HasGroups and ClaimNames say that the groups are too many to list.
	HasGroups  json.RawMessage            `json:"hasgroups"`
	ClaimNames map[string]json.RawMessage `json:"_claim_names"`
}

// checkParties: who issued it, for whom, about whom. go-oidc has looked for the
// client in aud.
func (p *Provider) checkParties(token *oidc.IDToken, c claims, at endpoints) error {
	switch {
	case !isGUID(c.Tenant) || at.tenant != templateTenant && c.Tenant != at.tenant:
		return fmt.Errorf("the token is of tenant %q and not %q", c.Tenant, at.tenant)
	case token.Issuer != issuerOf(at.issuer, c.Tenant):
		return fmt.Errorf("the token was issued by %q and not by %q", token.Issuer, issuerOf(at.issuer, c.Tenant))
	case len(token.Audience) != 1:
		// "MUST be rejected … if it contains additional audiences not trusted".
		return fmt.Errorf("the token has %d audiences", len(token.Audience))
	case c.AuthorizedParty != "" && c.AuthorizedParty != p.clientID:
		return fmt.Errorf("the token was issued to %q (azp)", c.AuthorizedParty)
	case c.Version != "2.0":
		return fmt.Errorf("the token is of version %q and not 2.0", c.Version)
	case !isGUID(strings.ToLower(c.Object)):
		return fmt.Errorf("the token's object id (oid) is %q", c.Object)
	}
	return nil
}

// checkTimes: a token is not accepted "on or after" exp and not "before" nbf
// (RFC 7519 §4.1.4, §4.1.5). A token without exp has expired.
func checkTimes(exp time.Time, nbf float64, now time.Time) error {
	if !now.Before(exp.Add(expLeeway)) {
		return fmt.Errorf("the token expired at %s and it is %s", exp.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if nbf > float64(now.Add(nbfLeeway).Unix()) {
		return fmt.Errorf("the token is not valid before %.0f and it is %d", nbf, now.Unix())
	}
	return nil
}

// checkNonce ties the token to this sign-in (OpenID Connect Core §15.5.2).
func checkNonce(got, want string) error {
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return errors.New("the token's nonce is not the one of this sign-in")
	}
	return nil
}

func (c claims) identity(issuer string) store.Identity {
	who := store.Identity{
		Tenant: c.Tenant, Object: strings.ToLower(c.Object),
		Name: display(c.Name), Username: display(c.Username),
		Guest: c.isGuest(issuer),
	}
	// What is left out can only ever have allowed something.
	for _, role := range c.Roles {
		if role != "" && len(role) <= maxText && len(who.Roles) < maxEntries {
			who.Roles = append(who.Roles, role)
		}
	}
	if c.groupsUnknown() {
		who.GroupsUnknown = true
		return who
	}
	for _, group := range c.Groups {
		// A registration can be set to send names, which anybody who may
		// create a group could take: only ids count.
		if group = strings.ToLower(group); isGUID(group) {
			who.Groups = append(who.Groups, group)
		}
	}
	return who
}

// session is empty also if it cannot be one of Microsoft's, which are GUIDs.
func (c claims) session() string {
	var id string
	if json.Unmarshal(c.Session, &id) != nil || len(id) > MaxSession {
		return ""
	}
	return id
}

// groupsUnknown: above its limit Microsoft sends a reference in place of the
// groups (DESIGN D7: then a rule about groups denies).
func (c claims) groupsUnknown() bool {
	_, elsewhere := c.ClaimNames["groups"]
	return elsewhere || isTrue(c.HasGroups) || len(c.Groups) > maxEntries
}

// isTrue reads a flag that is usually a boolean: all but an explicit no is yes.
func isTrue(flag json.RawMessage) bool {
	switch strings.Trim(string(flag), `"`) {
	case "", "null", "false", "0":
		return false
	}
	return true
}

// display makes a name safe to show: no control characters, none that turn
// the direction of the text around them, and not too long.
func display(name string) string {
	kept := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, name))
	return strings.TrimSpace(string(kept[:min(len(kept), maxText)]))
}
