package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"mcp-gateway/shared/secret"
)

// This file holds a function for each kind of value: it takes the text and
// returns the value in its one canonical form, or says what is wrong with it.
// None of those for the microsoft section repeats the text, because a client
// id and a secret in each other's place would print the secret.

var (
	guidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	// labelForm is one label of a host name (RFC 1123 §2.1).
	labelForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// personalTenant is the directory of all personal accounts, which "consumers"
// stands for.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// severalTenants are the names that stand for more than one organization.
var severalTenants = []string{"organizations", "common", "consumers", personalTenant}

func guid(text string) (string, bool) {
	text = strings.ToLower(text)
	return text, guidForm.MatchString(text)
}

func clientID(text string) (string, *refusal) {
	id, ok := guid(text)
	if !ok {
		return "", &refusal{"is not a GUID", "copy the application (client) id from the overview of the app registration"}
	}
	return id, nil
}

func clientSecret(text string) (secret.Value, *refusal) {
	if _, isID := guid(text); isID {
		// Microsoft answers AADSTS7000215 to this, at the first sign-in only.
		return secret.Value{}, &refusal{"is a GUID: that is the secret's id, not its value",
			"make a new client secret and copy the column \"Value\"; it is shown once"}
	}
	if strings.ContainsFunc(text, unicode.IsSpace) {
		return secret.Value{}, &refusal{"holds white space, which a client secret never does", "give the secret's value and nothing else"}
	}
	return secret.New(text), nil
}

func tenant(text string) (string, *refusal) {
	text = strings.ToLower(text)
	if _, ok := guid(text); ok || slices.Contains(severalTenants, text) {
		return text, nil // finishTenants asks for a list, if it is several
	}
	if _, err := netip.ParseAddr(text); err == nil || !strings.Contains(text, ".") || !hostName(text) {
		return "", &refusal{"is neither a GUID nor a domain", "copy the directory (tenant) id from the overview of the app registration"}
	}
	return text, nil
}

func allowedTenant(text string) (string, *refusal) {
	id, ok := guid(text)
	if !ok {
		return "", &refusal{"holds what is not the id of a tenant", "list directory (tenant) ids, each a GUID; neither domains nor * are understood, since a token holds the id"}
	}
	return id, nil
}

func authority(text string) (string, *refusal) {
	u, bad := parseOrigin(text)
	if bad != nil {
		return "", &refusal{bad.message, "give the cloud's sign-in host alone, such as https://login.microsoftonline.us; the tenant goes into tenant_id"}
	}
	return u, nil
}

func graphURL(text string) (string, *refusal) {
	u, bad := parseOrigin(text)
	if bad != nil {
		return "", &refusal{bad.message, "give the host of Microsoft Graph alone, such as https://graph.microsoft.us"}
	}
	return u, nil
}

// publicURL accepts http on loopback; whether that suits the rest is checked
// when the rest is known.
func publicURL(text string) (string, *refusal) {
	u, bad := parseOrigin(text)
	if bad != nil {
		return "", &refusal{bad.message, "give scheme and host, such as https://mcp.example.com; the gateway owns every path below"}
	}
	if strings.HasPrefix(u, "http:") && !loopbackURL(u) {
		return "", &refusal{"is http, and only a loopback host may be: tokens would cross the network in the clear", "use https"}
	}
	return u, nil
}

func origin(text string) (string, *refusal) {
	if text == "*" || strings.EqualFold(text, "null") {
		return "", &refusal{"would let any web page use the gateway in the name of whoever opens it", "list the origins one by one"}
	}
	u, bad := parseOrigin(text)
	if bad != nil {
		return "", &refusal{bad.message, "write an origin as a browser sends it, such as https://tools.example.com"}
	}
	if strings.HasPrefix(u, "http:") {
		return "", &refusal{"is http: anybody on the way can change such a page", "use https; loopback origins are allowed without being listed"}
	}
	return u, nil
}

// parseOrigin returns scheme://host[:port] in the form that browsers use
// (RFC 6454 §6.1): lower-case and without the scheme's default port.
func parseOrigin(text string) (string, *refusal) {
	u, err := url.Parse(text)
	if err != nil {
		return "", &refusal{message: "is not a URL"}
	}
	scheme := strings.ToLower(u.Scheme)
	switch {
	case scheme != "https" && scheme != "http":
		return "", &refusal{message: "does not start with https://"}
	case u.User != nil:
		return "", &refusal{message: "holds a user name"}
	case u.Path != "" && u.Path != "/":
		return "", &refusal{message: "has a path"}
	case strings.ContainsAny(text, "?#"):
		return "", &refusal{message: "has a query or a fragment"}
	}
	host, bad := hostPort(u.Host)
	if bad != nil {
		return "", &refusal{message: bad.message}
	}
	defaultPort := map[string]string{"https": ":443", "http": ":80"}[scheme]
	return scheme + "://" + strings.TrimSuffix(host, defaultPort), nil
}

// hostPort returns host or host:port, lower-case. An IPv6 address stands in
// brackets.
func hostPort(text string) (string, *refusal) {
	if strings.Contains(text, "*") {
		return "", &refusal{"has a wildcard, and only whole names are compared", "list the hosts one by one"}
	}
	bad := &refusal{"is not a host with an optional port", "write it as in a URL, such as mcp.example.com or mcp.example.com:8443; non-ASCII names in their xn-- form"}
	text = strings.ToLower(text)
	host, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, port = text[:i], text[i:]
		if n, err := strconv.ParseUint(port[1:], 10, 16); err != nil || n == 0 || port[1] == '0' {
			return "", bad
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" || addr.IsUnspecified() {
			return "", bad
		}
		return "[" + addr.String() + "]" + port, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() && !addr.IsUnspecified() {
		return host + port, nil
	} else if err == nil || !hostName(host) {
		return "", bad
	}
	return host + port, nil
}

// hostName checks a lower-case name. A name whose last label is digits would
// be read as an IPv4 address by browsers.
func hostName(text string) bool {
	labels := strings.Split(text, ".")
	for _, label := range labels {
		if !labelForm.MatchString(label) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(text) <= 253 && strings.Trim(last, "0123456789") != ""
}

// loopbackURL tells whether an origin is this machine's own.
func loopbackURL(u string) bool {
	_, host, _ := strings.Cut(u, "://")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return loopbackHost(strings.Trim(host, "[]"))
}

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func listenAddress(text string) (string, *refusal) {
	bad := &refusal{"is not address:port", "write an address of this machine and a port, such as 127.0.0.1:8788, or 0.0.0.0:8443 for all addresses"}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", bad
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", bad
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return "", bad
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

func network(text string) (netip.Prefix, *refusal) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		text = netip.PrefixFrom(addr, addr.BitLen()).String()
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, &refusal{"is not a network", "write an address and a prefix length, such as 10.0.0.0/8 or fd00::/8"}
	case p.Addr().Is4In6():
		return p, &refusal{"is an IPv4 address in IPv6 form", "write it in IPv4 form"}
	case p.Bits() == 0:
		return p, &refusal{"trusts everybody: any client could then choose the address it is counted and logged under", "name the networks of your proxies"}
	case p != p.Masked():
		return p, &refusal{"has bits set behind its prefix length", fmt.Sprintf("write %s, or %s for that one address", p.Masked(), p.Addr())}
	}
	return p, nil
}

func choice(values ...string) func(string) (string, *refusal) {
	return func(text string) (string, *refusal) {
		if !slices.Contains(values, text) {
			return "", &refusal{fmt.Sprintf("%q is not one of its values", text), "use one of: " + strings.Join(values, ", ")}
		}
		return text, nil
	}
}

func logLevel(text string) (slog.Level, *refusal) {
	name, bad := choice("debug", "info", "warn", "error")(text)
	if bad != nil {
		return 0, bad
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(name)) // it knows these four
	return level, nil
}

// between reads a duration. why is the reason for the upper limit.
func between(least, most time.Duration, why string) func(string) (time.Duration, *refusal) {
	return func(text string) (time.Duration, *refusal) {
		d, err := time.ParseDuration(text)
		if err != nil {
			remedy := "write a number and a unit, such as 90s, 10m or 24h"
			if days, ok := strings.CutSuffix(text, "d"); ok {
				if n, err := strconv.ParseUint(days, 10, 16); err == nil {
					remedy = fmt.Sprintf("write days as hours: %dh", n*24)
				}
			}
			return 0, &refusal{fmt.Sprintf("%q is not a duration", text), remedy}
		}
		return d, limits(text, d, least, most, why)
	}
}

// day reads a date, and returns its begin in UTC.
func day(text string) (time.Time, *refusal) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, &refusal{"is not a day", "write it as year-month-day, such as 2027-03-31"}
	}
	return t, nil
}

// whole reads a whole number. why is the reason for the upper limit.
func whole[T int | int64 | float64](least, most int64, why string) func(string) (T, *refusal) {
	return func(text string) (T, *refusal) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, &refusal{fmt.Sprintf("%q is not a whole number", text), "write digits only"}
		}
		return T(n), limits(text, n, least, most, why)
	}
}

func limits[T time.Duration | int64](text string, v, least, most T, why string) *refusal {
	switch {
	case v < least:
		return &refusal{fmt.Sprintf("%s is less than %s", text, show(least)), "use at least " + show(least)}
	case v > most:
		return &refusal{fmt.Sprintf("%s is more than %s: %s", text, show(most), why), "use at most " + show(most)}
	}
	return nil
}
