package entra_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/shared/secret"
)

// Every refusal of the token endpoint that Microsoft documents or that was
// recorded, and what it means for the client that waits.
func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	const denied, unavailable, misconfigured = entra.KindDenied, entra.KindUnavailable, entra.KindMisconfigured
	tests := map[string]struct {
		status int
		code   string
		number int
		more   map[string]any
		kind   entra.Kind
		words  string // in the summary or the help
	}{
		"not of this organization":           {400, "invalid_grant", 50020, nil, denied, "does not belong to the organization"},
		"an account nobody knows":            {400, "invalid_grant", 50034, map[string]any{"suberror": "bad_token"}, denied, "does not know this account"},
		"locked":                             {400, "invalid_grant", 50053, nil, denied, "locked"},
		"disabled":                           {400, "invalid_grant", 50057, nil, denied, "disabled"},
		"more proof wanted":                  {400, "invalid_grant", 50076, map[string]any{"suberror": "basic_action"}, denied, "second factor"},
		"more proof wanted, with claims":     {400, "interaction_required", 50079, map[string]any{"claims": "{}"}, denied, "second factor"},
		"not assigned":                       {400, "invalid_grant", 50105, nil, denied, "Users and groups"},
		"wrong password":                     {400, "invalid_grant", 50126, nil, denied, "password was wrong"},
		"a policy":                           {400, "invalid_grant", 53003, nil, denied, "Conditional Access"},
		"signed out everywhere":              {400, "invalid_grant", 50173, map[string]any{"suberror": "bad_token"}, denied, "has ended"},
		"sign-in frequency":                  {400, "invalid_grant", 70043, map[string]any{"suberror": "token_expired"}, denied, "has ended"},
		"a code used before":                 {400, "invalid_grant", 54005, nil, denied, "Start again from your program"},
		"a code too old":                     {400, "invalid_grant", 70008, nil, denied, "took too long"},
		"consent missing":                    {400, "invalid_grant", 65001, map[string]any{"suberror": "consent_required"}, denied, "Grant admin consent"},
		"a reason nobody has written down":   {400, "invalid_grant", 1234567, nil, denied, "AADSTS1234567"},
		"too many equal requests":            {400, "invalid_grant", 50196, nil, unavailable, "stopped answering"},
		"PKCE does not fit":                  {400, "invalid_grant", 501481, nil, misconfigured, "do not belong together"},
		"the redirect URI":                   {400, "invalid_grant", 50011, nil, misconfigured, "followed by /callback"},
		"a wrong secret":                     {401, "invalid_client", 7000215, nil, misconfigured, "not to its Secret ID"},
		"an expired secret":                  {401, "invalid_client", 7000222, nil, misconfigured, "has expired"},
		"no secret":                          {401, "invalid_client", 7000218, nil, misconfigured, "MICROSOFT_CLIENT_SECRET"},
		"no such application":                {400, "unauthorized_client", 700016, nil, misconfigured, "MICROSOFT_CLIENT_ID"},
		"an application disabled":            {400, "unauthorized_client", 7000112, nil, misconfigured, "disabled"},
		"a scope":                            {400, "invalid_scope", 70011, nil, misconfigured, "openid, profile, email and offline_access"},
		"a resource":                         {400, "invalid_resource", 500011, nil, misconfigured, "AADSTS500011"},
		"a request malformed":                {400, "invalid_request", 9002313, nil, misconfigured, "proxy"},
		"registered for a single-page app":   {400, "invalid_request", 9002327, nil, misconfigured, "under Web"},
		"a tenant nobody knows":              {400, "invalid_request", 90002, nil, misconfigured, "MICROSOFT_TENANT_ID"},
		"an error nobody has written down":   {400, "new_error", 0, nil, misconfigured, "do not agree about"},
		"an error in a successful answer":    {200, "invalid_client", 7000215, nil, misconfigured, "client secret"},
		"Microsoft is busy":                  {400, "temporarily_unavailable", 90033, nil, unavailable, "AADSTS90033"},
		"Microsoft is in trouble":            {500, "server_error", 90036, nil, unavailable, "Try again in a minute"},
		"trouble that blames the person":     {503, "invalid_grant", 50057, nil, unavailable, ""},
		"too many requests, in JSON":         {429, "invalid_request", 0, nil, unavailable, "Try again in a minute"},
		"numbers of another type":            {400, "invalid_grant", 50105, map[string]any{"error_codes": "50105"}, denied, "Users and groups"},
		"ids of another form":                {400, "invalid_grant", 50105, map[string]any{"trace_id": authCode, "correlation_id": 7}, denied, "Users and groups"},
		"a description of megabytes, cut":    {400, "invalid_grant", 50105, map[string]any{"error_description": strings.Repeat("x", 1<<19)}, denied, "Users and groups"},
		"an error code that is a paragraph":  {400, "Canary is <b>no</b> code", 0, nil, misconfigured, "do not agree about"},
		"a number in the description is low": {400, "invalid_grant", 1, map[string]any{"error_codes": []int{}, "error_description": "AADSTS1"}, denied, "did not let you sign in"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.token, refusal(test.status, test.code, test.number, test.more))
			_, err := f.provider(t).Exchange(t.Context(), authCode, request, now)
			code := test.code
			if strings.Contains(code, " ") {
				code = "unrecognized"
			}
			got := wantError(t, err, test.kind, code, "")
			if number := got.AADSTS; number != test.number && test.number > 1 {
				t.Errorf("got AADSTS%d, want AADSTS%d", number, test.number)
			}
			if words := got.Summary + " " + got.Help; !strings.Contains(words, test.words) {
				t.Errorf("%q does not say %q", words, test.words)
			}
			if _, other := test.more["error_description"]; !other && (got.TraceID != traceID || got.CorrelationID != corrID) {
				t.Errorf("got trace %q and correlation %q", got.TraceID, got.CorrelationID)
			}
			if n := f.redemptions.Load(); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
		})
	}
}

