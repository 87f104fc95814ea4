package ctrd

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// copyOut returns the files of a copy, by name.
func (r *harness) copyOut(container, path string) (map[string]string, error) {
	r.Helper()
	var stream bytes.Buffer
	err := r.c.Copy(r.Context(), host.CopyRequest{Group: "g", Container: container, Path: path, Out: &stream, Skip: func(string, string) {}})
	files := map[string]string{}
	for entries := tar.NewReader(&stream); ; {
		h, next := entries.Next()
		if next != nil {
			return files, err
		}
		b, _ := io.ReadAll(entries)
		files[h.Name] = string(b) + h.Linkname
	}
}

// copyIn puts a file into a container.
func (r *harness) copyIn(container, path, name, content string, whole bool) error {
	r.Helper()
	var stream bytes.Buffer
	w := tar.NewWriter(&stream)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o640, Size: int64(len(content))}); err != nil {
		r.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		r.Fatal(err)
	}
	if err := w.Close(); err != nil {
		r.Fatal(err)
	}
	return r.c.Copy(r.Context(), host.CopyRequest{Group: "g", Container: container, Path: path, In: &stream, Whole: whole, Skip: func(string, string) {}})
}

func TestRootCopy(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		app := script("app", spec.App, "sleep 1000")
		app.User = "1000:2000"
		app.Tmpfs = []spec.Tmpfs{{Path: "/scratch", Size: 1 << 20, Mode: 0o777}}
		app.Files = []spec.File{{Path: "/etc/given", Content: []byte("given")}}
		closed := script("closed", spec.App, "sleep 1000")
		closed.ReadOnly = true
		r := newHarness(t, c, archive, app, closed, script("done", spec.App, "exit 0"))
		r.create()
		r.start("app", "closed", "done")
		r.ended("done")
		for _, dir := range []string{"/etc", "/scratch"} { // its image, and what is mounted
			if err := r.copyIn("app", dir, "new", "words", false); err != nil {
				t.Fatal(err)
			}
			if out, _ := r.exec("app", "cat "+dir+"/new; stat -c ' %u %g %a' "+dir+"/new"); out != "words 1000 2000 640\n" {
				t.Errorf("%s: %q", dir, out)
			}
			if files, err := r.copyOut("app", dir+"/new"); err != nil || files["new"] != "words" {
				t.Errorf("%s: %v, %v", dir, files, err)
			}
		}
		files, err := r.copyOut("app", "/etc/.")
		if err != nil || !strings.HasPrefix(files["./passwd"], "root:") || files["./new"] != "words" {
			t.Errorf("%v, %v", files, err)
		}
		if files, err := r.copyOut("app", "/"); err != nil || files["./bin/sh"] != "busybox" || files["./scratch/new"] != "words" || files["./proc/version"] != "" {
			t.Errorf("the root: %d files, %v", len(files), err)
		}
		for _, tt := range []struct {
			name      string
			container string
			path      string
			want      string
			hint      string
		}{
			{"read-only", "closed", "/etc", "g.closed:/etc: new: read-only file system", "copy to a volume"},
			{"a file that is mounted", "app", "/etc/given", "g.app:/etc/given: new: something is mounted there", ""},
			{"the kernel's", "app", "/proc/sys/kernel", "g.app:/proc/sys/kernel: new: ", ""},
			{"no such folder", "app", "/none/x", "g.app:/none/x: no such file or directory", ""},
			{"has ended", "done", "/etc", "container g.done doesn't run, and only a running one has its files", "its root file system is made anew"},
			{"never was", "never", "/etc", "there is no container g.never", "sallyport ps"},
		} {
			err := r.copyIn(tt.container, tt.path, "new", "words", false)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(hint.Of(err), tt.hint) {
				t.Errorf("%s: error %v with hint %q, want %q", tt.name, err, hint.Of(err), tt.want)
			}
		}
		if out, _ := r.exec("app", "cat /etc/given"); out != "given" {
			t.Errorf("the file that is mounted has %q", out)
		}
		if _, err := r.copyOut("app", "/none"); err == nil || err.Error() != "g.app:/none: no such file or directory" {
			t.Error(err)
		}
		if err := r.copyIn("app", "/etc/new", "new", "words", true); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Error(err)
		}
	})
}

// A container swaps folders for links out, again and again, while files are copied both ways. No
// copy ever reads or writes a file of the host. The control follows the same names as a copy
// through /proc/PID/root would, and is led out.
func TestRootCopyStaysInside(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		outside := t.TempDir()
		if err := os.WriteFile(filepath.Join(outside, "file"), []byte("outside"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(outside, 0o777); err != nil {
			t.Fatal(err)
		}
		up := strings.Repeat("../", 20)
		line := fmt.Sprintf(`busybox mkdir -p /d/real/sub %[1]s; echo inside >%[1]s/file; echo inside >/d/real/file; echo inside >/d/real/sub/file; echo up
			while :; do
				busybox mv /d/real /d/x; busybox ln -s %[1]s /d/real; busybox rm /d/real
				busybox ln -s %[2]s/%[1]s /d/real; busybox rm /d/real; busybox mv /d/x/sub /d/sub; busybox mv /d/sub /d/x/sub
				busybox ln -s / /d/real; busybox rm /d/real; busybox mv /d/x /d/real
			done`, outside, up)
		r := newHarness(t, c, archive, script("app", spec.App, line))
		r.run()
		r.says("app", "up")
		naive := filepath.Join("/proc", fmt.Sprint(r.state("app").PID), "root/d/real/file")
		const rounds = 60
		led, took, put := false, 0, 0
		for i := 0; i < rounds || !led && i < 20000; i++ {
			if b, err := os.ReadFile(naive); err == nil && string(b) == "outside" {
				led = true
			}
			if i >= rounds {
				continue
			}
			for _, path := range []string{"/d/real/file", "/d/real", "/d/real/sub/../file", "/d/.", "/d/real/" + up + outside + "/file"} {
				files, _ := r.copyOut("app", path) // what is not there at the moment is an error
				for name, content := range files {
					if strings.HasPrefix(content, "outside") {
						t.Fatalf("%s of %s came from outside", name, path)
					}
					if strings.HasPrefix(content, "inside") {
						took++
					}
				}
			}
			name := fmt.Sprintf("new%d", i%5)
			for _, err := range []error{
				r.copyIn("app", "/d/real", name, "x", true), r.copyIn("app", "/d/real/"+name, "y", "x", false), r.copyIn("app", "/d", "real/"+name, "x", true),
				r.copyIn("app", "/d/real/file", "file", "inside", false), r.copyIn("app", "/d/real/sub/../"+name, "y", "x", false),
			} {
				if err == nil {
					put++
				}
			}
		}
		if !led {
			t.Error("the control was never led out, so this test shows nothing")
		}
		if took == 0 || put == 0 {
			t.Errorf("%d files came out and %d went in, so this test shows nothing", took, put)
		}
		t.Logf("%d files came out, %d went in", took, put)
		left, err := os.ReadDir(outside)
		if err != nil || len(left) != 1 {
			t.Errorf("outside are %v, %v", left, err)
		}
		if b, err := os.ReadFile(filepath.Join(outside, "file")); err != nil || string(b) != "outside" {
			t.Errorf("the file outside has %q, %v", b, errors.Join(err))
		}
	})
}
