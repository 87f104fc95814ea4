package ctrd

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// rereads is a program that prints its file at its start and at each signal.
const rereads = `trap 'echo "usr1: $(head -c 20 /etc/app/conf)"' USR1; trap 'echo "hup: $(head -c 20 /etc/app/conf)"' HUP
echo "start: $(head -c 20 /etc/app/conf)"; while :; do sleep 1000 & wait; done`

// reloadable is a container with a file that is reloaded and one that is not.
func reloadable(name, line, content string) spec.Container {
	c := script(name, spec.App, line)
	c.Files = []spec.File{
		{Path: "/etc/app/conf", Content: []byte(content), Mode: 0o640, Reload: "SIGHUP"},
		{Path: "/etc/app/fixed", Content: []byte("fixed")},
	}
	c.Files[0].Seal()
	c.Digest = "digest of " + name
	return c
}

// with returns a container with other contents of its first file.
func withConf(c spec.Container, content string) spec.Container {
	c.Files = slices.Clone(c.Files)
	c.Files[0].Content = []byte(content)
	c.Files[0].Seal()
	return c
}

// A program goes on running, finds the new contents, and gets each signal once. It can write the
// file as little as before.
func TestRootReload(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		web := reloadable("web", rereads, "one\n")
		r := newHarness(t, c, busyboxArchive(t), web)
		r.run()
		r.says("web", "start: one\n")
		before := r.state("web")
		if before.Loaded != web.Loaded() || web.Loaded() == "" || !before.ReloadedAt.IsZero() {
			t.Errorf("after its start it is %+v, want %q loaded", before, web.Loaded())
		}
		var want strings.Builder
		want.WriteString("start: one\n")
		for _, content := range []string{"two\n", "three\n", "", "a much longer fourth\n", "five\n"} {
			web = withConf(web, content)
			for range 2 { // the second has nothing to do
				if err := c.Reload(t.Context(), "g", web); err != nil {
					t.Fatal(err)
				}
			}
			fmt.Fprintf(&want, "hup: %s\n", strings.TrimSuffix(content[:min(20, len(content))], "\n"))
			r.says("web", want.String())
			if out, _ := r.exec("web", "cat /etc/app/conf /etc/app/fixed"); out != content+"fixed" {
				t.Errorf("a command finds %q, want %q", out, content+"fixed")
			}
			if n := r.mountsAt("web", "/etc/app/conf"); n > 2 {
				t.Errorf("%d mounts at the file", n)
			}
		}
		if got := r.output("web"); got != want.String() {
			t.Errorf("it printed %q, want %q", got, want.String())
		}
		after := r.state("web")
		if after.PID != before.PID || after.Loaded != web.Loaded() || after.ReloadedAt.Before(before.StartedAt) {
			t.Errorf("after the reloads it is %+v, was %+v", after, before)
		}
		out, _ := r.exec("web", `stat -c %a /etc/app/conf; (echo x > /etc/app/conf) 2>/dev/null && echo written
rm /etc/app/conf 2>/dev/null && echo removed; umount /etc/app/conf 2>/dev/null && echo unmounted`)
		if out != "640\n" {
			t.Errorf("its rights are %q, want none but 640", out)
		}
		if err := c.Stop(t.Context(), "g", "web", spec.Stop{}); err != nil {
			t.Fatal(err)
		}
		if err := c.Reload(t.Context(), "g", withConf(web, "six\n")); !errors.Is(err, host.ErrEnded) {
			t.Errorf("reload of a container that has ended: %v", err)
		}
		r.removeAll()
		r.nothing()
	})
}

// A program that would not notice its signal keeps its file, and the reload fails. That may pass
// while the program is in its start-up.
func TestRootReloadWithoutHandler(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		web := reloadable("web", "cat /etc/app/conf; exec sleep 1000", "one\n")
		r := newHarness(t, c, busyboxArchive(t), web)
		r.run()
		r.says("web", "one\n")
		next := withConf(web, "two\n")
		for _, passing := range []bool{true, false} {
			err := c.Reload(t.Context(), "g", next)
			if err == nil || !strings.Contains(err.Error(), "has no handler for SIGHUP") || hint.Of(err) == "" || host.Passing(err) != passing {
				t.Errorf("reload: %v (hint %q), passing %v, want %v", err, hint.Of(err), host.Passing(err), passing)
			}
			started := filepath.Join(c.cfg.Layout.FilesPath("g", "web"), startedFile)
			if err := os.Chtimes(started, time.Time{}, time.Now().Add(-startUp)); err != nil {
				t.Fatal(err)
			}
		}
		if out, _ := r.exec("web", "cat /etc/app/conf"); out != "one\n" || r.state("web").Loaded != web.Loaded() {
			t.Errorf("it finds %q, and has %q loaded", out, r.state("web").Loaded)
		}
	})
}

