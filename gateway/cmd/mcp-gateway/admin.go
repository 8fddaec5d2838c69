package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/config"
)

// adminWords are what each command can do, in the order of its help page.
var adminWords = map[string][]string{
	"users":   {"list", "show", "revoke", "disable", "enable"},
	"clients": {"list", "show", "revoke", "disable", "enable"},
	"grants":  {"list", "show", "revoke"},
}

// adminSubjects are what the words behind a verb stand for.
var adminSubjects = map[string]string{"users": "one USER", "clients": "one CLIENT", "grants": "one grant ID"}

// adminOptions are those of users, clients and grants.
type adminOptions struct {
	config string
	json   bool
	// user, client and all are those of grants list.
	user, client string
	all          bool
}

func (o *adminOptions) flags(noun string) *flag.FlagSet {
	flags := newFlags()
	flags.StringVar(&o.config, "config", "", "")
	flags.BoolVar(&o.json, "json", false, "")
	if noun == "grants" {
		flags.StringVar(&o.user, "user", "", "")
		flags.StringVar(&o.client, "client", "", "")
		flags.BoolVar(&o.all, "all", false, "")
	}
	return flags
}

// runAdmin does what users, clients and grants are told.
func (c *command) runAdmin(ctx context.Context, noun string, args []string) error {
	var o adminOptions
	words, err := c.parseAround(noun, o.flags(noun), args)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return usageError{noun + " needs to be told what to do: " + noun + " list --config FILE", noun}
	}
	if !slices.Contains(adminWords[noun], words[0]) {
		return noCommand(words[0], adminWords[noun], noun+" ")
	}
	req, err := adminRequest(noun, words[0], words[1:], o)
	if err != nil {
		return err
	}
	if o.config == "" {
		return usageError{noun + " " + words[0] + " needs --config FILE", noun}
	}
	state, err := loadState(o.config)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	answer, err := c.administer(ctx, state.StateDir, logger, req)
	if err != nil {
		return err
	}
	if o.json {
		return c.answerJSON(answer)
	}
	return c.show(req, answer, time.Now())
}

// adminRequest checks that a verb has what it is about, and nothing else.
func adminRequest(noun, verb string, subjects []string, o adminOptions) (admin.Request, error) {
	command := noun + " " + verb
	req := admin.Request{Command: command, User: o.user, Client: o.client, All: o.all}
	empty := slices.Contains(subjects, "")
	switch {
	case verb == "list" && len(subjects) > 0:
		return req, usageError{fmt.Sprintf("%s does not take %q", command, subjects[0]), noun}
	case verb == "list":
		return req, nil
	case o.user != "" || o.client != "" || o.all:
		return req, usageError{"--user, --client and --all are for grants list", noun}
	case command == admin.GrantsRevoke && (len(subjects) == 0 || empty):
		return req, usageError{command + " needs the IDs of grants", noun}
	case command != admin.GrantsRevoke && (len(subjects) != 1 || empty):
		return req, usageError{command + " needs " + adminSubjects[noun], noun}
	}
	switch noun {
	case "users":
		req.User = subjects[0]
	case "clients":
		req.Client = subjects[0]
	default:
		req.Grants = subjects
	}
	return req, nil
}

// parseAround reads options before, between and behind words, and returns the
// words.
func (c *command) parseAround(name string, flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := c.parse(name, flags, args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
}

// loadState reads where a gateway keeps its state.
func loadState(file string) (config.State, error) {
	data, err := readFile(file)
	if err != nil {
		return config.State{}, err
	}
	return config.LoadState(config.Source{File: file, Data: data})
}

// answerJSON writes one document.
func (c *command) answerJSON(answer admin.Answer) error {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(answer); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return c.answer(escaped(text.String()))
}

// escaped is JSON with what plain would replace in the spelling of JSON: the
// same document, whatever shows it.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			_, _ = fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// show writes an answer for a person: what was asked for on standard output,
// what was done on standard error, with the ids of ended grants as the answer.
func (c *command) show(req admin.Request, a admin.Answer, now time.Time) error {
	var t table
	switch req.Command {
	case admin.UsersList:
		t.users(a.Users, now)
	case admin.ClientsList:
		t.clients(a.Clients, now)
	case admin.GrantsList:
		t.grants(a.Grants, now)
	case admin.UsersShow:
		t.user(*a.User, now)
		t.grants(a.Grants, now)
	case admin.ClientsShow:
		t.client(*a.Client, now)
		t.grants(a.Grants, now)
	case admin.GrantsShow:
		t.grant(*a.Grant, now)
	default:
		c.sayChanged(req, a)
		for _, id := range a.Revoked {
			t.row(id)
		}
	}
	text, err := t.String()
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return c.answer(text)
}

// sayChanged tells what a command did.
func (c *command) sayChanged(req admin.Request, a admin.Answer) {
	subject, seen := "", true
	switch {
	case a.User != nil:
		subject, seen = "user "+userName(*a.User), a.User.Seen
	case a.Client != nil:
		subject, seen = "client "+clientName(*a.Client), a.Client.Seen
	}
	_, verb, _ := strings.Cut(req.Command, " ")
	if a.Changed != nil && *a.Changed {
		c.say("%s is now %sd", subject, verb)
	} else if a.Changed != nil {
		c.say("%s is %sd already", subject, verb)
	}
	switch {
	case verb == "enable":
		return
	case verb == "disable" && *a.Changed && !seen:
		c.say("nobody signed in under this id so far: check that it is right")
	}
	grants := "grants"
	if len(a.Revoked) == 1 {
		grants = "grant"
	}
	if subject != "" {
		subject = " of " + subject
	}
	c.say("%d %s%s ended, with all tokens", len(a.Revoked), grants, subject)
}
