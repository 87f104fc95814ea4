package spec

import (
	"cmp"
	"slices"
	"time"
)

// A Role is a container's part in its group.
type Role string

// The roles. Every container but the ambassador is a member: it reaches nothing outside the group.
const (
	Ambassador Role = "ambassador"
	Init       Role = "init"
	Sidecar    Role = "sidecar"
	App        Role = "app"
)

// Egress is which containers of a group may exchange packets with the world.
type Egress string

const (
	EgressAmbassador Egress = "ambassador" // only the ambassador; the default if there is one
	EgressNone       Egress = "none"       // no container: the group has no link at all
	EgressDirect     Egress = "direct"     // every container: the sidecar pattern alone
)

// DNS is which container answers when a member looks up a name that is not in its /etc/hosts.
type DNS string

const (
	DNSNone       DNS = ""           // none, the default: "none" in the file
	DNSAmbassador DNS = "ambassador" // the ambassador, on 127.0.0.1 port 53
)

// A Group is one validated, normalised `group` block. It depends on nothing but the bytes it was
// read from, and the files that it names are inside it. It survives encoding/json both ways, so the
// last good definition is kept as JSON. Containers of one role are in the order of the file.
type Group struct {
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels,omitempty"`
	Egress     Egress            `json:"egress"`
	DNS        DNS               `json:"dns,omitempty"` // who answers the members' DNS queries
	Network    Network           `json:"network,omitzero"`
	Containers []Container       `json:"containers"` // start order: ambassador, inits, sidecars, apps
	Volumes    []Volume          `json:"volumes,omitempty"`
	Secrets    []Secret          `json:"secrets,omitempty"`  // sorted by name
	Resources  Resources         `json:"resources,omitzero"` // limits on all containers together; no defaults
	Update     Update            `json:"update,omitzero"`
	// Timeout is how long a run of the job may take. Zero means as long as it likes. Only a job has
	// one: a group whose apps all end.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Schedule makes the group a template for runs. Nil means that the group runs
	// itself.
	Schedule *Schedule `json:"schedule,omitempty"`
	Digest   string    `json:"digest"` // over everything above; a different digest is a different generation
	Pos      Pos       `json:"pos"`    // the place of the block; no part of the digest

	// Variables are those of the file that the block refers to, sorted. They are no part of the
	// digest: two groups that differ in them alone are the same.
	Variables []Variable `json:"variables,omitempty"`
	// Sensitive are the parts of containers that are computed from a sensitive variable, or come
	// from an environment file, sorted: "web.env.TOKEN", "web.args", "web.file./etc/token". They
	// are no part of the digest.
	Sensitive []string `json:"sensitive,omitempty"`
}

