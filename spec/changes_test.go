package spec

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Changes names each part that makes another digest, and nothing that does not.
func TestChanges(t *testing.T) {
	const text = `
group "g" {
  egress = "none"
  app "a" {
    image = "registry.example/a:1"
    %s
  }
  volume "v" { size = "%s" }
}
`
	parse := func(inner, size string) Group {
		groups, diags := Parse(source("g.hcl", fmt.Sprintf(text, inner, size)))
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return groups[0]
	}
	before := parse("mount \"v\" { path = \"/v\" }", "1MiB")
	for _, tt := range []struct {
		name string
		now  Group
		want []string
	}{
		{"nothing", before, nil},
		{"its volume", parse("mount \"v\" { path = \"/v\" }", "2MiB"), []string{"volume"}},
		{"no mount", parse("", "1MiB"), []string{"mount", "volume"}},
		{"a command and the environment", parse("command = [\"x\"]\n env = { A = \"b\" }\n mount \"v\" { path = \"/v\" }", "1MiB"), []string{"command", "env"}},
		{"a file", parse("file \"/x\" { content = \"x\" }\n mount \"v\" { path = \"/v\" }", "1MiB"), []string{"file"}},
		{"what it may write to", parse("read_only = true\n tmpfs \"/t\" {}\n mount \"v\" { path = \"/v\" }", "1MiB"), []string{"read_only", "tmpfs"}},
		{"what it takes while it runs", parse("stop { timeout = \"1s\" }\n mount \"v\" { path = \"/v\" }", "1MiB"), nil},
	} {
		got := tt.now.Changes(&before, "a")
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if same := tt.now.Container("a").Digest == before.Container("a").Digest; same != (len(got) == 0) {
			t.Errorf("%s: the same digest: %v, but %q differ", tt.name, same, got)
		}
	}
}

// LiveChanges names what a container takes while it runs. A part is either in it, or in Changes, or
// of the door.
func TestLiveChanges(t *testing.T) {
	before := parseOne(t, rest)
	for _, tt := range []struct {
		name, old, new, container string
		want                      []string
	}{
		{"nothing", `"5s"`, `"5000ms"`, "web", nil},
		{"a probe", `"5s"`, `"6s"`, "web", []string{"probe"}},
		{"order", `["one"]`, `[]`, "two", []string{"after"}},
		{"pull", `image = "one:1"`, "image = \"one:1\"\n pull = \"always\"", "one", []string{"pull"}},
		{"failure", `"stop-group"`, `"restart"`, "first", []string{"on_failure"}},
		{"restart and stop", `image = "one:1"`, "image = \"one:1\"\n restart { policy = \"never\" }\n stop { timeout = \"1s\" }\n on_failure = \"ignore\"", "one", []string{"on_failure", "restart", "stop"}},
		{"output", `split = true`, "split = true\n size = \"1MiB\"\n journal = true", "two", []string{"output"}},
		{"output in one file", `split = true`, ``, "two", nil},
		{"image", `"one:1"`, `"one:2"`, "one", nil},
	} {
		after := changed(t, rest, tt.old, tt.new)
		if diff := cmp.Diff(tt.want, after.LiveChanges(&before, tt.container)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if got := after.Changes(&before, tt.container); len(got) > 0 && len(tt.want) > 0 {
			t.Errorf("%s: it also replaces the container: %q", tt.name, got)
		}
	}
}

// A running container takes another bound on disk, and is replaced to get one or to lose it.
func TestLiveChangesOfBounds(t *testing.T) {
	const text = `
group "g" {
  egress = "none"
  app "a" {
    image = "registry.example/a:1"
    resources { %s }
    mount "v" { path = "/v" }
  }
  app "b" { image = "registry.example/b:1" }
  volume "v" {
    persistent = true
    %s
  }
}
`
	parse := func(disk, size string) Group { return parseOne(t, fmt.Sprintf(text, disk, size)) }
	before := parse(`disk = "1MiB"`, `size = "1MiB"`)
	for _, tt := range []struct {
		name           string
		now            Group
		live, replaces []string
	}{
		{"nothing", parse(`disk = "1024KiB"`, `size = "1MiB"`), nil, nil},
		{"another disk", parse(`disk = "2MiB"`, `size = "1MiB"`), []string{"resources"}, nil},
		{"another size", parse(`disk = "1MiB"`, `size = "2MiB"`), []string{"volume"}, nil},
		{"no disk", parse(``, `size = "1MiB"`), []string{"resources"}, []string{"resources"}},
		{"no size", parse(`disk = "1MiB"`, ``), []string{"volume"}, []string{"volume"}},
	} {
		if diff := cmp.Diff(tt.live, tt.now.LiveChanges(&before, "a")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.replaces, tt.now.Changes(&before, "a")); diff != "" {
			t.Errorf("%s, what replaces it (-want +got):\n%s", tt.name, diff)
		}
		if got := tt.now.LiveChanges(&before, "b"); got != nil {
			t.Errorf("%s: %q of another container", tt.name, got)
		}
	}
}
