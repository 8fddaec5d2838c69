package mcphttp_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcp-gateway/shared/wire"
)

const allLists = `"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true`

// listenFor is subscriptions/listen for what is inside of notifications.
func listenFor(id, what string) request {
	return modernRequest(id, "subscriptions/listen", `"notifications":{`+what+`}`)
}

// listens opens a stream and checks its acknowledgement, which is the first message.
func (g *lively) listens(r request, id, honoured string) *live {
	g.t.Helper()
	l := g.live(r)
	if l.status != http.StatusOK || l.header.Get("Content-Type") != "text/event-stream" || l.header.Get("X-Accel-Buffering") != "no" {
		g.t.Fatalf("%d %v %q", l.status, l.header, l.rest())
	}
	first := l.next()
	if member(first, "method") != `"notifications/subscriptions/acknowledged"` || member(first, "params", "notifications") != honoured {
		g.t.Fatalf("the first message is %s, want %s", first, honoured)
	}
	isOf(g.t, first, id)
	return l
}

// isOf checks the id of the subscription, of the same JSON type.
func isOf(t testing.TB, message, id string) {
	t.Helper()
	if got := member(message, "params", "_meta", "io.modelcontextprotocol/subscriptionId"); got != id {
		t.Errorf("the subscription is %s, want %s", got, id)
	}
	if member(message, "id") != "" {
		t.Errorf("a notification has an id: %s", message)
	}
}

func TestChangesOfListsComeToWhoAskedForThemOnly(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	get := g.live(s.get("")).primed()
	sse := g.open("alice")
	all := g.listens(listenFor(`"l"`, allLists), `"l"`, `{"promptsListChanged":true,"resourcesListChanged":true,"toolsListChanged":true}`)
	tools := g.listens(listenFor("12345678901234567890", `"toolsListChanged":true,"promptsListChanged":false`), "12345678901234567890", `{"toolsListChanged":true}`)
	none := g.listens(listenFor("1", `"future":true,"toolsListChanged":"true"`), "1", `{}`)
	bob := g.listens(listenFor("1", `"promptsListChanged":true`).as("bob"), "1", `{"promptsListChanged":true}`)
	for _, list := range []string{"prompts", "resources", "tools"} {
		g.changeList(list)
	}
	method := func(list string) string { return `"notifications/` + list + `/list_changed"` }
	for _, list := range []string{"prompts", "resources", "tools"} {
		m := all.next()
		if member(m, "method") != method(list) {
			t.Errorf("got %s, want %s", m, list)
		}
		isOf(t, m, `"l"`)
		for name, m := range map[string]string{"GET": get.next(), "/sse": sse.next()} {
			if m != `{"jsonrpc":"2.0","method":`+method(list)+`}` {
				t.Errorf("%s: got %s, want %s", name, m, list)
			}
		}
	}
	for l, want := range map[*live]string{tools: method("tools"), bob: method("prompts")} {
		if m := l.next(); member(m, "method") != want {
			t.Errorf("got %s, want %s", m, want)
		}
	}
	g.endStreams()
	for name, l := range map[string]*live{"all": all, "tools": tools, "none": none, "bob": bob} {
		if rest := l.rest(); len(rest) != 1 || member(rest[0], "result", "resultType") != `"complete"` {
			t.Errorf("%s ends with %q", name, rest)
		}
	}
	if rest := get.rest(); len(rest) != 0 {
		t.Errorf("GET ends with %q", rest)
	}
}

