package store

import "time"

// UserSummary is a person as an administrator sees them: somebody with a grant
// that is not collected yet, or somebody who is disabled.
type UserSummary struct {
	Tenant string
	Object string
	// Name and Username are those of the latest grant; of a disabled person
	// without one, those at the time of disabling, and empty if there were none.
	Name     string
	Username string
	// LiveGrants are neither revoked nor over.
	LiveGrants int
	// LastSignIn is when the latest grant was created; zero without one.
	LastSignIn time.Time
	// DisabledAt is zero for who may sign in.
	DisabledAt time.Time
}

// ClientSummary is a client as an administrator sees it: one with a grant that
// is not collected yet, or one that is disabled.
type ClientSummary struct {
	ClientID string
	// Name is that of the latest grant, or at the time of disabling.
	Name       string
	LiveGrants int
	// People are those who have a live grant for it. A grant that it has for
	// itself is nobody's.
	People     int
	LastSignIn time.Time
	DisabledAt time.Time
}

// GrantFilter picks grants: an empty field picks all.
type GrantFilter struct {
	ID       string
	Tenant   string
	Object   string
	ClientID string
	// All: those that are revoked or over too, where they are listed.
	All bool
}
