package spec

import (
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// DefaultCapabilities are the capabilities of a container whose Capabilities are nil, sorted.
var DefaultCapabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// grantable are all capabilities that a container can be given. None of them leads around the
// group's rules.
var grantable = append([]string{"AUDIT_WRITE", "IPC_LOCK", "SYS_NICE"}, DefaultCapabilities...)

// waysOut are the capabilities that are never given, with the reason. They are those of
// netns/egress/RULES.md, section "What the rules can't see is taken away", and similar ones.
var waysOut = map[string]string{
	"BPF":                "with it a process loads programs into the kernel that send, redirect and read packets",
	"CHECKPOINT_RESTORE": "with it a process takes over the state of others, their sockets included",
	"DAC_READ_SEARCH":    "with it a process opens files of the host by handle, control sockets' folders among them",
	"MKNOD":              "with it a process makes devices that are a way out (tun, vhost, vsock)",
	"NET_ADMIN":          "with it a process changes the group's own rules, links and routes",
	"NET_BROADCAST":      "it serves nothing but reaching many hosts at once, around the group's rules",
	"NET_RAW":            "with it a process opens packet sockets, which pass by the group's rules",
	"PERFMON":            "with it a process reads the kernel's memory and other processes'",
	"SYSLOG":             "with it a process learns the kernel's addresses, the first step around its rules",
	"SYS_ADMIN":          "with it a process mounts the cgroup tree and enters other namespaces, the host's included",
	"SYS_BOOT":           "with it a process restarts the host or loads another kernel",
	"SYS_MODULE":         "with it a process loads code into the kernel",
	"SYS_PTRACE":         "with it a process takes the sockets of the ambassador",
	"SYS_RAWIO":          "with it a process reads and writes the host's memory and devices",
	"SYS_TIME":           "with it a process sets the clock of the whole host",
}

// otherCapabilities are of no use in a container, whether they are harmless to the promise or not.
var otherCapabilities = []string{
	"AUDIT_CONTROL", "AUDIT_READ", "BLOCK_SUSPEND", "IPC_OWNER", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE",
	"SYS_PACCT", "SYS_RESOURCE", "SYS_TTY_CONFIG", "WAKE_ALARM",
}

// leadsOut returns why a capability is never given, or only in an unsafe block. It returns "" for a
// capability that leads around no rule.
func leadsOut(name string) string {
	if name == "ALL" {
		return "it is every one of them, NET_RAW, NET_ADMIN and SYS_ADMIN included, which are ways around the group's rules"
	}
	return waysOut[name]
}

// capabilities reads a container's exact set: upper case, without CAP_, sorted, none twice. It
// returns nil without such a line.
func (d *groupDecoder) capabilities(role Role, r reader) []string {
	items, ok := r.list("capabilities")
	if !ok {
		return nil
	}
	set := []string{}
	for _, i := range items {
		v, ok := r.convert(i.value, cty.String, elementOf("capabilities"), i.at)
		if !ok {
			continue
		}
		name := capabilityName(v.AsString())
		switch why := leadsOut(name); {
		case why != "" && role == Ambassador && slices.Contains(unsafeCapabilities, name):
			d.errorf(i.at, "Not allowed in a group", "The capability %s is not given like the others: %s. If you give that up knowingly, move it: unsafe { capabilities = [%q] }.", name, why, name)
		case why != "" && slices.Contains(unsafeCapabilities, name):
			d.errorf(i.at, "Not allowed in a group", "No member of a group gets the capability %s: %s.", name, why)
		case why != "":
			d.errorf(i.at, "Not allowed in a group", "No container of a group gets the capability %s: %s.", name, why)
		case slices.Contains(grantable, name):
			set = append(set, name)
		case slices.Contains(otherCapabilities, name):
			d.errorf(i.at, "Not allowed in a group", "No container of a group gets the capability %s: it acts on the whole host. Those that can be given are %s.", name, list(grantable))
		default:
			d.errorf(i.at, "Unknown capability", "%s is no capability.%s Those that can be given are %s.", quote(v.AsString()), DidYouMean(name, grantable), list(grantable))
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// capabilityName returns a capability's name in upper case and without CAP_.
func capabilityName(written string) string {
	return strings.TrimPrefix(strings.ToUpper(written), "CAP_")
}
