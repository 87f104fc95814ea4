package api

import (
	"regexp"
	"unicode/utf8"

	"github.com/sallyport/sallyport/shim"
)

// maxBody is how many bytes of JSON a request may have: group files and the files they name, in
// base64.
const maxBody = 64 << 20

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
	Group      string
	Containers []string // empty: every container's
	Follow     bool     // go on until the caller ends it
	// Tail is the number of lines of each container to begin with. 0: everything there is;
	// negative: nothing, only what is new (with Follow).
	Tail int
}

// The JSON bodies.
type (
	filesBody struct {
		Files []shim.Bundle `json:"files"`
	}
	problemsBody struct {
		Problems []FileProblem `json:"problems"`
	}
	groupsBody struct {
		Groups []shim.GroupStatus `json:"groups"`
	}
	generationsBody struct {
		Generations []shim.Generation `json:"generations"`
	}
	bundleBody struct {
		File shim.Bundle `json:"file"`
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
	errorBody struct {
		Error wireError `json:"error"`
	}
)

// An event is one line of a stream: progress, a line of output, something that happened to a group,
// how a job has ended, or the end.
type event struct {
	Progress   string      `json:"progress,omitempty"`
	Container  string      `json:"container,omitempty"` // with Line or Raw
	Line       string      `json:"line,omitempty"`
	Raw        []byte      `json:"raw,omitempty"` // instead of Line: one that isn't UTF-8, which a JSON string can't hold
	Event      *shim.Event `json:"event,omitempty"`
	ExitStatus *uint32     `json:"exit_status,omitempty"`
	Error      *wireError  `json:"error,omitempty"`
	Done       bool        `json:"done,omitempty"`
}

func lineEvent(container, line string) event {
	if utf8.ValidString(line) {
		return event{Container: container, Line: line}
	}
	return event{Container: container, Raw: []byte(line)}
}

func (e event) output() string {
	if e.Raw != nil {
		return string(e.Raw)
	}
	return e.Line
}

var name = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// checkNames refuses what can't be the name of a group or container, so that none becomes a path.
// container "": none meant.
func checkNames(group string, containers ...string) error {
	if !name.MatchString(group) {
		return about(shim.ErrNoGroup, group, "")
	}
	for _, c := range containers {
		if !name.MatchString(c) {
			return about(shim.ErrNoContainer, group, c)
		}
	}
	return nil
}
