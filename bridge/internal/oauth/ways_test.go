package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/bridge/internal/lab"
	"mcp-gateway/bridge/internal/oauth"
	protocol "mcp-gateway/shared/oauth"
)

// after approves at the n-th poll.
func after(n int) func(int) string {
	return func(poll int) string {
		if poll < n {
			return protocol.CodeAuthorizationPending
		}
		return ""
	}
}

// within the process: no socket, so that a bubble's clock can go on.
type within struct{ http.Handler }

func (h within) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// byDevice signs in by a code, in time that passes by itself.
func (r *rig) byDevice(c *oauth.Config) {
	c.Way, c.HTTP = oauth.ByDevice, &http.Client{Transport: within{r.as.Handler()}}
	c.Open = func(context.Context, oauth.Prompt) error { return nil }
}

func TestSignInByACode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.Device, k.Scope = &lab.Device{Verdict: after(3)}, "tools:read" })
	synctest.Test(t, func(t *testing.T) {
		var shown, pending oauth.Prompt
		var c *oauth.Client
		c = r.process(r.byDevice, func(cfg *oauth.Config) {
			cfg.Open = func(_ context.Context, p oauth.Prompt) error {
				shown, pending = p, c.Pending()
				return nil
			}
		})
		began := time.Now()
		if err := c.SignIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := (oauth.Prompt{URL: r.as.URL + "/device?user_code=WDJB-MJHT", Code: "WDJB-MJHT"}); shown != want || pending != want || c.Pending() != (oauth.Prompt{}) {
			t.Errorf("shown %v, pending %v, afterwards %v", shown, pending, c.Pending())
		}
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("three polls took %v, want every 5 seconds", took)
		}
	})
	form := r.as.LastToken()
	if form.Get("resource") != r.as.Server() || form.Has("redirect_uri") || form.Has("code_verifier") {
		t.Errorf("the last poll was %v", form)
	}
	r.good(r.token(r.process()))
	if rec := r.stored(); rec.RefreshToken == "" || !slices.Equal(rec.Scopes, []string{"tools:read"}) || rec.Resource != r.as.Server() {
		t.Errorf("stored %v, %v, refresh token: %v", rec.Scopes, rec.Resource, rec.RefreshToken != "")
	}
	if n := r.as.Counts(); n.Registrations != 1 || n.Devices != 1 || n.Authorizations != 0 {
		t.Errorf("counts %+v", n)
	}
}

// TestARegistrationForTheBrowserIsMadeAnewForACode, and then serves for both.
func TestARegistrationForTheBrowserIsMadeAnewForACode(t *testing.T) {
	t.Parallel()
	for name, tells := range map[string]bool{"a server that says what it registered": true, "a server that does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(func(k *lab.Knobs) {
				k.Device = &lab.Device{Verdict: after(1)}
				asked := 0
				k.Registered = func(doc map[string]any) {
					asked++
					if tells && asked == 1 {
						doc["grant_types"] = []string{"authorization_code", "refresh_token"}
					}
				}
			})
			r.signedIn()
			synctest.Test(t, func(t *testing.T) {
				for range 2 {
					if err := r.process(r.byDevice).SignIn(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			})
			r.signedIn()
			if n := r.as.Counts(); n.Registrations != 2 || n.Devices != 2 || n.Authorizations != 2 {
				t.Errorf("counts %+v", n)
			}
		})
	}
}

