package group

// A Bundle is one group file with everything needed to read it again: what `apply` sends and the store keeps. Vars and Files
// are what the file was applied with, so that the daemon reads it the same after a restart, wherever it came from.
type Bundle struct {
	Name  string            `json:"name"` // base name under the groups folder: "checkout.hcl"
	Path  string            `json:"path"` // where the operator had it, absolute; relative names are relative to its folder
	HCL   []byte            `json:"hcl,omitempty"`
	Vars  map[string]string `json:"vars,omitempty"`
	Files map[string][]byte `json:"files,omitempty"` // files it names, by absolute path
}