// An answer that is no answer says nothing about the person or the settings.
func TestTokenEndpointDoesNotAnswer(t *testing.T) {
	t.Parallel()
	say := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("X-Ms-Request-Id", traceID)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	hangUp := func(after string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(after))
			if after != "" {
				_ = http.NewResponseController(w).Flush()
			}
			panic(http.ErrAbortHandler)
		}
	}
	tests := map[string]http.HandlerFunc{
		"too many requests, in plain text":  say(http.StatusTooManyRequests, "text/plain", "Too Many Requests"),
		"too many requests, as a bad form":  say(http.StatusTooManyRequests, "text/plain", "100% busy"),
		"a page of a gateway in between":    say(http.StatusServiceUnavailable, "text/html", "<h1>Service Unavailable</h1>"),
		"a proxy wants a password":          say(http.StatusProxyAuthRequired, "text/html", "<h1>Who are you?</h1>"),
		"a page that says all is well":      say(http.StatusOK, "text/html", "<h1>Welcome to the hotel</h1>"),
		"half an answer":                    say(http.StatusOK, "application/json", `{"token_type":"Bearer","access_tok`),
		"an answer without any token":       say(http.StatusOK, "application/json", `{}`),
		"an answer larger than any":         say(http.StatusOK, "application/json", `{"access_token":"`+strings.Repeat("x", 1<<20)+`"}`),
		"a connection closed at once":       hangUp(""),
		"a connection closed in the answer": hangUp(`{"access_token":`),
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.set(&f.token, answer)
			_, err := f.provider(t).Exchange(t.Context(), authCode, request, now)
			got := wantError(t, err, entra.KindUnavailable, "no_answer", "")
			if strings.HasPrefix(name, "too many") && got.TraceID != traceID {
				t.Errorf("got trace %q, want the one in the header", got.TraceID)
			}
			if n := f.redemptions.Load(); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
		})
	}
}

func TestATokenAnswerWithoutIDTokenIsAgainstTheProtocol(t *testing.T) {
	t.Parallel()
	for _, body := range []map[string]any{{"access_token": accessToken}, {"access_token": accessToken, "id_token": 7}} {
		f := newFake(t)
		f.set(&f.token, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, body) })
		_, err := f.provider(t).Exchange(t.Context(), authCode, request, now)
		wantError(t, err, entra.KindMisconfigured, "protocol_error", "no id_token")
	}
}

