// Package keyring holds the gateway's root keys and derives from them one key
// per purpose. It seals what the gateway hands out and takes back (client ids,
// consent forms, session ids) and what it stores (sign-ins under way).
//
// One file (mcp-gateway keys init) holds one or more 256-bit root keys. The newest
// whose time has come seals, all of them open, so that keys can be replaced while
// gateways run: each reads the file again every few seconds, and a new key seals
// only when all have had the time to.
// Per purpose, HKDF-SHA256 (RFC 5869) derives an AES-256-GCM key, so a value
// sealed for one purpose never opens for another (DESIGN D13). There is no
// default key: no file, no start (D17).
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Purpose separates the uses of a root key; the text is the HKDF label.
type Purpose string

// The purposes. A new use gets a new purpose, never a shared one.
const (
	// ClientRegistration seals a dynamic registration into its client_id.
	ClientRegistration Purpose = "client registration v1"
	// ConsentForm seals an authorization request into the consent page.
	ConsentForm Purpose = "consent form v1"
	// LoginState seals a sign-in under way in the store.
	LoginState Purpose = "login state v1"
	// Session seals a legacy MCP session into its id.
	Session Purpose = "mcp session v1"
	// BrowserPerson seals who signed in last into a browser's cookie.
	BrowserPerson Purpose = "browser person v1"
	// RequestState seals the state of a request that takes several rounds.
	RequestState Purpose = "mcp request state v1"
	// MicrosoftToken seals a person's Microsoft refresh token in the store.
	MicrosoftToken Purpose = "microsoft refresh token v1"
)

// purposes are all of the above: keys are derived once, at construction.
var purposes = []Purpose{ClientRegistration, ConsentForm, LoginState, Session, BrowserPerson, RequestState, MicrosoftToken}

// ErrOpen is returned for anything that this ring did not seal for that
// purpose and context.
var ErrOpen = errors.New("not sealed by this key ring")

const (
	keyBytes = 32
	idBytes  = 4
	// Overhead is by how many bytes a sealed value is longer than its content.
	Overhead = idBytes + 12 + 16
)

// Overlap is how long a new key opens before it seals; reloadEvery is how often a
// gateway reads the ring again, and much shorter.
const (
	Overlap     = time.Minute
	reloadEvery = 5 * time.Second
)

// Ring is a set of root keys. It is safe for concurrent use.
type Ring struct {
	path string
	keys atomic.Pointer[keys]
}

// keys are the keys as of one reading.
type keys struct {
	sealID [idBytes]byte
	byID   map[[idBytes]byte]map[Purpose]cipher.AEAD
}

type file struct {
	Keys []fileKey `json:"keys"`
}

type fileKey struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	// Seals is from when on the key seals; without it, since ever.
	Seals time.Time `json:"seals,omitzero"`
	Key   string    `json:"key"`
}

// newKey is a random key.
func newKey(created, seals time.Time) fileKey {
	root, id := make([]byte, keyBytes), make([]byte, idBytes)
	_, _ = rand.Read(root) // never fails since Go 1.24
	_, _ = rand.Read(id)
	return fileKey{
		ID: hex.EncodeToString(id), Created: created.UTC().Truncate(time.Second), Seals: seals,
		Key: base64.StdEncoding.EncodeToString(root),
	}
}

// encode is the file's text.
func (f file) encode() ([]byte, error) {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode key ring: %w", err)
	}
	return append(data, '\n'), nil
}

// sealing returns the index of the key that seals at a time: the newest whose time
// has come, and of those without one the first.
func (f file) sealing(now time.Time) int {
	best := -1
	for i, k := range f.Keys {
		if !k.Seals.After(now) && (best < 0 || k.Seals.After(f.Keys[best].Seals)) {
			best = i
		}
	}
	return max(best, 0)
}

// Create writes a new ring with one random key to path, mode 0600. It never
// overwrites: losing a key ring makes every registration and credential
// unreadable.
func Create(path string, now time.Time) error {
	data, err := file{Keys: []fileKey{newKey(now, time.Time{})}}.encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create the folder of the key ring: %w", err)
	}
	return writeNew(path, data)
}

