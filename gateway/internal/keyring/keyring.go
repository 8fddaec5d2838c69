// Package keyring holds the gateway's root keys and derives from them one key
// per purpose. It seals what the gateway hands out and takes back (client ids,
// consent forms, session ids) and what it stores (sign-ins under way).
//
// One file (mcp-gateway keys init) holds one or more 256-bit root keys; the
// first seals, all of them open, so that keys can be replaced with an overlap.
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
)

// purposes are all of the above: keys are derived once, at construction.
var purposes = []Purpose{ClientRegistration, ConsentForm, LoginState, Session}

// ErrOpen is returned for anything that this ring did not seal for that
// purpose and context.
var ErrOpen = errors.New("not sealed by this key ring")

const (
	keyBytes = 32
	idBytes  = 4
	// Overhead is by how many bytes a sealed value is longer than its content.
	Overhead = idBytes + 12 + 16
)

// Ring is a set of root keys. It is safe for concurrent use.
type Ring struct {
	sealID [idBytes]byte
	keys   map[[idBytes]byte]map[Purpose]cipher.AEAD
}

type file struct {
	Keys []fileKey `json:"keys"`
}

type fileKey struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Key     string    `json:"key"`
}

// Create writes a new ring with one random key to path, mode 0600. It never
// overwrites: losing a key ring makes every registration and credential
// unreadable.
func Create(path string, now time.Time) error {
	root := make([]byte, keyBytes)
	_, _ = rand.Read(root) // never fails since Go 1.24
	id := make([]byte, idBytes)
	_, _ = rand.Read(id)
	data, err := json.MarshalIndent(file{Keys: []fileKey{{
		ID: hex.EncodeToString(id), Created: now.UTC().Truncate(time.Second),
		Key: base64.StdEncoding.EncodeToString(root),
	}}}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode key ring: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create the folder of the key ring: %w", err)
	}
	return writeNew(path, append(data, '\n'))
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
func Load(path string) (*Ring, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no key ring at %s; make one with: mcp-gateway keys init %s", path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key ring: %w", err)
	}
	if err := checkMode(path, info); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key ring: %w", err)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("key ring %s is not one that keys init wrote", path)
	}
	ring, err := fromFile(f)
	if err != nil {
		return nil, fmt.Errorf("key ring %s: %w", path, err)
	}
	return ring, nil
}

func fromFile(f file) (*Ring, error) {
	if len(f.Keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	r := &Ring{keys: make(map[[idBytes]byte]map[Purpose]cipher.AEAD, len(f.Keys))}
	for i, k := range f.Keys {
		id, err := hex.DecodeString(k.ID)
		if err != nil || len(id) != idBytes {
			return nil, fmt.Errorf("key %d: id is not %d hex digits", i+1, 2*idBytes)
		}
		root, err := base64.StdEncoding.DecodeString(k.Key)
		if err != nil || len(root) != keyBytes {
			return nil, fmt.Errorf("key %s: it is not %d bytes of base64", k.ID, keyBytes)
		}
		if _, twice := r.keys[[idBytes]byte(id)]; twice {
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
		r.keys[[idBytes]byte(id)] = derived
		if i == 0 {
			r.sealID = [idBytes]byte(id)
		}
	}
	return r, nil
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
	aead := r.aead(r.sealID, p)
	out := make([]byte, idBytes+aead.NonceSize(), Overhead+len(plain))
	copy(out, r.sealID[:])
	_, _ = rand.Read(out[idBytes:])
	return aead.Seal(out, out[idBytes:], plain, context)
}

// Open returns what Seal was given. Every failure is ErrOpen.
func (r *Ring) Open(p Purpose, sealed, context []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	aead := r.aead([idBytes]byte(sealed), p)
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

func (r *Ring) aead(id [idBytes]byte, p Purpose) cipher.AEAD {
	derived, ok := r.keys[id]
	if !ok {
		return nil
	}
	aead, ok := derived[p]
	if !ok {
		panic("keyring: purpose " + string(p) + " is not listed")
	}
	return aead
}