// A Container is one app, sidecar, init or ambassador block.
type Container struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Image is a reference, or oci-archive:/abs/path.tar, docker-archive:/abs/path.tar or
	// oci:/abs/folder. The name of an image in there may follow, behind a colon.
	Image string `json:"image"`
	Pull  Pull   `json:"pull,omitempty"`
	// SignedBy are those who may have signed the image: one suffices. Nil means that it needs no
	// signature.
	SignedBy []Signer          `json:"signed_by,omitempty"`
	Command  []string          `json:"command,omitempty"` // replaces the image's entrypoint; nil keeps it
	Args     []string          `json:"args,omitempty"`    // replaces the image's cmd; nil keeps it without Command
	Env      map[string]string `json:"env,omitempty"`
	WorkDir  string            `json:"workdir,omitempty"`
	// User is "uid", "uid:gid" or names from the image. It is empty to keep the image's.
	User string `json:"user,omitempty"`
	// Groups are the user's groups beside its own and those that the image gives it: numbers or
	// names from the image, sorted.
	Groups []string `json:"groups,omitempty"`
	// Timezone is an IANA name. Empty keeps the image's.
	Timezone string `json:"timezone,omitempty"`
	// Capabilities are the container's exact set, in the form "CHOWN", and none of them is a way
	// out. nil means [DefaultCapabilities].
	Capabilities []string `json:"capabilities"`
	// Init means that the first process is Sallyport's, which starts the program, passes signals on
	// and waits for processes whose parents have ended.
	Init bool `json:"init,omitempty"`
	// ReadOnly means that nothing can be written to the root file system. Mounts, Tmpfs, /dev/shm
	// and the rest of /dev stay as they are.
	ReadOnly  bool        `json:"read_only,omitempty"`
	Mounts    []Mount     `json:"mounts,omitempty"`
	Tmpfs     []Tmpfs     `json:"tmpfs,omitempty"`
	Files     []File      `json:"files,omitempty"`
	Secrets   []SecretUse `json:"secrets,omitempty"` // sorted by name
	Devices   []Device    `json:"devices,omitempty"`
	CDI       []string    `json:"cdi,omitempty"`      // names of devices in the host's CDI specs, sorted
	ShmSize   int64       `json:"shm_size,omitempty"` // of /dev/shm, in bytes; 0: [DefaultSharedMemory]
	Resources Resources   `json:"resources,omitzero"`
	Ulimits   []Ulimit    `json:"ulimits,omitempty"` // sorted by name; those without a line have a default
	// Sysctls are settings of the container's IPC namespace, by their names: [ContainerSysctls].
	Sysctls   map[string]string `json:"sysctls,omitempty"`
	Restart   Restart           `json:"restart,omitzero"`
	OnFailure OnFailure         `json:"on_failure,omitempty"`
	Stop      Stop              `json:"stop,omitzero"`
	Probes    []Probe           `json:"probes,omitempty"`
	// After are the others of its role to be ready before this one starts, sorted. Only a sidecar
	// and an app have them.
	After  []string `json:"after,omitempty"`
	Output Output   `json:"output,omitzero"`
	// OutputOf is where the container finds the folder with its group's output, read-only. It is an
	// absolute path, or empty. Only a sidecar has one.
	OutputOf string `json:"output_of,omitempty"`

	Door // only in the ambassador; zero in a member

	// Digest is over everything that can't change while the container runs. That is everything
	// above except Pull, SignedBy, Restart, OnFailure, Stop, Probes, After and the Output's Size
	// and Journal, and the part of the Door that [Door.Fixed] drops. It is also the definition of
	// each volume that the container mounts, and the contents of its /etc/hosts and
	// /etc/resolv.conf that come from the file. Of a bound on disk it has only whether there is
	// one. Of a File with a Reload it has neither the Content nor the signal. Of a secret it has
	// neither where the value comes from nor the answer to another one. A different digest means
	// that the container is replaced.
	Digest string `json:"digest"`
}

// A Door is everything that only an ambassador has: how traffic passes the group's border. Its JSON
// is flat, among the container's. The order of the fields is part of the digests. For a new field
// decide whether [Door.Fixed], [Door.Shown] and [Door.Limits] need it; tests fail until status,
// plan and digest have it.
type Door struct {
	Upstreams []Upstream `json:"upstreams,omitempty"`
	Publish   []Publish  `json:"publish,omitempty"`
	Allow     AllowList  `json:"allow,omitzero"`
	Intercept uint16     `json:"intercept,omitempty"` // port that the members' outbound TCP is led to; 0: none is
	Rate      Rate       `json:"rate,omitzero"`
	Quota     int64      `json:"quota,omitempty"` // bytes, both ways together; 0: no bound
	Unsafe    Unsafe     `json:"unsafe,omitzero"`
	// PingGroups is net.ipv4.ping_group_range: the first and the last group of users whose
	// processes in the ambassador may ping, as "0 2147483647". Empty means that none may.
	PingGroups string `json:"ping_groups,omitempty"`
}

// ID returns the container's id in containerd: group, dot, name. The limits on both names keep it
// to 76 characters.
func ID(group, container string) string { return group + "." + container }

// A Mount puts a volume of the group into a container.
type Mount struct {
	Volume   string `json:"volume"`
	Path     string `json:"path"` // absolute, in the container
	ReadOnly bool   `json:"read_only,omitempty"`
	// FromImage means that the volume, while it is empty, gets what the container's image has at
	// Path.
	FromImage bool `json:"from_image,omitempty"`
}

// A Tmpfs is a file system in memory that one container has for itself. It is empty whenever the
// container is started. What is in it counts in the container's memory.
type Tmpfs struct {
	Path  string `json:"path"`            // absolute, in the container
	Size  int64  `json:"size"`            // bytes; the decoder fills in the default of 64 MiB
	Owner string `json:"owner,omitempty"` // "uid:gid" in numbers; empty: root
	Mode  uint32 `json:"mode,omitempty"`  // permission bits; 0: 1777 without an owner, 0750 with one
	Exec  bool   `json:"exec,omitempty"`  // programs in it can be started
}

