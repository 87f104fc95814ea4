package spec

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// A sysctlKind is a setting of the kernel that a group file can have: one number, or several that a
// space separates. netns/egress/RULES.md has why none of them opens anything.
type sysctlKind struct {
	name      string
	numbers   int
	low, high int64
	ascending bool
	highs     []int64 // the highest of each number. Nil: high
	spread    int64   // how far the last number is from the first, at least
}

const (
	maxInt32 = 1<<31 - 1
	maxInt64 = 1<<63 - 1
)

// containerSysctls are the settings of a container's IPC namespace.
var containerSysctls = []sysctlKind{
	{name: "fs.mqueue.msg_default", numbers: 1, low: 1, high: 65536},
	{name: "fs.mqueue.msg_max", numbers: 1, low: 1, high: 65536},
	{name: "fs.mqueue.msgsize_default", numbers: 1, low: 128, high: 16 * mebibyte},
	{name: "fs.mqueue.msgsize_max", numbers: 1, low: 128, high: 16 * mebibyte},
	{name: "fs.mqueue.queues_max", numbers: 1, low: 0, high: 65536},
	{name: "kernel.msgmax", numbers: 1, low: 0, high: maxInt32},
	{name: "kernel.msgmnb", numbers: 1, low: 0, high: maxInt32},
	{name: "kernel.msgmni", numbers: 1, low: 0, high: 32768},
	{name: "kernel.sem", numbers: 4, high: maxInt32, highs: []int64{32000, maxInt32, 1000, 32768}},
	{name: "kernel.shm_rmid_forced", numbers: 1, low: 0, high: 1},
	{name: "kernel.shmall", numbers: 1, low: 0, high: maxInt64},
	{name: "kernel.shmmax", numbers: 1, low: 0, high: maxInt64},
	{name: "kernel.shmmni", numbers: 1, low: 0, high: 32768},
}

// groupSysctls are the settings of a group's network namespace.
var groupSysctls = []sysctlKind{
	{name: "net.core.somaxconn", numbers: 1, low: 1, high: 65535},
	{name: "net.ipv4.ip_local_port_range", numbers: 2, low: 1024, high: 65535, ascending: true, spread: 1023},
	{name: "net.ipv4.tcp_fin_timeout", numbers: 1, low: 1, high: 60},
	{name: "net.ipv4.tcp_keepalive_intvl", numbers: 1, low: 1, high: 32767},
	{name: "net.ipv4.tcp_keepalive_probes", numbers: 1, low: 1, high: 127},
	{name: "net.ipv4.tcp_keepalive_time", numbers: 1, low: 1, high: 32767},
	{name: "net.ipv4.tcp_max_syn_backlog", numbers: 1, low: 1, high: mebibyte},
	{name: "net.ipv4.tcp_mtu_probing", numbers: 1, low: 0, high: 2},
	{name: "net.ipv4.tcp_retries2", numbers: 1, low: 1, high: 255},
	{name: "net.ipv4.tcp_rmem", numbers: 3, low: 4096, high: 64 * mebibyte, ascending: true, highs: []int64{mebibyte, mebibyte, 64 * mebibyte}},
	{name: "net.ipv4.tcp_slow_start_after_idle", numbers: 1, low: 0, high: 1},
	{name: "net.ipv4.tcp_syn_retries", numbers: 1, low: 1, high: 127},
	{name: "net.ipv4.tcp_synack_retries", numbers: 1, low: 1, high: 127},
	{name: "net.ipv4.tcp_wmem", numbers: 3, low: 4096, high: 64 * mebibyte, ascending: true, highs: []int64{mebibyte, mebibyte, 64 * mebibyte}},
}

// PingSysctl is the ambassador's alone: groups of users whose processes may ping. The kernel has
// one range for the whole namespace, and something else keeps the members from pinging.
const PingSysctl = "net.ipv4.ping_group_range"

var ambassadorSysctls = append(slices.Clone(containerSysctls),
	sysctlKind{name: PingSysctl, numbers: 2, low: 0, high: maxInt32, ascending: true})

// ContainerSysctls returns the names of the settings that a container can have, sorted. All of them
// belong to its IPC namespace, through which no packet goes.
func ContainerSysctls() []string { return namesOf(containerSysctls) }

// GroupSysctls returns the names of the settings that a group can have, sorted. All of them belong
// to its network namespace.
func GroupSysctls() []string { return namesOf(groupSysctls) }

func namesOf(list []sysctlKind) []string {
	var names []string
	for _, k := range list {
		names = append(names, k.name)
	}
	return names
}

func findSysctl(list []sysctlKind, name string) (k sysctlKind, ok bool) {
	i := slices.IndexFunc(list, func(k sysctlKind) bool { return k.name == name })
	if i < 0 {
		return k, false
	}
	return list[i], true
}

