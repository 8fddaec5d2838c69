package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"mcp-gateway/shared/wire"
)

// parseArguments splits the arguments of a tool that takes exactly the names.
// Every problem is named, so that a model can put all of them right at once
// (SEP-1303: input errors are tool errors, not protocol errors).
func parseArguments(raw json.RawMessage, names ...string) (values map[string]json.RawMessage, problems []string) {
	values = make(map[string]json.RawMessage, len(names))
	for name, value := range wire.Members(raw) {
		if !slices.Contains(names, name) {
			problems = append(problems, fmt.Sprintf("there is no argument %.60q; %s", name, takes(names)))
			continue
		}
		values[name] = value
	}
	for _, name := range names {
		if _, ok := values[name]; !ok {
			problems = append(problems, name+" is missing")
		}
	}
	return values, problems
}

func takes(names []string) string {
	if len(names) == 0 {
		return "the tool takes none"
	}
	return "the tool takes " + strings.Join(names, " and ")
}

// jsonType names the type of a JSON value as JSON Schema does.
func jsonType(value json.RawMessage) string {
	switch value[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}
