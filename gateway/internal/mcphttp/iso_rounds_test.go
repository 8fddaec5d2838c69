package mcphttp_test

import (
	"net/http"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

// inRounds is a call of the tool "rounds" by a client that can do something; more
// are further members of params.
func inRounds(id, ask, capabilities, more string) request {
	r := modernRequest(id, "tools/call", `"name":"rounds","arguments":{"ask":"`+ask+`"}`+more)
	r.body = strings.Replace(r.body, `clientCapabilities":{}`, `clientCapabilities":`+capabilities, 1)
	return r
}

func TestARoundAsksAndIsAnswered(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	for ask, method := range map[string]string{
		"form": "elicitation/create", "url": "elicitation/create", "sampling": "sampling/createMessage", "roots": "roots/list",
	} {
		got := g.send(inRounds("1", ask, canAll, "")).body
		state := member(got, "result", "requestState")
		if member(got, "result", "resultType") != `"input_required"` || member(got, "result", "inputRequests", "q", "method") != `"`+method+`"` ||
			state == "" || strings.Contains(got, "secret-state") {
			t.Fatalf("%s: got %s", ask, got)
		}
		again := g.send(inRounds("2", ask, canAll, `,"inputResponses":{"q":{"n":12345678901234567890},"unknown":{}},"requestState":`+state))
		if text := again.text(t); text != `state secret-state answer {"n":12345678901234567890}` {
			t.Errorf("%s: got %s", ask, again.body)
		}
		// Without the answer it is asked again, not refused.
		more := g.send(inRounds("3", ask, canAll, `,"inputResponses":{"unknown":{}},"requestState":`+state)).body
		if member(more, "result", "resultType") != `"input_required"` {
			t.Errorf("%s: got %s", ask, more)
		}
	}
}

func TestAStateIsOfUseForItsRequestOnly(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	elsewhere := newLively(t, nil)
	state := member(g.send(inRounds("1", "form", canAll, "")).body, "result", "requestState")
	foreign := member(elsewhere.send(inRounds("1", "form", canAll, "")).body, "result", "requestState")
	programs := member(g.send(inRounds("1", "form", canAll, "").as("ci")).body, "result", "requestState")
	flipped := []byte(state)
	flipped[len(flipped)/2] ^= 1
	with := func(ask, state string) request {
		return inRounds("2", ask, canAll, `,"inputResponses":{"q":{}},"requestState":`+state)
	}
	other := with("form", state)
	other.body = strings.Replace(other.body, `"name":"rounds"`, `"name":"burst"`, 1)
	const reason = "params.requestState is not one that was given out for this request, or is too old"
	for name, test := range map[string]struct {
		in     request
		reason string
	}{
		"of another person":            {with("form", state).as("bob"), reason},
		"of the person's other client": {with("form", state).as("alice-other"), reason},
		"of another program":           {with("form", programs).as("deploy"), reason},
		"of a person for a program":    {with("form", programs).as("alice-ci"), reason},
		"of other arguments":           {with("url", state), reason},
		"of another tool":              {other.with("Mcp-Name", "burst"), reason},
		"of another gateway":           {with("form", foreign), reason},
		"with one bit wrong":           {with("form", string(flipped)), reason},
		"cut short":                    {with("form", state[:len(state)-5]+`"`), reason},
		"invented":                     {with("form", `"secret-state"`), reason},
		"empty":                        {with("form", `""`), reason},
		"that is a session's id":       {with("form", `"`+g.begin("alice").id+`"`), reason},
		"that is a number":             {with("form", "1"), "params.requestState is not a string"},
		"with responses that are a list": {inRounds("2", "form", canAll, `,"inputResponses":[],"requestState":`+state),
			"params.inputResponses is not an object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g.send(test.in).refused(t, http.StatusOK, wire.CodeInvalidParams, test.reason)
		})
	}
}

func TestARoundThatTheClientCannotAnswerSaysWhatIsMissingUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	for name, test := range map[string]struct{ ask, capabilities, missing string }{
		"a form without elicitation":         {"form", `{}`, `{"elicitation":{}}`},
		"a form of a client for URLs":        {"form", `{"elicitation":{"url":{}}}`, `{"elicitation":{"form":{}}}`},
		"a URL without elicitation":          {"url", `{"sampling":{},"roots":{}}`, `{"elicitation":{"url":{}}}`},
		"a URL of a client for forms":        {"url", `{"elicitation":{}}`, `{"elicitation":{"url":{}}}`},
		"a URL of a client that says so":     {"url", `{"elicitation":{"form":{}}}`, `{"elicitation":{"url":{}}}`},
		"sampling without it":                {"sampling", `{"elicitation":{}}`, `{"sampling":{}}`},
		"roots without them":                 {"roots", `{"elicitation":{},"sampling":{}}`, `{"roots":{}}`},
		"roots that are no object":           {"roots", `{"roots":true}`, `{"roots":{}}`},
		"capabilities that cannot be read":   {"form", `{"elicitation":1e999}`, `{"elicitation":{}}`},
		"a form, with one of another's case": {"form", `{"Elicitation":{}}`, `{"elicitation":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.send(inRounds("1", test.ask, test.capabilities, ""))
			got.refused(t, http.StatusBadRequest, wire.CodeMissingCapability, "has not said that it can be")
			if data := member(got.body, "error", "data", "requiredCapabilities"); data != test.missing {
				t.Errorf("required are %s, want %s", data, test.missing)
			}
		})
	}
}
