package keeper_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/lockfile"
)

// applyLocked applies a file with a lock file beside it.
func (h *harness) applyLocked(text, digest string) error {
	return h.keeper.Apply(h.t.Context(), []group.Bundle{{
		Name: "shop.hcl", Path: "/from/shop.hcl", HCL: []byte(text), Locked: group.ImageDigests{webRef: digest},
	}}, nil)
}

// A lock file counts, whatever the tag means on the host or at its registry: for an apply, for what
// plan shows, for a pull, and after a restart of the daemon.
func TestLockedImages(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.host.SetImage(webRef, "sha256:moved")
		if err := h.applyLocked(shop, "sha256:old"); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:old", "locked, with a tag that has moved")
		if g := h.status("shop").Generation; g != 1 {
			t.Errorf("generation %d: the lock pins what runs", g)
		}
		h.host.SetRegistry(webRef, "sha256:new")
		var lines []string
		err := h.keeper.Pull(t.Context(), "shop", func(line string) { lines = append(lines, line) })
		if err != nil || !strings.Contains(strings.Join(lines, "\n"), "its lock file pins the other images") {
			t.Errorf("pull: %v, %q", err, lines)
		}
		h.expectImage("web", "sha256:old", "locked, and pulled")
		if err := h.applyLocked(shop, "sha256:moved"); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:moved", "locked anew")
		h.host.SetImage(webRef, "sha256:later")
		h.end()
		h.begin()
		h.wait(time.Minute)
		h.expectImage("web", "sha256:moved", "after a restart of the daemon")
		if err := h.keeper.Rollback(t.Context(), "shop", 0, nil); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:old", "rolled back")
		err = h.applyLocked(shop, "sha256:nowhere")
		if err == nil || !strings.Contains(err.Error(), "its lock file pins sha256:nowhere") {
			t.Errorf("an image that is nowhere: %v", err)
		}
		h.expectImage("web", "sha256:old", "after an apply that was refused")
	})
}

// The lock file in the folder counts for files that were put there by hand, and so does a change of
// it. A wrong one changes nothing.
func TestLockFileInTheFolder(t *testing.T) {
	old, moved := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64)
	short := func(digest string) string { return digest[:len("sha256:")+9] }
	withHarness(t, func(t *testing.T, h *harness) {
		write := func(digest string) {
			t.Helper()
			f := lockfile.File{Images: map[string]lockfile.Entry{webRef: {Digest: digest}}}
			if err := os.WriteFile(filepath.Join(h.layout.GroupsDir, lockfile.Name), f.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h.host.SetImage(webRef, old)
		write(old)
		h.put("shop.hcl", shop)
		h.notice()
		h.wait(time.Minute)
		h.expectImage("web", short(old), "put by hand")
		h.host.SetImage(webRef, moved)
		write(moved)
		h.notice()
		h.wait(time.Minute)
		h.expectImage("web", short(moved), "with another lock file")
		write("nonsense")
		h.notice()
		h.wait(time.Minute)
		h.expectImage("web", short(moved), "with a wrong lock file")
		if p := h.keeper.Problems(); len(p) != 1 || !strings.Contains(p[0].Err.Error(), "Invalid line of a lock file") {
			t.Errorf("problems %v", p)
		}
	})
}
