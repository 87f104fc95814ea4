package volumes_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/linux/volumes"
	"github.com/sallyport/sallyport/spec"
)

func TestRootHostPathRefused(t *testing.T) {
	v, l := newVolumes(t)
	dir := t.TempDir()
	link := func(name, to string) string {
		path := filepath.Join(dir, name)
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := filepath.Join(dir, "file")
	writeFile(t, file, "x")
	for _, tt := range []struct {
		name, path string
		want       []string // in the error
	}{
		{"absent", filepath.Join(dir, "none"), []string{"host path " + filepath.Join(dir, "none") + " does not exist"}},
		{"a file", file, []string{"host path " + file + " is not a folder"}},
		{"a link to nothing", link("nothing", "/srv/nothing-at-all"), []string{"does not exist"}},
		{"the root", "/", []string{"host path / can't be a volume"}},
		{"a link to a folder of the kernel", link("dev", "/dev"), []string{"leads to /dev, and it can't be a volume"}},
		{"a link to a link above the sockets", link("upper", link("run", "/run")), []string{"leads to /run, and it can't be a volume"}},
		{"a link to the host's configuration", link("etc", "/etc"), []string{"leads to /etc, and it can't be a volume"}},
		{"our run folder", makeFolder(t, filepath.Join(l.RunDir, "x")), []string{"Sallyport keeps its own files in " + l.RunDir}},
		{"our state", l.StateDir, []string{"Sallyport keeps its own files in " + l.StateDir}},
		{"a link to our logs", link("log", l.LogDir), []string{"leads to " + l.LogDir, "Sallyport keeps its own files"}},
		{"above our group files", filepath.Dir(l.GroupsDir), []string{"Sallyport keeps its own files"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vol := spec.Volume{Name: "conf", HostPath: tt.path}
			for _, err := range []error{v.Check(context.Background(), groupWith(vol)), v.Ensure(context.Background(), groupWith(vol), vol, nil)} {
				var p *hint.Error
				if !errors.As(err, &p) || p.Hint == "" {
					t.Fatalf("error %v", err)
				}
				for _, words := range append(tt.want, "volume conf") {
					if !strings.Contains(err.Error(), words) {
						t.Errorf("%q doesn't say %q", err, words)
					}
				}
			}
			if got := observe(t, v, "g", nil); len(got) > 0 {
				t.Errorf("mounted: %+v", got)
			}
		})
	}
}

func TestRootHostPathReadOnly(t *testing.T) {
	v, l := newVolumes(t)
	link := filepath.Join(t.TempDir(), "etc")
	if err := os.Symlink("/etc", link); err != nil {
		t.Fatal(err)
	}
	vol := spec.Volume{Name: "conf", HostPath: link}
	want := groupWith(vol)
	want.Containers[0].Mounts[0].ReadOnly = true
	if err := errors.Join(v.Check(context.Background(), want), v.Ensure(context.Background(), want, vol, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(l.VolumePath("g", "conf"), "passwd")); err != nil {
		t.Error(err)
	}
}

func TestRootHostPathLeavesOutMountsBelow(t *testing.T) {
	v, l := newVolumes(t)
	host := makeFolder(t, filepath.Join(t.TempDir(), "srv"))
	for _, name := range []string{"before", "after"} {
		at := makeFolder(t, filepath.Join(host, name))
		if name == "after" {
			ensure(t, v, spec.Volume{Name: "conf", HostPath: host})
		}
		if err := unix.Mount("test", at, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		writeFile(t, filepath.Join(at, "hidden"), "x")
	}
	writeFile(t, filepath.Join(host, "shown"), "x")
	for file, want := range map[string]bool{"shown": true, "before/hidden": false, "after/hidden": false} {
		if _, err := os.Stat(filepath.Join(l.VolumePath("g", "conf"), file)); (err == nil) != want {
			t.Errorf("%s: error %v, want it to exist: %v", file, err, want)
		}
	}
}

func TestRootHostPathReplacedFolder(t *testing.T) {
	v, l := newVolumes(t)
	dir := t.TempDir()
	host := makeFolder(t, filepath.Join(dir, "srv"))
	vol := spec.Volume{Name: "conf", HostPath: host}
	want := groupWith(vol)
	ensure(t, v, vol)
	if err := os.Rename(host, filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	makeFolder(t, host)
	writeFile(t, filepath.Join(host, "new"), "x")
	if got := observe(t, v, "g", want); got[0].HostPath == host {
		t.Fatalf("Observe does not notice another folder at the path: %+v", got)
	}
	ensure(t, v, vol)
	if _, err := os.Stat(filepath.Join(l.VolumePath("g", "conf"), "new")); err != nil {
		t.Error(err)
	}
	if got := observe(t, v, "g", want); len(got) != 1 || got[0].HostPath != host {
		t.Errorf("observed as %+v", got)
	}
}

// A container may make a link in a volume that it writes to. The link must not choose the folder of
// another volume.
func TestRootHostPathThroughLinkInVolume(t *testing.T) {
	v, _ := newVolumes(t)
	ctx, dir := context.Background(), t.TempDir()
	data, other := makeFolder(t, filepath.Join(dir, "data")), makeFolder(t, filepath.Join(dir, "other"))
	sub := filepath.Join(data, "sub")
	byOperator := filepath.Join(dir, "current")
	for link, to := range map[string]string{sub: other, byOperator: sub, filepath.Join(dir, "fine"): other} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	outer := spec.Volume{Name: "data", HostPath: data}
	for _, path := range []string{sub, byOperator} {
		inner := spec.Volume{Name: "sub", HostPath: path}
		both := groupWith(inner)
		both.Volumes = append(both.Volumes, outer)
		both.Containers[0].Mounts = append(both.Containers[0].Mounts, spec.Mount{Volume: "data", Path: "/data"})
		if err := v.Check(ctx, both); err == nil || !strings.Contains(err.Error(), "by the link "+sub) {
			t.Errorf("%s in one group: %v", path, err)
		}
		ensure(t, v, outer) // as for another group
		for _, err := range []error{v.Check(ctx, groupWith(inner)), v.Ensure(ctx, groupWith(inner), inner, nil)} {
			if err == nil || !strings.Contains(err.Error(), "by the link "+sub) {
				t.Errorf("%s while the other is mounted: %v", path, err)
			}
		}
		if err := v.Remove(ctx, "g", "data"); err != nil {
			t.Fatal(err)
		}
		if err := v.Check(ctx, groupWith(inner)); err != nil {
			t.Errorf("%s, while no container writes to it: %v", path, err)
		}
	}
	ensure(t, v, outer)
	fine := spec.Volume{Name: "fine", HostPath: filepath.Join(dir, "fine")}
	if err := v.Check(ctx, groupWith(fine)); err != nil {
		t.Errorf("an operator's link: %v", err)
	}
}

func TestRootHostPathRefusedByContent(t *testing.T) {
	_, l := newVolumes(t)
	dir := t.TempDir()
	sockets := makeFolder(t, filepath.Join(dir, "elsewhere"))
	v := volumes.New(l, filepath.Join(sockets, "containerd.sock"))
	kernels := makeFolder(t, filepath.Join(dir, "chroot", "proc"))
	if err := unix.Mount("proc", kernels, "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(kernels, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	for path, want := range map[string]string{
		sockets:                        "the control socket " + filepath.Join(sockets, "containerd.sock") + " is in it",
		dir:                            "the control socket",
		kernels:                        "the files in it are the kernel's",
		filepath.Join(kernels, "self"): "the files in it are the kernel's",
	} {
		if err := v.Check(context.Background(), groupWith(spec.Volume{Name: "conf", HostPath: path})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}
