package keeper_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// secretFile is a group with a sensitive variable. Its default and the values that are given begin
// with s3cret.
const secretFile = `
variable "tag" { default = "1" }
variable "token" {
  default   = "s3cret-default"
  sensitive = true
}
group "vault" {
  egress = "none"
  app "web" {
    image = "registry.example/web:${var.tag}"
    env   = { TOKEN = "t-${var.token}", LEVEL = "info" }
    file "/etc/motd" { content = "one\ntwo\n" }
    file "/etc/key" { source = "key" }
  }
}
`

// applyWith applies the file with variables, which came from the command line and the environment.
func (h *harness) applyWith(text, key string, vars map[string]string) {
	h.t.Helper()
	b := group.Bundle{Name: "vault.hcl", Path: "/home/op/vault.hcl", HCL: []byte(text), Vars: vars, Files: map[string][]byte{"/home/op/key": []byte(key)}, From: map[string]string{}}
	for name := range vars {
		b.From[name] = map[string]string{"tag": group.FromFlag, "token": group.FromEnvironment}[name]
	}
	if err := h.keeper.Apply(context.Background(), []group.Bundle{b}, nil); err != nil {
		h.t.Fatal(err)
	}
	h.wait(proof)
}

// recorded returns what the history has of the vault's generations.
func (h *harness) recorded() (lines []string) {
	h.t.Helper()
	all, err := h.keeper.History(context.Background(), "vault")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, g := range all {
		line := fmt.Sprintf("%d: ", g.Number)
		if g.Differs == nil {
			line += "?"
		}
		for _, c := range g.Differs {
			line += c.String() + "; "
		}
		if g.Values == nil {
			line += " ?"
		}
		for _, v := range g.Values {
			line += fmt.Sprintf(" %s=%s (%s)", v.Name, diff.VariableText(v.Variable), v.From)
		}
		lines = append(lines, line)
	}
	return lines
}

func (h *harness) checkRecorded(when string, want ...string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.recorded()); diff != "" {
		h.t.Errorf("%s: recorded (-want +got):\n%s", when, diff)
	}
}

func TestHistoryRecordsWhatDiffers(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(secretFile, "k", nil)
		h.applyWith(secretFile, "k", map[string]string{"tag": "2", "token": "s3cret-2"})
		h.applyWith(edited(secretFile, "info", "debug", `one\n`, `1\n`), "k2", map[string]string{"tag": "2", "token": "s3cret-2"})
		h.write("vault.hcl", edited(secretFile, `"info"`, `"hand"`)) // the variables stay those of the apply
		h.wait(proof)
		want := []string{
			`4: web: env.LEVEL: "debug" -> "hand"; web: file /etc/motd: content differs (1 line);  tag="2" (--var) token=(sensitive) (environment)`,
			`3: web: env.LEVEL: "info" -> "debug"; web: file /etc/key: content differs (1 line); web: file /etc/motd: content differs (1 line);  tag="2" (--var) token=(sensitive) (environment)`,
			`2: web: image: "registry.example/web:1" -> "registry.example/web:2"; web: env.TOKEN: (sensitive) -> (sensitive); var.tag: "1" -> "2";  tag="2" (--var) token=(sensitive) (environment)`,
			`1: ? tag="1" (default) token=(sensitive) (default)`,
		}
		h.checkRecorded("at once", want...)
		h.nextKeeper()
		h.checkRecorded("with the next daemon", want...)

		// A variable that changes nothing of the group makes no generation. Its value is recorded.
		loose := edited(secretFile, `"registry.example/web:${var.tag}"`, `var.tag == "" ? "x" : "registry.example/web:2"`)
		h.applyWith(loose, "k", map[string]string{"tag": "3", "token": "s3cret-2"})
		h.applyWith(loose, "k", map[string]string{"tag": "4", "token": "s3cret-2"})
		if got := h.recorded(); len(got) != 5 || !strings.HasSuffix(got[0], ` tag="4" (--var) token=(sensitive) (environment)`) || !strings.HasPrefix(got[0], "5: web: env.LEVEL") {
			t.Errorf("recorded %q", got)
		}
	})
}

// What the history has on disk is without the values of sensitive variables.
func TestHistoryHasNoSecretOnDisk(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(secretFile, "k", nil)
		h.applyWith(secretFile, "k", map[string]string{"token": "s3cret-2"})
		path := filepath.Join(h.layout.StateDir, "history", "vault.json")
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "env.TOKEN") || strings.Contains(string(text), "s3cret") {
			t.Errorf("%v\n%s", err, text)
		}
		// The control: what is wanted has them, and root alone can read it.
		found := false
		_ = filepath.WalkDir(h.layout.StateDir, func(path string, e fs.DirEntry, err error) error {
			text, _ := os.ReadFile(path)
			if info, err := os.Stat(path); err == nil && strings.Contains(string(text), "s3cret") {
				found = true
				if info.Mode().Perm() != 0o600 {
					t.Errorf("%s has a secret, and its mode is %s", path, info.Mode())
				}
			}
			return err
		})
		if !found {
			t.Error("no file has the secret, so this test shows nothing")
		}
	})
}

