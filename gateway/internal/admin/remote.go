package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// ErrNoServer: no gateway answers on the socket of a state folder.
var ErrNoServer = errors.New("no gateway answers")

const (
	// askTimeout is more than a command takes on a large and busy store.
	askTimeout = time.Minute
	// maxAnswer is a million grants.
	maxAnswer = 1 << 30
)

// Remote asks the gateway that runs on a state folder.
type Remote struct {
	path string
	http *http.Client
}

// NewRemote returns a Remote for a state folder. It connects when it is asked.
func NewRemote(dir string) *Remote {
	path := filepath.Join(dir, SocketName)
	return &Remote{path: path, http: &http.Client{
		Timeout: askTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true, // one command, one connection
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		},
	}}
}

// Do has the gateway do it. ErrNoServer: there is none, and nothing was done.
func (r *Remote) Do(ctx context.Context, req Request) (Answer, error) {
	if _, err := os.Lstat(r.path); errors.Is(err, fs.ErrNotExist) {
		return Answer{}, fmt.Errorf("ask %s: %w", r.path, ErrNoServer)
	}
	body, err := json.Marshal(req)
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", r.path, err)
	}
	// The host means nothing: every connection goes to the socket.
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://admin"+doPath, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", r.path, err)
	}
	post.Header.Set("Content-Type", "application/json")
	resp, err := r.http.Do(post)
	switch {
	case err != nil && refused(err):
		return Answer{}, fmt.Errorf("ask %s: %w", r.path, ErrNoServer)
	case errors.Is(err, fs.ErrPermission):
		return Answer{}, fmt.Errorf("%s can be opened by the user that the gateway runs as, and by nobody else: run this as that user: %w", r.path, fs.ErrPermission)
	case err != nil:
		return Answer{}, fmt.Errorf("ask the gateway by %s: %w", r.path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	return r.read(resp)
}

func (r *Remote) read(resp *http.Response) (Answer, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Answer{}, fmt.Errorf("read the gateway's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var told Error
		if err := json.Unmarshal(data, &told); err != nil || told.Code == "" {
			return Answer{}, fmt.Errorf("the gateway answers with %s by %s; is it of another version?", resp.Status, r.path)
		}
		return Answer{}, &told
	}
	var answer Answer
	if err := json.Unmarshal(data, &answer); err != nil {
		return Answer{}, fmt.Errorf("read the gateway's answer: %w", err)
	}
	return answer, nil
}
