// Package netguard makes HTTP clients for URLs that someone else chose: the
// metadata document that a client identifies itself with
// (draft-ietf-oauth-client-id-metadata-document §6), and the jwks_uri in it.
// Whoever chooses such a URL must not make this process talk to what only
// this process can reach: its own host, its network, the metadata service of
// its cloud (RFC 9700 §4.15, server-side request forgery).
//
// There are two checks. One reads the URL, before anything is sent: only
// https, no userinfo, no address and no name that is special by itself. The
// other reads the address that the kernel is about to connect to, so a name
// cannot point elsewhere between the check and the use of it.
//
// It owns neither the content nor its size: limit what you read of a body. It
// cannot know which public addresses a network routes inwards, nor an
// operator's own NAT64 prefix (RFC 6052 §2.2); that is for the firewall, or for
// a proxy.
package netguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// ErrForbidden is wrapped by the error of a request, or of a dial, that the
// guard refused.
var ErrForbidden = errors.New("forbidden destination")

const (
	defaultTimeout = 5 * time.Second

	// maxHeaderBytes bounds the header of an answer, and of all informational
	// answers before it. The default of net/http, 10 MB, is an invitation.
	maxHeaderBytes = 32 << 10
)

// Config of a client. The zero value is a guarded client with the roots of
// the system.
type Config struct {
	// Proxy, if set, is the HTTP proxy (http or https) that every request goes
	// through, by CONNECT (RFC 9110 §9.3.6). Then the proxy resolves names and
	// must check the addresses; the guard only refuses addresses and names that
	// are special by themselves. Nil: requests go directly. The proxy variables
	// of the environment are ignored in either case.
	Proxy *url.URL
	// Timeout of a whole request including the body; 5 seconds if not positive.
	Timeout time.Duration
	// RootCAs are the roots to trust, nil for the system's.
	RootCAs *x509.CertPool
	// Dial, if set, replaces the guarded dialer altogether; for tests. The check
	// of the URL stays.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewClient returns a client that reaches public https servers only. It never
// follows a redirect but returns the answer itself, keeps no cookies and no
// connections (so that each request resolves anew), and does not decompress
// (so that a limit on what is read is a limit on memory).
func NewClient(cfg Config) *http.Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	transport := &http.Transport{
		DialContext:            cfg.Dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		// One document over one connection gains nothing from HTTP/2.
		Protocols: new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(true)
	dialer := guardedDialer(cfg.Timeout)
	if cfg.Proxy != nil {
		transport.Proxy = through(cfg.Proxy)
		// The proxy is the operator's choice and mostly inside.
		dialer = &net.Dialer{Timeout: cfg.Timeout}
	}
	if cfg.Dial == nil {
		transport.DialContext = dialer.DialContext
	}
	return &http.Client{
		Transport: guard{next: transport},
		Timeout:   cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// through returns the proxy for every request. What is no HTTP proxy fails
// the request instead of letting it go directly.
func through(proxy *url.URL) func(*http.Request) (*url.URL, error) {
	return func(*http.Request) (*url.URL, error) {
		if proxy.Scheme != "http" && proxy.Scheme != "https" || proxy.Host == "" {
			return nil, fmt.Errorf("proxy %s: not the URL of an HTTP proxy", proxy.Redacted())
		}
		return proxy, nil
	}
}

// guard refuses requests by their URL, before anything is sent.
type guard struct {
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkURL(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // RoundTrip must, also when it fails
		}
		return nil, err
	}
	return g.next.RoundTrip(r)
}

// guardedDialer returns a dialer that checks each address when a socket for it
// exists and before it connects. A name with several addresses is checked
// address by address, and a resolver that changes its answer gains nothing.
func guardedDialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: timeout,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			if network != "tcp4" && network != "tcp6" {
				return fmt.Errorf("%w: network %s", ErrForbidden, network)
			}
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: no address: %w", ErrForbidden, err)
			}
			return Check(to.Addr())
		},
	}
}
