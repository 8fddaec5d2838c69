package mcphttp_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

const canAll = `{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{}}`

// question is what a script asks its client.
type question func(ctx context.Context, s *server.MCPServer) (any, error)

// questions are all that can be asked, with the method and an answer to it.
var questions = map[string]struct {
	ask            question
	method, answer string
	capability     string
}{
	"elicitation": {func(ctx context.Context, s *server.MCPServer) (any, error) {
		return s.RequestElicitation(ctx, mcp.ElicitationRequest{Params: mcp.ElicitationParams{Message: "who?", RequestedSchema: map[string]any{"type": "object"}}})
	}, "elicitation/create", `{"action":"accept","content":{"name":"n1"}}`, `{"elicitation":{}}`},
	"elicitation by URL": {func(ctx context.Context, s *server.MCPServer) (any, error) {
		return s.RequestElicitation(ctx, mcp.ElicitationRequest{Params: mcp.ElicitationParams{Mode: "url", Message: "n1", URL: "https://x.example/", ElicitationID: "e"}})
	}, "elicitation/create", `{"action":"accept","content":{"name":"n1"}}`, `{"elicitation":{"url":{}}}`},
	"sampling": {func(ctx context.Context, s *server.MCPServer) (any, error) {
		//lint:ignore SA1019 clients of before 2026-07-28 are asked in this way
		return s.RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: mcp.CreateMessageParams{MaxTokens: 5}})
	}, "sampling/createMessage", `{"role":"assistant","model":"m","content":{"type":"text","text":"n1"}}`, `{"sampling":{}}`},
	"sampling with tools": {func(ctx context.Context, s *server.MCPServer) (any, error) {
		//lint:ignore SA1019 clients of before 2026-07-28 are asked in this way
		return s.RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: mcp.CreateMessageParams{MaxTokens: 5, Tools: []mcp.Tool{mcp.NewTool("x")}}})
	}, "sampling/createMessage", `{"role":"assistant","model":"m","content":{"type":"text","text":"n1"}}`, `{"sampling":{"tools":{}}}`},
	"roots": {func(ctx context.Context, s *server.MCPServer) (any, error) {
		return s.RequestRoots(ctx, mcp.ListRootsRequest{})
	}, "roots/list", `{"roots":[{"uri":"file:///n1"}]}`, `{"roots":{}}`},
}

// asks makes the call with that key ask, and returns where what comes of it goes.
func (g *lively) asks(key string, ask question) <-chan string {
	g.t.Helper()
	out := make(chan string, 1)
	go g.tell(key, func(ctx context.Context, s *server.MCPServer, _ mcp.CallToolRequest) {
		answer, err := ask(ctx, s)
		if err != nil {
			out <- "error: " + err.Error()
			return
		}
		out <- fmt.Sprintf("%+v", answer)
	})
	return out
}

// outcome is what came of a question.
func outcome(t *testing.T, of <-chan string) string {
	t.Helper()
	select {
	case got := <-of:
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("the question has no end")
		return ""
	}
}

func answerTo(id, result string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":` + result + `}`
}

