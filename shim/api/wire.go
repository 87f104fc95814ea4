package api

import (
	"regexp"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// maxBody is the largest size of a request in bytes of JSON. It holds group files and the files
// that they name, in base64.
const maxBody = 64 << 20

// A VersionInfo identifies a command or daemon.
type VersionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // the commit it was built from
	Go       string `json:"go,omitempty"`
	Runtime  string `json:"runtime,omitempty"` // the containerd that it works with, as text for people
	PID      int    `json:"pid,omitempty"`
}

// JSON bodies of requests and answers.
type (
	filesBody struct {
		Files []group.Bundle `json:"files"`
	}
	problemsBody struct {
		Problems []FileProblem `json:"problems"`
	}
	disksBody struct {
		Disks []host.Disk `json:"disks"`
	}
	usageBody struct {
		Usage host.Usage `json:"usage"`
	}
	imagesBody struct {
		Images host.Images `json:"images"`
	}
	removedBody struct {
		Removed []RemovedOutput `json:"removed"`
	}
	groupsBody struct {
		Groups []group.Status `json:"groups"`
	}
	generationsBody struct {
		Generations []group.Generation `json:"generations"`
	}
	bundleBody struct {
		File group.Bundle `json:"file"`
	}
	comparisonBody struct {
		Comparison group.Comparison `json:"comparison"`
	}
	previewsBody struct {
		Previews []group.Preview `json:"previews"`
	}
	execBody struct {
		Group     string   `json:"group"`
		Container string   `json:"container"`
		Args      []string `json:"args"`
		TTY       bool     `json:"tty,omitempty"`
		Stdin     bool     `json:"stdin,omitempty"` // false: the process has no standard input

		// Only to the route that knows them.
		User    string        `json:"user,omitempty"`
		Env     []string      `json:"env,omitempty"`
		WorkDir string        `json:"workdir,omitempty"`
		Timeout time.Duration `json:"timeout,omitempty"` // in nanoseconds
	}
	errorBody struct {
		Error wireError `json:"error"`
	}
)

// An event is one line of a stream: progress, how far an image is, a line of output, an event of a
// group, the exit status of a job, the removal of an image, what a pulled
// image is, which images were loaded, or the end.
type event struct {
	Progress   string             `json:"progress,omitempty"`
	Transfer   *host.Transfer     `json:"transfer,omitempty"`
	Container  string             `json:"container,omitempty"` // with Line or Raw
	Stream     string             `json:"stream,omitempty"`
	Time       time.Time          `json:"time,omitzero"`
	Latest     bool               `json:"latest,omitempty"`
	Partial    bool               `json:"partial,omitempty"`
	Line       string             `json:"line,omitempty"`
	Raw        []byte             `json:"raw,omitempty"` // instead of Line, if it is not UTF-8
	Missed     *missedOutput      `json:"missed,omitempty"`
	Event      *group.Event       `json:"event,omitempty"`
	ExitStatus *uint32            `json:"exit_status,omitempty"`
	Image      *host.ImageRemoval `json:"image,omitempty"`
	Pulled     *host.PulledImage  `json:"pulled,omitempty"`
	Loaded     *host.LoadedImages `json:"loaded,omitempty"`
	Error      *wireError         `json:"error,omitempty"`
	Done       bool               `json:"done,omitempty"`
}

var name = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// checkNames refuses what can't be the name of a group or container, so that no name becomes a
// path.
func checkNames(groupName string, containers ...string) error {
	if !name.MatchString(groupName) {
		return about(group.ErrNoGroup, groupName, "")
	}
	for _, c := range containers {
		if !name.MatchString(c) {
			return about(group.ErrNoContainer, groupName, c)
		}
	}
	return nil
}
