package shim

import (
	"time"

	"github.com/sallyport/sallyport/spec"
)

// State is where a group is in its life (DESIGN, section 5).
type State string

const (
	Pending   State = "pending"
	Starting  State = "starting"
	Running   State = "running"
	Degraded  State = "degraded" // was running, and a container is not
	Stopping  State = "stopping"
	Gone      State = "gone"
	Completed State = "completed" // the apps ran to their end and none is to be restarted
)

// A GroupStatus is what `ps` and `status` show of a group; its JSON is part of the control socket's protocol.
type GroupStatus struct {
	Name       string            `json:"name"`
	State      State             `json:"state"`
	Egress     spec.Egress       `json:"egress"`
	File       string            `json:"file,omitempty"`
	Generation int               `json:"generation"`
	Digest     string            `json:"digest"`
	Addrs      []string          `json:"addrs,omitempty"`
	Publish    []spec.Publish    `json:"publish,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Containers []ContainerStatus `json:"containers"`
	// Error and Hint say why the group is not as its file says; both empty when it is. Each one line.
	Error string    `json:"error,omitempty"`
	Hint  string    `json:"hint,omitempty"`
	Since time.Time `json:"since"` // when State was entered
}

// A ContainerStatus is one line below a group's.
type ContainerStatus struct {
	Name       string    `json:"name"`
	Role       spec.Role `json:"role"`
	Image      string    `json:"image"`
	Task       TaskState `json:"task"`
	PID        uint32    `json:"pid,omitempty"`
	Restarts   int       `json:"restarts"`
	ExitStatus *uint32   `json:"exit_status,omitempty"` // of the last end, if there was one
	StartedAt  time.Time `json:"started_at,omitzero"`
	NextStart  time.Time `json:"next_start,omitzero"` // while backing off
}
