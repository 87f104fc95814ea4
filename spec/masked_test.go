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
