package catalog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/store"
)

var ada = &access.Principal{
	Identity:   store.Identity{Tenant: "t", Object: "ada", Name: "Ada", Roles: []string{"All"}},
	ClientName: "Test", Scopes: []string{"mcp"}, ExpiresAt: time.Unix(1_800_000_000, 5),
}

func tools(t testing.TB) *server.MCPServer {
	t.Helper()
	policy, err := access.New([]access.Rule{
		{Name: "all", Subjects: []access.Subject{{Kind: access.KindRole, Value: "All"}}, Tools: []string{"*"}},
		{Name: "some", Subjects: []access.Subject{{Kind: access.KindRole, Value: "Some"}}, Tools: []string{"math_add"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return catalog.New(catalog.Config{Policy: policy, Version: "test", Logger: slog.New(slog.DiscardHandler)})
}

// ask sends one message as somebody and returns the answer as JSON.
func ask(t testing.TB, s *server.MCPServer, who *access.Principal, method, params string) string {
	t.Helper()
	return askWith(context.Background(), t, s, who, method, params)
}

func askWith(ctx context.Context, t testing.TB, s *server.MCPServer, who *access.Principal, method, params string) string {
	t.Helper()
	if who != nil {
		ctx = access.WithPrincipal(ctx, who)
	}
	out, err := json.Marshal(s.HandleMessage(ctx, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// call returns the parts of a tool's result.
func call(t testing.TB, s *server.MCPServer, tool, arguments string) (structured, text string, failed bool) {
	t.Helper()
	ctx := catalog.WithArguments(context.Background(), json.RawMessage(arguments))
	out := askWith(ctx, t, s, ada, "tools/call", fmt.Sprintf(`{"name":%q,"arguments":{}}`, tool))
	var answer struct {
		Result struct {
			StructuredContent json.RawMessage
			Content           []struct{ Text string }
			IsError           bool
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Result.Content) != 1 {
		t.Fatalf("answer %s, %v", out, err)
	}
	return string(answer.Result.StructuredContent), answer.Result.Content[0].Text, answer.Result.IsError
}

func TestMathIsExact(t *testing.T) {
	t.Parallel()
	s := tools(t)
	for _, tt := range []struct{ tool, a, b, want string }{
		{"math_add", "23", "19", "42"},
		{"math_add", "9007199254740993", "1", "9007199254740994"},
		{"math_add", "0.1", "0.2", "0.3"},
		{"math_add", "-1", "1", "0"},
		{"math_add", "1e3", "1E-3", "1000.001"},
		{"math_subtract", "1", "0.9", "0.1"},
		{"math_subtract", "0", "12345678901234567890123", "-12345678901234567890123"},
		{"math_multiply", "12345678901234567890", "98765432109876543210", "1219326311370217952237463801111263526900"},
		{"math_multiply", "-0.5", "4", "-2"},
		{"math_divide", "1", "8", "0.125"},
		{"math_divide", "84", "2", "42"},
		{"math_divide", "1", "-4", "-0.25"},
	} {
		structured, text, failed := call(t, s, tt.tool, fmt.Sprintf(`{"a":%s,"b":%s}`, tt.a, tt.b))
		if failed || text != tt.want || structured != `{"result":`+tt.want+`}` {
			t.Errorf("%s(%s, %s) = %s, %s, want %s", tt.tool, tt.a, tt.b, structured, text, tt.want)
		}
	}
	structured, text, _ := call(t, s, "math_divide", `{"a":2,"b":3}`)
	if text != "0.6666666666666666666666666666666667" || !strings.Contains(structured, `"rounded":true`) {
		t.Errorf("2 / 3 = %s, %s", structured, text)
	}
	big := "1" + strings.Repeat("0", 900)
	if _, text, failed := call(t, s, "math_multiply", `{"a":`+big+`,"b":`+big+`}`); failed || text != "1"+strings.Repeat("0", 1800) {
		t.Errorf("a product of 1801 digits: %.40s", text)
	}
}

func TestMathRefusesWithAReasonThatAModelCanUse(t *testing.T) {
	t.Parallel()
	s := tools(t)
	for _, tt := range []struct{ tool, arguments, says string }{
		{"math_divide", `{"a":1,"b":0}`, "divide by zero: b is 0"},
		{"math_divide", `{"a":1,"b":0.000}`, "divide by zero"},
		{"math_add", `{"a":1}`, "argument b is missing"},
		{"math_add", `{}`, "argument a is missing"},
		{"math_add", `null`, "argument a is missing"},
		{"math_add", `{"a":"1","b":2}`, "argument a must be a number"},
		{"math_add", `{"a":1,"b":null}`, "argument b must be a number"},
		{"math_add", `{"a":1,"b":[2]}`, "argument b must be a number"},
		{"math_add", `{"a":1,"b":2,"c":3}`, `no argument "c"`},
		{"math_add", `{"a":1,"A":5,"b":2}`, `no argument "A"`},
		{"math_add", ``, "argument a is missing"},
		{"math_add", `[1,2]`, "must be an object"},
		{"math_add", `{"a":1e1001,"b":2}`, "exponent of a"},
		{"math_add", `{"a":1,"b":1e-999999999999999999999}`, "exponent of b"},
		{"math_add", `{"a":` + strings.Repeat("9", 1001) + `,"b":2}`, "more than 1000"},
	} {
		if _, text, failed := call(t, s, tt.tool, tt.arguments); !failed || !strings.Contains(text, tt.says) {
			t.Errorf("%s(%.60s) = %s, want an error about %q", tt.tool, tt.arguments, text, tt.says)
		}
	}
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	structured, text, failed := call(t, tools(t), "whoami", `{}`)
	want := `{"tenant":"t","object":"ada","name":"Ada","guest":false,"roles":["All"],"groups":[],"groups_unknown":false,"client":"Test","scopes":["mcp"],"token_expires":"2027-01-15T08:00:00Z"}`
	if failed || structured != want || text != want {
		t.Errorf("got %s\nwant %s", structured, want)
	}
}

func TestListsShowWhatMayBeCalled(t *testing.T) {
	t.Parallel()
	s := tools(t)
	names := func(who *access.Principal) string {
		var answer struct {
			Result struct{ Tools []struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(ask(t, s, who, "tools/list", "{}")), &answer); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, tool := range answer.Result.Tools {
			all = append(all, tool.Name)
		}
		return strings.Join(all, " ")
	}
	some := &access.Principal{Identity: store.Identity{Roles: []string{"Some"}}}
	for _, tt := range []struct {
		who  *access.Principal
		want string
	}{
		{ada, "math_add math_divide math_multiply math_subtract whoami"}, {some, "math_add"}, {&access.Principal{}, ""}, {nil, ""},
	} {
		if got := names(tt.who); got != tt.want {
			t.Errorf("%+v sees %q, want %q", tt.who, got, tt.want)
		}
	}
	for _, who := range []*access.Principal{some, nil} {
		if out := ask(t, s, who, "tools/call", `{"name":"whoami"}`); !strings.Contains(out, `"error"`) {
			t.Errorf("somebody called what is not listed: %s", out)
		}
	}
}

func TestSchemasAndAnnotationsReachTheClient(t *testing.T) {
	t.Parallel()
	out := ask(t, tools(t), ada, "tools/list", "{}")
	for _, want := range []string{`"readOnlyHint":true`, `"openWorldHint":false`, `"destructiveHint":false`, `"title":"Add"`, `"additionalProperties":false`, `"outputSchema":{"type":"object"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the list lacks %s", want)
		}
	}
	if out := ask(t, tools(t), ada, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}`); strings.Contains(out, `"listChanged":true`) {
		t.Errorf("list changes are announced and never sent: %s", out)
	}
}

func TestAPanicOfAToolShowsNothingToTheClient(t *testing.T) {
	t.Parallel()
	s := tools(t)
	s.AddTool(mcp.NewTool("broken"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		panic("secret inner state")
	})
	if _, text, failed := call(t, s, "broken", `{}`); !failed || strings.Contains(text, "secret") || strings.Contains(text, "goroutine") {
		t.Errorf("the client sees %q", text)
	}
}
