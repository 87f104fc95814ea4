package spec

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const tellsAll = `variable "token" { default = "s3cret" }
variable "level" { default = "info" }
locals {
  auth  = "Bearer ${local.inner}"
  inner = upper(var.token)
  loose = var.token
  other = "plain"
}
group "g" {
  egress = "none"
  app "web" {
    image = "web:1"
    env   = { TOKEN = local.auth, LEVEL = var.level, "LOOSE" = local.loose }
    args  = ["--x", "s3cret"]
    file "/etc//t" {
      content = <<-EOT
        token s3cret
      EOT
      mode    = "0600"
    }
  }
  app "other" {
    image = "web:1"
    env   = { TOKEN = local.other }
  }
}
`

func TestMasked(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts []string
		want  string
	}{
		{"nothing", nil, tellsAll},
		{"what is not there", []string{"var.none", "h.web.args", "g.web.env.NONE"}, tellsAll},
		{"a variable", []string{"var.token"}, replaced(tellsAll, `variable "token" { default = "s3cret" }`, `variable "token" { default = HIDDEN }`)},
		{"what goes into a part", []string{"g.web.env.TOKEN"}, replaced(
			tellsAll, `variable "token" { default = "s3cret" }`, `variable "token" { default = HIDDEN }`, `"Bearer ${local.inner}"`, `HIDDEN`)},
		{"references alone", []string{"g.web.env.LOOSE"}, replaced(tellsAll, `variable "token" { default = "s3cret" }`, `variable "token" { default = HIDDEN }`)},
		{"a list", []string{"g.web.args"}, replaced(tellsAll, `["--x", "s3cret"]`, `HIDDEN`)},
		{"a file", []string{"g.web.file./etc/t"}, replaced(tellsAll, "<<-EOT\n        token s3cret\n      EOT", `HIDDEN`)},
		{"an element of what the other text has whole", []string{"g.web.args.X"}, replaced(tellsAll, `["--x", "s3cret"]`, `HIDDEN`)},
		{"a whole map, of which the other text has elements", []string{"g.other.env"}, replaced(tellsAll, `"plain"`, `HIDDEN`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parts := map[string]bool{}
			for _, p := range tt.parts {
				parts[p] = true
			}
			got, ok := Masked([]byte(tellsAll), parts, "HIDDEN")
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || !ok {
				t.Errorf("%t (-want +got):\n%s", ok, diff)
			}
		})
	}
	typed := "variable \"v\" {\n  type = object({ a = optional(string, \"s3cret\") })\n}\n"
	if got, _ := Masked([]byte(typed), map[string]bool{"var.v": true}, "HIDDEN"); string(got) != "variable \"v\" {\n  type = HIDDEN\n}\n" {
		t.Errorf("the default of an attribute in a type:\n%s", got)
	}
	if _, ok := Masked([]byte("group {"), nil, "HIDDEN"); ok {
		t.Error("a text that can't be read is masked")
	}
}

