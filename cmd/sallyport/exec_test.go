package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

func TestPick(t *testing.T) {
	name := func(apps ...string) []group.Status {
		g := group.Status{Name: "g", Containers: []group.ContainerStatus{{Name: "proxy", Role: spec.Ambassador}, {Name: "s", Role: spec.Sidecar}}}
		for _, app := range apps {
			g.Containers = append(g.Containers, group.ContainerStatus{Name: app, Role: spec.App})
		}
		return []group.Status{g}
	}
	stopped := name("web")
	stopped[0].State = group.Stopped
	for _, c := range []struct {
		name   string
		target target
		groups []group.Status
		want   string
		hint   string
	}{
		{"the one named", target{"g", "s"}, name("web"), "s", ""},
		{"the only app", target{"g", ""}, name("web"), "web", ""},
		{"two apps", target{"g", ""}, name("web", "api"), "", "name the container, for example g.web"},
		{"no such container", target{"g", "wbe"}, name("web"), "", `"sallyport status g" lists its containers`},
		{"nothing known yet", target{"g", "s"}, []group.Status{{Name: "g"}}, "s", ""},
		{"a group that is stopped", target{"g", "web"}, stopped, "", "sallyport start g"},
		{"no app", target{"g", ""}, name(), "", "name the container, for example g.NAME"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pick(c.target, c.groups)
			if got != c.want || (err == nil) != (c.hint == "") {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
			if problem, ok := errors.AsType[*hint.Error](err); ok && problem.Hint != c.hint {
				t.Errorf("hint %q, want %q", problem.Hint, c.hint)
			}
		})
	}
}

// Bytes that are not UTF-8 would be replaced. What is refused may be a secret.
func TestExecUTF8(t *testing.T) {
	for _, tt := range []struct {
		name    string
		args    []string
		refused bool
	}{
		{"an argument", []string{"exec", "g", "--", "printf", "secret\xff"}, true},
		{"a variable", []string{"exec", "-e", "A=secret\xff", "g", "--", "id"}, true},
		{"a variable of the caller", []string{"exec", "-e", "LATIN1", "g", "--", "id"}, true},
		{"a user", []string{"exec", "-u", "secret\xff", "g", "--", "id"}, true},
		{"UTF-8", []string{"exec", "-e", "A=größer", "g", "--", "printf", "大"}, false},
	} {
		var stderr bytes.Buffer
		ui := newUI(nil, nil, nil, []string{"LATIN1=secret\xff"})
		ui.err = &stderr
		status := run(append([]string{"--run-dir", t.TempDir()}, tt.args...), ui)
		said := stderr.String()
		if status != statusOwn || strings.Contains(said, "is not UTF-8") != tt.refused || strings.Contains(said, "secret") {
			t.Errorf("%s: exit status %d, standard error %q", tt.name, status, said)
		}
	}
}
