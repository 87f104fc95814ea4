package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// history returns a group's history, a line for each generation: "2 apply proved".
func (h *harness) history(group string) []string {
	h.t.Helper()
	all, err := h.keeper.History(context.Background(), group)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, g := range all {
		line := fmt.Sprintf("%d %s %s", g.Number, g.By, g.Outcome)
		if g.Why != "" {
			line += ": " + g.Why
		}
		if !g.Kept {
			line += " (not kept)"
		}
		out = append(out, line)
	}
	return out
}

func (h *harness) checkHistory(group string, want ...string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.history(group)); diff != "" {
		h.t.Errorf("history of %s (-want +got):\n%s", group, diff)
	}
}

func (h *harness) text(name string) string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.layout.GroupsDir, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// rollback goes back, and waits until the generation has proved itself.
func (h *harness) rollback(group string, to int) error {
	err := h.keeper.Rollback(context.Background(), group, to, nil)
	if err == nil {
		h.wait(proof)
	}
	return err
}

// version returns shop with that number in the command of its app.
func version(n int) string {
	return edited(shop, `web:1"`, fmt.Sprintf("web:1\"\n    command = [\"/bin/web\", \"%d\"]", n))
}

func TestRollbackPutsTheFileBefore(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		before := h.host.String()
		h.mustApply("shop.hcl", newWeb)
		if err := h.rollback("shop", 0); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host (-before +after):\n%s", diff)
		}
		if got := h.text("shop.hcl"); got != shop {
			t.Errorf("the file is\n%s", got)
		}
		h.checkHistory("shop", "3 rollback proved", "2 apply proved", "1 apply proved")
		if st := h.status("shop"); st.Generation != 3 || st.Error != "" {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
		// A generation that was rolled back is not lost: now it is the previous one.
		if err := h.rollback("shop", 0); err != nil || h.text("shop.hcl") != newWeb {
			t.Errorf("a second rollback: %v\n%s", err, h.text("shop.hcl"))
		}
		if err := h.rollback("shop", 1); err != nil || h.text("shop.hcl") != shop {
			t.Errorf("a rollback to 1: %v\n%s", err, h.text("shop.hcl"))
		}
		h.end()
		h.begin()
		h.checkHistory("shop", "5 rollback proved", "4 rollback proved", "3 rollback proved", "2 apply proved", "1 apply proved (not kept)")
	})
}

// A file that was edited by hand comes back with the contents of its file blocks, although those
// files have changed since.
func TestRollbackOfAFileEditedByHand(t *testing.T) {
	const withMotd = `
group "job" {
  egress = "none"
  app "once" {
    image = "registry.example/once:1"
    file "/etc/motd" { source = "motd" }
  }
}
`
	withHarness(t, func(t *testing.T, h *harness) {
		motd := filepath.Join(h.layout.GroupsDir, "motd")
		if err := os.WriteFile(motd, []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.write("job.hcl", withMotd)
		h.wait(proof)
		first := h.status("job").Digest
		if err := os.WriteFile(motd, []byte("good bye"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.notice()
		h.wait(proof)
		h.checkHistory("job", "2 file proved", "1 file proved")
		if err := h.rollback("job", 0); err != nil {
			t.Fatal(err)
		}
		if st := h.status("job"); st.Digest != first {
			t.Error("the file it names has not come back")
		}
	})
}

// An edit that changes nothing of the group is still an operator's.
func TestHistoryKeepsTheLastTextOfAGeneration(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		remark := shop + "# mind the gap\n"
		h.write("shop.hcl", remark)
		h.checkHistory("shop", "1 apply proved")
		h.write("shop.hcl", newWeb)
		if err := h.rollback("shop", 0); err != nil || h.text("shop.hcl") != remark {
			t.Errorf("rollback: %v\n%s", err, h.text("shop.hcl"))
		}
		old, err := h.keeper.Definition(context.Background(), "shop", 2)
		if err != nil || string(old.Bundle.HCL) != newWeb {
			t.Errorf("generation 2: %v\n%s", err, old.Bundle.HCL)
		}
	})
}

func TestRollbackRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		do    func(h *harness)
		group string
		to    int
		want  string
		is    error
	}{
		{"an unknown group", func(*harness) {}, "gone", 0, "no such group", group.ErrNoGroup},
		{"without a generation before", func(*harness) {}, "shop", 0, "no generation to go back to", group.ErrNoGeneration},
		{"a generation that never was", func(*harness) {}, "shop", 7, "generation 7 is not kept", group.ErrNoGeneration},
		{"to lose a file that can't be used", func(h *harness) { h.write("shop.hcl", "group {") }, "shop", 0, "file shop.hcl can't be used as it is", nil},
		{"to change another group", func(h *harness) {
			h.mustApply("shop.hcl", shop+job)
			h.mustApply("shop.hcl", newWeb+edited(job, "once:1", "once:2"))
		}, "shop", 0, "which would change too: job", nil},
		{"to take away another group", func(h *harness) {
			h.mustApply("shop.hcl", newWeb)
			h.mustApply("shop.hcl", version(3)+job)
		}, "shop", 0, "which would change too: job", nil},
		{"an image that is gone", func(h *harness) {
			h.mustApply("shop.hcl", edited(shop, "web:1", "web:2"))
			h.host.LoseImage("registry.example/web:1")
		}, "shop", 0, "image registry.example/web:1: sha256:registry.example/web:1 is not on this host any more", host.ErrImageGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				tt.do(h)
				host, text := h.host.String(), h.text("shop.hcl")
				err := h.rollback(tt.group, tt.to)
				if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				if diff := cmp.Diff(host+text, h.host.String()+h.text("shop.hcl")); diff != "" {
					t.Errorf("something changed (-before +after):\n%s", diff)
				}
			})
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		for i := range 50 { // none of these proves itself
			h.host.ExitAtOnce("shop", "web", 1)
			h.write("shop.hcl", version(i+2))
		}
		lines := h.history("shop")
		if len(lines) != 33 || lines[0] != "51 file on trial" || lines[4] != "47 file replaced (not kept)" || lines[32] != "1 apply proved" {
			t.Errorf("%d generations:\n%s", len(lines), strings.Join(lines, "\n"))
		}
		files, err := os.ReadDir(filepath.Join(h.layout.StateDir, "generations"))
		if err != nil || len(files) != 5 {
			t.Errorf("%d definitions are kept, want 5: %v", len(files), err)
		}
		h.host.Stay("shop", "web")
		if err := h.rollback("shop", 0); err != nil || h.text("shop.hcl") != shop {
			t.Errorf("rollback: %v", err)
		}
		h.wait(time.Second)
		if err := h.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(h.layout.StateDir, "[gh]*", "*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// The group is well by then, but with another definition than the applied one.
func TestApplyThatIsRolledBackMeanwhileFails(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", careful)
		h.host.BreakImage("registry.example/web:2", 3)
		var err error
		done := false
		go func() {
			err = h.keeper.Apply(context.Background(), bundles("shop.hcl", careful2), nil)
			done = true
		}()
		h.wait(10 * time.Second)
		if back := h.rollback("shop", 0); back != nil {
			t.Fatal(back)
		}
		h.wait(time.Second)
		if !done || err == nil || !strings.Contains(err.Error(), "another definition was put in the place of this one meanwhile: generation 3, by rollback") {
			t.Errorf("done: %v, apply returned %v", done, err)
		}
	})
}

