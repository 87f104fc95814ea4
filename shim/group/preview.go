package group

// A Preview describes what would be done to one group.
type Preview struct {
	Group  string   `json:"group"`
	Steps  []string `json:"steps"`           // the text of each step; empty: nothing to do
	Opens  []string `json:"opens,omitempty"` // what may pass the border and could not before
	Closes []string `json:"closes,omitempty"`
	Unsafe []string `json:"unsafe,omitempty"` // what is given up, whether or not it was before
	Ended  string   `json:"ended,omitempty"`  // how it ended by itself, if an unchanged file keeps it down
	Error  string   `json:"error,omitempty"`  // what could not be observed, so that steps may be missing
}
