package mcphttp

import "fmt"

const (
	// maxURI bounds the URI of one resource that is subscribed to, maxSubscribed how
	// many there are of one session or stream, and maxSubscribedBytes what they take
	// together.
	maxURI             = 8 << 10
	maxSubscribed      = 500
	maxSubscribedBytes = 128 << 10
)

// uris are the resources that somebody subscribes to. The zero value has none.
type uris struct {
	all   map[string]bool
	bytes int
}

func (u *uris) has(uri string) bool { return u.all[uri] }

func (u *uris) add(uri string) error {
	switch {
	case u.all[uri]:
		return nil
	case len(uri) > maxURI:
		return fmt.Errorf("the URI is longer than %d bytes", maxURI)
	case len(u.all) >= maxSubscribed:
		return fmt.Errorf("there are %d subscriptions already, and may not be more", maxSubscribed)
	case u.bytes+len(uri) > maxSubscribedBytes:
		return fmt.Errorf("the URIs of all subscriptions take more than %d bytes", maxSubscribedBytes)
	}
	if u.all == nil {
		u.all = make(map[string]bool)
	}
	u.all[uri] = true
	u.bytes += len(uri)
	return nil
}

func (u *uris) remove(uri string) {
	if u.all[uri] {
		delete(u.all, uri)
		u.bytes -= len(uri)
	}
}
