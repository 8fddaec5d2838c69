// Package keychain owns what the bridge remembers between runs: one sealed file
// per server and account, and the one key that opens them all. The key is in the
// keychain of the operating system (the tokens themselves do not fit there: 2560
// bytes on Windows, about 3000 on macOS) or, when chosen, in a file beside them.
//
// It does not know what a token is, when one is stale or how one is renewed, and
// it never falls from one kind of store to another on its own.
package keychain

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind says where the key that opens the sealed files is kept.
type Kind string

// The kinds a person can choose with --token-store.
const (
	KindKeychain Kind = "keychain"
	KindFile     Kind = "file"
	KindMemory   Kind = "memory"
)

// The reasons a caller tells apart.
var (
	// ErrNotFound: nothing is stored under the key.
	ErrNotFound = errors.New("nothing stored")
	// ErrLocked: the key to the sealed files cannot be had now. What is stored
	// stays as it is, and no new key is made over it.
	ErrLocked = errors.New("token store locked")
	// ErrDamaged: a sealed file is there and does not open. Saving over it, or
	// deleting it, is the way out.
	ErrDamaged = errors.New("stored sign-in is damaged")
)

// Key names one stored sign-in.
type Key struct {
	Server  string `json:"server"`            // canonical URL of the MCP server
	Account string `json:"account,omitempty"` // "" is the default account
}

// ID is the name of the key in file names: it shows neither server nor account.
func (k Key) ID() string {
	// The zero byte is in no URL, so no two keys share a digest by their split.
	sum := sha256.Sum256([]byte(k.Server + "\x00" + k.Account))
	return hex.EncodeToString(sum[:16])
}

// Record is what one sign-in leaves behind. Its secrets are plain strings because
// it is written and read only sealed; printing or logging a Record shows none.
type Record struct {
	Issuer                  string          `json:"issuer,omitempty"`
	Resource                string          `json:"resource,omitempty"`
	Subject                 string          `json:"subject,omitempty"` // who signed in, if known
	ClientID                string          `json:"client_id,omitempty"`
	ClientSecret            string          `json:"client_secret,omitempty"`
	Registration            json.RawMessage `json:"registration,omitempty"`
	RedirectURIs            []string        `json:"redirect_uris,omitempty"`
	TokenEndpoint           string          `json:"token_endpoint,omitempty"`
	RevocationEndpoint      string          `json:"revocation_endpoint,omitempty"`
	TokenEndpointAuthMethod string          `json:"token_endpoint_auth_method,omitempty"`
	Scopes                  []string        `json:"scopes,omitempty"`
	AccessToken             string          `json:"access_token,omitempty"`
	RefreshToken            string          `json:"refresh_token,omitempty"`
	ExpiresAt               time.Time       `json:"expires_at,omitzero"`
	UpdatedAt               time.Time       `json:"updated_at,omitzero"`
}

// Format implements fmt.Formatter for every verb, so that no secret is printed.
func (r Record) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "sign-in at %s for %s", r.Issuer, r.Resource)
}

// LogValue implements slog.LogValuer.
func (r Record) LogValue() slog.Value {
	return slog.GroupValue(slog.String("issuer", r.Issuer), slog.String("resource", r.Resource))
}

// Options says where a Store keeps its secrets.
type Options struct {
	// Kind of store; "" is KindKeychain.
	Kind Kind
	// Dir holds the files, made with mode 0700 when absent; "" is DefaultDir.
	Dir string
	// Timeout bounds each call of the OS keychain; 0 is 3 s. An interactive
	// command gives a person more time to answer the keychain's own question.
	Timeout time.Duration
	// SessionBus is the value of DBUS_SESSION_BUS_ADDRESS. Without it and without
	// the user's bus socket the Secret Service is not asked at all, because the
	// D-Bus library would start a bus of its own.
	SessionBus string
	// Logger gets what a person may want to know; nil is silent.
	Logger *slog.Logger
}

// Store keeps sign-ins. It is safe for concurrent use, also by other processes.
type Store struct {
	kind   Kind
	dir    string
	keeper keeper // of the store key; nil for KindMemory
	logger *slog.Logger

	opening chan struct{} // held while the store key is fetched, so one fetch runs at a time

	mu     sync.Mutex               // guards below
	key    []byte                   // nil until first needed
	memory map[Key][]byte           // records of KindMemory, as JSON so that no slice is shared
	cache  map[Key][]byte           // caches of KindMemory
	locks  map[string]chan struct{} // locks of KindMemory
}

// Open makes a Store. It reads nothing yet: the keychain is asked at first use,
// off the way to the first answer.
func Open(o Options) (*Store, error) {
	s := &Store{kind: cmp.Or(o.Kind, KindKeychain), dir: o.Dir, logger: o.Logger, opening: make(chan struct{}, 1)}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.dir == "" && s.kind != KindMemory {
		dir, err := DefaultDir()
		if err != nil {
			return nil, err
		}
		s.dir = dir
	}
	switch s.kind {
	case KindKeychain:
		s.keeper = osKeeper{timeout: cmp.Or(o.Timeout, 3*time.Second), bus: o.SessionBus}
	case KindFile:
		s.keeper = fileKeeper{path: filepath.Join(s.dir, keyFile)}
	case KindMemory:
		s.memory, s.cache, s.locks = map[Key][]byte{}, map[Key][]byte{}, map[string]chan struct{}{}
	default:
		return nil, fmt.Errorf("unknown token store %q: want keychain, file or memory", s.kind)
	}
	return s, nil
}