// In the library, the acknowledged subscription to a resource hears nothing, and that
// of a session does nothing.
func TestUpdatesOfResourcesComeToWhoSubscribedUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	one, two := g.begin("alice"), g.begin("alice")
	getOne, getTwo := g.live(one.get("")).primed(), g.live(two.get("")).primed()
	sse := g.open("bob")
	sse.post(initialize)
	sse.next()
	sse.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"x://b"}}`)
	sse.next()
	ok := func(r request) {
		t.Helper()
		if got := g.send(r); got.status != http.StatusOK || member(got.body, "result") != "{}" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	ok(one.request("1", "resources/subscribe", `{"uri":"x://a"}`))
	ok(two.request("1", "resources/subscribe", `{"uri":"x://a"}`))
	ok(two.request("2", "resources/subscribe", `{"uri":"x://b"}`))
	ok(two.request("3", "resources/unsubscribe", `{"uri":"x://a"}`))
	ok(two.request("4", "resources/unsubscribe", `{"uri":"x://never"}`))
	modern := g.listens(listenFor("5", `"resourceSubscriptions":["x://a","x://c"]`), "5", `{"resourceSubscriptions":["x://a","x://c"]}`)
	for _, uri := range []string{"x://a", "x://b", "x://c", "x://nobody"} {
		g.updated(uri)
	}
	g.changeList("tools") // the last that the legacy streams hear
	for name, test := range map[string]struct {
		next func() string
		want []string
	}{
		"one session": {getOne.next, []string{"x://a"}}, "another": {getTwo.next, []string{"x://b"}},
		"a stream of /sse": {sse.next, []string{"x://b"}}, "modern": {modern.next, []string{"x://a", "x://c"}},
	} {
		for _, uri := range test.want {
			if m := test.next(); member(m, "method") != `"notifications/resources/updated"` || member(m, "params", "uri") != `"`+uri+`"` {
				t.Errorf("%s: got %s, want %s", name, m, uri)
			}
		}
		if name == "modern" {
			continue
		}
		if m := test.next(); !strings.Contains(m, "list_changed") {
			t.Errorf("%s: got also %s", name, m)
		}
	}
	g.endStreams()
	if rest := modern.rest(); len(rest) != 1 {
		t.Errorf("modern: got also %q", rest)
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	var uris []string
	for i := range 501 {
		uris = append(uris, strconv.Quote(fmt.Sprint("x://", i)))
	}
	many := `"resourceSubscriptions":[` + strings.Join(uris, ",") + `]`
	long := func(length, times int) string {
		var uris []string
		for i := range times {
			uris = append(uris, strconv.Quote(fmt.Sprintf("x://%0*d", length-4, i)))
		}
		return `"resourceSubscriptions":[` + strings.Join(uris, ",") + `]`
	}
	for name, test := range map[string]struct {
		in           request
		status, code int
		reason       string
	}{
		"without notifications": {modernRequest("1", "subscriptions/listen", ""), http.StatusOK, wire.CodeInvalidParams, "params.notifications is missing"},
		"notifications that are a list": {modernRequest("1", "subscriptions/listen", `"notifications":[]`),
			http.StatusOK, wire.CodeInvalidParams, "params.notifications is missing"},
		"subscriptions that are text":  {listenFor("1", `"resourceSubscriptions":"x"`), http.StatusOK, wire.CodeInvalidParams, "not a list of URIs"},
		"subscriptions to numbers":     {listenFor("1", `"resourceSubscriptions":[1]`), http.StatusOK, wire.CodeInvalidParams, "not a list of URIs"},
		"too many subscriptions":       {listenFor("1", many), http.StatusOK, wire.CodeInvalidParams, "there are 500 subscriptions"},
		"a subscription to a long URI": {listenFor("1", long(8193, 1)), http.StatusOK, wire.CodeInvalidParams, "longer than 8192 bytes"},
		"subscriptions that are large": {listenFor("1", long(8192, 17)), http.StatusOK, wire.CodeInvalidParams, "more than 131072 bytes"},
		"a client that reads JSON only": {listenFor("1", allLists).with("Accept", jsonType),
			http.StatusNotAcceptable, wire.CodeInvalidRequest, "must accept text/event-stream"},
		"another method in the header": {listenFor("1", allLists).with("Mcp-Method", "ping"), http.StatusBadRequest, wire.CodeHeaderMismatch, "Mcp-Method"},
		"in a legacy session":          {g.begin("alice").request("1", "subscriptions/listen", "{}"), http.StatusOK, wire.CodeMethodNotFound, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g.send(test.in).refused(t, test.status, test.code, test.reason)
		})
	}
}

func TestWhereNothingChangesThereIsNothingToListenTo(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	g.send(listenFor("1", allLists)).refused(t, http.StatusNotFound, wire.CodeMethodNotFound, "nothing changes here")
}

// streamsOf opens one stream of each kind as a user.
func (g *lively) streamsOf(user string) (get, listen *live, sse *sse) {
	return g.live(g.begin(user).get("")).primed(), g.listens(listenFor(`"x"`, allLists).as(user), `"x"`,
		`{"promptsListChanged":true,"resourcesListChanged":true,"toolsListChanged":true}`), g.open(user)
}

func TestStreamsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		user string
		end  func(g *lively)
	}{
		"when it expires":        {"short", func(*lively) {}},
		"when it is revoked":     {"alice", func(g *lively) { g.revoke("g1") }},
		"when the gateway stops": {"alice", func(g *lively) { g.endStreams() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newLively(t, nil)
			g.expires("short", 3*time.Second)
			get, listen, sse := g.streamsOf(test.user)
			_, other, _ := g.streamsOf("bob")
			test.end(g)
			if rest := listen.rest(); len(rest) != 1 ||
				rest[0] != `{"jsonrpc":"2.0","id":"x","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"x"}}}` {
				t.Errorf("listen ends with %q", rest)
			}
			if rest := get.rest(); len(rest) != 0 {
				t.Errorf("GET ends with %q", rest)
			}
			if e, err := sse.events.Next(); err == nil {
				t.Errorf("/sse ends with %s", e.Data)
			}
			if name == "when the gateway stops" {
				return
			}
			g.changeList("tools")
			if m := other.next(); !strings.Contains(m, "tools/list_changed") {
				t.Errorf("somebody else's got %s", m)
			}
		})
	}
}

func TestStreamsOfAPersonAreBoundedTogether(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	var open []*live
	for range 10 {
		open = append(open, g.live(listenFor("1", allLists)))
	}
	for range 10 {
		open = append(open, g.live(g.begin("alice").get("")))
	}
	for range 12 {
		g.open("alice-other")
	}
	for name, r := range map[string]request{
		"listen": listenFor("2", allLists), "GET": s.get(""), "/sse": {path: "/sse", method: http.MethodGet}, "another client's": listenFor("2", allLists).as("alice-other"),
	} {
		got := g.send(r)
		got.refused(t, http.StatusTooManyRequests, wire.CodeInternal, "too many of your requests")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
	g.streamsOf("bob") // somebody else is not held up
	if got := g.send(s.request("1", "ping", "{}")); got.status != http.StatusOK {
		t.Errorf("a stream is taken for a call: %d %s", got.status, got.body)
	}
	open[0].leave()
	waitFor(t, "the place of the stream that ended", func() bool {
		l := g.live(listenFor("3", allLists))
		return l.status == http.StatusOK
	})
}

func TestWhatWasHeardBeforeTheEndIsTold(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	for range 10 { // an order of chance would come out sooner or later
		g.grantAnew("again")
		l := g.live(listenFor("1", `"resourceSubscriptions":["x://a"]`).as("again"))
		l.next()
		for range 100 {
			g.updated("x://a")
		}
		g.revoke("again")
		if rest := l.rest(); len(rest) != 101 || member(rest[100], "result", "resultType") != `"complete"` {
			t.Fatalf("%d of 100 came before the end", len(rest)-1)
		}
	}
}
