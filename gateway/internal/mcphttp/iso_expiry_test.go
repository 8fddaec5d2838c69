package mcphttp

import (
	"encoding/json"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/wire"
)

func TestAStateIsTooOldAfterItsTime(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/keys.json"
	if err := keyring.Create(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Load(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{cfg: Config{Ring: ring}}
	x := &exchange{principal: principalNumber(1), now: time.Now()}
	x.msg.Method, x.msg.Params = "tools/call", json.RawMessage(`{"name":"t"}`)
	result, f := h.rounds(x, json.RawMessage(`{"resultType":"input_required","requestState":"s","future":1e999}`))
	if f != nil {
		t.Fatal(f.message)
	}
	state, _ := wire.Member(result, "requestState")
	if future, _ := wire.Member(result, "future"); string(future) != "1e999" {
		t.Errorf("what is not known is %s now", future)
	}
	for _, test := range []struct {
		name  string
		after time.Duration
		ok    bool
	}{{"at once", 0, true}, {"before its time is over", stateLife - 2*time.Second, true}, {"when its time is over", stateLife, false}, {"long after", 24 * time.Hour, false}} {
		later := *x
		later.now = x.now.Add(test.after)
		plain, f := h.openState(&later, state)
		if (f == nil) != test.ok || f == nil && string(plain) != `"s"` || f != nil && f.code != wire.CodeInvalidParams {
			t.Errorf("%s: got %s, %+v", test.name, plain, f)
		}
	}
}
