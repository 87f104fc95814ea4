package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
)

func TestCheckOwned(t *testing.T) {
	const dir, link = fs.ModeDir, fs.ModeSymlink
	host := map[string]inode{
		"/": {0, dir | 0o755, ""}, "/var": {0, dir | 0o755, ""}, "/var/lib": {0, dir | 0o755, ""},
		"/var/run": {0, link | 0o777, "/run"}, "/run": {0, dir | 0o755, ""},
		"/var/log": {0, dir | 0o775, ""}, // as on Ubuntu

		"/home": {0, dir | 0o755, ""}, "/home/eve": {1000, dir | 0o700, ""}, "/home/eve/root": {0, dir | 0o700, ""},
		"/srv": {0, dir | 0o755, ""}, "/srv/group": {0, dir | 0o775, ""}, "/srv/all": {0, dir | 0o757, ""}, "/srv/eve": {1000, dir | 0o755, ""},
		"/srv/link": {0, link | 0o777, "group"}, "/srv/up": {0, link | 0o777, "../home/eve"}, "/srv/loop": {0, link | 0o777, "loop"},
		"/srv/tmp": {0, link | 0o777, "../tmp/mine"}, "/srv/later": {0, link | 0o777, "/tmp/new"},

		"/tmp": {0, dir | fs.ModeSticky | 0o777, ""}, "/tmp/mine": {0, dir | 0o700, ""}, "/tmp/read": {0, dir | 0o755, ""},
		"/tmp/open": {0, dir | 0o777, ""}, "/tmp/eve": {1000, dir | 0o700, ""},
		"/tmp/evelink": {1000, link | 0o777, "/tmp/mine"}, "/tmp/rootlink": {0, link | 0o777, "mine"},
		"/tmp/mine/log": {0, dir | 0o750, ""}, "/tmp/mine/groups": {1000, dir | 0o755, ""},
	}
	look := func(path string) (inode, error) {
		node, ok := host[path]
		if !ok {
			return inode{}, fs.ErrNotExist
		}
		return node, nil
	}
	for _, c := range []struct{ name, path, want, hint string }{
		{"all root's", "/var/lib/sallyport", "", ""},
		{"a link of root's", "/var/run/sallyport", "", ""},
		{"the host's logs, shared with a group", "/var/log/sallyport", "", ""},
		{"root's folder in /tmp", "/tmp/mine/state", "", ""},
		{"root's folder in /tmp, deeper", "/tmp/mine/log", "", ""},
		{"root's readable folder in /tmp", "/tmp/read", "", ""},
		{"root's link in /tmp", "/tmp/rootlink/state", "", ""},
		{"through a link into /tmp", "/srv/tmp/state", "", ""},

		{"/tmp itself", "/tmp", "/tmp is open to all", "choose a folder below /root or /var/lib; or, if it is Sallyport's alone"},
		{"no folder in /tmp yet", "/tmp/new/state", "anyone could make /tmp/new before", "mkdir -m 700 /tmp/new"},
		{"no folder in /tmp yet, through a link", "/srv/later/state", "anyone could make /tmp/new before", "mkdir -m 700 /tmp/new"},
		{"a stranger's folder in /tmp", "/tmp/eve/state", "/tmp/eve belongs to uid 1000", "chown root /tmp/eve"},
		{"a stranger's link in /tmp", "/tmp/evelink/state", "/tmp/evelink belongs to uid 1000", "choose"},
		{"an open folder in /tmp", "/tmp/open/state", "may write to /tmp/open (mode 0777)", "chmod go-w /tmp/open"},
		{"a stranger's folder in root's", "/tmp/mine/groups", "/tmp/mine/groups belongs to uid 1000", "chown root"},
		{"a stranger's parent", "/home/eve/root/state", "/home/eve belongs to uid 1000", "choose"},
		{"the folder is a stranger's", "/srv/eve", "/srv/eve belongs to uid 1000", "chown root /srv/eve"},
		{"a group may write", "/srv/group/state", "may write to /srv/group (mode 0775)", "chmod go-w /srv/group"},
		{"all may write", "/srv/all", "may write to /srv/all (mode 0757)", "chmod go-w /srv/all"},
		{"a link to where a group may write", "/srv/link/state", "may write to /srv/group", "chmod go-w /srv/group"},
		{"a link up and down", "/srv/up", "/home/eve belongs to uid 1000", "choose"},
		{"a link to itself", "/srv/loop", "more than 40 symbolic links", "choose"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkOwned("state folder", c.path, look)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(hintOf(err), c.hint)):
				t.Errorf("got %v, hint %q; want %q, hint %q", err, hintOf(err), c.want, c.hint)
			case err != nil && !strings.HasPrefix(err.Error(), "state folder "+c.path+": "):
				t.Errorf("the error does not begin with the folder: %v", err)
			}
		})
	}

	t.Run("the host's logs, open to all", func(t *testing.T) {
		host["/var/log"] = inode{0, fs.ModeDir | 0o777, ""}
		if err := checkOwned("log folder", "/var/log/sallyport", look); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("unreadable", func(t *testing.T) {
		err := checkOwned("state folder", "/srv", func(string) (inode, error) { return inode{}, unix.EACCES })
		if !errors.Is(err, unix.EACCES) || hintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})
}

func TestLookAt(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, fs.ModeSticky|0o757), os.Symlink("over/there", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	self := uint32(os.Getuid())
	for path, want := range map[string]inode{
		dir:                        {self, fs.ModeDir | fs.ModeSticky | 0o757, ""},
		filepath.Join(dir, "link"): {self, fs.ModeSymlink | 0o777, "over/there"},
	} {
		got, err := lookAt(path)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(inode{})); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", path, err, diff)
		}
	}
	if _, err := lookAt(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}

