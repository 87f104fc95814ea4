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
