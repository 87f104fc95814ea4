package shim

import (
	"context"

	"github.com/sallyport/sallyport/spec"
)

// An ImageKeeper keeps images on the host independently of their names, so that a generation can be
// restored without a registry. Implemented by ctrd.Client; in memory by shimtest.Host.
type ImageKeeper interface {
	// Retain keeps an image for a generation of a group, in addition to what is retained for it
	// already. It uses the image's Ref and Digest.
	Retain(ctx context.Context, group string, generation int, image Image) error
	// Restore makes the image present that a reference meant when it had this digest, whatever it
	// means now. The error is ErrImageGone if trying again would not help.
	Restore(ctx context.Context, ref, digest string) (Image, error)
	// Resolve returns the digest that [Runtime].Image would use for a reference now. It pulls and
	// changes nothing. The digest is empty if the image is not present.
	Resolve(ctx context.Context, ref string) (digest string, err error)
	// Retained returns the generations for which images are retained, by group.
	Retained(ctx context.Context) (map[string][]int, error)
	// Release ends the retention for a generation. The host may then collect images that nothing
	// else retains or names. An absent generation is no error.
	Release(ctx context.Context, group string, generation int) error
}

// A Drift describes what others have changed on the host. Implemented by [HostLookout]; in memory
// by shimtest.Host.
type Drift interface {
	// Amiss returns, in an operator's words, what of the part is not as the group wants it: "the
	// host's rules for it".
	Amiss(part Part, want *spec.Group) []string
}

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
	// Create makes container, snapshot and task: everything is set up and checked, and no program has run. A container of
	// the same id without a task is replaced.
	Create(ctx context.Context, c CreateRequest) error
	// Start runs the program of a created container.
	Start(ctx context.Context, group, container string) error
	// Stop signals, waits up to the grace, kills, and waits for the end. A stopped or absent container is no error.
	Stop(ctx context.Context, group, container string, stop spec.Stop) error
	// Remove deletes task (killing it if need be), container and snapshot; absent is no error.
	Remove(ctx context.Context, group, container string) error
}

// Cgroups holds a group to the bounds on all of it together. Implemented by [HostCgroups]; in memory by shimtest.Host. What it
// makes goes with the group's network, whose Remove takes the cgroups away.
type Cgroups interface {
	// Bounded says whether the group is held to just the bounds it is to have.
	Bounded(ctx context.Context, want *spec.Group) Presence
	// Limit holds the group to its bounds, and to no others, whatever of it runs. A second call changes nothing.
	Limit(ctx context.Context, want *spec.Group) error
}
