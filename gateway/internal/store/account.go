package store

import "time"

// Account is what Microsoft gave for a person when they signed in last: with it
// the gateway asks whether they may still come in. A person has one at most.
type Account struct {
	// Tenant and Object identify the person (DESIGN D7).
	Tenant string
	Object string
	// Sealed is Microsoft's refresh token, encrypted by the key ring.
	Sealed []byte
	// Version is another after each sign-in and each renewal; the store's.
	Version int64
	// CheckedAt is when Microsoft last said that they may come in.
	CheckedAt time.Time
	// CheckAt is from when on it is to be asked again.
	CheckAt time.Time
}

// Standing is what has to be known of a refresh token before Microsoft is asked
// about its person.
type Standing struct {
	// GrantedAt is when the grant was made, and Revoked whether it was ended.
	GrantedAt time.Time
	Revoked   bool
	// Account is the person's, without what is sealed; zero if there is none.
	Account Account
}
