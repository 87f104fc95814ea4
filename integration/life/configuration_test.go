package life

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// The daemon takes its configuration, applies a new one that it can, and shows what waits for its
// restart. A file with a mistake changes nothing, and does not start a daemon.
func TestConfiguration(t *testing.T) {
	m := machine.NewIdle(t, "")
	configure(t, m, "log_level = \"warn\"\n")
	m.Start()
	doctor := func(words ...string) {
		t.Helper()
		machine.Eventually(t, time.Minute, "doctor", func() error {
			out, _ := m.Try("doctor")
			return machine.Contains(out, words...)
		})
	}
	doctor(`log_level = "warn" (` + m.Root + `/sallyport.hcl:1)`)

	configure(t, m, "log_level = \"info\"\nfolders {\n  logs = \"/srv/logs\"\n}\naccess {\n  readers = \"4004\"\n}\n")
	hangUp(t, m)
	doctor(`log_level = "info"`, `folders.logs = "/srv/logs" (`+m.Root+`/sallyport.hcl:3) waits for a restart of the daemon`)
	m.Out.WaitFor(t, "setting waits for a restart of the daemon", "setting=folders.logs")

	// A user of the group may look, and only look. The folder is open for this test alone.
	binary, err := os.ReadFile(m.Binary)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.Root, "sallyport"), binary, 0o755)
	}
	if err == nil {
		err = os.Chmod(m.Root, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := asUser(m, 4004, "ps"); err != nil {
		t.Errorf("a reader's ps: %v\n%s", err, out)
	}
	file := m.Write("any.hcl", "group \"any\" {\n  egress = \"none\"\n  app \"a\" { image = \"busybox\" }\n}\n")
	if out, err := asUser(m, 4004, "apply", file); err == nil || !strings.Contains(out, "readers may see") {
		t.Errorf("a reader's apply: %v\n%s", err, out)
	}
	if out, err := asUser(m, 4005, "ps"); err == nil || !strings.Contains(out, "admits only root, and the groups") {
		t.Errorf("a stranger's ps: %v\n%s", err, out)
	}

	configure(t, m, "log_level = \"debug\"\nfolder {\n}\n")
	hangUp(t, m)
	doctor(`log_level = "info"`, "the last reload changed nothing", `Did you mean "folders"?`)
	if out, err := asUser(m, 4004, "ps"); err != nil {
		t.Errorf("after a reload that failed, a reader's ps: %v\n%s", err, out)
	}
	m.Stop()

	out, err := exec.Command(m.Binary, m.DaemonArgs()...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "sallyport.hcl:2:1") {
		t.Errorf("a start with a mistake: %v\n%s", err, out)
	}
	configure(t, m, "") // for the daemon that cleans up
}

func configure(t *testing.T, m *machine.Machine, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.Root, "sallyport.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func hangUp(t *testing.T, m *machine.Machine) {
	t.Helper()
	if err := m.Daemon.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// asUser runs a verb as a user whose one supplementary group is given.
func asUser(m *machine.Machine, group uint32, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(m.Root, "sallyport"), append(args, "--root", m.Root)...)
	cmd.Dir = filepath.Dir(m.Root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4001, Gid: 4001, Groups: []uint32{group}}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
