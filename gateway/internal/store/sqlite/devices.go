package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/store"
)

var insertDevice = writing("insert device", `INSERT INTO devices (hash, user_code, client_id, client_name, scopes, address,
		created_at, expires_at, poll_interval)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)

// CreateDevice stores a device that waits for a person.
func (s *Store) CreateDevice(ctx context.Context, d store.Device) error {
	scopes, err := encodeList(d.Scopes)
	if err != nil {
		return fmt.Errorf("sqlite: encode scopes: %w", err)
	}
	return s.change(ctx, func(t tx) error {
		return t.run(insertDevice, d.Hash[:], d.UserCode[:], d.ClientID, d.ClientName, scopes, d.Address,
			micros(d.CreatedAt), micros(d.ExpiresAt), d.Interval.Microseconds())
	})
}

// undecided is whether a browser (?1) may go on with a device at a time (?2).
const undecided = `(browser IS NULL OR browser = ?1) AND expires_at > ?2 AND approved_at IS NULL AND denied_at IS NULL`

var selectDevice = reading("read device", `SELECT hash, client_id, client_name, scopes, address, created_at, expires_at, poll_interval
	FROM devices WHERE user_code = ?3 AND `+undecided)

// DeviceByUserCode finds a device by what a person typed, if this browser may go
// on with it.
func (s *Store) DeviceByUserCode(ctx context.Context, userCode, browser store.Hash, now time.Time) (store.Device, error) {
	d := store.Device{UserCode: userCode}
	var hash []byte
	var scopes string
	var createdAt, expiresAt, interval int64
	err := tx{ctx, s.read}.row(selectDevice,
		[]any{&hash, &d.ClientID, &d.ClientName, &scopes, &d.Address, &createdAt, &expiresAt, &interval},
		browser[:], micros(now), userCode[:])
	if errors.Is(err, sql.ErrNoRows) {
		return store.Device{}, store.ErrNotFound
	}
	if err != nil {
		return store.Device{}, err
	}
	if d.Scopes, err = decodeList(scopes); err != nil {
		return store.Device{}, fmt.Errorf("sqlite: scopes of a device: %w", err)
	}
	copy(d.Hash[:], hash)
	d.CreatedAt, d.ExpiresAt, d.Interval = instant(createdAt), instant(expiresAt), time.Duration(interval)*time.Microsecond
	return d, nil
}

var (
	claimDevice   = writing("claim device", `UPDATE devices SET browser = ?1 WHERE hash = ?3 AND `+undecided)
	denyDevice    = writing("deny device", `UPDATE devices SET denied_at = ?2 WHERE hash = ?3 AND `+undecided)
	approveDevice = writing("approve device", `UPDATE devices SET approved_at = ?2 WHERE hash = ?3 AND browser = ?1 AND `+undecided)
)

// ClaimDevice gives a device to the browser that comes first.
func (s *Store) ClaimDevice(ctx context.Context, device, browser store.Hash, now time.Time) error {
	return s.change(ctx, func(t tx) error { return t.decide(claimDevice, device, browser, now) })
}

// DenyDevice ends the wait of a device.
func (s *Store) DenyDevice(ctx context.Context, device, browser store.Hash, now time.Time) error {
	return s.change(ctx, func(t tx) error { return t.decide(denyDevice, device, browser, now) })
}

// ApproveDevice makes a device's code one that can be redeemed.
func (s *Store) ApproveDevice(ctx context.Context, browser store.Hash, c store.Code, now time.Time) error {
	return s.change(ctx, func(t tx) error {
		if err := t.decide(approveDevice, c.Hash, browser, now); err != nil {
			return err
		}
		return t.storeCode(c)
	})
}

func (t tx) decide(q query, device, browser store.Hash, now time.Time) error {
	n, err := t.exec(q, browser[:], micros(now), device[:])
	if err == nil && n == 0 {
		return store.ErrNotFound
	}
	return err
}

var (
	selectPoll = writing("read device to poll", `SELECT expires_at, poll_interval, polled_at, approved_at IS NOT NULL, denied_at IS NOT NULL
		FROM devices WHERE hash = ? AND client_id = ?`)
	notePoll = writing("note poll of device", `UPDATE devices SET polled_at = ?, poll_interval = ? WHERE hash = ?`)
)

// PollDevice says how it stands with a device, and counts the question.
func (s *Store) PollDevice(ctx context.Context, device store.Hash, clientID string, now time.Time) (store.DeviceState, error) {
	return write(ctx, s, func(t tx) (store.DeviceState, error) {
		var expiresAt, interval int64
		var polledAt sql.Null[int64]
		var approved, denied bool
		err := t.row(selectPoll, []any{&expiresAt, &interval, &polledAt, &approved, &denied}, device[:], clientID)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return 0, store.ErrNotFound
		case err != nil:
			return 0, err
		case approved:
			return store.DeviceApproved, nil
		case denied:
			return store.DeviceDenied, nil
		case expiresAt <= micros(now):
			return 0, store.ErrExpired
		}
		state := store.DevicePending
		if polledAt.Valid && micros(now) < polledAt.V+interval {
			state = store.DeviceHurried
			interval += store.SlowDown.Microseconds()
		}
		return state, t.run(notePoll, micros(now), interval, device[:])
	})
}
