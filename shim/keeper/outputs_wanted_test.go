package keeper_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// What a file asks for the output is passed on before a container starts, at each change, and by
// each new keeper. A change of it restarts nothing, and plan shows it. A disk that takes none of it
// keeps nothing from starting.
func TestWantOutput(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		var mu sync.Mutex
		var asked []spec.Output // of web, without repetitions
		var full error
		begin := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			asked, full = nil, err
		}
		soFar := func() []spec.Output {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(asked)
		}
		h.end()
		h.config = func(c *keeper.Config) {
			c.WantOutput = func(g *spec.Group) error {
				mu.Lock()
				defer mu.Unlock()
				if o := g.Container("web").Output; full == nil && (len(asked) == 0 || asked[len(asked)-1] != o) {
					asked = append(asked, o)
				}
				return full
			}
			c.Before = func(_ string, s plan.Step) {
				mu.Lock()
				defer mu.Unlock()
				if s.Kind == plan.Create && full == nil && len(asked) == 0 {
					t.Error("containers are created before what is asked for is passed on")
				}
			}
		}
		h.begin()
		with := func(output string) string {
			return edited(shop, `web:1"`, `web:1"`+"\n    output {\n"+output+"\n}\n")
		}
		h.mustApply("shop.hcl", with(`size = "2MiB"`))
		previews, err := h.keeper.Preview(t.Context(), bundles("shop.hcl", with("size = \"3MiB\"\njournal = true")))
		if want := []string{"web (app): output"}; err != nil || !slices.Equal(previews[0].Changes, want) || len(previews[0].Steps) > 0 {
			t.Errorf("plan: %+v, %v; want the changes %q and no step", previews, err, want)
		}
		h.mustApply("shop.hcl", with("size = \"3MiB\"\njournal = true"))
		h.did()
		h.end()
		h.begin()
		want := []spec.Output{{Size: 2 << 20}, {Size: 3 << 20, Journal: true}}
		if diff := cmp.Diff(want, soFar()); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		begin(nil)
		h.mustApply("shop.hcl", shop)
		h.did()
		if diff := cmp.Diff([]spec.Output{{}}, soFar()); diff != "" {
			t.Errorf("asked without the block (-want +got):\n%s", diff)
		}
		begin(errors.New("no space left on device"))
		h.mustApply("shop.hcl", with(`split = true`))
		if st := h.status("shop"); st.State != group.Running {
			t.Errorf("on a full disk: %s, %s", st.State, st.Error)
		}
		begin(nil)
		h.wait(removalDelay + 30e9)
		if diff := cmp.Diff([]spec.Output{{Split: true}}, soFar()); diff != "" {
			t.Errorf("with space again (-want +got):\n%s", diff)
		}
		begin(nil)
		if err := h.keeper.Remove(t.Context(), "shop", func(string) {}); err != nil {
			t.Fatal(err)
		}
		if got := soFar(); len(got) > 0 {
			t.Errorf("asked for a group that is to be gone: %s", fmt.Sprint(got))
		}
	})
}
