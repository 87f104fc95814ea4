package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

// newDisk mounts a small disk for a machine's state, and then starts the daemon.
func newDisk(t *testing.T, server string) *machine.Machine {
	t.Helper()
	m := machine.NewIdle(t, server)
	if err := os.Mkdir(diskPath(m), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("disk", diskPath(m), "tmpfs", 0, "size=96m,mode=700"); err != nil {
		t.Fatal(err)
	}
	m.Unmount = func() {
		if err := unix.Unmount(diskPath(m), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	m.Start()
	return m
}

func diskPath(m *machine.Machine) string { return filepath.Join(m.Root, "state") }

// fillDisk leaves no free byte. The returned function frees them again.
func fillDisk(m *machine.Machine) (empty func()) {
	m.T.Helper()
	path := filepath.Join(diskPath(m), "ballast")
	f, err := os.Create(path)
	if err != nil {
		m.T.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			m.T.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			m.T.Fatal(err)
		}
	}
}

// TestDiskFull fills the disk. What runs keeps running, also from one daemon to the next. A change
// that can't be made is refused with a message and has no effect. When there is space again,
// everything works without help.
func TestDiskFull(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := newDisk(t, server)
			m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
			before := m.Pids("pair")
			empty := fillDisk(m)
			for _, args := range [][]string{
				{"apply", m.Write("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))},
				{"apply", m.Write("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "two"))},
			} {
				if _, err := m.Try(args...); err == nil || !strings.Contains(err.Error(), "no space left") {
					t.Errorf("%v said %v", args, err)
				}
			}
			if now := m.Pids("pair"); !maps.Equal(before, now) {
				t.Errorf("after a refusal: %v, then %v", before, now)
			}
			m.Kill()
			m.Start()
			if now := m.Pids("pair"); !maps.Equal(before, now) {
				t.Errorf("the next daemon: %v, then %v", before, now)
			}
			empty()
			sidecarUpdate(m, before)
		})
	}
}

// sidecarUpdate checks that changes can be made again.
func sidecarUpdate(m *machine.Machine, before map[string]uint32) {
	m.T.Helper()
	m.AwaitRunning("pair")
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "two"))
	m.Apply("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))
	if now := m.Pids("pair"); now["app"] != before["app"] || now["side"] == before["side"] {
		m.T.Errorf("the sidecar's update, in the end: %v, then %v", before, now)
	}
}

// TestDiskReadOnly makes the disk read-only. The daemon reports that it can't write, and doesn't
// serve. What runs keeps running without it, and a daemon that can write again takes it over.
func TestDiskReadOnly(t *testing.T) {
	m := newDisk(t, "")
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
	before := m.Pids("pair")
	m.Stop()
	writable := remountReadOnly(m)
	out, err := runDaemonToItsEnd(m)
	if err == nil || !strings.Contains(out, "sallyport: error: ") || !strings.Contains(out, "read-only file system") {
		t.Errorf("the daemon ended with %v, and said %s", err, out)
	}
	for name, pid := range before {
		if err := unix.Kill(int(pid), 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	writable()
	m.Start()
	if now := m.Pids("pair"); !maps.Equal(before, now) {
		t.Errorf("the next daemon: %v, then %v", before, now)
	}
	sidecarUpdate(m, before)
}

// runDaemonToItsEnd runs a daemon that is expected to end by itself.
func runDaemonToItsEnd(m *machine.Machine) (said string, err error) {
	m.T.Helper()
	ctx, cancel := context.WithTimeout(m.T.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.Binary, m.DaemonArgs()...)
	var out machine.Output
	cmd.Stdout, cmd.Stderr = &out, &out
	err = machine.InNetns(m.Host, cmd.Run)
	return out.String(), err
}

// remountReadOnly does what a boot does with a disk that has errors. The returned function makes it
// writable again.
func remountReadOnly(m *machine.Machine) (writable func()) {
	m.T.Helper()
	remount := func(flags uintptr) {
		if err := unix.Mount("disk", diskPath(m), "", unix.MS_REMOUNT|flags, ""); err != nil {
			m.T.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	return func() { remount(0) }
}

// copyFile copies an image that a test is about to delete.
func copyFile(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
