package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parseWith(t *testing.T, text string, vars map[string]string) Group {
	t.Helper()
	src := source("test.hcl", text)
	src.Vars = vars
	groups, diags := Parse(src)
	if len(groups) != 1 {
		t.Fatalf("refused:\n%s", printed(t, src, diags))
	}
	return groups[0]
}

// Where a value comes from is no part of what runs: "sensitive = true" restarts nothing.
func TestSensitiveIsNotInTheDigest(t *testing.T) {
	file := func(block string) string {
		return "variable \"v\" {\n" + block + "\n}\ngroup \"g\" {\n egress = \"none\"\n app \"a\" {\n image = \"x\"\n env = { V = var.v }\n }\n}\n"
	}
	plain := parseWith(t, file(`default = "x"`), nil)
	for name, g := range map[string]Group{
		"sensitive": parseWith(t, file("default = \"x\"\nsensitive = true"), nil),
		"given":     parseWith(t, file(""), map[string]string{"v": "x"}),
	} {
		if g.Digest != plain.Digest || g.Containers[0].Digest != plain.Containers[0].Digest {
			t.Errorf("%s: another digest", name)
		}
		if cmp.Equal(g.Variables, plain.Variables) {
			t.Errorf("%s: the variables are the same, and the test shows nothing", name)
		}
	}
}

func TestVariablesOfGroup(t *testing.T) {
	g := parseWith(t, `
variable "long" { default = "`+strings.Repeat("x", 300)+`" }
variable "direct" { type = number }
variable "by_local" { default = "<&>" }
variable "other" { default = 1 }
locals {
  outer = "${local.inner}!"
  inner = var.by_local
  other = var.other
}
group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env   = { A = var.direct, B = local.outer, C = var.long }
  }
}
`, map[string]string{"direct": "3"})
	want := []Variable{
		{Name: "by_local", Value: json.RawMessage(`"\u003c\u0026\u003e"`), Default: true},
		{Name: "direct", Value: json.RawMessage("3")},
		{Name: "long", Size: 302, Sum: "of the value", Default: true},
	}
	ignoreSum := func(vs []Variable) []Variable {
		vs = slices.Clone(vs)
		for i := range vs {
			if vs[i].Sum != "" {
				vs[i].Sum = "of the value"
			}
		}
		return vs
	}
	if diff := cmp.Diff(ignoreSum(want), ignoreSum(g.Variables)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	data, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var kept Group
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g.Variables, kept.Variables); diff != "" {
		t.Errorf("as JSON (-want +got):\n%s", diff)
	}
}

// A file whose locals all lead to all of its variables does not make a group large.
func TestVariablesAreBounded(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "variable \"v%04d\" { default = 1 }\n", i)
	}
	text.WriteString("locals {\n l0 = 1\n")
	for i := range 2000 {
		fmt.Fprintf(&text, " l%d = local.l%d + var.v%04d\n", i+1, i, i)
	}
	text.WriteString("}\nvariable \"z\" { \n default = \"x\"\n sensitive = true\n}\n")
	text.WriteString("group \"g\" {\n egress = \"none\"\n app \"a\" {\n image = \"x\"\n env = { A = local.l2000, Z = \"${local.l2000}${var.z}\" }\n }\n}\n")
	g := parseWith(t, text.String(), nil)
	if len(g.Variables) != maxVariables || g.Variables[0].Name != "v0000" {
		t.Errorf("%d variables, the first is %q", len(g.Variables), g.Variables[0].Name)
	}
	if diff := cmp.Diff([]string{"a.env.Z"}, g.Sensitive); diff != "" {
		t.Errorf("sensitive (-want +got):\n%s", diff)
	}
}

// Nothing of a sensitive value is in what is said about a file.
func TestMistakesHideSensitiveValues(t *testing.T) {
	for _, expr := range []string{
		`[for k in [var.s] : k]`, `{ A = [var.s] }`, `{ "${var.s}" = "x" }`, `{ for k in [var.s] : "${k} x" => "x" }`, `{ A = regex(var.s, "x") }`,
		`{ A = jsondecode(var.s) }`, `{ A = tonumber(var.s) }`, `{ A = format(var.s, 1) }`, `{ A = parseint(var.s, 10) }`, `{ A = { b = 1 }[var.s] }`,
		`{ A = base64decode(var.s) }`, `{ A = "${var.s}" + 1 }`, `{ A = element([], strlen(var.s)) }`, `merge({ A = ["x"] }, { B = [var.s] })`, `var.s`,
	} {
		src := source("test.hcl", "variable \"s\" {\n sensitive = true\n}\ngroup \"g\" {\n egress = \"none\"\n app \"a\" {\n image = \"x\"\n env = "+expr+"\n }\n}\n")
		src.Vars = map[string]string{"s": "s3cr[t %z"}
		groups, diags := Parse(src)
		if len(groups) > 0 {
			t.Errorf("%s is accepted", expr)
		}
		if text := printed(t, src, diags); strings.Contains(text, "s3cr") {
			t.Errorf("%s:\n%s", expr, text)
		}
	}
}
