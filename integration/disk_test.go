package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newDisk mounts a small disk of its own for a machine's state, and then starts the daemon.
func newDisk(t *testing.T, server string) *machine {
	t.Helper()
	m := newIdleMachine(t, server)
	if err := os.Mkdir(m.disk(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("disk", m.disk(), "tmpfs", 0, "size=96m"); err != nil {
		t.Fatal(err)
	}
	m.unmount = func() {
		if err := unix.Unmount(m.disk(), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	m.start()
	return m
}

func (m *machine) disk() string { return filepath.Join(m.root, "state") }

// fill leaves not a byte free, until it is emptied.
func (m *machine) fill() (empty func()) {
	m.t.Helper()
	path := filepath.Join(m.disk(), "ballast")
	f, err := os.Create(path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			m.t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			m.t.Fatal(err)
		}
	}
}

// TestDiskFull: what runs runs on, also from one daemon to the next; what can't be done is refused in words and changes nothing; and
// when there is room again all goes on with nobody's help.
func TestDiskFull(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			m := newDisk(t, server)
			m.apply("pair.hcl", fmt.Sprintf(pair, attackImage, "one"))
			before := m.pids("pair")
			empty := m.fill()
			for _, args := range [][]string{
				{"apply", m.write("steady.hcl", fmt.Sprintf(steady, attackImage))},
				{"apply", m.write("pair.hcl", fmt.Sprintf(pair, attackImage, "two"))},
			} {
				if _, err := m.try(args...); err == nil || !strings.Contains(err.Error(), "no space left") {
					t.Errorf("%v said %v", args, err)
				}
			}
			if now := m.pids("pair"); !equal(before, now) {
				t.Errorf("after what was refused: %v, then %v", before, now)
			}
			m.kill()
			m.start()
			if now := m.pids("pair"); !equal(before, now) {
				t.Errorf("the next daemon: %v, then %v", before, now)
			}
			empty()
			m.sidecarUpdate(before)
		})
	}
}

// sidecarUpdate is what works again in the end.
func (m *machine) sidecarUpdate(before map[string]uint32) {
	m.t.Helper()
	m.awaitRunning("pair")
	m.apply("pair.hcl", fmt.Sprintf(pair, attackImage, "two"))
	m.apply("steady.hcl", fmt.Sprintf(steady, attackImage))
	if now := m.pids("pair"); now["app"] != before["app"] || now["side"] == before["side"] {
		m.t.Errorf("the sidecar's update, in the end: %v, then %v", before, now)
	}
}

// TestDiskReadOnly: a daemon that can't write what is wanted says so and doesn't serve, what runs runs on without it, and the
// one that can write again takes it over.
func TestDiskReadOnly(t *testing.T) {
	m := newDisk(t, "")
	m.apply("pair.hcl", fmt.Sprintf(pair, attackImage, "one"))
	before := m.pids("pair")
	m.stop()
	writable := m.readOnly()
	out, err := m.daemonEnds()
	if err == nil || !strings.Contains(out, "sallyport: error: ") || !strings.Contains(out, "read-only file system") {
		t.Errorf("the daemon ended with %v, and said %s", err, out)
	}
	for name, pid := range before {
		if err := unix.Kill(int(pid), 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	writable()
	m.start()
	if now := m.pids("pair"); !equal(before, now) {
		t.Errorf("the next daemon: %v, then %v", before, now)
	}
	m.sidecarUpdate(before)
}

// daemonEnds runs a daemon that is not expected to stay.
func (m *machine) daemonEnds() (said string, err error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, m.daemonArgs()...)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	err = inNetns(m.host, cmd.Run)
	return out.String(), err
}

// readOnly is what a boot makes of a disk with errors.
func (m *machine) readOnly() (writable func()) {
	m.t.Helper()
	remount := func(flags uintptr) {
		if err := unix.Mount("disk", m.disk(), "", unix.MS_REMOUNT|flags, ""); err != nil {
			m.t.Fatal(err)
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
