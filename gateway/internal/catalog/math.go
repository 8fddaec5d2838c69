package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	// maxLiteral and maxExponent bound what a number may cost: 1e999999999
	// is a short literal and a gigabyte of digits.
	maxLiteral  = 1000
	maxExponent = 1000
	// quotientDigits is how many significant digits a quotient keeps that
	// has no finite decimal form (as IEEE 754 decimal128).
	quotientDigits = 34
)

const mathInput = `{"type":"object","properties":{` +
	`"a":{"type":"number","description":"The first number, of any size."},` +
	`"b":{"type":"number","description":"The second number, of any size."}},` +
	`"required":["a","b"],"additionalProperties":false}`

const mathOutput = `{"type":"object","properties":{` +
	`"result":{"type":"number","description":"The result, exact unless rounded is true."},` +
	`"rounded":{"type":"boolean","description":"True if the result has no finite decimal form and was rounded to 34 significant digits."}},` +
	`"required":["result"]}`

// errDivisionByZero is told to the model, which can then ask for another b.
var errDivisionByZero = errors.New("cannot divide by zero: b is 0")

// mathTools calculate exactly: numbers are read from the text of the message,
// never as floating point.
func mathTools() []server.ServerTool {
	infallible := func(op func(z, x, y *big.Rat) *big.Rat) operation {
		return func(a, b *big.Rat) (*big.Rat, error) { return op(new(big.Rat), a, b), nil }
	}
	return []server.ServerTool{
		mathTool("math_add", "Add", "Adds two numbers exactly: a + b.", infallible((*big.Rat).Add)),
		mathTool("math_subtract", "Subtract", "Subtracts two numbers exactly: a - b.", infallible((*big.Rat).Sub)),
		mathTool("math_multiply", "Multiply", "Multiplies two numbers exactly: a * b.", infallible((*big.Rat).Mul)),
		mathTool("math_divide", "Divide", "Divides two numbers: a / b. Exact if the result has a finite decimal form, otherwise rounded to 34 significant digits.",
			func(a, b *big.Rat) (*big.Rat, error) {
				if b.Sign() == 0 {
					return nil, errDivisionByZero
				}
				return new(big.Rat).Quo(a, b), nil
			}),
	}
}

type operation func(a, b *big.Rat) (*big.Rat, error)

func mathTool(name, title, description string, op operation) server.ServerTool {
	return tool(name, title, description, mathInput, mathOutput,
		func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			a, b, err := operands(Arguments(ctx))
			if err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			result, err := op(a, b)
			if err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			text, rounded := decimal(result)
			raw := `{"result":` + text + `}`
			if rounded {
				raw = `{"result":` + text + `,"rounded":true}`
			}
			return structured(json.RawMessage(raw), text), nil
		})
}

// operands reads a and b. What is wrong is said so that a model can mend it
// (SEP-1303: input errors are results, not protocol errors).
func operands(raw json.RawMessage) (a, b *big.Rat, err error) {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	var args map[string]json.RawMessage
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, nil, errors.New("arguments must be an object with the numbers a and b")
	}
	for name := range args {
		if name != "a" && name != "b" {
			return nil, nil, fmt.Errorf("there is no argument %q: the arguments are a and b", name)
		}
	}
	if a, err = operand(args, "a"); err != nil {
		return nil, nil, err
	}
	b, err = operand(args, "b")
	return a, b, err
}

func operand(args map[string]json.RawMessage, name string) (*big.Rat, error) {
	literal := string(args[name])
	if literal == "" {
		return nil, fmt.Errorf("the argument %s is missing", name)
	}
	if c := literal[0]; c != '-' && (c < '0' || c > '9') {
		return nil, fmt.Errorf("the argument %s must be a number", name)
	}
	if len(literal) > maxLiteral {
		return nil, fmt.Errorf("the argument %s has more than %d characters", name, maxLiteral)
	}
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		exponent, err := strconv.Atoi(literal[i+1:])
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return nil, fmt.Errorf("the exponent of %s is beyond %d", name, maxExponent)
		}
	}
	n, ok := new(big.Rat).SetString(literal)
	if !ok {
		return nil, fmt.Errorf("the argument %s must be a number", name)
	}
	return n, nil
}

// decimal writes a number as a JSON literal: in full if it has a finite
// decimal form, otherwise rounded to quotientDigits.
func decimal(r *big.Rat) (literal string, rounded bool) {
	if r.IsInt() {
		return r.Num().String(), false
	}
	if digits, finite := r.FloatPrec(); finite {
		return strings.TrimRight(r.FloatString(digits), "0"), false
	}
	// Enough bits that the rounding to decimal digits is the only one.
	f := new(big.Float).SetPrec(512).SetRat(r)
	return f.Text('g', quotientDigits), true
}
