// Package store holds the records the gateway keeps, the sentinels its back
// ends return, and the contract each back end obeys. It owns no SQL: that is
// store/sqlite (one node). Package storetest is the contract as a suite.
//
// Contract, for every method of every back end:
//   - Methods are protocol verbs and atomic: all of it happened, and is durable,
//     when the method returns nil; none of it did when it returns an error,
//     except where the method says that a revocation is committed first, and
//     when the disk fails in the middle of a commit. That includes a context
//     that ends: its error means that nothing was written.
//   - now is the caller's clock. Expiry is decided by it within the transaction
//     (at expires_at a record is over), never only by garbage collection.
//   - Times are stored in UTC, times and durations truncated to the microsecond;
//     an empty list comes back as nil.
//   - Bearer values arrive as SHA-256 (Hash); the plain value never does.
//   - An error that is none of the sentinels means that the store could not
//     answer: callers report it as temporary, never as an invalid grant.
package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Sentinels. Compare with errors.Is.
var (
	// ErrNotFound: no such record, or it is expired, or it belongs to
	// someone else; callers cannot tell which, on purpose.
	ErrNotFound = errors.New("not found")
	// ErrConsumed: a single-use value was used before. Where a replay
	// revokes, the revocation is committed before this is returned.
	ErrConsumed = errors.New("already used")
	// ErrRevoked: the grant behind the value was revoked.
	ErrRevoked = errors.New("revoked")
	// ErrExpired: the value is known but its time, or its grant's, is over.
	ErrExpired = errors.New("expired")
	// ErrClaimed: somebody else is at it.
	ErrClaimed = errors.New("claimed by another")
	// ErrDisabled: an administrator has disabled the person or the client. It
	// is an ErrRevoked, for callers to whom it is no more than that.
	ErrDisabled = fmt.Errorf("disabled by an administrator: %w", ErrRevoked)
)

// Hash is the SHA-256 of a bearer value; the only form in which one is stored.
type Hash [sha256.Size]byte

// HashOf hashes a bearer value. Every value of ours fits in the buffer, so that
// the look-up of a token that was checked before allocates nothing.
func HashOf(value string) Hash {
	var buf [64]byte
	return sha256.Sum256(append(buf[:0], value...))
}

// String returns the first 8 hex digits, enough to correlate log lines and
// too little to be of use to anyone else.
func (h Hash) String() string { return hex.EncodeToString(h[:4]) }

// Identity is who signed in, as Microsoft Entra ID said at that moment.
// (Tenant, Object) identifies; everything else is display or authorization
// input (DESIGN D7: never key on names or addresses).
type Identity struct {
	// Tenant is the directory (claim tid), a lower-case GUID.
	Tenant string `json:"tid"`
	// Object is the user within the tenant (claim oid), a lower-case GUID.
	Object string `json:"oid"`
	// Name and Username are for display only (claims name, preferred_username).
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
	// Roles are the app roles of this application (claim roles).
	Roles []string `json:"roles,omitempty"`
	// Groups are group object ids (claim groups).
	Groups []string `json:"groups,omitempty"`
	// GroupsUnknown: the user is in too many groups for a token (overage),
	// so Groups is not the truth and a rule about groups must deny.
	GroupsUnknown bool `json:"groups_unknown,omitempty"`
	// Guest: the user's home is another tenant.
	Guest bool `json:"guest,omitempty"`
}

// Nobody reports whether this is no person: the grant is one that a client has
// for itself, for which nobody signed in (RFC 6749 §4.4).
func (i Identity) Nobody() bool { return i.Object == "" }

// Login is a sign-in under way at Microsoft: stored after consent, consumed
// once by the callback.
type Login struct {
	// State is the hash of the upstream state parameter.
	State Hash
	// Browser is the hash of the browser's cookie; only that browser may
	// finish.
	Browser Hash
	// Sealed is the authorization request, nonce and PKCE verifier,
	// encrypted by the key ring.
	Sealed []byte
	// ExpiresAt ends the sign-in (10 minutes after consent by default).
	ExpiresAt time.Time
}

