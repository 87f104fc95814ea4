package runner

import (
	"context"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An ImageKeeper keeps images on the host independently of their names, so that a generation can be
// restored without a registry. Implemented by ctrd.Client; in memory by hosttest.Host.
type ImageKeeper interface {
	// Retain keeps an image for a generation of a group, in addition to what is retained for it
	// already. It uses the image's Ref and Digest.
	Retain(ctx context.Context, group string, generation int, image host.Image) error
	// Restore makes the image present that a reference meant when it had this digest, even if it
	// means another one now. The error is ErrImageGone if trying again would not help. The context
	// may demand that it is signed: [host.WithSigners].
	Restore(ctx context.Context, ref, digest string) (host.Image, error)
	// Resolve returns the digest that [Runtime].Image would use for a reference now. It pulls and
	// changes nothing. The digest is empty if the image is not present.
	Resolve(ctx context.Context, ref string) (digest string, err error)
	// Hold keeps the image that a reference means, and the one with this digest, from being removed
	// until release is called. The digest may be empty. Hold waits while one of them is being
	// removed.
	Hold(ctx context.Context, ref, digest string) (release func(), err error)
	// Retained returns the generations for which images are retained, by group.
	Retained(ctx context.Context) (map[string][]int, error)
	// Release ends the retention for a generation. The host may then collect images that nothing
	// else retains or names. An absent generation is no error.
	Release(ctx context.Context, group string, generation int) error
}

// A Drift describes what others have changed on the host. Implemented by [network.Drift]; in memory
// by hosttest.Host.
type Drift interface {
	// Describe returns, in an operator's words, what of the part is not as the group wants it: "the
	// host's rules for it".
	Describe(part host.Part, want *spec.Group) []string
}

// Network makes a group's network namespace, its rules and its link. Every method is idempotent: a
// second call with the same group changes nothing. Implemented by [network.Network]; in memory by
// hosttest.Host.
type Network interface {
	// Groups returns the groups that have anything of ours on the host: a pinned namespace, a link,
	// a cgroup. It serves to find orphans.
	Groups(ctx context.Context) ([]string, error)
	// Observe returns what exists for the group. With a nil want it only returns whether anything
	// exists.
	Observe(ctx context.Context, group string, want *spec.Group) host.NetState
	// Seal pins the namespace, raises its loopback and denies everything else.
	Seal(ctx context.Context, group string) error
	// Admit makes the group's cgroups, with one for each container, and puts the wanted policy in
	// force. Then it removes the cgroups that containers of earlier definitions left. With
	// EgressNone it also removes the link that an earlier definition left. As long as that link
	// exists, Observe returns Link Present.
	Admit(ctx context.Context, want *spec.Group) error
	// Connect makes the link, its addresses and routes, and the host's entries (NAT, published
	// ports). It is not called for EgressNone.
	Connect(ctx context.Context, want *spec.Group) error
	// Remove removes link, host entries, namespace and cgroups. What is absent is no error.
	Remove(ctx context.Context, group string) error
}

// Devices looks for the devices of the host that group files name. It opens none. Implemented by
// ctrd.Client.
type Devices interface {
	// CheckDevices returns why a container of the group can't have its devices now: the host
	// doesn't have one, or no container gets it. Create asks again.
	CheckDevices(g *spec.Group, c spec.Container) error
	// DeviceNotes returns a line for each device of the group's containers: what it is now.
	DeviceNotes(g *spec.Group) []string
}

// Volumes makes the group's shared directories. Implemented by [volumes.Volumes]; in memory by
// hosttest.Host.
type Volumes interface {
	// Observe returns the group's mounted volumes, with the owner and mode that each was last
	// given. The size is that of the mount: the wanted one, or rounded up to pages. A host path is
	// the wanted one if that folder is mounted, else another.
	Observe(ctx context.Context, group string, want *spec.Group) ([]spec.Volume, error)
	// Check returns why the group cannot have its volumes on this host. It makes nothing. A nil
	// error means that it can, or that Ensure decides.
	Check(ctx context.Context, want *spec.Group) error
	// Outdated returns, for each container with a process in pids, the volumes that it has an
	// earlier mount of: another one than new containers get. A volume is left out if it is not
	// mounted now, or if its mount in the container can't be found.
	Outdated(ctx context.Context, want *spec.Group, pids map[string]uint32) (map[string][]string, error)
	// Ensure mounts a volume of the group, or gives a mounted one its size, owner and mode. The
	// contents of a mounted volume stay. A persistent volume also keeps the contents of its last
	// mount. users are processes of the containers that mount the volume. If others have unmounted
	// an ephemeral one, and a user still has it, that one is mounted again, with its contents.
	Ensure(ctx context.Context, want *spec.Group, v spec.Volume, users []uint32) error
	// Remove unmounts one volume. An absent one is no error.
	Remove(ctx context.Context, group, volume string) error
	// Discard deletes the contents of the group's persistent volumes. None of them is mounted.
	// Nothing else deletes them. Absent volumes are no error.
	Discard(ctx context.Context, group string) error
	// Groups returns the groups that have any volumes. It serves to find orphans.
	Groups(ctx context.Context) ([]string, error)
}

// Secrets holds the values of groups' secrets. Implemented by [secrets.Secrets].
type Secrets interface {
	// Observe returns what is held for the group. It reads no value from its source. A nil want has
	// no secrets.
	Observe(ctx context.Context, group string, want *spec.Group) (host.Secrets, error)
	// Hold reads the secrets of these names, and those that are not held, and holds their values.
	// Containers that have a value at [spec.SecretsPath] see the new one at once. One that can't be
	// read again stays as it is, and is among the Problems of the next observation. The error is
	// for those that have no value yet. No error has any part of a value.
	Hold(ctx context.Context, want *spec.Group, names []string) (host.SecretsRead, error)
	// Remove ends what is held for the group. Nothing held is no error.
	Remove(ctx context.Context, group string) error
	// Groups returns the groups for which anything is held. It serves to find orphans.
	Groups(ctx context.Context) ([]string, error)
}

// Runtime runs containers. Every call has a deadline of its own. Errors that an operator can act on
// are [*hint.Error]. Implemented by ctrd.Client; in memory by hosttest.Host.
type Runtime interface {
	// Image makes the image present and returns what it resolved to. It pulls or imports only a
	// missing image. The context may demand that it is signed: [host.WithSigners].
	Image(ctx context.Context, ref string) (host.Image, error)
	// Observe returns our containers of one group, or of every group if group is "". An error means
	// that they are unknown.
	Observe(ctx context.Context, group string) ([]host.ContainerState, error)
	// Create makes a container ready to start: everything is set up and checked, and no program has
	// run. A container of the same id without a task is replaced. A container whose program runs,
	// or is ready to, stays as it is, and Create fails. After a failure nothing of the container is
	// left.
	//
	// The promise of a group rests on Create. From its first instruction the program of a container
	//   - is in the group's network namespace, the pinned one. Create fails without it.
	//   - is in the cgroup that [layout.Layout.CgroupPath] names for it. The rules recognise the
	//     ambassador by its cgroup.
	//   - sees the volumes that it mounts, and can't write those that it mounts read-only. Create
	//     fails if one of them is missing.
	//   - prints to the file that [layout.Layout.LogPath] names. With split output its standard
	//     error goes to that of [layout.Layout.ErrLogPath].
	//   - reads the group's log folder if it is given its group's output, as any user, and can't
	//     write there.
	//   - can't do what the rules can't see. Package promise has the list. Create refuses a
	//     container that asks for it.
	//
	// Package hosttest/contract holds every implementation to this.
	//
	// Create also refuses a container with SignedBy, unless the host has a proof that one of those
	// has signed the image. It asks no registry.
	Create(ctx context.Context, c host.CreateRequest) error
	// Start runs the program of a created container.
	Start(ctx context.Context, group, container string) error
	// Reload shows the program of a running container other contents of its files: of those with a
	// Reload that are not in what it has loaded. At each moment the program can read a file's old
	// contents or the new ones, and never a part. Files whose secrets have other values than the
	// program was given are among them. Then it sends the signals of the files, and of such
	// secrets, to the container's first process, each once. c is the wanted definition, and has the
	// Digest of the container. As long as a call has not succeeded, Observe does not return c's
	// Loaded, and another call sends the signals again. Without such files it does nothing. A
	// program that would not notice a signal keeps its files, and the call fails. The error is
	// host.ErrEnded if the container does not run.
	Reload(ctx context.Context, group string, c spec.Container) error
	// Stop signals, waits up to the grace period, kills, and waits for the end. A stopped or absent
	// container is no error.
	Stop(ctx context.Context, group, container string, stop spec.Stop) error
	// Remove deletes task (killing it if need be), container and snapshot. An absent container is
	// no error.
	Remove(ctx context.Context, group, container string) error
}

// Cgroups enforces the limits on a whole group. Network.Remove removes the cgroups together with
// the group's network. Implemented by [cgroups.Cgroups]; in memory by hosttest.Host.
type Cgroups interface {
	// Limited reports whether exactly the wanted limits are in force.
	Limited(ctx context.Context, want *spec.Group) host.Presence
	// Limit puts the group's limits in force, and no others, independently of what runs. A second
	// call changes nothing.
	Limit(ctx context.Context, want *spec.Group) error
}
