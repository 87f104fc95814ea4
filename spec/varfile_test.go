package spec

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A file with variables gives a group file the same as --var would.
func TestVarFile(t *testing.T) {
	tests := []struct {
		name, file, text, decl string
		expr, want             string
	}{
		{"text", "a.tfvars", `v = "a \"b\" $${c}"`, "type = string", "var.v", `a "b" ${c}`},
		{"text over lines", "a.tfvars", "v = <<EOT\none\ntwo\nEOT\n", "type = string", "var.v", "one\ntwo\n"},
		{"text for a number", "a.tfvars", `v = "7"`, "type = number", "var.v + 1", "8"},
		{"number for a text", "a.tfvars", `v = 7`, "type = string", "var.v", "7"},
		{"number", "a.tfvars", `v = 1.5`, "type = number", "var.v * 2", "3"},
		{"bool", "a.tfvars", `v = true`, "type = bool", "var.v ? \"yes\" : \"no\"", "yes"},
		{"list", "a.tfvars", `v = ["a", 2]`, "type = list(string)", "join(\",\", var.v)", "a,2"},
		{"object with a default", "a.tfvars", `v = { a = "ay" }`, "type = object({ a = string, b = optional(string, \"bee\") })", "\"${var.v.a}${var.v.b}\"", "aybee"},
		{"null inside", "a.tfvars", `v = { a = null }`, "type = object({ a = optional(string, \"ay\") })", "var.v.a", "ay"},
		{"text for any", "a.tfvars", `v = "[1]"`, "type = any", "var.v", "[1]"},
		{"no type and no default", "a.tfvars", `v = "[1]"`, "", "var.v", "[1]"},
		{"the type of the default", "a.tfvars", `v = ["b", "c"]`, "default = [\"a\"]", "join(\",\", var.v)", "b,c"},
		{"computed", "a.tfvars", `v = [for s in ["a", "b"] : "${s}!"]`, "type = list(string)", "join(\",\", var.v)", "a!,b!"},
		{"JSON is no template", "a.json", `{"v": "${a} \u00e9"}`, "type = string", "var.v", "${a} é"},
		{"JSON list", "a.json", `{"v": ["${a}", 2, true]}`, "type = list(string)", "join(\",\", var.v)", "${a},2,true"},
		{"JSON object", "a.json", `{"v": {"x": 1}}`, "type = map(number)", "var.v.x", "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vars, diags := ParseVarFile(tt.file, []byte(tt.text), nil)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			src := source("test.hcl", "variable \"v\" {\n"+tt.decl+"\n}\ngroup \"g\" {\n egress = \"none\"\n app \"a\" {\n image = \"x\"\n env = { V = "+tt.expr+" }\n }\n}\n")
			if src.Vars, diags = vars.Texts(src.Bytes, nil); diags.HasErrors() {
				t.Fatal(diags)
			}
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

// Every mistake has its place, and none has a value or a line of the file.
func TestVarFileMistakes(t *testing.T) {
	tests := []struct{ name, file, text, want string }{
		{"wrong type", "a.tfvars", "\nn = \"hunter2\"", "a.tfvars:2:1: Wrong value for a variable: The value for \"n\" is not of the type number: a number is required."},
		{"wrong type in JSON", "a.json", "{\n  \"n\": \"hunter2\"}", "a.json:2:3: Wrong value for a variable: The value for \"n\" is not of the type number: a number is required."},
		{"list for a text", "a.tfvars", `s = ["hunter2"]`, "a.tfvars:1:1: Wrong value for a variable: The value for \"s\" is not of the type string: string required, but have tuple."},
		{"wrong element", "a.tfvars", `l = ["hunter2"]`, "a.tfvars:1:1: Wrong value for a variable: The value for \"l\" is not of the type list(number): a number is required."},
		{"null", "a.tfvars", "s = null", "a.tfvars:1:1: No value: null is no value for \"s\". Leave the line out, and the variable has its default."},
		{"unknown", "a.tfvars", "s = \"x\"\nnn = \"hunter2\"", "a.tfvars:2:1: Value for an unknown variable: No group file here declares the variable \"nn\". Did you mean \"n\"?"},
		{"quite unknown", "a.tfvars", "other = \"hunter2\"", "a.tfvars:1:1: Value for an unknown variable: No group file here declares the variable \"other\". Declared here: l, n, s."},
		{"twice", "a.tfvars", "s = \"hunter2\"\ns = \"hunter2\"", "a.tfvars:2:1: Duplicate s: There is already a value for \"s\" here, on line 1. Keep one of the two."},
		{"a block", "a.tfvars", "s {\n}", "a.tfvars:1:1: Unexpected \"s\" block: Blocks are not allowed here."},
		{"a reference", "a.tfvars", "s = hunter2", "a.tfvars:1:5: Variables not allowed: Variables may not be used here."},
		{"a key that is not there", "a.tfvars", "s = {a = 1}.hunter2", ""},
		{"a key twice in JSON", "a.json", `{"s": {"hunter2": 1, "hunter2": 2}}`, ""},
		{"a function", "a.tfvars", "s = upper(\"hunter2\")", "a.tfvars:1:5: Function calls not allowed: Functions may not be called here."},
		{"no HCL", "a.tfvars", "s = \"hunter2", "a.tfvars:1:13: Unterminated template string: No closing marker was found for the string."},
		{"no JSON", "a.json", "{\"s\": hunter2}", "a.json:1:7: Invalid JSON keyword: A file with variables in JSON is one object: { \"name\": \"value\" }."},
		{"JSON in HCL", "a.tfvars", "{\"s\": \"hunter2\"}", "a.tfvars:1:1: Argument or block definition required: An argument or block definition is required here."},
		{"a JSON text", "a.json", `"hunter2"`, "a.json:1:1: Root value must be object: A file with variables in JSON is one object: { \"name\": \"value\" }."},
		{"empty JSON", "a.json", "", "a.json:1:1: Missing value: A file with variables in JSON is one object: { \"name\": \"value\" }."},
		{"not UTF-8", "a.tfvars", "s = \"\xff\"", "a.tfvars:1:6: Invalid character encoding: All input files must be UTF-8 encoded. Ensure that UTF-8 encoding is selected in your editor."},
		{"zero bytes", "a.tfvars", "s = \x00", "a.tfvars:1:5: Invalid character: This character is not used within the language."},
		{"too long", "a.tfvars", "s = \"" + strings.Repeat("x", MaxGroupFile) + "\"", "a.tfvars:1:1: This file can't be read: A file with variables is at most 256 KiB long."},
		{"too deep", "a.json", `{"s": ` + strings.Repeat("[", 5_000), "a.json:1:70: This file can't be read: Brackets are nested more than 64 deep here."},
		{"too long a number", "a.json", `{"s": "${", "n": 1e99999999}`, "a.json:1:13: Number too long: A number in the value of \"n\" has more digits than anything in a group file can use."},
		{"too much", "a.tfvars", "s = [" + strings.Repeat("for a in [1,2,3,4,5,6,7,8,9] : [", 9) + "1" + strings.Repeat("]", 10), ""},
	}
	group := []byte("variable \"s\" {\n type = string\n}\nvariable \"n\" {\n type = number\n}\nvariable \"l\" {\n type = list(number)\n}\n")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vars, diags := ParseVarFile(tt.file, []byte(tt.text), nil)
			if !diags.HasErrors() {
				diags = vars.Unknown(Variables(group))
			}
			if !diags.HasErrors() {
				_, diags = vars.Texts(group, nil)
			}
			got := OneLine(diags)
			if tt.want != "" && got != tt.want || !diags.HasErrors() || len(diags) != 1 {
				t.Errorf("(-want +got)\n%s", cmp.Diff(tt.want, fmt.Sprint(got)))
			}
			if strings.Contains(diags.Error()+got, "hunter2") {
				t.Errorf("a value is in %v", diags)
			}
		})
	}
}

// A caller who has waited for long enough ends the evaluation.
func TestVarFileStops(t *testing.T) {
	stop := func() error { return errors.New("enough") }
	text := "s = [for a in [" + strings.Repeat("1,", 2_000) + "1] : a]"
	if _, diags := ParseVarFile("a.tfvars", []byte(text), stop); !strings.Contains(diags.Error(), "enough") {
		t.Errorf("got %v", diags)
	}
}
