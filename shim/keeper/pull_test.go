package keeper_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
)

// A tag that has moved at the registry makes a new generation with pull, and with an apply of
// pull = "always". An apply of any other file does not ask.
func TestPull(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.host.SetRegistry(webRef, "sha256:new")
		h.mustApply("shop.hcl", shop)
		h.expectImage("web", "sha256:old", "applied again")
		var lines []string
		pull := func() error {
			lines = nil
			return h.keeper.Pull(t.Context(), "shop", func(line string) { lines = append(lines, line) })
		}
		if err := pull(); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:new", "pulled")
		all, err := h.keeper.History(t.Context(), "shop")
		if err != nil || len(all) != 2 || all[0].By != group.ByPull || all[0].Number != 2 {
			t.Errorf("history %+v, %v", all, err)
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "is sha256:new now, and was sha256:old") }) {
			t.Errorf("progress %q", lines)
		}
		if err := pull(); err != nil || h.status("shop").Generation != 2 || !strings.Contains(strings.Join(lines, "\n"), "nothing changes") {
			t.Errorf("again: %v, generation %d, %q", err, h.status("shop").Generation, lines)
		}
		if err := h.keeper.Rollback(t.Context(), "shop", 0, nil); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:old", "rolled back")
		if err := h.keeper.Pull(t.Context(), "nothere", nil); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("no such group: %v", err)
		}
	})
}

func TestPullModes(t *testing.T) {
	file := func(mode string) string {
		return fmt.Sprintf("group \"shop\" {\n egress = \"none\"\n app \"web\" {\n image = %q\n pull = %q\n }\n}\n", webRef, mode)
	}
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", file("missing"))
		h.host.SetRegistry(webRef, "sha256:new")
		h.mustApply("shop.hcl", file("never"))
		if err := h.keeper.Pull(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:old", "never")
		h.mustApply("shop.hcl", file("always"))
		h.expectImage("web", "sha256:new", "always")
		h.host.SetRegistry(webRef, "sha256:newest")
		h.exit("shop", "web", 1)
		h.wait(time.Minute)
		h.expectImage("web", "sha256:new", "started again")
		h.mustApply("shop.hcl", file("always"))
		h.expectImage("web", "sha256:newest", "applied again")
	})
}

// The other groups of a file keep the images that they have.
func TestPullOfOneGroupOfAFile(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		one := "group \"%s\" {\n egress = \"none\"\n app \"%s\" { image = %q }\n}\n"
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", fmt.Sprintf(one, "shop", "web", webRef)+fmt.Sprintf(one, "other", "api", webRef))
		h.host.SetRegistry(webRef, "sha256:new")
		if err := h.keeper.Pull(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:new", "pulled")
		h.expectImage("api", "sha256:old", "of the other group")
	})
}

func TestPullImage(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.host.SetRegistry(webRef, "sha256:new")
		for _, before := range []string{"sha256:old", "sha256:new"} {
			done, err := h.keeper.PullImage(t.Context(), webRef)
			if err != nil || done.Before != before || done.Digest != "sha256:new" || !slices.Equal(done.Groups, []string{"shop"}) {
				t.Errorf("%+v, %v", done, err)
			}
		}
		h.expectImage("web", "sha256:old", "of a group that is left alone")
	})
}
