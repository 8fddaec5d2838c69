package grant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// Device authorization (RFC 8628): a program that no browser can come back to
// gets two codes; a person signs in with the one, in a browser elsewhere (package
// authserver), and the program asks with the other until they have.

// pollInterval is what RFC 8628 §3.5 takes when a server says nothing.
const pollInterval = 5 * time.Second

// DeviceRequest is a parsed device authorization request (RFC 8628 §3.1).
type DeviceRequest struct {
	Client client.Credentials
	// Scopes are those asked for that there are.
	Scopes []string
	// Resources may repeat (RFC 8707 §2).
	Resources []string
	// Address is the remote address: the person is told, and the audit trail.
	Address string
}

// Devices is what the grant of devices needs; the zero value does not serve it.
type Devices struct {
	Store deviceStore
	// VerificationURI is where people type their code.
	VerificationURI string
	// Lifetime of a pair of codes.
	Lifetime time.Duration
}

type deviceStore interface {
	CreateDevice(ctx context.Context, d store.Device) error
	PollDevice(ctx context.Context, device store.Hash, clientID string, now time.Time) (store.DeviceState, error)
}

// AuthorizeDevice answers a device authorization request. Errors are as those of
// Exchange.
func (d *Dispatcher) AuthorizeDevice(ctx context.Context, req DeviceRequest, now time.Time) (oauth.DeviceAuthorization, error) {
	c, err := d.clientFor(ctx, req.Client, oauth.GrantTypeDeviceCode, now)
	if err != nil {
		return oauth.DeviceAuthorization{}, err
	}
	if err := d.checkResources(req.Resources); err != nil {
		return oauth.DeviceAuthorization{}, err
	}
	code, userCode := token.NewDeviceCode(), token.NewUserCode()
	device := store.Device{
		Hash: store.HashOf(code), UserCode: store.HashOf(userCode), ClientID: c.ID, ClientName: c.Name, Scopes: req.Scopes,
		Address: req.Address, CreatedAt: now, ExpiresAt: now.Add(d.cfg.Devices.Lifetime), Interval: pollInterval,
	}
	if err := d.cfg.Devices.Store.CreateDevice(ctx, device); err != nil {
		return oauth.DeviceAuthorization{}, fmt.Errorf("store device of client %s: %w", c.Fingerprint(), err)
	}
	if err := d.cfg.Audit.Append(ctx, event(audit.KindDevice, audit.OutcomeOK, "issued", c, store.Grant{}, req.Address, now)); err != nil {
		return oauth.DeviceAuthorization{}, err
	}
	d.cfg.Logger.InfoContext(ctx, "device waits for a sign-in", slog.String("client", c.Fingerprint()), slog.String("device", device.Hash.String()))
	uri := d.cfg.Devices.VerificationURI
	return oauth.DeviceAuthorization{
		DeviceCode: code, UserCode: userCode,
		VerificationURI: uri, VerificationURIComplete: uri + "?" + url.Values{"user_code": {userCode}}.Encode(),
		ExpiresIn: int64(d.cfg.Devices.Lifetime / time.Second), Interval: int64(pollInterval / time.Second),
	}, nil
}

// deviceCode answers a device that asks whether somebody has signed in (RFC 8628
// §3.4). An approved device code is redeemed as an authorization code is: once,
// and a later replay ends what it gave.
func (d *Dispatcher) deviceCode(ctx context.Context, c client.Client, req Request, now time.Time) (token.Issued, error) {
	if req.DeviceCode == "" {
		return token.Issued{}, oauth.NewError(oauth.CodeInvalidRequest, "device_code is missing")
	}
	if err := d.checkResources(req.Resources); err != nil {
		return token.Issued{}, err
	}
	hash := store.HashOf(req.DeviceCode)
	state, err := d.cfg.Devices.Store.PollDevice(ctx, hash, c.ID, now)
	if err != nil {
		return token.Issued{}, expiredDevice(fmt.Errorf("poll device: %w", err))
	}
	switch state {
	case store.DevicePending:
		return token.Issued{}, oauth.NewError(oauth.CodeAuthorizationPending, "nobody has signed in yet; ask again after the interval")
	case store.DeviceHurried:
		return token.Issued{}, oauth.NewError(oauth.CodeSlowDown, "the interval is 5 seconds longer from now on")
	case store.DeviceDenied:
		return token.Issued{}, oauth.NewError(oauth.CodeAccessDenied, "the sign-in was denied")
	case store.DeviceApproved:
	}
	code, err := d.cfg.Codes.Code(ctx, hash)
	if err != nil {
		return token.Issued{}, fmt.Errorf("look up approved device: %w", err)
	}
	issued, err := d.redeem(ctx, c, code, req, now)
	return issued, expiredDevice(err)
}

// expiredDevice gives the end of a device code its own name (RFC 8628 §3.5).
func expiredDevice(err error) error {
	if errors.Is(err, store.ErrExpired) {
		return oauth.NewError(oauth.CodeExpiredToken, "the device_code has expired; begin anew").WithCause(err)
	}
	return err
}
