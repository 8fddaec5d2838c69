package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// testWhatIsAdvertisedIsServed: every endpoint of the metadata exists, and the one
// for introspection is there only where somebody may introspect.
func testWhatIsAdvertisedIsServed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		servers string
		want    int // endpoints
	}{
		{name: "without resource servers", want: 4},
		{name: "with a resource server", servers: "resource_servers: [{id: crm, secret_file: %q}]\n", want: 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.servers != "" {
				file := filepath.Join(t.TempDir(), "secret")
				if err := os.WriteFile(file, []byte(strings.Repeat("introspect", 5)), 0o600); err != nil {
					t.Fatal(err)
				}
				tt.servers = fmt.Sprintf(tt.servers, file)
			}
			g := start(t, tt.servers)
			resp, err := http.Get(g.url + oauth.PathServerMetadata)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			var metadata map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&metadata); err != nil {
				t.Fatal(err)
			}
			found := 0
			for name, value := range metadata {
				address, ok := value.(string)
				if !ok || !strings.HasSuffix(name, "_endpoint") {
					continue
				}
				found++
				// A method that no endpoint has: 405 where there is one.
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, address, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusMethodNotAllowed {
					t.Errorf("%s: status %d, want 405", name, resp.StatusCode)
				}
			}
			if found != tt.want {
				t.Errorf("%d endpoints, want %d", found, tt.want)
			}
		})
	}
}
