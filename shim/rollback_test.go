package shim_test

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

	"github.com/sallyport/sallyport/shim"
)

// history is a group's, a line for each generation: "2 apply proved".
func (d *desk) history(group string) []string {
	d.t.Helper()
	all, err := d.keeper.History(context.Background(), group)
	if err != nil {
		d.t.Fatal(err)
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

func (d *desk) checkHistory(group string, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, d.history(group)); diff != "" {
		d.t.Errorf("history of %s (-want +got):\n%s", group, diff)
	}
}

func (d *desk) text(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.layout.GroupsDir, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

func (d *desk) rollback(group string, to int) error {
	return d.keeper.Rollback(context.Background(), group, to, nil)
}

// version is shop with a command of that number for its app.
func version(n int) string {
	return edited(shop, `web:1"`, fmt.Sprintf("web:1\"\n    command = [\"/bin/web\", \"%d\"]", n))
}

func TestRollbackPutsTheFileBefore(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		before := d.host.String()
		d.mustApply("shop.hcl", newWeb)
		if err := d.rollback("shop", 0); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, d.host.String()); diff != "" {
			t.Errorf("the host (-before +after):\n%s", diff)
		}
		if got := d.text("shop.hcl"); got != shop {
			t.Errorf("the file is\n%s", got)
		}
		d.checkHistory("shop", "3 rollback proved", "2 apply proved", "1 apply proved")
		if st := d.status("shop"); st.Generation != 3 || st.Error != "" {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
		// What was rolled back is not lost: it is the one before, now.
		if err := d.rollback("shop", 0); err != nil || d.text("shop.hcl") != newWeb {
			t.Errorf("a second rollback: %v\n%s", err, d.text("shop.hcl"))
		}
		if err := d.rollback("shop", 1); err != nil || d.text("shop.hcl") != shop {
			t.Errorf("a rollback to 1: %v\n%s", err, d.text("shop.hcl"))
		}
		d.end()
		d.begin()
		d.checkHistory("shop", "5 rollback proved", "4 rollback proved", "3 rollback proved", "2 apply proved", "1 apply proved (not kept)")
	})
}

// A file that was edited by hand comes back with what its file blocks named, although that has
// changed since.
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
	at(t, func(t *testing.T, d *desk) {
		motd := filepath.Join(d.layout.GroupsDir, "motd")
		if err := os.WriteFile(motd, []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.write("job.hcl", withMotd)
		first := d.status("job").Digest
		if err := os.WriteFile(motd, []byte("good bye"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.notice()
		d.checkHistory("job", "2 file proved", "1 file proved")
		if err := d.rollback("job", 0); err != nil {
			t.Fatal(err)
		}
		if st := d.status("job"); st.Digest != first {
			t.Error("the file it names has not come back")
		}
	})
}

// An edit that changes nothing of the group is an operator's nevertheless.
func TestHistoryKeepsTheLastTextOfAGeneration(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		remark := shop + "# mind the gap\n"
		d.write("shop.hcl", remark)
		d.checkHistory("shop", "1 apply proved")
		d.write("shop.hcl", newWeb)
		if err := d.rollback("shop", 0); err != nil || d.text("shop.hcl") != remark {
			t.Errorf("rollback: %v\n%s", err, d.text("shop.hcl"))
		}
		old, err := d.keeper.Definition(context.Background(), "shop", 2)
		if err != nil || string(old.Bundle.HCL) != newWeb {
			t.Errorf("generation 2: %v\n%s", err, old.Bundle.HCL)
		}
	})
}

func TestRollbackRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		do    func(d *desk)
		group string
		to    int
		want  string
		is    error
	}{
		{"an unknown group", func(*desk) {}, "gone", 0, "no such group", shim.ErrNoGroup},
		{"without a generation before", func(*desk) {}, "shop", 0, "no generation to go back to", shim.ErrNoGeneration},
		{"a generation that never was", func(*desk) {}, "shop", 7, "generation 7 is not kept", shim.ErrNoGeneration},
		{"to lose a file that can't be used", func(d *desk) { d.write("shop.hcl", "group {") }, "shop", 0, "file shop.hcl can't be used as it is", nil},
		{"to change another group", func(d *desk) {
			d.mustApply("shop.hcl", shop+job)
			d.mustApply("shop.hcl", newWeb+edited(job, "once:1", "once:2"))
		}, "shop", 0, "which would change too: job", nil},
		{"to take away another group", func(d *desk) {
			d.mustApply("shop.hcl", newWeb)
			d.mustApply("shop.hcl", version(3)+job)
		}, "shop", 0, "which would change too: job", nil},
		{"an image that is gone", func(d *desk) {
			d.mustApply("shop.hcl", edited(shop, "web:1", "web:2"))
			d.host.LoseImage("registry.example/web:1")
		}, "shop", 0, "image registry.example/web:1: sha256:registry.example/web:1 is not on this host any more", shim.ErrImageGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", shop)
				tt.do(d)
				host, text := d.host.String(), d.text("shop.hcl")
				err := d.rollback(tt.group, tt.to)
				if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				if diff := cmp.Diff(host+text, d.host.String()+d.text("shop.hcl")); diff != "" {
					t.Errorf("something changed (-before +after):\n%s", diff)
				}
			})
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		for i := range 50 { // none of these proves itself
			d.host.ExitAtOnce("shop", "web", 1)
			d.write("shop.hcl", version(i+2))
		}
		lines := d.history("shop")
		if len(lines) != 33 || lines[0] != "51 file on trial" || lines[4] != "47 file replaced (not kept)" || lines[32] != "1 apply proved" {
			t.Errorf("%d generations:\n%s", len(lines), strings.Join(lines, "\n"))
		}
		files, err := os.ReadDir(filepath.Join(d.layout.StateDir, "generations"))
		if err != nil || len(files) != 5 {
			t.Errorf("%d definitions are kept, want 5: %v", len(files), err)
		}
		d.host.Stay("shop", "web")
		if err := d.rollback("shop", 0); err != nil || d.text("shop.hcl") != shop {
			t.Errorf("rollback: %v", err)
		}
		d.wait(time.Second)
		if err := d.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(d.layout.StateDir, "[gh]*", "*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// TestApplyThatIsRolledBackMeanwhileFails: that the group is well by then says nothing of what was
// applied.
func TestApplyThatIsRolledBackMeanwhileFails(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", careful)
		d.host.BreakImage("registry.example/web:2", 3)
		var err error
		done := false
		go func() {
			err = d.keeper.Apply(context.Background(), bundles("shop.hcl", careful2), nil)
			done = true
		}()
		d.wait(10 * time.Second)
		if back := d.rollback("shop", 0); back != nil {
			t.Fatal(back)
		}
		d.wait(time.Second)
		if !done || err == nil || !strings.Contains(err.Error(), "another definition was put in the place of this one meanwhile: generation 3, by rollback") {
			t.Errorf("done: %v, apply said %v", done, err)
		}
	})
}

// To go back to what is wanted already is nothing to do, and is said to be.
func TestRollbackToWhatIsWanted(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		d.mustApply("shop.hcl", newWeb)
		if err := d.rollback("shop", 1); err != nil {
			t.Fatal(err)
		}
		d.host.ForgetOperations()
		for _, number := range []int{3, 1} {
			var said []string
			if err := d.keeper.Rollback(t.Context(), "shop", number, func(line string) { said = append(said, line) }); err != nil {
				t.Error(err)
			}
			want := []string{fmt.Sprintf("shop: generation %d is wanted already: there is nothing to go back to", number)}
			if diff := cmp.Diff(want, said); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		}
		d.did()
		d.checkHistory("shop", "3 rollback proved", "2 apply proved", "1 apply proved")
	})
}

// The installed file is not the one whose images are gone, so to apply that again is no way out;
// what generation 1 came from is.
func TestRollbackToAnImageThatIsGoneSaysWhatToDo(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.mustApply("shop.hcl", shop)
		d.mustApply("shop.hcl", edited(shop, "web:1", "web:2"))
		d.host.LoseImage(webRef)
		var problem *shim.Problem
		if err := d.rollback("shop", 0); !errors.As(err, &problem) || !strings.HasPrefix(problem.Hint, `apply what "sallyport history shop --file 1" prints`) {
			t.Fatalf("%v (%+v)", err, problem)
		}
		d.host.FindImage(webRef)
		d.host.SetImage(webRef, "sha256:new")
		old, err := d.keeper.Definition(t.Context(), "shop", 1)
		if err != nil {
			t.Fatal(err)
		}
		d.mustApply("shop.hcl", string(old.Bundle.HCL))
		d.expectImage("web", "sha256:new", "applied as it was in generation 1")
	})
}

// Who undoes an edit of a file that was put back has made an edit, and nothing else: the text being
// that of then, what was said then is not said of the edit.
func TestAnEditThatIsUndoneTakesNothingBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		back func(d *desk)
		want string // what put the file back
	}{
		{"revert", func(d *desk) {
			d.host.FailNext("create web", errBoom)
			if _, err := d.apply("shop.hcl", version(2)); err == nil {
				d.t.Fatal("did not fail")
			}
		}, "3 revert proved"},
		{"rollback", func(d *desk) {
			d.mustApply("shop.hcl", version(2))
			if err := d.rollback("shop", 0); err != nil {
				d.t.Fatal(err)
			}
		}, "3 rollback proved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", shop)
				tt.back(d)
				d.wait(time.Minute)
				before := d.text("shop.hcl")
				for _, text := range []string{version(3), before} {
					d.write("shop.hcl", text)
					d.wait(time.Minute)
				}
				if st := d.status("shop"); st.Generation != 5 || st.Error != "" {
					t.Errorf("generation %d, error %q", st.Generation, st.Error)
				}
				if diff := cmp.Diff([]string{"5 file proved", "4 file proved", tt.want}, d.history("shop")[:3]); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
			})
		})
	}
}
