package spec

import "slices"

// A kind is everything that may stand in one type of block. The keys of kinds are the block types,
// which are unique across the file. fileKind is the file itself.
type kind struct {
	title   string   // for a sentence: "an app block"
	label   string   // the meaning of the one label; "" for a block without a label
	once    bool     // at most one in its parent
	attrs   []string // attributes
	blocks  []string // block types
	anyAttr bool     // the attributes' names are the author's own
	each    bool     // it may have for_each
}

const fileKind = ""

var (
	containerAttrs  = []string{"image", "pull", "command", "args", "env", "env_file", "workdir", "user", "groups", "timezone", "capabilities", "cdi", "init", "read_only", "shm_size", "sysctls", "on_failure"}
	containerBlocks = []string{"signed_by", "mount", "tmpfs", "file", "secret", "device", "probe", "resources", "ulimits", "restart", "stop", "output"}
	containerKinds  = []string{"app", "sidecar", "init", "ambassador"}
)

var kinds = map[string]kind{
	fileKind: {title: "a group file", blocks: []string{"variable", "locals", "group"}},
	"variable": {
		title: "a variable block", label: "the variable's name",
		attrs: []string{"type", "default", "description", "sensitive"}, blocks: []string{"validation"},
	},
	"validation": {title: "a validation block", attrs: []string{"condition", "error_message"}},
	"locals":     {title: "a locals block", anyAttr: true},
	"group": {
		title: "a group block", label: "the group's name", each: true,
		attrs:  []string{"name", "egress", "dns", "labels", "timeout"},
		blocks: []string{"app", "sidecar", "init", "ambassador", "signed_by", "volume", "secret", "network", "resources", "update", "schedule"},
	},
	"app":     {title: "an app block", label: "the container's name", each: true, attrs: slices.Concat(containerAttrs, []string{"after"}), blocks: containerBlocks},
	"sidecar": {title: "a sidecar block", label: "the container's name", each: true, attrs: slices.Concat(containerAttrs, []string{"after"}), blocks: slices.Concat(containerBlocks, []string{"output_of"})},
	"init":    {title: "an init block", label: "the container's name", each: true, attrs: containerAttrs, blocks: containerBlocks},
	"ambassador": {
		title: "an ambassador block", label: "the container's name",
		attrs:  slices.Concat(containerAttrs, []string{"allow", "quota"}),
		blocks: slices.Concat(containerBlocks, []string{"upstream", "publish", "intercept", "rate", "unsafe"}),
	},
	"network":   {title: "a network block", once: true, attrs: []string{"sysctls"}, blocks: []string{"dns"}},
	"dns":       {title: "a dns block", once: true, attrs: []string{"servers"}},
	"update":    {title: "an update block", once: true, attrs: []string{"health_timeout", "auto_revert", "max_ends"}},
	"schedule":  {title: "a schedule block", once: true, attrs: []string{"cron", "timezone", "jitter", "missed"}},
	"volume":    {title: "a volume block", label: "the volume's name", each: true, attrs: []string{"size", "persistent", "host_path", "owner", "mode"}},
	"mount":     {title: "a mount block", label: "the volume's name", each: true, attrs: []string{"path", "read_only", "from_image"}},
	"signed_by": {title: "a signed_by block", attrs: []string{"key", "identity", "bundle"}},
	"tmpfs":     {title: "a tmpfs block", label: "the path in the container", each: true, attrs: []string{"size", "owner", "mode", "exec"}},
	"file":      {title: "a file block", label: "the path in the container", each: true, attrs: []string{"source", "content", "owner", "mode", "reload"}},
	"secret":    {title: "a secret block", label: "the secret's name", each: true, attrs: []string{"file", "credential", "command", "timeout", "owner", "mode", "on_change", "reload"}},
	"device":    {title: "a device block", label: "the device's path on the host", attrs: []string{"to", "access", "optional", "unsafe"}},
	"probe":     {title: "a probe block", label: "its kind (startup, ready or live)", attrs: []string{"http", "tcp", "grpc", "exec", "image", "initial_delay", "start_period", "start_interval", "interval", "timeout", "failures", "successes"}},
	"resources": {title: "a resources block", once: true, attrs: []string{"cpu", "memory", "swap", "pids", "io_weight", "disk", "cpuset"}},
	"restart":   {title: "a restart block", once: true, attrs: []string{"policy", "attempts", "window", "delay", "max_delay"}},
	"ulimits":   {title: "a ulimits block", once: true, attrs: UlimitNames()},
	"stop":      {title: "a stop block", once: true, attrs: []string{"signal", "timeout", "pre_stop"}},
	"output":    {title: "an output block", once: true, attrs: []string{"size", "split", "journal"}},
	"output_of": {title: "an output_of block", once: true, attrs: []string{"path"}},
	"upstream":  {title: "an upstream block", label: "the upstream's name", each: true, attrs: []string{"listen", "hosts"}},
	"publish":   {title: "a publish block", label: "a name", each: true, attrs: []string{"host", "port", "address", "protocol"}},
	"intercept": {title: "an intercept block", once: true, attrs: []string{"port"}},
	"rate":      {title: "a rate block", once: true, attrs: []string{"out", "in"}},
	"unsafe":    {title: "an unsafe block", once: true, attrs: []string{"capabilities"}},
}

// eachKinds returns the block types that may have for_each, sorted.
func eachKinds() (names []string) {
	for name, k := range kinds {
		if k.each {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// parents returns the block types in which the name may stand, sorted.
func parents(name string) []string {
	var in []string
	for parent, k := range kinds {
		if slices.Contains(k.attrs, name) || slices.Contains(k.blocks, name) {
			in = append(in, parent)
		}
	}
	slices.Sort(in)
	return in
}
