package group

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// ErrNoGroup is the error for a group that is not there.
var ErrNoGroup = errors.New("no such group")

// State is where a group is in its life:
//
//	pending ◄──► starting ──► running ◄──► degraded
//	   ▲             │           │             │      removed; stopped by an operator;
//	   │             └───────────┼─────────────┘      ended of its own accord ([Ended])
//	   │                         ▼
//	   │                     stopping ──► gone
//	   │                         │
//	   │         ┌───────────────┴───┐
//	   │         ▼                   ▼
//	   │      stopped            completed
//	   │         │                   │                started, restarted, another definition
//	   └─────────┴───────────────────┘
//
// It is running when all of it is ready, and degraded when it was and is not; a group that begins with a failure is degraded too.
// One that is wanted again while it is stopping starts from there, and so does one that has nothing running after a boot. "failed" is
// no state: it is an error on any of them. What can't be looked at changes no state, nor does a daemon that comes or goes.
type State string

const (
	Pending   State = "pending" // nothing of it is there, and nothing is being done
	Starting  State = "starting"
	Running   State = "running"  // and ready, and its network is as wanted
	Degraded  State = "degraded" // was running, and a container is not, or is not ready
	Stopping  State = "stopping"
	Gone      State = "gone"
	Completed State = "completed" // the apps ran to their end and none is to be restarted; nothing runs
	Stopped   State = "stopped"   // by an operator, or by a container whose failure stops the group; nothing runs
)

// A Status is what `ps` and `status` show of a group; its JSON is part of the control socket's protocol.
type Status struct {
	Name       string            `json:"name"`
	State      State             `json:"state"`
	Egress     spec.Egress       `json:"egress"`
	File       string            `json:"file,omitempty"`
	Generation int               `json:"generation"`
	Digest     string            `json:"digest"`
	Addrs      []string          `json:"addrs,omitempty"`
	spec.Door                    // what [spec.Door.Shown] keeps; zero without an ambassador
	DNS        spec.DNS          `json:"dns,omitempty"`
	Unsafe     []string          `json:"unsafe,omitempty"` // what is given up, in words; in place of the door's
	Labels     map[string]string `json:"labels,omitempty"`
	Containers []ContainerStatus `json:"containers"`
	// Waiting is what keeps the group from being ready and is to come about of itself, one line: "waits for proxy (ambassador)
	// to be ready: ...". Empty: nothing does.
	Waiting string `json:"waiting,omitempty"`
	// Error and Hint say why the group is not as its file says; both empty when it is. Each one line.
	Error string    `json:"error,omitempty"`
	Hint  string    `json:"hint,omitempty"`
	Since time.Time `json:"since"` // when State was entered
	// TrialEnds is when a new generation must be ready, as its update block says. Zero: it is, or has as long as it takes.
	TrialEnds time.Time `json:"trial_ends,omitzero"`
	// QuotaUsed is how many bytes of Quota have passed. Only where one group's status was asked for.
	QuotaUsed uint64 `json:"quota_used,omitempty"`
	// Counters are what the rules in the group's namespace counted. Only where one group's status was asked for.
	Counters *host.Counters `json:"counters,omitempty"`
}

// A ContainerStatus is one line below a group's.
type ContainerStatus struct {
	Name       string         `json:"name"`
	Role       spec.Role      `json:"role"`
	Image      string         `json:"image"`
	Task       host.TaskState `json:"task"`
	PID        uint32         `json:"pid,omitempty"`
	Ready      bool           `json:"ready"`             // it runs, and its probes say so or have no say; of an init: it has ended well
	Waiting    string         `json:"waiting,omitempty"` // what it waits for to be started, or why it is not ready; one line
	Restarts   int            `json:"restarts"`
	EndsInARow int            `json:"ends_in_a_row,omitempty"` // each of a run shorter than ten minutes
	ExitStatus *uint32        `json:"exit_status,omitempty"`   // of the last end, if there was one
	Signal     string         `json:"signal,omitempty"`        // that ended it: "SIGKILL"
	OOMKilled  bool           `json:"oom_killed,omitempty"`    // the last end came with a kill for memory
	LastOutput []string       `json:"last_output,omitempty"`   // the end of its output, where its last end was a failure
	StartedAt  time.Time      `json:"started_at,omitzero"`
	NextStart  time.Time      `json:"next_start,omitzero"` // while backing off
}

func (st *ContainerStatus) Exit(status uint32, oom bool) {
	st.ExitStatus, st.Signal, st.OOMKilled = &status, signalName(status), oom
}
