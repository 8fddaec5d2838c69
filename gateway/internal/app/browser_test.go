package app_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser follows a sign-in as a person's browser does: it keeps cookies,
// submits the forms it is shown and stops where the client listens.
type browser struct {
	t      *testing.T
	client *http.Client
	// stopAt is how addresses begin that are the client's to read.
	stopAt string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, stopAt: clientRedirect, client: &http.Client{
		Jar:           secureOnLoopback{jar},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// secureOnLoopback sends Secure cookies to http://localhost, as browsers do
// and net/http/cookiejar does not.
type secureOnLoopback struct{ http.CookieJar }

func (j secureOnLoopback) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(asHTTPS(u), cookies)
}

func (j secureOnLoopback) Cookies(u *url.URL) []*http.Cookie { return j.CookieJar.Cookies(asHTTPS(u)) }

func asHTTPS(u *url.URL) *url.URL {
	v := *u
	v.Scheme = "https"
	return &v
}

// document is a page as the person sees it.
type document struct {
	url    *url.URL
	status int
	header http.Header
	body   string
	forms  []form
}

// form is one form with its buttons; fields are hidden, or for text.
type form struct {
	action  string
	fields  url.Values
	buttons []button
}

type button struct{ name, value, text string }

func (b *browser) do(req *http.Request) (document, *url.URL) {
	b.t.Helper()
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	doc := document{url: req.URL, status: resp.StatusCode, header: resp.Header, body: string(body)}
	if location := resp.Header.Get("Location"); location != "" {
		next, err := req.URL.Parse(location)
		if err != nil {
			b.t.Fatal(err)
		}
		return doc, next
	}
	doc.forms = parseForms(b.t, doc.body)
	return doc, nil
}

// open follows redirects from an address until a page is shown, or until the
// client's redirect URI is reached (then the document is empty).
func (b *browser) open(ctx context.Context, address string) (document, *url.URL) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(ctx, req)
}

func (b *browser) follow(ctx context.Context, req *http.Request) (document, *url.URL) {
	b.t.Helper()
	for range 10 {
		doc, next := b.do(req)
		if next == nil {
			return doc, nil
		}
		if strings.HasPrefix(next.String(), b.stopAt) {
			return document{}, next
		}
		var err error
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil); err != nil {
			b.t.Fatal(err)
		}
	}
	b.t.Fatal("more than ten redirects")
	return document{}, nil
}

// press submits the first form with a button whose text or value contains want.
func (b *browser) press(ctx context.Context, doc document, want string) (document, *url.URL) {
	b.t.Helper()
	for _, f := range doc.forms {
		for _, btn := range f.buttons {
			if !strings.Contains(btn.text, want) && btn.value != want {
				continue
			}
			values := url.Values{btn.name: {btn.value}}
			maps.Copy(values, f.fields)
			action, err := doc.url.Parse(f.action)
			if err != nil {
				b.t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, action.String(), strings.NewReader(values.Encode()))
			if err != nil {
				b.t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			req.Header.Set("Origin", doc.url.Scheme+"://"+doc.url.Host)
			return b.follow(ctx, req)
		}
	}
	b.t.Fatalf("no button %q on this page (status %d):\n%s", want, doc.status, doc.body)
	return document{}, nil
}

func parseForms(t *testing.T, body string) []form {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var forms []form
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			forms = append(forms, parseForm(n))
		}
	}
	return forms
}

func parseForm(n *html.Node) form {
	f := form{action: attr(n, "action"), fields: url.Values{}}
	for c := range n.Descendants() {
		switch {
		case c.Type != html.ElementNode:
		case c.Data == "input" && (attr(c, "type") == "hidden" || attr(c, "type") == ""):
			f.fields.Add(attr(c, "name"), attr(c, "value"))
		case c.Data == "button":
			f.buttons = append(f.buttons, button{name: attr(c, "name"), value: attr(c, "value"), text: text(c)})
		}
	}
	return f
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			fmt.Fprint(&b, c.Data, " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
