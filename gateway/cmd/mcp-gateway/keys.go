package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/keyring"
)

// keyWords are what keys can do.
var keyWords = []string{"init", "list", "rotate"}

func (c *command) runKeys(ctx context.Context, args []string) error {
	flags := newFlags()
	file := flags.String("config", "", "")
	if err := c.parse("keys", flags, args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return usageError{"keys needs to be told what to do: keys init FILE", "keys"}
	}
	word := flags.Arg(0)
	if !slices.Contains(keyWords, word) {
		return noCommand(word, keyWords, "keys ")
	}
	// Again, for an option or --help behind the word.
	if err := c.parse("keys", flags, flags.Args()[1:]); err != nil {
		return err
	}
	state, err := c.ring(word, *file, flags.Args())
	if err != nil {
		return err
	}
	switch path, now := state.KeyFile, time.Now(); word {
	case "list":
		return c.listKeys(path, now)
	case "rotate":
		return c.rotateKeys(ctx, state, now)
	default:
		if err := keyring.Create(path, now); err != nil {
			return err
		}
		c.say("wrote %s; keep a copy in a safe place", path)
		return nil
	}
}

// ring finds the key ring that is meant, and the folder of the gateway that uses
// it: the one the configuration names, or for a FILE its own.
func (c *command) ring(word, file string, rest []string) (config.State, error) {
	switch {
	case file != "" && len(rest) == 0:
		return loadState(file)
	case file == "" && len(rest) == 1 && rest[0] != "":
		return config.State{KeyFile: rest[0], StateDir: filepath.Dir(rest[0])}, nil
	}
	return config.State{}, usageError{"keys " + word + " needs the name of one file", "keys"}
}

// rotateKeys has the gateway that uses the ring rotate it, which then knows the
// new key at once, and does it itself if none answers.
func (c *command) rotateKeys(ctx context.Context, state config.State, now time.Time) error {
	path, err := filepath.Abs(state.KeyFile)
	if err != nil {
		return err
	}
	answer, err := admin.NewRemote(state.StateDir).Do(ctx, admin.Request{Command: admin.KeysRotate, KeyFile: path})
	told, refused := errors.AsType[*admin.Error](err)
	switch {
	case err == nil:
		c.say("the gateway added key %s to %s and knows it; it seals with it from %s on. The older keys stay, for what they sealed. Renew your copy of the file",
			answer.Key.ID, state.KeyFile, answer.Key.Seals.Local().Format(time.TimeOnly))
		return nil
	case !errors.Is(err, admin.ErrNoServer) && !(refused && told.Code == admin.CodeOtherRing):
		return err
	}
	key, err := keyring.Rotate(state.KeyFile, now)
	if err != nil {
		return err
	}
	c.say("added key %s to %s; gateways that use the file seal with it from %s on. The older keys stay, for what they sealed. Renew your copy of the file",
		key.ID, state.KeyFile, key.Seals.Local().Format(time.TimeOnly))
	return nil
}

// listKeys shows a ring without its keys.
func (c *command) listKeys(path string, now time.Time) error {
	list, err := keyring.List(path, now)
	if err != nil {
		return err
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KEY\tCREATED\tUSE")
	for _, key := range list {
		use := "opens"
		switch {
		case key.Sealing:
			use = "seals and opens"
		case key.Seals.After(now):
			use = "opens, seals from " + key.Seals.Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", key.ID, key.Created.Format(time.RFC3339), use)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return c.answer(text.String())
}
