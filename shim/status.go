package shim

import (
	"errors"
	"strings"
	"time"

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
	DNS        spec.DNS          `json:"dns,omitempty"`
	Intercept  uint16            `json:"intercept,omitempty"` // the ambassador's port; 0: members' TCP is not led to it
	Rate       spec.Rate         `json:"rate,omitzero"`
	Quota      int64             `json:"quota,omitempty"`  // bytes; 0: no bound
	Unsafe     []string          `json:"unsafe,omitempty"` // what is given up, in words
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
	Counters *Counters `json:"counters,omitempty"`
}

// hintOf is what to do about an error, where it says so.
func hintOf(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Hint
	}
	return ""
}

// oneLine is a text without line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
