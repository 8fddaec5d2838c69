package entra_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/entra"
)

const (
	groupA = "aaaa0000-0000-4000-8000-000000000001"
	groupB = "bbbb0000-0000-4000-8000-000000000002"
	groupC = "cccc0000-0000-4000-8000-000000000003"
)

// graph is a small Microsoft Graph whose pages a test writes.
type graph struct {
	pages    func(r *http.Request) any
	requests atomic.Int32
}

// overage signs somebody in whose groups did not fit into the token. Groups A and B
// matter.
func (f *fake) overage(t *testing.T, g *graph, change func(*entra.Config)) (entra.SignIn, error) {
	t.Helper()
	claims := f.claims()
	claims["_claim_names"] = map[string]string{"groups": "src1"}
	claims["_claim_sources"] = map[string]any{"src1": map[string]string{"endpoint": f.URL + "/never"}}
	f.set(&f.token, f.renewed(firstRefresh, claims))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1.0/me/transitiveMemberOf/microsoft.graph.group", func(w http.ResponseWriter, r *http.Request) {
		g.requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+accessToken {
			t.Errorf("Graph is asked with %q", r.Header.Get("Authorization"))
		}
		writeJSON(w, http.StatusOK, g.pages(r))
	})
	mux.Handle("/", f.Config.Handler)
	f.Config.Handler = mux
	cfg := f.config()
	cfg.Groups, cfg.Graph = []string{strings.ToUpper(groupA), groupB}, f.URL
	if change != nil {
		change(&cfg)
	}
	return newProvider(t, cfg).Exchange(t.Context(), authCode, request, now)
}

func list(next string, ids ...string) map[string]any {
	value := []map[string]string{}
	for _, id := range ids {
		value = append(value, map[string]string{"@odata.type": "#microsoft.graph.group", "id": id})
	}
	page := map[string]any{"value": value}
	if next != "" {
		page["@odata.nextLink"] = next
	}
	return page
}

func TestGroupsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	g := &graph{pages: func(r *http.Request) any {
		if want := (url.Values{"$select": {"id"}, "$top": {"999"}}).Encode(); !strings.HasPrefix(r.URL.RawQuery, want) {
			t.Errorf("Graph is asked %s", r.URL.RawQuery)
		}
		next := f.URL + r.URL.Path + "?%24select=id&%24top=999&%24skiptoken="
		switch r.URL.Query().Get("$skiptoken") {
		case "":
			return list(next+"1", groupC, strings.ToUpper(groupB))
		case "1":
			return list(next + "2") // a page may be empty
		default:
			return list("", groupA, groupB, groupC)
		}
	}}
	in, err := f.overage(t, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Of groups that no rule names nothing is kept.
	if diff := cmp.Diff([]string{groupB, groupA}, in.Groups); diff != "" || in.GroupsUnknown || in.Incomplete {
		t.Errorf("groups %q, unknown %v, incomplete %v", in.Groups, in.GroupsUnknown, in.Incomplete)
	}
}

func TestNobodyIsInAnyGroupThatMatters(t *testing.T) {
	t.Parallel()
	in, err := newFake(t).overage(t, &graph{pages: func(*http.Request) any { return list("", groupC) }}, nil)
	if err != nil || len(in.Groups) != 0 || in.GroupsUnknown || in.Incomplete {
		t.Errorf("got %+v, %v", in, err)
	}
}

func TestGraphIsAskedOnlyIfItMatters(t *testing.T) {
	t.Parallel()
	f, g := newFake(t), &graph{}
	in, err := f.overage(t, g, func(cfg *entra.Config) { cfg.Groups, cfg.Graph = nil, "" })
	if err != nil || !in.GroupsUnknown || in.Incomplete || g.requests.Load() != 0 {
		t.Errorf("got %+v, %v, after %d requests", in, err, g.requests.Load())
	}
}

func TestWhatGraphMustNotAnswer(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]any{
		"no list":                   map[string]any{"id": groupA},
		"a list of something else":  map[string]any{"value": "x"},
		"a list of numbers":         map[string]any{"value": []int{1}},
		"nothing":                   nil,
		"a next page on http":       list("http://graph.example/v1.0/me", groupA),
		"a next page at a user":     list("https://ada@graph.example/", groupA),
		"a next page that is none":  list(":", groupA),
		"a next page without a end": "endless",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			g := &graph{pages: func(r *http.Request) any {
				if page == "endless" {
					return list(f.URL+r.URL.Path, groupA)
				}
				return page
			}}
			in, err := f.overage(t, g, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !in.GroupsUnknown || !in.Incomplete || len(in.Groups) > 0 {
				t.Errorf("groups %q, unknown %v, incomplete %v", in.Groups, in.GroupsUnknown, in.Incomplete)
			}
			if n := g.requests.Load(); n > 50 {
				t.Errorf("Graph was asked %d times", n)
			}
		})
	}
}

func TestWhereGraphMayBe(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "graph.microsoft.com", "https://graph.microsoft.com/v1.0", "http://graph.microsoft.com", "https://", "https://a@graph.microsoft.com", "https://graph.microsoft.com?x",
	} {
		cfg := newFake(t).config()
		cfg.Groups, cfg.Graph = []string{groupA}, address
		if _, err := entra.New(cfg); err == nil || !strings.Contains(err.Error(), "Graph") {
			t.Errorf("%q: %v", address, err)
		}
	}
	cfg := newFake(t).config()
	cfg.Groups, cfg.Graph = []string{groupA}, "https://graph.microsoft.us/"
	p, err := entra.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	address, err := p.AuthURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil || !slices.Contains(strings.Fields(u.Query().Get("scope")), "User.Read") {
		t.Errorf("Microsoft is asked %s, %v", address, err)
	}
}
