package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"mcp-gateway/shared/oauth"
)

const (
	maxBody = 1 << 20
	maxText = 200 // characters of a server's own words
)

// Refusal is an error that an authorization server has answered.
type Refusal struct {
	// Step is what was tried: "authorize", "exchange code", "refresh" or "register".
	Step string
	Code string
	// Description is the server's words, made harmless to show; may be "".
	Description string
}

func (r *Refusal) Error() string {
	text := r.Step + ": the authorization server answered " + r.Code
	if r.Code == oauth.CodeAccessDenied {
		text = r.Step + ": access was denied (" + r.Code + ")"
	}
	if r.Description != "" {
		text += " (it says: " + r.Description + ")"
	}
	return text
}

// refusal makes a Refusal of what a server sent. The secrets of the request are
// taken out first: some servers repeat what they refuse.
func refusal(step, code, description string, secrets ...string) *Refusal {
	for _, s := range secrets {
		if s != "" {
			code, description = strings.ReplaceAll(code, s, "[redacted]"), strings.ReplaceAll(description, s, "[redacted]")
		}
	}
	return &Refusal{Step: step, Code: clean(code), Description: clean(description)}
}

// is reports whether err is a Refusal with one of the codes.
func is(err error, codes ...string) bool {
	var r *Refusal
	if !errors.As(err, &r) {
		return false
	}
	return slices.Contains(codes, r.Code)
}

// refusesResource reports whether the server will not have the resource
// parameter. Entra ID says so in its own words, under other codes.
func refusesResource(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && (r.Code == oauth.CodeInvalidTarget ||
		strings.Contains(r.Description, "AADSTS9010010") || strings.Contains(r.Description, "AADSTS901002"))
}

// clean makes a stranger's text harmless in a terminal and a log: one line of
// printable characters (so no escapes and no bidirectional controls), cut short.
func clean(text string) string {
	var b strings.Builder
	n, gap := 0, false
	for _, r := range text {
		if unicode.IsSpace(r) {
			gap = n > 0
			continue
		}
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			continue
		}
		if gap {
			if n+2 > maxText {
				break
			}
			_ = b.WriteByte(' ')
			n, gap = n+1, false
		}
		if n == maxText {
			break
		}
		_, _ = b.WriteRune(r)
		n++
	}
	return b.String()
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request to a checked URL.
func (c *Client) do(req *http.Request) (reply, error) {
	if err := c.checkURL(req.URL.String()); err != nil {
		return reply{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		// The URL in a url.Error may have a query that is nobody's business.
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return reply{}, fmt.Errorf("reach %s: %w", req.URL.Host, err)
	}
	defer func() { _ = res.Body.Close() }()
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return reply{status: res.StatusCode, header: res.Header}, nil // it may never end
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return reply{}, fmt.Errorf("read the answer of %s: %w", req.URL.Host, err)
	case len(body) > maxBody:
		return reply{}, fmt.Errorf("the answer of %s is over %d bytes", req.URL.Host, maxBody)
	}
	return reply{status: res.StatusCode, header: res.Header, body: body}, nil
}

// errAbsent: there is no such document at a URL.
var errAbsent = errors.New("not there")

// document reads a JSON object from a URL. errAbsent covers everything that only
// says that the server does not know the URL, pages for people included; a server
// that fails is another matter.
func (c *Client) document(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("read metadata: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.do(req)
	switch {
	case err != nil:
		return fmt.Errorf("read metadata: %w", err)
	case res.status >= 500 || res.status == http.StatusTooManyRequests:
		return fmt.Errorf("read metadata: %s answered %d, try again later", req.URL.Host, res.status)
	case res.status != http.StatusOK:
		return fmt.Errorf("%w: %s (status %d)", errAbsent, address, res.status)
	}
	if err := json.Unmarshal(res.body, into); err != nil {
		return fmt.Errorf("%w: %s (no JSON metadata)", errAbsent, address)
	}
	return nil
}
