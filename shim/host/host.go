package host

import (
	"time"

	"github.com/sallyport/sallyport/spec"
)

// Presence is what an observation found. The zero value is Unknown, and Unknown never causes a destructive step.
type Presence int

const (
	Unknown Presence = iota // could not be looked at
	Absent
	Present
)

// A Part is a part of what keeps a group on the host and that others can change.
type Part string

const (
	PartNamespace Part = "namespace" // the network namespace, or all rules in it
	PartRules     Part = "rules"     // the rules in the namespace, and the fence around its members
	PartLimits    Part = "limits"    // the limits of the group's cgroup
	PartLink      Part = "link"      // the link, its addresses and routes, and the host's rules for it
)

// NetState is what Network.Observe found.
type NetState struct {
	Pinned    Presence // a namespace is pinned, whatever is in force in it. Absent with processes running: theirs is lost
	Namespace Presence // pinned, and at least the deny-everything rules are in force in it
	Rules     Presence // exactly the wanted policy is in force, against the living cgroups. With want nil: any rules of ours
	Link      Presence // link, addresses, routes and the host's entries are exactly the wanted ones. With want nil: any link of ours
	Addrs     []string // the group's addresses, for status; empty without a link
}

// An Image is an image that is present on the host.
type Image struct {
	Ref    string // the reference as the group file has it
	Name   string // containerd's name for it
	Digest string // of the manifest or index it resolved to
}

// A CreateRequest is everything Create needs.
type CreateRequest struct {
	Group      *spec.Group
	Container  spec.Container
	Image      Image
	Generation int
}

// TaskState is what has become of a container's program.
type TaskState string

const (
	TaskNone    TaskState = "none" // container without a task
	TaskCreated TaskState = "created"
	TaskRunning TaskState = "running"
	TaskStopped TaskState = "stopped"
	TaskUnknown TaskState = "unknown" // containerd did not say
)

// A ContainerState is one container of ours as containerd has it.
type ContainerState struct {
	Group       string
	Name        string
	Role        spec.Role
	Digest      string // the spec.Container.Digest it was made from
	ImageDigest string // the Image.Digest it was made from
	Generation  int
	CreatedAt   time.Time // when it was created; two of one name that follow each other differ in it
	Task        TaskState
	PID         uint32
	ExitStatus  uint32    // while stopped
	ExitedAt    time.Time // while stopped
	OOMKilled   bool      // while stopped: the kernel killed something of it for memory
	StartedAt   time.Time // while running, where known
}

// Any says that there is something of a network, for sure. That something is pinned does not count for itself: with all
// else unknown it may be what another look would show to be in use.
func (n NetState) Any() bool {
	blind := n.Namespace == Unknown && n.Rules == Unknown && n.Link == Unknown
	return n.Namespace == Present || n.Rules == Present || n.Link == Present || n.Pinned == Present && !blind
}
