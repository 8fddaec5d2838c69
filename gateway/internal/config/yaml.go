package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"mcp-gateway/shared/secret"
)

// file reads the YAML file into the configuration.
func (l *loader) file() {
	if len(bytes.TrimSpace(l.src.Data)) == 0 {
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(l.src.Data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		l.problems = append(l.problems, Problem{l.src.File, "is not YAML: " + err.Error(), ""})
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		l.problems = append(l.problems, Problem{l.src.File, "holds more than one document", "remove the rest from the line ---"})
	}
	if len(doc.Content) == 0 {
		return
	}
	l.section("", doc.Content[0], l.root())
}

// field reads the value of one key.
type field func(l *loader, key string, n *yaml.Node)

// root are the keys of the file. This table is the list of what exists.
func (l *loader) root() map[string]field {
	c := l.cfg
	return map[string]field{
		"public_url":      text(&c.PublicURL),
		"listen":          text(&c.Listen),
		"tls":             group(map[string]field{"certificate_file": text(&c.TLS.CertificateFile), "key_file": text(&c.TLS.KeyFile)}),
		"trusted_proxies": prefixes(&c.TrustedProxies),
		"state_dir":       text(&c.StateDir),
		"key_file":        text(&c.KeyFile),
		"microsoft": group(map[string]field{
			"client_id": text(&c.Microsoft.ClientID), "tenant_id": text(&c.Microsoft.TenantID),
			"client_secret_file": secretFile(&c.Microsoft.ClientSecret),
			"client_secret":      refuseSecret,
			"authority_host":     text(&c.Microsoft.AuthorityHost), "prompt": text(&c.Microsoft.Prompt),
		}),
		"tokens": group(map[string]field{
			"code_lifetime": duration(&c.Tokens.CodeLifetime), "access_lifetime": duration(&c.Tokens.AccessLifetime),
			"refresh_idle": duration(&c.Tokens.RefreshIdle), "refresh_absolute": duration(&c.Tokens.RefreshAbsolute),
			"refresh_grace": duration(&c.Tokens.RefreshGrace), "grant_lifetime": duration(&c.Tokens.GrantLifetime),
		}),
		"http": group(map[string]field{
			"max_body_bytes": number(&c.HTTP.MaxBodyBytes), "call_timeout": duration(&c.HTTP.CallTimeout),
			"max_concurrent_calls": number(&c.HTTP.MaxConcurrentCalls),
			"allowed_hosts":        texts(&c.HTTP.AllowedHosts), "allowed_origins": texts(&c.HTTP.AllowedOrigins),
			"rates": group(map[string]field{"register": rate(&c.HTTP.Register), "authorize": rate(&c.HTTP.Authorize), "token": rate(&c.HTTP.Token)}),
		}),
		"access": rules(&c.Access),
		"log":    group(map[string]field{"level": text(&c.Log.Level), "format": text(&c.Log.Format)}),
	}
}

// section reads a mapping: each key once, and only known ones.
func (l *loader) section(prefix string, n *yaml.Node, fields map[string]field) {
	if n.Kind != yaml.MappingNode {
		l.bad(prefix, n, "must be a mapping of keys to values")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		key := name
		if prefix != "" {
			key = prefix + "." + name
		}
		where := l.line(n.Content[i])
		if first, twice := seen[name]; twice {
			l.problems = append(l.problems, Problem{where, key + " stands twice, first in line " + strconv.Itoa(first), "remove one of them"})
			continue
		}
		seen[name] = n.Content[i].Line
		read, known := fields[name]
		if !known {
			l.problems = append(l.problems, Problem{where, "there is no setting " + key, suggest(name, fields)})
			continue
		}
		l.at[key] = where
		read(l, key, value)
	}
}

func (l *loader) line(n *yaml.Node) string { return fmt.Sprintf("%s:%d", l.src.File, n.Line) }

func (l *loader) bad(key string, n *yaml.Node, what string) {
	l.problems = append(l.problems, Problem{l.line(n), strings.TrimSpace(key + " " + what), ""})
}

// suggest names the setting that was probably meant.
func suggest(name string, fields map[string]field) string {
	best, distance := "", len(name)/2+1
	for known := range fields {
		if d := editDistance(name, known); d < distance || d == distance && known < best {
			best, distance = known, d
		}
	}
	if best == "" {
		names := make([]string, 0, len(fields))
		for known := range fields {
			names = append(names, known)
		}
		slices.Sort(names)
		return "the settings here are " + strings.Join(names, ", ")
	}
	return "did you mean " + best + "?"
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func group(fields map[string]field) field {
	return func(l *loader, key string, n *yaml.Node) { l.section(key, n, fields) }
}

// scalar returns a plain value's text.
func (l *loader) scalar(key string, n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		l.bad(key, n, "must have a value")
		return "", false
	}
	return n.Value, true
}

func text(dst *string) field {
	return func(l *loader, key string, n *yaml.Node) {
		if v, ok := l.scalar(key, n); ok {
			*dst = v
		}
	}
}

func texts(dst *[]string) field {
	return func(l *loader, key string, n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			l.bad(key, n, "must be a list")
			return
		}
		for _, item := range n.Content {
			if v, ok := l.scalar(key, item); ok {
				*dst = append(*dst, v)
			}
		}
	}
}