// Grant is one person's permission for one client, or what an administrator
// allowed a client for itself: the root of all its tokens. Revoking it ends them
// all.
type Grant struct {
	// ID is random text, safe to log.
	ID string
	// ClientID is the client as it identified itself; ClientName is for
	// display.
	ClientID   string
	ClientName string
	// Identity is the snapshot taken at sign-in; Nobody where a client has the
	// grant for itself.
	Identity Identity
	// Scopes granted, in request order.
	Scopes []string
	// Resource is the audience (RFC 8707): the gateway's canonical URL.
	Resource  string
	CreatedAt time.Time
	// ExpiresAt is absolute: no token of the grant is valid at or after it.
	ExpiresAt time.Time
	// RevokedAt is zero while the grant lives.
	RevokedAt time.Time
	// RevokedReason is one of the Reason constants.
	RevokedReason string
}

// Reasons for a revocation.
const (
	ReasonCodeReplay    = "code_replay"
	ReasonRefreshReplay = "refresh_replay"
	// ReasonClient: the client itself asked (RFC 7009).
	ReasonClient = "revoked_by_client"
	// ReasonAdmin: an administrator ended it.
	ReasonAdmin = "revoked_by_administrator"
	// ReasonUserDisabled and ReasonClientDisabled: an administrator disabled
	// the person or the client.
	ReasonUserDisabled   = "user_disabled"
	ReasonClientDisabled = "client_disabled"
	// ReasonMicrosoft: Microsoft does not let the person in any longer.
	ReasonMicrosoft = "refused_by_microsoft"
)

// Code is an authorization code (RFC 6749 §4.1.2) not yet redeemed.
type Code struct {
	Hash Hash
	// Grant is what redeeming the code creates.
	Grant Grant
	// RedirectURI is the one of the authorization request, compared exactly.
	RedirectURI string
	// Challenge is the S256 code challenge (RFC 7636 §4.2).
	Challenge string
	CreatedAt time.Time
	ExpiresAt time.Time
	// UsedAt is zero until the code was redeemed.
	UsedAt time.Time
	// Failures counts wrong attempts; at MaxCodeFailures the code is burnt.
	Failures int
	// Account is what came with the sign-in; nil if nothing did. It is stored
	// beside the code and does not come back with it.
	Account *Account
}

// MaxCodeFailures wrong verifiers, redirects, clients or resources burn a code.
const MaxCodeFailures = 5

// ReplayBurst is how long after its redemption a second use of a code is
// taken for a burst of the same client and only refused; a later one is taken
// for theft and revokes the grant (RFC 6749 §4.1.2).
const ReplayBurst = 10 * time.Second

// Device is a device that waits until a person has signed in for it elsewhere
// (RFC 8628). Once that is so, its code is a Code too, with neither redirect URI
// nor challenge.
type Device struct {
	// Hash is that of the device code, and UserCode that of what people type.
	Hash     Hash
	UserCode Hash
	// ClientID, ClientName and Scopes are what is asked for.
	ClientID   string
	ClientName string
	Scopes     []string
	// Address is whence the device asked, for the person to see.
	Address   string
	CreatedAt time.Time
	ExpiresAt time.Time
	// Interval is how long the device must wait between two polls, at first.
	Interval time.Duration
}

// SlowDown is by how much a device that polls too soon must wait longer, "for this
// and all subsequent requests" (RFC 8628 §3.5).
const SlowDown = 5 * time.Second

// DeviceState is what a device learns when it polls.
type DeviceState int

// The states of a device.
const (
	// DevicePending: nobody has signed in yet.
	DevicePending DeviceState = iota + 1
	// DeviceHurried is DevicePending for a device that polled too soon; its
	// interval has grown by SlowDown.
	DeviceHurried
	// DeviceDenied: the person, or Microsoft, said no.
	DeviceDenied
	// DeviceApproved: RedeemCode gives the grant.
	DeviceApproved
)

// AccessToken is a bearer token (RFC 6750) for /mcp.
type AccessToken struct {
	Hash    Hash
	GrantID string
	// Generation is the refresh token generation it was issued with.
	Generation int
	Scopes     []string
	IssuedAt   time.Time
	ExpiresAt  time.Time
}

