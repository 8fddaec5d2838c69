package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"mcp-gateway/shared/netguard"
)

// What clients publish is fetched before anybody has signed in, since consent
// comes before Microsoft (DESIGN D3). So a fetch is bounded in every way: by
// address (package netguard), size, time, number at once and number per host.
const (
	// maxPublications bounds the memory: some 8 MB if all are in use.
	maxPublications = 1000
	// maxKeySet bounds a jwks_uri's answer.
	maxKeySet = 32 << 10
	// fetchTime ends a fetch, and maxFetches are under way at a time.
	fetchTime  = 5 * time.Second
	maxFetches = 16
	// maxPerHost fetches a minute go to one host, so that nobody can turn the
	// gateway against it, and maxHosts are counted at a time.
	//
	// All three are counted apart for what there is a copy of: strangers, who can
	// ask for whatever they like, must not keep a client that people use from
	// being looked up until its copy is too old.
	maxPerHost = 30
	maxHosts   = 4096
)

// How long a copy serves: as the host says (RFC 9111), within bounds of ours; a
// host that says nothing gets defaultFresh. A copy that is no longer fresh still
// serves when the host cannot be reached, so that its outage logs nobody out,
// but none serves longer than maxAge ("recommended ≤ 24 h", MCP SEP-991).
const (
	leastFresh   = time.Minute
	defaultFresh = 10 * time.Minute
	maxAge       = 24 * time.Hour
)

// publication is a copy of what a client publishes, already read: a document or
// a set of keys. Errors and what was refused are never kept (draft §5.3).
type publication struct {
	client  Client
	keys    []jose.JSONWebKey
	fetched time.Time
	fresh   time.Time
}

// publications are the copies, and the only way to fetch.
type publications struct {
	http    *http.Client
	flights singleflight.Group
	// slots are taken by fetches of what is new, and reserved by those of what
	// there is a copy of.
	slots, reserved chan struct{}

	mu sync.Mutex // guards below
	// copies by kind and URL, and fetches by host within minute.
	copies  map[string]publication
	fetches map[counted]int
	minute  time.Time
}

// counted is a host, with fetches of what is new or of what there is a copy of.
type counted struct {
	host  string
	known bool
}

func newPublications(client *http.Client) *publications {
	return &publications{
		http: client, slots: make(chan struct{}, maxFetches), reserved: make(chan struct{}, maxFetches),
		copies: make(map[string]publication), fetches: make(map[counted]int),
	}
}

// document returns the client described at u.
func (p *publications) document(ctx context.Context, u *url.URL, now time.Time) (Client, error) {
	id := u.String()
	got, err := p.get(ctx, u, now, time.Time{}, reading{"document", maxDocument, func(body []byte) (publication, error) {
		c, err := readDocument(id, body)
		return publication{client: c}, err
	}})
	return got.client, err
}

// keySet returns the keys published at u, fetched after since.
func (p *publications) keySet(ctx context.Context, u *url.URL, now, since time.Time) (publication, error) {
	return p.get(ctx, u, now, since, reading{"keys", maxKeySet, func(body []byte) (publication, error) {
		keys, err := readKeys(body)
		if err != nil {
			return publication{}, fmt.Errorf("%w: its jwks_uri has keys that are refused: %w", ErrUnknown, err)
		}
		return publication{keys: keys}, nil
	}})
}

// reading is what is made of a body, which is at most limit bytes long.
type reading struct {
	// kind keeps copies apart: a client chooses its jwks_uri, and may name
	// another's document.
	kind  string
	limit int64
	read  func(body []byte) (publication, error)
}

// get returns a copy that is fresh and was fetched after since, or a new one.
func (p *publications) get(ctx context.Context, u *url.URL, now, since time.Time, as reading) (publication, error) {
	key := as.kind + " " + u.String()
	have, known := p.copyOf(key)
	if known && now.Before(have.fresh) && have.fetched.After(since) {
		return have, nil
	}
	flight := p.flights.DoChan(key, func() (any, error) {
		// For all who wait, so not in the context of the first of them.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
		defer cancel()
		done, err := p.admit(u, known, now)
		if err != nil {
			return publication{}, err
		}
		defer done()
		fetched, err := p.fetch(ctx, u, now, as)
		switch {
		case err == nil:
			p.keep(key, fetched, now)
		case final(err):
			p.drop(key)
		}
		return fetched, err
	})
	select {
	case <-ctx.Done():
		return publication{}, ctx.Err()
	case done := <-flight:
		if done.Err == nil {
			return done.Val.(publication), nil
		}
		// Asked again, since it may have been dropped meanwhile.
		have, known = p.copyOf(key)
		if known && have.fetched.After(since) && !final(done.Err) && now.Before(have.fetched.Add(maxAge)) {
			return have, nil
		}
		return publication{}, done.Err
	}
}

