package ctrd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// split gives standard error of a container a file of its own.
func split(c spec.Container) spec.Container {
	c.Output.Split = true
	return c
}

// Split output is in two files, and a container of the same name appends to both. If another
// program shortens one of them meanwhile, the next line is at its end. Without the split both
// streams are in one, and what is written to both at once has no order there.
func TestRootSplitOutput(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		const line = "echo out $0; echo err $0 >&2; until [ -e /go ]; do sleep 0.1; done; echo more out; echo more err >&2"
		r := newHarness(t, c, archive, split(script("apart", spec.App, line)), script("together", spec.App, line))
		l := c.cfg.Layout
		paths := []string{l.LogPath("g", "apart"), l.ErrLogPath("g", "apart"), l.LogPath("g", "together")}
		want := func(what string, texts ...string) {
			t.Helper()
			for i, path := range paths {
				r.eventually(what+": "+filepath.Base(path)+" has all", func() bool {
					text, err := os.ReadFile(path)
					return err == nil && (string(text) == texts[i] || path == paths[2] && sortedLines(string(text)) == sortedLines(texts[i]))
				})
			}
		}
		r.run()
		want("first", "out /bin/sh\n", "err /bin/sh\n", "out /bin/sh\nerr /bin/sh\n")
		for _, path := range paths {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}
		r.exec("apart", "touch /go")
		r.exec("together", "touch /go")
		want("shortened", "more out\n", "more err\n", "more out\nmore err\n")
		r.removeAll()
		r.run()
		want("again", "more out\nout /bin/sh\n", "more err\nerr /bin/sh\n", "more out\nmore err\nout /bin/sh\nerr /bin/sh\n")
		if _, err := os.Stat(l.ErrLogPath("g", "together")); err == nil {
			t.Error("output that isn't split has a second file")
		}
	})
}

func sortedLines(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

// The end of one stream doesn't end the other, in one file or in two.
func TestRootOutputsEndAlone(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		const until = "echo ready; echo ready >&2; until [ -e /go ]; do sleep 0.1; done; "
		closes := map[string]string{
			"out": until + "exec >&-; sleep 1; echo late >&2; exec sleep 1000",
			"err": until + "exec 2>&-; sleep 1; echo late; exec sleep 1000",
		}
		var all []spec.Container
		for name, line := range closes {
			all = append(all, script(name, spec.App, line), split(script(name+"-apart", spec.App, line)))
		}
		r := newHarness(t, c, archive, all...)
		r.run()
		for _, one := range all {
			r.says(one.Name, "ready")
			r.exec(one.Name, "touch /go")
		}
		for _, one := range all {
			path := c.cfg.Layout.LogPath("g", one.Name)
			if one.Name == "out-apart" {
				path = c.cfg.Layout.ErrLogPath("g", one.Name)
			}
			r.eventually(one.Name+" prints on", func() bool {
				text, err := os.ReadFile(path)
				return err == nil && strings.Contains(string(text), "late\n")
			})
		}
	})
}

// A sidecar that is given its group's output reads all of it, as any user. It can't write there,
// not even as root, nor get the folder of another group.
func TestRootOutputOf(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		given := func(name, user string) spec.Container {
			shipper := script(name, spec.Sidecar, "exec sleep 1000")
			shipper.OutputOf, shipper.User = "/var/log/group", user
			return shipper
		}
		r := newHarness(t, c, archive, split(script("web", spec.App, "echo to out; echo to err >&2; exec sleep 1000")),
			given("root", "0:0"), given("any", "65534:65534"), script("other", spec.Sidecar, "exec sleep 1000"))
		other := c.cfg.Layout.LogPath("other", "app")
		if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(other, []byte("of another group\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.says("web", "to out")
		for _, name := range []string{"root", "any"} {
			r.eventually(name+" reads both files", func() bool {
				out, _ := r.exec(name, "cat /var/log/group/web.log /var/log/group/web.err.log")
				return out == "to out\nto err\n"
			})
			for _, line := range []string{
				"echo x >>/var/log/group/web.log", "echo x >/var/log/group/new", "rm -f /var/log/group/web.log", "chmod 777 /var/log/group",
				"ln -s / /var/log/group/link", "mount -o remount,rw /var/log/group && echo x >/var/log/group/new", "umount /var/log/group",
			} {
				if out, status := r.exec(name, line); status == 0 {
					t.Errorf("%s: %q is done: %s", name, line, out)
				}
			}
			if out, status := r.exec(name, "ls /var/log/group/.. && ! cat /var/log/group/../other/app.log /var/log/other/app.log"); status != 0 || out == "" || strings.Contains(out, "of another group") {
				t.Errorf("%s sees %q, status %d", name, out, status)
			}
		}
		if out, status := r.exec("root", "echo x >/tmp/new && cat /tmp/new"); status != 0 || out != "x\n" {
			t.Errorf("control: root writes elsewhere: %q, status %d", out, status)
		}
		if out, status := r.exec("other", "ls /var/log/group"); status == 0 {
			t.Errorf("a sidecar that isn't given the output has it: %s", out)
		}
		if text, err := os.ReadFile(c.cfg.Layout.LogPath("g", "web")); err != nil || string(text) != "to out\n" {
			t.Errorf("the output is %q, %v", text, err)
		}
	})
}

// The log folder is open to a container's users as long as one of the group's sidecars is given the
// output. What a strict umask closed is opened as well.
func TestPrepareOutputModes(t *testing.T) {
	l := layout.Layout{LogDir: t.TempDir()}
	web := spec.Container{Name: "web", Role: spec.App, Output: spec.Output{Split: true}}
	plain := &spec.Group{Name: "g", Containers: []spec.Container{web}}
	shared := &spec.Group{Name: "g", Containers: []spec.Container{web, {Name: "shipper", Role: spec.Sidecar, OutputOf: "/logs"}}}
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	dir, file := filepath.Dir(l.LogPath("g", "web")), l.ErrLogPath("g", "web")
	for _, tt := range []struct {
		name         string
		group        *spec.Group
		folder, file os.FileMode
	}{
		{"nobody is given it", plain, 0o750, 0o600},
		{"a sidecar is", shared, 0o755, 0o644},
		{"no more", plain, 0o750, 0o600},
	} {
		if _, _, err := prepareOutput(l, plain, web); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := prepareOutput(l, tt.group, web); err != nil {
			t.Fatal(err)
		}
		if got := mode(dir); got != tt.folder {
			t.Errorf("%s: the folder has mode %o, want %o", tt.name, got, tt.folder)
		}
		if got := mode(file); got != tt.file {
			t.Errorf("%s: the file has mode %o, want %o", tt.name, got, tt.file)
		}
	}
	stdout, stderr, err := prepareOutput(l, plain, spec.Container{Name: "web"})
	if err != nil || stdout == stderr || filepath.Clean(stderr) != stdout {
		t.Errorf("in one file: %s, %s, %v; want two names for it", stdout, stderr, err)
	}
}