// A redirect would carry the secret and the code to wherever it points.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	t.Cleanup(thief.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		away := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, status) }
		tests := map[string]func(*fake){
			"token":    func(f *fake) { f.set(&f.token, away) },
			"keys":     func(f *fake) { f.set(&f.keySet, away) },
			"document": func(f *fake) { f.set(&f.document, away) },
		}
		for name, change := range tests {
			t.Run(fmt.Sprintf("%s %d", name, status), func(t *testing.T) {
				f := newFake(t)
				change(f)
				cfg := f.config()
				cfg.HTTPClient = nil // the gateway's own
				_, err := newProvider(t, cfg).Exchange(t.Context(), authCode, request, now)
				wantError(t, err, entra.KindMisconfigured, "protocol_error", strconv.Itoa(status))
			})
		}
	}
	if n := stolen.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestASlowAnswerTimesOut(t *testing.T) {
	t.Parallel()
	drip := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"access_token":"`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	tests := map[string]func(*fake){
		"token":    func(f *fake) { f.set(&f.token, drip) },
		"keys":     func(f *fake) { f.set(&f.keySet, drip) },
		"document": func(f *fake) { f.set(&f.document, drip) },
		"headers":  func(f *fake) { f.set(&f.token, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			change(f)
			cfg := f.config()
			cfg.HTTPClient = &http.Client{Transport: f.Client().Transport, Timeout: 50 * time.Millisecond}
			_, err := newProvider(t, cfg).Exchange(t.Context(), authCode, request, now)
			wantError(t, err, entra.KindUnavailable, "no_answer", "")
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A client that was given without a timeout does not wait for ever.
func TestThereIsAlwaysATimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, entra.Config{
			Tenant: tenantID, ClientID: clientID, ClientSecret: secret.New(clientSecret), RedirectURL: redirect,
			HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})},
		})
		start := time.Now()
		_, err := p.AuthURL(t.Context(), request)
		wantError(t, err, entra.KindUnavailable, "no_answer", "deadline exceeded")
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestNobodyThereIsAnOutage(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t)
	f.Close()
	_, err := p.AuthURL(t.Context(), request)
	wantError(t, err, entra.KindUnavailable, "no_answer", "refused")
}

