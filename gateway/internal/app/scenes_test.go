package app_test

import (
	"net/url"
	"strings"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/shared/entrasim"
)

// inspector is where MCP Inspector is answered.
const inspector = "http://localhost:6274/oauth/callback"

// scene is one page, and the way to it.
type scene struct {
	name    string
	status  int
	heading string
	open    func(s *stage, w *window)
}

// microsoft goes as far as the choice of a person, for a client that waits.
func microsoft(s *stage, w *window) {
	s.ask(w, s.stranger("MCP Inspector", s.redirect), s.redirect, nil)
	w.click("Allow")
	w.see("Who are you today?")
}

// fails is a sign-in of Ada which Microsoft or the gateway does not let through.
func fails(plan func(*stage)) func(*stage, *window) {
	return func(s *stage, w *window) {
		microsoft(s, w)
		plan(s)
		w.click(entrasim.Ada)
	}
}

func at(path string) func(*stage, *window) {
	return func(s *stage, w *window) { w.open(s.url + path) }
}

var scenes = []scene{
	{name: "the front page", status: 200, heading: "MCP gateway", open: at("/")},

	{name: "consent to a program on this computer", status: 200, heading: "“MCP Inspector” asks", open: func(s *stage, w *window) {
		s.ask(w, s.stranger("MCP Inspector", inspector), inspector, nil)
	}},
	{name: "consent to a program without a name", status: 200, heading: "A program asks", open: func(s *stage, w *window) {
		s.ask(w, s.stranger("", inspector), inspector, nil)
	}},
	{name: "consent to a program elsewhere, with long names and addresses", status: 200, heading: "WWWWWWWW", open: func(s *stage, w *window) {
		const name, address = "WWWWWWWW", "https://a-very-long-host-name-that-cannot-be-broken-anywhere.example/"
		long := address + strings.Repeat("callback", 40)
		s.ask(w, s.stranger(strings.Repeat(name, 8), long), long, nil)
	}},
	{name: "consent to a program that is described by a document", status: 200, heading: "“Documented client” asks", open: func(s *stage, w *window) {
		s.ask(w, documentID, clientRedirect, nil)
	}},
	{name: "consent to a program of the administrator's", status: 200, heading: "“The build agent” asks", open: func(s *stage, w *window) {
		s.ask(w, "build-agent", "https://build.example/callback", nil)
	}},
	{name: "consent to a program that asks for more", status: 200, heading: "“Growing client” asks", open: func(s *stage, w *window) {
		client := s.register(`{"client_name":"Growing client","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"client_secret_post"}`).ClientID
		s.ask(w, client, s.redirect, func(q url.Values) { q.Set("scope", "mcp") })
		w.click("Allow")
		w.click(entrasim.Ada)
		<-s.answers
		w.see("Back at the client")
		s.ask(w, client, s.redirect, func(q url.Values) { q.Set("scope", "mcp calc.divide offline_access") })
	}},

	{name: "the page for the code of a device", status: 200, heading: "Sign in a device", open: at("/device?user_code=BCDF-GHJK")},
	{name: "a code that no device has", status: 400, heading: "Try the code again", open: func(s *stage, w *window) {
		w.open(s.url + "/device?user_code=BCDF-GHJK")
		w.click("Continue")
	}},
	{name: "consent to a device", status: 200, heading: "“Terminal” asks", open: func(s *stage, w *window) {
		w.open(s.device().VerificationURIComplete)
		w.click("Continue")
	}},
	{name: "a device that is denied", status: 200, heading: "Access was denied", open: func(s *stage, w *window) {
		w.open(s.device().VerificationURIComplete)
		w.click("Continue")
		w.click("Deny")
	}},
	{name: "a device that is signed in", status: 200, heading: "Your device is signed in", open: func(s *stage, w *window) {
		w.open(s.device().VerificationURIComplete)
		w.click("Continue")
		w.click("Yes, allow")
		w.click(entrasim.Ada)
	}},

	{name: "a program that is not registered", status: 400, heading: "not registered here", open: at("/authorize?client_id=unknown")},
	{name: "a program that is sent elsewhere", status: 400, heading: "an address it did not register", open: func(s *stage, w *window) {
		s.ask(w, s.registration(), "https://evil.example/", nil)
	}},
	{name: "a damaged address", status: 400, heading: "damaged", open: at("/authorize?client_id=a&client_id=b")},
	{name: "a description that is wrong", status: 400, heading: "cannot be used", open: func(s *stage, w *window) {
		s.set("/wrong.json", described(s.t, map[string]any{}))
		s.ask(w, "https://client.example/wrong.json", clientRedirect, nil)
	}},
	{name: "a description that cannot be read", status: 400, heading: "cannot be read at the moment", open: func(s *stage, w *window) {
		s.setDown(true)
		defer s.setDown(false)
		s.ask(w, "https://client.example/other.json", clientRedirect, nil)
	}},
	{name: "a program that is kept out", status: 400, heading: "may not use this gateway", open: func(s *stage, w *window) {
		s.ask(w, "https://127.0.0.1/app.json", clientRedirect, nil)
	}},
	{name: "a consent page that is over", status: 400, heading: "no longer valid", open: func(s *stage, w *window) {
		s.ask(w, s.registration(), clientRedirect, nil)
		w.forget()
		w.click("Allow")
	}},
	{name: "a logout that is damaged", status: 400, heading: "damaged", open: at("/logout/microsoft")},
	{name: "a sign-in that is over", status: 400, heading: "cannot be finished", open: at("/callback?state=over&code=x")},

	{name: "the sign-in of the simulated Microsoft", status: 200, heading: "Who are you today?", open: microsoft},
	{name: "an answer of the simulated Microsoft by a form", status: 200, heading: "Signed in", open: func(s *stage, w *window) {
		microsoft(s, w)
		w.open(strings.Replace(w.address(), "response_mode=query", "", 1) + "&response_mode=form_post")
		w.click(entrasim.Ada)
	}},
	{name: "the sign-out of the simulated Microsoft", status: 200, heading: "You have signed out", open: func(s *stage, w *window) {
		microsoft(s, w)
		w.click(entrasim.Ada)
		w.see("Back at the client")
		w.open(s.authority + "/" + entrasim.DemoTenant + "/oauth2/v2.0/logout?post_logout_redirect_uri=" + url.QueryEscape(s.url+"/callback"))
	}},
	{name: "a request that the simulated Microsoft refuses", status: 400, heading: "having trouble signing you in", open: func(s *stage, w *window) {
		w.open(s.authority + "/" + entrasim.DemoTenant + "/oauth2/v2.0/authorize?client_id=unknown&response_type=code&redirect_uri=http://localhost/")
	}},

	{name: "a sign-in that is cancelled at Microsoft", status: 403, heading: "You are not signed in", open: func(s *stage, w *window) {
		microsoft(s, w)
		w.click("Cancel")
	}},
	{name: "a security policy of the organization", status: 403, heading: "You are not signed in",
		open: fails(func(s *stage) { s.sim.FailAuthorize(entrasim.Outcome{AADSTS: 53003}) })},
	{name: "a person who is not assigned", status: 403, heading: "You are not signed in",
		open: fails(func(s *stage) { s.sim.FailAuthorize(entrasim.Outcome{AADSTS: 50105}) })},
	{name: "a number that nobody knows", status: 503, heading: "Microsoft cannot be reached",
		open: fails(func(s *stage) { s.sim.FailAuthorize(entrasim.Outcome{Error: "server_error", AADSTS: 1234567}) })},
	{name: "a client secret that is wrong", status: 502, heading: "not set up correctly",
		open: fails(func(s *stage) { s.sim.FailToken(entrasim.Outcome{AADSTS: 7000215}) })},
	{name: "a Microsoft that does not answer", status: 503, heading: "Microsoft cannot be reached",
		open: fails(func(s *stage) { s.sim.FailToken(entrasim.Outcome{Fault: entrasim.Outage}) })},
	{name: "a person who is disabled", status: 403, heading: "You cannot sign in here", open: func(s *stage, w *window) {
		s.must(admin.Request{Command: admin.UsersDisable, User: entrasim.DemoTenant + "/" + entrasim.OlgaObject})
		microsoft(s, w)
		w.click(entrasim.Olga)
	}},
	{name: "a gateway that cannot write", status: 503, heading: "cannot finish the sign-in", open: func(s *stage, w *window) {
		microsoft(s, w)
		s.alter(`ALTER TABLE codes RENAME TO hidden`)
		defer s.alter(`ALTER TABLE hidden RENAME TO codes`)
		w.click(entrasim.Ada)
		w.see("The gateway")
	}},
}
