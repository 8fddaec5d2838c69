// Package lab has, for tests, Chromium without a screen, and a person before a
// browser that is no more than an HTTP client. No code of a product imports it.
package lab

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"mcp-gateway/shared/entrasim"
)

// BrowserLog is where Desktop notes what it did, in the person's home.
const BrowserLog = "browser.log"

// patience is for one sign-in on a busy machine.
const patience = time.Minute

// Desktop is the program xdg-open of a desktop where somebody sits who signs in
// as Ada. The command's arguments are one address.
func Desktop(ctx context.Context, home string, args []string) (err error) {
	log, err := os.OpenFile(filepath.Join(home, BrowserLog), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = fmt.Fprintf(log, "failed: %v\n", err)
		}
		err = errors.Join(err, log.Close())
	}()
	if _, err := fmt.Fprintf(log, "opened %q\n", args); err != nil {
		return err
	}
	if len(args) != 1 {
		return errors.New("a browser is given one address")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return SignIn(ctx, args[0], entrasim.Ada)
}

// SignIn goes the whole way of a sign-in, page by page: the code of a device if it
// is one, consent, Microsoft, and back to the program that asked if it is no device.
func SignIn(ctx context.Context, address, who string) error {
	_, err := signIn(ctx, address, who, "")
	return err
}

// SignInElsewhere is SignIn before a browser that cannot reach the program that
// asked. It returns where that browser was sent in the end.
func SignInElsewhere(ctx context.Context, address, who string) (string, error) {
	return signIn(ctx, address, who, "http://127.0.0.1:")
}

// signIn stops where an address begins with unreachable, if that is not empty.
func signIn(ctx context.Context, address, who, unreachable string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	b := browser{&http.Client{
		Jar:           secureOnLoopback{jar},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	defer b.client.CloseIdleConnections()
	consent, _, err := b.get(ctx, address)
	if code := userCode.FindStringSubmatch(consent); err == nil && code != nil {
		consent, _, err = b.post(ctx, address, "/device", url.Values{"user_code": {html.UnescapeString(code[1])}})
	}
	if err != nil {
		return "", err
	}
	microsoft, err := b.allow(ctx, address, consent)
	if err != nil {
		return "", err
	}
	next, err := entrasim.SignIn(ctx, b.client, microsoft, who)
	for range 3 {
		if err != nil || next == "" || unreachable != "" && strings.HasPrefix(next, unreachable) {
			return next, err
		}
		_, next, err = b.get(ctx, next)
	}
	return "", fmt.Errorf("redirected on and on, to %s", next)
}

// browser keeps cookies and goes nowhere by itself.
type browser struct{ client *http.Client }

// get returns a page, or where it redirects to.
func (b browser) get(ctx context.Context, address string) (page, location string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", "", err
	}
	return b.do(req)
}

func (b browser) do(req *http.Request) (page, location string, err error) {
	resp, err := b.client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	if to, err := resp.Location(); err == nil {
		return "", to.String(), nil
	}
	if resp.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("%s%s: status %d: %s", req.URL.Host, req.URL.Path, resp.StatusCode, body)
	}
	return string(body), "", nil
}

// userCode is the field for the code of a device.
var userCode = regexp.MustCompile(`name="user_code" value="([^"]*)"`)

var sealedForm = regexp.MustCompile(`name="form" value="([^"]*)"`)

// allow presses the button of the consent page.
func (b browser) allow(ctx context.Context, address, page string) (location string, err error) {
	form := sealedForm.FindStringSubmatch(page)
	if form == nil {
		return "", fmt.Errorf("no consent page:\n%s", page)
	}
	page, location, err = b.post(ctx, address, "/consent", url.Values{"form": {html.UnescapeString(form[1])}, "decision": {"allow"}})
	if err == nil && location == "" {
		err = fmt.Errorf("allowing leads nowhere:\n%s", page)
	}
	return location, err
}

// post sends a form of a page at address to a path of the same server.
func (b browser) post(ctx context.Context, address, path string, values url.Values) (page, location string, err error) {
	to, err := url.Parse(address)
	if err != nil {
		return "", "", err
	}
	to.Path, to.RawQuery = path, ""
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Origin", to.Scheme+"://"+to.Host)
	return b.do(req)
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
