package integration

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

// brittle is a group with something for every kind of step. Its members go for the victim from their first instruction on.
// What differs between the first version and the second is each kind's reason to act: %[2]s a word, %[3]d a port of the host,
// %[4]s what the ambassador may reach, %[5]s the volumes, %[6]s where one is mounted.
const brittle = `
group "brittle" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.66,2001:db8:51::66", "80", "5ms"]
    env     = { WORD = "%[2]s" }
    stop    { signal = "SIGKILL" }
    mount "data" { path = "/data" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.66,2001:db8:51::66", "80", "5ms"]
    stop    { signal = "SIGKILL" }
    mount "%[6]s" { path = "/other" }
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.100", "80", "5ms"]
    stop    { signal = "SIGKILL" }
    allow   = ["198.51.100.100:80/tcp", "%[4]s:53/udp"]
    publish "p" {
      host = %[3]d
      port = 80
    }
  }
  volume "data" { size = "%[5]s" }
  volume "%[6]s" { size = "1MiB" }
}
`

// steady is a group that no crash has anything to do with.
const steady = `
group "steady" {
  egress = "none"
  app "app" {
    image   = "%s"
    command = ["sleep", "1000"]
    stop    { signal = "SIGKILL" }
  }
}
`

// crashPhases are what is under way when the daemon crashes, each with the steps that it takes.
var crashPhases = []struct {
	name  string
	kinds []shim.Kind
}{
	{"apply", []shim.Kind{shim.Seal, shim.Admit, shim.Connect, shim.Mount, shim.Create, shim.Start}},
	{"update", []shim.Kind{shim.Stop, shim.Remove, shim.Unmount, shim.Admit, shim.Connect, shim.Mount, shim.Create, shim.Start}},
	{"rm", []shim.Kind{shim.Stop, shim.Remove, shim.Unmount, shim.Disconnect}},
}

// The newest containerd gets a third of the crashes, in turn: what differs is not the daemon.
var everyCrash = flag.Bool("every-crash", false, "TestCrashPoints also with the newest containerd at every point")

// TestCrashPoints kills the daemon before, within and after each kind of step of an apply, an update and a removal. The next one
// makes it as it was asked for, leaves nothing behind and touches no other group; and at no time gets a member out.
func TestCrashPoints(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			c := newCrasher(t, server)
			moments := []string{"before", "during", "after"}
			for n := range len(crashPhases[1].kinds) { // the phase with the most
				if server != "" && !*everyCrash {
					c.life(n, moments[n%len(moments)])
					continue
				}
				for _, when := range moments {
					c.life(n, when)
				}
			}
			if doors, _, _ := c.watch.verdict(); c.doors+doors == 0 {
				t.Error("not even the ambassador was seen, so that no member was proves nothing")
			}
			if now := c.pids("steady"); !equal(c.steady, now) {
				t.Errorf("the other group was %v, and is %v", c.steady, now)
			}
		})
	}
}

// A crasher is a machine whose daemon is killed at a step, again and again.
type crasher struct {
	*machine
	watch  *watch
	doors  int
	steady map[string]uint32
	before []string // what the host's network is with no other group than the steady one
}

func newCrasher(t *testing.T, server string) *crasher {
	m := newMachine(t, server)
	c := &crasher{machine: m, watch: newWatch(t, m.host)}
	m.apply("steady.hcl", fmt.Sprintf(steady, attackImage))
	c.steady = m.pids("steady")
	apply := c.asking("apply")
	m.run(apply...)
	m.run("rm", "brittle")
	c.before = m.hostState(t)
	return c
}

// life is a whole life of the group, with a crash in each phase: at the nth of its kinds of steps, counted around.
func (c *crasher) life(n int, when string) {
	c.t.Helper()
	for _, p := range crashPhases {
		at := fmt.Sprintf("%s:%s:1", when, p.kinds[n%len(p.kinds)])
		args := c.asking(p.name)
		c.crash(p.name+", "+at, at, args)
		if p.name == "rm" {
			c.gone(p.name + ", " + at)
		} else {
			c.up(p.name+", "+at, args)
		}
	}
}

// asking is the verb of a phase.
func (c *crasher) asking(phase string) []string {
	switch phase {
	case "apply":
		return []string{"apply", c.write("brittle.hcl", fmt.Sprintf(brittle, attackImage, "one", 8080, "203.0.113.1", "1MiB", "old"))}
	case "update":
		return []string{"apply", c.write("brittle.hcl", fmt.Sprintf(brittle, attackImage, "two", 8081, "203.0.113.2", "2MiB", "new"))}
	}
	return []string{"rm", "brittle"}
}

