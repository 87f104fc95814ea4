// Package host has the values that cross between the keeper and a host: what is asked of it, and
// what was seen there. What could not be observed is Unknown, and Unknown destroys nothing.
package host

import (
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A Presence is the result of one observation. The zero value is Unknown. It never causes a
// destructive step.
type Presence int

const (
	Unknown Presence = iota // it could not be observed
	Absent
	Present
)

// A Part is a part of a group's isolation on the host. Others can change each of them.
type Part string

const (
	PartNamespace Part = "namespace" // the network namespace, or all rules in it
	PartRules     Part = "rules"     // the rules in the namespace, the fence around its members, and what separates abstract sockets
	PartLimits    Part = "limits"    // the limits of the group's cgroup
	PartLink      Part = "link"      // the link, its addresses and routes, and the host's rules for it
)

// A NetState is the network of a group, as Network.Observe found it.
type NetState struct {
	// Pinned means that a namespace is pinned, with or without rules. If it is Absent while
	// processes run, their namespace is lost.
	Pinned Presence
	// Namespace means that one is pinned, and has at least the rules that deny everything.
	Namespace Presence
	// Rules means that exactly the wanted policy is in force, against the living cgroups, and that
	// exactly the containers of the definition have one. With a nil want it means any rules of
	// ours.
	Rules Presence
	// Link means that link, addresses, routes and the host's entries are exactly the wanted ones.
	// With a nil want it means any link of ours.
	Link  Presence
	Addrs []string // the group's addresses, for status; empty without a link
}

// Any reports whether some of the network is certainly there. A pinned namespace alone does not
// count while everything else is unknown: the next observation may find it in use.
func (n NetState) Any() bool {
	allUnknown := n.Namespace == Unknown && n.Rules == Unknown && n.Link == Unknown
	return n.Namespace == Present || n.Rules == Present || n.Link == Present || n.Pinned == Present && !allUnknown
}

// An Image is an image that is present on the host.
type Image struct {
	Ref    string // the reference as the group file has it
	Name   string // containerd's name of it
	Digest string // of the manifest or index that Ref resolves to
}

// A CreateRequest is everything that Runtime.Create needs.
type CreateRequest struct {
	Group      *spec.Group
	Container  spec.Container
	Image      Image
	Generation int
	Input      bool // its program has a standard input, which [Input] writes to. False: it has none
}

// A TaskState is the state of a container's program.
type TaskState string

const (
	TaskNone    TaskState = "none" // the container has no task
	TaskCreated TaskState = "created"
	TaskRunning TaskState = "running"
	TaskStopped TaskState = "stopped"
	TaskUnknown TaskState = "unknown" // containerd did not answer
)

// A ContainerState is one container of ours, as containerd has it.
type ContainerState struct {
	Group       string
	Name        string
	Role        spec.Role
	Digest      string // the spec.Container.Digest that it was created from
	ImageDigest string // the Image.Digest that it was created from
	Generation  int
	Loaded      string    // by [spec.Container.Loaded]: which contents of files its program has
	ReloadedAt  time.Time // when it was last sent a signal for them; zero: never
	CreatedAt   time.Time // differs between a container and its replacement of the same name
	Lowered     string    // a line for each limit that its file names and this host gives less of
	Devices     string    // a line for each device of its file: what it is on this host
	Forbidden   string    // why it may not go on: a number of its devices is another device by now; empty: it may
	Task        TaskState
	PID         uint32
	ExitStatus  uint32    // while stopped
	ExitedAt    time.Time // while stopped
	OOMKilled   bool      // while stopped: the kernel killed one of its processes for memory
	StartedAt   time.Time // while running, if known
	Why         error     // while unknown, if known: why
}
