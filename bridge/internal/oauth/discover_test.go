package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcp-gateway/bridge/internal/oauth"
	protocol "mcp-gateway/shared/oauth"
)

const wellKnown = protocol.PathResourceMetadata

// places are where the metadata can be, and what comes of it.
var places = []struct {
	name, challenge string
	statuses        map[string]int // 200 where the metadata is, 404 if not listed
	want            string         // error, or "" for success
	asked           string         // the places, in order
}{
	{"challenge", "/prm", map[string]int{"/prm": 200}, "", "/prm"},
	{"path", "", map[string]int{wellKnown + "/mcp": 200}, "", wellKnown + "/mcp"},
	{"root", "", map[string]int{wellKnown: 200}, "", wellKnown + "/mcp " + wellKnown},
	{"challenge that leads nowhere", "/prm", map[string]int{wellKnown: 200}, "", "/prm " + wellKnown + "/mcp " + wellKnown},
	{"challenge over http", "http://other.example/prm", map[string]int{wellKnown: 200}, "", wellKnown + "/mcp " + wellKnown},
	{"challenge that is no URL", "javascript:x", map[string]int{wellKnown: 200}, "", wellKnown + "/mcp " + wellKnown},
	{"redirected", "", map[string]int{wellKnown + "/mcp": 302, wellKnown: 200}, "", wellKnown + "/mcp " + wellKnown},
	{"down", "", map[string]int{wellKnown + "/mcp": 503, wellKnown: 200}, "answered 503, try again later", wellKnown + "/mcp"},
	{"too many requests", "", map[string]int{wellKnown + "/mcp": 429, wellKnown: 200}, "answered 429", wellKnown + "/mcp"},
	{"page for people", "", map[string]int{wellKnown + "/mcp": 299}, "does not say where", wellKnown + "/mcp " + wellKnown},
}

// TestResourceMetadataPlaces: the resource's own metadata is looked for where the
// challenge says, at its path and at the root, and nowhere after a failure.
func TestResourceMetadataPlaces(t *testing.T) {
	t.Parallel()
	for _, tt := range places {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var asked []string // by one request after the other
			front := httptest.NewUnstartedServer(nil)
			front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				base := "http://" + req.Host
				switch {
				case req.URL.Path == "/mcp":
					if named := tt.challenge; named != "" {
						if strings.HasPrefix(named, "/") {
							named = base + named
						}
						w.Header().Set("WWW-Authenticate", protocol.FormatBearer([2]string{"resource_metadata", named}))
					}
					w.WriteHeader(http.StatusUnauthorized)
					return
				case strings.HasPrefix(req.URL.Path, protocol.PathServerMetadata), strings.HasPrefix(req.URL.Path, protocol.PathOpenIDConfiguration):
					http.NotFound(w, req)
					return
				}
				asked = append(asked, req.URL.Path)
				serve(w, req, tt.statuses[req.URL.Path], map[string]any{"resource": base + "/mcp", "authorization_servers": []string{r.as.URL}})
			})
			front.Start()
			t.Cleanup(front.Close)
			err := r.seen(r.process(func(c *oauth.Config) { c.Server = front.URL + "/mcp" }).SignIn(t.Context()))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if got := strings.Join(asked, " "); got != tt.asked {
				t.Errorf("asked %s", got)
			}
		})
	}
}

// serve answers with a document, or as the status says: 299 stands for a page.
func serve(w http.ResponseWriter, req *http.Request, status int, doc map[string]any) {
	switch status {
	case 0:
		http.NotFound(w, req)
	case 299:
		_, _ = w.Write([]byte("<!doctype html>"))
	case http.StatusOK:
		_ = json.NewEncoder(w).Encode(doc)
	case http.StatusFound:
		http.Redirect(w, req, protocol.PathResourceMetadata+"/elsewhere", status)
	default:
		w.WriteHeader(status)
	}
}