// RefreshToken is one generation of a grant's rotating refresh token.
type RefreshToken struct {
	Hash       Hash
	GrantID    string
	Generation int
	IssuedAt   time.Time
	// ExpiresAt is the idle limit; the grant's ExpiresAt is the absolute one.
	ExpiresAt time.Time
}

// Redemption asks for the grant of a code.
type Redemption struct {
	Code Hash
	// Access is the first access token, and Refresh the first refresh token;
	// nil for a client that gets none. GrantID is filled in.
	Access  AccessToken
	Refresh *RefreshToken
	// Event, if not nil, is written to the audit trail in the same transaction.
	Event *Event
}

// OwnGrant asks for a grant that a client has for itself, with its one token
// (RFC 6749 §4.4): no refresh token belongs to it.
type OwnGrant struct {
	// Grant has no Identity, and ends with its token.
	Grant Grant
	// Access is the token; GrantID is filled in.
	Access AccessToken
	// Event, if not nil, is written to the audit trail in the same transaction.
	Event *Event
}

// Rotation asks for the successor of a refresh token.
type Rotation struct {
	// Presented is the refresh token the client sent; ClientID must be the
	// grant's client, or the answer is ErrNotFound.
	Presented Hash
	ClientID  string
	// Successor is the new refresh token, if Presented was not rotated yet.
	// GrantID and Generation are filled in by the store; ExpiresAt is
	// capped at the grant's.
	Successor RefreshToken
	// Sealed is the successor's plain value encrypted under a key that only
	// the presented token yields, so that a repeat gets the same successor.
	Sealed []byte
	// Access is the fresh access token; GrantID, Generation and Scopes (the
	// grant's) are filled in and ExpiresAt is capped at the grant's.
	Access AccessToken
	// Grace is how long after the first use of the new generation the
	// predecessor still repeats its successor (60 s; DESIGN D5).
	Grace time.Duration
}

// Rotated is the outcome of a rotation.
type Rotated struct {
	Grant Grant
	// Access and Refresh are as stored (the winner's refresh token).
	Access  AccessToken
	Refresh RefreshToken
	// Sealed is the winner's sealed successor; the caller opens it.
	Sealed []byte
	// Repeated: Presented had been rotated before and this answer repeats it.
	Repeated bool
}

// Consent is what a person has allowed a client at one redirect URI, so that
// they are asked again only for more.
type Consent struct {
	// Tenant and Object identify the person (DESIGN D7).
	Tenant string
	Object string
	// ClientID and RedirectURI are compared exactly.
	ClientID    string
	RedirectURI string
	Scopes      []string
	// ExpiresAt is from when on they are asked again.
	ExpiresAt time.Time
}

// Session is one in which somebody is signed in at Microsoft, in one browser, and
// that the gateway remembers something by.
type Session struct {
	// Tenant is where the person is signed in, a lower-case GUID.
	Tenant string
	// ID is the hash of what Microsoft calls the session (claim sid).
	ID Hash
	// ExpiresAt is when what is remembered by it is over.
	ExpiresAt time.Time
	// EndedAt is zero until the person signs out at Microsoft.
	EndedAt time.Time
}

// Event is one row of the audit trail.
type Event struct {
	// ID orders events; given by the store.
	ID   int64
	Time time.Time
	// Kind is what happened: a Kind constant of package audit.
	Kind string
	// Outcome is "ok", "denied" or "error".
	Outcome string
	// Reason is a short constant: the error code, the rule that allowed.
	Reason string
	// Tenant and Object identify the person, where known.
	Tenant string
	Object string
	// GrantID and Client say through what, where known. Client is a display
	// name and the first 8 hex of the client id's hash.
	GrantID string
	Client  string
	// Tool is the tool called, where one was.
	Tool string
	// Address is the remote address.
	Address string
	// Duration of the call.
	Duration time.Duration
}

