package keeper_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

const webRef = "registry.example/web:1"

// image returns the image that a container was created from.
func (h *harness) image(name string) string {
	h.t.Helper()
	for _, line := range strings.Split(h.host.String(), "\n") {
		if strings.HasPrefix(line, "container ") && strings.Contains(line, "."+name+" ") {
			return line[strings.LastIndex(line, " ")+1:]
		}
	}
	return "nothing"
}

func (h *harness) expectImage(name, want, when string) {
	h.t.Helper()
	if got := h.image(name); got != want {
		h.t.Errorf("%s: %s was created from %s, want %s", when, name, got, want)
	}
}

// dropDigests rewrites the files of shop in some folders as a daemon without image digests writes
// them.
func (h *harness) dropDigests(folders ...string) {
	h.t.Helper()
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(h.layout.StateDir, folder, "*"))
		if err != nil || len(files) != 1 {
			h.t.Fatalf("%s: %v %v", folder, files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(files[0], []byte(strings.ReplaceAll(string(text), `"pins"`, `"unknown"`)), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
}

// A tag that has moved on the host makes a new generation with the next apply, and only then.
func TestApplyTakesANewImageOfAnOldName(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.host.SetImage(webRef, "sha256:new")
		h.exit("shop", "web", 1)
		h.wait(time.Minute)
		h.expectImage("web", "sha256:old", "started again after its end")
		if err := h.keeper.Restart(t.Context(), "shop", "", nil); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:old", "restarted")
		h.end()
		h.begin()
		h.exit("shop", "web", 1)
		h.wait(time.Minute)
		h.expectImage("web", "sha256:old", "started again by the next daemon")
		if st := h.status("shop"); st.Generation != 1 {
			t.Errorf("generation %d, want 1", st.Generation)
		}

		previews, err := h.keeper.Preview(t.Context(), bundles("shop.hcl", shop))
		if err != nil || !slices.Contains(previews[0].Steps, "create web (app)") {
			t.Errorf("preview: %+v, %v", previews, err)
		}
		h.expectImage("web", "sha256:old", "previewed")
		lines, err := h.apply("shop.hcl", shop)
		if err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:new", "applied again")
		if progress := strings.Join(lines, "\n"); !strings.Contains(progress, "shop: image "+webRef+" is sha256:new now, and was sha256:old") {
			t.Errorf("progress:\n%s", progress)
		}
		h.checkHistory("shop", "2 apply on trial", "1 apply proved")
		h.mustApply("shop.hcl", shop)
		h.checkHistory("shop", "2 apply proved", "1 apply proved")
	})
}

// An apply runs a completed job again if its unchanged file means another image by now. A plan
// shows this.
func TestPlanOfAJobWhoseImageIsAnother(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		const ref = "registry.example/once:1"
		plan := func() group.Preview {
			t.Helper()
			previews, err := h.keeper.Preview(t.Context(), bundles("job.hcl", job))
			if err != nil {
				t.Fatal(err)
			}
			return previews[0]
		}
		h.host.SetImage(ref, "sha256:old")
		h.mustApply("job.hcl", job)
		h.exit("job", "once", 0)
		h.wait(time.Minute)
		if p := plan(); len(p.Steps) > 0 || !strings.HasPrefix(p.Ended, "it has completed") {
			t.Errorf("unchanged: %+v", p)
		}
		h.host.SetImage(ref, "sha256:new")
		p := plan()
		if p.Ended != "" || !slices.Contains(p.Steps, "create once (app)") || !slices.Contains(p.Steps, "start once (app)") {
			t.Errorf("with another image: %+v", p)
		}
		lines, err := h.apply("job.hcl", job)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range p.Steps {
			if !slices.Contains(lines, "job: "+step) {
				t.Errorf("%q was planned, and these were done: %q", step, lines)
			}
		}
		h.expectImage("once", "sha256:new", "applied again")
	})
}

// A rollback goes back to the images, although their names mean something else by now and the text
// is the same.
func TestRollbackGoesBackToTheImages(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.host.SetImage(webRef, "sha256:new")
		h.mustApply("shop.hcl", shop)
		if err := h.rollback("shop", 0); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:old", "rolled back")
		h.checkHistory("shop", "3 rollback proved", "2 apply proved", "1 apply proved")
		h.end()
		h.begin()
		h.wait(time.Minute)
		h.expectImage("web", "sha256:old", "under the next daemon")
		h.checkHistory("shop", "3 rollback proved", "2 apply proved", "1 apply proved")
		// Going forward again is a rollback too.
		if err := h.rollback("shop", 2); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:new", "rolled back to 2")
	})
}

