package removed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
)

var noon = time.Unix(1_790_000_000, 0)

// newLogs returns log folders with these files, each with its own name as content. An empty
// one ends in "=".
func newLogs(t *testing.T, files ...string) Logs {
	t.Helper()
	l := Logs{Dir: t.TempDir(), Now: func() time.Time { return noon }}
	l.write(t, files...)
	return l
}

func (l Logs) write(t *testing.T, files ...string) {
	t.Helper()
	for _, name := range files {
		name, empty := strings.CutSuffix(name, "=")
		text := name
		if empty {
			text = ""
		}
		path := filepath.Join(l.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// tree returns all files, each with its content.
func (l Logs) tree(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(l.Dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(l.Dir, path)
		files = append(files, fmt.Sprintf("%s: %s", name, text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRetire(t *testing.T) {
	l := newLogs(t, "web/app.log", "web/app.times", "web/.output.json", "other/app.log")
	for range 2 { // within one second, and the second time without output
		if err := l.Retire("web"); err != nil {
			t.Fatal(err)
		}
	}
	l.write(t, "web/app.log")
	if err := l.Retire("web"); err != nil {
		t.Fatal(err)
	}
	l.Now = func() time.Time { return noon.Add(-time.Hour) } // the clock was set back
	l.write(t, "web/late.log")
	if err := l.Retire("web"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		".removed/web@1790000000/.output.json: web/.output.json",
		".removed/web@1790000000/app.log: web/app.log",
		".removed/web@1790000000/app.times: web/app.times",
		".removed/web@1790000001/app.log: web/app.log",
		".removed/web@1790000002/late.log: web/late.log",
		"other/app.log: other/app.log",
	}
	if diff := cmp.Diff(want, l.tree(t)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if latest, ok, err := l.Latest("web"); !ok || err != nil || latest.Dir != filepath.Join(l.Dir, ".removed/web@1790000002") {
		t.Errorf("the latest is %v, %v, %v", latest, ok, err)
	}
	if _, ok, err := l.Latest("none"); ok || err != nil {
		t.Errorf("of a group that was not removed: %v, %v", ok, err)
	}
}

// A group that has printed nothing leaves nothing.
func TestRetireNothing(t *testing.T) {
	l := newLogs(t, "web/app.log=", "web/app.times=", "web/.output.json")
	for _, group := range []string{"web", "none"} {
		if err := l.Retire(group); err != nil {
			t.Error(err)
		}
	}
	if got := l.tree(t); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}

// An open file is written further after the move: the last output of a container that ends late.
func TestRetireKeepsWhatIsStillWritten(t *testing.T) {
	l := newLogs(t, "web/app.log")
	f, err := os.OpenFile(filepath.Join(l.Dir, "web/app.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := l.Retire("web"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(", late"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".removed/web@1790000000/app.log: web/app.log, late"}, l.tree(t)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestRetireFails(t *testing.T) {
	l := newLogs(t, "web/app.log", ".removed")
	if err := l.Retire("web"); err == nil || !strings.Contains(err.Error(), "put the output of the removed group web aside: ") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{".removed: .removed", "web/app.log: web/app.log"}, l.tree(t)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// On a full disk there may be no room for a folder. The output goes, which frees some.
func TestRootRetireOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,nr_inodes=4"); err != nil { // itself, web and two files
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	l := Logs{Dir: dir}
	l.write(t, "web/app.log", "web/proxy.log")
	if err := os.Mkdir(filepath.Join(dir, layout.RemovedOutput), 0o700); err == nil {
		t.Fatal("the disk is not full, so this test shows nothing")
	}
	if err := l.SetEnding("web", true); err == nil {
		t.Error("a mark on a full disk: no error")
	}
	if err := l.Retire("web"); err != nil {
		t.Error(err)
	}
	if got := l.tree(t); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}

// A log folder that is a mount can't be moved, and its group can be removed.
func TestRootRetireOfAMount(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	for _, mount := range []string{"web", layout.RemovedOutput} {
		l := newLogs(t, "web/below", ".removed/other@1/app.log")
		dir := filepath.Join(l.Dir, mount)
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		l.write(t, "web/app.log", "web/proxy.log")
		err := l.Retire("web")
		if err == nil {
			err = l.Retire("web") // without output
		}
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Errorf("%s is a mount: %v", mount, err)
		}
		for _, name := range l.tree(t) {
			if strings.Contains(name, "app.log: web") {
				t.Errorf("%s is a mount: %s is left", mount, name)
			}
		}
	}
}

func TestEnding(t *testing.T) {
	l := newLogs(t, "web/app.log")
	for _, group := range []string{"web", "none"} {
		for _, ending := range []bool{false, true, true, false} {
			if err := l.SetEnding(group, ending); err != nil {
				t.Error(err)
			}
			if got, want := l.Ending(group), ending && group == "web"; got != want {
				t.Errorf("%s: ending is %v, want %v", group, got, want)
			}
		}
	}
	if diff := cmp.Diff([]string{"web/app.log: web/app.log"}, l.tree(t)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestList(t *testing.T) {
	l := newLogs(t, ".removed/b@7/x.log", ".removed/a@7/x.log", ".removed/a@9/x.log", ".removed/a@-1/x.log", ".removed/A@1/x", ".removed/a/x", ".removed/a@9x/x", ".removed/file@9")
	all, err := l.List()
	var got []string
	for _, o := range all {
		got = append(got, fmt.Sprintf("%s %d %s", o.Group, o.At.Unix(), filepath.Base(o.Dir)))
	}
	if diff := cmp.Diff([]string{"a 9 a@9", "a 7 a@7", "b 7 b@7"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if all[0].Size() < 512 {
		t.Errorf("a file takes %d bytes", all[0].Size())
	}
	if all, err := newLogs(t).List(); err != nil || len(all) > 0 {
		t.Errorf("nothing was removed: %v, %v", all, err)
	}
}

// Nothing is taken that may be another program's: such as all of /var/log.
func TestGroups(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		want  []string
	}{
		{"ours", []string{"web/app.log", "job/init.log=", "job/init.log.1", ".removed/old@1/app.log", ".settings"}, []string{"job", "web"}},
		{"not ours", []string{"web/app.log", "lost+found/x", "nginx/access.log", "nginx/conf/x", "apt/history.txt", "Web/app.log"}, []string{"web"}},
		{"beside files of others", []string{"syslog", "nginx/access.log", "old/app.log", "new/app.log", "new/app.times", "asked/.output.json", "ending/.ending"},
			[]string{"asked", "ending", "new"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newLogs(t, tt.files...).Groups()
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if _, err := (Logs{Dir: filepath.Join(t.TempDir(), "none")}).Groups(); err == nil {
		t.Error("no folder: no error")
	}
}
