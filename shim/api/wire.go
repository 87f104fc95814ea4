package api

import "github.com/sallyport/sallyport/shim"

// A VersionInfo says which daemon answers.
type VersionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // the commit it was built from
	Go       string `json:"go,omitempty"`
	Runtime  string `json:"runtime,omitempty"` // the containerd it works with, for a person
	PID      int    `json:"pid,omitempty"`
}

// A LogRequest says whose output to send.
type LogRequest struct {
	Group      string   `json:"group"`
	Containers []string `json:"containers,omitempty"` // empty: every container's
	Follow     bool     `json:"follow,omitempty"`     // go on until the caller ends it
	// Tail is the number of lines of each container to begin with. 0: everything there is; negative: nothing, only what
	// is new (with Follow).
	Tail int `json:"tail,omitempty"`
}

// The JSON bodies. Both sides ignore fields they don't know, so that a client and a daemon of different versions get along.
type (
	filesBody struct {
		Files []shim.Bundle `json:"files"`
	}
	groupsBody struct {
		Groups []shim.GroupStatus `json:"groups"`
	}
	previewsBody struct {
		Previews []shim.Preview `json:"previews"`
	}
	execBody struct {
		Group     string   `json:"group"`
		Container string   `json:"container"`
		Args      []string `json:"args"`
		TTY       bool     `json:"tty,omitempty"`
		Stdin     bool     `json:"stdin,omitempty"` // false: the process has none
	}
)