// TestPace: polls come as RFC 8628 §3.5 wants them.
func TestPace(t *testing.T) {
	t.Parallel()
	say := func(codes ...string) func(int) string {
		return func(poll int) string {
			if poll <= len(codes) {
				return codes[poll-1]
			}
			return ""
		}
	}
	fail := func(statuses ...int) func(int) int {
		return func(poll int) int {
			if poll <= len(statuses) {
				return statuses[poll-1]
			}
			return 0
		}
	}
	const pending, slow = protocol.CodeAuthorizationPending, protocol.CodeSlowDown
	for _, tt := range []struct {
		name   string
		device lab.Device
		want   []int // seconds between polls
	}{
		{name: "nothing said means 5", device: lab.Device{Verdict: say(pending)}, want: []int{5, 5}},
		{name: "an interval", device: lab.Device{Verdict: say(pending, pending), Interval: 12}, want: []int{12, 12, 12}},
		{name: "no interval is a second at least", device: lab.Device{Verdict: say(pending), Answer: func(doc map[string]any) { doc["interval"] = 0.01 }}, want: []int{1, 1}},
		{name: "an interval that makes no sense", device: lab.Device{Verdict: say(pending), Answer: func(doc map[string]any) { doc["interval"] = "-3" }}, want: []int{5, 5}},
		{name: "slow_down is for good", device: lab.Device{Verdict: say(pending, slow, pending, slow, pending)}, want: []int{5, 5, 10, 10, 15, 15}},
		{name: "an outage doubles the wait, for as long as it lasts", device: lab.Device{Verdict: say("", "", "", "", pending), FailPoll: fail(503, 502, 429, 500)}, want: []int{5, 10, 20, 40, 60, 5}},
		{name: "an answer that is none", device: lab.Device{Verdict: say(""), FailPoll: fail(400)}, want: []int{5, 10}},
		{name: "an outage that says so", device: lab.Device{Verdict: say(protocol.CodeTemporarilyUnavailable, protocol.CodeServerError)}, want: []int{5, 10, 20}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(func(k *lab.Knobs) { k.Device = &tt.device })
			synctest.Test(t, func(t *testing.T) {
				last := time.Now()
				if err := r.process(r.byDevice).SignIn(t.Context()); err != nil {
					t.Fatal(err)
				}
				var got []int
				for _, at := range r.as.Polls() {
					got = append(got, int(at.Sub(last).Seconds()))
					last = at
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%v seconds between polls, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestSignInByACodeIsRefused(t *testing.T) {
	t.Parallel()
	answer := func(name string, value any) *lab.Device {
		return &lab.Device{Verdict: after(1), Answer: func(doc map[string]any) { doc[name] = value }}
	}
	for _, tt := range []struct {
		name  string
		knobs func(*lab.Knobs)
		want  string
		// shown: a person was asked.
		shown bool
	}{
		{name: "a server that does not offer it", knobs: func(*lab.Knobs) {}, want: "offers no sign-in by a code: use --sign-in paste"},
		{name: "an endpoint over http", knobs: metadataWith("device_authorization_endpoint", "http://as.example/device"), want: "device_authorization_endpoint: plain http"},
		{name: "an endpoint that runs", knobs: metadataWith("device_authorization_endpoint", "file:///bin/sh"), want: "device_authorization_endpoint"},
		{name: "a registration without the grant", want: "lets no program that registers by itself sign in by a code", knobs: func(k *lab.Knobs) {
			k.Device = answer("x", 1)
			k.Registered = func(doc map[string]any) { doc["grant_types"] = []string{"authorization_code"} }
		}},
		{name: "no device code", knobs: func(k *lab.Knobs) { k.Device = answer("device_code", "") }, want: "no device code"},
		{name: "no user code", knobs: func(k *lab.Knobs) { k.Device = answer("user_code", "\x1b\u202e") }, want: "no code that a person could type"},
		{name: "an endless user code", knobs: func(k *lab.Knobs) { k.Device = answer("user_code", strings.Repeat("A", 100)) }, want: "no code that a person could type"},
		{name: "no address", knobs: func(k *lab.Knobs) { k.Device = answer("verification_uri", "") }, want: "verification_uri"},
		{name: "an address over http", knobs: func(k *lab.Knobs) { k.Device = answer("verification_uri", "http://as.example/") }, want: "verification_uri: plain http"},
		{name: "an address that runs", knobs: func(k *lab.Knobs) { k.Device = answer("verification_uri", "javascript:alert(1)") }, want: "verification_uri"},
		{name: "no JSON", knobs: func(k *lab.Knobs) { k.Device = answer("device_code", 7) }, want: "not the JSON of a device authorization"},
		{name: "denied", shown: true, knobs: func(k *lab.Knobs) {
			k.Device = &lab.Device{Verdict: func(int) string { return protocol.CodeAccessDenied }}
		}, want: "access was denied"},
		{name: "expired", shown: true, knobs: func(k *lab.Knobs) {
			k.Device = &lab.Device{Verdict: func(int) string { return protocol.CodeExpiredToken }}
		}, want: "was not used in time, begin again"},
		{name: "taken away", shown: true, knobs: func(k *lab.Knobs) {
			k.Device = &lab.Device{Verdict: func(int) string { return protocol.CodeInvalidGrant }}
		}, want: "invalid_grant"},
		{name: "nobody came", shown: true, knobs: func(k *lab.Knobs) {
			k.Device = &lab.Device{Verdict: func(int) string { return protocol.CodeAuthorizationPending }, Answer: func(doc map[string]any) { doc["expires_in"] = "60" }}
		}, want: "nobody signed in with the code before it was over"},
		{name: "nobody came, and the server said nothing of an end", shown: true, knobs: func(k *lab.Knobs) {
			k.Device = &lab.Device{Verdict: func(int) string { return protocol.CodeAuthorizationPending }, Answer: func(doc map[string]any) { delete(doc, "expires_in") }}
		}, want: "nobody signed in"},
		{name: "a token of another type", shown: true, want: "Bearer", knobs: func(k *lab.Knobs) {
			k.Device = answer("x", 1)
			k.Token = func(doc map[string]any) { doc["token_type"] = "mac" }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(tt.knobs)
			synctest.Test(t, func(t *testing.T) {
				shown := false
				c := r.process(r.byDevice, func(cfg *oauth.Config) {
					cfg.Open = func(context.Context, oauth.Prompt) error { shown = true; return nil }
				})
				err := r.seen(c.SignIn(t.Context()))
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.ContainsRune(err.Error(), '\x1b') {
					t.Errorf("got %v, want it to say %q", err, tt.want)
				}
				if shown != tt.shown {
					t.Errorf("the person was asked: %v", shown)
				}
			})
			if rec := r.stored(); rec.AccessToken != "" || rec.RefreshToken != "" {
				t.Error("a token was stored")
			}
		})
	}
}

func TestACompleteAddressIsUsedIfItCanBeOpened(t *testing.T) {
	t.Parallel()
	for name, complete := range map[string]any{"none": nil, "one that runs": "javascript:alert(1)", "one over http": "http://as.example/?user_code=x"} {
		r := newRig(t)
		r.as.Set(func(k *lab.Knobs) {
			k.Device = &lab.Device{Verdict: after(1), Answer: func(doc map[string]any) { doc["verification_uri_complete"] = complete }}
		})
		synctest.Test(t, func(t *testing.T) {
			var shown oauth.Prompt
			c := r.process(r.byDevice, func(cfg *oauth.Config) {
				cfg.Open = func(_ context.Context, p oauth.Prompt) error { shown = p; return nil }
			})
			if err := c.SignIn(t.Context()); err != nil || shown.URL != r.as.URL+"/device" {
				t.Errorf("%s: shown %v, %v", name, shown, err)
			}
		})
	}
}

func TestACodeWithoutTheResourceParameter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.Device, k.NoResource = &lab.Device{Verdict: after(1)}, "authorize" })
	synctest.Test(t, func(t *testing.T) {
		if err := r.process(r.byDevice).SignIn(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if r.as.LastToken().Has("resource") || r.stored().Resource != oauth.NoResource {
		t.Errorf("the last poll was %v, stored is %q", r.as.LastToken(), r.stored().Resource)
	}
}

// pasted signs in where the person pastes what a browser elsewhere was sent to,
// after other things.
func (r *rig) pasted(before ...func(address string) string) func(*oauth.Config) {
	return func(c *oauth.Config) {
		addresses := make(chan string, 1)
		c.Way = oauth.ByPaste
		c.Open = func(ctx context.Context, p oauth.Prompt) error {
			answer, err := r.answerTo(ctx, p.URL)
			addresses <- answer
			return err
		}
		c.Paste = func(_ context.Context, take func(string) error) error {
			address := <-addresses
			for _, change := range before {
				if err := take(change(address)); r.seen(err) == nil {
					r.t.Errorf("%q is taken", change("ADDRESS"))
				}
			}
			return take(address)
		}
	}
}

// answerTo is where a browser is sent that opens an address and cannot go on.
func (r *rig) answerTo(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	return res.Header.Get("Location"), res.Body.Close()
}

func TestSignInByPasting(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as.Set(func(k *lab.Knobs) { k.IssParameter = true })
	old := ""
	first := r.process(r.pasted(), func(c *oauth.Config) {
		paste := c.Paste
		c.Paste = func(ctx context.Context, take func(string) error) error {
			return paste(ctx, func(text string) error { old = text; return take(text) })
		}
	})
	if err := first.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.good(r.token(first))
	// A second run takes nothing of the first, nothing that is cut off, and then its own.
	second := r.process(r.pasted(
		func(string) string { return "" },
		func(string) string { return old },
		func(address string) string {
			return address[:strings.Index(address, "?")] + old[strings.Index(old, "?"):]
		},
		func(address string) string { return address[:strings.Index(address, "state=")+8] },
		func(address string) string { return strings.Replace(address, "code=", "c=", 1) },
		func(address string) string { return address[strings.Index(address, "code-"):] },
	))
	if err := second.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.good(r.token(second))
	if n := r.as.Counts(); n.Exchanges != 2 || n.Registrations != 1 {
		t.Errorf("counts %+v", n)
	}
}

func TestSignInByPastingIsRefused(t *testing.T) {
	t.Parallel()
	gone := errors.New("the input has ended")
	for _, tt := range []struct {
		name  string
		knobs func(*lab.Knobs)
		cfg   func(*oauth.Config)
		want  string
	}{
		{name: "iss of another", knobs: answerWith(true, "iss", "https://evil.example"), want: "another authorization server"},
		{name: "iss missing", knobs: func(k *lab.Knobs) { k.IssParameter = true; k.Answer = func(v url.Values) { v.Del("iss") } }, want: "does not say which authorization server"},
		{name: "denied", knobs: func(k *lab.Knobs) { k.Approve = func(url.Values) string { return protocol.CodeAccessDenied } }, want: "access was denied"},
		{name: "a code that the server does not know", knobs: answerWith(false, "code", "code-invented"), want: "invalid_grant"},
		{name: "nothing is pasted", knobs: func(*lab.Knobs) {}, want: gone.Error(), cfg: func(c *oauth.Config) {
			c.Paste = func(context.Context, func(string) error) error { return gone }
		}},
		{name: "no terminal", knobs: func(*lab.Knobs) {}, want: "only be pasted in a terminal", cfg: func(c *oauth.Config) { c.Paste = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.as.Set(tt.knobs)
			changes := []func(*oauth.Config){r.pasted()}
			if tt.cfg != nil {
				changes = append(changes, tt.cfg)
			}
			err := r.seen(r.process(changes...).SignIn(t.Context()))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
			if rec := r.stored(); rec.AccessToken != "" {
				t.Error("a token was stored")
			}
		})
	}
}

// TestPastingWhereABrowserCanAnswer: nobody needs to paste then.
func TestPastingWhereABrowserCanAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.process(func(cfg *oauth.Config) {
		cfg.Way = oauth.ByPaste
		cfg.Paste = func(ctx context.Context, _ func(string) error) error { <-ctx.Done(); return ctx.Err() }
	})
	if err := c.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.good(r.token(c))
}

func TestAWayThatThereIsNot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cfg := oauth.Config{Server: r.as.Server(), Store: r.store(), Dir: r.dir, Open: r.show, Way: "carrier-pigeon"}
	if _, err := oauth.New(cfg); err == nil || !strings.Contains(err.Error(), "want browser, device or paste") {
		t.Errorf("got %v", err)
	}
}
