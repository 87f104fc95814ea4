package spec

import (
	"strings"

	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// yamlDecode returns the value of a YAML document. The type is that of the value. The decoder's own
// function finds the type first, and compares it with that of the value: for aliases of aliases,
// that takes time without end.
var yamlDecode = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.DynamicPseudoType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, err := yaml.Standard.Unmarshal([]byte(args[0].AsString()), cty.DynamicPseudoType)
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "not YAML: %s", err)
		}
		return v, nil
	},
})

// priceYAML counts the values, the digits, the keys that merges copy, and the brackets in brackets,
// which the scanner goes through at each word. What aliases stand for is counted with the result.
func priceYAML(m *meter, args []cty.Value) {
	text := args[0].AsString()
	depth, deepest := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	m.take(strings.Count(text, ":")+strings.Count(text, "- ")+strings.Count(text, ","), squared(longestDigits(text)))
	m.repeat(strings.Count(text, "<<")+deepest, len(text))
}