// mountsAt returns how many mounts there are at a path in a container.
func (r *harness) mountsAt(name, path string) int {
	r.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(int(r.state(name).PID)) + "/mountinfo")
	if err != nil {
		r.Fatal(err)
	}
	return bytes.Count(b, []byte(" "+path+" "))
}

// A program that reads all the time finds the one contents or the other. One that has the file open
// goes on with what it has opened, over any number of reloads.
func TestRootReloadIsWhole(t *testing.T) {
	const reloads = 20 // the last contents aren't the first
	path := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		contents, sums := make([]string, 3), make([]string, 3)
		for i := range contents {
			contents[i] = strings.Repeat(string(rune('a'+i)), 200_000+i*20_000)
			sum := md5.Sum([]byte(contents[i]))
			sums[i] = hex.EncodeToString(sum[:])
		}
		read := `exec 3< /etc/app/conf; head -c 100 <&3 > /dev/null; trap 'echo hup; n=$((n+1))' HUP; n=0; echo reading
while [ $n -lt ` + strconv.Itoa(reloads) + ` ]; do case "$(md5sum < /etc/app/conf)" in "` + sums[0] + `  -") a=$((a+1));; "` + sums[1] + `  -") b=$((b+1));; "` + sums[2] + `  -") c=$((c+1));; *) echo torn;; esac; done
echo "saw all: $((a > 0 && b > 0 && c > 0))"; echo "held: $(tr -d a <&3 | wc -c)"; sleep 1000`
		web := reloadable("web", read, contents[0])
		r := newHarness(t, c, path, web)
		r.run()
		r.says("web", "reading")
		for i := range reloads {
			if err := c.Reload(t.Context(), "g", withConf(web, contents[(i+1)%3])); err != nil {
				t.Fatal(err)
			}
			r.eventually("the signal arrives", func() bool { return strings.Count(r.output("web"), "hup\n") == i+1 })
		}
		r.says("web", "held: 0\n")
		if out := r.output("web"); strings.Contains(out, "torn") || !strings.Contains(out, "saw all: 1") {
			t.Errorf("it printed:\n%s", out)
		}
		// The first of them is open all the time, so there is one more than without.
		if n := r.mountsAt("web", "/etc/app/conf"); n > 3 {
			t.Errorf("%d mounts at the file", n)
		}
	})
}

// If something keeps a reload from its end, what the container has loaded isn't the new, so that
// another call sends the signals again.
func TestRootReloadInterrupted(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		web := reloadable("web", rereads, "one\n")
		r := newHarness(t, c, busyboxArchive(t), web)
		r.run()
		r.says("web", "start: one\n")
		next := withConf(web, "two\n")

		// A daemon that was killed after the switch and before the signal has left this.
		if err := c.relabel(r.ctx(), "g.web", map[string]string{labelLoaded: next.Loading(web.Loaded())}); err != nil {
			t.Fatal(err)
		}
		ns, _, err := c.mountNamespace(r.ctx(), "g.web")
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		s, err := prepareSwitches(ns, c.cfg.Layout.FilesPath("g", "web"), createFiles(r.group, next, nil), next.Files[:1], nil)
		defer s.close()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.switchAll(ns); err != nil {
			t.Fatal(err)
		}
		if loaded := r.state("web").Loaded; loaded == next.Loaded() || loaded == web.Loaded() || len(web.NotLoaded(loaded)) != 1 {
			t.Errorf("it has %q loaded, which is not yet %q and no longer %q", loaded, next.Loaded(), web.Loaded())
		}
		if err := c.Reload(t.Context(), "g", next); err != nil {
			t.Fatal(err)
		}
		r.says("web", "start: one\nhup: two\n")

		// The way back from there takes the earlier contents, and a signal.
		if err := c.Reload(t.Context(), "g", web); err != nil {
			t.Fatal(err)
		}
		r.says("web", "start: one\nhup: two\nhup: one\n")

		// What the run folder had may be gone. Then it has to be restarted, and is not marked.
		if err := os.RemoveAll(filepath.Dir(filepath.Dir(c.cfg.Layout.FilesPath("g", "web")))); err != nil {
			t.Fatal(err)
		}
		err = c.Reload(t.Context(), "g", withConf(web, "three\n"))
		if err == nil || !strings.Contains(err.Error(), "was removed") || hint.Of(err) == "" {
			t.Errorf("without its files: %v", err)
		}
		if loaded := r.state("web").Loaded; loaded != web.Loaded() {
			t.Errorf("it has %q loaded, want %q", loaded, web.Loaded())
		}
	})
}

