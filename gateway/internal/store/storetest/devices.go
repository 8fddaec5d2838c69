package storetest

import (
	"time"

	"mcp-gateway/gateway/internal/store"
)

const (
	deviceLife = 10 * time.Minute
	interval   = 5 * time.Second
)

func (k *kit) device() store.Device {
	return store.Device{
		Hash: k.hash(), UserCode: k.hash(), ClientID: clientID, ClientName: "Cursor", Scopes: []string{"mcp", "offline_access"},
		Address: "2001:db8::1", CreatedAt: start, ExpiresAt: start.Add(deviceLife), Interval: interval,
	}
}

// created stores a device.
func (k *kit) created() store.Device {
	k.Helper()
	d := k.device()
	k.wants("create", k.CreateDevice(k.Context(), d), nil)
	return d
}

// claimed is one with the browser that has it.
func (k *kit) claimed() (store.Device, store.Hash) {
	k.Helper()
	d, browser := k.created(), k.hash()
	k.wants("claim", k.ClaimDevice(k.Context(), d.Hash, browser, start), nil)
	return d, browser
}

// approval is the code that approves a device.
func (k *kit) approval(d store.Device) store.Code {
	c := k.code()
	c.Hash, c.RedirectURI, c.Challenge, c.ExpiresAt = d.Hash, "", "", d.ExpiresAt
	return c
}

func (k *kit) polls(what string, d store.Device, now time.Time, want store.DeviceState, wantErr error) {
	k.Helper()
	got, err := k.PollDevice(k.Context(), d.Hash, d.ClientID, now)
	k.wants(what, err, wantErr)
	equal(k, what, got, want)
}

func deviceRoundTrip(k *kit) {
	for name, change := range map[string]func(*store.Device){
		"a full device": func(*store.Device) {},
		"nothing but what identifies": func(d *store.Device) {
			d.ClientName, d.Scopes, d.Address, d.Interval = "", nil, "", 0
		},
	} {
		d := k.device()
		change(&d)
		k.wants(name, k.CreateDevice(k.Context(), d), nil)
		got, err := k.DeviceByUserCode(k.Context(), d.UserCode, k.hash(), start)
		k.wants(name, err, nil)
		want := d
		want.CreatedAt, want.ExpiresAt = stored(d.CreatedAt), stored(d.ExpiresAt)
		equal(k, name, got, want)
	}
	d := k.created()
	again := k.device()
	again.Hash = d.Hash
	k.wantsFailure("the same device code again", k.CreateDevice(k.Context(), again))
	again = k.device()
	again.UserCode = d.UserCode
	k.wantsFailure("the same user code again", k.CreateDevice(k.Context(), again))
}

// deviceRefused: each verb of a browser refuses the same, with the same answer.
func deviceRefused(k *kit) {
	mine, other := k.hash(), k.hash()
	fresh, over, denied := k.created(), k.created(), k.created()
	taken := k.created()
	for _, d := range []store.Device{taken, over, denied} {
		k.wants("claim", k.ClaimDevice(k.Context(), d.Hash, mine, start), nil)
	}
	k.wants("deny", k.DenyDevice(k.Context(), denied.Hash, mine, start), nil)
	approved := k.created()
	k.wants("claim", k.ClaimDevice(k.Context(), approved.Hash, mine, start), nil)
	k.wants("approve", k.ApproveDevice(k.Context(), mine, k.approval(approved), start), nil)
	unknown := k.device()
	end := stored(start.Add(deviceLife))
	for _, tt := range []struct {
		name    string
		device  store.Device
		browser store.Hash
		now     time.Time
	}{
		{name: "an unknown one", device: unknown, browser: mine, now: start},
		{name: "the user code for the device code", device: store.Device{Hash: fresh.UserCode, UserCode: fresh.Hash}, browser: mine, now: start},
		{name: "another browser's", device: taken, browser: other, now: start},
		{name: "at its end", device: over, browser: mine, now: end},
		{name: "after its end", device: over, browser: mine, now: end.Add(day)},
		{name: "a denied one", device: denied, browser: mine, now: start},
		{name: "an approved one", device: approved, browser: mine, now: start},
		{name: "an approved one in another browser", device: approved, browser: other, now: start},
	} {
		got, err := k.DeviceByUserCode(k.Context(), tt.device.UserCode, tt.browser, tt.now)
		k.wants(tt.name+": find", err, store.ErrNotFound)
		equal(k, tt.name, got, store.Device{})
		k.wants(tt.name+": claim", k.ClaimDevice(k.Context(), tt.device.Hash, tt.browser, tt.now), store.ErrNotFound)
		k.wants(tt.name+": deny", k.DenyDevice(k.Context(), tt.device.Hash, tt.browser, tt.now), store.ErrNotFound)
		k.wants(tt.name+": approve", k.ApproveDevice(k.Context(), tt.browser, k.approval(tt.device), tt.now), store.ErrNotFound)
	}
	k.wants("approve without a claim", k.ApproveDevice(k.Context(), mine, k.approval(fresh), start), store.ErrNotFound)
	_, err := k.Code(k.Context(), fresh.Hash)
	k.wants("the code of what was refused", err, store.ErrNotFound)
	k.polls("the one in another browser, after all of these", taken, start, store.DevicePending, nil)
	late := end.Add(-tick)
	k.wants("the same browser again, a microsecond before the end", k.ClaimDevice(k.Context(), taken.Hash, mine, late), nil)
	k.wants("and approved", k.ApproveDevice(k.Context(), mine, k.approval(taken), late), nil)
}