// writeNew makes a file with mode 0600 that is whole or not there, and never
// takes the place of one that is: it is written under another name and then
// linked to its own.
func writeNew(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*")
	if err != nil {
		return fmt.Errorf("create key ring: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write key ring: %w", err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is left as it is: %w", path, fs.ErrExist)
	} else if err != nil {
		return fmt.Errorf("create key ring: %w", err)
	}
	return nil
}

// Load reads the ring at path. It refuses a file that others may read.
func Load(path string, now time.Time) (*Ring, error) {
	r := &Ring{path: path}
	_, err := r.reload(now)
	return r, err
}

// reload reads the file again, and reports whether another key seals now.
func (r *Ring) reload(now time.Time) (changed bool, err error) {
	f, _, err := read(r.path)
	if err != nil {
		return false, err
	}
	next, err := f.derive(now)
	if err != nil {
		return false, fmt.Errorf("key ring %s: %w", r.path, err)
	}
	before := r.keys.Swap(next)
	return before != nil && before.sealID != next.sealID, nil
}

// read reads the file at path.
func read(path string) (f file, data []byte, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, nil, fmt.Errorf("there is no key ring at %s; make one with: mcp-gateway keys init %s", path, path)
	}
	if err != nil {
		return file{}, nil, fmt.Errorf("read key ring: %w", err)
	}
	if err := checkMode(path, info); err != nil {
		return file{}, nil, err
	}
	if data, err = os.ReadFile(path); err != nil {
		return file{}, nil, fmt.Errorf("read key ring: %w", err)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return file{}, nil, fmt.Errorf("key ring %s is not one that keys init wrote", path)
	}
	return f, data, nil
}

// derive makes the keys of the file usable.
func (f file) derive(now time.Time) (*keys, error) {
	if len(f.Keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	ks := &keys{byID: make(map[[idBytes]byte]map[Purpose]cipher.AEAD, len(f.Keys))}
	sealing := f.sealing(now)
	for i, k := range f.Keys {
		id, err := hex.DecodeString(k.ID)
		if err != nil || len(id) != idBytes {
			return nil, fmt.Errorf("key %d: id is not %d hex digits", i+1, 2*idBytes)
		}
		root, err := base64.StdEncoding.DecodeString(k.Key)
		if err != nil || len(root) != keyBytes {
			return nil, fmt.Errorf("key %s: it is not %d bytes of base64", k.ID, keyBytes)
		}
		if _, twice := ks.byID[[idBytes]byte(id)]; twice {
			return nil, fmt.Errorf("key %s: the id stands twice", k.ID)
		}
		derived := make(map[Purpose]cipher.AEAD, len(purposes))
		for _, p := range purposes {
			aead, err := derive(root, p)
			if err != nil {
				return nil, err
			}
			derived[p] = aead
		}
		ks.byID[[idBytes]byte(id)] = derived
		if i == sealing {
			ks.sealID = [idBytes]byte(id)
		}
	}
	return ks, nil
}

func derive(root []byte, p Purpose) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, root, nil, "mcp-gateway "+string(p), keyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return cipher.NewGCM(block)
}

// Seal encrypts and authenticates plain for a purpose. context is
// authenticated too and must be given again to open (nil is a context).
func (r *Ring) Seal(p Purpose, plain, context []byte) []byte {
	ks := r.keys.Load()
	aead := ks.aead(ks.sealID, p)
	out := make([]byte, idBytes+aead.NonceSize(), Overhead+len(plain))
	copy(out, ks.sealID[:])
	_, _ = rand.Read(out[idBytes:])
	return aead.Seal(out, out[idBytes:], plain, context)
}

// Open returns what Seal was given. Every failure is ErrOpen.
func (r *Ring) Open(p Purpose, sealed, context []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	aead := r.keys.Load().aead([idBytes]byte(sealed), p)
	if aead == nil {
		return nil, ErrOpen
	}
	nonce := sealed[idBytes : idBytes+aead.NonceSize()]
	plain, err := aead.Open(nil, nonce, sealed[idBytes+aead.NonceSize():], context)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// SealText is Seal in base64url without padding, for URLs and headers.
func (r *Ring) SealText(p Purpose, plain, context []byte) string {
	return base64.RawURLEncoding.EncodeToString(r.Seal(p, plain, context))
}

// OpenText is Open for the result of SealText.
func (r *Ring) OpenText(p Purpose, sealed string, context []byte) ([]byte, error) {
	// A sealed value has one spelling, so that it can be deny-listed: strict
	// about unused bits, and no line breaks, which the decoder would skip.
	data, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || strings.ContainsAny(sealed, "\r\n") {
		return nil, ErrOpen
	}
	return r.Open(p, data, context)
}

func (ks *keys) aead(id [idBytes]byte, p Purpose) cipher.AEAD {
	derived, ok := ks.byID[id]
	if !ok {
		return nil
	}
	aead, ok := derived[p]
	if !ok {
		panic("keyring: purpose " + string(p) + " is not listed")
	}
	return aead
}
