package life

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// bounded is a sealed group with limits of its own. Its app, of another user, writes into a
// persistent volume and reads a folder of the host. Its sidecar, of yet another user, can do
// neither. %[2]s is the host's folder, %[3]s the group's memory.
const bounded = `
group "g" {
  egress = "none"
  resources {
    memory = "%[3]s"
    swap   = "0B"
    pids   = 40
  }
  app "app" {
    image   = "%[1]s"
    user    = "65532:65532"
    command = ["/bin/sh", "-c", "date >> /data/starts; cat /conf/word; echo x 2>/dev/null > /conf/new || echo refused; exec sleep 1000"]
    stop    { signal = "SIGKILL" }
    mount "data" { path = "/data" }
    mount "conf" {
      path      = "/conf"
      read_only = true
    }
  }
  sidecar "side" {
    image   = "%[1]s"
    user    = "4242:4242"
    command = ["/bin/sh", "-c", "echo x 2>/dev/null > /data/theirs || echo shut out; exec sleep 1000"]
    stop    { signal = "SIGKILL" }
    mount "data" { path = "/data" }
  }
  volume "data" {
    persistent = true
    owner      = "65532:65532"
    mode       = "0700"
  }
  volume "conf" { host_path = "%[2]s" }
}
`

// TestBoundsAndVolumes checks what the containers of a group share, on both containerds.
func TestBoundsAndVolumes(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) { testBoundsAndVolumes(t, machine.New(t, server)) })
	}
}

func testBoundsAndVolumes(t *testing.T, m *machine.Machine) {
	conf := filepath.Join(t.TempDir(), "conf")
	if out := m.Fails(1, "apply", m.Write("g.hcl", fmt.Sprintf(bounded, machine.AttackImage, conf, "64MiB"))); !strings.Contains(out, conf+" does not exist") {
		t.Errorf("without the host's folder: %s", out)
	}
	if err := os.Mkdir(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(conf, "word"), []byte("hello from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Apply("g.hcl", fmt.Sprintf(bounded, machine.AttackImage, conf, "64MiB"))
	machine.Eventually(t, time.Minute, "both have written", func() error {
		return machine.Contains(m.Run("logs", "g"), "hello from the host", "refused", "shut out")
	})
	expectLimit(m, "67108864", "memory.max", "memory.limit_in_bytes")
	expectLimit(m, "40", "pids.max")

	before := m.Pids("g")
	m.Apply("g.hcl", fmt.Sprintf(bounded, machine.AttackImage, conf, "128MiB"))
	expectLimit(m, "134217728", "memory.max", "memory.limit_in_bytes")
	if now := m.Pids("g"); !maps.Equal(before, now) {
		t.Errorf("another bound restarted something: %v, then %v", before, now)
	}

	data := filepath.Join(m.Root, "state/volumes/g/data/starts")
	m.Run("rm", "g")
	m.CheckNoGroup(t)
	m.Apply("g.hcl", fmt.Sprintf(bounded, machine.AttackImage, conf, "128MiB"))
	machine.Eventually(t, time.Minute, "the second start is noted beside the first", func() error {
		text, err := os.ReadFile(data)
		if err == nil && strings.Count(string(text), "\n") != 2 {
			err = fmt.Errorf("%q", text)
		}
		return err
	})
	m.Run("rm", "--volumes", "g")
	m.CheckNoGroup(t)
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("rm --volumes leaves what was in them: %v", err)
	}
	if _, err := os.Stat(filepath.Join(conf, "word")); err != nil {
		t.Errorf("rm --volumes takes what is the host's: %v", err)
	}
}

// expectLimit reads a limit of the whole group, from the hierarchy that has it.
func expectLimit(m *machine.Machine, want string, files ...string) {
	m.T.Helper()
	var got []string
	for _, file := range files {
		for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
			found, _ := filepath.Glob(filepath.Join(dir, m.CgroupRoot(), "g", file))
			for _, path := range found {
				text, _ := os.ReadFile(path)
				got = append(got, strings.TrimSpace(string(text)))
			}
		}
	}
	if len(got) != 1 || got[0] != want {
		m.T.Errorf("%q of the group are %q, want %s", files, got, want)
	}
}
