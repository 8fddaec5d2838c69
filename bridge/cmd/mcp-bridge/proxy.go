package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"mcp-gateway/bridge/internal/browser"
	"mcp-gateway/bridge/internal/host"
	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/relay"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/buildinfo"
)

// How long the keychain of the system may take: it may ask the person, who is
// there when they typed a command.
const (
	keychainTime      = 3 * time.Second
	keychainTimeTyped = time.Minute
)

// runProxy is the bridge itself: stdin and stdout are the host's.
func (c *command) runProxy(ctx context.Context, args []string) error {
	o, err := c.parse("", args, false)
	if err != nil {
		return err
	}
	logger := c.logger(o)
	store, err := c.store(o, keychainTime, logger)
	if err != nil {
		return err
	}
	key := keychain.Key{Server: o.server, Account: o.account}
	auth, err := c.auth(o, key, store, c.opener(o), nil, logger)
	if err != nil {
		return err
	}
	conn := remote.New(remote.Config{
		URL: o.server, HTTP: &http.Client{Transport: o.network}, Auth: auth,
		UserAgent: "mcp-bridge/" + buildinfo.Version(), Logger: logger,
	})
	return relay.New(relay.Config{
		Host: host.New(c.stdin, c.stdout), Remote: conn, Auth: auth, Server: o.server, Version: buildinfo.Version(),
		Remembered: store.Cache(key), Remember: func(data []byte) { store.SetCache(key, data) }, Logger: logger,
	}).Run(ctx)
}

// logger writes to stderr, which hosts show or keep.
func (c *command) logger(o *options) *slog.Logger {
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: o.logLevel}))
}

// store opens the place of the tokens.
func (c *command) store(o *options, timeout time.Duration, logger *slog.Logger) (*keychain.Store, error) {
	return keychain.Open(keychain.Options{
		Kind: keychain.Kind(o.tokenStore), Timeout: timeout,
		SessionBus: c.getenv("DBUS_SESSION_BUS_ADDRESS"), Logger: logger,
	})
}

// show shows a person what they need to sign in.
type show = func(context.Context, oauth.Prompt) error

// opener opens a browser, unless the person does not want one, or has it elsewhere.
func (c *command) opener(o *options) show {
	switch {
	case o.way == oauth.ByDevice, o.way == oauth.ByPaste:
		return func(context.Context, oauth.Prompt) error { return nil }
	case o.noBrowser:
		return func(context.Context, oauth.Prompt) error { return browser.ErrNoBrowser }
	}
	return func(ctx context.Context, p oauth.Prompt) error { return c.open(ctx, p.URL) }
}

// auth is the OAuth client for one server and account.
func (c *command) auth(o *options, key keychain.Key, store *keychain.Store, open show, paste paste, logger *slog.Logger) (*oauth.Client, error) {
	dir, err := keychain.DefaultDir()
	if err != nil {
		return nil, err
	}
	auth, err := oauth.New(oauth.Config{
		Server: key.Server, Account: key.Account,
		ClientID: o.clientID, ClientSecret: o.clientSecret, ClientMetadataURL: o.metadataURL,
		Scopes: o.scopes, Resource: o.resource,
		Store: store, Dir: dir, HTTP: &http.Client{Transport: o.network}, Way: o.way, Open: open, Paste: paste,
		AllowHTTP: o.allowHTTP, Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the sign-in to %s: %w", key.Server, err)
	}
	return auth, nil
}
