package entrasim

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// SignIn does what a person does on the sign-in page: it opens the address
// that the gateway sent the browser to, chooses a user ("tenant/object", or ""
// to cancel) and returns where the browser is sent then, without going there.
func SignIn(ctx context.Context, address, user string) (callback string, err error) {
	form := url.Values{fieldUser: {user}}
	if user == "" {
		form = url.Values{fieldCancel: {"1"}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusFound {
		return "", fmt.Errorf("the sign-in page answered with status %d", resp.StatusCode)
	}
	return resp.Header.Get("Location"), nil
}
