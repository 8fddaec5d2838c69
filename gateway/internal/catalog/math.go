package catalog

import (
	"context"
	"encoding/json"
	"math/big"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// operation is one of the four ways to make a number of two.
type operation struct {
	name, title, description string
	// a and b describe the operands.
	a, b string
	// apply never gets b = 0 if byZero refuses that.
	apply  func(z, a, b *big.Rat) *big.Rat
	byZero string
}

var operations = []operation{
	{
		name: "math_add", title: "Add", description: "Adds two numbers exactly: a + b. Integers and decimals of any size keep every digit.",
		a: "First summand", b: "Second summand", apply: (*big.Rat).Add,
	},
	{
		name: "math_subtract", title: "Subtract", description: "Subtracts exactly: a - b. Integers and decimals of any size keep every digit.",
		a: "Number to subtract from", b: "Number to subtract", apply: (*big.Rat).Sub,
	},
	{
		name: "math_multiply", title: "Multiply", description: "Multiplies two numbers exactly: a * b. Integers and decimals of any size keep every digit.",
		a: "First factor", b: "Second factor", apply: (*big.Rat).Mul,
	},
	{
		name: "math_divide", title: "Divide", description: "Divides: a / b. Exact if the quotient has an end, " +
			"else rounded to 34 significant digits, and then says so. b must not be 0.",
		a: "Dividend", b: "Divisor, not 0", apply: (*big.Rat).Quo, byZero: "cannot divide by zero: b is 0",
	},
}

// mathTools are the operations as tools.
func mathTools() []server.ServerTool {
	tools := make([]server.ServerTool, len(operations))
	for i, op := range operations {
		tools[i] = server.ServerTool{
			Tool: mcp.Tool{
				Name: op.name, Title: op.title, Description: op.description,
				RawInputSchema: op.inputSchema(), RawOutputSchema: op.outputSchema(), Annotations: harmless(op.title),
			},
			Handler: op.handle,
		}
	}
	return tools
}

// harmless are the annotations of a tool that only answers.
func harmless(title string) mcp.ToolAnnotation {
	return mcp.ToolAnnotation{
		Title: title, ReadOnlyHint: new(true), DestructiveHint: new(false), IdempotentHint: new(true), OpenWorldHint: new(false),
	}
}

func (op operation) inputSchema() json.RawMessage {
	return json.RawMessage(`{"type":"object","properties":{` +
		`"a":{"type":"number","description":"` + op.a + `"},` +
		`"b":{"type":"number","description":"` + op.b + `"}},` +
		`"required":["a","b"],"additionalProperties":false}`)
}

func (op operation) outputSchema() json.RawMessage {
	rounded := ""
	if op.byZero != "" { // only a quotient can be without end
		rounded = `,"rounded":{"type":"boolean","description":"true if the result was rounded to 34 significant digits"}`
	}
	return json.RawMessage(`{"type":"object","properties":{"result":{"type":"number"}` + rounded + `},"required":["result"]}`)
}

func (op operation) handle(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	values, problems := parseArguments(rawArguments(req), "a", "b")
	operands := make(map[string]*big.Rat, len(values))
	for _, name := range []string{"a", "b"} {
		value, ok := values[name]
		if !ok {
			continue
		}
		number, problem := parseNumber(value)
		if problem != "" {
			problems = append(problems, name+" "+problem)
		}
		operands[name] = number
	}
	if len(problems) > 0 {
		return mcp.NewToolResultError(strings.Join(problems, "; ")), nil
	}
	if op.byZero != "" && operands["b"].Sign() == 0 {
		return mcp.NewToolResultError(op.byZero), nil
	}
	text, rounded := formatNumber(op.apply(new(big.Rat), operands["a"], operands["b"]))
	content := `{"result":` + text
	if rounded {
		content += `,"rounded":true`
	}
	return structured(text, json.RawMessage(content+`}`)), nil
}
