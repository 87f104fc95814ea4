package shim

// A Preview is what would be done to one group.
type Preview struct {
	Group  string   `json:"group"`
	Steps  []string `json:"steps"`           // each step's text; empty: nothing to do
	Opens  []string `json:"opens,omitempty"` // what may leave or enter that could not before
	Closes []string `json:"closes,omitempty"`
	Unsafe []string `json:"unsafe,omitempty"` // what is given up, whether or not it was before
	Ended  string   `json:"ended,omitempty"`  // how it has ended of its own accord, where the file is unchanged and so doesn't run it again
	Error  string   `json:"error,omitempty"`  // what could not be looked at, so that steps may be missing
}
