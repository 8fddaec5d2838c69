package catalog_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
)

func TestNoChangeOfAListIsLostAmongMany(t *testing.T) {
	t.Parallel()
	policy, err := access.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	hooks := &server.Hooks{}
	hooks.AddOnRegisterSession(func(context.Context, server.ClientSession) { close(begun) })
	var s *server.MCPServer
	c, err := catalog.New(catalog.Config{Policy: policy, Version: "v1", Logger: slog.New(slog.DiscardHandler), Pack: catalog.Pack{
		Options: []server.ServerOption{server.WithHooks(hooks), server.WithToolCapabilities(true), server.WithPromptCapabilities(true)},
		Install: func(srv *server.MCPServer, _ func(string)) { s = srv },
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	heard := make(map[string]int)
	const many = 5000
	last, full := make(chan struct{}), make(chan struct{})
	running.Go(func() {
		c.Listen(ctx, func(list string) {
			<-full // until more waits than there is room for
			if heard[list]++; list == "prompts" {
				close(last)
			}
		}, func(string) {})
	})
	<-begun
	for i := range many {
		if i == 1024+1 { // and one is in hand
			close(full)
		}
		s.SendNotificationToAllClients("notifications/tools/list_changed", nil)
	}
	s.AddPrompt(mcp.NewPrompt("p"), nil)
	select {
	case <-last:
	case <-time.After(10 * time.Second):
	}
	stop()
	running.Wait()
	if heard["tools"] != many || heard["prompts"] != 1 {
		t.Errorf("heard %v", heard)
	}
	s.DeletePrompts("p") // and nobody waits for who listens no more
}
