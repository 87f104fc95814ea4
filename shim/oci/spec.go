package oci

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/promise"
	"github.com/sallyport/sallyport/spec"
)

// ociVersion is the oldest version that has everything we ask for. crun 1.8 refuses the current
// one.
const ociVersion = "1.0.2"

// ShimGroupAnnotation is containerd's. Containers of the same value are served by one shim process.
const ShimGroupAnnotation = "io.containerd.runc.v2.group"

// An Input is everything that an OCI spec depends on. What has to be looked up on the host or in
// the image is in it already.
type Input struct {
	Group     string
	Container spec.Container
	Image     ocispec.ImageConfig
	User      specs.User        // as the image resolves the user's name
	ShimGroup string            // containers of the same value share a shim process
	Netns     string            // path of the group's network namespace
	Cgroup    string            // from the root of the hierarchy
	Volumes   map[string]string // name of a volume -> its directory on the host
	Output    string            // folder with the group's output, for a container that is given it
	Secrets   string            // folder with the secrets that the container is given; empty: none
	Files     []File            // bound read-only into the container
	Devices   []Device          // that the container can open
	CDI       CDI               // what the host's CDI specs give it
	Leaves    bool              // the container exchanges packets with the world by itself
	Init      File              // required for a container with Init: the program that is its first process
	Modes     Modes             // required for a container that has a tmpfs
	Host      HostFacts
}

// A File is a file of the host and where the container sees it.
type File struct{ Source, Path string }

// HostFacts are abilities of the host that a spec may ask for only if they exist, and its limits.
type HostFacts struct {
	SwapLimit bool // a limit on swap can be set
	ResetOOM  bool // an OOM score can be set to 0 even if the shim's is lower

	// The host's limits on counts that containers share with it, see [sharedLimits]. Zero means
	// that it has none.
	PendingSignals uint64
	QueueBytes     uint64 // of POSIX message queues

	AppArmor string // the profile of containers, which is loaded; empty: none

	CPUs string // that are online: "0-3"; empty: unknown

	// Highest has the hard limits that a runtime can't set a higher one than, by the names of
	// [spec.UlimitNames]. One that is absent has no such limit.
	Highest map[string]uint64
}

// CreateSpec builds a container's OCI spec. It is pure, but for the architecture that it was
// compiled for, which chooses among system calls. If the author of the group file can mend an
// error, it is a [hint.Error].
//
// [promise.Edit] shuts everything that the group's network rules can't see. It has the last word on
// the spec.
func CreateSpec(in Input) (*specs.Spec, error) {
	if in.Netns == "" || in.Cgroup == "" { // a runtime would take a new one, or the shim's
		return nil, fmt.Errorf("container %q without network namespace or cgroup", in.Container.Name)
	}
	process, err := createProcess(in)
	if err != nil {
		return nil, err
	}
	mounts, own, err := createMounts(in)
	if err != nil {
		return nil, err
	}
	resources, err := createResources(in.Container, in.Host)
	if err != nil {
		return nil, err
	}
	filter, err := dockerFilter(process.Capabilities.Bounding)
	if err != nil {
		return nil, err
	}
	nodes, devices, err := createDevices(in)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version:     ociVersion,
		Process:     process,
		Root:        &specs.Root{Path: "rootfs", Readonly: in.Container.ReadOnly},
		Hostname:    in.Group,
		Mounts:      mounts,
		Annotations: map[string]string{ShimGroupAnnotation: in.ShimGroup},
		Linux: &specs.Linux{
			Namespaces: append(promise.PrivateNamespaces(), specs.LinuxNamespace{Type: specs.NetworkNamespace}),
			Resources:  resources,
			Devices:    nodes,
			Sysctl:     in.Container.Sysctls,
			Seccomp:    filter,
		},
	}
	policy := promise.Policy{Netns: in.Netns, Cgroup: in.Cgroup, Unsafe: in.Container.Unsafe.Capabilities, Own: own, Devices: devices, Leaves: in.Leaves}
	if err := promise.Edit(s, policy); err != nil {
		return nil, fmt.Errorf("container %q: %w", in.Container.Name, err)
	}
	return s, nil
}
