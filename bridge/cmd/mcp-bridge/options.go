package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/shared/secret"
)

// maxFile bounds a file named by an option, in bytes.
const maxFile = 1 << 20

// nodeCertificates is the variable of Node.js that people have set for other
// bridges.
const nodeCertificates = "NODE_EXTRA_CA_CERTS"

// options are what the command line says.
type options struct {
	server       string
	account      string
	tokenStore   string
	clientID     string
	clientSecret secret.Value
	metadataURL  string
	scopes       []string
	resource     string
	allowHTTP    bool
	noBrowser    bool
	way          oauth.Way
	logLevel     slog.Level
	network      *network

	// of single commands
	json         bool
	forgetClient bool

	secretFile string
	caFiles    []string
}

// newFlags declares the options of a command. Those of the connection are of all
// commands, so that one line of a configuration can be tried with each.
func newFlags(name string, o *options) *flag.FlagSet {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&o.tokenStore, "token-store", string(keychain.KindKeychain), "")
	flags.StringVar(&o.account, "account", "", "")
	flags.StringVar(&o.clientID, "client-id", "", "")
	flags.StringVar(&o.secretFile, "client-secret-file", "", "")
	flags.StringVar(&o.metadataURL, "client-metadata-url", "", "")
	flags.StringVar(&o.resource, "resource", "", "")
	flags.BoolVar(&o.allowHTTP, "allow-http", false, "")
	flags.BoolVar(&o.noBrowser, "no-browser", false, "")
	flags.Func("sign-in", "", o.setWay)
	flags.Func("log-level", "", func(s string) error {
		if o.logLevel.UnmarshalText([]byte(s)) != nil {
			return errors.New("want debug, info, warn or error")
		}
		return nil
	})
	flags.Func("scope", "", func(s string) error { o.scopes = append(o.scopes, strings.Fields(s)...); return nil })
	flags.Func("ca-cert", "", func(s string) error { o.caFiles = append(o.caFiles, s); return nil })
	switch name {
	case "status":
		flags.BoolVar(&o.json, "json", false, "")
	case "login":
		for _, way := range []oauth.Way{oauth.ByDevice, oauth.ByPaste} {
			flags.BoolFunc(string(way), "", func(s string) error {
				if s != "true" {
					return errors.New("it takes no value")
				}
				return o.setWay(string(way))
			})
		}
	case "logout":
		flags.BoolVar(&o.forgetClient, "forget-client", false, "")
	}
	return flags
}

// setWay takes the way of signing in, which is said once.
func (o *options) setWay(text string) error {
	way := oauth.Way(text)
	switch {
	case !slices.Contains([]oauth.Way{oauth.InBrowser, oauth.ByDevice, oauth.ByPaste}, way):
		return errors.New("want browser, device or paste")
	case o.way != "" && o.way != way:
		return fmt.Errorf("%s was chosen already", o.way)
	}
	o.way = way
	return nil
}

// parse reads the arguments of a command; name is "" for the bridge itself.
// Options may stand on both sides of the address.
func (c *command) parse(name string, args []string, serverOptional bool) (*options, error) {
	o := &options{}
	flags := newFlags(name, o)
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, c.wrongFlags(name, flags, err)
		}
		if flags.NArg() == 0 {
			break
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
	if err := o.takeServer(name, rest, serverOptional); err != nil {
		return nil, usageError{err.Error(), name}
	}
	if err := o.complete(c.getenv); err != nil {
		return nil, err
	}
	return o, nil
}

// takeServer finds the address among the arguments that are no options.
func (o *options) takeServer(name string, args []string, optional bool) error {
	switch {
	case len(args) == 0 && optional:
		return nil
	case len(args) == 0:
		return errors.New(strings.TrimSpace(name + " needs the address of the server, like https://gateway.example.com/mcp"))
	case name == "" && slices.Contains(commands, args[0]):
		return fmt.Errorf("%s is a command when it comes first: options stand behind it", args[0])
	}
	server, err := parseServer(args[0], o.allowHTTP)
	if err != nil {
		return err
	}
	if len(args) > 1 {
		return fmt.Errorf("one address is enough: what is %q?", args[1])
	}
	o.server = server
	return nil
}

