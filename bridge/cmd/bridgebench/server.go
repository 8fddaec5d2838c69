package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

const protocol = "2025-11-25"

// server is the MCP server at the far end: Streamable HTTP, one JSON answer for
// each request, no session and no sign-in. Whatever a program adds to it shows.
type server struct {
	url    string
	http   *http.Server
	served chan error
}

// serve starts the server on a free port of loopback. close ends it.
func serve(ctx context.Context) (*server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mcp", answer)
	// Everything else is not there: no metadata (so no sign-in), and by the
	// method's 405 no stream of notifications.
	s := &server{
		url:    "http://" + listener.Addr().String() + "/mcp",
		http:   &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
		served: make(chan error, 1),
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

func (s *server) close() error {
	err := s.http.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// results are what each method is answered with.
var results = map[string]json.RawMessage{
	"initialize": json.RawMessage(`{"protocolVersion":"` + protocol + `","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}`),
	"ping":       json.RawMessage(`{}`),
	"tools/list": json.RawMessage(`{"tools":[{"name":"math_add","description":"Adds two numbers.","inputSchema":{"type":"object",` +
		`"properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"]}}]}`),
	"tools/call": json.RawMessage(`{"content":[{"type":"text","text":"42"}],"structuredContent":{"result":42}}`),
}

// message is what this command reads and writes of JSON-RPC.
type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

func answer(w http.ResponseWriter, r *http.Request) {
	var in message
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &in) != nil {
		http.Error(w, "not a message", http.StatusBadRequest)
		return
	}
	if in.ID == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	out := message{JSONRPC: "2.0", ID: in.ID, Result: results[in.Method]}
	if out.Result == nil {
		out.Error = json.RawMessage(`{"code":-32601,"message":"method not found"}`)
	}
	data, err := json.Marshal(out)
	if err != nil {
		http.Error(w, "not a message", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // a client that has gone needs no answer
}
