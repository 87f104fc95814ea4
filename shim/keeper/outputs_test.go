package keeper_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
)

// A brokenOutputs finds that the output of some processes is not copied.
type brokenOutputs struct {
	mu         sync.Mutex
	pids       []uint32
	unwritable error
	after      func() // called before an answer
}

func (b *brokenOutputs) EndedOutputs(_ context.Context, _ string, pids map[string]uint32) (ended []string, unwritable error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(pids)) {
		if slices.Contains(b.pids, pids[name]) {
			ended = append(ended, name)
		}
	}
	if len(ended) > 0 && b.after != nil {
		b.after()
	}
	return ended, b.unwritable
}

func (b *brokenOutputs) set(unwritable error, pids ...uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pids, b.unwritable = pids, unwritable
}

// withOutputs runs a test whose keeper looks at outputs. events returns those about them.
func withOutputs(t *testing.T, do func(t *testing.T, h *harness, b *brokenOutputs, events func() []string)) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		j, err := journal.Open(journal.Config{Layout: h.layout})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		b := &brokenOutputs{}
		h.config = func(c *keeper.Config) { c.Outputs, c.Journal = b, j }
		h.begin()
		do(t, h, b, func() (texts []string) {
			err := j.Events(t.Context(), group.EventQuery{Kinds: []group.EventKind{group.EventOutput}}, func(e group.Event) error {
				texts = append(texts, e.Container+": "+e.Text)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return texts
		})
		h.end()
	})
}

// A container whose output is not copied is reported at once, and started again as soon as its
// output can be written. The others stay.
func TestUncopiedOutput(t *testing.T) {
	withOutputs(t, func(t *testing.T, h *harness, b *brokenOutputs, events func() []string) {
		h.mustApply("shop.hcl", shop)
		before := h.host.PID("shop", "web")
		h.wait(2 * time.Minute)
		if got := events(); len(got) > 0 {
			t.Errorf("control: nothing is wrong, and events say %q", got)
		}
		h.did()
		b.set(unix.ENOSPC, before)
		h.wait(2 * time.Minute)
		h.did() // a start would fail
		if st := h.status("shop"); !strings.Contains(st.Error, "output of web") || !strings.Contains(st.Hint, "doctor") {
			t.Errorf("error %q, hint %q", st.Error, st.Hint)
		}
		if got := events(); len(got) != 1 || !strings.HasPrefix(got[0], "web: ") || !strings.Contains(got[0], "no space left") {
			t.Errorf("events: %q", got)
		}
		b.set(nil, before)
		h.wait(2 * time.Minute)
		h.did("stop web", "remove web", "create web", "start web")
		if now := h.host.PID("shop", "web"); now == before || now == 0 {
			t.Errorf("process %d, and then %d", before, now)
		}
		if st := h.status("shop"); st.State != group.Running || st.Error != "" {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		if got := events(); len(got) != 1 {
			t.Errorf("events: %q", got)
		}
	})
}

// A job that ends between the look and the restart has ended: it doesn't run again.
func TestUncopiedOutputOfAJobThatEnds(t *testing.T) {
	withOutputs(t, func(t *testing.T, h *harness, b *brokenOutputs, _ func() []string) {
		h.mustApply("batch.hcl", batch)
		pid := h.host.PID("batch", "web")
		b.after = func() { h.host.Exit("batch", "web", 0) }
		b.set(nil, pid)
		h.wait(2 * time.Minute)
		if st := h.status("batch"); st.State != group.Completed {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		for _, c := range h.status("batch").Containers {
			if c.Task == host.TaskRunning {
				t.Errorf("%s runs", c.Name)
			}
		}
	})
}
