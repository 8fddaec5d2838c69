// Package catalog is the registry of tools, on top of mcp-go's MCPServer: what
// tools there are, what each person sees of them, and running one. It owns the
// built-in tools.
//
// It refuses to know about HTTP, sessions and audit, and to let a tool's panic
// or error text out to a client. Its list filter and the edge's call check are
// the same function, access.Policy.Decide.
package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
)

// instructions are shown to the model by clients that do so.
const instructions = "These are the tools of an organization, called in the name of the person who signed in. " +
	"What is listed is what that person may call; whoami tells who the gateway takes them for."

// toolName is what a tool may be called (MCP 2025-11-25 server/tools, Tool Names).
var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

// Config is what a Catalog is made of.
type Config struct {
	// Policy decides who sees and calls what. Needed.
	Policy *access.Policy
	// Version is the gateway's, shown to clients.
	Version string
	// Tools are served besides the built-in ones. Their handlers must end
	// when their context does and read arguments with GetRawArguments only.
	Tools []server.ServerTool
	// Pack brings what is more than tools. Default none.
	Pack Pack
	// Logger gets the reasons of failed tools. Needed.
	Logger *slog.Logger
}

// Pack is more than tools: prompts, resources, completion.
type Pack struct {
	Options []server.ServerOption
	// Install is called once, before anything is served. updated tells who listens
	// that a resource has changed.
	Install func(s *server.MCPServer, updated func(uri string))
}

// Catalog is a set of tools. It is safe for concurrent use.
type Catalog struct {
	policy *access.Policy
	logger *slog.Logger
	server *server.MCPServer
	// serves is what is advertised, by name.
	serves map[string]bool

	mu sync.Mutex // guards below
	// names are the tools that were there from the start.
	names   map[string]bool
	updated map[*func(uri string)]bool
}

// New returns a catalog of the built-in tools and cfg.Tools.
func New(cfg Config) (*Catalog, error) {
	if cfg.Policy == nil || cfg.Logger == nil {
		return nil, errors.New("catalog: a policy and a logger are needed")
	}
	c := &Catalog{policy: cfg.Policy, logger: cfg.Logger, names: make(map[string]bool), updated: make(map[*func(string)]bool)}
	c.server = server.NewMCPServer("mcp-gateway", cfg.Version, slices.Concat([]server.ServerOption{
		server.WithTitle("MCP Gateway"),
		server.WithInstructions(instructions),
		// false: the set is fixed, so nothing ever announces a change.
		server.WithToolCapabilities(false),
		server.WithToolFilter(c.visible),
		server.WithToolHandlerMiddleware(c.guarded),
		server.WithPromptHandlerMiddleware(c.guardedPrompt),
		server.WithResourceHandlerMiddleware(c.guardedResource),
		// The list depends on who asks, so no shared cache may keep it.
		server.WithCacheHints(0, mcp.CacheScopePrivate),
	}, cfg.Pack.Options)...)
	for _, tool := range slices.Concat(mathTools(), []server.ServerTool{whoamiTool()}, cfg.Tools) {
		name := tool.Tool.Name
		if !toolName.MatchString(name) {
			return nil, fmt.Errorf("catalog: %q cannot be the name of a tool", name)
		}
		if c.names[name] {
			return nil, fmt.Errorf("catalog: there are two tools %q", name)
		}
		if tool.Handler == nil {
			return nil, fmt.Errorf("catalog: tool %q has no handler", name)
		}
		c.names[name] = true
		c.server.AddTools(tool)
	}
	if cfg.Pack.Install != nil {
		cfg.Pack.Install(c.server, c.changed)
	}
	c.serves = advertised(c.server)
	return c, nil
}

// advertised asks a server what it says that it can do.
func advertised(s *server.MCPServer) map[string]bool {
	response, _ := s.HandleMessage(context.Background(), json.RawMessage(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+
		mcp.LATEST_PROTOCOL_VERSION+`","capabilities":{},"clientInfo":{"name":"","version":""}}}`)).(mcp.JSONRPCResponse)
	result, _ := response.Result.(mcp.InitializeResult)
	can := result.Capabilities
	return map[string]bool{
		"tools.listChanged": can.Tools != nil && can.Tools.ListChanged,
		"prompts":           can.Prompts != nil, "prompts.listChanged": can.Prompts != nil && can.Prompts.ListChanged,
		"resources": can.Resources != nil, "resources.listChanged": can.Resources != nil && can.Resources.ListChanged,
		"resources.subscribe": can.Resources != nil && can.Resources.Subscribe,
		"completions":         can.Completions != nil, "logging": can.Logging != nil,
	}
}

// Serves reports whether something is advertised: "prompts", "resources",
// "resources.subscribe", "completions", "logging", or a list that can change, such as
// "tools.listChanged".
func (c *Catalog) Serves(what string) bool { return c.serves[what] }

// Has reports whether there is a tool of that name, for whomever.
func (c *Catalog) Has(tool string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[tool] || c.server.GetTool(tool) != nil
}

