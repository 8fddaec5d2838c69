package client_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/oauth"
)

// TestAKeyThatIsCostlyToCheckIsRefused: the work to check a signature grows with
// the cube of the key, which anybody can publish.
func TestAKeyThatIsCostlyToCheckIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		bits int
		want error
	}{
		{name: "1024 bits", bits: 1024, want: client.ErrUnknown},
		{name: "2048 bits", bits: 2048},
		{name: "4096 bits", bits: 4096},
		{name: "4104 bits", bits: 4104, want: client.ErrUnknown},
		{name: "16384 bits", bits: 16384, want: client.ErrUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			modulus := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, tt.bits/8))
			w := newWeb()
			w.publish(victimID, described(t, victimID, map[string]any{
				"token_endpoint_auth_method": oauth.AuthMethodPrivateKeyJWT,
				"jwks":                       map[string]any{"keys": []any{map[string]any{"kty": "RSA", "n": modulus, "e": "AQAB"}}},
			}))
			if _, err := directory(w, newRing(t), everybody).Resolve(t.Context(), victimID); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
