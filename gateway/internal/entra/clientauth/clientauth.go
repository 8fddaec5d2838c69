// Package clientauth is how the gateway proves to Microsoft that it is the
// application which people sign in to (RFC 6749 §2.3): by a secret, by a
// certificate, or by a token that its platform gives it. Each kind adds its proof
// to the form of a token request, and knows when it ends, if that can be known.
//
// It refuses to choose among them, to talk to anybody, and to know what the
// request is for.
package clientauth

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/secret"
)

// maxFile bounds a certificate with its chain, or a token.
const maxFile = 64 << 10

// assert puts an assertion into a token request (RFC 7521 §4.2).
func assert(form url.Values, assertion string) {
	form.Set("client_assertion_type", oauth.AssertionType)
	form.Set("client_assertion", assertion)
}

// readFile reads a file whose name no error repeats: it could be a secret, put in
// the wrong place.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, at.Err
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch at, ok := errors.AsType[*fs.PathError](err); {
	case ok:
		return nil, at.Err
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, errors.New("it is larger than any")
	}
	return data, nil
}

// Secret is a client secret, sent in the body (RFC 6749 §2.3.1,
// client_secret_post).
type Secret struct {
	value   secret.Value
	expires time.Time
}

// NewSecret takes the value of a secret, and when it ends: Microsoft does not say,
// so that expires is what an administrator wrote down, or zero.
func NewSecret(value secret.Value, expires time.Time) (*Secret, error) {
	if value.IsZero() {
		return nil, errors.New("there is no client secret: make one under Certificates & secrets of the app registration")
	}
	if plain := value.Reveal(); strings.TrimSpace(plain) != plain {
		return nil, errors.New("the client secret begins or ends with white space: it was not copied cleanly")
	}
	return &Secret{value: value, expires: expires}, nil
}

// Authenticate adds the secret to a token request.
func (s *Secret) Authenticate(_ context.Context, form url.Values, _ string, _ time.Time) error {
	form.Set("client_secret", s.value.Reveal())
	return nil
}

// Expires is when the secret ends; zero if nobody wrote it down.
func (s *Secret) Expires(context.Context) (what string, at time.Time) {
	return "client secret", s.expires
}
