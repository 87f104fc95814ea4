package shim

import (
	"context"
	"io"
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

// Network makes a group's network namespace, its rules and its link. Every method is idempotent: a second call with the
// same group changes nothing. Implemented by [HostNetwork]; in memory by shimtest.Host.
type Network interface {
	// Groups lists the groups of which anything of ours exists on the host: a pinned namespace, a link, a cgroup. For orphans.
	Groups(ctx context.Context) ([]string, error)
	// Observe looks at what exists for the group. With want nil it says only what exists at all.
	Observe(ctx context.Context, group string, want *spec.Group) NetState
	// Seal pins the namespace, raises its loopback and denies everything else.
	Seal(ctx context.Context, group string) error
	// Admit makes the group's cgroups and puts the wanted policy in force. With EgressNone it also takes away the link that an
	// earlier definition left; Observe then says Link Present for as long as there is one.
	Admit(ctx context.Context, want *spec.Group) error
	// Connect makes the link, its addresses and routes and the host's entries (NAT, published ports). Not called for EgressNone.
	Connect(ctx context.Context, want *spec.Group) error
	// Remove takes away link, host entries, namespace and cgroups; what is absent is no error.
	Remove(ctx context.Context, group string) error
}

// NetState is what Network.Observe found.
type NetState struct {
	Pinned    Presence // a namespace is pinned, whatever is in force in it. Absent with processes running: theirs is lost
	Namespace Presence // pinned, and at least the deny-everything rules are in force in it
	Rules     Presence // exactly the wanted policy is in force, against the living cgroups. With want nil: any rules of ours
	Link      Presence // link, addresses, routes and the host's entries are exactly the wanted ones. With want nil: any link of ours
	Addrs     []string // the group's addresses, for status; empty without a link
}

// Volumes makes the group's shared directories. Implemented by [HostVolumes]; in memory by shimtest.Host.
type Volumes interface {
	// Observe lists the group's volumes that are mounted, each with the size it has, the wanted one or rounded up to pages, and
	// with the owner and mode it was last given. A host path is the wanted one where that is the folder that is mounted, and else
	// another.
	Observe(ctx context.Context, group string, want *spec.Group) ([]spec.Volume, error)
	// Check says why the group can't have its volumes on this host; nil when it can, or Ensure is to say. It makes nothing.
	Check(ctx context.Context, want *spec.Group) error
	// Ensure mounts a volume of the group, or gives a mounted one its size, owner and mode; what is in it stays. Of a persistent
	// one, so does what was in it when it was last mounted.
	Ensure(ctx context.Context, want *spec.Group, v spec.Volume) error
	// Remove unmounts one volume; absent is no error.
	Remove(ctx context.Context, group, volume string) error
	// Discard deletes what is in the group's persistent volumes, none of which is mounted. Nothing else does. Absent is no error.
	Discard(ctx context.Context, group string) error
	// Groups lists the groups that have any, for orphans.
	Groups(ctx context.Context) ([]string, error)
}

// Runtime runs containers. Implemented by ctrd.Client; in memory by shimtest.Host. Every call has a deadline of its own.
// Errors an operator can act on are [*Problem].
type Runtime interface {
	// Image makes the image present (pull or import, only when it is not there) and returns what it resolved to.
	Image(ctx context.Context, ref string) (Image, error)
	// Observe lists our containers of one group, or of every group when group is "". An error means unknown.
	Observe(ctx context.Context, group string) ([]ContainerState, error)
	// Create makes a container ready to start: everything is set up and checked, and no program has run. A container of the
	// same id that has no task is replaced. One whose program runs, or is ready to, stays as it is, and Create fails. After
	// a failure nothing of the container is left.
	//
	// The promise of a group rests on Create. From its first instruction the program of a container
	//   - is in the group's network namespace, the one that is pinned. Without one Create fails.
	//   - is in the cgroup that [Layout.CgroupPath] names for it. The rules tell the ambassador from the members by it.
	//   - sees the volumes that it mounts, and can't write those it mounts read-only. Without one of them Create fails.
	//   - prints to the file that [Layout.LogPath] names.
	//   - can't do what the rules can't see: package promise has the list. Create refuses a container that asks for it.
	//
	// Package hosttest/contract holds every implementation to this.
	Create(ctx context.Context, c CreateRequest) error
	// Start runs the program of a created container.
	Start(ctx context.Context, group, container string) error
	// Stop signals, waits up to the grace, kills, and waits for the end. A stopped or absent container is no error.
	Stop(ctx context.Context, group, container string, stop spec.Stop) error
	// Remove deletes task (killing it if need be), container and snapshot; absent is no error.
	Remove(ctx context.Context, group, container string) error
}

// Watcher tells of changes that call for a new look at a group. Watch blocks until ctx ends, reconnecting by itself, and
// calls changed with a group's name, or "" for every group (after a reconnect).
type Watcher interface {
	Watch(ctx context.Context, changed func(group string)) error
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
	Made        time.Time // when it was created; two of one name that follow each other differ in it
	Task        TaskState
	PID         uint32
	ExitStatus  uint32    // while stopped
	ExitedAt    time.Time // while stopped
	OOMKilled   bool      // while stopped: the kernel killed something of it for memory
	StartedAt   time.Time // while running, where known
}

// An ExecRequest runs one more process in a running container, with the container's limits and rules.
type ExecRequest struct {
	Group, Container string
	Args             []string
	TTY              bool
	Stdin            io.Reader // nil: none
	Stdout, Stderr   io.Writer // Stderr is not used with TTY
	Resize           <-chan WinSize
	Started          func() // optional: Exec calls it once the process runs
}

// WinSize is a terminal's size in characters.
type WinSize struct{ Width, Height uint16 }

// Execer runs processes in running containers. Exec returns the exit status. Implemented by ctrd.Client.
type Execer interface {
	Exec(ctx context.Context, req ExecRequest) (status uint32, err error)
}

// A Problem is an error with what to do about it.
type Problem struct {
	Err  error
	Hint string // one sentence; what the operator should do
}

func (p *Problem) Error() string { return p.Err.Error() }
func (p *Problem) Unwrap() error { return p.Err }
