package main

// documentedCommand is a command of a document, as it stands there.
type documentedCommand struct {
	command string
	// want is in what it prints. A command that serves is run until it prints it.
	want   string
	serves bool
	// left is why it is not run.
	left string
}

const (
	byOthers  = "TestABridgeWithoutABrowser runs it, with a person elsewhere"
	byCI      = "CI runs it, or runs in it, and it takes minutes"
	byEntra   = "internal/entra/clientauth runs it, and uses what it makes"
	elsewhere = "it is another company's program, from the network"
	measuring = "it measures for minutes; CI runs it shorter, with --gate"
	profiling = "it is for who wants to see the profiles again, and takes minutes"
)

// documentsNotRun are documents whose commands are not run here, and why.
var documentsNotRun = map[string]string{
	"ci-and-agents.md":    "internal/app runs it with the configuration that it shows",
	"entra-unverified.md": "it says how to ask a real tenant",
}

// documentedCommands are in the order of a newcomer's first day.
var documentedCommands = []documentedCommand{
	{command: "make", want: "make run"},
	{command: "make test", want: "0 failed"},
	{command: "make build", want: "mcp-gateway"},
	{command: "bin/mcp-gateway keys init /var/lib/mcp-gateway/keys.json", want: "keys.json"},

	{command: "make run", want: "any other client that starts a program", serves: true},
	{command: "bin/mcp-bridge help", want: "--token-store"},
	{command: "bin/mcp-bridge login http://localhost:8788/mcp", want: "signed in, renewed by itself"},
	{command: "bin/mcp-bridge status", want: "signed in, renewed by itself"},
	{command: "bin/mcp-gateway users list --config gateway.yaml", want: "Ada Admin"},
	{command: "bin/mcp-gateway clients list --config gateway.yaml", want: "mcp-bridge"},
	{command: "bin/mcp-gateway grants list --user ada@example.com --config gateway.yaml", want: "live"},
	{command: "bin/mcp-gateway grants revoke ID --config gateway.yaml", want: "1 grant ended"},
	{command: "bin/mcp-bridge logout http://localhost:8788/mcp", want: "Signed out of"},
	{command: "mcp-bridge logout URL --forget-client", want: "Signed out of"},
	{command: "bin/mcp-bridge logout https://mcp.example.com/mcp --forget-client", want: "Signed out of"},
	{command: "bin/mcp-gateway users disable ada@example.com --config gateway.yaml", want: "disabled"},
	{command: "curl -sS https://mcp.example.com/readyz", want: "ok\n"},
	{command: "curl -sS https://mcp.example.com/.well-known/oauth-protected-resource/mcp", want: `"authorization_servers"`},
	{command: "curl -sS -i -X POST https://mcp.example.com/mcp", want: "sign in first"},
	{command: "curl -sS -i -X OPTIONS -H 'Origin: https://tools.example.com' -H 'Access-Control-Request-Method: POST' https://mcp.example.com/mcp",
		want: `the origin \"https://tools.example.com\" is not allowed`},
	{command: `sqlite3 -readonly /var/lib/mcp-gateway/gateway.db "SELECT datetime(time/1000000,'unixepoch'), kind, outcome, reason, object, client, tool FROM events ORDER BY id DESC LIMIT 20"`,
		want: "|login|ok|"},

	{command: "mcp-gateway version", want: "mcp-gateway dev go"},
	{command: "bin/mcp-gateway check-config --config gateway.yaml", want: "tenant_id: example.com"},
	{command: "bin/mcp-gateway serve --config gateway.yaml", want: "gateway is up", serves: true},

	{command: "make run ARGS=--verbose", left: "make run is run; what --verbose shows is the log"},
	{command: "mcp-bridge login URL --paste", left: byOthers},
	{command: "mcp-bridge login URL --device", left: byOthers},
	{command: "openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=mcp-gateway -keyout key.pem -out certificate.pem", left: byEntra},
	{command: "cat certificate.pem key.pem > /etc/mcp-gateway/client.pem", left: byEntra},
	{command: "make check", left: byCI},
	{command: "make fuzz", left: byCI},
	{command: "make test PKG=./gateway/internal/token ARGS='-run Replay'", left: byCI},
	{command: "npm ci --prefix testdata/clients", left: ".ci/run runs it, and it needs the network"},
	{command: "make bench", left: measuring},
	{command: "make bench ARGS='--only server --rounds 9'", left: measuring},
	{command: "make bench ARGS='--gate --rounds 3'", left: measuring},
	{command: "make bench ARGS='--only server --rounds 1'", left: measuring},
	{command: "go test -bench", left: measuring},
	{command: "go test -c -o mcphttp.test ./gateway/internal/mcphttp", left: profiling},
	{command: "./mcphttp.test -test.run '^$' -test.bench '^BenchmarkCall$/^modern$' -test.benchtime 20000x -test.cpuprofile cpu.out", left: profiling},
	{command: "./mcphttp.test -test.run '^$' -test.bench '^BenchmarkCall$/^modern$' -test.benchtime 15000x -test.memprofile mem.out -test.memprofilerate 512", left: profiling},
	{command: "go tool pprof -top -cum mcphttp.test cpu.out", left: profiling},
	{command: "go tool pprof -top -cum -sample_index=alloc_objects mcphttp.test mem.out", left: profiling},
	{command: "npx @modelcontextprotocol/inspector", left: elsewhere},
	{command: "claude mcp add --transport http gateway http://localhost:8788/mcp", left: elsewhere},
}
