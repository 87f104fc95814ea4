package crash

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// spare is a group that is removed again, so that no group uses its image.
const spare = `
group "spare" {
  egress = "none"
  app "app" {
    image   = "%s"
    command = ["/bin/sh", "-c", "sleep 1000"]
    stop { signal = "SIGKILL" }
  }
}
`

// The daemon is killed while it removes an image. The next one finishes that, and what groups use
// or can go back to is as before. Then limits remove an image without being asked.
func TestKilledWhileItRemovesImages(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := machine.NewIdle(t, server)
			m.Binary = failpointBinary
			point := filepath.Join(m.Root, "failpoint")
			env := failpointEnv + "=" + point
			m.Start(env)
			busybox, unused := machine.Image(t, "busybox"), machine.Image(t, "squid")
			// The busybox image is wanted by a group that is stopped, and the attack image is in a
			// generation that can be gone back to.
			m.Apply("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))
			m.Apply("steady.hcl", fmt.Sprintf(steady, busybox))
			m.Run("stop", "steady")

			list := func() (names []string, all map[string]host.ImageUsage) {
				t.Helper()
				var found host.Images
				if err := json.Unmarshal([]byte(m.Run("images", "--json")), &found); err != nil {
					t.Fatal(err)
				}
				all = map[string]host.ImageUsage{}
				for _, i := range found.All {
					names = append(names, i.Names[0])
					all[i.Names[0]] = i
				}
				slices.Sort(names)
				return names, all
			}
			needed := []string{busybox, machine.AttackImage}
			slices.Sort(needed)
			leave := func() {
				t.Helper()
				// The image may have no shell. Then the group is taken back, and the image stays.
				if _, err := m.Try("apply", m.Write("spare.hcl", fmt.Sprintf(spare, unused))); err == nil {
					m.Run("rm", "spare")
				}
				names, all := list()
				if len(names) != 3 || !all[unused].Removable() || all[unused].Own == 0 {
					t.Fatalf("images %q, the unused one %+v", names, all[unused])
				}
			}
			files := func() int { return filesBelow(t, filepath.Join(m.Root, "state", "containerd"), "blobs") }
			before := files()
			for _, at := range points(whenever, "remove image", "collect images") {
				leave()
				if err := os.WriteFile(point, []byte(at), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := m.Try("images", "prune")
				if !strings.HasPrefix(at, "during") { // which is too late where the call is fast
					machine.Eventually(t, time.Minute, at, func() error {
						if !m.Exited() {
							return fmt.Errorf("the daemon lives on, prune ended with %v", err)
						}
						return nil
					})
				}
				if err := os.Remove(point); err != nil {
					t.Fatal(err)
				}
				if !m.Exited() {
					m.Kill()
				}
				m.Start(env)
				m.Run("images", "prune")
				if names, _ := list(); !slices.Equal(names, needed) {
					t.Errorf("%s: images %q, want %q", at, names, needed)
				}
			}

			// The last one was killed when all was deleted but the garbage, or before it.
			leave()
			out := m.Run("images", "prune")
			if err := machine.Contains(out, "removed "+unused, "removed 1 image, which frees "); err != nil {
				t.Error(err)
			}
			if n := files(); n != before {
				t.Errorf("%d files of packed content are left, before there were %d", n, before)
			}
			m.Run("rollback", "steady")
			m.Run("start", "steady")
			m.AwaitRunning("steady")

			leave()
			if err := os.WriteFile(filepath.Join(m.Root, "sallyport.hcl"), []byte("images {\n  total = \"16MiB\"\n}\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			m.Kill()
			m.Start(env)
			machine.Eventually(t, time.Minute, "the limit", func() error {
				if names, _ := list(); !slices.Equal(names, needed) {
					return fmt.Errorf("images %q", names)
				}
				return nil
			})
			events := m.Events("", group.EventImage)
			if n := len(events); n == 0 || !strings.Contains(events[n-1].Text, "image "+unused+" is removed, which frees ") ||
				!strings.Contains(events[n-1].Text, "more than 16MiB") {
				t.Errorf("events %+v", events)
			}
			if n := files(); n != before {
				t.Errorf("after the limit %d files of packed content are left, before there were %d", n, before)
			}
		})
	}
}

// filesBelow counts the files below folders of that name.
func filesBelow(t *testing.T, root, folder string) (n int) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(path, "/"+folder+"/") {
			n++
		}
		return nil // what is deleted meanwhile is no error
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
