package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVarsFromEnviron(t *testing.T) {
	got := VarsFromEnviron([]string{"PATH=/bin", "SALLYPORT_VAR_tag=1.2=3", "SALLYPORT_VAR_empty=", "SALLYPORT_VAR_=x", "SALLYPORT_VARS=x", "SALLYPORT_VAR_odd"})
	want := map[string]string{"tag": "1.2=3", "empty": "", "odd": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVariables(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"none", "", nil},
		{"sorted, each once", "variable \"b\" {}\nvariable \"a\" {}\nvariable \"b\" {}\nvariable {}\n", []string{"a", "b"}},
		{"before a syntax error", "variable \"a\" {}\ngroup \"g\" {", []string{"a"}},
		{"no HCL at all", "\x00", nil},
		{"too deep to parse", "variable \"a\" {}\nx = " + strings.Repeat("[", 100_000), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Variables([]byte(tt.text))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The values of variables of each type that are given as text. A container's environment shows
// them.
func TestGivenValues(t *testing.T) {
	tests := []struct{ name, decl, given, expr, want string }{
		{"string is taken as it is", "type = string", `"a ${b}`, "var.v", `"a ${b}`},
		{"string that looks like a number", "type = string", "007", "var.v", "007"},
		{"empty string", "type = string", "", "var.v", ""},
		{"no type and no default", "", "[1]", "var.v", "[1]"},
		{"no type, the default's", "default = 5", "7", "var.v + 1", "8"},
		{"no type, a list by default", "default = [\"a\"]", `["b", "c"]`, "join(\",\", var.v)", "b,c"},
		{"number", "type = number", "1.5", "var.v * 2", "3"},
		{"bool", "type = bool", "true", "var.v ? \"yes\" : \"no\"", "yes"},
		{"list", "type = list(string)", `["a", 2]`, "join(\",\", var.v)", "a,2"},
		{"map", "type = map(number)", `{ a = 1 }`, "var.v.a", "1"},
		{"object with a default", "type = object({ a = string, b = optional(string, \"bee\") })", `{ a = "ay" }`, "\"${var.v.a}${var.v.b}\"", "aybee"},
		{"any", "type = any", `{ a = [1, 2] }`, "length(var.v.a)", "2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := source("test.hcl", "variable \"v\" {\n"+tt.decl+"\n}\ngroup \"g\" {\n egress = \"none\"\n app \"a\" {\n image = \"x\"\n env = { V = "+tt.expr+" }\n }\n}\n")
			src.Vars = map[string]string{"v": tt.given}
			groups, diags := Parse(src)
			if len(groups) != 1 {
				t.Fatalf("refused:\n%s", printed(t, src, diags))
			}
			if got := groups[0].Containers[0].Env["V"]; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestGivenValuesThatExhaust(t *testing.T) {
	for _, given := range []string{"1e999999999", strings.Repeat("[", 5_000), strings.Repeat("-", 5_000)} {
		src := source("test.hcl", "variable \"v\" {\n type = any\n}\nvariable \"n\" {\n type = number\n}\n")
		src.Vars = map[string]string{"v": given, "n": given}
		if _, diags := Parse(src); len(diags) != 3 { // the third: no group
			t.Errorf("%.20s...: %v", given, diags)
		}
	}
}
