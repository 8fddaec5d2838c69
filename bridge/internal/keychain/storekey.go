package keychain

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	keySize = 32 // AES-256
	keyFile = "store-key"
)

// errNoKey is a keeper that answers and has no key.
var errNoKey = errors.New("no store key")

// A keeper holds the store key, as base64 text.
type keeper interface {
	get(ctx context.Context) (string, error) // errNoKey when there is none
	set(ctx context.Context, text string) error
	try(ctx context.Context) error // whether set would work; leaves nothing behind
	String() string                // for a person: "the OS keychain"
}

// Check reports why nothing could be stored or read now, or nil. It makes no key
// and leaves nothing behind.
func (s *Store) Check(ctx context.Context) error {
	if s.kind == KindMemory || s.heldKey() != nil {
		return nil
	}
	_, err := s.fetchKey(ctx)
	if !errors.Is(err, errNoKey) {
		return err
	}
	names, err := s.sealedFiles()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return s.lostKey()
	}
	return s.keeper.try(ctx)
}

// storeKey returns the key to the sealed files, from memory after the first time.
// With create it makes one when there is none and nothing is sealed yet.
func (s *Store) storeKey(ctx context.Context, create bool) ([]byte, error) {
	if key := s.heldKey(); key != nil {
		return key, nil
	}
	select {
	case s.opening <- struct{}{}:
		defer func() { <-s.opening }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if key := s.heldKey(); key != nil { // fetched by the one before us
		return key, nil
	}
	key, err := s.fetchKey(ctx)
	if errors.Is(err, errNoKey) && create {
		key, err = s.createKey(ctx)
	}
	if errors.Is(err, errNoKey) {
		err = s.lostKey()
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
	return key, nil
}

func (s *Store) heldKey() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

// fetchKey reads the key where it is kept.
func (s *Store) fetchKey(ctx context.Context) ([]byte, error) {
	text, err := s.keeper.get(ctx)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("%w: the store key in %s is damaged; %s", ErrLocked, s.keeper, s.startOver())
	}
	return key, nil
}

// createKey makes the first key, once among all processes: whoever comes second
// to the lock finds the key of the first.
func (s *Store) createKey(ctx context.Context) ([]byte, error) {
	unlock, err := LockFile(ctx, filepath.Join(s.dir, keyFile+"."+string(s.kind)+".lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if key, err := s.fetchKey(ctx); !errors.Is(err, errNoKey) {
		return key, err
	}
	// A new key beside files sealed with a lost one would make the loss final.
	names, err := s.sealedFiles()
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		return nil, errNoKey
	}
	key := make([]byte, keySize)
	_, _ = rand.Read(key)
	if err := s.keeper.set(ctx, base64.StdEncoding.EncodeToString(key)); err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "store key created", slog.String("where", s.Where()))
	// What the keychain gives back is what the next process will use.
	return s.fetchKey(ctx)
}

// lostKey is sealed files without their key.
func (s *Store) lostKey() error {
	return fmt.Errorf("%w: %s no longer has the key to the sign-ins saved in %s; %s", ErrLocked, s.keeper, s.dir, s.startOver())
}

// startOver is the next step when the key is gone for good.
func (s *Store) startOver() string {
	step := "restore it, or delete " + filepath.Join(s.dir, "*."+string(s.kind)+sealedSuffix)
	if s.kind == KindFile {
		step += " and " + filepath.Join(s.dir, keyFile)
	}
	return step + " and sign in again"
}

// fileKeeper keeps the key beside the sealed files: it guards against a copied
// sealed file, not against a program of the same user.
type fileKeeper struct{ path string }

func (f fileKeeper) String() string { return f.path }

func (f fileKeeper) get(context.Context) (string, error) {
	info, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errNoKey
	}
	if err != nil {
		return "", fmt.Errorf("%w: read the store key: %w", ErrLocked, err)
	}
	// As ssh treats its private keys. Windows has no such bits: the profile
	// folder's access list protects the file.
	if !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%w: %s is not a file for you alone: run chmod 600 on it", ErrLocked, f.path)
	}
	data, err := readFile(f.path, 1024)
	if err != nil {
		return "", fmt.Errorf("%w: read the store key: %w", ErrLocked, err)
	}
	return string(data), nil
}

func (f fileKeeper) try(context.Context) error { return nil } // saving says what is wrong with a folder

// set runs under the lock of createKey, after a get that found nothing.
func (f fileKeeper) set(_ context.Context, text string) error {
	return WriteFile(f.path, []byte(text+"\n"))
}