// wrongFlags explains what flag did not understand; asked for help, it shows the
// page and returns flag.ErrHelp.
func (c *command) wrongFlags(name string, flags *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		if err := c.help(name); err != nil {
			return err
		}
		return flag.ErrHelp
	}
	message := err.Error()
	if unknown, ok := strings.CutPrefix(message, "flag provided but not defined: "); ok {
		var known []string
		flags.VisitAll(func(f *flag.Flag) { known = append(known, "--"+f.Name) })
		message = fmt.Sprintf("there is no option --%s; the options are %s", strings.TrimLeft(unknown, "-"), strings.Join(known, ", "))
	}
	return usageError{message, name}
}

// complete checks the options and reads the files that they name.
func (o *options) complete(getenv func(string) string) error {
	switch keychain.Kind(o.tokenStore) {
	case keychain.KindKeychain, keychain.KindFile, keychain.KindMemory:
	default:
		return usageError{fmt.Sprintf("--token-store %s: want keychain, file or memory", o.tokenStore), ""}
	}
	if o.secretFile != "" {
		if o.clientID == "" {
			return usageError{"--client-secret-file needs --client-id", ""}
		}
		text, err := readFile(o.secretFile)
		if err != nil {
			return fmt.Errorf("--client-secret-file: %w", err)
		}
		// Without it the client would be taken for one that has no secret.
		if o.clientSecret = secret.New(strings.TrimSpace(string(text))); o.clientSecret.IsZero() {
			return fmt.Errorf("--client-secret-file: %s is empty", o.secretFile)
		}
	}
	var err error
	o.network, err = newNetwork(o.caFiles, getenv(nodeCertificates))
	return err
}

// network is the way to servers: through the proxy of HTTPS_PROXY, HTTP_PROXY and
// NO_PROXY, trusting the certificates of the system and of extra files. Those of the
// system take longer to read than everything else that the bridge does at its
// start, so they are read when they are needed: a server on this machine that
// speaks http needs none.
type network struct {
	plain  *http.Transport
	secure func() *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && isLoopback(r.URL.Hostname()) { // no proxy either
		return n.plain.RoundTrip(r)
	}
	return n.secure().RoundTrip(r)
}

// newNetwork reads the files with certificates, and the one of the variable.
func newNetwork(files []string, variable string) (*network, error) {
	var extra [][]byte
	for _, name := range files {
		data, err := readCertificates(name)
		if err != nil {
			return nil, fmt.Errorf("--ca-cert: %w", err)
		}
		extra = append(extra, data)
	}
	if variable != "" {
		data, err := readCertificates(variable)
		if err != nil {
			return nil, fmt.Errorf("the variable %s: %w", nodeCertificates, err)
		}
		extra = append(extra, data)
	}
	n := &network{plain: newTransport(nil)}
	n.secure = sync.OnceValue(func() *http.Transport { return newTransport(trust(extra)) })
	return n, nil
}

// readCertificates reads a file in PEM form, as far as it takes to know that it is.
func readCertificates(name string) ([]byte, error) {
	data, err := readFile(name)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s has no certificate in PEM form", name)
	}
	return data, nil
}

// trust returns the certificates of the system with more, or nil for those of the
// system alone.
func trust(extra [][]byte) *x509.CertPool {
	if len(extra) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // then only what was named is trusted
	}
	for _, data := range extra {
		pool.AppendCertsFromPEM(data)
	}
	return pool
}

// newTransport loses a connection of a machine that slept without waiting for ever.
func newTransport(roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 4,
	}}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		MaxIdleConns:        128,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
	}
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return data, nil
}

// parseServer checks the address of an MCP server and spells it in one way, under
// which sign-ins are kept.
func parseServer(raw string, allowHTTP bool) (string, error) {
	if !strings.Contains(raw, "://") {
		// What stands before an @ may be a password.
		return "", fmt.Errorf("%q is neither a command nor the address of a server, like https://gateway.example.com/mcp", raw[strings.LastIndexByte(raw, '@')+1:])
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("the address of the server cannot be read: %w", errors.Unwrap(err))
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch {
	case u.User != nil: // first: the others show the address
		return "", errors.New("the address must not hold a name or password: signing in is done in the browser")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", fmt.Errorf("%s is not an address of http or https", raw)
	case u.Hostname() == "":
		return "", fmt.Errorf("%s names no host", raw)
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return "", fmt.Errorf("%s must not have a fragment (#)", raw)
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		return "", fmt.Errorf("%s would send tokens over http, where others can read them: use https, or --allow-http if you know that network", raw)
	}
	// An empty port is the default too (RFC 3986 §3.2.3).
	if port := u.Port(); port == "" || port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	if u.Path == "/" {
		u.Path = ""
	}
	return u.String(), nil
}

// isLoopback reports whether a host is this machine, whatever a name server says.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