// A Device is a device of the host that a container can open. Which one the path leads to is
// decided whenever the container is created, by what the kernel has there.
type Device struct {
	// Path is on the host: absolute, clean, below /dev. It may be a link such as those in
	// /dev/serial/by-id.
	Path string `json:"path"`
	To   string `json:"to,omitempty"` // in the container, below /dev; empty: the Path
	// Access is "r", "w" or "rw". Empty means all that a container can have of its kind.
	Access string `json:"access,omitempty"`
	// Optional means that the container runs without the device if the host doesn't have it.
	Optional bool `json:"optional,omitempty"`
	// Unsafe means that the operator knows that the device may be a modem.
	Unsafe bool `json:"unsafe,omitempty"`
}

// A File is a file of the group file that is placed read-only into a container.
type File struct {
	Path string `json:"path"` // absolute, in the container
	// Content has a placeholder where one of the Secrets stands: see [File.Render].
	Content []byte   `json:"content"`
	Secrets []string `json:"secrets,omitempty"` // sorted
	Mode    uint32   `json:"mode,omitempty"`    // permission bits; 0 means 0444, and 0400 with Secrets
	// Owner is "user" or "user:group", in numbers or by names from the image. Empty means root, and
	// with Secrets the user that the container runs as.
	Owner string `json:"owner,omitempty"`
	// Reload is the signal that a running program gets when Content has changed: "SIGHUP". Empty
	// means that the change replaces the container.
	Reload string `json:"reload,omitempty"`
	// Sum is a checksum of Content. It is empty without a Reload.
	Sum string `json:"sum,omitempty"`
}

// Resources limit one container, or all of a group together. Zero means no limit, except for a
// container's PIDs, whose default the decoder fills in.
type Resources struct {
	CPU      float64 `json:"cpu,omitempty"`    // cores
	Memory   int64   `json:"memory,omitempty"` // bytes
	Swap     *int64  `json:"swap,omitempty"`   // bytes of swap beside the memory; nil: no limit
	PIDs     int64   `json:"pids,omitempty"`
	IOWeight uint16  `json:"io_weight,omitempty"` // 1 to 10000; 0: the kernel's default, which is 100
	// Disk bounds what a container writes to its root file system, in bytes. A group has none.
	Disk int64 `json:"disk,omitempty"`
	// CPUSet is which processors of the host a container runs on: "0-3,6". Empty means any. A group
	// has none.
	CPUSet string `json:"cpuset,omitempty"`
}

// RestartPolicy is when an ended container is started again.
type RestartPolicy string

const (
	RestartAlways    RestartPolicy = "always"     // the default
	RestartOnFailure RestartPolicy = "on-failure" // exit status other than 0, or a signal
	RestartNever     RestartPolicy = "never"
)

// Restart is a container's `restart` block.
type Restart struct {
	Policy RestartPolicy `json:"policy,omitempty"` // the decoder fills in the default
	// Attempts is how often it is started again in a row. Zero means without end.
	Attempts int `json:"attempts,omitempty"`
	// Window is how long a run has to be to end the row. Zero means ten minutes.
	Window time.Duration `json:"window,omitempty"`
	// Delay is the wait before the first start of a row, and MaxDelay the longest. Zero means one
	// second and one minute, or the Delay if that is longer.
	Delay    time.Duration `json:"delay,omitempty"`
	MaxDelay time.Duration `json:"max_delay,omitempty"`
}

// OnFailure is the effect of a container's failure on its group. A failure is an end with a status
// other than 0.
type OnFailure string

const (
	// FailureRestarts means that the restart policy decides, and the group is degraded meanwhile.
	// It is "restart" in the file.
	FailureRestarts OnFailure = ""
	// FailureStopsGroup means that the whole group is stopped until it is started or applied again.
	FailureStopsGroup OnFailure = "stop-group"
	// FailureIgnored means that the restart policy decides, and the group counts as whole without
	// the container. An ambassador never has it.
	FailureIgnored OnFailure = "ignore"
)

// Update is a group's `update` block. It is zero for a group without one.
type Update struct {
	// HealthTimeout is how long a new generation may take to be ready. Zero means no limit.
	HealthTimeout time.Duration `json:"health_timeout,omitempty"`
	// AutoRevert means that the generation before is put back if a new one isn't ready in time.
	AutoRevert bool `json:"auto_revert,omitempty"`
	// MaxEnds is how often one container may end before its generation is given up, although it
	// has time left. Zero means 3: see [Update.MostEnds].
	MaxEnds int `json:"max_ends,omitempty"`
}