// A stranger prepares a folder with a group file, and root is led to use it. Each folder alone is
// enough.
func TestRootFoldersOfStrangers(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	root, err := os.MkdirTemp("/tmp", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	safe := layout.Layout{
		RunDir: filepath.Join(root, "run"), StateDir: filepath.Join(root, "state"),
		GroupsDir: filepath.Join(root, "groups.d"), LogDir: filepath.Join(root, "log"),
	}
	rt := runtimeFlags{Containerd: privateContainerd}
	conf := &configuration{path: filepath.Join(root, "sallyport.hcl")}
	if _, err := checkFolders(safe, rt, conf); err != nil {
		t.Fatalf("root's own folders in /tmp are refused: %v", err)
	}
	strangers := filepath.Join(root, "strangers")
	if err := errors.Join(os.Mkdir(strangers, 0o755), os.Chown(strangers, 1000, 1000)); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(l *layout.Layout, rt *runtimeFlags){
		"configuration":                 func(*layout.Layout, *runtimeFlags) { conf.path = filepath.Join(strangers, "sallyport.hcl") },
		"run folder":                    func(l *layout.Layout, _ *runtimeFlags) { l.RunDir = strangers },
		"state folder":                  func(l *layout.Layout, _ *runtimeFlags) { l.StateDir = strangers },
		"groups folder":                 func(l *layout.Layout, _ *runtimeFlags) { l.GroupsDir = strangers },
		"log folder":                    func(l *layout.Layout, _ *runtimeFlags) { l.LogDir = strangers },
		"runtime":                       func(_ *layout.Layout, rt *runtimeFlags) { rt.Runtime = strangers + "/crun" },
		"folder of containerd's socket": func(_ *layout.Layout, rt *runtimeFlags) { rt.Containerd = strangers + "/containerd.sock" },
	} {
		l, rt := safe, rt
		conf.path = filepath.Join(root, "sallyport.hcl")
		change(&l, &rt)
		if _, err := checkFolders(l, rt, conf); err == nil || !strings.HasPrefix(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
		if err := runRequired(t.Context(), onlyFolders(hostChecks(l, rt, conf))); err == nil {
			t.Errorf("%s: the daemon would start", what)
		}
	}
}

// onlyFolders leaves out the checks of what the host has.
func onlyFolders(checks []check) (some []check) {
	for _, c := range checks {
		if c.name == "folders" {
			some = append(some, c)
		}
	}
	return some
}
