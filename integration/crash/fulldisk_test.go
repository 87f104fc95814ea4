package crash

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// hog is a group that does something over and over, and prints all the time.
const hog = `
group "hog" {
  egress = "none"
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "while :; do echo output; %[2]s; sleep 0.01; done"]
    stop    { timeout = "1s" }
  }
}
`

// newSmallHost is a machine with everything but its run folder on one small disk, as on a host with
// a single file system.
func newSmallHost(t *testing.T, server, options string) *machine.Machine {
	t.Helper()
	m := machine.NewIdle(t, server)
	run := filepath.Join(m.Root, "run")
	if err := unix.Mount("disk", m.Root, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(run, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("run", run, "tmpfs", 0, "mode=711"); err != nil {
		t.Fatal(err)
	}
	m.Unmount = func() {
		for _, path := range []string{run, m.Root} {
			if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	}
	m.Start()
	return m
}

// A shortage is a disk that lacks one thing.
type shortage struct {
	options string // of the mount
	eat     string // shell: takes some of it
	says    string // what an operator is told
	// ballast takes the rest of it. The returned function gives that back.
	ballast func(m *machine.Machine) (empty func())
}

var shortages = map[string]shortage{
	"bytes": {"size=96m,mode=700", "dd if=/dev/zero of=/fill.$i bs=64k 2>/dev/null; i=x$i", "is full", fillDisk},
	"inodes": {"size=96m,nr_inodes=3000,mode=700",
		"mkdir /d$i 2>/dev/null; for a in 0 1 2 3 4 5 6 7 8 9; do for b in 0 1 2 3 4 5 6 7 8 9; do echo >/d$i/$a$b; done; done 2>/dev/null; i=x$i", "no room for more files", fillInodes},
}

// fillInodes leaves no free inode. The returned function frees them again.
func fillInodes(m *machine.Machine) (empty func()) {
	m.T.Helper()
	dir := filepath.Join(diskPath(m), "ballast")
	err := os.Mkdir(dir, 0o700)
	for i := 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600)
	}
	if !errors.Is(err, unix.ENOSPC) {
		m.T.Fatal(err)
	}
	return func() {
		if err := os.RemoveAll(dir); err != nil {
			m.T.Fatal(err)
		}
	}
}

// awaitFull waits until a group has filled the disk.
func awaitFull(m *machine.Machine) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, "the disk is full", func() error {
		var s unix.Statfs_t
		if err := unix.Statfs(m.Root, &s); err != nil || s.Bfree > 0 && s.Ffree > 0 {
			return fmt.Errorf("%d blocks and %d inodes are free: %w", s.Bfree, s.Ffree, err)
		}
		return nil
	})
}

// unwritten returns the files that wait in the run folder.
func unwritten(m *machine.Machine) []string {
	left, _ := filepath.Glob(filepath.Join(m.Root, "run", "unwritten", "*", "*"))
	return left
}

func awaitWritten(m *machine.Machine) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, "the wish is on disk", func() error {
		if left := unwritten(m); len(left) > 0 {
			return fmt.Errorf("left: %q", left)
		}
		return nil
	})
}

// applySoon applies a file after a group has gone. containerd deletes what that has written later.
func applySoon(m *machine.Machine, file string) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, "there is space", func() error { _, err := m.Try("apply", file); return err })
}

// eachShortage runs a test for each kind of full disk and each containerd.
func eachShortage(t *testing.T, do func(t *testing.T, m *machine.Machine, s shortage)) {
	for kind, s := range shortages {
		for name, server := range machine.Servers(t) {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				do(t, newSmallHost(t, server, s.options), s)
			})
		}
	}
}

// TestHogIsStoppedAndRemoved has a group fill the disk that also has the state, the logs and
// containerd. That group is stopped, and removed, with everything as full as it can make it.
func TestHogIsStoppedAndRemoved(t *testing.T) {
	eachShortage(t, func(t *testing.T, m *machine.Machine, s shortage) {
		m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
		before := m.Pids("pair")
		again := m.Write("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "two"))
		file := m.Write("hog.hcl", fmt.Sprintf(hog, machine.AttackImage, s.eat))
		if out, _ := doctor(m); !strings.Contains(out, "ok    disks") || strings.Contains(stderr(m, "ps"), "warning") {
			t.Errorf("control: doctor, with space: %s", out)
		}
		m.Run("apply", file)
		awaitFull(m)
		if _, err := m.Try("apply", again); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("control: apply on a full disk said %v", err)
		}
		checkNamed(m, s)
		m.Run("stop", "hog")
		if st := m.Status("hog"); st.State != group.Stopped || st.Error != "" {
			t.Errorf("hog is %s, %s", st.State, st.Error)
		}
		applySoon(m, again)
		if now := m.Pids("pair"); now["app"] != before["app"] || now["side"] == before["side"] {
			t.Errorf("pair: %v, then %v", before, now)
		}
		m.Run("start", "hog")
		awaitFull(m)
		m.Stop()
		m.Start()
		m.Run("rm", "hog")
		awaitWritten(m)
		applySoon(m, file)
		awaitFull(m)
		m.Run("rm", "hog.hcl")
		m.Kill()
		m.Start()
		if all := m.PS(); len(all) != 1 || all[0].Name != "pair" {
			t.Errorf("in the end there are %+v", all)
		}
	})
}