// A moved tag that does not become ready is reverted like any update.
func TestAMovedTagIsReverted(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", careful)
		before := h.host.String()
		h.host.SetImage(webRef, "sha256:new")
		h.host.BreakImage("sha256:new", 3)
		if _, err := h.apply("shop.hcl", careful); err == nil || !strings.Contains(err.Error(), "generation 2 was taken back: not ready within 1m0s") {
			t.Errorf("apply: %v", err)
		}
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		h.end()
		h.begin()
		h.wait(time.Hour)
		if st := h.status("shop"); st.Generation != 3 || !strings.HasPrefix(st.Error, "generation 2 was taken back") {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the next daemon left (-before +after):\n%s", diff)
		}
	})
}

// The definition is the same, but the running image is not.
func TestApplyOfAMovedTagThatIsRolledBackMeanwhileFails(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", careful)
		h.host.SetImage(webRef, "sha256:new")
		h.host.BreakImage("sha256:new", 3)
		var err error
		done := false
		go func() {
			err = h.keeper.Apply(t.Context(), bundles("shop.hcl", careful), nil)
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

// An apply that cannot be built puts back the images with the file.
func TestAnApplyThatFailsPutsBackTheImages(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.host.SetImage(webRef, "sha256:new")
		h.host.FailNext("create web", errBoom)
		if _, err := h.apply("shop.hcl", shop); err == nil {
			t.Error("it did not fail")
		}
		h.wait(time.Minute)
		h.expectImage("web", "sha256:old", "put back")
		h.checkHistory("shop", "3 revert proved", "2 apply taken back: create web (app): create web: boom", "1 apply proved")
	})
}

// An edit by hand leaves the digests of the references that it does not change. It records those of
// the others when they are first used.
func TestAnEditKeepsTheImagesThatItLeaves(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.write("shop.hcl", shop)
		h.host.SetImage(webRef, "sha256:new")
		h.host.SetImage("registry.example/shipper:3", "sha256:newer")
		h.write("shop.hcl", version(2))
		h.expectImage("web", "sha256:old", "edited")
		h.end()
		h.begin()
		if err := h.keeper.Restart(t.Context(), "shop", "", nil); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:old", "restarted")
		h.expectImage("shipper", "sha256:registry.", "restarted")
	})
}

// A file in the folder is applied where it is, with the images that its names mean now.
func TestAFileOfTheFolderIsAppliedWhereItIs(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.write("shop.hcl", shop)
		h.wait(time.Minute)
		h.host.SetImage(webRef, "sha256:new")
		b := bundles("shop.hcl", shop)
		b[0].Path = filepath.Join(h.layout.GroupsDir, "shop.hcl")
		if err := h.keeper.Apply(t.Context(), b, nil); err != nil {
			t.Fatal(err)
		}
		h.expectImage("web", "sha256:new", "applied")
		h.wait(proof)
		h.checkHistory("shop", "2 apply proved", "1 file proved")
	})
}

// A container of a daemon that recorded no digests is left as it is, and its digest is recorded.
func TestDigestsAreRecordedFromRunningContainers(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.end()
		h.dropDigests("wanted", "history", "applied")
		h.host.SetImage(webRef, "sha256:new")
		h.host.ForgetOperations()
		h.begin()
		h.wait(time.Minute)
		if done := h.host.Operations(); len(done) > 0 {
			t.Errorf("it did %q", done)
		}
		h.exit("shop", "web", 1)
		h.wait(time.Minute)
		h.expectImage("web", "sha256:old", "started again")
		h.checkHistory("shop", "1 apply proved")
	})
}

// An older daemon records no digests. It uses the tag. It writes what is wanted and the history
// without the existing digests. The next daemon with digests leaves the containers of the older one
// as they are.
func TestContainersOfAnOlderDaemonAreLeft(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.SetImage(webRef, "sha256:old")
		h.mustApply("shop.hcl", shop)
		h.end()
		applied := filepath.Join(h.layout.StateDir, "applied", "shop.hcl.json")
		before, err := os.ReadFile(applied)
		if err != nil {
			t.Fatal(err)
		}
		h.dropDigests("wanted", "history", "applied")                           // for a keeper without digests
		if err := h.host.Images().Release(t.Context(), "shop", 1); err != nil { // allows two images of one name
			t.Fatal(err)
		}
		h.host.SetImage(webRef, "sha256:new")
		h.host.Reboot()
		h.begin()
		h.wait(time.Minute)
		h.end()
		h.expectImage("web", "sha256:new", "under the older daemon")
		h.dropDigests("wanted", "history")
		if err := os.WriteFile(applied, before, 0o600); err != nil {
			t.Fatal(err)
		}
		h.host.ForgetOperations()
		h.begin()
		h.wait(time.Minute)
		if done := h.host.Operations(); len(done) > 0 {
			t.Errorf("it did %q", done)
		}
		h.exit("shop", "web", 1)
		h.wait(time.Minute)
		h.expectImage("web", "sha256:new", "started again")
		h.checkHistory("shop", "1 apply proved")
	})
}