// sysctls reads the settings that are in a list. Other are those that belong elsewhere, and where.
func (d *groupDecoder) sysctls(r reader, list, other []sysctlKind, where string) map[string]string {
	items, ok := r.entries("sysctls")
	if !ok {
		return nil
	}
	set := map[string]string{}
	for _, i := range items {
		k, ok := findSysctl(list, i.key)
		if !ok {
			d.unknownSysctl(i.key, i.keyAt, list, other, where)
			continue
		}
		v, ok := r.convert(i.value, cty.String, quote(i.key), i.at)
		if !ok {
			continue
		}
		value, problem := k.read(v.AsString())
		if problem != "" {
			d.errorf(i.at, "Invalid sysctl", "%s %s, and this is %s.", quote(i.key), problem, quote(v.AsString()))
			continue
		}
		if i.key == PingSysctl {
			d.pings = &i.keyAt
		}
		set[i.key] = value
	}
	if len(set) == 0 {
		return nil
	}
	return set
}

// read returns the value in the kernel's form, with a space between numbers. An empty problem means
// that it is valid.
func (k sysctlKind) read(s string) (value, problem string) {
	form := fmt.Sprintf("is a whole number from %d to %d", k.low, k.high)
	if k.numbers > 1 {
		form = fmt.Sprintf("has %d whole numbers from %d to %d, with spaces between them", k.numbers, k.low, k.high)
	}
	if k.ascending {
		form += ", none below the one before"
	}
	if k.highs != nil {
		var highs []string
		for _, h := range k.highs {
			highs = append(highs, strconv.FormatInt(h, 10))
		}
		form += ", at most " + strings.Join(highs, ", ") + " in this order"
	}
	if k.spread != 0 {
		form += fmt.Sprintf(", %d ports at least", k.spread+1)
	}
	words := strings.Fields(s)
	if len(words) != k.numbers {
		return "", form
	}
	before, first := k.low, int64(0)
	for i, word := range words {
		f, _, err := big.ParseFloat(word, 10, 128, big.ToNearestEven)
		if err != nil {
			return "", form
		}
		n, accuracy := f.Int64()
		if accuracy != big.Exact || n < k.low || n > k.highest(i) || k.ascending && n < before {
			return "", form
		}
		if i == 0 {
			first = n
		}
		before, words[i] = n, strconv.FormatInt(n, 10)
	}
	if k.spread != 0 && before-first < k.spread {
		return "", form
	}
	return strings.Join(words, " "), ""
}

// highest returns the highest value of a number.
func (k sysctlKind) highest(i int) int64 {
	if k.highs == nil {
		return k.high
	}
	return k.highs[i]
}

// unknownSysctl reports a setting that can't be set here.
func (d *groupDecoder) unknownSysctl(name string, at hcl.Range, list, other []sysctlKind, where string) {
	switch _, elsewhere := findSysctl(other, name); {
	case elsewhere:
		d.errorf(at, "Sysctl in the wrong place", "%s is a setting of %s", quote(name), where)
	case name == PingSysctl:
		d.errorf(at, "Only the ambassador can ping", "%s would let every container of the group ping, and a member has no way in or out of its group. The ambassador can have it, and members stay refused: write it in the ambassador's block, sysctls = { ... }", quote(name))
	case name == "net.ipv4.ip_unprivileged_port_start":
		d.errorf(at, "Not allowed in a group", "Every container of a group can bind ports below 1024: %s is 0 already. Remove the line.", quote(name))
	case strings.HasPrefix(name, "net."):
		d.errorf(at, "Not allowed in a group", "%s Those that can be set open nothing: %s. %s is none of them.%s", TakenAway("sysctl"), listOf(groupSysctls), quote(name), DidYouMean(name, namesOf(list)))
	default:
		d.errorf(at, "Not allowed in a group", "%s would be a setting of the whole host, or opens more than a container may have.%s What can be set here is %s.", quote(name), DidYouMean(name, namesOf(list)), listOf(list))
	}
}

func listOf(kinds []sysctlKind) string { return strings.Join(namesOf(kinds), ", ") }

// containerSettings reads a container's own settings of the kernel. Those of an ambassador may have
// [PingSysctl], which is for its Door.
func (d *groupDecoder) containerSettings(role Role, r reader) map[string]string {
	list := containerSysctls
	if role == Ambassador {
		list = ambassadorSysctls
	}
	return d.sysctls(r, list, groupSysctls, "the group's network, which its containers share. Write in the group block: network { sysctls = { ... } }")
}

// groupSettings reads the settings of a group's network.
func (d *groupDecoder) groupSettings(r reader) map[string]string {
	return d.sysctls(r, groupSysctls, containerSysctls, "one container. Write it in the container's block: sysctls = { ... }")
}

// takePingGroups moves [PingSysctl] to the ambassador's Door.
func (c *Container) takePingGroups() {
	c.PingGroups = c.Sysctls[PingSysctl]
	delete(c.Sysctls, PingSysctl)
	if len(c.Sysctls) == 0 {
		c.Sysctls = nil
	}
}

// SysctlNames returns the names of the container's own settings, sorted.
func (c Container) SysctlNames() []string { return slices.Sorted(maps.Keys(c.Sysctls)) }