// final reports whether an error of a fetch is an answer, and not an outage.
func final(err error) bool { return errors.Is(err, ErrUnknown) || errors.Is(err, ErrForbidden) }

// drop forgets a copy of what is published no longer, so that an outage later
// does not bring it back.
func (p *publications) drop(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.copies, key)
}

func (p *publications) copyOf(key string) (publication, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	have, ok := p.copies[key]
	return have, ok
}

// keep stores a copy, and drops what is over or, if all is fresh, any other:
// whoever needs that fetches it again.
func (p *publications) keep(key string, fetched publication, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.copies[key]; !ok && len(p.copies) >= maxPublications {
		victim := ""
		for other, c := range p.copies {
			if victim = other; !now.Before(c.fresh) {
				break
			}
		}
		delete(p.copies, victim)
	}
	p.copies[key] = fetched
}

var (
	errBusy     = errors.New("too many clients are being looked up at the moment")
	errHostBusy = errors.New("its host was asked too often within a minute")
)

// admit lets a fetch begin, which ends with done. known: there is a copy.
func (p *publications) admit(u *url.URL, known bool, now time.Time) (done func(), err error) {
	slots := p.slots
	if known {
		slots = p.reserved
	}
	select {
	case slots <- struct{}{}:
		done = func() { <-slots }
	default:
		return nil, errBusy
	}
	// With a slot, so that only requests count.
	if !p.count(counted{strings.ToLower(u.Hostname()), known}, now) {
		done()
		return nil, errHostBusy
	}
	return done, nil
}

// fetch gets and reads what is at u. Its error wraps ErrUnknown or ErrForbidden
// if trying again would not help.
func (p *publications) fetch(ctx context.Context, u *url.URL, now time.Time, as reading) (publication, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return publication{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "mcp-gateway")
	resp, err := p.http.Do(req)
	// Refused by what stands in the URL, which whoever wrote it knows. What a name
	// resolves to in here they do not: that is as if it could not be reached.
	if _, dialled := errors.AsType[*net.OpError](err); errors.Is(err, netguard.ErrForbidden) && !dialled {
		return publication{}, fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	if err != nil {
		return publication{}, fmt.Errorf("fetch what the client publishes: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := readBody(resp, as.limit)
	if err != nil {
		return publication{}, err
	}
	got, err := as.read(body)
	got.fetched, got.fresh = now, now.Add(freshness(resp.Header))
	return got, err
}

// count counts a fetch from a host and reports whether it may be made. Of hosts
// with copies there are no more than copies.
func (p *publications) count(from counted, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Not for one of before, whose request began earlier: it would clear the
	// counts, and so would the next.
	if minute := now.Truncate(time.Minute); minute.After(p.minute) {
		p.minute = minute
		clear(p.fetches)
	}
	n, seen := p.fetches[from]
	if n >= maxPerHost || !seen && !from.known && len(p.fetches) >= maxHosts {
		return false
	}
	p.fetches[from]++
	return true
}

// readBody reads a response that must be 200, JSON and small. "The
// authorization server MUST NOT follow redirects" (draft §5.2), and only 200 is
// success; of the others some pass by themselves.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	switch status := resp.StatusCode; {
	case status == http.StatusOK:
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return nil, fmt.Errorf("the client's host answers with status %d", status)
	case status >= 300 && status < 400:
		return nil, fmt.Errorf("%w: its host answers with status %d, and redirects are not followed", ErrUnknown, status)
	default:
		return nil, fmt.Errorf("%w: its host answers with status %d", ErrUnknown, status)
	}
	if !isJSON(resp.Header) {
		return nil, fmt.Errorf("%w: what it publishes is not of the type application/json", ErrUnknown)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read what the client publishes: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: what it publishes is larger than %d bytes", ErrUnknown, limit)
	}
	return body, nil
}

// isJSON reports whether a response is application/json or another
// application/<something>+json (draft §5).
func isJSON(header http.Header) bool {
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}

// freshness is how long a response says that it may be used (RFC 9111 §4.2.1),
// within the bounds.
func freshness(header http.Header) time.Duration {
	fresh, said := defaultFresh, false
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return leastFresh
		case "max-age":
			// "either the first occurrence should be used" (§4.2.1)
			if age, ok := deltaSeconds(strings.Trim(value, `"`)); ok && !said {
				fresh, said = age, true
			}
		}
	}
	if age, ok := deltaSeconds(header.Get("Age")); ok {
		fresh -= age
	}
	return min(max(fresh, leastFresh), maxAge)
}

// deltaSeconds reads a number of seconds; one that is too large is the largest
// that there is (RFC 9111 §1.2.2).
func deltaSeconds(text string) (time.Duration, bool) {
	seconds, err := strconv.ParseUint(text, 10, 31)
	return time.Duration(seconds) * time.Second, err == nil || errors.Is(err, strconv.ErrRange)
}