func TestAQuestionComesOnTheStreamOfItsCallAndTheAnswerByPOST(t *testing.T) {
	t.Parallel()
	for name, q := range questions {
		for _, revision := range []string{"2025-11-25", "2025-06-18", "2025-03-26"} {
			t.Run(name+" in "+revision, func(t *testing.T) {
				t.Parallel()
				g := newLively(t, nil)
				s := g.beginWith("alice", revision, q.capability)
				in := func(r request) request { return r.with("MCP-Protocol-Version", revision) }
				get := g.live(in(s.get("")))
				other := g.start(in(s.script("2", "other", "")))
				answer := g.start(in(s.script("1", "a", "")))
				got := g.asks("a", q.ask)
				l := answer()
				m := l.next()
				if member(m, "method") != `"`+q.method+`"` || member(m, "id") == "" {
					t.Fatalf("got %s", m)
				}
				if r := g.send(in(s.message(answerTo(member(m, "id"), q.answer)))); r.status != http.StatusAccepted {
					t.Fatalf("%d %s", r.status, r.body)
				}
				if a := outcome(t, got); !strings.Contains(a, "n1") && !strings.Contains(a, "0x") || strings.Contains(a, "error") {
					t.Errorf("the tool got %s", a)
				}
				g.finish("a")
				g.finish("other")
				if rest := l.rest(); len(rest) != 1 || !strings.Contains(rest[0], "done a") {
					t.Errorf("after it: %q", rest)
				}
				if rest := other().rest(); len(rest) != 1 {
					t.Errorf("another call got %q", rest)
				}
				g.endStreams()
				if rest := get.rest(); len(rest) != 0 {
					t.Errorf("GET got %q", rest)
				}
			})
		}
	}
}

func TestAQuestionIsAskedOverSSEUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	for name, q := range questions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newLively(t, nil)
			s, other := g.open("alice"), g.open("alice")
			s.post(strings.Replace(initialize, `"capabilities":{}`, `"capabilities":`+q.capability, 1))
			s.next()
			s.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"script","arguments":{"key":"a"}}}`)
			got := g.asks("a", q.ask)
			m := s.next()
			if member(m, "method") != `"`+q.method+`"` {
				t.Fatalf("got %s", m)
			}
			other.post(answerTo(member(m, "id"), `{"action":"decline"}`))
			s.post(answerTo(member(m, "id"), q.answer))
			if a := outcome(t, got); strings.Contains(a, "error") || strings.Contains(a, "decline") {
				t.Errorf("the tool got %s", a)
			}
			g.finish("a")
			if m := s.next(); !strings.Contains(m, "done a") {
				t.Errorf("got %s", m)
			}
		})
	}
}

func TestOnlyWhoWasAskedAnswers(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.beginWith("alice", "2025-11-25", canAll)
	answer := g.start(s.script("1", "a", ""))
	got := g.asks("a", questions["elicitation"].ask)
	l := answer()
	id := member(l.next(), "id")
	wrong := answerTo(id, `{"action":"accept","content":{"name":"WRONG"}}`)
	sse := g.open("alice")
	sse.post(wrong)
	for name, r := range map[string]request{
		"another session":                g.beginWith("alice", "2025-11-25", canAll).message(wrong),
		"another client":                 g.beginWith("alice-other", "2025-11-25", canAll).message(wrong),
		"another person":                 g.beginWith("bob", "2025-11-25", canAll).message(wrong),
		"the session, to another number": s.message(answerTo(`"gateway-99"`, `{"action":"decline"}`)),
		"the session, to no number":      s.message(answerTo(`1`, `{"action":"decline"}`)),
	} {
		if got := g.send(r); got.status != http.StatusAccepted {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for name, r := range map[string]request{
		"another person with the session's id": session{g.gateway, "bob", s.id}.message(wrong),
		"another client with the session's id": session{g.gateway, "alice-other", s.id}.message(wrong),
	} {
		if got := g.send(r); got.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	select {
	case a := <-got:
		t.Fatalf("the tool got %s", a)
	default:
	}
	g.send(s.message(answerTo(id, `{"action":"accept","content":{"name":"right"}}`)))
	g.send(s.message(wrong)) // the first answer counts
	if a := outcome(t, got); !strings.Contains(a, "right") {
		t.Errorf("the tool got %s", a)
	}
	g.finish("a")
	l.rest()
}

func TestAnAnswerThatIsNone(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.beginWith("alice", "2025-11-25", canAll)
	answer := g.start(s.script("1", "a", ""))
	g.say("a", "begin")
	l := answer()
	l.next()
	for name, test := range map[string]struct{ body, want string }{
		"an error":              {`"error":{"code":-1,"message":"no thanks"}`, "the client refused"},
		"a result of text":      {`"result":"hello"`, "cannot be read"},
		"content that is wrong": {`"result":{"action":1}`, "cannot be read"},
	} {
		got := g.asks("a", questions["elicitation"].ask)
		id := member(l.next(), "id")
		g.send(s.message(`{"jsonrpc":"2.0","id":` + id + `,` + test.body + `}`))
		if a := outcome(t, got); !strings.Contains(a, test.want) {
			t.Errorf("%s: the tool got %s", name, a)
		}
	}
	g.finish("a")
	l.rest()
}

// incapable are clients that cannot be asked, by the question.
var incapable = map[string][]string{
	"elicitation":         {`{}`, `{"elicitation":{"url":{}}}`, `{"sampling":{},"roots":{}}`, `{"elicitation":true}`},
	"elicitation by URL":  {`{}`, `{"elicitation":{}}`, `{"elicitation":{"form":{}}}`, `{"sampling":{},"roots":{}}`},
	"sampling":            {`{}`, `{"elicitation":{},"roots":{}}`, `{"sampling":[]}`},
	"sampling with tools": {`{}`, `{"sampling":{}}`, `{"sampling":{"context":{}}}`},
	"roots":               {`{}`, `{"elicitation":{},"sampling":{}}`, `{"roots":false}`},
}

func TestAQuestionWithoutTheCapabilityIsRefused(t *testing.T) {
	t.Parallel()
	for name, all := range incapable {
		for _, capabilities := range all {
			t.Run(name+" of "+capabilities, func(t *testing.T) {
				t.Parallel()
				g := newLively(t, func(cfg *mcphttp.Config) { cfg.CallTimeout = 10 * time.Second })
				s := g.beginWith("alice", "2025-11-25", capabilities)
				answer := g.start(s.script("1", "a", ""))
				if a := outcome(t, g.asks("a", questions[name].ask)); !strings.Contains(a, "has not said that it can") {
					t.Errorf("the tool got %s", a)
					return
				}
				g.finish("a")
				if rest := answer().rest(); len(rest) != 1 {
					t.Errorf("the client got %q", rest)
				}
			})
		}
	}
}

func TestAQuestionThatCannotBeHeardIsRefused(t *testing.T) {
	t.Parallel()
	ask := questions["roots"].ask
	t.Run("by a client that reads JSON only", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.beginWith("alice", "2025-11-25", canAll)
		answer := g.start(s.script("1", "a", "").with("Accept", jsonType))
		if a := outcome(t, g.asks("a", ask)); !strings.Contains(a, "does not read") {
			t.Errorf("the tool got %s", a)
		}
		g.finish("a")
		answer().rest()
	})
	t.Run("by a modern client, which is asked in rounds", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		r := modernScript("1", "a", "")
		r.body = strings.Replace(r.body, `clientCapabilities":{}`, `clientCapabilities":`+canAll, 1)
		answer := g.start(r)
		if a := outcome(t, g.asks("a", ask)); !strings.Contains(a, "error: ") {
			t.Errorf("the tool got %s", a)
		}
		g.finish("a")
		answer().rest()
	})
	t.Run("when too many wait", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.beginWith("alice", "2025-11-25", canAll)
		answer := g.start(s.script("1", "a", ""))
		got := g.asks("a", func(ctx context.Context, srv *server.MCPServer) (any, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			refused := make(chan error, 33)
			for range 33 {
				go func() { _, err := ask(ctx, srv); refused <- err }()
			}
			err := <-refused // the one that is too many; then the others
			cancel()
			for range 32 {
				<-refused
			}
			return nil, err
		})
		if a := outcome(t, got); !strings.Contains(a, "too many questions") {
			t.Errorf("the tool got %s", a)
		}
		g.finish("a")
		if rest := answer().rest(); len(rest) != 65 {
			t.Errorf("%d messages came, not 32 questions, 32 that they are cancelled, and the response", len(rest))
		}
	})
}

func TestAQuestionThatNobodyAnswersIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		timeout time.Duration
		stop    func(g *lively, s session)
		want    string
	}{
		"when the call's time is over":     {time.Second, func(*lively, session) {}, "did not answer within"},
		"when the client cancels the call": {time.Minute, func(g *lively, s session) { g.send(s.message(cancels("1"))) }, "cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newLively(t, func(cfg *mcphttp.Config) { cfg.CallTimeout = test.timeout })
			s := g.beginWith("alice", "2025-11-25", canAll)
			answer := g.start(s.script("1", "a", ""))
			got := g.asks("a", questions["sampling"].ask)
			l := answer()
			id := member(l.next(), "id")
			test.stop(g, s)
			if a := outcome(t, got); !strings.Contains(a, "error: ") {
				t.Errorf("the tool got %s", a)
			}
			rest := l.rest()
			if len(rest) != 2 || member(rest[0], "method") != `"notifications/cancelled"` || member(rest[0], "params", "requestId") != id ||
				!strings.Contains(rest[1], test.want) {
				t.Errorf("the client got %q", rest)
			}
			// What comes late is dropped.
			if got := g.send(s.message(answerTo(id, `{}`))); got.status != http.StatusAccepted {
				t.Errorf("a late answer: %d %s", got.status, got.body)
			}
		})
	}
}

func TestAQuestionIsHeardByAClientThatComesBack(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.beginWith("alice", "2025-11-25", canAll)
	l := broken(t, g, s, "1", "a")
	got := g.asks("a", questions["elicitation"].ask)
	back := g.live(s.get(l.lastID))
	g.send(s.message(answerTo(member(back.next(), "id"), questions["elicitation"].answer)))
	if a := outcome(t, got); strings.Contains(a, "error") {
		t.Errorf("the tool got %s", a)
	}
	g.finish("a")
	if rest := back.rest(); len(rest) != 1 || !strings.Contains(rest[0], "done a") {
		t.Errorf("after it: %q", rest)
	}
}

// TestAQuestionComesAfterWhatWasSaidBefore: they go two ways, and the order is the
// tool's.
func TestAQuestionComesAfterWhatWasSaidBefore(t *testing.T) {
	t.Parallel()
	for range 20 {
		g := newLively(t, nil)
		s := g.beginWith("alice", wire.LatestLegacy, canAll)
		answer := g.start(s.script("1", "a", ""))
		go g.tell("a", func(ctx context.Context, srv *server.MCPServer, _ mcp.CallToolRequest) {
			for i := range 30 {
				note(ctx, srv, mcp.CallToolRequest{}, i, fmt.Sprint("m", i))
			}
			_, _ = questions["roots"].ask(ctx, srv)
		})
		l := answer()
		for i := range 30 {
			if got := l.next(); !strings.Contains(got, fmt.Sprintf(`"m%d"`, i)) {
				t.Fatalf("message %d is %s", i, got)
			}
		}
		asked := l.next()
		if member(asked, "method") != `"roots/list"` {
			t.Fatalf("after them came %s", asked)
		}
		g.send(s.message(answerTo(member(asked, "id"), questions["roots"].answer)))
		g.finish("a")
	}
}

// TestAQuestionHasNoIDOfBefore: an answer that comes after a restart is to none of now.
func TestAQuestionHasNoIDOfBefore(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 3 {
		g := newLively(t, nil)
		s := g.beginWith("alice", wire.LatestLegacy, canAll)
		answer := g.start(s.script("1", "a", ""))
		asked := g.asks("a", questions["roots"].ask)
		id := member(answer().next(), "id")
		if seen[id] {
			t.Errorf("%s was another question before", id)
		}
		seen[id] = true
		g.send(s.message(answerTo(id, questions["roots"].answer)))
		outcome(t, asked)
		g.finish("a")
	}
}
