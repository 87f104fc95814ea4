package volumes_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/volumes"
	"github.com/sallyport/sallyport/spec"
)

// needRoot skips on a laptop and fails in CI.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("this test needs root")
	}
	t.Skip("this test needs root")
}

// newVolumes returns the volumes of a layout that no other test has. It unmounts them at the end of
// the test.
func newVolumes(t *testing.T) (*volumes.Volumes, layout.Layout) {
	t.Helper()
	needRoot(t)
	return newVolumesIn(t, t.TempDir())
}

func newVolumesIn(t *testing.T, dir string) (*volumes.Volumes, layout.Layout) {
	t.Helper()
	l := layout.Layout{
		RunDir: filepath.Join(dir, "run"), StateDir: filepath.Join(dir, "state"), LogDir: filepath.Join(dir, "log"), GroupsDir: filepath.Join(dir, "groups.d"),
	}
	for _, d := range []string{l.RunDir, l.StateDir, l.LogDir, l.GroupsDir} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	v := volumes.New(l)
	t.Cleanup(func() {
		groups, err := v.Groups(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, g := range groups {
			for _, vol := range observe(t, v, g, nil) {
				if err := v.Remove(context.Background(), g, vol.Name); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return v, l
}

func observe(t *testing.T, v *volumes.Volumes, group string, want *spec.Group) []spec.Volume {
	t.Helper()
	got, err := v.Observe(context.Background(), group, want)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// groupWith returns a group with one volume. Its app may write to the volume.
func groupWith(v spec.Volume) *spec.Group {
	return &spec.Group{Name: "g", Volumes: []spec.Volume{v}, Containers: []spec.Container{
		{Name: "web", Role: spec.App, Mounts: []spec.Mount{{Volume: v.Name, Path: "/v"}}},
	}}
}

func ensure(t *testing.T, v *volumes.Volumes, vol spec.Volume) {
	t.Helper()
	if err := v.Ensure(context.Background(), groupWith(vol), vol, nil); err != nil {
		t.Fatal(err)
	}
}

// makeFolder makes a folder of the host and returns its path.
func makeFolder(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ownerOf returns a path's owner and mode as stat prints them: "0:0 1777".
func ownerOf(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("stat", "-c", "%u:%g %a", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// runAs runs a line of shell as another user. It has dir open as descriptor 3. Like a container, it
// needs no access to the path of dir.
func runAs(t *testing.T, uid uint32, dir, line string) error {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir, cmd.ExtraFiles = "/", []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd.Run()
}

func TestRootNoVolumes(t *testing.T) {
	needRoot(t)
	v := volumes.New(layout.Layout{RunDir: filepath.Join(t.TempDir(), "none"), StateDir: filepath.Join(t.TempDir(), "none")})
	ctx := context.Background()
	groups, err := v.Groups(ctx)
	vols, err2 := v.Observe(ctx, "g", nil)
	if len(groups)+len(vols) > 0 || err != nil || err2 != nil {
		t.Errorf("groups %q, volumes %v, errors %v, %v", groups, vols, err, err2)
	}
	if err := errors.Join(v.Remove(ctx, "g", "logs"), v.Discard(ctx, "g")); err != nil {
		t.Errorf("remove: %v", err)
	}
}

func TestRootVolumeOwnership(t *testing.T) {
	for _, tt := range []struct {
		name   string
		volume spec.Volume
		want   string // as stat prints it
		writer uint32 // the only user who may write; 0: not tested
	}{
		{"ephemeral, for all", spec.Volume{Size: 1 << 20}, "0:0 1777", 0},
		{"ephemeral, for one", spec.Volume{Size: 1 << 20, Owner: "65532:65532"}, "65532:65532 750", 65532},
		{"ephemeral, with a mode", spec.Volume{Size: 1 << 20, Owner: "65532:100", Mode: 0o2700}, "65532:100 2700", 65532},
		{"persistent, for all", spec.Volume{Persistent: true}, "0:0 1777", 0},
		{"persistent, for one", spec.Volume{Persistent: true, Owner: "65532:65532"}, "65532:65532 750", 65532},
		{"ephemeral, by name", spec.Volume{Size: 1 << 20, Owner: "postgres"}, "0:0 750", 0},
		{"persistent, by name", spec.Volume{Persistent: true, Owner: "postgres:adm", Mode: 0o700}, "0:0 700", 0},
		{"persistent, with a mode alone", spec.Volume{Persistent: true, Mode: 0o755}, "0:0 755", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, l := newVolumes(t)
			tt.volume.Name = "data"
			ensure(t, v, tt.volume)
			path := l.VolumePath("g", "data")
			if got := ownerOf(t, path); got != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
			if tt.writer != 0 {
				if err := runAs(t, tt.writer, path, "echo x > /proc/self/fd/3/new"); err != nil {
					t.Errorf("its owner can't write to it: %v", err)
				}
				if err := runAs(t, 4242, path, "echo x > /proc/self/fd/3/other"); err == nil {
					t.Error("another user can write to it")
				}
			}
			// A change by its containers stays until the definition changes.
			if err := os.Chmod(path, 0o711); err != nil {
				t.Fatal(err)
			}
			before := observe(t, v, "g", nil)
			ensure(t, v, tt.volume)
			if got := ownerOf(t, path); !strings.HasSuffix(got, " 711") {
				t.Errorf("%s: the mode that a container had set was changed back", got)
			}
			tt.volume.Owner, tt.volume.Mode = "7:8", 0o770
			ensure(t, v, tt.volume)
			if got := ownerOf(t, path); got != "7:8 770" {
				t.Errorf("after a change of the definition it is %s, want 7:8 770", got)
			}
			if cmp.Equal(before, observe(t, v, "g", nil)) {
				t.Error("Observe returns the same before and after the change")
			}
			// A name is noted, and means nothing here. Nothing is done again, also where the note
			// is missing.
			tt.volume.Owner, tt.volume.Mode = "postgres", 0
			ensure(t, v, tt.volume)
			for _, what := range []string{"with a note", "without a note"} {
				if got := ownerOf(t, path); got != "7:8 750" {
					t.Errorf("%s: by name it is %s, want 7:8 750", what, got)
				}
				if have := observe(t, v, "g", groupWith(tt.volume)); len(have) != 1 || !have[0].Satisfies(tt.volume) {
					t.Errorf("%s: %+v does not satisfy %+v", what, have, tt.volume)
				}
				if err := unix.Removexattr(path, "trusted.sallyport.made"); err != nil && what == "with a note" {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestRootVolumesChangeKind(t *testing.T) {
	v, l := newVolumes(t)
	host := makeFolder(t, filepath.Join(t.TempDir(), "conf"))
	other := makeFolder(t, filepath.Join(t.TempDir(), "other"))
	kinds := []spec.Volume{
		{Name: "v", Size: 1 << 20},
		{Name: "v", Persistent: true},
		{Name: "v", HostPath: host},
		{Name: "v", HostPath: other},
		{Name: "v", Persistent: true, Owner: "1:1"},
		{Name: "v", Size: 1 << 20, Owner: "1:1"},
	}
	for _, kind := range kinds {
		ensure(t, v, kind)
		writeFile(t, filepath.Join(l.VolumePath("g", "v"), "seen"), "x")
		ensure(t, v, kind)
		if _, err := os.Stat(filepath.Join(l.VolumePath("g", "v"), "seen")); err != nil {
			t.Errorf("%+v: a second Ensure removed its content: %v", kind, err)
		}
		got := observe(t, v, "g", groupWith(kind))
		if len(got) != 1 || got[0].Persistent != kind.Persistent || got[0].HostPath != kind.HostPath || (got[0].Size != 0) != (kind.Size != 0) {
			t.Errorf("%+v is observed as %+v", kind, got)
		}
		var st unix.Statfs_t
		if err := unix.Statfs(l.VolumePath("g", "v"), &st); err != nil || st.Flags&unix.ST_NOSUID == 0 || st.Flags&unix.ST_NODEV == 0 {
			t.Errorf("%+v: flags %#x, error %v", kind, st.Flags, err)
		}
	}
	if err := v.Remove(context.Background(), "g", "v"); err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{host, other, l.PersistentPath("g", "v")} {
		if _, err := os.Stat(filepath.Join(kept, "seen")); err != nil {
			t.Errorf("the content of %s was deleted with the mount: %v", kept, err)
		}
	}
}

func TestRootVolumesRemove(t *testing.T) {
	v, l := newVolumes(t)
	ctx := context.Background()
	host := makeFolder(t, filepath.Join(t.TempDir(), "conf"))
	for _, vol := range []spec.Volume{{Name: "logs", Size: 1 << 20}, {Name: "data", Persistent: true}, {Name: "conf", HostPath: host}} {
		ensure(t, v, vol)
	}
	if groups, err := v.Groups(ctx); !cmp.Equal(groups, []string{"g"}) || err != nil {
		t.Errorf("groups %q, error %v", groups, err)
	}
	busy, err := os.Create(filepath.Join(l.VolumePath("g", "logs"), "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, name := range []string{"logs", "logs", "data", "conf"} {
		if err := v.Remove(ctx, "g", name); err != nil {
			t.Fatal(err)
		}
	}
	if groups, err := v.Groups(ctx); len(groups) > 0 || err != nil {
		t.Errorf("groups %q, error %v", groups, err)
	}
	if _, err := os.Stat(filepath.Dir(l.VolumePath("g", "x"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group's folder still exists: %v", err)
	}
}

// A daemon may be killed between making a folder and mounting on it. The next daemon removes the
// folder when it looks for orphans.
func TestRootGroupsRemovesEmptyFolders(t *testing.T) {
	v, l := newVolumes(t)
	ensure(t, v, spec.Volume{Name: "logs", Size: 1 << 20})
	makeFolder(t, l.VolumePath("g", "half"))
	makeFolder(t, l.VolumePath("left", "half"))
	writeFile(t, makeFolder(t, l.VolumePath("full", "half"))+"/kept", "kept")
	if groups, err := v.Groups(context.Background()); !cmp.Equal(groups, []string{"g"}) || err != nil {
		t.Errorf("groups %q, error %v", groups, err)
	}
	for path, want := range map[string]bool{l.VolumePath("g", "logs"): true, l.VolumePath("full", "half") + "/kept": true, filepath.Dir(l.VolumePath("left", "x")): false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it to exist: %v", path, err, want)
		}
	}
	if err := v.Remove(context.Background(), "g", "logs"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(l.VolumePath("g", "x"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group's folder after its last mount is removed: %v, want os.ErrNotExist", err)
	}
}
