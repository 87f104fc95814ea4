package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/logs/removed"
)

// failingLogs are log folders whose next Retire may fail.
type failingLogs struct {
	removed.Logs
	err error
}

func (f *failingLogs) Retire(group string) error {
	if err := f.err; err != nil {
		f.err = nil
		return err
	}
	return f.Logs.Retire(group)
}

// withIncarnations runs a test whose keeper separates the output of incarnations.
func withIncarnations(t *testing.T, do func(t *testing.T, h *harness, l *failingLogs)) {
	withHarness(t, func(t *testing.T, h *harness) {
		l := &failingLogs{Logs: removed.Logs{Dir: h.layout.LogDir}}
		if err := os.MkdirAll(h.layout.LogDir, 0o755); err != nil {
			t.Fatal(err)
		}
		h.config = func(c *keeper.Config) { c.Incarnations = l }
		h.end()
		h.begin()
		do(t, h, l)
	})
}

// print adds to the output of a container, as its shim does.
func (h *harness) print(name, container, text string) {
	h.t.Helper()
	path := h.layout.LogPath(name, container)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		h.t.Fatal(err)
	}
}

// checkOutput compares all output: of groups as "shop/web: text", and of removed ones as "removed
// shop/web: text".
func (h *harness) checkOutput(when string, want ...string) {
	h.t.Helper()
	var got []string
	for _, pattern := range []string{"*/*.log", ".removed/*/*.log"} {
		paths, _ := filepath.Glob(filepath.Join(h.layout.LogDir, pattern))
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				h.t.Fatal(err)
			}
			name, _, _ := strings.Cut(filepath.Base(filepath.Dir(path)), "@")
			name += "/" + strings.TrimSuffix(filepath.Base(path), ".log") + ": " + string(text)
			if strings.HasPrefix(pattern, ".removed") {
				name = "removed " + name
			} else if strings.HasPrefix(name, ".") {
				continue
			}
			got = append(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("output %s (-want +got):\n%s", when, diff)
	}
}

func TestOutputOfARemovedGroup(t *testing.T) {
	withIncarnations(t, func(t *testing.T, h *harness, _ *failingLogs) {
		h.mustApply("shop.hcl", shop, "job.hcl", job)
		h.print("shop", "web", "one")
		h.print("job", "work", "other")
		if err := errors.Join(h.keeper.Stop(t.Context(), "shop", nil), h.keeper.Start(t.Context(), "shop", nil)); err != nil {
			t.Fatal(err)
		}
		h.print("shop", "web", " two")
		h.end()
		h.begin()
		h.checkOutput("after a stop, a start and the next keeper", "job/work: other", "shop/web: one two")
		if err := h.keeper.Remove(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		h.checkOutput("after the removal", "job/work: other", "removed shop/web: one two")
		h.mustApply("shop.hcl", shop)
		h.print("shop", "web", "new")
		h.checkOutput("of the new group", "job/work: other", "shop/web: new", "removed shop/web: one two")
	})
}

// A group whose file was deleted by hand is removed like any other.
func TestOutputOfADeletedFile(t *testing.T) {
	withIncarnations(t, func(t *testing.T, h *harness, _ *failingLogs) {
		h.mustApply("shop.hcl", shop)
		h.print("shop", "web", "one")
		if err := os.Remove(filepath.Join(h.layout.GroupsDir, "shop.hcl")); err != nil {
			t.Fatal(err)
		}
		h.changed <- struct{}{}
		h.wait(time.Minute)
		h.checkOutput("after the file is gone", "removed shop/web: one")
	})
}

func TestOutputThatCanNotBeMoved(t *testing.T) {
	withIncarnations(t, func(t *testing.T, h *harness, l *failingLogs) {
		h.mustApply("shop.hcl", shop)
		h.print("shop", "web", "one")
		l.err = errBoom
		if err := h.keeper.Remove(t.Context(), "shop", nil); !errors.Is(err, errBoom) {
			t.Errorf("error %v", err)
		}
		h.checkOutput("that could not be moved", "shop/web: one")
		h.wait(time.Minute)
		h.checkOutput("when it was tried again", "removed shop/web: one")
		if _, err := h.keeper.Status("shop"); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("the group is still there: %v", err)
		}
	})
}

// The keeper dies before it has moved the output, or was one that left it where it was.
func TestOutputThatWasLeft(t *testing.T) {
	withIncarnations(t, func(t *testing.T, h *harness, _ *failingLogs) {
		h.mustApply("job.hcl", job)
		h.print("job", "work", "runs")
		h.end()
		h.print("shop", "web", "one")
		h.begin()
		h.wait(time.Minute)
		h.checkOutput("after the next keeper has looked", "job/work: runs", "removed shop/web: one")
		h.mustApply("shop.hcl", shop)
		h.print("shop", "web", "new")
		h.wait(time.Minute)
		h.checkOutput("of the new group", "job/work: runs", "shop/web: new", "removed shop/web: one")
	})
}

// As long as a file can't be used, a group without one may be one of its.
func TestOutputStaysWhileFilesAreBroken(t *testing.T) {
	withIncarnations(t, func(t *testing.T, h *harness, _ *failingLogs) {
		h.write("broken.hcl", "group {")
		h.print("shop", "web", "one")
		h.end()
		h.begin()
		h.wait(time.Minute)
		h.checkOutput("while a file is broken", "shop/web: one")
	})
}

// A group is wanted again while it is being removed.
func TestOutputOfAGroupAppliedWhileItIsRemoved(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fails string // the step at which the removal stands when the group is wanted again
		next  bool   // by the next keeper
		want  []string
	}{
		{"a container is left: it goes on", "stop proxy", false, []string{"shop/web: one"}},
		{"no container is left", "disconnect", false, []string{"removed shop/web: one"}},
		{"the next keeper finds a container", "stop proxy", true, []string{"shop/web: one"}},
		{"the next keeper finds none", "disconnect", true, []string{"removed shop/web: one"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withIncarnations(t, func(t *testing.T, h *harness, l *failingLogs) {
				h.mustApply("shop.hcl", shop)
				h.print("shop", "web", "one")
				h.host.FailNext(tt.fails, errBoom)
				if err := h.keeper.Remove(context.Background(), "shop", nil); err == nil {
					t.Fatalf("%s did not fail:\n%s", tt.fails, h.host)
				}
				h.checkOutput("in the middle of the removal", "shop/web: one")
				if tt.next {
					h.end()
					if err := os.WriteFile(filepath.Join(h.layout.GroupsDir, "shop.hcl"), []byte(shop), 0o600); err != nil {
						t.Fatal(err)
					}
					h.begin()
					h.wait(time.Minute)
				} else {
					h.mustApply("shop.hcl", shop)
				}
				h.checkOutput("when it runs again", tt.want...)
				if l.Ending("shop") {
					t.Error("its output is still marked")
				}
				if st := h.status("shop"); st.State != group.Running {
					t.Errorf("it is %s: %s", st.State, st.Error)
				}
			})
		})
	}
}
