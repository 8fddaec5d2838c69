package oauth

import (
	"errors"
	"strings"
)

// Challenge is one challenge of a WWW-Authenticate header (RFC 9110 §11.6.1).
type Challenge struct {
	// Scheme in lower case.
	Scheme string
	// Params by lower-case name. A token68 is under the empty name.
	Params map[string]string
}

// FormatBearer formats a Bearer challenge (RFC 6750 §3) with its parameters in
// order. Values are quoted; what a header cannot carry is left out of them.
func FormatBearer(params ...[2]string) string {
	var b strings.Builder
	b.WriteString("Bearer")
	for i, p := range params {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(" " + p[0] + `="`)
		for _, c := range []byte(p[1]) {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c == '\t' || c >= ' ' && c != 0x7f:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	return b.String()
}

// errChallenge: the header is not a list of challenges.
var errChallenge = errors.New("malformed WWW-Authenticate header")

// maxChallenge bounds what is parsed of one header line.
const maxChallenge = 16 << 10

// ParseChallenges parses the lines of a WWW-Authenticate header. Parameters
// may be tokens or quoted strings; a repeated parameter is an error, because
// two readers could differ on which one counts.
func ParseChallenges(lines []string) ([]Challenge, error) {
	var all []Challenge
	for _, line := range lines {
		if len(line) > maxChallenge {
			return nil, errChallenge
		}
		p := challengeParser{s: line}
		for p.skipCommas(); p.s != ""; p.skipCommas() {
			if err := p.next(&all); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

type challengeParser struct{ s string }

func (p *challengeParser) skipSpace() { p.s = strings.TrimLeft(p.s, " \t") }

func (p *challengeParser) skipCommas() { p.s = strings.TrimLeft(p.s, " \t,") }

func (p *challengeParser) token() string {
	i := 0
	for i < len(p.s) && isTokenChar(p.s[i]) {
		i++
	}
	t := p.s[:i]
	p.s = p.s[i:]
	return t
}

func isTokenChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) < 0
}

// next parses a scheme with what follows it, or a parameter of the challenge
// before: both begin with a token and only what comes after tells them apart.
func (p *challengeParser) next(all *[]Challenge) error {
	name := p.token()
	if name == "" {
		return errChallenge
	}
	rest := p.s
	p.skipSpace()
	if strings.HasPrefix(p.s, "=") && len(*all) > 0 {
		return p.param((*all)[len(*all)-1], name)
	}
	*all = append(*all, Challenge{Scheme: strings.ToLower(name), Params: map[string]string{}})
	if p.s == "" || p.s[0] == ',' {
		return nil
	}
	if rest == p.s {
		return errChallenge // something other than space after the scheme
	}
	return p.first((*all)[len(*all)-1])
}

// first parses the first parameter after a scheme, or a token68.
func (p *challengeParser) first(c Challenge) error {
	start := p.s
	name := p.token()
	p.skipSpace()
	if name != "" && strings.HasPrefix(p.s, "=") {
		after := strings.TrimLeft(p.s[1:], " \t")
		if after != "" && (after[0] == '"' || isTokenChar(after[0])) {
			return p.param(c, name)
		}
	}
	end := strings.IndexAny(start, ", \t")
	if end < 0 {
		end = len(start)
	}
	if strings.Trim(start[:end], unreserved+"+/=") != "" || end == 0 {
		return errChallenge
	}
	c.Params[""] = start[:end]
	p.s = start[end:]
	p.skipSpace()
	if p.s != "" && p.s[0] != ',' {
		return errChallenge
	}
	return nil
}

// param parses `= value` of a parameter.
func (p *challengeParser) param(c Challenge, name string) error {
	name = strings.ToLower(name)
	if _, twice := c.Params[name]; twice {
		return errChallenge
	}
	p.s = p.s[1:]
	p.skipSpace()
	value := ""
	if strings.HasPrefix(p.s, `"`) {
		var ok bool
		if value, ok = p.quoted(); !ok {
			return errChallenge
		}
	} else if value = p.token(); value == "" {
		return errChallenge
	}
	c.Params[name] = value
	p.skipSpace()
	if p.s != "" && p.s[0] != ',' {
		return errChallenge
	}
	return nil
}

func (p *challengeParser) quoted() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.s):
			i++
			b.WriteByte(p.s[i])
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
