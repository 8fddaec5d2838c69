package clients_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// goSession is a session of the Go SDK, whatever carries it.
type goSession struct {
	*mcp.ClientSession
	changed chan struct{}
	closers []func() error
}

// connectGo connects the SDK in the revision that the client is to speak.
func connectGo(ctx context.Context, c client, transport mcp.Transport) (*goSession, error) {
	s := &goSession{changed: make(chan struct{}, 1)}
	sdk := mcp.NewClient(&mcp.Implementation{Name: "go-sdk", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			select {
			case s.changed <- struct{}{}:
			default:
			}
		},
	})
	var err error
	if s.ClientSession, err = sdk.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: c.revision}); err != nil {
		return nil, err
	}
	return s, nil
}

// speaks fails if the client and the other end have agreed on another revision.
func (s *goSession) speaks(c client) error {
	if spoken := s.InitializeResult().ProtocolVersion; spoken != c.revision {
		return fmt.Errorf("it speaks %s", spoken)
	}
	return nil
}

// list lists the tools, and once more when there are others: a bridge has few
// until somebody has signed in.
func (s *goSession) list(ctx context.Context) error {
	for {
		list, err := s.ListTools(ctx, nil)
		if err != nil {
			return err
		}
		var names []string
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		if contains(names) == nil {
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return errors.Join(contains(names), ctx.Err())
		}
	}
}

func (s *goSession) add(ctx context.Context) (string, error) {
	res, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "math_add", Arguments: map[string]any{"a": 23, "b": 19}})
	if err != nil {
		return "", err
	}
	text, ok := res.Content[0].(*mcp.TextContent)
	if !ok || res.IsError {
		return "", fmt.Errorf("math_add: %+v", res)
	}
	return text.Text, nil
}

func (s *goSession) close() error {
	err := s.Close()
	for _, closer := range slices.Backward(s.closers) {
		err = errors.Join(err, closer())
	}
	return err
}

// openStdio starts a program that carries stdio to the gateway, and is its host.
func openStdio(ctx context.Context, d *desktop, c client, program string, args ...string) (*goSession, error) {
	s, err := connectGo(ctx, c, &mcp.CommandTransport{Command: d.command(program, args...), TerminateDuration: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	// It answers before anybody has signed in; the list is not whole until then.
	if err := s.list(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openBridge starts the bridge, and once more if it had to answer in the gateway's
// stead: on a machine so busy that the gateway says nothing for 2 seconds, the
// host gets an answer in an older revision.
func openBridge(ctx context.Context, d *desktop, c client) (session, error) {
	for {
		s, err := openStdio(ctx, d, c, d.bridge, d.gateway.url+c.address, "--token-store", "file")
		if err != nil {
			return nil, err
		}
		if err = s.speaks(c); err == nil {
			return s, nil
		}
		if err = errors.Join(err, s.close()); ctx.Err() != nil {
			return nil, err
		}
	}
}

func openRemote(ctx context.Context, d *desktop, c client) (session, error) {
	args := []string{d.nodes.remote, d.gateway.url + c.address, d.ports[0]}
	if c.address == "/sse" {
		args = append(args, "--transport", "sse-only")
	}
	s, err := openStdio(ctx, d, c, d.nodes.node, args...)
	if err != nil {
		return nil, err
	}
	return s, s.speaks(c)
}

// openGo connects the SDK to the gateway, with its own OAuth.
func openGo(ctx context.Context, d *desktop, c client) (session, error) {
	answers := make(chan *auth.AuthorizationResult, 1)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	back := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		answers <- &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}
	})}
	go func() { _ = back.Serve(listener) }() // until close
	redirect := "http://" + listener.Addr().String() + "/callback"
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "go-sdk test client", RedirectURIs: []string{redirect},
			GrantTypes: []string{"authorization_code", "refresh_token"}, TokenEndpointAuthMethod: "none",
		}},
		RequestRefreshToken: true,
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			if err := d.command(d.opener, args.URL).Run(); err != nil {
				return nil, err
			}
			return <-answers, nil
		},
	})
	if err != nil {
		return nil, errors.Join(err, back.Close())
	}
	transport := &http.Transport{}
	s, err := connectGo(ctx, c, &mcp.StreamableClientTransport{
		Endpoint: d.gateway.url + c.address, OAuthHandler: handler, HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		return nil, errors.Join(err, back.Close())
	}
	idle := func() error { transport.CloseIdleConnections(); return nil }
	s.closers = []func() error{back.Close, idle}
	return s, s.speaks(c)
}

// goSDK is the version that go.mod names.
func goSDK(t *testing.T, _ *rig) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/modelcontextprotocol/go-sdk").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
}

func ours(*testing.T, *rig) string { return "" }
