package keychain

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// formatV1 opens every sealed file and is part of what the seal covers.
	formatV1 = "mcp-bridge sealed v1\n"
	// sealedSuffix ends the names of sealed files, after the kind of their store:
	// a person who changes the kind gets another set of files, and the first set
	// is untouched when they change back.
	sealedSuffix = ".sealed"
	// maxSealed bounds what is read back; a record is a few kilobytes.
	maxSealed = 1 << 20
)

// entry is the content of a sealed file. The key is inside so that List can read
// the server and the account, which the file name does not show.
type entry struct {
	Key    Key    `json:"key"`
	Record Record `json:"record"`
}

func (s *Store) sealedName(k Key) string { return k.ID() + "." + string(s.kind) + sealedSuffix }

// sealedFiles returns the names of this kind's sealed files.
func (s *Store) sealedFiles() ([]string, error) {
	all, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, f := range all {
		if strings.HasSuffix(f.Name(), "."+string(s.kind)+sealedSuffix) && !strings.HasPrefix(f.Name(), ".") {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

// readSealed opens one sealed file. Only the file itself can be ErrNotFound: a
// keychain whose socket is missing is locked, not empty.
func (s *Store) readSealed(ctx context.Context, name string) (entry, error) {
	data, err := readFile(filepath.Join(s.dir, name), maxSealed)
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, ErrNotFound
	}
	if err != nil {
		return entry{}, err
	}
	key, err := s.storeKey(ctx, false)
	if err != nil {
		return entry{}, err
	}
	plain, err := unseal(key, name, data)
	if err != nil {
		return entry{}, fmt.Errorf("%w: %s: %w", ErrDamaged, filepath.Join(s.dir, name), err)
	}
	var e entry
	if err := json.Unmarshal(plain, &e); err != nil {
		return entry{}, fmt.Errorf("%w: %s: %w", ErrDamaged, filepath.Join(s.dir, name), err)
	}
	return e, nil
}

// writeSealed seals e into the file called name.
func (s *Store) writeSealed(ctx context.Context, name string, e entry) error {
	key, err := s.storeKey(ctx, true)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(e)
	if err != nil {
		return err
	}
	data, err := seal(key, name, plain)
	if err != nil {
		return err
	}
	if len(data) > maxSealed {
		return fmt.Errorf("sign-in of %d bytes is over the limit of %d", len(data), maxSealed)
	}
	return WriteFile(filepath.Join(s.dir, name), data)
}

// seal encrypts plain for the file called name. The file's name and the format are
// authenticated with it, so that one sealed file cannot stand in for another.
func seal(key []byte, name string, plain []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails (crypto/rand); 96 random bits per write
	out := append([]byte(formatV1), nonce...)
	return aead.Seal(out, nonce, plain, []byte(formatV1+name)), nil
}

// unseal is the way back.
func unseal(key []byte, name string, data []byte) ([]byte, error) {
	rest, ok := strings.CutPrefix(string(data), formatV1)
	if !ok {
		return nil, errors.New("not in a format this version knows")
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	if len(rest) < aead.NonceSize()+aead.Overhead() {
		return nil, errors.New("cut short")
	}
	nonce, box := []byte(rest[:aead.NonceSize()]), []byte(rest[aead.NonceSize():])
	plain, err := aead.Open(nil, nonce, box, []byte(formatV1+name))
	if err != nil {
		return nil, errors.New("changed, renamed, or sealed with another key")
	}
	return plain, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
