package wire_test

import (
	"encoding/json"
	"testing"

	"mcp-gateway/shared/wire"
)

func TestAppendSplicesBytes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		got  []byte
		want string
	}{
		"a result keeps id and payload": {
			got:  wire.AppendResult([]byte(">"), json.RawMessage("12345678901234567890"), json.RawMessage(`{ "n": 9007199254740993 }`)),
			want: `>{"jsonrpc":"2.0","id":12345678901234567890,"result":{ "n": 9007199254740993 }}`,
		},
		"an error has data only if there are some": {
			got:  wire.AppendError(nil, json.RawMessage(`"a"`), wire.CodeInvalidParams, "say \"x\"\n", nil),
			want: `{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"message":"say \"x\"\n"}}`,
		},
		"an error without id leaves it out": {
			got:  wire.AppendError(nil, nil, wire.CodeParse, "no", json.RawMessage(`[1]`)),
			want: `{"jsonrpc":"2.0","error":{"code":-32700,"message":"no","data":[1]}}`,
		},
		"a request without params has none": {
			got:  wire.AppendRequest(nil, json.RawMessage("1"), "ping", nil),
			want: `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		},
		"a request with params has them as they are": {
			got:  wire.AppendRequest(nil, json.RawMessage("1"), "a", json.RawMessage(`{"x": 1.0}`)),
			want: `{"jsonrpc":"2.0","id":1,"method":"a","params":{"x": 1.0}}`,
		},
		"a notification has no id": {
			got:  wire.AppendNotification(nil, "notifications/a", nil),
			want: `{"jsonrpc":"2.0","method":"notifications/a"}`,
		},
		"a notification has its params as they are": {
			got:  wire.AppendNotification([]byte("x"), "a\"b", json.RawMessage(`{"x": 1.0}`)),
			want: `x{"jsonrpc":"2.0","method":"a\"b","params":{"x": 1.0}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if string(test.got) != test.want {
				t.Errorf("got  %s\nwant %s", test.got, test.want)
			}
		})
	}
}
