package spec

import (
	"fmt"
	"strings"
	"testing"
)

// The items are those of netns/egress/RULES.md, section "What the rules can't see is taken away".
// They are written in the words of Docker, Compose, Podman's units, Kubernetes and Nomad. Each
// refusal has its reason.
func TestWhatTheRulesCannotSeeIsRefused(t *testing.T) {
	const (
		packets  = "packet sockets, which pass by the group's rules"
		rules    = "changes the group's own rules"
		mounts   = "mounts the cgroup tree"
		sockets  = "takes the sockets of the ambassador"
		added    = "NET_RAW, NET_ADMIN, SYS_ADMIN, SYS_PTRACE and their like are never in it"
		seccomp  = "The seccomp filter is part of the promise"
		modules  = "can't choose an AppArmor profile or an SELinux label"
		become   = "none can become one"
		settings = "The network settings of a group's namespace are part of its rules"
		hidden   = "keeps a container inside its group"
		cgroup   = "The cgroup is how the kernel tells the ambassador from the members"
		pids     = "can take over their sockets (ptrace, pidfd_getfd)"
		network  = "In the host's namespace, or another one, there are no such rules"
		memory   = "Memory shared with processes outside the group"
		uts      = "Each container has a UTS namespace of its own"
		users    = "A group file can't choose user namespaces"
		device   = "A device can be a way out that no rule sees"
		hostDev  = "holds devices and settings that are ways around the group's rules"
		control  = "A process that talks to it can start processes outside the group"
		engine   = "can start processes outside the group"
		runtimes = "gVisor, Kata"
	)
	tests := []struct {
		item    string
		written []string // each inside an app, a sidecar and an ambassador; | ends a line
		why     string
	}{
		{"NET_RAW", []string{`capabilities = ["NET_RAW"]`, `capabilities = ["cap_net_raw"]`}, packets},
		{"NET_ADMIN", []string{`capabilities = ["NET_ADMIN"]`, `capabilities = ["CAP_NET_ADMIN"]`}, rules},
		{"SYS_ADMIN", []string{`capabilities = ["SYS_ADMIN"]`}, mounts},
		{"SYS_PTRACE", []string{`capabilities = ["SYS_PTRACE"]`}, sockets},
		{"SYS_MODULE", []string{`capabilities = ["SYS_MODULE"]`}, "loads code into the kernel"},
		{"BPF", []string{`capabilities = ["BPF"]`}, "loads programs into the kernel that send"},
		{"PERFMON", []string{`capabilities = ["PERFMON"]`}, "reads the kernel's memory"},
		{"MKNOD", []string{`capabilities = ["MKNOD"]`}, "makes devices that are a way out"},
		{"all capabilities", []string{`capabilities = ["ALL"]`}, "every one of them, NET_RAW, NET_ADMIN and SYS_ADMIN included"},
		{"capabilities added", []string{`cap_add = ["NET_ADMIN"]`, `add_capabilities = ["NET_RAW"]`, `AddCapability = "NET_RAW"`, `config { cap_add = ["SYS_ADMIN"] }`}, added},
		{"capabilities added, Kubernetes", []string{`security_context { | capabilities { add = ["NET_ADMIN"] } | }`, `capabilities { add = ["NET_ADMIN"] }`, `securityContext = { capabilities = { "add" = ["NET_ADMIN"] } }`}, rules},
		{"privileged", []string{`privileged = true`, `Privileged = true`, `config { privileged = true }`, `security_context { privileged = true }`, `securityContext = { privileged = true }`}, become},

		{"seccomp", []string{`security_opt = ["seccomp=unconfined"]`, `seccomp = "unconfined"`, `seccompProfile { type = "Unconfined" }`, `SeccompProfile = "x.json"`, `config { security_opt = ["seccomp=unconfined"] }`, `securityContext { | seccompProfile { type = "Unconfined" } | }`}, seccomp},
		{"AppArmor and SELinux", []string{`apparmor = "unconfined"`, `AppArmor = "unconfined"`, `appArmorProfile { type = "Unconfined" }`, `SecurityLabelDisable = true`, `seLinuxOptions { type = "spc_t" }`}, modules},
		{"no_new_privs", []string{`no_new_privileges = false`, `NoNewPrivileges = false`, `allowPrivilegeEscalation = true`, `security_context { allow_privilege_escalation = true }`}, become},
		{"/proc/sys", []string{`sysctls = { "net.ipv4.ip_forward" = 1 }`, `sysctl = {}`, `Sysctl = "net.ipv4.ip_forward=1"`, `config { sysctl = {} }`}, settings},
		{"/proc/sys and cgroupfs, unmasked", []string{`procMount = "Unmasked"`, `Unmask = "ALL"`}, hidden},
		{"cgroup", []string{`cgroup_parent = "/"`, `cgroup = "host"`, `cgroupns_mode = "host"`, `cgroupns = "host"`}, cgroup},
		{"PID namespace", []string{`pid = "host"`, `pid_mode = "host"`, `hostPID = true`, `host_pid = true`, `pid = "container:proxy"`, `shareProcessNamespace = true`, `config { pid_mode = "host" }`}, pids},
		{"network namespace", []string{`network_mode = "host"`, `host_network = true`, `hostNetwork = true`, `Network = "host"`, `net = "host"`, `network { mode = "host" }`, `network = "host"`, `networks = ["default"]`, `config { network_mode = "host" }`}, network},
		{"IPC namespace", []string{`ipc = "host"`, `ipc_mode = "host"`, `hostIPC = true`}, memory},
		{"UTS namespace", []string{`uts = "host"`, `uts_mode = "host"`, `hostUTS = true`}, uts},
		{"user namespace", []string{`userns = "host"`, `userns_mode = "host"`, `hostUsers = true`, `UserNS = "host"`, `UIDMap = "0:0:1"`}, users},
		{"tun", []string{`devices = ["/dev/net/tun"]`, `device "/dev/net/tun" {}`, `devices = ["/dev/net/tun:/dev/net/tun:rwm"]`, `config { devices = [{ host_path = "/dev/net/tun" }] }`, `device "/dev/ttyUSB0" { to = "/dev/x" } | device "/dev//net/../net/tun" {}`}, "makes network links of its own"},
		{"vhost", []string{`AddDevice = "/dev/vhost-net"`, `device "/dev/vhost-vsock" {}`}, "the kernel itself sends"},
		{"a raw disk", []string{`device "/dev/sda" {}`, `device "/dev/disk/by-id/x" { access = "r" }`}, "past every permission"},
		{"a modem", []string{`device "/dev/cdc-wdm0" { unsafe = true }`}, "A modem leads into the world"},
		{"rules of devices", []string{`device_cgroup_rules = ["c 10:200 rwm"]`, `volumeDevices = []`}, device},
		{"devices by a mount", []string{`mount "/dev/net/tun" { path = "/dev/net/tun" }`, `volumes = ["/dev/vsock:/x"]`, `volumes = ["/sys/fs/cgroup:/cg"]`, `volumes = ["/proc:/host/proc"]`}, hostDev},
		{"containerd's socket", []string{`mount "/run/containerd/containerd.sock" { path = "/c" }`, `volumes = ["/run/containerd:/c"]`}, control},
		{"docker's socket", []string{`volumes = ["/var/run/docker.sock:/var/run/docker.sock"]`, `volumes = [{ type = "bind", source = "/var/run/docker.sock", target = "/d" }]`, `binds = ["/run:/host/run"]`, `Volume = "/run/docker.sock:/d"`, `config { volumes = ["/var/run/docker.sock:/d"] }`, `volumes = [{ hostPath = { path = "/var/run/docker.sock" } }]`}, control},
		{"docker's socket, Compose", []string{`use_api_socket = true`}, engine},
		{"podman's socket", []string{`volumes = ["/run/podman/podman.sock:/p"]`, `volumes = ["/run/user/1000/podman/podman.sock:/p"]`}, control},
		{"systemd's socket", []string{`volumes = ["/run/systemd/private:/s"]`}, control},
		{"D-Bus", []string{`volumes = ["/var/run/dbus/system_bus_socket:/d"]`, `mount "/run/dbus" { path = "/d" }`}, control},
		{"our own socket", []string{`volumes = ["/run/sallyport/sallyport.sock:/s"]`, `mount "/" { path = "/host" }`}, control},
		{"runtime", []string{`runtime = "runsc"`, `runtimeClassName = "kata"`, `runtime_class = "gvisor"`, `config { runtime = "kata" }`}, runtimes},
	}
	for _, tt := range tests {
		t.Run(tt.item, func(t *testing.T) {
			for _, written := range tt.written {
				for _, role := range []string{"app", "sidecar", "ambassador"} {
					refusedWith(t, roleText(role, written), tt.why)
				}
			}
		})
	}
}