// The history of an older daemon has no values, and the next generation has.
func TestHistoryOfAnOlderDaemon(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(secretFile, "k", nil)
		h.applyWith(secretFile, "k", map[string]string{"tag": "2"})
		h.end()
		h.each([]string{"history", "wanted", "generations"}, func(object map[string]any) {
			delete(object, "differs")
			delete(object, "values")
			delete(object, "variables")
			delete(object, "sensitive")
			delete(object, "from")
		})
		h.begin()
		h.checkRecorded("after the upgrade", "2: ? ?", "1: ? ?")
		if got := h.status("vault").Generation; got != 2 {
			t.Errorf("the upgrade made generation %d", got)
		}
		h.applyWith(secretFile, "k", map[string]string{"tag": "3"})
		h.checkRecorded("after the next apply",
			`3: web: image: "registry.example/web:2" -> "registry.example/web:3";  tag="3" (--var) token=(sensitive) (default)`, "2: ? ?", "1: ? ?")
	})
}

// each calls edit for each object in the JSON files of folders of the state, and writes them again.
func (h *harness) each(folders []string, edit func(object map[string]any)) {
	h.t.Helper()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			edit(v)
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(h.layout.StateDir, folder, "*.json"))
		if err != nil || len(paths) == 0 {
			h.t.Fatalf("%s: %v, %v", folder, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				h.t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal(text, &v); err != nil {
				h.t.Fatal(err)
			}
			walk(v)
			text, err = json.Marshal(v)
			if err := errors.Join(err, os.WriteFile(path, text, 0o600)); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// A value that became sensitive is hidden in what was recorded before.
func TestWhatBecameSensitiveIsHidden(t *testing.T) {
	plain := edited(secretFile, "  sensitive = true\n", "")
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(plain, "k", nil)
		h.applyWith(plain, "k", map[string]string{"token": "s3cret-2"})
		if got := strings.Join(h.recorded(), "\n"); !strings.Contains(got, `web: env.TOKEN: "t-s3cret-default" -> "t-s3cret-2"`) || !strings.Contains(got, `token="s3cret-2"`) {
			t.Errorf("the control is not shown:\n%s", got)
		}
		h.applyWith(secretFile, "k", map[string]string{"token": "s3cret-2"})
		h.checkRecorded("with sensitive = true",
			`2: web: env.TOKEN: (sensitive) -> (sensitive); var.token: (sensitive) -> (sensitive);  tag="1" (default) token=(sensitive) (environment)`,
			`1: ? tag="1" (default) token=(sensitive) (default)`)
		c, err := h.keeper.Compare(context.Background(), "vault", 1, 2)
		text, _ := json.Marshal(c)
		if err != nil || strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), "env.TOKEN") {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

func TestCompare(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(secretFile, "k\n", nil)
		if _, err := h.keeper.Compare(context.Background(), "vault", 0, 0); err == nil || hint.Text(err) != "group vault has no generation before 1 to compare it with" {
			t.Errorf("one generation: %v", err)
		}
		h.applyWith(edited(secretFile, "info", "debug"), "k\nx\n", map[string]string{"token": "s3cret-2"})
		h.applyWith(edited(secretFile, "info", "debug", `"t-${var.token}"`, `"s3cret-literal"`, "s3cret-default", "s3cret-3"), "\x00", map[string]string{"tag": "3"})
		got, err := h.keeper.Compare(context.Background(), "vault", 0, 2)
		if err != nil {
			t.Fatal(err)
		}
		want := group.Comparison{
			Group: "vault", Before: 1, Now: 2,
			Differs: []diff.Change{
				{Container: "web", Attribute: "env.LEVEL", Kind: diff.Changed, Before: `"info"`, Now: `"debug"`},
				{Container: "web", Attribute: "env.TOKEN", Kind: diff.Changed, Before: diff.Hidden, Now: diff.Hidden, Sensitive: true},
				{Container: "web", Attribute: "file /etc/key.content", Kind: diff.Changed, Lines: 1},
			},
			Texts: []group.TextDiff{
				{Name: "vault.hcl", Diff: `--- generation 1: vault.hcl
+++ generation 2: vault.hcl
@@ -8,7 +8,7 @@
   egress = "none"
   app "web" {
     image = "registry.example/web:${var.tag}"
-    env   = { TOKEN = (sensitive), LEVEL = "info" }
+    env   = { TOKEN = (sensitive), LEVEL = "debug" }
     file "/etc/motd" { content = "one\ntwo\n" }
     file "/etc/key" { source = "key" }
   }
`},
				{Name: "/home/op/key", Diff: "--- generation 1: /home/op/key\n+++ generation 2: /home/op/key\n@@ -1,1 +1,2 @@\n k\n+x\n"},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		last, err := h.keeper.Compare(context.Background(), "vault", 0, 0)
		if err != nil || last.Before != 2 || last.Now != 3 {
			t.Errorf("the last two: %+v, %v", last, err)
		}
		text, _ := json.Marshal(last)
		if strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), "it is no text") || !strings.Contains(string(text), `env.TOKEN`) {
			t.Errorf("%s", text)
		}
		same, err := h.keeper.Compare(context.Background(), "vault", 2, 2)
		if diff := cmp.Diff(group.Comparison{Group: "vault", Before: 2, Now: 2, Differs: []diff.Change{}}, same); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		back, err := h.keeper.Compare(context.Background(), "vault", 3, 1)
		if err != nil || !slices.ContainsFunc(back.Differs, func(c diff.Change) bool { return c.String() == `var.tag: "3" -> "1"` }) {
			t.Errorf("the other way: %+v, %v", back.Differs, err)
		}
	})
}

