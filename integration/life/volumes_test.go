package life

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// sharing is a sealed group whose containers share a volume in memory and a folder of the host.
const sharing = `
group "sharing" {
  egress = "none"
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    mount "spool" { path = "/spool" }
  }
  sidecar "ship" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    mount "spool" {
      path      = "/spool"
      read_only = true
    }
  }
  sidecar "backup" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    mount "disk" { path = "/disk" }
  }
  volume "spool" { size = "1MiB" }
  volume "disk"  { host_path = "%[2]s" }
}
`

// TestVolumesThatOthersChange checks that all containers of a group go on to share each volume,
// with its content, after others have unmounted one and mounted over another.
func TestVolumesThatOthersChange(t *testing.T) {
	m := machine.New(t, "")
	disk := filepath.Join(m.Root, "disk")
	if err := os.Mkdir(disk, 0o777); err != nil {
		t.Fatal(err)
	}
	m.Apply("sharing.hcl", fmt.Sprintf(sharing, machine.Image(t, "busybox"), disk))
	m.Run("exec", "sharing.app", "--", "/bin/sh", "-c", "echo old > /spool/old")
	before := m.Pids("sharing")

	if err := unix.Mount("sallyport-test", disk, "tmpfs", 0, "mode=777"); err != nil {
		t.Fatal(err)
	}
	m.Unmount = func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	if err := unix.Unmount(filepath.Join(m.Root, "run", "volumes", "sharing", "spool"), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, time.Minute, "the changes are told and put back", func() error {
		var texts []string
		for _, e := range m.Events("sharing", group.EventDrift) {
			texts = append(texts, e.Text)
		}
		return machine.Contains(strings.Join(texts, "\n"), "volume spool", "volume disk under backup (sidecar), which is replaced", "put back")
	})
	m.AwaitRunning("sharing")

	after := m.Pids("sharing")
	if after["app"] != before["app"] || after["ship"] != before["ship"] || after["backup"] == before["backup"] {
		t.Errorf("processes before %v, after %v", before, after)
	}
	m.Run("restart", "sharing.app")
	m.Run("exec", "sharing.app", "--", "/bin/sh", "-c", "cat /spool/old; echo new > /spool/new")
	for _, file := range []string{"old", "new"} {
		if got := m.Run("exec", "sharing.ship", "--", "/bin/cat", "/spool/"+file); got != file+"\n" {
			t.Errorf("the container that has run on reads %q from %s", got, file)
		}
	}
	m.Run("exec", "sharing.backup", "--", "/bin/sh", "-c", "echo there > /disk/there")
	if got, err := os.ReadFile(filepath.Join(disk, "there")); string(got) != "there\n" {
		t.Errorf("the mounted disk has %q, error %v", got, err)
	}
}