// A part has the same name in a text with for_each or "name" and in one without.
func TestMaskedByExpandedNames(t *testing.T) {
	group := func(head, container string) string {
		return "group " + head + "\n  egress = \"none\"\n  app " + container + "\n    image = \"web:1\"\n  }\n}\n"
	}
	const (
		env      = "\n    env = { TOKEN = \"s3cret\" }"
		fromVar  = "\n    env = { TOKEN = var.token }"
		each     = "\n    for_each = [\"a\"]"
		aFile    = "\n    file \"/etc/web.d/a.conf\" { content = \"s3cret\" }"
		files    = "\n    file \"/etc/web.d\" {\n for_each = [\"a.conf\"]\n content = var.token\n }"
		climbing = "\n    file \"/etc/x\" {\n for_each = { \"../web.d/a.conf\" = 1 }\n content = var.token\n }"
		unnamed  = "\n    file {\n for_each = [\"/etc/web.d/a.conf\"]\n content = var.token\n }"
		declared = "variable \"token\" { sensitive = true }\n"
	)
	for _, tt := range []struct {
		name, sensitive, text string
		shown                 bool
	}{
		{"a container of for_each", group(`"g" {`, `"web" {`+each+fromVar), group(`"g" {`, `"web-a" {`+env), false},
		{"one that became a copy", group(`"g" {`, `"web-a" {`+fromVar), group(`"g" {`, `"web" {`+each+env), false},
		{"one without a label", group(`"g" {`, `{`+each+fromVar), group(`"g" {`, `"a" {`+env), false},
		{"another container", group(`"g" {`, `"web" {`+each+fromVar), group(`"g" {`, `"web" {`+env), true},
		{"a group with a name", group("{\n name = \"g\"", `"web" {`+fromVar), group(`"g" {`, `"web" {`+env), false},
		{"one that got a name", group(`"g" {`, `"web" {`+fromVar), group("{\n name = \"g\"", `"web" {`+env), false},
		{"a group of for_each", group("\"g\" {\n for_each = [\"a\"]", `"web" {`+fromVar), group(`"g-a" {`, `"web" {`+env), false},
		{"another group", group("\"g\" {\n for_each = [\"a\"]", `"web" {`+fromVar), group(`"h-a" {`, `"web" {`+env), true},
		{"a file of for_each", group(`"g" {`, `"web" {`+files), group(`"g" {`, `"web" {`+aFile), false},
		{"one that became a file of for_each", group(`"g" {`, `"web" {`+aFile), group(`"g" {`, `"web" {`+files), false},
		{"a file of for_each in another folder", group(`"g" {`, `"web" {`+strings.ReplaceAll(files, "web.d", "web")), group(`"g" {`, `"web" {`+aFile), true},
		{"a key that leads out of the folder", group(`"g" {`, `"web" {`+climbing), group(`"g" {`, `"web" {`+aFile), false},
		{"a file without a label", group(`"g" {`, `"web" {`+unnamed), group(`"g" {`, `"web" {`+aFile), false},
		{"a file of another container", group(`"g" {`, `"web" {`+unnamed), group(`"g" {`, `"log" {`+aFile), true},
		{"the value of for_each", group(`"g" {`, `"web-a" {`+fromVar), group(`"g" {`, `"web" {
    for_each = { a = "s3cret" }
    env = { TOKEN = each.value }`), false},
		{"a key of for_each", group(`"g" {`, `"web-s3cret" {`+fromVar), group(`"g" {`, `"web" {
    for_each = ["s3cret"]
    env = { TOKEN = each.key }`), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sensitive := strings.ReplaceAll(declared+tt.sensitive, `"s3cret"`, "var.token")
			text := strings.ReplaceAll(tt.text, "var.token", `"s3cret"`)
			got, ok := Masked([]byte(text), SensitiveParts([]byte(sensitive)), "HIDDEN")
			if !ok || strings.Contains(string(got), "s3cret") != tt.shown {
				t.Errorf("%t:\n%s\nwith\n%s", ok, got, sensitive)
			}
		})
	}
}

func TestSensitiveParts(t *testing.T) {
	text := replaced(tellsAll, `default = "s3cret" }`, "\n default = \"s3cret\"\n sensitive = true\n}", `var.level, `, `var.level, (var.level) = var.token, `)
	want := map[string]bool{"var.token": true, "g.web.env.TOKEN": true, "g.web.env.LOOSE": true, "g.web.env": true}
	if diff := cmp.Diff(want, SensitiveParts([]byte(text))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The values have the same.
	src := source("test.hcl", text)
	groups, diags := Parse(src)
	if len(groups) != 1 {
		t.Fatal(printed(t, src, diags))
	}
	parsed := map[string]bool{"var.token": true}
	for _, p := range groups[0].Sensitive {
		parsed["g."+p] = true
	}
	if diff := cmp.Diff(maps.Clone(parsed), SensitiveParts([]byte(text))); diff != "" {
		t.Errorf("the value has others (-value +text):\n%s", diff)
	}
	for text, want := range map[string]bool{"true": true, "(true)": true, "!false": true, "false": false, "(false)": false} {
		got := SensitiveParts([]byte("variable \"x\" { sensitive = " + text + " }"))["var.x"]
		if got != want {
			t.Errorf("sensitive = %s: %t", text, got)
		}
	}
}

// replaced returns the text with each old piece replaced by the new one that follows it.
func replaced(text string, pieces ...string) string {
	return strings.NewReplacer(pieces...).Replace(text)
}
