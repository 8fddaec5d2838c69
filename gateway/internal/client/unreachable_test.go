package client_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/netguard"
)

// TestNobodyLearnsWhatANameResolvesTo: names are resolved for strangers, and as
// they are inside this network. One that has a private address must look like one
// that there is not, or whoever can open /authorize can list the hosts in here.
func TestNobodyLearnsWhatANameResolvesTo(t *testing.T) {
	t.Parallel()
	const id = "https://payroll.company.example/client.json"
	for _, tt := range []struct {
		name string
		id   string
		err  error // of the dialer
		want error // nil: any that says no more than that it cannot be read now
	}{
		{name: "a name that there is not", id: id, err: &net.DNSError{Err: "no such host", IsNotFound: true}},
		{name: "a name with a private address", id: id, err: netguard.Check(netip.MustParseAddr("10.1.2.3"))},
		{name: "a name with the address of a cloud's metadata", id: id, err: netguard.Check(netip.MustParseAddr("169.254.169.254"))},
		{name: "a private address", id: "https://10.1.2.3/client.json", want: client.ErrForbidden},
		{name: "a name that is inside by itself", id: "https://payroll.internal/client.json", want: client.ErrForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			guarded := netguard.NewClient(netguard.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: tt.err} // as package net wraps it
			}})
			_, err := openTo(t, guarded.Transport).Resolve(t.Context(), tt.id)
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want == nil && (err == nil || errors.Is(err, client.ErrForbidden) || errors.Is(err, client.ErrUnknown)) {
				t.Errorf("got %v, want an error that is neither ErrForbidden nor ErrUnknown", err)
			}
		})
	}
}
