package ctrd

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/spec"
)

// tries prints which of its acts a container is allowed, one word for each.
const tries = `ok() { if "$@" 2>/dev/null; then echo yes; else echo no; fi; }
program() { cp /bin/busybox "$1/true" && "$1/true"; }
echo root: $(ok touch /x) $(ok touch /etc/hosts) $(ok touch /etc/new)
echo tmp: $(ok touch /tmp/x) $(ok program /tmp)
echo programs: $(ok program /srv/plugins)
echo owned: $(ok touch /run/web/x) $(stat -c %u:%g:%a /run/web)
echo volume: $(ok touch /run/web/data/x)
echo below: $(ok touch /cache/hot/x) $(ok touch /cache/x)
echo file: $(cat /tmp/conf) $(ok touch /tmp/conf)
echo hosts: $(grep -c localhost /etc/hosts) $(cat /etc/hostname)
echo full: $(ok dd if=/dev/zero of=/run/web/fill bs=4096 count=1000) $(stat -c %s /run/web/fill)
`

// A user who is not root can write where the file lets it, and nowhere else. The same holds for a
// command in the container. Each start finds the memory empty.
func TestRootReadOnly(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		web := script("web", spec.App, "touch /tmp/left; echo ready; exec sleep 1000")
		web.ReadOnly, web.User, web.WorkDir = true, "1000:1000", "/made/by/the/runtime"
		web.Tmpfs = []spec.Tmpfs{
			{Path: "/cache/hot", Size: 1 << 20}, {Path: "/run/web", Size: 64 << 10, Owner: "1000:1000"},
			{Path: "/srv/plugins", Size: 4 << 20, Exec: true}, {Path: "/tmp", Size: 4 << 20},
		}
		web.Mounts = []spec.Mount{{Volume: "cache", Path: "/cache"}, {Volume: "data", Path: "/run/web/data"}}
		web.Files = []spec.File{{Path: "/tmp/conf", Content: []byte("placed")}}
		control := script("control", spec.App, "sleep 1000")
		r := newHarness(t, c, busyboxArchive(t), web, control)
		r.group.Volumes = []spec.Volume{{Name: "cache", Size: 1 << 20}, {Name: "data", Size: 1 << 20}}
		for _, v := range r.group.Volumes {
			path := c.cfg.Layout.VolumePath("g", v.Name)
			if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o777)); err != nil {
				t.Fatal(err)
			}
		}
		r.run()
		want := []string{
			"root: no no no", "tmp: yes no", "programs: yes", "owned: yes 1000:1000:750", "volume: yes", "below: yes yes",
			"file: placed no", "hosts: 2 g", "full: no 65536", "",
		}
		r.says("web", "ready")
		for _, when := range []string{"the first time", "started again"} {
			out, status := r.exec("web", "ls /tmp; "+tries)
			lines := strings.Split(out, "\n")
			if diff := cmp.Diff(append([]string{"conf", "left"}, want...), lines); diff != "" || status != 0 {
				t.Errorf("%s, status %d (-want +got):\n%s", when, status, diff)
			}
			if err := c.Remove(t.Context(), "g", "web"); err != nil {
				t.Fatal(err)
			}
			if err := c.Create(t.Context(), r.request("web")); err != nil {
				t.Fatal(err)
			}
			r.start("web")
			r.says("web", "ready\nready")
		}
		if out, status := r.exec("control", "touch /x"); status != 0 {
			t.Errorf("without read_only: %s", out)
		}
	})
}
