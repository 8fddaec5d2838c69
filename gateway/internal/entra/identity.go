package entra

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"mcp-gateway/gateway/internal/store"
)

const (
	// leeway is by how much our clock may be ahead of Microsoft's.
	leeway = 2 * time.Minute
	// maxList bounds roles and groups: more do not fit into a token.
	maxList = 1000
	// maxName bounds a name for display, in runes.
	maxName = 256
)

// claims are what is read of an ID token (v2.0).
type claims struct {
	Nonce    string `json:"nonce"`
	Version  string `json:"ver"`
	Tenant   string `json:"tid"`
	Object   string `json:"oid"`
	Name     string `json:"name"`
	Username string `json:"preferred_username"`
	// IDP is the home of a guest; Acct is 1 for guests, as number or text.
	IDP    string          `json:"idp"`
	Acct   json.RawMessage `json:"acct"`
	Roles  []string        `json:"roles"`
	Groups []string        `json:"groups"`
	// HasGroups and ClaimNames mark an overage: too many groups to list.
	HasGroups  bool                       `json:"hasgroups"`
	ClaimNames map[string]json.RawMessage `json:"_claim_names"`
}

// Exchange redeems the code that Microsoft sent back and returns who signed
// in. The error is an *Error.
func (p *Provider) Exchange(ctx context.Context, code string, req AuthRequest, now time.Time) (store.Identity, error) {
	start := time.Now()
	id, err := p.exchange(ctx, code, req, now)
	attrs := []slog.Attr{slog.String("grant_type", "authorization_code"), slog.Duration("took", time.Since(start))}
	if e, ok := errors.AsType[*Error](err); ok {
		attrs = append(attrs, slog.Int("aadsts", e.AADSTS), slog.String("trace_id", e.TraceID), slog.String("outcome", e.Code))
	} else {
		attrs = append(attrs, slog.String("outcome", "ok"))
	}
	p.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "microsoft token request", attrs...)
	return id, err
}

func (p *Provider) exchange(ctx context.Context, code string, req AuthRequest, now time.Time) (store.Identity, error) {
	if code == "" {
		return store.Identity{}, misconfigured(errors.New("the callback has neither a code nor an error"))
	}
	doc, err := p.discovery.get(ctx, now)
	if err != nil {
		return store.Identity{}, err
	}
	tok, err := p.oauth(doc).Exchange(context.WithValue(ctx, oauth2.HTTPClient, p.http), code, oauth2.VerifierOption(req.Verifier))
	if failure, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return store.Identity{}, fromTokenError(failure.Response.StatusCode, failure.Body, errors.New("token request refused"))
	}
	if err != nil {
		// Anything else is transport or an unreadable answer. The cause
		// may quote the answer, so it is not kept.
		return store.Identity{}, unavailable(errors.New("token request failed: " + kindOf(err)))
	}
	raw, ok := tok.Extra("id_token").(string)
	if !ok {
		return store.Identity{}, misconfigured(errors.New("the token answer has no id_token"))
	}
	return p.verify(ctx, doc, raw, req.Nonce, now)
}

// kindOf says what kind of error it is without quoting anything of an answer.
func kindOf(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	case errors.Is(err, context.Canceled):
		return "the browser went away"
	default:
		return fmt.Sprintf("%T", errors.Unwrap(err))
	}
}

// verify checks an ID token as OpenID Connect Core §3.1.3.7 and Microsoft's
// claims validation ask, and returns the identity in it.
func (p *Provider) verify(ctx context.Context, doc document, raw, nonce string, now time.Time) (store.Identity, error) {
	bad := func(err error) (store.Identity, error) {
		return store.Identity{}, misconfigured(fmt.Errorf("id token: %w", err))
	}
	keys := &verifier{keys: p.keys, url: doc.KeysURL, now: now}
	v := oidc.NewVerifier(doc.Issuer, keys, &oidc.Config{
		ClientID: p.cfg.ClientID, SupportedSigningAlgs: []string{oidc.RS256},
		// go-oidc allows nbf five minutes and exp none; both get leeway.
		Now: func() time.Time { return now.Add(-leeway) },
	})
	token, err := v.Verify(ctx, raw)
	if keys.unavailable != nil {
		return store.Identity{}, keys.unavailable
	}
	if err != nil {
		return bad(err)
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return bad(errors.New("the claims are malformed"))
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(nonce)) != 1:
		return bad(errors.New("the nonce is not the one of this sign-in"))
	case c.Version != "2.0":
		return bad(errors.New("it is not of version 2.0"))
	case c.Tenant != doc.tenant:
		return bad(errors.New("it is of another tenant"))
	case !guidShape.MatchString(c.Object):
		return bad(errors.New("it has no oid: the scope profile is missing"))
	}
	return c.identity(token.Issuer), nil
}

func (c claims) identity(issuer string) store.Identity {
	id := store.Identity{
		Tenant: c.Tenant, Object: c.Object, Name: readable(c.Name), Username: readable(c.Username),
		Roles: c.Roles[:min(len(c.Roles), maxList)], Groups: c.Groups,
		Guest: strings.Trim(string(c.Acct), `"`) == "1" || c.IDP != "" && c.IDP != issuer,
	}
	_, overage := c.ClaimNames["groups"]
	if overage || c.HasGroups || len(c.Groups) > maxList {
		id.Groups, id.GroupsUnknown = nil, true
	}
	return id
}

// readable makes a name fit to be shown and logged.
func readable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxName {
		return string(r[:maxName])
	}
	return s
}
