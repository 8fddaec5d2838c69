package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
)

// adminStore is what this package needs of the store: all that the contract says
// of administrators, because administering is all that it does.
type adminStore interface {
	Users(ctx context.Context, now time.Time) ([]store.UserSummary, error)
	Clients(ctx context.Context, now time.Time) ([]store.ClientSummary, error)
	Grants(ctx context.Context, f store.GrantFilter, now time.Time) ([]store.Grant, error)
	GrantByID(ctx context.Context, grantID string) (store.Grant, error)
	RevokeGrants(ctx context.Context, f store.GrantFilter, reason string, now time.Time) ([]string, error)
	DisableUser(ctx context.Context, tenant, object string, now time.Time) ([]string, error)
	EnableUser(ctx context.Context, tenant, object string) error
	DisableClient(ctx context.Context, clientID string, now time.Time) ([]string, error)
	EnableClient(ctx context.Context, clientID string) error
}

type auditor interface {
	AppendAll(ctx context.Context, events []store.Event) error
}

type ring interface {
	Rotate(now time.Time) (keyring.Key, error)
	Path() string
}

// Config is what Operations are made of.
type Config struct {
	Store adminStore
	Audit auditor
	// Forget makes a revocation bite at once in this process: token.Service's.
	// Nil where no tokens are verified.
	Forget func(grantIDs ...string)
	// Ring is the key ring of the gateway; nil where none runs.
	Ring ring
}

// Operations do what an administrator asks for.
type Operations struct{ cfg Config }

// NewOperations returns Operations.
func NewOperations(cfg Config) *Operations { return &Operations{cfg: cfg} }

// call is one request with who asks and when.
type call struct {
	Request
	operator string
	now      time.Time
}

// operations are the commands. What changes something writes it down (see done).
var operations = map[string]func(*Operations, context.Context, call) (Answer, error){
	UsersList:      (*Operations).usersList,
	UsersShow:      (*Operations).usersShow,
	UsersRevoke:    (*Operations).usersRevoke,
	UsersDisable:   (*Operations).usersDisable,
	UsersEnable:    (*Operations).usersEnable,
	ClientsList:    (*Operations).clientsList,
	ClientsShow:    (*Operations).clientsShow,
	ClientsRevoke:  (*Operations).clientsRevoke,
	ClientsDisable: (*Operations).clientsDisable,
	ClientsEnable:  (*Operations).clientsEnable,
	GrantsList:     (*Operations).grantsList,
	GrantsShow:     (*Operations).grantsShow,
	GrantsRevoke:   (*Operations).grantsRevoke,
	KeysRotate:     (*Operations).keysRotate,
}

// Do does what req asks, for an operator: "uid 1000", for the audit trail. Every
// error is an *Error.
func (o *Operations) Do(ctx context.Context, operator string, req Request, now time.Time) (Answer, error) {
	do, ok := operations[req.Command]
	if !ok {
		return Answer{}, &Error{Code: CodeInvalid, Message: fmt.Sprintf("the gateway knows no command %q; is it of another version?", req.Command)}
	}
	answer, err := do(o, ctx, call{Request: req, operator: operator, now: now})
	if err != nil {
		return Answer{}, unavailable(err)
	}
	return answer, nil
}

// As is a Doer for one operator.
func (o *Operations) As(operator string) Doer { return local{o, operator} }

type local struct {
	*Operations
	operator string
}

func (l local) Do(ctx context.Context, req Request) (Answer, error) {
	return l.Operations.Do(ctx, l.operator, req, time.Now())
}

func (o *Operations) usersList(ctx context.Context, c call) (Answer, error) {
	users, err := o.cfg.Store.Users(ctx, c.now)
	list := make([]User, len(users))
	for i, u := range users {
		list[i] = userOf(u)
	}
	return Answer{Users: list}, err
}

func (o *Operations) clientsList(ctx context.Context, c call) (Answer, error) {
	clients, err := o.cfg.Store.Clients(ctx, c.now)
	list := make([]Client, len(clients))
	for i, one := range clients {
		list[i] = clientOf(one)
	}
	return Answer{Clients: list}, err
}

func (o *Operations) usersShow(ctx context.Context, c call) (Answer, error) {
	u, err := o.user(ctx, c.User, false, c.now)
	if err != nil {
		return Answer{}, err
	}
	grants, err := o.grants(ctx, store.GrantFilter{Tenant: u.Tenant, Object: u.Object, All: true}, c.now)
	return Answer{User: &u, Grants: grants}, err
}

func (o *Operations) clientsShow(ctx context.Context, c call) (Answer, error) {
	one, err := o.client(ctx, c.Client, false, c.now)
	if err != nil {
		return Answer{}, err
	}
	grants, err := o.grants(ctx, store.GrantFilter{ClientID: one.ClientID, All: true}, c.now)
	return Answer{Client: &one, Grants: grants}, err
}

func (o *Operations) grants(ctx context.Context, f store.GrantFilter, now time.Time) ([]Grant, error) {
	grants, err := o.cfg.Store.Grants(ctx, f, now)
	list := make([]Grant, len(grants))
	for i, g := range grants {
		list[i] = grantOf(g, now)
	}
	return list, err
}

func (o *Operations) grantsList(ctx context.Context, c call) (Answer, error) {
	f := store.GrantFilter{All: c.All}
	if c.User != "" {
		u, err := o.user(ctx, c.User, false, c.now)
		if err != nil {
			return Answer{}, err
		}
		f.Tenant, f.Object = u.Tenant, u.Object
	}
	if c.Client != "" {
		one, err := o.client(ctx, c.Client, false, c.now)
		if err != nil {
			return Answer{}, err
		}
		f.ClientID = one.ClientID
	}
	grants, err := o.grants(ctx, f, c.now)
	return Answer{Grants: grants}, err
}

// grant finds a grant by its id, live or not.
func (o *Operations) grant(ctx context.Context, id string, now time.Time) (Grant, error) {
	g, err := o.cfg.Store.GrantByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return Grant{}, &Error{Code: CodeUnknown, Message: fmt.Sprintf("there is no grant %q; see which there are: mcp-gateway grants list --all", id), cause: err}
	}
	return grantOf(g, now), err
}

func (o *Operations) grantsShow(ctx context.Context, c call) (Answer, error) {
	if len(c.Grants) != 1 {
		return Answer{}, &Error{Code: CodeInvalid, Message: "one grant is shown at a time"}
	}
	g, err := o.grant(ctx, c.Grants[0], c.now)
	return Answer{Grant: &g}, err
}
