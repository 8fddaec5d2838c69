package entrasim

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const (
	// Choice is the only field of the sign-in page's form, which goes to the
	// page's own address. Its value is a user name, or Cancel.
	Choice = "choice"
	// Cancel is the choice of somebody who does not want to sign in.
	Cancel = "cancel"
)

var shownError = regexp.MustCompile(`AADSTS\d+: [^<]*`)

// SignIn is a browser with a script: it opens the sign-in page, presses the
// button of a user (or Cancel) and returns the address on which the client
// would get its answer, without going there. Answers by form_post have none.
func SignIn(ctx context.Context, client *http.Client, authorizeURL, choice string) (string, error) {
	browser := *client
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizeURL, nil)
	if err != nil {
		return "", err
	}
	location, page, err := browse(&browser, get)
	if err != nil || location != "" {
		return location, err // prompt=none asks nobody
	}
	if !strings.Contains(html.UnescapeString(page), `value="`+choice+`"`) {
		return "", fmt.Errorf("sign-in page: no button for %q", choice)
	}
	form := strings.NewReader(url.Values{Choice: {choice}}.Encode())
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, authorizeURL, form)
	if err != nil {
		return "", err
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	location, _, err = browse(&browser, post)
	if err == nil && location == "" {
		err = errors.New("sign-in page: the answer is not a redirect")
	}
	return location, err
}

// browse returns where a redirect leads, or the page, or the error shown.
func browse(client *http.Client, req *http.Request) (location, page string, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	switch resp.StatusCode {
	case http.StatusFound:
		return resp.Header.Get("Location"), "", nil
	case http.StatusOK:
		return "", string(body), nil
	default:
		shown := html.UnescapeString(shownError.FindString(string(body)))
		return "", "", fmt.Errorf("sign-in page: status %d: %s", resp.StatusCode, shown)
	}
}