// Headers returns which arguments of a tool stand in headers too.
func (c *Catalog) Headers(tool string) []mcp.ParamHeaderBinding {
	t := c.server.GetTool(tool)
	// Most have none, and decoding a schema for each call costs too much.
	if t == nil || t.Tool.RawInputSchema != nil && !bytes.Contains(t.Tool.RawInputSchema, []byte(`x-mcp-header`)) {
		return nil
	}
	return mcp.ExtractParamHeaderBindings(&t.Tool)
}

// changed tells who listens that a resource has changed. Meanwhile tools are called.
func (c *Catalog) changed(uri string) {
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.updated))
	c.mu.Unlock()
	for _, tell := range all {
		(*tell)(uri)
	}
}

// Listen calls changed for each list that changes and updated for each resource,
// until ctx ends. Neither may wait for anything.
func (c *Catalog) Listen(ctx context.Context, changed func(list string), updated func(uri string)) {
	c.mu.Lock()
	c.updated[&updated] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.updated, &updated)
	}()
	ear := &ear{heard: make(chan chan mcp.JSONRPCNotification, 1024), done: ctx.Done()}
	if err := c.server.RegisterSession(ctx, ear); err != nil {
		c.logger.ErrorContext(ctx, "changes of lists cannot be heard", slog.Any("error", err))
		<-ctx.Done()
		return
	}
	defer c.server.UnregisterSession(context.WithoutCancel(ctx), ear.SessionID())
	for {
		select {
		case <-ctx.Done():
			return
		case place := <-ear.heard:
			var n mcp.JSONRPCNotification
			select {
			case <-ctx.Done():
				return
			case n = <-place:
			}
			if list, ok := strings.CutSuffix(strings.TrimPrefix(n.Method, "notifications/"), "/list_changed"); ok {
				changed(list)
			}
		}
	}
}

// ear is the one session that mcp-go sends what is for everybody: the edge knows
// the clients, and mcp-go would drop what a slow one does not take.
type ear struct {
	// heard are places for one notification each: mcp-go drops what does not fit at
	// once, so whoever changes much waits for a place.
	heard chan chan mcp.JSONRPCNotification
	done  <-chan struct{}
}

func (*ear) Initialize()         {}
func (*ear) Initialized() bool   { return true }
func (e *ear) SessionID() string { return fmt.Sprintf("ear %p", e) }

// NotificationChannel implements server.ClientSession; mcp-go asks for it once per
// notification.
func (e *ear) NotificationChannel() chan<- mcp.JSONRPCNotification {
	place := make(chan mcp.JSONRPCNotification, 1)
	select {
	case e.heard <- place:
		return place
	case <-e.done:
		return nil // nobody listens any more
	}
}

type argumentsKey struct{}

// Handle runs one JSON-RPC request in the name of the principal in ctx. The id
// must be a number that no other request in flight has: mcp-go cancels by it.
//
// The arguments of a tools/call are passed beside the message, not in it. mcp-go
// would decode them into float64, which fails for numbers beyond 1.8e308 and
// costs time for all others; this way the tool gets the client's bytes. nil
// means that there are none.
func (c *Catalog) Handle(ctx context.Context, client server.ClientSession, message, arguments json.RawMessage) mcp.JSONRPCMessage {
	response, err := contained(ctx, c, "request", "", func() (mcp.JSONRPCMessage, error) {
		return c.server.HandleMessage(c.server.WithContext(context.WithValue(ctx, argumentsKey{}, arguments), client), message), nil
	})
	if err != nil {
		return mcp.NewJSONRPCError(mcp.RequestId{}, mcp.INTERNAL_ERROR, err.Error(), nil)
	}
	// mcp-go gives every error of a handler the same code.
	if e, ok := response.(mcp.JSONRPCError); ok && e.Error.Message == server.ErrResourceNotFound.Error() {
		e.Error.Code = mcp.RESOURCE_NOT_FOUND
		return e
	}
	return response
}

// visible is the list filter. mcp-go asks it again before each call.
func (c *Catalog) visible(ctx context.Context, tools []mcp.Tool) []mcp.Tool {
	p := access.PrincipalFrom(ctx)
	return slices.DeleteFunc(tools, func(t mcp.Tool) bool { return !c.policy.Decide(p, t.Name).Allowed })
}

// rawArguments returns the arguments as the client sent them. Tools never use
// mcp-go's GetArguments, which rounds 9007199254740993.
func rawArguments(req mcp.CallToolRequest) json.RawMessage {
	raw, _ := req.GetRawArguments().(json.RawMessage)
	return raw
}

// structured is a result whose structured content is the given JSON.
func structured(text string, content json.RawMessage) *mcp.CallToolResult {
	return &mcp.CallToolResult{
		Content:              []mcp.Content{mcp.NewTextContent(text)},
		StructuredContent:    content,
		RawStructuredContent: content,
	}
}