func deviceRedeemed(k *kit) {
	d, browser := k.claimed()
	c := k.approval(d)
	k.wants("approve", k.ApproveDevice(k.Context(), browser, c, start), nil)
	k.polls("approved", d, start, store.DeviceApproved, nil)
	got, err := k.Code(k.Context(), d.Hash)
	k.wants("its code", err, nil)
	equal(k, "its code", got, storedCode(c))
	access := k.access(start)
	grant, err := k.RedeemCode(k.Context(), store.Redemption{Code: d.Hash, Access: access}, start)
	k.wants("redeem", err, nil)
	equal(k, "grant", grant, storedCode(c).Grant)
	k.wants("its token", k.use(access.Hash, start), nil)
	_, err = k.RedeemCode(k.Context(), store.Redemption{Code: d.Hash, Access: k.access(start)}, start)
	k.wants("redeem again", err, store.ErrConsumed)
	k.reopen()
	k.polls("after it was redeemed, and it is over", d, start.Add(2*deviceLife), store.DeviceApproved, nil)
}

func devicePolled(k *kit) {
	d := k.created()
	_, err := k.PollDevice(k.Context(), d.Hash, foreignID, start)
	k.wants("another client", err, store.ErrNotFound)
	_, err = k.PollDevice(k.Context(), d.UserCode, clientID, start)
	k.wants("the user code", err, store.ErrNotFound)
	now := start
	poll := func(what string, after time.Duration, want store.DeviceState) {
		k.Helper()
		now = now.Add(after)
		k.polls(what, d, now, want, nil)
	}
	poll("the first time", 0, store.DevicePending)
	poll("in time", interval, store.DevicePending)
	poll("a microsecond too soon", interval-tick, store.DeviceHurried)
	poll("after what was the interval", interval, store.DeviceHurried)
	k.reopen()
	poll("a microsecond before twice slowed down", interval+2*store.SlowDown-tick, store.DeviceHurried)
	poll("thrice slowed down", interval+3*store.SlowDown, store.DevicePending)
	end := stored(d.ExpiresAt)
	k.polls("a microsecond before the end", d, end.Add(-tick), store.DevicePending, nil)
	k.polls("at the end", d, end, 0, store.ErrExpired)

	d, browser := k.claimed()
	k.polls("claimed", d, start, store.DevicePending, nil)
	k.wants("deny", k.DenyDevice(k.Context(), d.Hash, browser, start), nil)
	k.polls("denied", d, start, store.DeviceDenied, nil)
	k.polls("denied, and it is over", d, end, store.DeviceDenied, nil)
}

// deviceRaces: of many browsers one gets a device, and of many sign-ins in it one
// counts.
func deviceRaces(k *kit) {
	d := k.created()
	browsers := make([]store.Hash, 64)
	for i := range browsers {
		browsers[i] = k.hash()
	}
	winner := k.oneWins(store.ErrNotFound, race(len(browsers), func(i int) error {
		return k.ClaimDevice(k.Context(), d.Hash, browsers[i], start)
	}))
	k.oneWins(store.ErrNotFound, race(64, func(i int) error {
		if i%2 == 0 {
			return k.DenyDevice(k.Context(), d.Hash, browsers[winner], start)
		}
		return k.ApproveDevice(k.Context(), browsers[winner], k.approval(d), start)
	}))
}

func deviceDisabled(k *kit) {
	for _, s := range k.subjects() {
		d, browser := k.claimed()
		c := k.approval(d)
		s.mine(&c)
		_, err := s.disable(start)
		k.wants(s.name, err, nil)
		k.wants(s.name+": approve", k.ApproveDevice(k.Context(), browser, c, start), store.ErrDisabled)
		k.polls(s.name+": it is not decided", d, start, store.DevicePending, nil)
		k.wants(s.name, s.enable(), nil)
		k.wants(s.name+" enabled: approve", k.ApproveDevice(k.Context(), browser, c, start), nil)
		_, err = s.disable(start)
		k.wants(s.name, err, nil)
		_, err = k.RedeemCode(k.Context(), store.Redemption{Code: d.Hash, Access: k.access(start)}, start)
		k.wants(s.name+": redeem", err, store.ErrDisabled)
		k.wants(s.name, s.enable(), nil)
	}
}

// deviceCollected: an approved one stays as long as its code, to tell of a replay.
func deviceCollected(k *kit) {
	waiting, denied := k.created(), k.created()
	k.wants("deny", k.DenyDevice(k.Context(), denied.Hash, k.hash(), start), nil)
	approved, browser := k.claimed()
	k.wants("approve", k.ApproveDevice(k.Context(), browser, k.approval(approved), start), nil)
	end := stored(start.Add(deviceLife))
	k.collect("an hour after their end", end.Add(time.Hour), 0)
	k.polls("one that waits", waiting, start, store.DevicePending, nil)
	k.collect("a moment later", end.Add(time.Hour+tick), 2)
	k.polls("one that waited", waiting, start, 0, store.ErrNotFound)
	k.polls("one that was denied", denied, start, 0, store.ErrNotFound)
	k.collect("a day after their end", end.Add(day), 0)
	k.polls("the approved one", approved, start, store.DeviceApproved, nil)
	k.collect("a moment later, with its code", end.Add(day+tick), 2)
	k.polls("the approved one", approved, start, 0, store.ErrNotFound)
}
