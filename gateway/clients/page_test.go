package clients_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/chromedp/chromedp"
)

// layout is where on Inspector's page things are, as XPath.
type layout struct {
	connected string // is there when it is
	refused   string // or this is
	list      string // has the tools listed
	add       string // opens math_add, of the tools that are listed
	other     string // opens another of them, which takes an old result away
	a, b, run string // of math_add's form
	sum       string // is there when 42 is shown as the result
	failed    string // is there when the call is shown to have failed
}

// page is Inspector in a window of the browser, and what serves it.
type page struct {
	layout
	address string
	connect []action // has it connect
	browser context.Context
	tab     context.Context
	leave   context.CancelFunc
	server  *exec.Cmd
}

// openWindow starts what serves the page, and opens it.
func openWindow(ctx context.Context, d *desktop, at layout, server *exec.Cmd, address string, connect ...action) (session, error) {
	if err := server.Start(); err != nil {
		return nil, err
	}
	p := &page{layout: at, address: address, connect: connect, browser: d.browser, leave: func() {}, server: server}
	err := served(ctx, address)
	if err == nil {
		err = p.begin(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// begin opens the page in a new window and has it connect. It goes to the
// gateway's page, where Inspector is allowed, and to Microsoft's, where Ada signs
// in; then it is back and connected.
func (p *page) begin(ctx context.Context) error {
	p.leave()
	p.tab, p.leave = chromedp.NewContext(p.browser, chromedp.WithNewBrowserContext())
	if err := chromedp.Do(p.tab); err != nil { // with the window's own time
		return err
	}
	return p.do(ctx, chromedp.Navigate(p.address), inTurn(p.connect...), press("//button[@name='decision' and @value='allow']"),
		press("//button[contains(., 'ada@contoso.example')]"), either(p.connected, p.refused))
}

// served waits until something answers at the address.
func served(ctx context.Context, address string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// do does things on the page within ctx's time. An error shows the page.
func (p *page) do(ctx context.Context, actions ...action) error {
	within, cancel := context.WithCancel(p.tab)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	err := chromedp.Do(within, actions...)
	if err == nil {
		return nil
	}
	late, cancel := context.WithTimeout(p.tab, 5*time.Second)
	defer cancel()
	shown, textErr := chromedp.Run(late, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	return errors.Join(err, textErr, fmt.Errorf("the page is %s", shown))
}

type action = chromedp.Action[chromedp.Void]

// element is the first on the page that an XPath leads to.
func element(xpath string) chromedp.JSPath {
	return chromedp.JSPath(fmt.Sprintf("document.evaluate(%q, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE).singleNodeValue", xpath))
}

// visible tells whether something that an XPath leads to is shown. Between two
// pages there is none to ask, and nothing is.
func visible(ctx context.Context, tab *chromedp.Target, xpath string) bool {
	now, err := chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
		const all = document.evaluate(%q, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE);
		return Array.from({length: all.snapshotLength}, (_, i) => all.snapshotItem(i)).some((one) => one.checkVisibility());
	})()`, xpath))(ctx, tab)
	return err == nil && now
}

// until asks the page again and again. What is waited for is often on another
// page than the one of now.
func until(what string, done func(context.Context, *chromedp.Target) (bool, error)) action {
	return func(ctx context.Context, tab *chromedp.Target) (none chromedp.Void, err error) {
		for {
			if now, err := done(ctx, tab); now || err != nil {
				return none, err
			}
			select {
			case <-ctx.Done():
				return none, fmt.Errorf("%s: %w", what, ctx.Err())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// shows waits until something is shown.
func shows(xpath string) action {
	return until("there is no "+xpath, func(ctx context.Context, tab *chromedp.Target) (bool, error) { return visible(ctx, tab, xpath), nil })
}

// hides waits until something is not shown.
func hides(xpath string) action {
	return until("there still is "+xpath, func(ctx context.Context, tab *chromedp.Target) (bool, error) { return !visible(ctx, tab, xpath), nil })
}

// either waits for one of two things, and fails if it is the other.
func either(good, bad string) action {
	return until("there is no "+good, func(ctx context.Context, tab *chromedp.Target) (bool, error) {
		if visible(ctx, tab, bad) {
			return false, errors.New("there is " + bad)
		}
		return visible(ctx, tab, good), nil
	})
}

func press(xpath string) action {
	return inTurn(shows(xpath), chromedp.Click(element(xpath)))
}

// write replaces what is in a field, as somebody does who pastes it.
func write(xpath, text string) action {
	paste := fmt.Sprintf("(field => { field.focus(); field.select(); document.execCommand('insertText', false, %q) })(%s)", text, element(xpath))
	return inTurn(shows(xpath), chromedp.Evaluate[chromedp.Void](paste))
}

// inTurn makes one action of several.
func inTurn(actions ...action) action {
	return func(ctx context.Context, tab *chromedp.Target) (none chromedp.Void, err error) {
		for _, one := range actions {
			if none, err = one(ctx, tab); err != nil {
				return none, err
			}
		}
		return none, nil
	}
}

func (p *page) list(ctx context.Context) error {
	// A page that is still being laid out may move a button from under the mouse.
	return p.do(ctx, until("no tools are listed", func(ctx context.Context, tab *chromedp.Target) (bool, error) {
		_, err := press(p.layout.list)(ctx, tab)
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, late := shows(p.layout.add)(soon, tab)
		return late == nil, err
	}))
}

func (p *page) add(ctx context.Context) (string, error) {
	err := p.do(ctx, press(p.other), hides(p.sum+" | "+p.failed), press(p.layout.add),
		write(p.a, "23"), write(p.b, "19"), press(p.run), either(p.sum, p.failed))
	if err != nil {
		return "", err
	}
	return "42", nil // which is what sum is the place of
}

func (p *page) close() error {
	p.leave()
	// What serves a page serves until it is ended.
	_ = p.server.Process.Kill()
	if err := p.server.Wait(); p.server.ProcessState == nil {
		return err
	}
	return nil
}

// openPage is the page of today's Inspector, whose own server talks to the
// gateway.
func openPage(ctx context.Context, d *desktop, c client) (session, error) {
	kind := map[string]string{"/mcp": "http", "/sse": "sse"}[c.address]
	server := d.command(d.nodes.newer, filepath.Join(d.nodes.root, "inspector/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"),
		"--web", "--transport", kind, "--server-url", d.gateway.url+c.address)
	server.Env = append(server.Env, "CLIENT_PORT="+d.ports[0], "MCP_SANDBOX_PORT="+d.ports[1], "MCP_AUTO_OPEN_ENABLED=false",
		"MCP_INSPECTOR_SECRET_STORE=file", "MCP_INSPECTOR_API_TOKEN=of-this-test")
	return openWindow(ctx, d, layout{
		connected: "//*[text()='Connected']", refused: "//*[contains(text(), 'Failed to connect')]",
		list: "//label[.='Tools']", add: "//button[contains(., 'math_add')]", other: "//button[contains(., 'math_divide')]",
		a: "//label[starts-with(., 'a')]/following::input[1]", b: "//label[starts-with(., 'b ')]/following::input[1]", run: "//button[.='Execute Tool']",
		sum: "//*[text()='Results']/following::*[text()='42']", failed: "//*[text()='Tool Error']",
	}, server, "http://127.0.0.1:"+d.ports[0]+"?MCP_INSPECTOR_API_TOKEN=of-this-test",
		press("//input[@role='switch' and starts-with(@aria-label, 'Connect')]"))
}

// openDirectPage is the page of the Inspector before, which can talk to the
// gateway itself, as any web page would have to (CORS).
func openDirectPage(ctx context.Context, d *desktop, c client) (session, error) {
	kind := map[string]string{"/mcp": "Streamable HTTP", "/sse": "SSE"}[c.address]
	server := d.command(d.nodes.newer, filepath.Join(d.nodes.root, "inspector/node_modules/@modelcontextprotocol/inspector-client/bin/client.js"))
	server.Env = append(server.Env, "CLIENT_PORT="+d.ports[0], "MCP_AUTO_OPEN_ENABLED=false")
	choose := func(field, option string) action {
		option = "//*[@role='option' and contains(., '" + option + "')]"
		return inTurn(press("//*[@id='"+field+"']"), press(option), hides(option))
	}
	return openWindow(ctx, d, layout{
		connected: "//*[text()='Connected']", refused: "//*[contains(text(), 'Connection Error')]",
		list: "//button[.='List Tools']", add: "//*[text()='Add']", other: "//*[text()='Divide']",
		a: "//*[@id='a']", b: "//*[@id='b']", run: "//button[.='Run Tool']",
		sum: "//*[contains(text(), 'Tool Result')]/following::*[text()='42']", failed: "//h4[contains(., 'Tool Result')]/span[.='Error']",
	}, server, "http://localhost:"+d.ports[0], choose("transport-type-select", kind), choose("connection-type-select", "Direct"),
		write("//*[@id='sse-url-input']", d.gateway.url+c.address), press("//button[.='Connect']"))
}
