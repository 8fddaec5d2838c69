package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/bridge/internal/oauth"
)

// runLogin signs in, so that the bridges of this person are.
func (c *command) runLogin(ctx context.Context, args []string) error {
	o, err := c.parse("login", args, false)
	if err != nil {
		return err
	}
	if o.tokenStore == string(keychain.KindMemory) {
		return usageError{"login --token-store memory would forget the sign-in at once", "login"}
	}
	auth, err := c.typed(o, o.server, o.account)
	if err != nil {
		return err
	}
	if err := auth.SignIn(ctx); err != nil {
		if errors.Is(err, oauth.ErrNotNeeded) {
			return c.answer(o.server + " needs no sign-in.\n")
		}
		return err
	}
	status, err := auth.Status(ctx)
	if err != nil {
		return err
	}
	return c.answer("Signed in to " + describe(status))
}

// runLogout ends a sign-in, here and at the server.
func (c *command) runLogout(ctx context.Context, args []string) error {
	o, err := c.parse("logout", args, false)
	if err != nil {
		return err
	}
	auth, err := c.typed(o, o.server, o.account)
	if err != nil {
		return err
	}
	revoked, err := auth.SignOut(ctx, o.forgetClient)
	if err != nil {
		return err
	}
	if !revoked {
		return c.answer("Signed out of " + o.server + " on this machine. There was nothing to end at the server, or it offers no way to.\n")
	}
	return c.answer("Signed out of " + o.server + ", here and at the server.\n")
}

// report is the answer of status --json.
type report struct {
	TokenStore tokenStore     `json:"token_store"`
	SignIns    []oauth.Status `json:"sign_ins"`
}

// tokenStore says where tokens are kept, and why they cannot be.
type tokenStore struct {
	Kind    string `json:"kind"`
	Where   string `json:"where"`
	Problem string `json:"problem,omitempty"`
}

// runStatus shows one sign-in, or all.
func (c *command) runStatus(ctx context.Context, args []string) error {
	o, err := c.parse("status", args, true)
	if err != nil {
		return err
	}
	store, err := c.store(o, keychainTimeTyped, c.logger(o))
	if err != nil {
		return err
	}
	r := report{TokenStore: tokenStore{Kind: o.tokenStore, Where: store.Where()}, SignIns: []oauth.Status{}}
	problem := store.Check(ctx)
	keys := []keychain.Key{{Server: o.server, Account: o.account}}
	if problem == nil && o.server == "" {
		keys, problem = store.List(ctx) // those that can be read are shown
		o.allowHTTP = true              // nothing is sent, and what is stored was once allowed
	}
	if problem != nil {
		r.TokenStore.Problem = problem.Error()
	}
	for _, key := range keys {
		if key.Server == "" || errors.Is(problem, keychain.ErrLocked) || o.account != "" && key.Account != o.account {
			continue
		}
		auth, err := c.typed(o, key.Server, key.Account)
		if err != nil {
			return err
		}
		status, err := auth.Status(ctx)
		if err != nil {
			return err
		}
		r.SignIns = append(r.SignIns, status)
	}
	if err := c.showStatus(o, r); err != nil {
		return err
	}
	if problem != nil || o.server != "" && !r.SignIns[0].SignedIn {
		return errSaid
	}
	return nil
}

// showStatus prints what was found.
func (c *command) showStatus(o *options, r report) error {
	if o.json {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return fmt.Errorf("write the status: %w", err)
		}
		return c.answer(string(data) + "\n")
	}
	var text strings.Builder
	for _, status := range r.SignIns {
		text.WriteString(describe(status) + "\n")
	}
	if len(r.SignIns) == 0 {
		text.WriteString("No sign-in is known.\n\n")
	}
	text.WriteString("Tokens are kept in: " + r.TokenStore.Where + "\n")
	if r.TokenStore.Problem != "" {
		text.WriteString("It cannot be used: " + r.TokenStore.Problem + "\n")
	}
	return c.answer(text.String())
}

// describe shows one sign-in to a person.
func describe(s oauth.Status) string {
	var text strings.Builder
	line := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(&text, "    %-12s %s\n", name, value)
		}
	}
	text.WriteString(s.Server + "\n")
	line("account", s.Account)
	switch {
	case !s.SignedIn:
		line("state", "not signed in; run: mcp-bridge login "+s.Server)
	case s.HasRefreshToken:
		line("state", "signed in, renewed by itself")
	default:
		line("state", "signed in")
	}
	line("person", s.Subject)
	line("issuer", s.Issuer)
	line("client", s.ClientID)
	line("scopes", strings.Join(s.Scopes, " "))
	if s.SignedIn && !s.ExpiresAt.IsZero() {
		line("token until", s.ExpiresAt.Local().Format(time.DateTime))
	}
	return text.String()
}

// typed is the OAuth client of a command that a person typed.
func (c *command) typed(o *options, server, account string) (*oauth.Client, error) {
	// The person reads what the command says; the log has what went wrong.
	quiet := *o
	quiet.logLevel = max(o.logLevel, slog.LevelWarn)
	if o.logLevel < slog.LevelInfo {
		quiet.logLevel = o.logLevel
	}
	logger := c.logger(&quiet)
	store, err := c.store(o, keychainTimeTyped, logger)
	if err != nil {
		return nil, err
	}
	return c.auth(o, keychain.Key{Server: server, Account: account}, store, c.tell(o), c.paste, logger)
}