// MostEnds returns at which end of one container its generation is given up. The default is 3, so
// after the restarts that follow in one and two seconds. Each further one would take twice as long.
func (u Update) MostEnds() int { return cmp.Or(u.MaxEnds, 3) }

// Stop is a container's `stop` block. The decoder fills in the default timeout of 10 s.
type Stop struct {
	Signal  string        `json:"signal,omitempty"` // "SIGTERM"; empty: the image's, else SIGTERM
	Timeout time.Duration `json:"timeout,omitempty"`
	// PreStop is a command that runs in the container before it is signalled, within the Timeout.
	// Nil means that there is none.
	PreStop []string `json:"pre_stop,omitempty"`
}

// keptGrace is how much of a Timeout is left for the program at least, after its PreStop.
const keptGrace = 2 * time.Second

// PreStopTime returns how long the PreStop may run: the Timeout but for two seconds, and half of it
// at least.
func (s Stop) PreStopTime() time.Duration { return max(s.Timeout-keptGrace, s.Timeout/2) }

// Output is a container's `output` block: what becomes of what its program prints.
type Output struct {
	// Size is how much of it is kept, in bytes. Zero means the daemon's default.
	Size int64 `json:"size,omitempty"`
	// Split means that standard error has a file of its own.
	Split bool `json:"split,omitempty"`
	// Journal means that systemd's journal gets it as well.
	Journal bool `json:"journal,omitempty"`
}

// A Volume is shared by the group's containers. It is ephemeral, a tmpfs that lives as long as the
// group, unless it is Persistent or has a HostPath. A HostPath is mounted as it is, so Owner and
// Mode are zero.
type Volume struct {
	Name string `json:"name"`
	// Size is how many bytes an ephemeral or persistent volume can hold. The decoder fills in the
	// default of an ephemeral one, 64 MiB. A persistent one with 0 has no bound.
	Size       int64  `json:"size,omitempty"`
	Persistent bool   `json:"persistent,omitempty"` // a folder under the state directory, kept until "rm --volumes"
	HostPath   string `json:"host_path,omitempty"`  // an existing folder of the host, absolute and clean
	Owner      string `json:"owner,omitempty"`      // "uid:gid" in numbers, or names: see NamesOwner; empty: root
	Mode       uint32 `json:"mode,omitempty"`       // permission bits; 0: 1777 without an owner, 0750 with one
}

// An Upstream is an address on the group's loopback at which the ambassador serves something of the
// world to the members. In the group file ${upstream.NAME} becomes 127.0.0.1:LISTEN. Its name and
// its Hosts are in the members' /etc/hosts.
type Upstream struct {
	Name   string   `json:"name"`
	Listen uint16   `json:"listen"`
	Hosts  []string `json:"hosts,omitempty"` // lower case, sorted; "payments.example.com"
}

// A Rate limits the traffic through the door, in bits per second. Zero means no limit.
type Rate struct {
	Out int64 `json:"out,omitempty"`
	In  int64 `json:"in,omitempty"`
}

// Network is a group's `network` block.
type Network struct {
	// Servers are the ambassador's resolvers. nil means those of the host.
	Servers []string `json:"servers,omitempty"`
	// Sysctls are settings of the group's network namespace, by their names: [GroupSysctls].
	Sysctls map[string]string `json:"sysctls,omitempty"`
}

// Unsafe is an ambassador's `unsafe` block: the protections that an operator gives up knowingly.
// Plan, status and doctor show them.
type Unsafe struct {
	Capabilities []string `json:"capabilities,omitempty"` // NET_ADMIN, NET_RAW; on top of the container's set
}

// A Publish is a port of the host that leads to the ambassador, or a range of them.
type Publish struct {
	Name     string `json:"name"`
	Address  string `json:"address,omitempty"` // of the host, v4 or v6; empty: every address of both families
	Host     uint16 `json:"host"`
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"` // "tcp" or "udp"
	// Count is the number of ports of a range that begins with Host on the host, and with Port in
	// the ambassador. Zero means one port that is no range.
	Count uint16 `json:"count,omitempty"`
}

// An Allow is one destination to which the ambassador may open flows: "203.0.113.0/24:443/tcp",
// "[2001:db8::]/32:443/tcp", "198.51.100.53:53/udp". The port "*" is any port.
type Allow struct {
	Prefix   string `json:"prefix"`         // CIDR, masked
	Port     uint16 `json:"port,omitempty"` // 0: any
	Protocol string `json:"protocol"`       // "tcp" or "udp"
}

