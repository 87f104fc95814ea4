package shim_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

const webRef = "registry.example/web:1"

// image is what a container was made from.
func (d *desk) image(name string) string {
	d.t.Helper()
	for _, line := range strings.Split(d.host.String(), "\n") {
		if strings.HasPrefix(line, "container ") && strings.Contains(line, "."+name+" ") {
			return line[strings.LastIndex(line, " ")+1:]
		}
	}
	return "nothing"
}

func (d *desk) expectImage(name, want, when string) {
	d.t.Helper()
	if got := d.image(name); got != want {
		d.t.Errorf("%s: %s was made from %s, want %s", when, name, got, want)
	}
}

// unpin makes the files of shop in some folders what a daemon writes that knows of no pins.
func (d *desk) unpin(folders ...string) {
	d.t.Helper()
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(d.layout.StateDir, folder, "*"))
		if err != nil || len(files) != 1 {
			d.t.Fatalf("%s: %v %v", folder, files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(files[0], []byte(strings.ReplaceAll(string(text), `"pins"`, `"unknown"`)), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
}

// A tag that has moved on the host makes a generation with the next apply, and with nothing else.
func TestApplyTakesANewImageOfAnOldName(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.mustApply("shop.hcl", shop)
		d.host.SetImage(webRef, "sha256:new")
		d.exit("shop", "web", 1)
		d.wait(time.Minute)
		d.expectImage("web", "sha256:old", "started again after its end")
		if err := d.keeper.Restart(t.Context(), "shop", "", nil); err != nil {
			t.Fatal(err)
		}
		d.expectImage("web", "sha256:old", "restarted")
		d.end()
		d.begin()
		d.exit("shop", "web", 1)
		d.wait(time.Minute)
		d.expectImage("web", "sha256:old", "started again by the next daemon")
		if st := d.status("shop"); st.Generation != 1 {
			t.Errorf("generation %d, want 1", st.Generation)
		}

		previews, err := d.keeper.Preview(t.Context(), bundles("shop.hcl", shop))
		if err != nil || !slices.Contains(previews[0].Steps, "create web (app)") {
			t.Errorf("preview: %+v, %v", previews, err)
		}
		d.expectImage("web", "sha256:old", "previewed")
		lines, err := d.apply("shop.hcl", shop)
		if err != nil {
			t.Fatal(err)
		}
		d.expectImage("web", "sha256:new", "applied again")
		if said := strings.Join(lines, "\n"); !strings.Contains(said, "shop: image "+webRef+" is sha256:new now, and was sha256:old") {
			t.Errorf("it said:\n%s", said)
		}
		d.checkHistory("shop", "2 apply proved", "1 apply proved")
		d.mustApply("shop.hcl", shop)
		d.checkHistory("shop", "2 apply proved", "1 apply proved")
	})
}

// A job that has completed is run again by an apply of its unchanged file where that means another image by now, and a plan says so.
func TestPlanOfAJobWhoseImageIsAnother(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		const ref = "registry.example/once:1"
		plan := func() shim.Preview {
			t.Helper()
			previews, err := d.keeper.Preview(t.Context(), bundles("job.hcl", job))
			if err != nil {
				t.Fatal(err)
			}
			return previews[0]
		}
		d.host.SetImage(ref, "sha256:old")
		d.mustApply("job.hcl", job)
		d.exit("job", "once", 0)
		d.wait(time.Minute)
		if p := plan(); len(p.Steps) > 0 || !strings.HasPrefix(p.Ended, "it has completed") {
			t.Errorf("unchanged: %+v", p)
		}
		d.host.SetImage(ref, "sha256:new")
		p := plan()
		if p.Ended != "" || !slices.Contains(p.Steps, "create once (app)") || !slices.Contains(p.Steps, "start once (app)") {
			t.Errorf("of another image: %+v", p)
		}
		lines, err := d.apply("job.hcl", job)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range p.Steps {
			if !slices.Contains(lines, "job: "+step) {
				t.Errorf("%q was planned, and what was done is %q", step, lines)
			}
		}
		d.expectImage("once", "sha256:new", "applied again")
	})
}

// A rollback goes back to the images, although their names mean something else by now and the text is the same.
func TestRollbackGoesBackToTheImages(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.mustApply("shop.hcl", shop)
		d.host.SetImage(webRef, "sha256:new")
		d.mustApply("shop.hcl", shop)
		if err := d.rollback("shop", 0); err != nil {
			t.Fatal(err)
		}
		d.expectImage("web", "sha256:old", "rolled back")
		d.checkHistory("shop", "3 rollback proved", "2 apply proved", "1 apply proved")
		d.end()
		d.begin()
		d.wait(time.Minute)
		d.expectImage("web", "sha256:old", "under the next daemon")
		d.checkHistory("shop", "3 rollback proved", "2 apply proved", "1 apply proved")
		// The way forward again is a rollback too.
		if err := d.rollback("shop", 2); err != nil {
			t.Fatal(err)
		}
		d.expectImage("web", "sha256:new", "rolled back to 2")
	})
}

