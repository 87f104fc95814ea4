package spec

import "testing"

func TestIsGroupFile(t *testing.T) {
	for name, want := range map[string]bool{
		"web.hcl": true, "a.b.hcl": true, "web.hcl~": false, ".web.hcl.swp": false, ".web.hcl": false,
		"#web.hcl#": false, "#web.hcl": false, ".#web.hcl": false, ".hcl": false, "web.txt": false, "web": false, "": false,
	} {
		if got := IsGroupFile(name); got != want {
			t.Errorf("IsGroupFile(%q) = %v", name, got)
		}
	}
}
