package clientauth_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/entra/clientauth"
)

// The commands of docs/entra-application.md make a file that the gateway can use.
func TestTheDocumentedCertificate(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"sh", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("left out: the documented certificate (no " + program + ")")
		}
	}
	text, err := os.ReadFile("../../../../docs/entra-application.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```sh\nopenssl")
	script, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("the document makes no certificate")
	}
	dir := t.TempDir()
	script = "openssl" + strings.ReplaceAll(script, "/etc/mcp-gateway", dir)
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	c, err := clientauth.LoadCertificate(filepath.Join(dir, "client.pem"), clientID, silent)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Authenticate(t.Context(), url.Values{}, endpoint, now); err != nil {
		t.Error(err)
	}
}