// A container's root may move folders and make links. What is placed stays in the container, and
// nothing that hides the kernel's files is taken away. Without such a file nothing is sent.
func TestRootReloadOfWhatWasMoved(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		web := reloadable("web", rereads, "one\n")
		r := newHarness(t, c, busyboxArchive(t), web)
		r.run()
		r.says("web", "start: one\n")
		if err := c.Reload(t.Context(), "g", withConf(web, "two\n")); err != nil { // two mounts: the next takes one away
			t.Fatal(err)
		}
		r.says("web", "hup: two\n")
		pid := strconv.Itoa(int(r.state("web").PID))
		mounts := func() string {
			b, err := os.ReadFile("/proc/" + pid + "/mountinfo")
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		secret := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(secret, []byte("the host's"), 0o600); err != nil {
			t.Fatal(err)
		}
		hidden := strings.Count(mounts(), " /proc/")
		if hidden == 0 {
			t.Fatal("nothing below /proc is hidden")
		}
		for name, link := range map[string]string{
			"nothing is there":  "",
			"a folder":          "/etc",
			"a hidden file":     "/proc/kcore",
			"a device":          "/dev/null",
			"a descriptor":      "/proc/1/cwd/etc/passwd",
			"a file of a host":  secret,
			"a way to the host": "../../../../../../.." + secret,
			"another file":      "/etc/was/fixed",
			"a generated file":  "/etc/hosts",
			"an image's file":   "/bin/busybox",
		} {
			line := "rm -rf /etc/app; [ -e /etc/was ] || mv /etc/app /etc/was; mkdir -p /etc/app; "
			if link != "" {
				line += "ln -s " + link + " /etc/app/conf"
			}
			if out, status := r.exec("web", line); status != 0 {
				t.Logf("%s: %s", name, out)
			}
			loaded := r.state("web").Loaded
			if err := c.Reload(t.Context(), "g", withConf(web, name)); err == nil {
				t.Errorf("%s: reloaded", name)
			}
			if now := r.state("web").Loaded; now != loaded {
				t.Errorf("%s: it has %q loaded after a reload that failed, had %q", name, now, loaded)
			}
			if now := strings.Count(mounts(), " /proc/"); now != hidden {
				t.Errorf("%s: %d mounts below /proc, were %d", name, now, hidden)
			}
			if got := r.output("web"); strings.Count(got, "hup") != 1 {
				t.Errorf("%s: it got a signal: %q", name, got)
			}
		}
		if b, err := os.ReadFile(secret); err != nil || string(b) != "the host's" {
			t.Errorf("the host's file is %q (%v)", b, err)
		}
		var st unix.Stat_t
		if err := unix.Stat("/proc/"+pid, &st); err != nil {
			t.Error("it has ended: ", err)
		}
	})
}

// However often it is reloaded, a file has two mounts at most. A program that keeps all contents
// open has a bound, below which it comes again once it lets go of them.
func TestRootReloadIsBounded(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		web := reloadable("web", rereads, "0")
		keeps := reloadable("keeps", `trap 'sleep 1000 < /etc/app/conf & echo hup' HUP; echo start; while :; do sleep 1000 & wait; done`, "0")
		r := newHarness(t, c, busyboxArchive(t), web, keeps)
		r.run()
		r.says("web", "start: 0")
		r.says("keeps", "start\n")
		files := func(name string) int {
			entries, err := os.ReadDir(c.cfg.Layout.FilesPath("g", name))
			if err != nil {
				t.Fatal(err)
			}
			return len(entries)
		}
		before := files("web")
		for i := range 40 {
			if err := c.Reload(t.Context(), "g", withConf(web, strconv.Itoa(i+1))); err != nil {
				t.Fatal(err)
			}
			if n, f := r.mountsAt("web", "/etc/app/conf"), files("web"); n > 2 || f > before+1 {
				t.Fatalf("%d mounts and %d files after reload %d, had %d files", n, f, i+1, before)
			}
		}

		var err error
		n := 0
		for ; err == nil && n < 2*maxHeld; n++ {
			if err = c.Reload(t.Context(), "g", withConf(keeps, strconv.Itoa(n+1))); err == nil {
				r.eventually("it holds the file", func() bool { return strings.Count(r.output("keeps"), "hup\n") == n+1 })
			}
		}
		if err == nil || !strings.Contains(err.Error(), "still open") || hint.Of(err) == "" || n < maxHeld {
			t.Fatalf("reload %d: %v (hint %q)", n, err, hint.Of(err))
		}
		most := r.mountsAt("keeps", "/etc/app/conf")
		if most > maxHeld+1 {
			t.Errorf("%d mounts", most)
		}
		if out, status := r.exec("keeps", "killall sleep"); status != 0 {
			t.Fatal(out)
		}
		r.eventually("a file that nothing holds is taken again", func() bool {
			return c.Reload(t.Context(), "g", withConf(keeps, "free")) == nil
		})
		if now := r.mountsAt("keeps", "/etc/app/conf"); now != most-1 {
			t.Errorf("%d mounts, had %d", now, most)
		}
	})
}