func TestCallbackError(t *testing.T) {
	t.Parallel()
	const ids = "\r\nTrace ID: " + traceID + "\r\nCorrelation ID: " + corrID + "\r\nTimestamp: 2026-11-24 12:00:00Z"
	tests := map[string]struct {
		query url.Values
		want  entra.Error // without its words
		words string
	}{
		"the person cancelled": {
			url.Values{"error": {"access_denied"}, "error_subcode": {"cancel"}, "error_description": {"AADSTS65004: User declined to consent." + ids}},
			entra.Error{Kind: entra.KindDenied, Code: "access_denied", AADSTS: 65004, TraceID: traceID, CorrelationID: corrID},
			"You cancelled",
		},
		"the person did not consent": {
			url.Values{"error": {"access_denied"}, "error_description": {"AADSTS65004: User declined to consent." + ids}},
			entra.Error{Kind: entra.KindDenied, Code: "access_denied", AADSTS: 65004, TraceID: traceID, CorrelationID: corrID},
			"did not agree",
		},
		"not assigned": {
			url.Values{"error": {"access_denied"}, "error_description": {"AADSTS50105: words"}},
			entra.Error{Kind: entra.KindDenied, Code: "access_denied", AADSTS: 50105}, "not assigned",
		},
		"an administrator must approve": {
			url.Values{"error": {"invalid_client"}, "error_description": {"AADSTS90094: words"}},
			entra.Error{Kind: entra.KindDenied, Code: "invalid_client", AADSTS: 90094}, "Grant admin consent",
		},
		"a login is required": {
			url.Values{"error": {"login_required"}, "error_description": {"AADSTS50058: words"}},
			entra.Error{Kind: entra.KindDenied, Code: "login_required", AADSTS: 50058}, "sign in anew",
		},
		"a scope nobody has": {
			url.Values{"error": {"invalid_client"}, "error_description": {"AADSTS650053: words"}},
			entra.Error{Kind: entra.KindMisconfigured, Code: "invalid_client", AADSTS: 650053}, "permission",
		},
		"Microsoft is in trouble": {
			url.Values{"error": {"server_error"}},
			entra.Error{Kind: entra.KindUnavailable, Code: "server_error"}, "Try again in a minute",
		},
		"Microsoft is busy": {
			url.Values{"error": {"temporarily_unavailable"}},
			entra.Error{Kind: entra.KindUnavailable, Code: "temporarily_unavailable"}, "Try again in a minute",
		},
		"cancelled, says a fault of the gateway": {
			url.Values{"error": {"invalid_request"}, "error_subcode": {"cancel"}},
			entra.Error{Kind: entra.KindMisconfigured, Code: "invalid_request"}, "do not agree about",
		},
		"neither a code nor an error": {
			nil, entra.Error{Kind: entra.KindMisconfigured, Code: "protocol_error"}, "do not agree about",
		},
		"text in place of a code": {
			url.Values{"error": {"<script>alert(1)</script>"}},
			entra.Error{Kind: entra.KindMisconfigured, Code: "unrecognized"}, "do not agree about",
		},
		"text in place of everything": {
			url.Values{"error": {"access_denied"}, "error_subcode": {"canary"}, "error_description": {"Call 555-0100 now! AADSTS0 AADSTSx Trace ID: call-us-now-on-555-0100-and-give-a-pin Correlation ID: canary"}},
			entra.Error{Kind: entra.KindDenied, Code: "access_denied"}, "did not let you sign in.",
		},
		"a number longer than any": {
			url.Values{"error": {"access_denied"}, "error_description": {"AADSTS99999999999999999999"}},
			entra.Error{Kind: entra.KindDenied, Code: "access_denied"}, "did not let you sign in.",
		},
		"a number nobody has written down": {
			url.Values{"error": {"access_denied"}, "error_description": {"AADSTS4444444: canary"}},
			entra.Error{Kind: entra.KindDenied, Code: "access_denied", AADSTS: 4444444}, "error?code=4444444",
		},
		"an endless description": {
			url.Values{"error": {"access_denied"}, "error_description": {strings.Repeat("x ", 4096) + "AADSTS50105: words" + ids}},
			entra.Error{Kind: entra.KindDenied, Code: "access_denied"}, "did not let you sign in.",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := entra.CallbackError(test.query)
			wantPlainWords(t, got)
			if words := got.Summary + " " + got.Help; !strings.Contains(words, test.words) {
				t.Errorf("%q does not say %q", words, test.words)
			}
			bare := entra.Error{Kind: got.Kind, Code: got.Code, AADSTS: got.AADSTS, TraceID: got.TraceID, CorrelationID: got.CorrelationID}
			if bare != test.want {
				t.Errorf("got %s, want %s", cmp.Diff(test.want.Error(), bare.Error()), test.want.Error())
			}
		})
	}
}

// Whatever a browser is made to bring, the answer consists of our own words,
// numbers, ids and one word in the shape of an error code.
func FuzzCallbackError(f *testing.F) {
	f.Add("access_denied", "cancel", "AADSTS65004: User declined.\r\nTrace ID: "+traceID+"\r\nCorrelation ID: "+corrID)
	f.Add("server_error", "", "")
	f.Add("", "", "AADSTS50105")
	f.Add("<script>", "\x00", "AADSTS99999999999999999999 Trace ID: ------------------------------------")
	f.Add("invalid_client", "cancel", "AADSTS7000215 AADSTS50105")
	code := regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	id := regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$`)
	f.Fuzz(func(t *testing.T, name, subcode, description string) {
		q := url.Values{"error": {name}, "error_subcode": {subcode}, "error_description": {description}}
		got := entra.CallbackError(q)
		if !code.MatchString(got.Code) || !id.MatchString(got.TraceID) || !id.MatchString(got.CorrelationID) || got.AADSTS < 0 {
			t.Errorf("got %+v", *got)
		}
		switch got.Kind {
		case entra.KindDenied, entra.KindUnavailable, entra.KindMisconfigured:
		default:
			t.Errorf("got kind %q", got.Kind)
		}
		// The words depend on nothing else than on what passed the checks above.
		again := url.Values{"error": {got.Code}, "error_description": {fmt.Sprintf("AADSTS%d", got.AADSTS)}}
		if subcode == "cancel" {
			again.Set("error_subcode", subcode)
		}
		if same := entra.CallbackError(again); same.Summary != got.Summary || same.Help != got.Help || same.Kind != got.Kind {
			t.Errorf("got %q, and from its own parts %q", got.Summary, same.Summary)
		}
	})
}
