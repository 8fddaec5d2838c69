package oauth

import (
	"errors"
	"fmt"
	"strings"
)

// The WWW-Authenticate header: RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1.

// Challenge is one challenge of a WWW-Authenticate header.
type Challenge struct {
	// Scheme in lower case ("bearer"): it is case-insensitive (RFC 9110 §11.1).
	Scheme string
	// Params by name in lower case, for the same reason (RFC 9110 §11.2).
	Params map[string]string
}

// Bounds on what a server may make us read.
const (
	maxChallengeBytes  = 16 << 10
	maxChallenges      = 16
	maxChallengeParams = 32
)

// FormatBearer returns a Bearer challenge with the parameters in their order,
// every value quoted. Names are constants of the caller. A character of a value
// that a quoted string cannot carry becomes a question mark: nothing that is
// put into a challenge can end the header.
func FormatBearer(params ...[2]string) string {
	var b strings.Builder
	b.WriteString("Bearer")
	separator := " "
	for _, p := range params {
		b.WriteString(separator + p[0] + `="`)
		for _, c := range p[1] {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteRune(c)
			case c < ' ' || c > '~':
				b.WriteByte('?')
			default:
				b.WriteRune(c)
			}
		}
		b.WriteByte('"')
		separator = ", "
	}
	return b.String()
}

// ParseChallenges reads all values of a WWW-Authenticate header. It is strict
// about structure, so that no value is read that was not meant, with one
// exception: a value without quotes may have the characters of a URL, because
// some servers send resource_metadata so. The credentials form "Scheme token68"
// is read and its token dropped: no scheme spoken here has one.
func ParseChallenges(headers []string) ([]Challenge, error) {
	total := 0
	var all []Challenge
	for _, header := range headers {
		if total += len(header); total > maxChallengeBytes {
			return nil, fmt.Errorf("challenge: the header is longer than %d bytes", maxChallengeBytes)
		}
		p := challengeParser{rest: header}
		// "A recipient MUST parse and ignore a reasonable number of empty
		// list elements" (RFC 9110 §5.6.1.2).
		for p.skip(" \t,"); p.rest != ""; p.skip(" \t,") {
			c, err := p.challenge()
			if err != nil {
				return nil, fmt.Errorf("challenge %d: %w", len(all)+1, err)
			}
			if all = append(all, c); len(all) > maxChallenges {
				return nil, fmt.Errorf("challenge: there are more than %d", maxChallenges)
			}
		}
	}
	return all, nil
}

type challengeParser struct{ rest string }

func (p *challengeParser) challenge() (Challenge, error) {
	scheme := p.token()
	if scheme == "" {
		return Challenge{}, errors.New("there is no scheme")
	}
	c := Challenge{Scheme: strings.ToLower(scheme), Params: make(map[string]string)}
	if p.atEnd() {
		return c, nil
	}
	if !p.skip(" \t") {
		return Challenge{}, errors.New("the scheme has a character that it cannot have")
	}
	if p.atEnd() || p.token68() {
		return c, nil
	}
	for {
		if err := p.param(c.Params); err != nil {
			return Challenge{}, err
		}
		p.skip(" \t")
		if !p.atEnd() {
			return Challenge{}, errors.New("a comma is missing between parameters")
		}
		if !p.moreParams() {
			return c, nil
		}
	}
}

// atEnd reports whether the list element ends here.
func (p *challengeParser) atEnd() bool { return p.rest == "" || p.rest[0] == ',' }

// moreParams steps over commas if a parameter follows, and not the scheme of
// another challenge: only a parameter has an equals sign after its first word.
func (p *challengeParser) moreParams() bool {
	ahead := *p
	ahead.skip(" \t,")
	found := ahead
	if ahead.token() == "" {
		return false
	}
	ahead.skip(" \t")
	if !strings.HasPrefix(ahead.rest, "=") {
		return false
	}
	*p = found
	return true
}

func (p *challengeParser) param(into map[string]string) error {
	name := strings.ToLower(p.token())
	p.skip(" \t")
	if name == "" || !strings.HasPrefix(p.rest, "=") {
		return errors.New("a parameter is malformed")
	}
	p.rest = p.rest[1:]
	p.skip(" \t")
	value, err := p.value()
	if err != nil {
		return err
	}
	// "Parameter names MUST only occur once per challenge" (RFC 9110
	// §11.2): of two resource_metadata, one is an attack or a mistake.
	if _, twice := into[name]; twice {
		return errors.New("a parameter stands twice")
	}
	if into[name] = value; len(into) > maxChallengeParams {
		return fmt.Errorf("there are more than %d parameters", maxChallengeParams)
	}
	return nil
}

func (p *challengeParser) value() (string, error) {
	if strings.HasPrefix(p.rest, `"`) {
		return p.quoted()
	}
	value := p.while(func(c byte) bool { return c > ' ' && c <= '~' && c != ',' && c != '"' })
	if value == "" {
		return "", errors.New("a parameter has no value")
	}
	return value, nil
}

// quoted reads a quoted-string (RFC 9110 §5.6.4).
func (p *challengeParser) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		if c == '"' {
			p.rest = p.rest[i+1:]
			return b.String(), nil
		}
		if c == '\\' {
			if i++; i == len(p.rest) {
				break
			}
			c = p.rest[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", errors.New("a quoted value has a control character")
		}
		b.WriteByte(c)
	}
	return "", errors.New("a quoted value does not end")
}

// token68 reads past one, if the list element is nothing else (RFC 9110 §11.2).
func (p *challengeParser) token68() bool {
	ahead := *p
	if ahead.while(func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0 }) == "" {
		return false
	}
	ahead.skip("=")
	ahead.skip(" \t")
	if !ahead.atEnd() {
		return false
	}
	*p = ahead
	return true
}

// token reads a token (RFC 9110 §5.6.2), or nothing.
func (p *challengeParser) token() string {
	return p.while(func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 })
}

func (p *challengeParser) while(ok func(byte) bool) string {
	n := 0
	for n < len(p.rest) && ok(p.rest[n]) {
		n++
	}
	read := p.rest[:n]
	p.rest = p.rest[n:]
	return read
}

// skip reports whether there was anything to skip.
func (p *challengeParser) skip(set string) bool {
	before := len(p.rest)
	p.rest = strings.TrimLeft(p.rest, set)
	return len(p.rest) < before
}
