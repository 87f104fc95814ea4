package main

import (
	"errors"
	"testing"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

func TestPick(t *testing.T) {
	group := func(apps ...string) []shim.GroupStatus {
		g := shim.GroupStatus{Name: "g", Containers: []shim.ContainerStatus{{Name: "proxy", Role: spec.Ambassador}, {Name: "s", Role: spec.Sidecar}}}
		for _, app := range apps {
			g.Containers = append(g.Containers, shim.ContainerStatus{Name: app, Role: spec.App})
		}
		return []shim.GroupStatus{g}
	}
	for _, c := range []struct {
		name   string
		target target
		groups []shim.GroupStatus
		want   string
		hint   string
	}{
		{"the one named", target{"g", "s"}, group("web"), "s", ""},
		{"the only app", target{"g", ""}, group("web"), "web", ""},
		{"two apps", target{"g", ""}, group("web", "api"), "", "name the container, for example g.web"},
		{"no app", target{"g", ""}, group(), "", "name the container, for example g.NAME"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pick(c.target, c.groups)
			if got != c.want || (err == nil) != (c.hint == "") {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
			if problem, ok := errors.AsType[*shim.Problem](err); ok && problem.Hint != c.hint {
				t.Errorf("hint %q, want %q", problem.Hint, c.hint)
			}
		})
	}
}