// DefaultDir is the folder of the bridge's files for this user.
func DefaultDir() (string, error) {
	// %AppData% is redirected for packaged (MSIX) programs, so that two hosts
	// would see two folders; the profile folder is the same for all.
	find, name := os.UserConfigDir, "mcp-bridge"
	if runtime.GOOS == "windows" {
		find, name = os.UserHomeDir, ".mcp-bridge"
	}
	base, err := find()
	if err != nil {
		return "", fmt.Errorf("find a folder for the token store: %w", err)
	}
	return filepath.Join(base, name), nil
}

// Where says in words for a person where the secrets are.
func (s *Store) Where() string {
	switch s.kind {
	case KindFile:
		return "file (not protected by the operating system): " + s.dir
	case KindMemory:
		return "memory (gone at exit)"
	default:
		return "OS keychain (" + serviceName() + ")"
	}
}

// Ready reports whether a Save would find its key, making the key when the store
// is new. Asked before a person is sent to sign in, it spares them a sign-in that
// could not be kept.
func (s *Store) Ready(ctx context.Context) error {
	if s.kind == KindMemory {
		return nil
	}
	_, err := s.storeKey(ctx, true)
	return err
}

// Load returns what is stored under k: ErrNotFound, ErrLocked or ErrDamaged when
// it cannot. A key with nothing stored costs one failed open and no keychain call.
func (s *Store) Load(ctx context.Context, k Key) (Record, error) {
	if s.kind == KindMemory {
		s.mu.Lock()
		data, ok := s.memory[k]
		s.mu.Unlock()
		if !ok {
			return Record{}, fmt.Errorf("load sign-in for %s: %w", k.Server, ErrNotFound)
		}
		var r Record
		err := json.Unmarshal(data, &r)
		return r, err
	}
	e, err := s.readSealed(ctx, s.sealedName(k))
	if err == nil && e.Key != k {
		err = fmt.Errorf("%w: the file belongs to another server", ErrDamaged)
	}
	if err != nil {
		return Record{}, fmt.Errorf("load sign-in for %s: %w", k.Server, err)
	}
	return e.Record, nil
}

// Save stores r under k in place of what was there. When it fails, what was there
// is still there.
func (s *Store) Save(ctx context.Context, k Key, r Record) error {
	if s.kind == KindMemory {
		data, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("save sign-in for %s: %w", k.Server, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.memory[k] = data
		return nil
	}
	if err := s.writeSealed(ctx, s.sealedName(k), entry{Key: k, Record: r}); err != nil {
		return fmt.Errorf("save sign-in for %s: %w", k.Server, err)
	}
	return nil
}

// Delete removes what is stored under k, and its cache. Nothing there is no error.
// It needs no key, so it is also the way out of a store whose key is lost.
func (s *Store) Delete(_ context.Context, k Key) error {
	if s.kind == KindMemory {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.memory, k)
		delete(s.cache, k)
		return nil
	}
	// The lock file stays: removing it would let two processes hold the lock, one
	// on the removed file and one on its successor.
	for _, name := range []string{s.sealedName(k), k.ID() + cacheSuffix} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete sign-in for %s: %w", k.Server, err)
		}
	}
	return nil
}

// List returns the keys with something stored, ordered. With files that do not
// open it returns the keys of the others and one error that names them all.
func (s *Store) List(ctx context.Context) ([]Key, error) {
	if s.kind == KindMemory {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.SortedFunc(maps.Keys(s.memory), compareKeys), nil
	}
	names, err := s.sealedFiles()
	if err != nil {
		return nil, fmt.Errorf("list sign-ins: %w", err)
	}
	var keys []Key
	var bad []error
	for _, name := range names {
		e, err := s.readSealed(ctx, name)
		switch {
		case errors.Is(err, ErrLocked) || ctx.Err() != nil:
			return nil, fmt.Errorf("list sign-ins: %w", err)
		case errors.Is(err, ErrNotFound): // deleted meanwhile
		case err != nil:
			bad = append(bad, err)
		default:
			keys = append(keys, e.Key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys, errors.Join(bad...)
}

func compareKeys(a, b Key) int {
	return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Account, b.Account))
}

// Lock holds k against every other holder, here and in other processes, until the
// returned function is called or the process ends. It waits until ctx ends.
func (s *Store) Lock(ctx context.Context, k Key) (unlock func(), err error) {
	if s.kind == KindMemory {
		return s.lockMemory(ctx, k.ID())
	}
	return LockFile(ctx, filepath.Join(s.dir, k.ID()+".lock"))
}

func (s *Store) lockMemory(ctx context.Context, id string) (func(), error) {
	s.mu.Lock()
	slot, ok := s.locks[id]
	if !ok {
		slot = make(chan struct{}, 1)
		s.locks[id] = slot
	}
	s.mu.Unlock()
	select {
	case slot <- struct{}{}:
		return sync.OnceFunc(func() { <-slot }), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the token store: %w", context.Cause(ctx))
	}
}