// The verbs. Each consumer declares the few it uses; the back end has all:
//
//	CreateLogin(ctx, Login) error
//	ConsumeLogin(ctx, state, browser Hash, now) (Login, error)
//	    deletes and returns it; ErrNotFound if unknown, expired or started by
//	    another browser (then it is not consumed).
//	CreateCode(ctx, Code) error
//	    ErrDisabled: its person or client is. A sign-in is also news of the person:
//	    their live grants get its identity, and its account, if there is one, takes
//	    the place of theirs.
//	Code(ctx, Hash) (Code, error)
//	    read only, also used and expired ones (until collected); ErrNotFound.
//	FailCode(ctx, Hash) error
//	    counts one wrong attempt.
//	RedeemCode(ctx, Redemption, now) (Grant, error)
//	    creates the grant and its generation-0 tokens (GrantID filled in,
//	    expiries capped at the grant's) exactly once. Nil refresh: no refresh
//	    token is issued. ErrNotFound: unknown. ErrDisabled: not used, and its
//	    person or client is disabled. ErrExpired: expires_at <= now or
//	    burnt. ErrConsumed: used before, also if it is over or burnt by now; when
//	    the use was more than ReplayBurst ago the grant is revoked
//	    (ReasonCodeReplay), committed, then ErrConsumed.
//	CreateOwnGrant(ctx, OwnGrant) error
//	    creates the grant and its token (GrantID filled in, expiry capped at the
//	    grant's). ErrDisabled: its client is.
//	CreateDevice(ctx, Device) error
//	DeviceByUserCode(ctx, userCode, browser Hash, now) (Device, error)
//	    read only. ErrNotFound, without difference: unknown, expired, decided,
//	    or another browser has claimed it.
//	ClaimDevice(ctx, device, browser Hash, now) error
//	    gives it to the browser that comes first, and to that one again.
//	    ErrNotFound as DeviceByUserCode.
//	DenyDevice(ctx, device, browser Hash, now) error
//	    decides it; ErrNotFound as DeviceByUserCode.
//	ApproveDevice(ctx, browser Hash, Code, now) error
//	    decides the device whose hash is the code's, and does as CreateCode.
//	    ErrNotFound: unknown, expired, decided, or this browser has not claimed
//	    it. ErrDisabled, and then it is not decided.
//	PollDevice(ctx, device Hash, clientID string, now) (DeviceState, error)
//	    ErrNotFound: unknown or another client's. ErrExpired: over before it was
//	    decided. Approved and denied stay so until it is collected.
//	UseAccessToken(ctx, Hash, now) (AccessToken, Grant, error)
//	    ErrNotFound: unknown; ErrRevoked, also if expired since; ErrExpired:
//	    token or grant expired. The first use of a generation is recorded durably
//	    (it starts the grace of the generation before); later uses only read.
//	RotateRefresh(ctx, Rotation, now) (Rotated, error)
//	    One winner. Not yet rotated: stores successor and access token, marks
//	    the presented generation as used (rotating is a use). Already rotated:
//	    while no token of the successor's generation was used, or within Grace
//	    of its first use, stores the fresh access token in the successor's
//	    generation and returns the winner's Sealed (Repeated). Later: revokes the grant
//	    (ReasonRefreshReplay), commits, returns ErrConsumed with Rotated.Grant
//	    set. Without side effects, and in this order: ErrNotFound: unknown token
//	    or other client; ErrRevoked, with Rotated.Grant set; ErrExpired: idle or
//	    absolute.
//	RevokeGrant(ctx, grantID, reason string, now) error
//	    idempotent, the first reason stays; ErrNotFound if there is no such grant.
//	RevokeToken(ctx, Hash, clientID string, now) (Grant, error)
//	    revokes the grant of an access or refresh token of any generation, used,
//	    rotated or expired (until collected): ReasonClient. Idempotent: a grant
//	    revoked before keeps its time and reason. The Grant is as stored then.
//	    ErrNotFound, without side effects: unknown token or other client.
//	UseAssertion(ctx, Hash, expiresAt time.Time) error
//	    remembers until expiresAt that a client's assertion was used; ErrConsumed
//	    if it was before.
//	RememberConsent(ctx, Consent, now) error
//	    adds the scopes to those of the same person, client and redirect URI that
//	    are not expired, and sets the expiry.
//	Consented(ctx, Consent, now) ([]string, error)
//	    the scopes remembered for person, client and redirect URI, in the order
//	    in which they came; none if there are none or they are expired.
//	RememberSession(ctx, Session, began time.Time) error
//	    stores a session of a sign-in that began then, or lengthens it; one that
//	    ended before it began lives again. ErrRevoked, without side effects: it
//	    ended since. EndedAt is ignored.
//	Session(ctx, tenant string, id Hash, now) (Session, error)
//	    read only, also ended ones; ErrNotFound.
//	EndSession(ctx, tenant string, id Hash, now) error
//	    ends a session; an empty tenant stands for any. Idempotent, and the last
//	    time counts. ErrNotFound, without side effects: none is remembered, so what
//	    a stranger invents takes no space.
//	AccountOfToken(ctx, Hash, clientID string) (Standing, error)
//	    read only: of a client's refresh token of any generation, of a grant that is
//	    live or not. ErrNotFound: unknown token or other client.
//	ClaimAccount(ctx, tenant, object string, until, now) (Account, error)
//	    gives one caller the right to ask Microsoft, until the next of the following
//	    or until is over. ErrNotFound; ErrClaimed: somebody else has it.
//	RenewAccount(ctx, Account, Identity, now) error
//	    stores what the one who has claimed that version was given, and gives the
//	    person's live grants the identity. ErrConsumed, without side effects: a
//	    sign-in or a renewal was faster.
//	ReleaseAccount(ctx, Account) error
//	    gives a claim back and stores Sealed and CheckAt; without effect on another
//	    version.
//	EndAccount(ctx, Account, Event, now) ([]string, error)
//	    deletes an account of that version, does as RevokeGrants with the person
//	    (ReasonMicrosoft), but what they allowed is not forgotten: they did not take
//	    it back, and writes the event down. Another version is a sign-in that came
//	    since: no grant and no event then.
//	AppendEvents(ctx, []Event) error
//	    all or none; IDs are the store's.
//	Events(ctx, after int64, limit int) ([]Event, error)
//	    ascending by ID.
//	Collect(ctx, now) (int, error)
//	    deletes what has been dead for more than 24 h: expired logins, codes,
//	    consents, sessions and tokens, tokens of revoked grants, then ended grants
//	    without tokens, and accounts not checked since whose person has no live grant.
//	    What a program could pile up in a day goes after an hour: devices that were
//	    not approved, assertions, and the grants that clients had for themselves with
//	    their tokens. It only frees space, so it may do that in parts. Audit rows stay.
//
// The verbs of the administrator. Nobody disabled has a live grant: disabling
// revokes them all, and RedeemCode and CreateOwnGrant, which alone make new ones,
// refuse. So UseAccessToken and RotateRefresh need no check of their own.
//
//	Users(ctx, now) ([]UserSummary, error)
//	    by tenant and object. A client that has grants for itself is none.
//	Clients(ctx, now) ([]ClientSummary, error)
//	    by client id.
//	Grants(ctx, GrantFilter, now) ([]Grant, error)
//	    the newest first.
//	GrantByID(ctx, grantID) (Grant, error)
//	    ErrNotFound.
//	RevokeGrants(ctx, GrantFilter, reason string, now) ([]string, error)
//	    revokes the live grants picked, burns the unused codes picked, forgets
//	    the consents of their persons and clients (none with a grant picked by its
//	    ID that a client has for itself), and returns the IDs revoked by this call,
//	    sorted. All is ignored.
//	DisableUser(ctx, tenant, object string, now) ([]string, error)
//	DisableClient(ctx, clientID string, now) ([]string, error)
//	    disables, also who was never seen, and does as RevokeGrants
//	    (ReasonUserDisabled, ReasonClientDisabled); a person's account is deleted.
//	    Idempotent: the first time stays.
//	EnableUser(ctx, tenant, object string) error
//	EnableClient(ctx, clientID string) error
//	    allows to sign in again; nothing revoked comes back. Idempotent.
//	UserDisabled(ctx, tenant, object string) (bool, error)
//	ClientDisabled(ctx, clientID string) (bool, error)
