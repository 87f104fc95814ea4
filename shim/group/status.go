// Package group has what is reported about a group: its state, status, events and generations. The
// values cross the control socket and are kept on disk: a changed JSON tag breaks older clients,
// and older files are not read any more.
package group

import (
	"time"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A State is the state of a group:
//
//	pending ◄──► starting ──► running ◄──► degraded
//	   ▲             │           │             │      removed; stopped by an operator;
//	   │             └───────────┼─────────────┘      ended by itself ([Ended])
//	   │                         ▼
//	   │                     stopping ──► gone
//	   │                         │
//	   │         ┌───────────────┴───┐
//	   │         ▼                   ▼
//	   │      stopped            completed
//	   │         │                   │                started, restarted, another definition
//	   └─────────┴───────────────────┘
//
// A group is running while all of it is ready. It is degraded if it was ready and is not, or if it
// begins with a failure. A group that is wanted again while it is stopping starts from there. So
// does one that has nothing running after a boot. "failed" is no state: any state can have an
// error. What can't be observed changes no state. Nor does a daemon that stops or starts, but a
// group is shown as starting until the daemon has looked at it.
type State string

const (
	Pending   State = "pending" // nothing of it exists, and nothing is being done
	Starting  State = "starting"
	Running   State = "running"  // all of it is ready, and its network is as wanted
	Degraded  State = "degraded" // it was running; now a container is not running or not ready
	Stopping  State = "stopping"
	Gone      State = "gone"
	Completed State = "completed" // the apps have ended and none is to be restarted; nothing runs
	Scheduled State = "scheduled" // it has a schedule: it never runs itself, and nothing of it is there
	Stopped   State = "stopped"   // by an operator, or by the failure of a container that stops the group; nothing runs
)

// States lists every state.
var States = []State{Pending, Starting, Running, Degraded, Stopping, Gone, Completed, Stopped, Scheduled}

// A Status holds what "ps" and "status" show for a group. Its JSON is part of the control socket's
// protocol.
type Status struct {
	Name       string      `json:"name"`
	State      State       `json:"state"`
	Egress     spec.Egress `json:"egress"`
	File       string      `json:"file,omitempty"`
	Generation int         `json:"generation"`
	Digest     string      `json:"digest"`
	Addrs      []string    `json:"addrs,omitempty"`
	spec.Door              // the fields that [spec.Door.Shown] keeps; zero without an ambassador
	// CallsNowhere reports whether the ambassador's allow list is empty: it answers at published
	// ports, and opens no flow.
	CallsNowhere bool              `json:"calls_nowhere,omitempty"`
	DNS          spec.DNS          `json:"dns,omitempty"`
	Unsafe       []string          `json:"unsafe,omitempty"` // what is given up, in words; replaces the field of Door
	Labels       map[string]string `json:"labels,omitempty"`
	Containers   []ContainerStatus `json:"containers"`
	// Waiting says on one line what the group needs to become ready: "waits for proxy
	// (ambassador) to be ready: ...". It is empty if the group waits for nothing that comes about
	// by itself.
	Waiting string `json:"waiting,omitempty"`
	// Error is why the group is not as its file wants it, and Hint what to do. Each is one line.
	// Both are empty if the group is as wanted.
	Error string    `json:"error,omitempty"`
	Hint  string    `json:"hint,omitempty"`
	Since time.Time `json:"since"` // when State was entered
	// Ended reports whether the group has ended by itself: it is Completed, or a failure has
	// Stopped it.
	Ended bool `json:"ended,omitempty"`
	// TrialEnds is when a new generation must be ready, by its update block. Zero means that it is
	// ready, or that there is no limit.
	TrialEnds time.Time `json:"trial_ends,omitzero"`
	// RunEnds is when the job is ended because its time is over. Zero means that it has no timeout,
	// or does not run.
	RunEnds time.Time `json:"run_ends,omitzero"`
	// TimedOut reports whether the job was ended because its time was over.
	TimedOut bool `json:"timed_out,omitempty"`
	// NextRun is when the next run of a group with a schedule begins. Zero means that it has none,
	// or that it is stopped.
	NextRun time.Time `json:"next_run,omitzero"`
	// LastRun is the last run of its schedule. Nil means that there was none.
	LastRun *Run `json:"last_run,omitempty"`
	// Bounds are the bounds on disk and how full they are. Those of a group that doesn't run are
	// left out.
	Bounds []host.Bound `json:"bounds,omitempty"`
	// Notes are why secrets keep earlier values, and why callers of published ports get no answer.
	// Each is one line. Those of ports are set only if one group's status was asked for.
	Notes []string `json:"notes,omitempty"`
	// QuotaUsed is how many bytes of Quota are used up. Set only if one group's status was asked
	// for.
	QuotaUsed uint64 `json:"quota_used,omitempty"`
	// Counters are those of the rules in the group's namespace. Set only if one group's status was
	// asked for.
	Counters *host.Counters `json:"counters,omitempty"`
}

// A ContainerStatus is the status of one container of a group.
type ContainerStatus struct {
	Name       string         `json:"name"`
	Role       spec.Role      `json:"role"`
	Image      string         `json:"image"`
	Task       host.TaskState `json:"task"`
	PID        uint32         `json:"pid,omitempty"`
	Ready      bool           `json:"ready"`             // running, and ready by its probes; an init: ended well
	Waiting    string         `json:"waiting,omitempty"` // what its start waits for, or why it is not ready; one line
	Restarts   int            `json:"restarts"`
	EndsInARow int            `json:"ends_in_a_row,omitempty"` // each of a run shorter than the window of its restart block
	ExitStatus *uint32        `json:"exit_status,omitempty"`   // of the last end; nil if there was none
	Signal     string         `json:"signal,omitempty"`        // the signal that ended it: "SIGKILL"
	OOMKilled  bool           `json:"oom_killed,omitempty"`    // the kernel killed one of its processes for memory
	LastOutput []string       `json:"last_output,omitempty"`   // its last lines, if the last end was a failure
	StartedAt  time.Time      `json:"started_at,omitzero"`
	ReloadedAt time.Time      `json:"reloaded_at,omitzero"` // when it was last sent a signal because files had changed
	NextStart  time.Time      `json:"next_start,omitzero"`  // while backing off
	StaysDown  string         `json:"stays_down,omitempty"` // its attempts are spent: why, and what to type; one line
	// Lowered has a line for each limit that its file names and that this host gives less of.
	Lowered []string `json:"lowered,omitempty"`
	// Devices has a line for each device that its file names: what it is on this host.
	Devices []string `json:"devices,omitempty"`
	// SignedBy has the keys that its image is proved to be signed with, if it has to be. It is in
	// the status of one group alone, and so is Unproved.
	SignedBy []string `json:"signed_by,omitempty"`
	// Unproved is why no container is created of the image, in one line. One that runs goes on.
	Unproved string `json:"unproved,omitempty"`
}

// Exit sets the fields about the container's last end.
func (st *ContainerStatus) Exit(status uint32, oom bool) {
	st.ExitStatus, st.Signal, st.OOMKilled = &status, signalName(status), oom
}

// ListenTime is how long an ambassador has to run before a published port at which no process
// listens is noted.
const ListenTime = 10 * time.Second

// A Preview lists what an apply would do to one group.
type Preview struct {
	Group string   `json:"group"`
	Steps []string `json:"steps"` // the text of each step; empty: nothing to do
	// Replaces has a line for each container that is replaced, with why.
	Replaces []string `json:"replaces,omitempty"`
	// Changes has a line for each container that takes a change while it runs, with what changes.
	Changes []string `json:"changes,omitempty"`
	// Differs has the differences from the definition that is wanted now.
	Differs []diff.Change `json:"differs,omitempty"`
	Opens   []string      `json:"opens,omitempty"` // what may pass the group's border and could not before
	Closes  []string      `json:"closes,omitempty"`
	Unsafe  []string      `json:"unsafe,omitempty"` // what is given up, whether or not it was before
	// Image has what the containers' images ask for and the containers don't get. It is empty
	// without steps, and has nothing of an image that is not on the host.
	Image []string `json:"image,omitempty"`
	// Devices has a line for each device that the group's file names: what it is on this host. It
	// is empty without steps.
	Devices []string `json:"devices,omitempty"`
	// Publish has why callers of published ports would get no answer, as far as it can be known. It
	// is empty without steps.
	Publish []string `json:"publish,omitempty"`
	// Schedule is when a group with a schedule runs next: "next run 2026-03-01T02:30:00Z".
	Schedule string `json:"schedule,omitempty"`
	Ended    string `json:"ended,omitempty"` // how it ended by itself, if an unchanged file keeps it down
	Error    string `json:"error,omitempty"` // what could not be observed, so that steps may be missing
}