// A Pos is a place in a group file.
type Pos struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// Ambassador returns the group's ambassador, or nil.
func (g *Group) Ambassador() *Container {
	for i := range g.Containers {
		if g.Containers[i].Role == Ambassador {
			return &g.Containers[i]
		}
	}
	return nil
}

// Door returns the ambassador's Door. It is zero in a group without an ambassador.
func (g *Group) Door() Door {
	if a := g.Ambassador(); a != nil {
		return a.Door
	}
	return Door{}
}

// UpstreamNames returns the names by which the members find the ambassador, sorted: those of the
// upstreams, and their hosts.
func (g *Group) UpstreamNames() []string {
	var names []string
	for _, u := range g.Door().Upstreams {
		names = append(append(names, u.Name), u.Hosts...)
	}
	slices.Sort(names)
	return names
}

// Bounded reports whether the group file bounds a root file system or a persistent volume.
func (g *Group) Bounded() bool {
	return g.BoundedDisk() || slices.ContainsFunc(g.Volumes, func(v Volume) bool { return v.Persistent && v.Size != 0 })
}

// BoundedDisk reports whether the group file bounds a container's root file system.
func (g *Group) BoundedDisk() bool {
	return slices.ContainsFunc(g.Containers, func(c Container) bool { return c.Resources.Disk != 0 })
}

// Container returns the container of that name, or nil.
func (g *Group) Container(name string) *Container {
	for i := range g.Containers {
		if g.Containers[i].Name == name {
			return &g.Containers[i]
		}
	}
	return nil
}

// SharesOutput reports whether one of the containers is given the group's output.
func (g *Group) SharesOutput() bool {
	return slices.ContainsFunc(g.Containers, func(c Container) bool { return c.OutputOf != "" })
}

// The kinds of probes.
const (
	ProbeStartup = "startup" // the program has begun to work; the other probes wait for it
	ProbeReady   = "ready"   // it can serve now
	ProbeLive    = "live"    // it is not stuck
)

// A Probe is a container's `probe` block, with Kubernetes' terms and meanings. Exactly one of HTTP,
// TCP, GRPC, Exec and Image is set. The decoder fills in Kubernetes' defaults: a try each 10 s, a
// timeout of 1 s; 3 failures in a row or 1 success. With Image a zero time or count, but for
// InitialDelay, is that of the image's HEALTHCHECK.
type Probe struct {
	Kind         string        `json:"kind"` // ProbeStartup, ProbeReady or ProbeLive
	HTTP         *HTTPProbe    `json:"http,omitempty"`
	TCP          *TCPProbe     `json:"tcp,omitempty"`
	GRPC         *GRPCProbe    `json:"grpc,omitempty"`
	Exec         []string      `json:"exec,omitempty"`
	Image        bool          `json:"image,omitempty"` // the test is the image's HEALTHCHECK
	InitialDelay time.Duration `json:"initial_delay,omitempty"`
	// StartPeriod is how long after the container's start a failure doesn't count. StartInterval is
	// the longest pause between two tries in that time. Zero means 5 s.
	StartPeriod   time.Duration `json:"start_period,omitempty"`
	StartInterval time.Duration `json:"start_interval,omitempty"`
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	Failures      int           `json:"failures,omitempty"`
	Successes     int           `json:"successes,omitempty"`
}

// AsksImage reports whether one of the container's probes has the test of the image's HEALTHCHECK.
func (c Container) AsksImage() bool {
	return slices.ContainsFunc(c.Probes, func(p Probe) bool { return p.Image })
}

// An HTTPProbe succeeds on a status from 200 to 399.
type HTTPProbe struct {
	Port   uint16 `json:"port"`
	Path   string `json:"path,omitempty"`   // begins with a slash; the decoder fills in "/"
	HTTPS  bool   `json:"https,omitempty"`  // over TLS; the certificate is not verified
	Method string `json:"method,omitempty"` // empty: GET
	// Host is the request's Host, and the name of the server for TLS if it is a name:
	// "shop.example" or "shop.example:8443". Empty means 127.0.0.1 and the port.
	Host    string            `json:"host,omitempty"`
	Headers map[string]string `json:"headers,omitempty"` // by canonical name; never Host
}

// A TCPProbe succeeds when a connection is accepted.
type TCPProbe struct {
	Port uint16 `json:"port"`
}

// A GRPCProbe succeeds when the health service answers SERVING.
type GRPCProbe struct {
	Port    uint16 `json:"port"`
	Service string `json:"service,omitempty"`
}
