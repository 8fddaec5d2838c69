package clientauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"
)

// FederatedToken is a token about the gateway that its platform keeps in a file,
// such as that of a Kubernetes service account (workload identity federation).
// Microsoft takes it as an assertion (RFC 7523 §2.2) if the application has a
// federated credential for its issuer, subject and audience.
type FederatedToken struct{ file string }

// OpenFederatedToken looks whether there is a token in the file. It is read again
// for each request, because platforms renew it every hour or so.
func OpenFederatedToken(file string) (*FederatedToken, error) {
	f := &FederatedToken{file: file}
	_, err := f.read()
	return f, err
}

// Authenticate adds the token to a request.
func (f *FederatedToken) Authenticate(_ context.Context, form url.Values, _ string, _ time.Time) error {
	token, err := f.read()
	if err != nil {
		return err
	}
	assert(form, token)
	return nil
}

// Expires is never: the platform renews the token.
func (f *FederatedToken) Expires(context.Context) (what string, at time.Time) {
	return "federated token", time.Time{}
}

// compactJWS is the shape of a token (RFC 7515 §7.1), with a line end perhaps.
var compactJWS = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\s*$`)

func (f *FederatedToken) read() (string, error) {
	data, err := readFile(f.file)
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("the file of the federated token cannot be used: %w", err)
	}
	token := compactJWS.FindSubmatch(data)
	if token == nil {
		return "", errors.New("the file of the federated token holds something else than one signed token")
	}
	return string(token[1]), nil
}
