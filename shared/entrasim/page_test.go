package entrasim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
)

func TestSignInPageOffersEveryPersonAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	r := w.get(authorizePath(entrasim.DemoTenant, query(nil)))
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status %d, %s", r.status, r.header.Get("Content-Type"))
	}
	for _, want := range []string{
		"Simulated Microsoft sign-in: development only", `<html lang="en">`, `<form method="post">`, "to continue to MCP gateway",
		`name="choice" value="` + entrasim.Ada + `"`, `name="choice" value="` + entrasim.Max + `"`, `name="choice" value="` + entrasim.Nora + `"`,
		`name="choice" value="` + entrasim.Olga + `"`, `name="choice" value="` + entrasim.Gus + `"`, `name="choice" value="` + entrasim.Mallory + `"`,
		`name="choice" value="cancel"`, "Contoso demo", "Administrator: ", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if strings.Contains(r.body, "<script") || strings.Contains(r.body, "{{") {
		t.Error("the page has a script or an unexpanded template")
	}
}

func TestPagesSendTheirSecurityHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	formPost := authorizePath(entrasim.DemoTenant, query(map[string]string{"response_mode": "form_post"}))
	for name, r := range map[string]reply{
		"sign-in":   w.get(authorizePath(entrasim.DemoTenant, query(nil))),
		"failure":   w.get(authorizePath("nowhere", query(nil))),
		"form post": w.do(w.request(http.MethodPost, formPost, form, url.Values{"choice": {entrasim.Ada}}.Encode())),
	} {
		_, rest, _ := strings.Cut(r.body, "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		policy := r.header.Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'",
			"style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: no %q in %q", name, want, policy)
			}
		}
		if strings.Contains(policy, "form-action") {
			t.Errorf("%s: form-action would stop Chromium on the way to the MCP client: %q", name, policy)
		}
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store, no-cache",
		} {
			if r.header.Get(header) != want {
				t.Errorf("%s: %s %q", name, header, r.header.Get(header))
			}
		}
		if len(r.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: cookies on localhost reach every other server there", name)
		}
	}
}

func TestPagesEscapeWhatOthersWrote(t *testing.T) {
	t.Parallel()
	const hostile = `"><script>alert(1)</script>`
	w := newWorld(t, func(o *entrasim.Options) {
		o.Users[0].Name, o.Users[0].Description = hostile, hostile
		o.Users[1].Username = "o'max+" + hostile
		o.Apps[0].Name, o.Tenants[0].Name = hostile, hostile
	})
	path := authorizePath(entrasim.DemoTenant, query(nil))
	choose := func(choice string) reply {
		return w.do(w.request(http.MethodPost, path, form, url.Values{entrasim.Choice: {choice}}.Encode()))
	}
	w.sim.FailAuthorize(entrasim.Outcome{AADSTS: 50011, Page: true, Description: hostile})
	for name, r := range map[string]reply{
		"sign-in":           w.get(path),
		"planned error":     choose(entrasim.Ada),
		"unknown person":    choose(hostile),
		"unknown tenant":    w.get(authorizePath(url.PathEscape("<script>alert(1)<script>"), query(nil))),
		"unknown client":    w.get(authorizePath(entrasim.DemoTenant, query(map[string]string{"client_id": hostile}))),
		"unknown parameter": w.get(authorizePath(entrasim.DemoTenant, query(map[string]string{hostile: "x"}))),
		"redirect URI":      w.get(authorizePath(entrasim.DemoTenant, query(map[string]string{"redirect_uri": "javascript:" + hostile}))),
		"form post":         w.do(w.request(http.MethodPost, authorizePath(entrasim.DemoTenant, query(map[string]string{"response_mode": "form_post", "state": hostile})), form, "choice=cancel")),
	} {
		if r.header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(r.body, "<script") {
			t.Errorf("%s: %s", name, r.body)
		}
		if !strings.Contains(r.body, "&lt;script&gt;") {
			t.Errorf("%s: the text is not shown: %s", name, r.body)
		}
	}
	if got := w.signIn(entrasim.DemoTenant, "o'max+"+hostile, nil); !got.Has("code") {
		t.Errorf("a strange name cannot sign in: %v", got)
	}
}
