package promise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/integration/machine"
)

const tamperTitle = "4. To change what stands in the way"

// tampering lists what members try before they try to leave. Each control by root there changes
// something. The last two controls remove what all rows depend on.
var tampering = []technique{
	{name: "capabilities", what: "raise its capabilities"},
	{name: "bpf", what: "load a BPF program"},
	{name: "tun", what: "open /dev/net/tun", optional: true},
	{name: "mknod", what: "make the tun device and open it", optional: true},
	{name: "new-userns", what: "new user and network namespace, and flush nftables there", optional: true},
	{name: "unshare", what: "new network namespace"},
	{name: "setns", what: "enter another's network namespace"},
	{name: "setns-pidfd", what: "enter another's network namespace by pidfd"},
	{name: "ptrace", what: "ptrace the ambassador"},
	{name: "pidfd-getfd", what: "pidfd_getfd of the ambassador's sockets"},
	{name: "proc-fd", what: "/proc/PID/fd of the ambassador"},
	{name: "process-memory", what: "read the ambassador's memory"},
	{name: "cgroup-move", what: "move to the ambassador's cgroup"},
	{name: "cgroup-mount", what: "mount cgroup2 and move"},
	{name: "cgroup-fsopen", what: "fsopen cgroup2"},
	{name: "sysctl", what: "write sysctls"},
	{name: "link-add", what: "add a link"},
	{name: "address-add", what: "add an address"},
	{name: "route-add", what: "add a route"},
	{name: "rule-add", what: "add a routing rule"},
	{name: "link-down-old", what: "set the link down by ioctl"},
	{name: "link-down", what: "set the link down by netlink"},
	{name: "nft-flush", what: "flush nftables"},
}

// TestPromiseTamper is class 4. It compares the group's rules, links, routes, sysctls and cgroups,
// as the host sees them, before and after. The capture judges as well, because each attacker tries
// to leave when it has tampered.
func TestPromiseTamper(t *testing.T) {
	r, s := newOutboundTest(t), newSection(t, tamperTitle)
	door := int(r.Pids("g")["amb"])
	for _, x := range tampering {
		before := r.state(t)
		r.seen.Take(t, machine.AnyFrame)
		tries := r.all(technique{name: x.name, exec: true}, nowhere, door)
		changed, out := cmp.Diff(before, r.state(t)), r.seen.Take(t, machine.AnyFrame)
		for _, y := range tries {
			got := row{technique: x.title(), who: y.who, expected: asBefore, seen: asBefore, told: y.o.told()}
			switch {
			case y.err != nil:
				got.seen = "the attacker failed"
			case len(out) > 0:
				got.seen = frames
			case changed != "":
				got.seen = "changed"
			case y.o.Error == "":
				got.seen = "done"
			}
			s.add(got, y.o.Error, y.err, changed, out)
		}
	}
	for _, x := range tampering {
		o := asRoot(r.Machine, r.ns, attackOrder{"self", x.name, nowhere, door})
		if o.Error != "" && !(x.optional && o.lacking()) {
			t.Errorf("not even root there can do %s, so that row proves nothing: %s", x.name, o.Error)
		}
		who := "root there"
		if x.optional {
			who += ifThere
		}
		s.control(x.title(), "", who)
	}
	reachDevices(t, r)
}

// state prints everything that must be as before.
func (r *outboundTest) state(t testing.TB) (all []string) {
	t.Helper()
	for _, command := range []string{"ip -d link", "ip address", "ip route show table all", "ip -6 route show table all", "ip rule", "nft -s -t list ruleset"} {
		args := strings.Fields(command)
		cmd := exec.Command(args[0], args[1:]...)
		var out []byte
		if err := machine.InNetns(r.ns, func() (err error) { out, err = cmd.CombinedOutput(); return err }); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		all = append(all, strings.Split(command+"\n"+string(out), "\n")...)
	}
	for _, key := range []string{"ipv4/ip_forward", "ipv4/ping_group_range", "ipv4/conf/all/route_localnet", "ipv6/conf/all/forwarding"} {
		machine.MustInNetns(t, r.ns, func() error {
			text, err := os.ReadFile("/proc/sys/net/" + key)
			all = append(all, fmt.Sprintf("%s %s", key, text))
			return err
		})
	}
	inside, err := os.ReadFile(filepath.Join(r.CgroupV2("g/ambassador/amb/leaf"), "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	return append(all, "in the ambassador's cgroup: "+string(inside))
}