// roleText returns a group file with one more line in a container of the role.
func roleText(role, line string) string {
	text := "group \"g\" {\n"
	for _, r := range []string{"ambassador", "sidecar", "app"} {
		if r != role {
			text += fmt.Sprintf("  %s \"%s\" { image = \"x\" }\n", r, r)
			continue
		}
		text += fmt.Sprintf("  %s \"%s\" {\n    image = \"x\"\n    %s\n  }\n", r, r, line)
	}
	return text + "}\n"
}

func refusedWith(t *testing.T, text, why string) {
	t.Helper()
	text = strings.ReplaceAll(text, "|", "\n")
	groups, diags := Parse(source("test.hcl", text))
	if len(groups) > 0 || !diags.HasErrors() {
		t.Errorf("accepted:\n%s", text)
	}
	for _, d := range diags {
		if strings.Contains(d.Detail, why) {
			return
		}
	}
	t.Errorf("nothing says %q:\n%v\n%s", why, diags, text)
}

// The ambassador is shown the way by which it alone gets two capabilities.
func TestAddedCapabilitiesOfTheAmbassador(t *testing.T) {
	const way = `unsafe { capabilities = ["NET_ADMIN", "NET_RAW"] }`
	for role, shown := range map[string]bool{"app": false, "sidecar": false, "ambassador": true} {
		_, diags := Parse(source("test.hcl", roleText(role, `cap_add = ["NET_ADMIN"]`)))
		if got := strings.Contains(diags.Error(), way); got != shown {
			t.Errorf("%s: the way is shown: %t, want %t\n%v", role, got, shown, diags)
		}
	}
}

