package spec

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// What the rules of a group's namespace can't see is taken away (ENFORCEMENT). A group file that asks for one of these gets
// the reason, under every name that other systems have for it.
var takenAway = []struct {
	names []string
	why   string
}{
	{
		[]string{"privileged", "allow_privilege_escalation", "no_new_privileges"},
		"A privileged process holds CAP_NET_RAW, CAP_NET_ADMIN and every other way around the group's rules, so no container of a group runs as one, and none can become one.",
	},
	{
		[]string{"network_mode", "host_network", "hostNetwork", "net", "network", "networks"},
		"The containers of a group share a network namespace of the group's own: its rules are what keeps the members in. In the host's namespace, or another one, there are no such rules.",
	},
	{
		[]string{"pid", "pid_mode", "host_pid", "hostPID", "share_process_namespace"},
		"Each container has a PID namespace of its own. A process that sees the ambassador's processes can take over their sockets (ptrace, pidfd_getfd) and leave through them.",
	},
	{
		[]string{"ipc", "ipc_mode", "host_ipc", "hostIPC"},
		"Each container has an IPC namespace of its own. Memory shared with processes outside the group is a way out that no rule sees. Share files through a volume instead.",
	},
	{
		[]string{"userns", "userns_mode", "user_namespace"},
		"User namespaces are not the group file's to choose: inside one of its own a process holds capabilities (CAP_NET_RAW, CAP_NET_ADMIN) that are a way around the group's rules.",
	},
	{
		[]string{"cgroup", "cgroup_parent", "cgroup_namespace", "cgroupns", "cgroupns_mode"},
		"The cgroup is how the kernel tells the ambassador from the members. A container that chose its own could pass for the ambassador.",
	},
	{
		[]string{"devices", "device"},
		"A device can be a way out that no rule sees: tun, vhost, vsock, a USB modem. No container of a group gets one.",
	},
	{
		[]string{"cap_add", "add_capabilities"},
		"Capabilities are not added to a set; the attribute capabilities lists all that a container has. NET_RAW, NET_ADMIN, SYS_ADMIN, SYS_PTRACE and their like are never in it: they are ways around the group's rules.",
	},
	{
		[]string{"security_opt", "seccomp", "seccomp_profile", "apparmor"},
		"The seccomp filter is part of the promise: it keeps the socket families away (packet, vsock, and others) that pass by the group's rules. It can't be replaced or switched off.",
	},
	{
		[]string{"runtime", "runtime_class", "runtime_class_name"},
		"A runtime with a network stack or a kernel of its own (gVisor, Kata) sends its packets where the group's rules can't tell who sent them. Every container runs under runc.",
	},
	{
		[]string{"sysctl", "sysctls"},
		"The network settings of a group's namespace are part of its rules, so /proc/sys is read-only for every container and not the group file's to set.",
	},
	{
		[]string{"volumes_from", "external_links", "links"},
		"A group shares nothing with containers outside of it but what goes through its ambassador.",
	},
}

// forbidden returns why a name can't be in a group; "" where nothing forbids it.
func forbidden(parent, name string, value hclsyntax.Expression) string {
	if parent != "group" && !slices.Contains(containerKinds, parent) {
		return ""
	}
	for _, t := range takenAway {
		if slices.Contains(t.names, name) {
			return t.why
		}
	}
	if name == "volumes" || name == "binds" {
		for _, s := range literals(value) {
			if why := wayOut(strings.Split(s, ":")[0]); why != "" {
				return why
			}
		}
	}
	return ""
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

// controlSockets are the sockets whose owner does as it is told, as root and outside the group.
var controlSockets = []struct{ path, owner string }{
	{"/run/containerd", "containerd"},
	{"/run/k3s/containerd", "containerd"},
	{"/run/docker.sock", "docker"},
	{"/run/docker", "docker"},
	{"/run/podman", "podman"},
	{"/run/crio", "CRI-O"},
	{"/run/systemd", "systemd"},
	{"/run/dbus", "D-Bus"},
	{"/run/user", "the users' systemd and D-Bus"},
	{"/run/sallyport", "Sallyport"},
	{"/var/lib/sallyport", "Sallyport"},
}

// wayOut says why a path of the host can't be mounted into any container of a group; "" for a path that holds no way out.
func wayOut(host string) string {
	if !path.IsAbs(host) {
		return ""
	}
	host = path.Clean(host)
	real := host
	if host == "/var/run" || strings.HasPrefix(host, "/var/run/") {
		real = strings.TrimPrefix(host, "/var")
	}
	for _, s := range controlSockets {
		if within(real, s.path) || within(s.path, real) {
			return "On " + quote(host) + " a container would reach the control socket of " + s.owner + ", and who talks to that starts processes outside the group. No container of a group gets it."
		}
	}
	for _, kernel := range []string{"/dev", "/proc", "/sys"} {
		if within(real, kernel) {
			return "The host's " + kernel + " holds devices and settings that are ways around the group's rules (tun, vhost, the cgroup tree, /proc/sys). No container of a group gets them."
		}
	}
	return ""
}

// within says whether p is dir or below it; both are clean and absolute.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
