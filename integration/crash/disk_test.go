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

// newDisk mounts a small disk of its own for a machine's state, and then starts the daemon.
func newDisk(t *testing.T, server string) *machine.Machine {
	t.Helper()
	m := machine.NewIdle(t, server)
	if err := os.Mkdir(diskPath(m), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("disk", diskPath(m), "tmpfs", 0, "size=96m"); err != nil {
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

// fillDisk leaves not a byte free, until it is emptied.
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

// TestDiskFull: what runs runs on, also from one daemon to the next; what can't be done is refused in words and changes nothing; and
// when there is room again all goes on with nobody's help.
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
				t.Errorf("after what was refused: %v, then %v", before, now)
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

// sidecarUpdate is what works again in the end.
func sidecarUpdate(m *machine.Machine, before map[string]uint32) {
	m.T.Helper()
	m.AwaitRunning("pair")
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "two"))
	m.Apply("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))
	if now := m.Pids("pair"); now["app"] != before["app"] || now["side"] == before["side"] {
		m.T.Errorf("the sidecar's update, in the end: %v, then %v", before, now)
	}
}

// TestDiskReadOnly: a daemon that can't write what is wanted says so and doesn't serve, what runs runs on without it, and the
// one that can write again takes it over.
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

// runDaemonToItsEnd runs a daemon that is not expected to stay.
func runDaemonToItsEnd(m *machine.Machine) (said string, err error) {
	m.T.Helper()
	ctx, cancel := context.WithTimeout(m.T.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.Binary, m.DaemonArgs()...)
	var out machine.Output
	cmd.Stdout, cmd.Stderr = &out, &out
	err = machine.InNetns(m.Host, cmd.Run)
	return out.String(), err
}

// remountReadOnly is what a boot makes of a disk with errors.
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

// copyFile is for an image that is to vanish.
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
