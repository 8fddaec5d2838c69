package lab

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Chromium starts Chromium without a screen until the test ends, or leaves the
// test out where there is none. The browser trusts these certificates for any
// host. What it returns is for
//
//	chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
//
// which opens a window that shares nothing with the others.
func Chromium(t *testing.T, trusted ...*x509.Certificate) context.Context {
	t.Helper()
	program := findChromium(t)
	// A busy machine takes its time to start a browser.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.WindowSize(1400, 1000),
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-component-update", true), chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(time.Minute))
	if len(trusted) > 0 {
		options = append(options, chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(fingerprints(trusted), ",")))
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which Chromium cannot have as root
	}
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the browser did not end as it should: %v", err)
		}
		leave()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	t.Skip("left out: Chromium (none of its commands is in PATH)")
	return ""
}

// fingerprints are of the certificates' keys, as the browser's flag has them.
func fingerprints(certificates []*x509.Certificate) (hashes []string) {
	for _, c := range certificates {
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		hashes = append(hashes, base64.StdEncoding.EncodeToString(sum[:]))
	}
	return hashes
}