// What is sensitive in one generation is hidden in the other, where a name is made by for_each or
// by "name". A file of the same value is hidden too.
func TestCompareHidesExpandedNames(t *testing.T) {
	const from = `
variable "token" {
  default   = "plain"
  sensitive = true
}
group {
  name   = "vault"
  egress = "none"
  app "web" {
    for_each = ["a"]
    image    = "registry.example/web"
    env      = { TOKEN = var.token }
    file "/etc/web.d" {
      for_each = ["key"]
      content  = var.token
    }
  }
}
`
	group := func(body string) string {
		return "group \"vault\" {\n egress = \"none\"\n app \"web-a\" {\n image = \"registry.example/web\"\n" + body + "\n }\n}\n"
	}
	for name, before := range map[string]string{
		"a value":               group(`env = { TOKEN = "s3cret" }`),
		"a file":                group(`file "/etc/web.d/key" { source = "key" }`),
		"a value from a file":   group(`env = { TOKEN = trimspace(file("key")) }`),
		"a file of environment": group(`env_file = ["key"]`),
	} {
		t.Run(name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.applyWith(before, "TOKEN=s3cret\n", nil)
				h.applyWith(from, "", nil)
				c, err := h.keeper.Compare(context.Background(), "vault", 1, 2)
				text, _ := json.Marshal(c)
				if err != nil || strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), "env.TOKEN") {
					t.Errorf("%v\n%s", err, text)
				}
			})
		})
	}
	withHarness(t, func(t *testing.T, h *harness) { // the control
		h.applyWith(group(`file "/etc/web.d/other" { source = "key" }`), "shown\n", nil)
		h.applyWith(edited(from, "web.d", "x.d"), "", nil)
		c, err := h.keeper.Compare(context.Background(), "vault", 1, 2)
		if text, _ := json.Marshal(c); err != nil || !strings.Contains(string(text), "shown") {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

func TestCompareRefuses(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		for i := range 8 {
			h.applyWith(secretFile, "k", map[string]string{"tag": fmt.Sprint(i)})
		}
		lost := filepath.Join(h.layout.StateDir, "generations", "vault.6.json")
		if err := os.WriteFile(lost, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, group string
			before, now int
			want, hint  string
			is          error
		}{
			{"an unknown group", "none", 1, 2, "no such group", "", group.ErrNoGroup},
			{"one that is not kept", "vault", 3, 8, "group vault: generation 3 is not kept: no such generation", `kept: 5, 6, 7, 8; "sallyport history vault" shows them`, group.ErrNoGeneration},
			{"a later one", "vault", 8, 12, "group vault: generation 12 is not kept: no such generation", `kept: 5, 6, 7, 8; "sallyport history vault" shows them`, group.ErrNoGeneration},
			{"the one before an unknown one", "vault", 0, 12, "group vault: generation 12 is not kept: no such generation", `kept: 5, 6, 7, 8; "sallyport history vault" shows them`, group.ErrNoGeneration},
			{"one whose definition is damaged", "vault", 6, 8, "generation 6 of group vault is lost", `"sallyport history vault" shows the others`, nil},
		} {
			_, err := h.keeper.Compare(context.Background(), tt.group, tt.before, tt.now)
			if err == nil || !strings.Contains(hint.Text(err), tt.want) || hint.Of(err) != tt.hint || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%s: %v, hint %q", tt.name, err, hint.Of(err))
			}
		}
		if err := h.keeper.Remove(context.Background(), "vault", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := h.keeper.Compare(context.Background(), "vault", 7, 8); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("a removed group: %v", err)
		}
	})
}

