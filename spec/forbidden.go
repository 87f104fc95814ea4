package spec

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// takenAway are the features of other systems that the rules of a group's namespace can't see. See
// netns/egress/RULES.md, section "What the rules can't see is taken away". A group file that asks
// for one gets the reason, under every name that other systems use, in any spelling: hostNetwork is
// host_network here.
var takenAway = []struct {
	names []string
	why   string
}{
	{
		[]string{"privileged", "allow_privilege_escalation", "no_new_privileges", "no_new_privs"},
		"A privileged process holds CAP_NET_RAW, CAP_NET_ADMIN and every other way around the group's rules. So no container of a group runs as one, and none can become one: no_new_privs is set for all of them. Leave the line out.",
	},
	{
		[]string{"network_mode", "host_network", "net", "networks", "netns", "network_namespace"},
		sharedNetwork,
	},
	{
		[]string{"pid", "pid_mode", "host_pid", "pid_namespace", "share_process_namespace"},
		"Each container has a PID namespace of its own. A process that sees the ambassador's processes can take over their sockets (ptrace, pidfd_getfd) and leave through them.",
	},
	{
		[]string{"ipc", "ipc_mode", "host_ipc", "ipc_namespace"},
		"Each container has an IPC namespace of its own. Memory shared with processes outside the group is a way out that no rule sees. Share files through a volume instead.",
	},
	{
		[]string{"uts", "uts_mode", "host_uts", "uts_namespace"},
		"Each container has a UTS namespace of its own, not the host's. No rule sees what is shared with processes outside the group. Its host name is its group's name.",
	},
	{
		[]string{"userns", "userns_mode", "user_namespace", "user_ns", "host_users", "uid_map", "gid_map", "sub_uid_map", "sub_gid_map"},
		"A group file can't choose user namespaces. With the containerd and runc of distributions, volumes and files would be nobody's in one, and each image would be copied. All capabilities that are a way around the group's rules are taken away already.",
	},
	{
		[]string{"cgroup", "cgroups", "cgroup_parent", "cgroup_namespace", "cgroupns", "cgroupns_mode", "cgroups_mode"},
		"The cgroup is how the kernel tells the ambassador from the members. A container that chose its own could pass for the ambassador.",
	},
	{
		[]string{"device_cgroup_rules", "volume_devices"},
		"A device can be a way out that no rule sees: tun, vhost, vsock, a modem, a raw disk. So a container opens the devices of its device blocks, and no others.",
	},
	{
		addsCapabilities,
		"Capabilities are not added to a set. The attribute capabilities lists all that a container has. NET_RAW, NET_ADMIN, SYS_ADMIN, SYS_PTRACE and their like are never in it: they are ways around the group's rules.",
	},
	{
		[]string{"security_opt", "seccomp", "seccomp_profile"},
		"The seccomp filter is part of the promise: it keeps the socket families away (packet, vsock, and others) that pass by the group's rules. It can't be replaced or switched off. no_new_privs is always set, so leave that out.",
	},
	{
		[]string{"apparmor", "app_armor", "apparmor_profile", "app_armor_profile", "selinux_opts", "se_linux_options", "se_linux_change_policy", "security_label_disable", "security_label_type", "security_label_level", "security_label_file_type", "security_label_nested"},
		"A group file can't choose an AppArmor profile or an SELinux label. What keeps a container inside its group is the same for each: its namespaces, its capabilities, its seccomp filter and the group's rules.",
	},
	{
		[]string{"runtime", "runtime_class", "runtime_class_name", "isolation"},
		"A runtime with a network stack or a kernel of its own (gVisor, Kata) sends its packets where the group's rules can't tell who sent them. Every container runs under runc.",
	},
	{
		[]string{"sysctl"},
		"The network settings of a group's namespace are part of its rules, so /proc/sys is read-only for every container, and a group file sets only a few of them: sysctls = { ... }.",
	},
	{
		[]string{"proc_mount", "mask", "unmask", "masked_paths", "readonly_paths"},
		"Some files below /proc and /sys are hidden or read-only, which keeps a container inside its group: the network settings and the cgroup tree are there. It is the same for every container.",
	},
	{
		[]string{"use_api_socket", "docker_socket", "podman_socket"},
		"A process that talks to the control socket of containerd, docker or podman can start processes outside the group. No container of a group gets it.",
	},
	{
		[]string{"volumes_from", "external_links", "links"},
		"A group shares nothing with containers outside of it but what goes through its ambassador.",
	},
}

