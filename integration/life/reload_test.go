package life

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// told is a group whose app prints its file at its start and at each signal, and ends if the file
// is bad. %[2]s is the group, and %[3]s the rest of its file block.
const told = `
group "%[2]s" {
  egress = "none"
  update {
    health_timeout = "10s"
    auto_revert    = true
    max_ends       = 1
  }
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "read() { echo \"$1:$(cat /etc/told.cfg)\"; if grep -q bad /etc/told.cfg; then exit 3; fi; }; trap 'read hup' HUP; read start; while :; do sleep 1000 & wait; done"]
    stop { signal = "SIGKILL" }
    file "/etc/told.cfg" {
      source = "told.cfg"
      mode   = "0400"
      %[3]s
    }
  }
}
`

// TestReload changes a file of a running program. It goes on running, is told once, and goes back
// with its generation. The control is the same group without a reload.
func TestReload(t *testing.T) {
	m := machine.New(t, "")
	file := m.Write("told.hcl", fmt.Sprintf(told, machine.AttackImage, "told", `reload = "HUP"`))
	control := m.Write("control.hcl", fmt.Sprintf(told, machine.AttackImage, "control", ""))
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), "told.cfg"), []byte(content+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	printed := func(name string, want ...string) {
		t.Helper()
		machine.Eventually(t, time.Minute, name+" has printed all of it", func() error {
			if got := strings.Fields(m.Run("logs", name+".app")); strings.Join(got, " ") != strings.Join(want, " ") {
				return fmt.Errorf("it printed %q, want %q", got, want)
			}
			return nil
		})
	}
	pid := func(name string) uint32 { return m.Pids(name)["app"] }

	write("one")
	m.Run("apply", "--settle", "1s", file, control)
	printed("told", "start:one")
	printed("control", "start:one")
	first, firstControl := pid("told"), pid("control")

	write("two")
	const step = "reload app (app) by SIGHUP: file /etc/told.cfg changed"
	if err := machine.Contains(m.Run("plan", file), "told: 1 step\n", step, "changes  app (app): file /etc/told.cfg (SIGHUP)\n"); err != nil {
		t.Error(err)
	}
	if err := machine.Contains(m.All("apply", "--settle", "1s", file, control), "changes  app (app): file /etc/told.cfg (SIGHUP)\n", step); err != nil {
		t.Error(err)
	}
	printed("told", "start:one", "hup:two")
	printed("control", "start:one", "start:two")
	if now := pid("told"); now != first {
		t.Errorf("it was process %d, and is %d", first, now)
	}
	if now := pid("control"); now == firstControl {
		t.Error("the control is the same process")
	}
	if found := m.Events("control", group.EventReloaded); len(found) != 0 {
		t.Errorf("events of the control: %+v", found)
	}

	// Neither the same file nor the next daemon sends another signal.
	m.Run("apply", file)
	m.Kill()
	m.Start()
	m.AwaitRunning("told")
	printed("told", "start:one", "hup:two")
	if err := machine.Contains(m.Run("status", "told"), "its files were reloaded "); err != nil {
		t.Error(err)
	}
	found := m.Events("told", group.EventReloaded)
	if len(found) != 1 || found[0].Text != "reloaded by SIGHUP: file /etc/told.cfg changed" || found[0].Container != "app" {
		t.Errorf("events %+v", found)
	}

	// There and back by signals alone.
	write("three")
	m.Run("apply", "--settle", "1s", file)
	m.Run("rollback", "--settle", "1s", "told") // until it has proved itself
	printed("told", "start:one", "hup:two", "hup:three", "hup:two")
	if now := pid("told"); now != first {
		t.Errorf("it was process %d, and is %d", first, now)
	}

	// The program ends by what it reads, so the generation is taken back.
	write("bad")
	if err := machine.Contains(m.Fails(1, "apply", "--settle", "2s", file), "was taken back: app (app) ended with status 3"); err != nil {
		t.Error(err)
	}
	printed("told", "start:one", "hup:two", "hup:three", "hup:two", "hup:bad", "start:two")
}
