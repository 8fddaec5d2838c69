package admin

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
)

// guid is how Microsoft writes the ids of directories and people.
var guid = regexp.MustCompile(`^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`)

// user finds the person that an administrator names. unseen: somebody who never
// signed in will do, if named in full.
func (o *Operations) user(ctx context.Context, who string, unseen bool, now time.Time) (User, error) {
	if who == "" {
		return User{}, &Error{Code: CodeInvalid, Message: "no user is named"}
	}
	users, err := o.cfg.Store.Users(ctx, now)
	if err != nil {
		return User{}, err
	}
	lower := strings.ToLower(who)
	tenant, object, full := strings.Cut(lower, "/")
	var found []User
	for _, u := range users {
		if full && u.Tenant == tenant && u.Object == object ||
			!full && (u.Object == lower || strings.EqualFold(u.Username, who)) {
			found = append(found, userOf(u))
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		names := make([]string, len(found))
		for i, u := range found {
			names[i] = fmt.Sprintf("%s/%s (%s)", u.Tenant, u.Object, u.Username)
		}
		return User{}, &Error{Code: CodeAmbiguous, Message: fmt.Sprintf("%q is more than one user; name one in full:\n    %s", who, strings.Join(names, "\n    "))}
	case unseen && full && guid.MatchString(tenant) && guid.MatchString(object):
		return User{Tenant: tenant, Object: object}, nil
	}
	return User{}, &Error{Code: CodeUnknown, Message: fmt.Sprintf("there is no user %q; see who there is: mcp-gateway users list\n"+
		"    somebody who never signed in is named by TENANT/OBJECT, the two ids in full", who)}
}

// fingerprint is what client.Fingerprint gives.
var fingerprint = regexp.MustCompile(`^[0-9a-f]{8}$`)

// client finds the client that an administrator names, as user does.
func (o *Operations) client(ctx context.Context, which string, unseen bool, now time.Time) (Client, error) {
	if which == "" {
		return Client{}, &Error{Code: CodeInvalid, Message: "no client is named"}
	}
	clients, err := o.cfg.Store.Clients(ctx, now)
	if err != nil {
		return Client{}, err
	}
	found := pickClients(clients, which)
	short := fingerprint.MatchString(strings.ToLower(which))
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		ids := make([]string, len(found))
		for i, c := range found {
			ids[i] = fmt.Sprintf("%s (%s)", c.ClientID, c.Name)
		}
		return Client{}, &Error{Code: CodeAmbiguous, Message: fmt.Sprintf("%s is the fingerprint of more than one client; name one by its client_id:\n    %s", which, strings.Join(ids, "\n    "))}
	case unseen && !short:
		// A client_id can be any text: whoever typed it is told that it is new.
		return Client{ClientID: which, Fingerprint: client.Fingerprint(which)}, nil
	}
	return Client{}, &Error{Code: CodeUnknown, Message: fmt.Sprintf("there is no client %q; see which there are: mcp-gateway clients list\n"+
		"    one that nobody signed in with is named by its client_id in full", which)}
}

// pickClients prefers the client_id: a fingerprint could be one.
func pickClients(clients []store.ClientSummary, which string) (found []Client) {
	for _, c := range clients {
		if c.ClientID == which {
			return []Client{clientOf(c)}
		}
		if client.Fingerprint(c.ClientID) == strings.ToLower(which) {
			found = append(found, clientOf(c))
		}
	}
	return found
}
