package entrasim

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	// sessionCookie names a browser's session. Its path keeps it from the other
	// servers on localhost.
	sessionCookie = "entrasim-session"
	// sessionIdle is how long a session is remembered in which nobody signs in.
	sessionIdle = 24 * time.Hour
)

// signOutParameters are all that a client may send.
var signOutParameters = []string{"post_logout_redirect_uri", "logout_hint", "id_token_hint", "client_id", "state"}

// session is one browser's: its id is the claim sid of all that is signed in to
// in it. Microsoft may have one for each account.
type session struct {
	apps   map[*App]bool
	seenAt time.Time
}

// enterSession returns the id of the browser's session, for an app that hears of
// its end or names it in its tokens; no other needs one.
func (s *Sim) enterSession(w http.ResponseWriter, r *http.Request, app *App) string {
	if !app.SessionClaim && app.LogoutURL == "" {
		return ""
	}
	id := sessionOf(r)
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.sessions, func(_ string, old *session) bool { return now.Sub(old.seenAt) > sessionIdle })
	in := s.sessions[id]
	if in == nil {
		id, in = newGUID(), &session{apps: make(map[*App]bool)}
		s.sessions[id] = in
		http.SetCookie(w, cookieOf(r, id))
	}
	in.apps[app], in.seenAt = true, now
	return id
}

func sessionOf(r *http.Request) string {
	if c, err := r.Cookie(sessionCookie); err == nil {
		return c.Value
	}
	return ""
}

func cookieOf(r *http.Request, id string) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookie, Value: id, Path: "/" + r.PathValue("tenant") + "/oauth2/v2.0/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// signOut is the end-session endpoint (OpenID Connect RP-Initiated Logout 1.0
// §2). Its page loads the logout URL of every app that was signed in to in the
// browser (OpenID Connect Front-Channel Logout 1.0 §3), with the sid alone: that
// is what others have seen of Microsoft, where the text wants iss beside it.
func (s *Sim) signOut(w http.ResponseWriter, r *http.Request) {
	if _, f := s.dir.authority(r.PathValue("tenant")); f != nil {
		s.writeFailurePage(w, r, f)
		return
	}
	if err := r.ParseForm(); err != nil {
		s.writeFailurePage(w, r, violation(9002313, "sign-out: the parameters cannot be parsed"))
		return
	}
	if f := checkParameters("sign-out", r.Form, signOutParameters); f != nil {
		s.writeFailurePage(w, r, f)
		return
	}
	back := r.Form.Get("post_logout_redirect_uri")
	if back != "" && !s.dir.registered(back) {
		// The person has signed out all the same, and goes nowhere.
		s.violate(r, "sign-out: post_logout_redirect_uri "+back)
		back = ""
	}
	frames := s.endSession(sessionOf(r))
	gone := cookieOf(r, "")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	s.writeSignOutPage(w, r, frames, withState(back, r.Form.Get("state")))
}

// endSession forgets a session and returns the addresses that must hear of it.
func (s *Sim) endSession(id string) []*url.URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.sessions[id]
	if in == nil {
		return nil
	}
	delete(s.sessions, id)
	var addresses []*url.URL
	for app := range in.apps {
		u, err := url.Parse(app.LogoutURL)
		if err != nil || app.LogoutURL == "" {
			continue
		}
		q := u.Query()
		q.Set("sid", id)
		u.RawQuery = q.Encode()
		addresses = append(addresses, u)
	}
	return addresses
}

// registered reports whether a redirect URI is one of any app.
func (d *directory) registered(uri string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(d.apps)), func(a *App) bool { return a.allows(uri) })
}

// withState is where the browser goes from the page, empty for nowhere.
func withState(back, state string) string {
	u, err := url.Parse(back)
	if err != nil || back == "" || state == "" {
		return back
	}
	q := u.Query()
	q.Set("state", state)
	u.RawQuery = q.Encode()
	return u.String()
}
