package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const template = `group "report" {
  egress = "none"
  update { auto_revert = true }
  sidecar "cache" { image = "cache:1" }
  app "work" {
    image = "work:1"
    args  = ["a"]
    env   = { KEEP = "1", BOTH = "file" }
    mount "scratch" { path = "/scratch" }
    file "/etc/work" { content = "file" }
  }
  volume "scratch" {}
}
`

func asRun(t *testing.T, text string, c RunChange) (Group, string) {
	t.Helper()
	src := source("report.hcl", text)
	groups, diags := Parse(src)
	if diags.HasErrors() {
		t.Fatal(printed(t, src, diags))
	}
	before := digests(groups[0])
	g, diags := AsRun(src, groups, c)
	groups[0].seal()
	if diff := cmp.Diff(before, digests(groups[0])); diff != "" {
		t.Errorf("the template was changed (-want +got):\n%s", diff)
	}
	return g, printed(t, src, diags)
}

func TestAsRun(t *testing.T) {
	g, mistakes := asRun(t, template, RunChange{
		Name: "report-abcdefgh", Args: []string{"b", "c"}, Env: map[string]string{"BOTH": "run", "NEW": "x"},
		Files: map[string][]byte{"/etc/work": []byte("run"), "/data/in": []byte("in")},
	})
	if mistakes != "" {
		t.Fatal(mistakes)
	}
	app := g.Container("work")
	want := Container{
		Name: "work", Role: App, Image: "work:1", Args: []string{"b", "c"}, Env: map[string]string{"KEEP": "1", "BOTH": "run", "NEW": "x"},
		Mounts: []Mount{{Volume: "scratch", Path: "/scratch"}}, Files: []File{{Path: "/data/in", Content: []byte("in")}, {Path: "/etc/work", Content: []byte("run")}},
		Restart: Restart{Policy: RestartNever}, Output: Output{Split: true},
		Resources: app.Resources, Stop: app.Stop, Digest: app.Digest,
	}
	if diff := cmp.Diff(want, *app); diff != "" {
		t.Errorf("the app (-want +got):\n%s", diff)
	}
	plain, _ := asRun(t, template, RunChange{Name: "report-abcdefgh"})
	switch {
	case g.Name != "report-abcdefgh" || g.Update != Update{} || g.Container("cache").Restart.Policy != RestartAlways:
		t.Errorf("the run is %+v", g)
	case app.Digest == plain.Container("work").Digest || g.Container("cache").Digest != plain.Container("cache").Digest:
		t.Error("a change of the app did not change its digest alone")
	case cmp.Diff([]string{"a"}, plain.Container("work").Args) != "":
		t.Errorf("nil args are %q", plain.Container("work").Args)
	}
	again := g
	again.seal()
	if again.Digest != g.Digest {
		t.Error("its digest is not over what it has")
	}
}

func TestAsRunKeepsOnFailure(t *testing.T) {
	g, _ := asRun(t, strings.Replace(template, `image = "work:1"`, "image = \"work:1\"\n    restart { policy = \"on-failure\" }", 1), RunChange{Name: "r-1"})
	if got := g.Container("work").Restart.Policy; got != RestartOnFailure {
		t.Errorf("the policy is %s", got)
	}
}

func TestAsRunRefuses(t *testing.T) {
	two := template + "group \"other\" {\n  egress = \"none\"\n  app \"a\" { image = \"x\" }\n}\n"
	for _, tt := range []struct {
		name, text string
		c          RunChange
		want       string // in the diagnostic
		line       string // of the file, or "" for what has no place in it
	}{
		{"several groups", two, RunChange{}, "Choose it: --group NAME", "report.hcl:1"},
		{"an unknown group", two, RunChange{Group: "othr"}, `Did you mean "other"?`, "report.hcl:1"},
		{"a persistent volume", strings.Replace(template, `volume "scratch" {}`, "volume \"scratch\" {\n    persistent = true\n  }", 1), RunChange{}, "is persistent", "report.hcl:12"},
		{"two apps", "group \"g\" {\n  egress = \"none\"\n  app \"a\" { image = \"x\" }\n  app \"b\" { image = \"x\" }\n}\n", RunChange{}, "Make \"b\" a sidecar", "report.hcl:4"},
		{"a name of no variable", template, RunChange{Env: map[string]string{"A=B": "1"}}, "can't name an environment variable", ""},
		{"a NUL in a variable", template, RunChange{Env: map[string]string{"A": "\x00"}}, "NUL", ""},
		{"a relative path", template, RunChange{Files: map[string][]byte{"in": nil}}, "does not begin with a slash", ""},
		{"a file of the kernel", template, RunChange{Files: map[string][]byte{"/proc/x": nil}}, "is the kernel's", ""},
		{"a mount at the file", template, RunChange{Files: map[string][]byte{"/scratch": nil}}, "placed at \"/scratch\" already, on line 5", ""},
		{"a large file", template, RunChange{Files: map[string][]byte{"/in": make([]byte, MaxPlacedFile+1)}}, "at most 1024 KiB", ""},
		{"a file below one", template, RunChange{Files: map[string][]byte{"/etc/work/in": nil}}, "nothing can be below it", ""},
		{"a long name", template, RunChange{Name: strings.Repeat("a", 41)}, "41 characters", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.c.Name == "" {
				tt.c.Name = "report-abcdefgh"
			}
			_, mistakes := asRun(t, tt.text, tt.c)
			if !strings.Contains(strings.Join(strings.Fields(mistakes), " "), tt.want) || !strings.Contains(mistakes, tt.line) || strings.Count(mistakes, "Error") > 1 {
				t.Errorf("mistakes:\n%s", mistakes)
			}
			if tt.line == "" && strings.Contains(mistakes, "report.hcl") {
				t.Errorf("it has a place:\n%s", mistakes)
			}
		})
	}
}
