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

// vault is a group whose containers get secrets in every way. %[2]s is the file of one, and %[3]s
// the program that prints another one.
const vault = `
group "vault" {
  egress = "none"
  secret "pass" { file = "%[2]s" }
  secret "token" { command = ["%[3]s"] }

  app "told" {
    image   = "%[1]s"
    user    = "1000:1000"
    command = ["/bin/sh", "-c", "read() { echo \"$1 $(wc -c </run/secrets/pass) $(cat /run/secrets/token | wc -c) $(wc -c </etc/app.conf)\"; }; trap 'read hup' HUP; read start; while :; do sleep 1000 & wait; done"]
    stop { signal = "SIGKILL" }
    secret "pass" { reload = "HUP" }
    secret "token" {
      owner = "0:1000"
      mode  = "0440"
    }
    file "/etc/app.conf" {
      content = "user = app\npass = ${secret.pass}\n"
      reload  = "HUP"
    }
  }
  app "replaced" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "sleep 100000"]
    stop { signal = "SIGKILL" }
    secret "pass" {}
  }
  app "kept" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "sleep 100000"]
    stop { signal = "SIGKILL" }
    secret "pass" { on_change = "none" }
  }
  app "without" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "sleep 100000"]
    stop { signal = "SIGKILL" }
  }
}
`

// TestSecrets gives values to containers, changes them while they run, and looks for them wherever
// they must not be. The control: the containers have them.
func TestSecrets(t *testing.T) {
	m := machine.New(t, "")
	keys := t.TempDir()
	file, program := filepath.Join(keys, "pass"), filepath.Join(keys, "token")
	values := []string{"first-Zf3xQ8vKp2", "token-Jw7yM4tRb9", "second-Hn5cL1sDg6"}
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	has := func(container, path, want string) {
		t.Helper()
		machine.Eventually(t, time.Minute, container+" has the value", func() error {
			got, err := m.Try("exec", "vault."+container, "--", "/bin/cat", path)
			if err != nil || got != want {
				return fmt.Errorf("%s has %q (%v), want %q", path, got, err, want)
			}
			return nil
		})
	}
	printed := func(want ...string) {
		t.Helper()
		machine.Eventually(t, time.Minute, "the program has printed all of it", func() error {
			if got := strings.TrimSpace(m.Run("logs", "vault.told")); got != strings.Join(want, "\n") {
				return fmt.Errorf("it printed %q, want %q", got, want)
			}
			return nil
		})
	}
	write(program, "#!/bin/sh\necho "+values[1]+"\necho "+values[1]+" >&2\n", 0o700)
	group1 := m.Write("vault.hcl", fmt.Sprintf(vault, machine.AttackImage, file, program))

	// Without the file an apply fails, and a group that is wanted waits, with nothing made.
	missing := m.Fails(1, "apply", group1)
	if err := machine.Contains(missing, "secret pass: there is no file "+file); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(group1)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.Groups, "vault.hcl"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, time.Minute, "the group waits", func() error {
		if out, err := m.Try("status", "vault"); err != nil || !strings.Contains(out, file) {
			return fmt.Errorf("status %s (%v)", out, err)
		}
		return nil
	})
	if st := m.Status("vault"); st.State != group.Pending || len(st.Containers) > 0 && st.Containers[0].PID != 0 || !strings.Contains(st.Error, file) {
		t.Errorf("status %+v", st)
	}
	write(file, values[0]+"\n", 0o600)
	m.AwaitRunning("vault")
	printed("start 17 17 35")
	has("told", "/run/secrets/pass", values[0]+"\n")
	has("told", "/etc/app.conf", "user = app\npass = "+values[0]+"\n")
	has("kept", "/run/secrets/pass", values[0]+"\n")
	owners := m.Run("exec", "vault.told", "--", "/bin/sh", "-c", "stat -c '%u:%g %a' /run/secrets/* /etc/app.conf; touch /run/secrets/x 2>&1 || mount | grep -c 'on /run/secrets .*ro'")
	if err := machine.Contains(owners, "1000:1000 400\n0:1000 440\n1000:1000 400\n", "ead-only file system"); err != nil {
		t.Error(err)
	}
	if out, err := m.Try("exec", "vault.without", "--", "/bin/ls", "/run/secrets"); err == nil {
		t.Errorf("a container without secrets sees %q", out)
	}
	dir := m.SecretsOf("vault")
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Errorf("%s is not in memory: %v", dir, err)
	}
	first := m.Pids("vault")

	// Another value: a signal, another container, and nothing.
	write(file, values[2]+"\n", 0o600)
	printed("start 17 17 35", "hup 18 17 36")
	has("told", "/etc/app.conf", "user = app\npass = "+values[2]+"\n")
	has("replaced", "/run/secrets/pass", values[2]+"\n")
	has("kept", "/run/secrets/pass", values[2]+"\n")
	m.AwaitRunning("vault")
	now := m.Pids("vault")
	if now["told"] != first["told"] || now["kept"] != first["kept"] || now["without"] != first["without"] || now["replaced"] == first["replaced"] {
		t.Errorf("processes were %v and are %v", first, now)
	}

	// The next daemon makes nothing anew, and a source that is gone ends nothing.
	m.Kill()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	m.Start()
	m.AwaitRunning("vault")
	machine.Eventually(t, time.Minute, "an event of the source", func() error {
		for _, e := range m.Events("vault", group.EventSecret) {
			if strings.Contains(e.Text, "secret pass keeps its value: there is no file") {
				return nil
			}
		}
		return fmt.Errorf("events %+v", m.Events("vault", group.EventSecret))
	})
	if again := m.Pids("vault"); fmt.Sprint(again) != fmt.Sprint(now) {
		t.Errorf("processes were %v and are %v", now, again)
	}
	printed("start 17 17 35", "hup 18 17 36")
	m.Run("restart", "vault.kept")
	has("kept", "/run/secrets/pass", values[2]+"\n")

	// No one else has a value.
	m.CheckHidden(t, "vault", values, []string{"plan", group1})
	m.Run("rm", "vault")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}
