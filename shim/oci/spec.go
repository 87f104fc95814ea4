package oci

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

// ociVersion is the oldest version that has everything we ask for: crun 1.8 refuses the current one.
const ociVersion = "1.0.2"

// ShimGroupAnnotation is containerd's. Containers of the same value are served by one shim process.
const ShimGroupAnnotation = "io.containerd.runc.v2.group"

// An Input is everything an OCI spec depends on. What had to be looked up on the host or in the image is already in it.
type Input struct {
	Group     string
	Container spec.Container
	Image     ocispec.ImageConfig
	User      specs.User        // what the user's name resolved to
	ShimGroup string            // containers of the same value share a shim process
	Netns     string            // path of the group's network namespace
	Cgroup    string            // from the root of the hierarchy
	Volumes   map[string]string // name of a volume -> its directory on the host
	Files     []File            // bound read-only into the container
	Host      HostFacts
}

// A File is a file of the host and where the container sees it.
type File struct{ Source, Path string }

// HostFacts are abilities of the host that a spec may ask for only where they exist.
type HostFacts struct {
	SwapLimit bool     // a limit on swap can be set
	IOWeight  IOWeight // how a share of the disks is set; empty: it can't be
	ResetOOM  bool     // an OOM score can be set to 0 whatever the shim's is
}

// CreateSpec builds a container's OCI spec. It is pure but for the architecture it was compiled for, which chooses among
// system calls. An error is the author's to mend, and a [shim.Problem].
//
// Everything that the group's network rules can't see is shut here: no capability that is a way out, socket families by
// name, no way into another namespace, no device but the harmless ones, and cgroups that can be read only.
func CreateSpec(in Input) (*specs.Spec, error) {
	if in.Netns == "" || in.Cgroup == "" { // a runtime would take a new one, or the shim's
		return nil, fmt.Errorf("container %q without network namespace or cgroup", in.Container.Name)
	}
	process, err := createProcess(in)
	if err != nil {
		return nil, err
	}
	mounts, err := createMounts(in)
	if err != nil {
		return nil, err
	}
	resources, err := createResources(in.Container, in.Host)
	if err != nil {
		return nil, err
	}
	filter, err := createSeccomp(process.Capabilities.Bounding)
	if err != nil {
		return nil, err
	}
	return &specs.Spec{
		Version:     ociVersion,
		Process:     process,
		Root:        &specs.Root{Path: "rootfs"},
		Hostname:    in.Group,
		Mounts:      mounts,
		Annotations: map[string]string{ShimGroupAnnotation: in.ShimGroup},
		Linux: &specs.Linux{
			CgroupsPath: in.Cgroup,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.MountNamespace},
				{Type: specs.CgroupNamespace},
				{Type: specs.NetworkNamespace, Path: in.Netns},
			},
			Resources:     resources,
			Seccomp:       filter,
			MaskedPaths:   maskedPaths,
			ReadonlyPaths: readonlyPaths,
		},
	}, nil
}

// maskedPaths tell of the host, or let it be changed. A path that a kernel doesn't have is passed over.
var maskedPaths = []string{
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
}

// readonlyPaths include the sysctls: those of the network namespace are the group's, and part of its rules. Below the
// cgroups' mount every hierarchy is read-only already; on a host with cgroup v1 runc forgets the folder that holds them.
var readonlyPaths = []string{
	"/proc/bus",
	"/proc/fs",
	"/proc/irq",
	"/proc/sys",
	"/proc/sysrq-trigger",
	"/sys/fs/cgroup",
}