// Plan and rollback have the words of the history.
func TestPreviewAndRollbackShowWhatDiffers(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(secretFile, "k", nil)
		next := group.Bundle{
			Name: "vault.hcl", Path: "/home/op/vault.hcl", HCL: []byte(edited(secretFile, "info", "debug")), Files: map[string][]byte{"/home/op/key": []byte("k")},
			Vars: map[string]string{"tag": "2", "token": "s3cret-2"},
		}
		previews, err := h.keeper.Preview(context.Background(), []group.Bundle{next})
		if err != nil || len(previews) != 1 {
			t.Fatal(previews, err)
		}
		var got []string
		for _, c := range previews[0].Differs {
			got = append(got, c.String())
		}
		want := []string{
			`web: image: "registry.example/web:1" -> "registry.example/web:2"`, `web: env.LEVEL: "info" -> "debug"`, `web: env.TOKEN: (sensitive) -> (sensitive)`,
			`var.tag: "1" -> "2"`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("preview (-want +got):\n%s", diff)
		}
		if text, _ := json.Marshal(previews); strings.Contains(string(text), "s3cret") {
			t.Errorf("%s", text)
		}
		if again, err := h.keeper.Preview(context.Background(), []group.Bundle{{Name: "new.hcl", Path: "/home/op/new.hcl", HCL: []byte(job)}}); err != nil || again[0].Differs != nil {
			t.Errorf("a new group differs: %+v, %v", again, err)
		}
		if err := h.keeper.Apply(context.Background(), []group.Bundle{next}, nil); err != nil {
			t.Fatal(err)
		}
		h.wait(proof)
		var lines []string
		if err := h.keeper.Rollback(context.Background(), "vault", 1, func(line string) { lines = append(lines, line) }); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(lines, "\n")
		if !strings.Contains(text, `vault: differs web: env.LEVEL: "debug" -> "info"`) || !strings.Contains(text, "vault: differs web: env.TOKEN: (sensitive) -> (sensitive)") ||
			!strings.Contains(text, `vault: differs var.tag: "2" -> "1"`) || strings.Contains(text, "s3cret") {
			t.Errorf("rollback:\n%s", text)
		}
	})
}

// The file of a generation comes without the values of its sensitive variables.
func TestDefinitionHidesSensitiveValues(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(secretFile, "k", map[string]string{"tag": "2", "token": "s3cret-2"})
		d, err := h.keeper.Definition(context.Background(), "vault", 1)
		if diff := cmp.Diff(map[string]string{"tag": "2", "token": diff.Hidden}, d.Bundle.Vars); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if err := h.rollback("vault", 1); err != nil { // the daemon has them
			t.Error(err)
		}
	})
}

// A secret that was in a file of its own, or in a map as a whole, before it became a variable.
func TestWhatWasNoVariableIsHidden(t *testing.T) {
	before := edited(secretFile, `env   = { TOKEN = "t-${var.token}", LEVEL = "info" }`, `env   = merge({ TOKEN = "s3cret-literal" }, { LEVEL = "info" })`)
	after := edited(secretFile, `source = "key"`, `content = var.token`)
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(before, "s3cret-file", nil)
		h.applyWith(after, "none", map[string]string{"token": "s3cret-2"})
		c, err := h.keeper.Compare(context.Background(), "vault", 1, 2)
		text, _ := json.Marshal(c)
		if err != nil || strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), "it is sensitive in one of the generations") {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

// A variable that became sensitive, and that the group does not refer to any more.
func TestWhatIsUsedNoMoreIsHidden(t *testing.T) {
	plain := edited(secretFile, "  sensitive = true\n", "")
	withHarness(t, func(t *testing.T, h *harness) {
		h.applyWith(plain, "k", map[string]string{"token": "s3cret-1"})
		h.applyWith(plain, "k", map[string]string{"token": "s3cret-2"})
		h.applyWith(edited(secretFile, `TOKEN = "t-${var.token}", `, ""), "k", nil)
		for _, line := range h.recorded() {
			for _, part := range strings.Split(line, "; ") {
				if strings.Contains(part, "s3cret") && !strings.Contains(part, "env.TOKEN") { // the text of now does not have where it went
					t.Error(line)
				}
			}
		}
		d, err := h.keeper.Definition(context.Background(), "vault", 1)
		if err != nil || d.Bundle.Vars["token"] != diff.Hidden {
			t.Errorf("%v, %v", d.Bundle.Vars, err)
		}
	})
}
