package authserver_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/entra"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
)

// A fault is what goes wrong at one operation of a request.
type fault string

const (
	// refused: the operation fails before it has written anything.
	refused fault = "refused"
	// lost: it has done all, and its acknowledgement is lost.
	lost fault = "lost"
	// gone: the client hangs up before it begins.
	gone fault = "gone"
	// left: the client hangs up when it is done.
	left fault = "left"
)

var allFaults = []fault{refused, lost, gone, left}

// errFault is no sentinel of anybody.
var errFault = errors.New("disk on fire")

// faulty is the real store and directory; it notes every operation of a
// request, and has one of them fail. It embeds neither: an operation that a rule
// comes to need must be written here, and so is seen.
type faulty struct {
	db      *sqlite.Store
	clients *client.Directory
	// refusal is what Microsoft says of everybody; nil lets them in.
	refusal error
	// slow is how long Microsoft takes, and renewed when it has answered.
	slow    time.Duration
	renewed time.Time

	mu sync.Mutex
	// guards below
	seen []string
	// request is the context of the request under way.
	request context.Context
	// armed are the faults by operation; each happens once.
	armed map[string]fault
	// hangUp ends the client's connection.
	hangUp context.CancelFunc
}

// arm has the next request fail, and forgets what was seen.
func (f *faulty) arm(op string, how fault, hangUp context.CancelFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.request, f.hangUp = nil, nil, hangUp
	f.armed = map[string]fault{op: how}
}

// operations are those of the requests since arm.
func (f *faulty) operations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

func (f *faulty) begin(ctx context.Context, op string) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.request == nil {
		f.request = ctx
	}
	f.seen = append(f.seen, op)
	how := f.armed[op]
	delete(f.armed, op)
	return how
}

// leave has the client hang up, and waits until the server knows.
func (f *faulty) leave() {
	f.mu.Lock()
	request, hangUp := f.request, f.hangUp
	f.mu.Unlock()
	hangUp()
	<-request.Done()
}

// around runs an operation, or has it fail.
func around[T any](ctx context.Context, f *faulty, op string, do func() (T, error)) (T, error) {
	var none T
	switch f.begin(ctx, op) {
	case refused:
		return none, errFault
	case lost:
		_, _ = do()
		return none, errFault
	case gone:
		f.leave()
	case left:
		defer f.leave()
	}
	return do()
}

func (f *faulty) Authenticate(ctx context.Context, given client.Credentials, now time.Time) (client.Client, error) {
	return around(ctx, f, "Authenticate", func() (client.Client, error) { return f.clients.Authenticate(ctx, given, now) })
}

func (f *faulty) Code(ctx context.Context, hash store.Hash) (store.Code, error) {
	return around(ctx, f, "Code", func() (store.Code, error) { return f.db.Code(ctx, hash) })
}

func (f *faulty) FailCode(ctx context.Context, hash store.Hash) error {
	_, err := around(ctx, f, "FailCode", func() (struct{}, error) { return struct{}{}, f.db.FailCode(ctx, hash) })
	return err
}

func (f *faulty) RedeemCode(ctx context.Context, r store.Redemption, now time.Time) (store.Grant, error) {
	return around(ctx, f, "RedeemCode", func() (store.Grant, error) { return f.db.RedeemCode(ctx, r, now) })
}

func (f *faulty) CreateOwnGrant(ctx context.Context, o store.OwnGrant) error {
	_, err := around(ctx, f, "CreateOwnGrant", func() (struct{}, error) { return struct{}{}, f.db.CreateOwnGrant(ctx, o) })
	return err
}

func (f *faulty) RotateRefresh(ctx context.Context, r store.Rotation, now time.Time) (store.Rotated, error) {
	return around(ctx, f, "RotateRefresh", func() (store.Rotated, error) { return f.db.RotateRefresh(ctx, r, now) })
}

func (f *faulty) AccountOfToken(ctx context.Context, hash store.Hash, clientID string) (store.Standing, error) {
	return around(ctx, f, "AccountOfToken", func() (store.Standing, error) { return f.db.AccountOfToken(ctx, hash, clientID) })
}

func (f *faulty) ClaimAccount(ctx context.Context, tenant, object string, until, now time.Time) (store.Account, error) {
	return around(ctx, f, "ClaimAccount", func() (store.Account, error) { return f.db.ClaimAccount(ctx, tenant, object, until, now) })
}

// Renew is Microsoft's answer about everybody.
func (f *faulty) Renew(ctx context.Context, before entra.SignIn, _ time.Time) (entra.SignIn, error) {
	return around(ctx, f, "Renew", func() (entra.SignIn, error) {
		time.Sleep(f.slow)
		f.renewed = time.Now()
		return before, f.refusal
	})
}

func (f *faulty) RenewAccount(ctx context.Context, a store.Account, who store.Identity, now time.Time) error {
	_, err := around(ctx, f, "RenewAccount", func() (struct{}, error) { return struct{}{}, f.db.RenewAccount(ctx, a, who, now) })
	return err
}

func (f *faulty) ReleaseAccount(ctx context.Context, a store.Account) error {
	_, err := around(ctx, f, "ReleaseAccount", func() (struct{}, error) { return struct{}{}, f.db.ReleaseAccount(ctx, a) })
	return err
}

func (f *faulty) EndAccount(ctx context.Context, a store.Account, event store.Event, now time.Time) ([]string, error) {
	return around(ctx, f, "EndAccount", func() ([]string, error) { return f.db.EndAccount(ctx, a, event, now) })
}

// lookUp is what UseAccessToken returns.
type lookUp struct {
	token store.AccessToken
	grant store.Grant
}

func (f *faulty) UseAccessToken(ctx context.Context, hash store.Hash, now time.Time) (store.AccessToken, store.Grant, error) {
	found, err := around(ctx, f, "UseAccessToken", func() (lookUp, error) {
		token, grant, err := f.db.UseAccessToken(ctx, hash, now)
		return lookUp{token, grant}, err
	})
	return found.token, found.grant, err
}

func (f *faulty) RevokeToken(ctx context.Context, hash store.Hash, clientID string, now time.Time) (store.Grant, error) {
	return around(ctx, f, "RevokeToken", func() (store.Grant, error) { return f.db.RevokeToken(ctx, hash, clientID, now) })
}

func (f *faulty) RevokeGrant(ctx context.Context, grantID, reason string, now time.Time) error {
	_, err := around(ctx, f, "RevokeGrant", func() (struct{}, error) {
		return struct{}{}, f.db.RevokeGrant(ctx, grantID, reason, now)
	})
	return err
}

func (f *faulty) AppendEvents(ctx context.Context, events []store.Event) error {
	_, err := around(ctx, f, "AppendEvents", func() (struct{}, error) { return struct{}{}, f.db.AppendEvents(ctx, events) })
	return err
}