// A rollback to what is wanted already does nothing, and reports it.
func TestRollbackToWhatIsWanted(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.mustApply("shop.hcl", newWeb)
		if err := h.rollback("shop", 1); err != nil {
			t.Fatal(err)
		}
		h.host.ForgetOperations()
		for _, number := range []int{3, 1} {
			var lines []string
			if err := h.keeper.Rollback(t.Context(), "shop", number, func(line string) { lines = append(lines, line) }); err != nil {
				t.Error(err)
			}
			want := []string{fmt.Sprintf("shop: generation %d is wanted already: there is nothing to go back to", number)}
			if diff := cmp.Diff(want, lines); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		}
		h.did()
		h.checkHistory("shop", "3 rollback proved", "2 apply proved", "1 apply proved")
	})
}

// The installed file is not the one whose images are gone, so applying it again does not help.
// Applying the file of generation 1 does.
func TestRollbackToAnImageThatIsGoneHasAHint(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.mustApply("shop.hcl", edited(shop, "web:1", "web:2"))
		h.host.LoseImage(webRef)
		var problem *hint.Error
		if err := h.rollback("shop", 0); !errors.As(err, &problem) || !strings.HasPrefix(problem.Hint, `apply what "sallyport history shop --file 1" prints`) {
			t.Fatalf("%v (%+v)", err, problem)
		}
		h.host.FindImage(webRef)
		h.host.SetImage(webRef, "sha256:new")
		old, err := h.keeper.Definition(t.Context(), "shop", 1)
		if err != nil {
			t.Fatal(err)
		}
		h.mustApply("shop.hcl", string(old.Bundle.HCL))
		h.expectImage("web", "sha256:new", "applied as it was in generation 1")
	})
}

// An operator who undoes an edit of a reverted file makes an edit, and nothing else. The text is
// the same as after the revert. The reason of the revert does not belong to the edit.
func TestAnUndoneEditRevertsNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		back func(h *harness)
		want string // the generation that put the file back
	}{
		{"revert", func(h *harness) {
			h.host.FailNext("create web", errBoom)
			if _, err := h.apply("shop.hcl", version(2)); err == nil {
				h.t.Fatal("did not fail")
			}
		}, "3 revert proved"},
		{"rollback", func(h *harness) {
			h.mustApply("shop.hcl", version(2))
			if err := h.rollback("shop", 0); err != nil {
				h.t.Fatal(err)
			}
		}, "3 rollback proved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				tt.back(h)
				h.wait(time.Minute)
				before := h.text("shop.hcl")
				for _, text := range []string{version(3), before} {
					h.write("shop.hcl", text)
					h.wait(time.Minute)
				}
				if st := h.status("shop"); st.Generation != 5 || st.Error != "" {
					t.Errorf("generation %d, error %q", st.Generation, st.Error)
				}
				if diff := cmp.Diff([]string{"5 file proved", "4 file proved", tt.want}, h.history("shop")[:3]); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
			})
		})
	}
}
