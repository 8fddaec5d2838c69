package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Key is what may be shown of a root key.
type Key struct {
	ID      string
	Created time.Time
	// Seals is from when on the key seals new values; zero is since ever.
	Seals time.Time
	// Sealing says that it is the one that does now.
	Sealing bool
}

// List returns the keys of the ring at path, in the order of the file.
func List(path string, now time.Time) ([]Key, error) {
	f, _, err := read(path)
	if err != nil {
		return nil, err
	}
	if _, err := f.derive(now); err != nil {
		return nil, fmt.Errorf("key ring %s: %w", path, err)
	}
	list, sealing := make([]Key, len(f.Keys)), f.sealing(now)
	for i, k := range f.Keys {
		list[i] = Key{ID: k.ID, Created: k.Created, Seals: k.Seals, Sealing: i == sealing}
	}
	return list, nil
}

// Rotate adds a new random key to the ring at path. It opens at once and seals after
// Overlap, when every gateway that shares the file has read it. The older keys stay:
// what they sealed, such as the registrations of clients, is good for ever.
func Rotate(path string, now time.Time) (Key, error) {
	f, before, err := read(path)
	if err != nil {
		return Key{}, err
	}
	if _, err := f.derive(now); err != nil { // a ring that nobody can load is left as it is
		return Key{}, fmt.Errorf("key ring %s: %w", path, err)
	}
	k := newKey(now, now.Add(Overlap).UTC().Truncate(time.Second))
	f.Keys = append(f.Keys, k)
	data, err := f.encode()
	if err != nil {
		return Key{}, err
	}
	return Key{ID: k.ID, Created: k.Created, Seals: k.Seals}, replace(path, before, data)
}

// Rotate adds a new random key to the file of this ring, as the function Rotate
// does, and reads the file again: this ring opens with the new key at once.
func (r *Ring) Rotate(now time.Time) (Key, error) {
	k, err := Rotate(r.path, now)
	if err != nil {
		return Key{}, err
	}
	_, err = r.reload(now)
	return k, err
}

// Path is the file of the ring.
func (r *Ring) Path() string { return r.path }

// replace puts data in place of a file that still is what it was. Readers see the
// one or the other.
func replace(path string, before, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write key ring: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write key ring: %w", err)
	}
	if current, err := os.ReadFile(path); err != nil || !bytes.Equal(current, before) {
		return errors.Join(fmt.Errorf("key ring %s was changed by somebody else meanwhile: try again", path), err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write key ring: %w", err)
	}
	return nil
}

// Watch reads the ring again every few seconds until ctx ends. A file that cannot
// be read leaves the keys as they are.
func (r *Ring) Watch(ctx context.Context, logger *slog.Logger) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			changed, err := r.reload(now)
			said := ""
			switch {
			case err != nil:
				said = err.Error()
			case changed:
				logger.InfoContext(ctx, "another key of the ring seals now")
			}
			if said != last && said != "" { // once, and not every few seconds
				logger.ErrorContext(ctx, "the key ring cannot be read again; the keys stay as they were", slog.String("error", said))
			}
			last = said
		}
	}
}
