package entra

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"mcp-gateway/gateway/internal/entra/clientauth"
)

// credential is how the gateway proves that it is the application.
type credential interface {
	// Authenticate adds the proof to the form of a token request to endpoint.
	Authenticate(ctx context.Context, form url.Values, endpoint string, now time.Time) error
	// Expires is what the proof is made with, and when that ends; zero if it never
	// does, or nobody knows.
	Expires(ctx context.Context) (what string, at time.Time)
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
		p.credential, err = clientauth.NewSecret(cfg.ClientSecret, cfg.ClientSecretExpires)
	}
	return err
}

const (
	// warnAhead of the end of what the gateway proves itself with: time enough to
	// ask another department for a new one.
	warnAhead = 30 * 24 * time.Hour
	// warnEvery so often, in a log that may be read once a day.
	warnEvery = 24 * time.Hour
)

// Expiry is when what the gateway proves itself with ends. Then nobody can sign in.
type Expiry struct {
	// What ends, such as "client certificate".
	What string
	// At is when; zero if it never does, or nobody knows.
	At time.Time
}

// Expiry is that of now: the file of a certificate may change.
func (p *Provider) Expiry(ctx context.Context) Expiry {
	what, at := p.credential.Expires(ctx)
	return Expiry{What: what, At: at}
}

// Soon reports whether it is time to make a new one.
func (e Expiry) Soon(now time.Time) bool { return !e.At.IsZero() && e.At.Sub(now) < warnAhead }

// Words say when it ends, to the day, and what then.
func (e Expiry) Words(now time.Time) string {
	day := e.At.UTC().Format(time.DateOnly)
	if !now.Before(e.At) {
		return "the " + e.What + " ended on " + day + ", and nobody can sign in"
	}
	return "the " + e.What + " ends on " + day + ", and then nobody can sign in"
}

// Watch warns in the log, at once and then daily, while what the gateway proves
// itself with ends soon or has ended. It returns when ctx ends.
func (p *Provider) Watch(ctx context.Context) {
	tick := time.NewTicker(warnEvery)
	defer tick.Stop()
	for {
		if now, e := time.Now(), p.Expiry(ctx); e.Soon(now) {
			p.logger.WarnContext(ctx, "what the gateway proves itself to Microsoft with ends soon, or has ended: renew it, or nobody can sign in",
				slog.String("what", e.What), slog.Time("expires", e.At), slog.Int("days", max(0, int(e.At.Sub(now)/(24*time.Hour)))))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
