package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// doPath is the one endpoint.
	doPath = "/v1/do"
	// maxRequest bounds a request: a client_id takes 2 KB, and a few thousand
	// grants may be named.
	maxRequest = 1 << 20
	// drainTimeout is how long what is under way may take when the gateway stops.
	drainTimeout = 5 * time.Second
	unknownPeer  = "uid unknown"
)

// Operator is how the audit trail names a user of this machine; Windows gives -1.
func Operator(uid int) string {
	if uid < 0 {
		return unknownPeer
	}
	return "uid " + strconv.Itoa(uid)
}

// Serve offers ops on a listener of Listen until ctx ends, then finishes what is
// under way and closes it, which removes the socket.
func Serve(ctx context.Context, l net.Listener, ops *Operations, logger *slog.Logger) error {
	srv := &http.Server{
		Handler:           handler(ops, logger),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peer(c))
		},
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		stopped <- srv.Shutdown(drain)
	})
	err := srv.Serve(l)
	if stop() { // it ended by itself
		return errors.Join(err, l.Close())
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, <-stopped, srv.Close(), l.Close())
}

// peerKey is the context's key for who is at the other end.
type peerKey struct{}

// handler is a thin adapter: decode, do, encode.
func handler(ops *Operations, logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+doPath, func(w http.ResponseWriter, r *http.Request) {
		operator, _ := r.Context().Value(peerKey{}).(string)
		req, err := decode(http.MaxBytesReader(w, r.Body, maxRequest))
		var answer Answer
		if err == nil {
			answer, err = ops.Do(r.Context(), operator, req, time.Now())
		}
		// No names of people or clients: the audit trail has them.
		logger.InfoContext(r.Context(), "administration", slog.String("command", req.Command), slog.String("operator", operator),
			slog.Int("revoked", len(answer.Revoked)), slog.Any("error", err))
		if told, ok := errors.AsType[*Error](err); ok {
			writeJSON(w, statuses[told.Code], told)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	})
	return mux
}

// statuses are for those who read the traffic; Remote goes by the code.
var statuses = map[string]int{
	CodeInvalid:     http.StatusBadRequest,
	CodeUnknown:     http.StatusNotFound,
	CodeAmbiguous:   http.StatusConflict,
	CodeOtherRing:   http.StatusConflict,
	CodeUnavailable: http.StatusServiceUnavailable,
}

// decode is strict: a filter that this version does not know must not be taken
// for none.
func decode(body io.Reader) (Request, error) {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	var req Request
	if err := dec.Decode(&req); err != nil {
		return Request{}, &Error{Code: CodeInvalid, Message: "the gateway does not understand the request; is it of another version? (" + err.Error() + ")", cause: err}
	}
	if dec.More() {
		return Request{}, &Error{Code: CodeInvalid, Message: "the gateway does not understand the request: there is more behind it"}
	}
	return req, nil
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "the answer could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