// This is the control: without the line, each of the files is accepted.
func TestRoleTextIsAccepted(t *testing.T) {
	for _, role := range []string{"app", "sidecar", "ambassador"} {
		if groups, diags := Parse(source("test.hcl", roleText(role, ""))); len(groups) != 1 || len(diags) > 0 {
			t.Errorf("%s: %d groups and %v", role, len(groups), diags)
		}
	}
}

func TestTakenAwayFromTheGroup(t *testing.T) {
	for _, tt := range []struct{ written, why string }{
		{`host_network = true`, sharedNetwork},
		{`hostNetwork = true`, sharedNetwork},
		{`network = "host"`, sharedNetwork},
		{`network { mode = "host" }`, sharedNetwork},
		{`networks = ["x"]`, sharedNetwork},
		{`shareProcessNamespace = true`, "take over their sockets"},
		{`runtimeClassName = "kata"`, "gVisor, Kata"},
		{`volumes = ["/var/run/docker.sock:/d"]`, "control socket of docker"},
		{`volume "v" { host = "/run/containerd" }`, "control socket of containerd"},
		{`volume "v" { | hostPath { path = "/run/dbus" } | }`, "control socket of D-Bus"},
		{`task "t" { | config { privileged = true } | }`, "none can become one"},
	} {
		refusedWith(t, "group \"g\" {\n  egress = \"none\"\n  "+tt.written+"\n  app \"a\" { image = \"x\" }\n}\n", tt.why)
	}
}

// A capability is given up in a block of its own, and only by the ambassador.
func TestUnsafeIsTheAmbassadorsAlone(t *testing.T) {
	for _, name := range unsafeCapabilities {
		pointsThere := fmt.Sprintf("If you give that up knowingly, move it: unsafe { capabilities = [%q] }", name)
		refusedWith(t, roleText("ambassador", fmt.Sprintf("capabilities = [%q]", name)), pointsThere)
		for _, role := range []string{"app", "sidecar"} {
			refusedWith(t, roleText(role, fmt.Sprintf("capabilities = [%q]", name)), "No member of a group gets the capability "+name)
			refusedWith(t, roleText(role, fmt.Sprintf("unsafe { capabilities = [%q] }", name)), "a member has nothing to give up")
		}
		g := parseOne(t, roleText("ambassador", fmt.Sprintf("unsafe { capabilities = [\"cap_%s\"] }", strings.ToLower(name))))
		if got := g.Ambassador().Unsafe.Capabilities; len(got) != 1 || got[0] != name {
			t.Errorf("given up: %v, want %s", got, name)
		}
	}
	for name, why := range waysOut {
		if name != "NET_RAW" && name != "NET_ADMIN" {
			refusedWith(t, roleText("ambassador", fmt.Sprintf("unsafe { capabilities = [%q] }", name)), why)
		}
	}
}
