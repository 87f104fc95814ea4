package life

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// grown is a group in the language of the first release. Its second argument has the additions of
// later releases, the third their additions to its sidecar.
const grown = `
group "grown" {
  %[2]s
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    mount "scratch" { path = "/scratch" }
    stop { signal = "SIGKILL" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    %[3]s
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    allow   = ["203.0.113.0/24:443/tcp"]
    publish "web" {
      host = 8080
      port = 8080
    }
    resources { memory = "64MiB" }
    stop { signal = "SIGKILL" }
  }
  volume "scratch" { size = "1MiB" }
}
`

// TestUpgrade lets the daemon take over what an older one runs, without a restart. Then the file
// gets probes, updates, limits of the group and a persistent volume, which the first release did
// not know. Their first use changes only what it is about. `make test-upgrade` builds the older
// one.
func TestUpgrade(t *testing.T) {
	older := os.Getenv("SALLYPORT_OLDER_BIN")
	if older == "" {
		machine.Need(t, "SALLYPORT_OLDER_BIN is not set: run make test-upgrade")
	}
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := machine.NewIdle(t, server)
			newer := m.Binary
			m.Binary = older
			m.Start()
			m.Run("apply", m.Write("grown.hcl", fmt.Sprintf(grown, machine.AttackImage, "", "")))
			before := m.Pids("grown")

			m.Stop()
			m.Binary = newer
			m.Start()
			m.AwaitRunning("grown")
			if diff := cmp.Diff(before, m.Pids("grown")); diff != "" {
				t.Errorf("the upgrade restarted containers (-before +after):\n%s", diff)
			}
			machine.Eventually(t, time.Minute, "the ambassador's port is closed to members", func() error { return expectReserved(m, "8080") })
			if g := m.Status("grown"); g.State != group.Running || g.Error != "" {
				t.Errorf("the group is %s: %s", g.State, g.Error)
			}

			placed := expectPlacedAnew(m, before)

			m.Apply("grown.hcl", fmt.Sprintf(grown, machine.AttackImage,
				`update { health_timeout = "30s" }
                 resources { pids = 100 }
                 volume "kept" { persistent = true }`,
				`mount "kept" { path = "/kept" }
                 probe "ready" { exec = ["/bin/true"] }`))
			after := m.Pids("grown")
			before["app"] = placed["app"]
			for _, c := range []string{"app", "amb"} {
				if before[c] != after[c] {
					t.Errorf("%s was replaced by words about others: process %d, then %d", c, before[c], after[c])
				}
			}
			if before["side"] == after["side"] {
				t.Error("the sidecar did not get its volume")
			}
			m.Run("rm", "--volumes", "grown")
		})
	}
}

// expectPlacedAnew restarts the app of an older daemon, whose processes are directly in what is the
// cgroup of the container now. It gets its place below one that stays, and nothing else is touched.
func expectPlacedAnew(m *machine.Machine, before map[string]uint32) (pids map[string]uint32) {
	m.T.Helper()
	const cgroup = "grown/members/app"
	expectIn := func(path string) {
		m.T.Helper()
		text, err := os.ReadFile(filepath.Join(m.CgroupV2(path), "cgroup.procs"))
		if got, want := strings.TrimSpace(string(text)), fmt.Sprint(m.Pids("grown")["app"]); err != nil || got != want {
			m.T.Errorf("in %s is process %q, %v; want the app's, %s", path, got, err, want)
		}
	}
	if _, err := os.Stat(m.CgroupV2(cgroup + "/leaf")); errors.Is(err, fs.ErrNotExist) { // as before November 2026
		expectIn(cgroup)
	}
	m.Run("restart", "grown.app")
	expectIn(cgroup + "/leaf")
	id := inode(m, cgroup)
	m.Run("restart", "grown.app")
	expectIn(cgroup + "/leaf")
	if now := inode(m, cgroup); now != id {
		m.T.Errorf("the app's cgroup was %d before its restart, and is %d", id, now)
	}
	pids = m.Pids("grown")
	for _, c := range []string{"side", "amb"} {
		if before[c] != pids[c] {
			m.T.Errorf("%s was touched by a restart of the app: process %d, then %d", c, before[c], pids[c])
		}
	}
	return pids
}

// expectReserved returns an error unless the kernel keeps exactly these ports of the group for the
// ambassador. An older daemon reserves none.
func expectReserved(m *machine.Machine, ports string) error {
	return machine.InNetns(m.Netns("grown"), func() error {
		got, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports")
		if err == nil && strings.TrimSpace(string(got)) != ports {
			err = fmt.Errorf("reserved are %q", got)
		}
		return err
	})
}
