package oauth

// GrantTypeDeviceCode is the grant type by which a device asks for its tokens
// (RFC 8628 §3.4).
const GrantTypeDeviceCode = "urn:ietf:params:oauth:grant-type:device_code"

// DeviceAuthorization is the answer to a device that cannot be redirected to
// (RFC 8628 §3.2).
type DeviceAuthorization struct {
	// DeviceCode is the device's own, and UserCode is what the person types.
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	// VerificationURI is where they type it; VerificationURIComplete has the
	// code in it, for a QR code, and may be missing.
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete,omitempty"`
	// ExpiresIn is the lifetime of both codes in seconds.
	ExpiresIn int64 `json:"expires_in"`
	// Interval is how many seconds the device waits between its questions;
	// absent means 5.
	Interval int64 `json:"interval,omitempty"`
}
