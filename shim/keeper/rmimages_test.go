package keeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/prune"
)

// An image goes by its name or its digest, unless a group uses it in any way. Then nothing of the
// request is removed, and the error names the group.
func TestImagesRemovedByName(t *testing.T) {
	withShelf(t, prune.Limits{}, []string{"old:1", "odd:1", "foreign:1", "web:1", "web:2", "web:3"}, func(t *testing.T, h *harness, s *shelf) {
		s.with(func() {
			s.also["old:1"] = []string{"old:latest"}
			s.also["web:3"] = []string{"other:3"}
			s.kept["odd:1"], s.kept["foreign:1"] = host.KeptByHand, host.KeptForeign
		})
		for i := 1; i <= 2; i++ {
			h.mustApply("shop.hcl", fmt.Sprintf(web, i))
		}
		h.mustApply("bar.hcl", strings.ReplaceAll(fmt.Sprintf(web, 3), "shop", "bar"))
		if err := h.keeper.Stop(t.Context(), "bar", nil); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			names string
			want  string // names and bytes of what is removed
			err   string
		}{
			{"web:2", "", "image web:2 is in use: group shop has it (generation 2)"},
			{"old:1 web:1", "", "image web:1 is in use: group shop can go back to generation 1, which has it"},
			{"sha256:web:3:and:more", "", "there is no image"},
			{"web:3", "", "image web:3 is in use: group bar, which is stopped, has it (generation 1)"},
			{"other:3", "[other:3] 0 ", ""}, // the group's name for the image stays
			{"foreign:1", "", "image foreign:1 stays: a container has it that is of no group"},
			{"nothing:1", "", `there is no image "nothing:1" on this host`},
			{"old:latest", "[old:latest] 0 ", ""},
			{"old:1 odd:1", "[odd:1] 104857600 [old:1] 104857600 ", ""},
		} {
			var got strings.Builder
			err := h.keeper.RemoveImages(t.Context(), strings.Fields(tt.names), func(r host.ImageRemoval) { fmt.Fprintf(&got, "%s %d ", r.Names, r.Frees) })
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", tt.names, err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tt.names, diff)
			}
		}
		s.has(t, "in the end", "foreign:1", "web:1", "web:2", "web:3")
	})
}

// A loaded image stays until a group has used it, whatever the limits. Its groups are noted that
// use another one under the same name.
func TestLoadedImagesStay(t *testing.T) {
	withShelf(t, prune.Limits{Unused: 1, Total: 1}, []string{"web:1"}, func(t *testing.T, h *harness, s *shelf) {
		h.mustApply("shop.hcl", fmt.Sprintf(web, 1))
		loaded, err := h.keeper.LoadImages(t.Context(), host.LoadRequest{Path: "web:1,spare:1"})
		want := host.LoadedImages{Images: []host.LoadedImage{
			{Image: "web:1", Digest: "sha256:new:web:1", Groups: []string{"shop"}}, {Image: "spare:1", Digest: "sha256:new:spare:1"},
		}}
		if diff := cmp.Diff(want, loaded); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		h.wait(10 * time.Hour)
		s.has(t, "after a long time", "spare:1", "web:1")
	})
}
