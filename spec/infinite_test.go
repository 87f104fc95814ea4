package spec

import (
	"fmt"
	"strings"
	"testing"
)

// A number that is too large has one clear mistake, wherever it comes from and wherever it stands
// in a value. So have other texts that stand for more than can be held.
func TestNumbersWithoutEnd(t *testing.T) {
	bomb := "a: &a [1]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("%c: &%[1]c [%s*%[3]c]\n", 'b'+i, strings.Repeat(fmt.Sprintf("*%c,", 'a'+i), 9), 'a'+i)
	}
	for name, tt := range map[string]struct{ expr, want string }{
		"YAML":               {`yamldecode("1e999999999")`, "Number too large"},
		"YAML, divided":      {`[yamldecode("1e999999999"), 1 / 2]`, "Number too large"},
		"YAML inside":        {`yamldecode("a: [1, {b: 1e999999999}]")`, "Number too large"},
		"YAML infinity":      {`yamldecode("[.inf]")`, "Number too large"},
		"YAML no number":     {`yamldecode("[.nan]")`, "Invalid function argument"},
		"YAML far below":     {`[yamldecode("1e-999999999")]`, ""},
		"YAML in a text":     {`yamldecode("a: '1e999999999'")`, ""},
		"YAML aliases":       {fmt.Sprintf("yamldecode(%q)", bomb), "Too much to compute"},
		"YAML brackets":      {`yamldecode(join("", [for i in range(2000) : "["]))`, "Error in function call"},
		"JSON":               {`jsondecode("1e999999999")`, "Number too large"},
		"JSON inside":        {`jsondecode("{\"a\": [1e999999999]}")`, "Number too large"},
		"text":               {`tonumber("1e999999999")`, "Number too large"},
		"division":           {`1 / 0`, "Division by zero"},
		"division inside":    {`{ a = [1 / 0] }`, "Division by zero"},
		"a number in quotes": {`"1e999999999"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			src := source("x.hcl", "locals { x = "+tt.expr+" }\ngroup \"g\" {\n  egress = \"none\"\n  app \"a\" { image = \"x\" }\n}\n")
			_, diags := Parse(src)
			got := ""
			if len(diags) > 0 {
				got = diags[0].Summary
			}
			if len(diags) > 1 || got != tt.want {
				t.Errorf("%d mistakes: %s", len(diags), OneLine(diags))
			}
		})
	}
}
