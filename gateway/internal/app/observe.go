package app

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"mcp-gateway/gateway/internal/limit"
)

// observe is around everything: one log line per request, a panic answered
// with 500 and logged, HSTS where the gateway is https. The query never gets
// into the log: it carries codes and states.
func observe(next http.Handler, https bool, addresses limit.Addresses, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		if https {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
					panic(p)
				}
				logger.ErrorContext(r.Context(), "panic", slog.Any("value", p), slog.String("stack", string(debug.Stack())))
				if rec.status == 0 {
					http.Error(rec, "the gateway made a mistake; it is in its log", http.StatusInternalServerError)
				}
			}
			logger.InfoContext(r.Context(), "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.Int("status", rec.status), slog.Duration("took", time.Since(start)),
				slog.String("address", addresses.Of(r).String()))
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Hijack notes that a stream begins, whose end nobody writes down: what takes a
// connection over says 200 itself.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.status = http.StatusOK
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
