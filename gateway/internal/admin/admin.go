// Package admin is the administration of a gateway: who has access, ending it,
// and keeping people and clients out. Operations does it; Serve offers that on a
// Unix socket beside the database, for the owner of the process alone, and Remote
// asks there. Without a server the same Operations work on the store directly.
//
// It refuses to authenticate: who may open the socket may administer, as who may
// open the database could. It keeps no rule of its own about tokens and sign-ins:
// those are the contract of package store.
package admin

import (
	"context"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
)

// The commands, as typed.
const (
	UsersList      = "users list"
	UsersShow      = "users show"
	UsersRevoke    = "users revoke"
	UsersDisable   = "users disable"
	UsersEnable    = "users enable"
	ClientsList    = "clients list"
	ClientsShow    = "clients show"
	ClientsRevoke  = "clients revoke"
	ClientsDisable = "clients disable"
	ClientsEnable  = "clients enable"
	GrantsList     = "grants list"
	GrantsShow     = "grants show"
	GrantsRevoke   = "grants revoke"
	KeysRotate     = "keys rotate"
)

// Doer does what an administrator asks for: Operations here, Remote elsewhere.
// An error that is an *Error is for the administrator to read.
type Doer interface {
	Do(ctx context.Context, req Request) (Answer, error)
}

// Request is one command.
type Request struct {
	Command string `json:"command"`
	// User is whom users is about, and filters grants list: "tenant/object",
	// an object id or a username.
	User string `json:"user,omitzero"`
	// Client is what clients is about, and filters grants list: a client_id or
	// its fingerprint.
	Client string `json:"client,omitzero"`
	// Grants are the ids for grants show (one) and grants revoke.
	Grants []string `json:"grants,omitzero"`
	// All: grants list has those that are revoked or over too.
	All bool `json:"all,omitzero"`
	// KeyFile is the ring to rotate, an absolute path.
	KeyFile string `json:"key_file,omitzero"`
}

// Answer is what a command found or did: only its own fields are set. Its JSON
// is for programs, so a name once given stays.
type Answer struct {
	User    *User    `json:"user,omitzero"`
	Client  *Client  `json:"client,omitzero"`
	Grant   *Grant   `json:"grant,omitzero"`
	Users   []User   `json:"users,omitzero"`
	Clients []Client `json:"clients,omitzero"`
	Grants  []Grant  `json:"grants,omitzero"`
	// Changed tells whether disabling or enabling made a difference.
	Changed *bool `json:"changed,omitzero"`
	// Revoked are the ids of the grants that this command ended.
	Revoked []string `json:"revoked,omitzero"`
	Key     *Key     `json:"key,omitzero"`
}

// User is a person.
type User struct {
	Tenant     string    `json:"tenant"`
	Object     string    `json:"object"`
	Name       string    `json:"name"`
	Username   string    `json:"username"`
	LiveGrants int       `json:"live_grants"`
	LastSignIn time.Time `json:"last_sign_in,omitzero"`
	DisabledAt time.Time `json:"disabled_at,omitzero"`
	// Seen is false for somebody who is only known as disabled.
	Seen bool `json:"seen"`
}

// Client is a client.
type Client struct {
	ClientID    string    `json:"client_id"`
	Fingerprint string    `json:"fingerprint"`
	Name        string    `json:"name"`
	LiveGrants  int       `json:"live_grants"`
	People      int       `json:"people"`
	LastSignIn  time.Time `json:"last_sign_in,omitzero"`
	DisabledAt  time.Time `json:"disabled_at,omitzero"`
	Seen        bool      `json:"seen"`
}

// States of a grant.
const (
	StateLive    = "live"
	StateExpired = "expired"
	StateRevoked = "revoked"
)

// Grant is one person's permission for one client.
type Grant struct {
	ID                string    `json:"id"`
	State             string    `json:"state"`
	Tenant            string    `json:"tenant"`
	Object            string    `json:"object"`
	Name              string    `json:"name"`
	Username          string    `json:"username"`
	ClientID          string    `json:"client_id"`
	ClientFingerprint string    `json:"client_fingerprint"`
	ClientName        string    `json:"client_name"`
	Scopes            []string  `json:"scopes"`
	Resource          string    `json:"resource"`
	CreatedAt         time.Time `json:"created_at"`
	ExpiresAt         time.Time `json:"expires_at"`
	RevokedAt         time.Time `json:"revoked_at,omitzero"`
	RevokedReason     string    `json:"revoked_reason,omitzero"`
}

// Key is the key that a rotation added.
type Key struct {
	ID   string `json:"id"`
	File string `json:"file"`
	// Seals is from when on it seals.
	Seals time.Time `json:"seals"`
}

func userOf(u store.UserSummary) User {
	return User{
		Tenant: u.Tenant, Object: u.Object, Name: u.Name, Username: u.Username, LiveGrants: u.LiveGrants,
		LastSignIn: u.LastSignIn, DisabledAt: u.DisabledAt, Seen: !u.LastSignIn.IsZero(),
	}
}

func clientOf(c store.ClientSummary) Client {
	return Client{
		ClientID: c.ClientID, Fingerprint: client.Fingerprint(c.ClientID), Name: c.Name, LiveGrants: c.LiveGrants,
		People: c.People, LastSignIn: c.LastSignIn, DisabledAt: c.DisabledAt, Seen: !c.LastSignIn.IsZero(),
	}
}

func grantOf(g store.Grant, now time.Time) Grant {
	state := StateLive
	switch {
	case !g.RevokedAt.IsZero():
		state = StateRevoked
	case !now.Before(g.ExpiresAt):
		state = StateExpired
	}
	return Grant{
		ID: g.ID, State: state, Tenant: g.Identity.Tenant, Object: g.Identity.Object, Name: g.Identity.Name,
		Username: g.Identity.Username, ClientID: g.ClientID, ClientFingerprint: client.Fingerprint(g.ClientID),
		ClientName: g.ClientName, Scopes: append([]string{}, g.Scopes...), Resource: g.Resource,
		CreatedAt: g.CreatedAt, ExpiresAt: g.ExpiresAt, RevokedAt: g.RevokedAt, RevokedReason: g.RevokedReason,
	}
}
