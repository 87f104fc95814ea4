package spec

import "strings"

// IsGroupFile reports whether a file of this base name in a folder of group files is one: x.hcl,
// or x.hcl.json in the JSON syntax of HCL. Files
// that editors and package tools leave beside it are none: .x.hcl.swp, x.hcl~, #x.hcl#, .#x.hcl.
// Files with values of variables are none either, see [IsVarsFile].
func IsGroupFile(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, ".json"), ".hcl") && isWhole(name) && !IsVarsFile(name)
}

// The names of files with values of variables. One of the first name, and those that end in
// autoVars, are read with each group file of their folder.
const (
	folderVars = "sallyport.vars.hcl"
	autoVars   = ".auto.vars.hcl"
	varsEnding = ".vars.hcl"
)

// IsVarsFile reports whether a file of this base name has values of variables.
func IsVarsFile(name string) bool {
	return isWhole(name) && strings.HasSuffix(strings.TrimSuffix(name, ".json"), varsEnding)
}

// IsAutoVarsFile reports whether a file of this base name has values for the group files of its
// folder, without being named by anyone. general is true for the one that is read before the
// others.
func IsAutoVarsFile(name string) (auto, general bool) {
	native := strings.TrimSuffix(name, ".json")
	general = native == folderVars
	return isWhole(name) && (general || strings.HasSuffix(native, autoVars)), general
}

// isWhole reports whether a file is none that an editor makes.
func isWhole(name string) bool { return !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#") }
