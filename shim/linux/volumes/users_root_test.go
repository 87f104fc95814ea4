package volumes_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/volumes"
	"github.com/sallyport/sallyport/spec"
)

// A user is a process with a mount namespace of its own, as a container has, in which a volume is
// mounted.
type user struct {
	pid uint32
	at  string // of the volume
}

// path returns the host's path of a file in the volume as the user sees it.
func (u user) path(name string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", u.pid), u.at, name)
}

// startUser starts a process that has the group's volume, mounted read-only or not, and nothing
// else of the group.
func startUser(t *testing.T, l layout.Layout, volume, options string) user {
	t.Helper()
	at := makeFolder(t, filepath.Join(t.TempDir(), "inside"))
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec",
		`mount --bind "$1" "$2"; mount -o "remount,bind,$3" "$2"; umount "$1"; echo ready; exec cat`, "sh", l.VolumePath("g", volume), at, options)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // which ends it
		cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the user says %q, error %v", line, err)
	}
	return user{uint32(cmd.Process.Pid), at}
}

// umount does what an operator does.
func umount(t *testing.T, path string) {
	t.Helper()
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

// outdated returns the outdated volumes of a container that mounts the volume where the user has
// it.
func outdated(t *testing.T, v *volumes.Volumes, vol spec.Volume, u user) []string {
	t.Helper()
	want := groupWith(vol)
	want.Containers[0].Mounts[0].Path = u.at
	got, err := v.Outdated(context.Background(), want, map[string]uint32{"web": u.pid})
	if err != nil {
		t.Fatal(err)
	}
	return got["web"]
}

func readFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestRootAnUnmountedVolumeIsTakenFromItsUsers(t *testing.T) {
	for _, options := range []string{"rw", "ro"} {
		t.Run(options, func(t *testing.T) {
			v, l := newVolumes(t)
			logs, other := spec.Volume{Name: "logs", Size: 1 << 20}, spec.Volume{Name: "other", Size: 1 << 20}
			ensure(t, v, logs)
			ensure(t, v, other)
			path := l.VolumePath("g", "logs")
			writeFile(t, filepath.Join(path, "seen"), "1")
			foreign, u := startUser(t, l, "other", "rw"), startUser(t, l, "logs", options)
			umount(t, path)
			if got := outdated(t, v, logs, u); len(got) > 0 {
				t.Errorf("nothing is mounted, and %q is outdated", got)
			}
			if err := v.Ensure(t.Context(), groupWith(logs), logs, []uint32{1 << 30, foreign.pid, u.pid}); err != nil {
				t.Fatal(err)
			}
			if got := readFile(filepath.Join(path, "seen")); got != "1" {
				t.Errorf("its file has %q", got)
			}
			writeFile(t, filepath.Join(path, "new"), "2")
			if got := readFile(u.path("new")); got != "2" {
				t.Errorf("the user reads %q from a new file", got)
			}
			if got := outdated(t, v, logs, u); len(got) > 0 {
				t.Errorf("%q is outdated", got)
			}
			var st unix.Statfs_t
			if err := unix.Statfs(path, &st); err != nil || st.Flags&unix.ST_NOSUID == 0 || st.Flags&unix.ST_NODEV == 0 {
				t.Errorf("flags %#x, error %v", st.Flags, err)
			}
		})
	}
}

// If no process that runs has the volume, a new one is made. A process that still has the old one
// is outdated.
func TestRootAUserOfAnEarlierVolumeIsOutdated(t *testing.T) {
	host := makeFolder(t, filepath.Join(t.TempDir(), "disk"))
	for _, vol := range []spec.Volume{
		{Name: "v", Size: 1 << 20},
		{Name: "v", Persistent: true},
		{Name: "v", HostPath: host},
	} {
		v, l := newVolumes(t)
		ensure(t, v, vol)
		path := l.VolumePath("g", "v")
		u := startUser(t, l, "v", "rw")
		if got := outdated(t, v, vol, u); len(got) > 0 {
			t.Errorf("%+v: at first %q is outdated", vol, got)
		}
		switch { // what the host's operators do
		case vol.Persistent:
			kept := l.PersistentPath("g", "v")
			if err := errors.Join(os.Rename(kept, kept+".old"), os.Mkdir(kept, 0o700)); err != nil {
				t.Fatal(err)
			}
		case vol.HostPath != "":
			if err := unix.Mount("sallyport-test", host, "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { umount(t, host) })
		default:
			umount(t, path)
		}
		ensure(t, v, vol)
		if got := outdated(t, v, vol, u); !cmp.Equal(got, []string{"v"}) {
			t.Errorf("%+v: %q is outdated", vol, got)
		}
		writeFile(t, filepath.Join(path, "new"), "2")
		if _, err := os.Stat(u.path("new")); err == nil {
			t.Errorf("%+v: the user sees the new one, so that this test can't fail", vol)
		}
	}
}

// The volume is still there below a mount that others have made over it.
func TestRootAVolumeThatOthersHaveMountedOver(t *testing.T) {
	host := makeFolder(t, filepath.Join(t.TempDir(), "disk"))
	for _, vol := range []spec.Volume{
		{Name: "v", Size: 1 << 20},
		{Name: "v", Persistent: true},
		{Name: "v", HostPath: host},
	} {
		v, l := newVolumes(t)
		ensure(t, v, vol)
		path := l.VolumePath("g", "v")
		writeFile(t, filepath.Join(path, "seen"), "1")
		for range 2 {
			if err := unix.Mount("theirs", path, "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
		}
		if got := observe(t, v, "g", groupWith(vol)); len(got) != 1 || got[0].Satisfies(vol) {
			t.Errorf("%+v: covered, it is observed as %+v", vol, got)
		}
		ensure(t, v, vol)
		if got := readFile(filepath.Join(path, "seen")); got != "1" {
			t.Errorf("%+v: its file has %q", vol, got)
		}
	}
}