func prefixes(dst *[]netip.Prefix) field {
	return func(l *loader, key string, n *yaml.Node) {
		var all []string
		texts(&all)(l, key, n)
		for _, v := range all {
			p, err := netip.ParsePrefix(v)
			if err != nil {
				l.bad(key, n, fmt.Sprintf("has %q, which is not a network like 10.0.0.0/8", v))
				continue
			}
			*dst = append(*dst, p.Masked())
		}
	}
}

func duration(dst *time.Duration) field {
	return func(l *loader, key string, n *yaml.Node) {
		v, ok := l.scalar(key, n)
		if !ok {
			return
		}
		d, err := time.ParseDuration(v)
		if err != nil {
			l.bad(key, n, fmt.Sprintf("is %q, which is not a duration like 90s, 10m or 24h", v))
			return
		}
		*dst = d
	}
}

func number[T int | int64](dst *T) field {
	return func(l *loader, key string, n *yaml.Node) {
		v, ok := l.scalar(key, n)
		if !ok {
			return
		}
		i, err := strconv.ParseInt(v, 10, strconv.IntSize)
		if err != nil {
			l.bad(key, n, fmt.Sprintf("is %q, which is not a whole number", v))
			return
		}
		*dst = T(i)
	}
}

func rate(dst *Rate) field {
	return func(l *loader, key string, n *yaml.Node) {
		perMinute := 0
		l.section(key, n, map[string]field{"per_minute": number(&perMinute), "burst": number(&dst.Burst)})
		if l.at[key+".per_minute"] != "" {
			dst.PerMinute = float64(perMinute)
		}
	}
}

func secretFile(dst *secret.Value) field {
	return func(l *loader, key string, n *yaml.Node) {
		path, ok := l.scalar(key, n)
		if !ok {
			return
		}
		l.at["microsoft.client_secret"] = l.line(n)
		data, err := l.src.ReadFile(path)
		if err != nil {
			l.bad(key, n, "cannot be read: "+err.Error())
			return
		}
		value := strings.TrimSpace(string(data))
		if value == "" {
			l.bad(key, n, "names an empty file")
			return
		}
		*dst = secret.New(value)
	}
}

// refuseSecret keeps secrets out of a file that is copied, mailed and
// committed.
func refuseSecret(l *loader, key string, n *yaml.Node) {
	l.at["microsoft.client_secret"] = l.line(n)
	l.problems = append(l.problems, Problem{l.line(n), key + " must not stand in this file",
		"write the secret into a file of its own and name it in client_secret_file, or set MICROSOFT_CLIENT_SECRET_FILE"})
}

func rules(dst *[]Rule) field {
	return func(l *loader, key string, n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			l.bad(key, n, "must be a list of rules")
			return
		}
		for i, item := range n.Content {
			var r Rule
			name := fmt.Sprintf("%s[%d]", key, i)
			l.at[name] = l.line(item)
			l.section(name, item, map[string]field{
				"name": text(&r.Name), "users": texts(&r.Users), "groups": texts(&r.Groups), "roles": texts(&r.Roles),
				"tenants": texts(&r.Tenants), "tools": texts(&r.Tools),
			})
			*dst = append(*dst, r)
		}
	}
}
