package authserver

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/grant"
	"mcp-gateway/gateway/internal/page"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// The browser's side of device authorization (RFC 8628 §3.3): a person types the
// code that a device shows, is told what asks from where, and goes the way of
// every other sign-in. Nothing ties the device to that browser but the person's
// word (§5.4), so the page asks for it in plain words.

// DevicePath is where people type a code.
const DevicePath = "/device"

// Guess counts a code that somebody at an address tries, before it is looked at;
// right says that it was one.
type Guess func(address netip.Addr, now time.Time) (right func(), ok bool)

// authorizeDevice is the device authorization endpoint (RFC 8628 §3.1).
func (s *Server) authorizeDevice(w http.ResponseWriter, r *http.Request) error {
	form, asks, err := clientForm(w, r, "resource")
	if err != nil {
		return err
	}
	answer, err := s.cfg.Grants.AuthorizeDevice(r.Context(), grant.DeviceRequest{
		Client: asks, Scopes: s.grantedScopes(form["scope"]), Resources: r.PostForm["resource"], Address: s.cfg.Address(r).String(),
	}, time.Now())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// devicePage asks for the code. One that stands in the address is not looked up
// before the person sends it.
func (s *Server) devicePage(w http.ResponseWriter, r *http.Request) {
	code, _ := token.ParseUserCode(r.URL.Query().Get("user_code"))
	s.askForCode(w, http.StatusOK, code, "")
}

func (s *Server) askForCode(w http.ResponseWriter, status int, code, problem string) {
	page.WriteDevice(w, page.Device{Status: status, Gateway: s.host, Code: code, Problem: problem, Action: DevicePath})
}

// findDevice shows the consent page for the device whose code was typed. It
// changes nothing but the count of guesses.
func (s *Server) findDevice(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	fields, repeated := single(r.PostForm)
	if err = errors.Join(err, repeated); err != nil {
		s.refuse(w, r, "The form is damaged", "Open the page anew and type the code.", err)
		return
	}
	right, ok := s.cfg.Limits.Guess(s.cfg.Address(r), now)
	if !ok {
		s.cfg.Logger.WarnContext(r.Context(), "too many codes of devices were tried", slog.String("address", s.cfg.Address(r).String()))
		w.Header().Set("Retry-After", "60")
		s.askForCode(w, http.StatusTooManyRequests, "", "Too many codes were tried here. Wait a minute and try again.")
		return
	}
	code, ok := token.ParseUserCode(fields["user_code"])
	if !ok {
		s.askForCode(w, http.StatusBadRequest, "", "A code is eight letters, such as BCDF-GHJK. Type the one that your device shows.")
		return
	}
	browser, _ := browserOf(r) // one without a cookie has no device yet
	device, err := s.cfg.Devices.DeviceByUserCode(r.Context(), store.HashOf(code), browser, now)
	if errors.Is(err, store.ErrNotFound) {
		s.cfg.Logger.InfoContext(r.Context(), "no device has the code", slog.String("address", s.cfg.Address(r).String()))
		s.askForCode(w, http.StatusBadRequest, "", unknownCode)
		return
	}
	if err != nil {
		s.unavailable(w, r, authorizationRequest{Device: new(waiting)}, err)
		return
	}
	right()
	s.askForDevice(w, r, device, code, now)
}

// unknownCode is one answer for all codes that cannot be used by this browser, so
// that whoever guesses learns nothing.
const unknownCode = "No device waits with this code: it was mistyped, was used already, or is over. Look at your device, and start again there if need be."

func (s *Server) askForDevice(w http.ResponseWriter, r *http.Request, d store.Device, code string, now time.Time) {
	c, ok := s.deviceClient(w, r, d.ClientID)
	if !ok {
		return
	}
	req := authorizationRequest{
		ClientID: c.ID, ClientName: c.Name, Scopes: d.Scopes, Known: c.Known, Device: &waiting{Hash: d.Hash, Expires: d.ExpiresAt},
	}
	shown, err := s.consentPage(w, r, req, now)
	if err != nil {
		s.unavailable(w, r, req, err)
		return
	}
	shown.Device = &page.ConsentDevice{
		Code: code, Address: d.Address, Here: d.Address == s.cfg.Address(r).String(), Asked: ago(now.Sub(d.CreatedAt)),
	}
	shown.FormAction = s.cfg.LoginOrigins
	for _, scope := range d.Scopes {
		shown.Scopes = append(shown.Scopes, s.scopeWords(scope))
	}
	page.WriteConsent(w, shown)
}

// ago is a time in words for people.
func ago(d time.Duration) string {
	switch minutes := int(d / time.Minute); {
	case minutes < 1:
		return "less than a minute ago"
	case minutes == 1:
		return "a minute ago"
	default:
		return fmt.Sprintf("%d minutes ago", minutes)
	}
}

// deviceClient looks a device's client up, as each step does, or says why it is
// not served.
func (s *Server) deviceClient(w http.ResponseWriter, r *http.Request, id string) (client.Client, bool) {
	c, err := s.cfg.Clients.Resolve(r.Context(), id)
	if err == nil && !slices.Contains(c.GrantTypes, oauth.GrantTypeDeviceCode) {
		err = fmt.Errorf("%w: it did not register the grant of devices", client.ErrForbidden)
	}
	if err != nil {
		s.refuseClient(w, r, id, err)
		return client.Client{}, false
	}
	return c, true
}

// consentDevice takes the person's decision about a device. Whoever allows it
// first has it: a second browser finds no such device any more.
func (s *Server) consentDevice(w http.ResponseWriter, r *http.Request, req authorizationRequest, browser store.Hash, allow bool, now time.Time) {
	if !allow {
		s.denyDevice(w, r, req, browser, now)
		return
	}
	if _, ok := s.deviceClient(w, r, req.ClientID); !ok {
		return
	}
	err := s.cfg.Devices.ClaimDevice(r.Context(), req.Device.Hash, browser, now)
	if errors.Is(err, store.ErrNotFound) {
		s.askForCode(w, http.StatusBadRequest, "", unknownCode)
		return
	}
	var location string
	if err == nil {
		location, err = s.startLogin(r, loginSecrets{Request: req}, browser, now)
	}
	if err != nil {
		s.failed(w, r, req, err, now)
		return
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
}

func (s *Server) denyDevice(w http.ResponseWriter, r *http.Request, req authorizationRequest, browser store.Hash, now time.Time) {
	err := s.cfg.Devices.DenyDevice(r.Context(), req.Device.Hash, browser, now)
	if errors.Is(err, store.ErrNotFound) {
		s.askForCode(w, http.StatusBadRequest, "", unknownCode)
		return
	}
	if err == nil {
		err = s.record(r, audit.KindDevice, audit.OutcomeDenied, "denied by the person", req, store.Identity{}, now)
	}
	if err != nil {
		s.unavailable(w, r, req, err)
		return
	}
	page.WriteDone(w, page.Done{Title: "Access was denied", Summary: "The program on the device gets nothing. You can close this page."})
}

// finishDevice ends a sign-in for a device. What Microsoft says no to is over for
// the device too; after an outage the person can type the code again.
func (s *Server) finishDevice(w http.ResponseWriter, r *http.Request, upstreamCode string, upstreamErr error, login loginSecrets, now time.Time) {
	req, err := login.Request, upstreamErr
	var in entra.SignIn
	if err == nil {
		in, err = s.exchange(r, upstreamCode, login, now)
	}
	browser, _ := browserOf(r) // resume has seen it
	if err == nil {
		now = time.Now() // Microsoft took its time
		err = s.approveDevice(r, req, browser, in, now)
	}
	switch upstream, _ := errors.AsType[*entra.Error](err); {
	case err == nil:
		page.WriteDone(w, page.Done{
			Title:   "Your device is signed in",
			Summary: "You are " + cmp.Or(in.Identity.Username, in.Identity.Name, "signed in") + ". The program on your device goes on by itself; you can close this page.",
		})
		return
	case errors.Is(err, store.ErrNotFound):
		s.askForCode(w, http.StatusBadRequest, "", unknownCode)
		return
	case errors.Is(err, store.ErrDisabled), errors.Is(err, errSignedOut), upstream != nil && upstream.Kind == entra.KindDenied:
		if denied := s.cfg.Devices.DenyDevice(r.Context(), req.Device.Hash, browser, now); denied != nil && !errors.Is(denied, store.ErrNotFound) {
			err = denied
		}
	}
	s.failed(w, r, req, err, now)
}

// approveDevice gives the device to the person who signed in, if it still waits
// and is this browser's, and writes down who that was, either way.
func (s *Server) approveDevice(r *http.Request, req authorizationRequest, browser store.Hash, in entra.SignIn, now time.Time) error {
	code := s.newCode(req, req.Device.Hash, in, now)
	if code.ExpiresAt.Before(req.Device.Expires) {
		// A device asks every few seconds, or later; it was told until when.
		code.ExpiresAt = req.Device.Expires
	}
	err := s.cfg.Devices.ApproveDevice(r.Context(), browser, code, now)
	outcome, reason := audit.OutcomeOK, "device"
	switch {
	case errors.Is(err, store.ErrDisabled):
		outcome, reason = audit.OutcomeDenied, "disabled"
	case errors.Is(err, store.ErrNotFound):
		outcome, reason = audit.OutcomeDenied, "device is decided or over"
	case err != nil:
		return err
	}
	return errors.Join(err, s.record(r, audit.KindLogin, outcome, reason, req, in.Identity, now))
}