// stderr returns what a command that succeeds prints for people.
func stderr(m *machine.Machine, args ...string) string {
	m.T.Helper()
	cmd := exec.Command(m.Binary, append([]string{"--root", m.Root}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := machine.InNetns(m.Host, cmd.Run); err != nil {
		m.T.Errorf("%v: %v, %s", args, err, said.String())
	}
	return said.String()
}

func doctor(m *machine.Machine) (string, error) {
	return m.Try(append([]string{"doctor"}, m.DaemonArgs()[3:]...)...)
}

// checkNamed checks that status, ps and doctor name the group that fills the disk, and that doctor
// fails because of it.
func checkNamed(m *machine.Machine, s shortage) {
	m.T.Helper()
	const named = "Largest: files written by hog.app"
	for _, args := range [][]string{{"ps"}, {"status", "pair"}} {
		if said := stderr(m, args...); !strings.Contains(said, named) || !strings.Contains(said, s.says) {
			m.T.Errorf("%v said %q", args, said)
		}
	}
	out, err := doctor(m)
	if err == nil || !strings.Contains(out, "FAIL  disks") || !strings.Contains(out, named) || !strings.Contains(out, s.says) {
		m.T.Errorf("doctor: %v, %s", err, out)
	}
}

// TestWishOutlivesTheDaemonOnAFullDisk kills the daemon while it stops or removes a group whose end
// frees nothing. The next daemon starts on the full disk, and does what was asked. When there is
// space, the wish is written, and counts without the run folder.
func TestWishOutlivesTheDaemonOnAFullDisk(t *testing.T) {
	eachShortage(t, func(t *testing.T, m *machine.Machine, s shortage) {
		m.Stop()
		m.Binary = failpointBinary
		point := filepath.Join(m.Root, "run", "failpoint")
		env := failpointEnv + "=" + point
		die := func(at string, args ...string) {
			t.Helper()
			if err := os.WriteFile(point, []byte(at), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := m.Try(args...); err == nil {
				t.Fatalf("%v went on past %s: %s", args, at, out)
			}
			m.Daemon.Wait()
			if err := os.Remove(point); err != nil {
				t.Fatal(err)
			}
			m.Start(env)
		}
		m.Start(env)
		m.Apply("hog.hcl", fmt.Sprintf(hog, machine.AttackImage, "true"))
		m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
		before := m.Pids("hog")
		empty := s.ballast(m)
		die("before:keep wanted:1", "stop", "hog")
		if now := m.Pids("hog"); !maps.Equal(before, now) || len(unwritten(m)) > 0 {
			t.Errorf("killed before the wish: %v, then %v, with %q", before, now, unwritten(m))
		}
		die("before:stop:1", "stop", "hog")
		if len(unwritten(m)) == 0 {
			t.Error("no wish is in the run folder")
		}
		awaitState(m, "hog", group.Stopped)
		die("before:stop:1", "rm", "pair")
		machine.Eventually(t, time.Minute, "pair is gone", func() error {
			if all := m.PS(); len(all) != 1 {
				return fmt.Errorf("%+v", all)
			}
			return nil
		})
		empty()
		awaitWritten(m)
		m.Kill()
		if err := os.RemoveAll(filepath.Join(m.Root, "run", "unwritten")); err != nil {
			t.Fatal(err)
		}
		m.Start()
		awaitState(m, "hog", group.Stopped)
		if all := m.PS(); len(all) != 1 {
			t.Errorf("in the end there are %+v", all)
		}
		m.Run("start", "hog")
	})
}

func awaitState(m *machine.Machine, name string, want group.State) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, fmt.Sprintf("%s is %s", name, want), func() error {
		if st := m.Status(name); st.State != want {
			return fmt.Errorf("%s, %s", st.State, st.Error)
		}
		return nil
	})
}

// TestOutputAfterAFullDisk fills the disk under a group that prints. Its shim copies no more, which
// an operator is told. When there is space, the group is started again and prints.
func TestOutputAfterAFullDisk(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newSmallHost(t, server, shortages["bytes"].options)
			m.Apply("hog.hcl", fmt.Sprintf(hog, machine.AttackImage, "true"))
			m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
			before, others := m.Pids("hog"), m.Pids("pair")
			empty := fillDisk(m)
			machine.Eventually(t, 90*time.Second, "it is told", func() error {
				if st := m.Status("hog"); !strings.Contains(st.Error, "output of app is lost") || !strings.Contains(st.Error, "no space left") {
					return fmt.Errorf("%s, error %q", st.State, st.Error)
				}
				return nil
			})
			if now := m.Pids("hog"); !maps.Equal(before, now) {
				t.Errorf("on a full disk: %v, then %v", before, now)
			}
			empty()
			machine.Eventually(t, 90*time.Second, "it is started again", func() error {
				if now := m.Pids("hog"); len(now) != 1 || maps.Equal(before, now) {
					return fmt.Errorf("%v, before %v", now, before)
				}
				return nil
			})
			m.AwaitRunning("hog")
			if now := m.Pids("pair"); !maps.Equal(others, now) {
				t.Errorf("pair: %v, then %v", others, now)
			}
			lines := func() int { return strings.Count(m.Run("logs", "hog.app"), "output") }
			was := lines()
			machine.Eventually(t, time.Minute, "it prints", func() error {
				if n := lines(); n <= was {
					return fmt.Errorf("%d lines", n)
				}
				return nil
			})
			if told := m.Events("hog", group.EventOutput); len(told) == 0 {
				t.Error("no event")
			}
		})
	}
}