// addsCapabilities are the names by which other systems add capabilities to their default set.
var addsCapabilities = []string{"cap_add", "add_capabilities", "add_capability"}

const sharedNetwork = "The containers of a group share a network namespace of the group's own: its rules keep the members in. In the host's namespace, or another one, there are no such rules."

// networkChoices are the attributes by which other systems' network blocks choose a namespace.
var networkChoices = []string{"mode", "driver", "external", "name"}

// hostPaths are other systems' names for mounts of the host's files.
var hostPaths = []string{"volumes", "volume", "binds", "bind", "mounts", "host_path", "host", "source", "src", "path"}

// forbidden returns why a name can't be in a group. It returns "" for a name that is not forbidden.
func forbidden(parent, name string, value hclsyntax.Expression) string {
	if parent == fileKind || kinds[parent].anyAttr || parent == "variable" {
		return ""
	}
	name = canonical(name)
	if why := TakenAway(name); why != "" {
		if parent == string(Ambassador) && slices.Contains(addsCapabilities, name) {
			why += ` Only the ambassador can have two of them, if you give that up knowingly: unsafe { capabilities = ["NET_ADMIN", "NET_RAW"] }.`
		}
		return why
	}
	switch {
	case slices.Contains(deviceWords, name):
		for _, s := range literals(value) {
			if why := RefusedDevice(strings.Split(s, ":")[0]); why != "" {
				return why
			}
		}
	case name == "network" && (parent != "group" || value != nil): // a group's network block is allowed
		return sharedNetwork
	case parent == "network" && slices.Contains(networkChoices, name):
		return sharedNetwork
	case slices.Contains(hostPaths, name) && parent != "probe": // there, a path is one of a URL
		for _, s := range literals(value) {
			if why := wayOut(strings.Split(s, ":")[0]); why != "" {
				return why
			}
		}
	case name == "add":
		for _, s := range literals(value) {
			if why := leadsOut(capabilityName(s)); why != "" {
				return "No container is given the capability " + capabilityName(s) + " like this: " + why + "."
			}
		}
	}
	return ""
}

// deviceWords are other systems' names for devices of the host.
var deviceWords = []string{"devices", "device", "add_device", "host_devices"}

var (
	hump    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	acronym = regexp.MustCompile(`([A-Z])([A-Z][a-z])`)
)

// canonical returns a name in the spelling of group files: host_network for hostNetwork,
// HostNetwork and host-network, and dns_search for DNSSearch.
func canonical(name string) string {
	if !strings.ContainsFunc(name, unicode.IsUpper) { // most names: nothing is allocated for them
		return strings.ReplaceAll(name, "-", "_")
	}
	name = acronym.ReplaceAllString(hump.ReplaceAllString(name, "${1}_${2}"), "${1}_${2}")
	return strings.ToLower(strings.ReplaceAll(name, "-", "_"))
}

// buried reports forbidden names inside an unknown block. Other systems have them in such blocks.
func (c checker) buried(parent string, body *hclsyntax.Body) {
	for _, attr := range attributes(body) {
		c.forbid(parent, attr.Name, attr.NameRange, attr.Expr)
	}
	for _, b := range body.Blocks {
		c.forbid(parent, b.Type, b.TypeRange, nil)
		c.buried(parent, b.Body)
	}
}

// forbid reports a forbidden name. If the name is allowed, it reports the forbidden keys of the
// value.
func (c checker) forbid(parent, name string, at hcl.Range, value hclsyntax.Expression) {
	if why := forbidden(parent, name, value); why != "" {
		c.errorf(at, "Not allowed in a group", "%s", why)
		return
	}
	switch v := value.(type) {
	case *hclsyntax.TupleConsExpr:
		for _, element := range v.Exprs {
			c.forbid(parent, "", element.Range(), element)
		}
	case *hclsyntax.ObjectConsExpr:
		for _, pair := range v.Items {
			if key, diags := c.meter.eval(pair.KeyExpr, nil); !diags.HasErrors() && key.Type() == cty.String && !key.IsNull() && key.IsKnown() {
				c.forbid(parent, key.AsString(), pair.KeyExpr.Range(), pair.ValueExpr)
			}
		}
	}
}

// literals returns the strings that are written out in an expression.
func literals(value hclsyntax.Expression) []string {
	var found []string
	if value == nil {
		return nil
	}
	_ = hclsyntax.VisitAll(value, func(n hclsyntax.Node) hcl.Diagnostics {
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String && !l.Val.IsNull() {
			found = append(found, l.Val.AsString())
		}
		return nil
	})
	return found
}
