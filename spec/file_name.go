package spec

import "strings"

// IsGroupFile reports whether a file of this base name in a folder of group files is one. Files
// that editors and package tools leave beside it are none: .x.hcl.swp, x.hcl~, #x.hcl#, .#x.hcl.
func IsGroupFile(name string) bool {
	return strings.HasSuffix(name, ".hcl") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#")
}
