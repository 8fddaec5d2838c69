package entra

import (
	"context"
	"errors"
	"net/url"
	"time"

	"mcp-gateway/gateway/internal/entra/clientauth"
)

// credential is how the gateway proves that it is the application.
type credential interface {
	// Authenticate adds the proof to the form of a token request to endpoint.
	Authenticate(ctx context.Context, form url.Values, endpoint string, now time.Time) error
}

// useCredential takes the one that is configured. Its file must be there from the
// start, though it can change.
func (p *Provider) useCredential(cfg Config) (err error) {
	certificate, federated := cfg.CertificateFile != "", cfg.FederatedTokenFile != ""
	switch {
	case certificate && federated, (certificate || federated) && !cfg.ClientSecret.IsZero():
		return errors.New("there is more than one of client secret, certificate and federated token: keep one")
	case certificate:
		p.credential, err = clientauth.LoadCertificate(cfg.CertificateFile, p.clientID, p.logger)
	case federated:
		p.credential, err = clientauth.OpenFederatedToken(cfg.FederatedTokenFile)
	default:
		p.credential, err = clientauth.NewSecret(cfg.ClientSecret)
	}
	return err
}
