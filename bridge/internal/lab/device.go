package lab

import (
	"crypto/rand"
	"net/http"
	"time"

	"mcp-gateway/shared/oauth"
)

// Device is what a person does who was shown a code: Verdict is asked at each poll,
// from 1 on, and "" means that they have signed in, else it is an error code.
type Device struct {
	Verdict func(poll int) string
	// Interval is what the answer says, in seconds; nothing if 0.
	Interval int
	// Answer changes the answer that has the codes.
	Answer func(map[string]any)
	// FailPoll answers a poll with a status and nothing else, unless it gives 0.
	FailPoll func(poll int) int
}

// waiting is a device that has asked.
type waiting struct {
	client, scope string
	used          bool
}

// Polls are when devices asked for their tokens.
func (s *AuthServer) Polls() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.polls...)
}

// authorizeDevice is the device authorization endpoint (RFC 8628 §3.1).
func (s *AuthServer) authorizeDevice(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = r.ParseForm() // a form that cannot be read lacks what is looked for
	s.lastForm = r.PostForm
	client, known := s.client(r)
	switch {
	case s.knobs.Device == nil:
		http.NotFound(w, r)
		return
	case !known:
		fail(w, http.StatusUnauthorized, oauth.CodeInvalidClient, "")
		return
	case !s.deviceClients[client]:
		fail(w, http.StatusBadRequest, oauth.CodeUnauthorizedClient, "")
		return
	case s.knobs.NoResource == "authorize" && r.PostForm.Has("resource"):
		fail(w, http.StatusBadRequest, oauth.CodeInvalidTarget, "")
		return
	}
	s.counts.Devices++
	code := "code-" + rand.Text()
	s.devices[code] = &waiting{client: client, scope: r.PostForm.Get("scope")}
	doc := map[string]any{
		"device_code": code, "user_code": "WDJB-MJHT", "verification_uri": s.URL + "/device",
		"verification_uri_complete": s.URL + "/device?user_code=WDJB-MJHT", "expires_in": 600,
	}
	if s.knobs.Device.Interval != 0 {
		doc["interval"] = s.knobs.Device.Interval
	}
	if s.knobs.Device.Answer != nil {
		s.knobs.Device.Answer(doc)
	}
	send(w, http.StatusOK, doc)
}

// poll answers a device that asks for its tokens.
func (s *AuthServer) poll(w http.ResponseWriter, client, code string) {
	s.polls = append(s.polls, time.Now())
	d := s.devices[code]
	if d == nil || d.client != client || d.used {
		fail(w, http.StatusBadRequest, oauth.CodeInvalidGrant, "")
		return
	}
	n := len(s.polls)
	if s.knobs.Device.FailPoll != nil {
		if status := s.knobs.Device.FailPoll(n); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	if verdict := s.knobs.Device.Verdict(n); verdict != "" {
		fail(w, http.StatusBadRequest, verdict, "not yet\x1b[31m, "+code)
		return
	}
	d.used = true
	s.issue(w, &family{client: client, scope: d.scope}, "")
}