// crash runs a verb with a daemon that kills itself meanwhile, then starts the next.
func (c *crasher) crash(name, at string, args []string) {
	c.t.Helper()
	c.kill()
	c.start("SALLYPORT_CRASH=" + at)
	_, said := c.try(args...)
	lives := retry(10*time.Second, func() error {
		if !c.exited() {
			return errors.New("the daemon didn't get there")
		}
		return nil
	})
	c.kill()
	if lives != nil {
		c.t.Fatalf("%s: %v; the verb said: %v\n%s", name, lives, said, c.out)
	}
	if said == nil && !strings.Contains(at, "during") { // a moment later it may all have been done
		c.t.Errorf("%s: the verb said that it was done", name)
	}
	c.start()
}

// up waits until the group runs as it was last asked for. Asking again changes nothing.
func (c *crasher) up(name string, apply []string) {
	c.t.Helper()
	eventually(c.t, 40*time.Second, name+": the next daemon makes the group", func() error {
		g := c.status("brittle")
		if g.State != shim.Running || g.Error != "" {
			return fmt.Errorf("%s: %s", g.State, g.Error)
		}
		return nil
	})
	before := c.pids("brittle")
	c.run(apply...)
	if now := c.pids("brittle"); len(now) != 3 || !equal(before, now) {
		c.t.Errorf("%s: it was %v, and after another apply %v", name, before, now)
	}
	c.judge(name)
}

// gone waits until nothing is left of the group.
func (c *crasher) gone(name string) {
	c.t.Helper()
	eventually(c.t, 40*time.Second, name+": the next daemon removes the group", func() error {
		if left := slices.Concat(c.leftOf("brittle"), c.leftInContainerd("brittle.")); len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		if diff := cmp.Diff(c.before, c.hostState(c.t)); diff != "" {
			return fmt.Errorf("the host's network (-before +now):\n%s", diff)
		}
		return nil
	})
	c.judge(name)
}

func (c *crasher) judge(name string) {
	c.t.Helper()
	doors, members, first := c.watch.verdict()
	c.doors += doors
	if members > 0 {
		c.t.Errorf("%s: %d packets of members got out: %v", name, members, first)
	}
}

// hostState is what of the host's network a group could leave something in, as text.
func (m *machine) hostState(t testing.TB) (all []string) {
	t.Helper()
	for _, command := range []string{"ip -br link", "ip -br address", "ip route", "ip -6 route", "ip rule", "nft -s list ruleset"} {
		args := strings.Fields(command)
		cmd := exec.Command(args[0], args[1:]...)
		var out []byte
		if err := inNetns(m.host, func() (err error) { out, err = cmd.CombinedOutput(); return err }); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		all = append(all, strings.Split(command+"\n"+string(out), "\n")...)
	}
	return all
}

// leftOf lists what there is on the machine of one group.
func (m *machine) leftOf(group string) (left []string) {
	patterns := []string{"groups.d/" + group + ".hcl"}
	for _, dir := range []string{"run/netns", "run/volumes", "run/files", "state/wanted", "state/applied"} {
		patterns = append(patterns, dir+"/"+group+"*")
	}
	for _, p := range patterns {
		found, _ := filepath.Glob(filepath.Join(m.root, p))
		left = append(left, found...)
	}
	for _, pattern := range []string{"/sys/fs/cgroup" + m.cgroupRoot(), "/sys/fs/cgroup/*" + m.cgroupRoot()} {
		found, _ := filepath.Glob(pattern + "/" + group)
		left = append(left, found...)
	}
	for _, g := range m.ps() {
		if g.Name == group {
			left = append(left, "group "+group)
		}
	}
	return append(left, mentions("/proc/self/mountinfo", m.root+"/run/volumes/"+group)...)
}

// leftInContainerd lists what containerd, its shims and runc have whose name begins so.
func (m *machine) leftInContainerd(prefix string) (left []string) {
	m.t.Helper()
	for _, kind := range []string{"containers", "tasks", "snapshots"} {
		out, err := exec.Command("ctr", "--address", filepath.Join(m.root, "run", "containerd", "containerd.sock"),
			"--namespace", m.namespace(), kind, "ls").CombinedOutput()
		if err != nil {
			return []string{fmt.Sprintf("%s: %v: %s", kind, err, out)}
		}
		for line := range strings.Lines(string(out)) {
			if name := strings.Fields(line); len(name) > 0 && strings.HasPrefix(name[0], prefix) {
				left = append(left, kind+" "+name[0])
			}
		}
	}
	for _, dir := range []string{filepath.Join(m.root, "run/containerd/state/io.containerd.runtime.v2.task"), "/run/containerd/runc"} {
		found, _ := filepath.Glob(filepath.Join(dir, m.namespace(), prefix+"*"))
		left = append(left, found...)
	}
	for _, p := range processes(m.root) {
		if strings.Contains(p, "containerd-shim") && strings.Contains(p, "-id "+prefix) {
			left = append(left, p)
		}
	}
	return left
}