// A moved tag that doesn't do is taken back as any update is.
func TestAMovedTagIsTakenBack(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.mustApply("shop.hcl", careful)
		before := d.host.String()
		d.host.SetImage(webRef, "sha256:new")
		d.host.BreakImage("sha256:new", 3)
		if _, err := d.apply("shop.hcl", careful); err == nil || !strings.Contains(err.Error(), "generation 2 was taken back: not ready within 1m0s") {
			t.Errorf("apply: %v", err)
		}
		if diff := cmp.Diff(before, d.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		d.end()
		d.begin()
		d.wait(time.Hour)
		if st := d.status("shop"); st.Generation != 3 || !strings.HasPrefix(st.Error, "generation 2 was taken back") {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
		if diff := cmp.Diff(before, d.host.String()); diff != "" {
			t.Errorf("the next daemon left (-before +after):\n%s", diff)
		}
	})
}

// TestApplyOfAMovedTagThatIsRolledBackMeanwhileFails: the definition is the same, and what runs is not.
func TestApplyOfAMovedTagThatIsRolledBackMeanwhileFails(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.mustApply("shop.hcl", careful)
		d.host.SetImage(webRef, "sha256:new")
		d.host.BreakImage("sha256:new", 3)
		var err error
		done := false
		go func() {
			err = d.keeper.Apply(t.Context(), bundles("shop.hcl", careful), nil)
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

// An apply that can't be built puts back the images with the file.
func TestAnApplyThatFailsPutsBackTheImages(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.mustApply("shop.hcl", shop)
		d.host.SetImage(webRef, "sha256:new")
		d.host.FailNext("create web", errBoom)
		if _, err := d.apply("shop.hcl", shop); err == nil {
			t.Error("it did not fail")
		}
		d.wait(time.Minute)
		d.expectImage("web", "sha256:old", "put back")
		d.checkHistory("shop", "3 revert proved", "2 apply taken back: create web (app): create web: boom", "1 apply proved")
	})
}

// An edit by hand asks nothing anew of the references that it leaves as they are, and pins the others when they are first used.
func TestAnEditKeepsTheImagesThatItLeaves(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.write("shop.hcl", shop)
		d.host.SetImage(webRef, "sha256:new")
		d.host.SetImage("registry.example/shipper:3", "sha256:newer")
		d.write("shop.hcl", version(2))
		d.expectImage("web", "sha256:old", "edited")
		d.end()
		d.begin()
		if err := d.keeper.Restart(t.Context(), "shop", "", nil); err != nil {
			t.Fatal(err)
		}
		d.expectImage("web", "sha256:old", "restarted")
		d.expectImage("shipper", "sha256:registry.", "restarted")
	})
}

// A file that was put into the folder is applied where it is, for what its names mean by now.
func TestAFileOfTheFolderIsAppliedWhereItIs(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.write("shop.hcl", shop)
		d.wait(time.Minute)
		d.host.SetImage(webRef, "sha256:new")
		b := bundles("shop.hcl", shop)
		b[0].Path = filepath.Join(d.layout.GroupsDir, "shop.hcl")
		if err := d.keeper.Apply(t.Context(), b, nil); err != nil {
			t.Fatal(err)
		}
		d.expectImage("web", "sha256:new", "applied")
		d.checkHistory("shop", "2 apply proved", "1 file proved")
	})
}

// What a daemon ran that pinned nothing is left as it is, and pinned as it runs.
func TestWhatRunsUnpinnedIsPinnedAsItRuns(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.mustApply("shop.hcl", shop)
		d.end()
		d.unpin("wanted", "history", "applied")
		d.host.SetImage(webRef, "sha256:new")
		d.host.ForgetOperations()
		d.begin()
		d.wait(time.Minute)
		if done := d.host.Operations(); len(done) > 0 {
			t.Errorf("it did %q", done)
		}
		d.exit("shop", "web", 1)
		d.wait(time.Minute)
		d.expectImage("web", "sha256:old", "started again")
		d.checkHistory("shop", "1 apply proved")
	})
}

// An older daemon pins nothing: it goes by the tag, and writes what is wanted and the history without the pins that were there. The
// next one that knows of pins leaves what that one made as it is.
func TestWhatAnOlderDaemonMadeMeanwhileIsLeft(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.SetImage(webRef, "sha256:old")
		d.mustApply("shop.hcl", shop)
		d.end()
		applied := filepath.Join(d.layout.StateDir, "applied", "shop.hcl.json")
		before, err := os.ReadFile(applied)
		if err != nil {
			t.Fatal(err)
		}
		d.unpin("wanted", "history", "applied")                                 // so that the keeper below is as one that knows nothing of them
		if err := d.host.Images().Release(t.Context(), "shop", 1); err != nil { // that one may have two images of one name
			t.Fatal(err)
		}
		d.host.SetImage(webRef, "sha256:new")
		d.host.Reboot()
		d.begin()
		d.wait(time.Minute)
		d.end()
		d.expectImage("web", "sha256:new", "under the older daemon")
		d.unpin("wanted", "history")
		if err := os.WriteFile(applied, before, 0o600); err != nil {
			t.Fatal(err)
		}
		d.host.ForgetOperations()
		d.begin()
		d.wait(time.Minute)
		if done := d.host.Operations(); len(done) > 0 {
			t.Errorf("it did %q", done)
		}
		d.exit("shop", "web", 1)
		d.wait(time.Minute)
		d.expectImage("web", "sha256:new", "started again")
		d.checkHistory("shop", "1 apply proved")
	})
}
