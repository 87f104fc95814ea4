package keeper_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
)

// tagged is shop whose app has a variable image.
var tagged = `variable "tag" { type = string }` + edited(shop, `web:1"`, `web:${var.tag}"`)

// quiet and done are groups beside it: one that an operator stops, and a job that completes.
var (
	quiet = edited(job, `"job"`, `"quiet"`, `"never"`, `"always"`)
	done  = edited(job, `"job"`, `"done"`)
)

// damages do to a file of the state folder what a disk or a hand may do.
var damages = map[string]func(path string) error{
	"missing":   os.Remove,
	"empty":     func(path string) error { return os.Truncate(path, 0) },
	"truncated": func(path string) error { return os.Truncate(path, 7) },
	"garbage":   func(path string) error { return os.WriteFile(path, []byte("\xff\x00{]"), 0o600) },
	"other":     func(path string) error { return os.WriteFile(path, []byte(`{"color":"red"}`), 0o600) },
	"a pipe":    func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) },
	"a folder": func(path string) error {
		return errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "more"), 0o700))
	},
	"newer": newer,
}

// newer adds to a file what a later version may add: fields with unknown names.
func newer(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(content, &v); err != nil {
		return err
	}
	add := func(v any) {
		if m, ok := v.(map[string]any); ok {
			m["version"], m["color"] = 9, map[string]any{"of": []string{"the", "sky"}}
		}
	}
	if all, ok := v.([]any); ok {
		for _, one := range all {
			add(one)
		}
	}
	add(v)
	content, err = json.Marshal(v)
	return errors.Join(err, os.WriteFile(path, content, 0o600))
}

// A damagedHost has three groups with two generations each: shop runs, an operator has stopped
// quiet, and the job done has completed. Its keepers have a journal.
type damagedHost struct {
	*harness
	journal *journal.Journal
	web     string // what the host says of shop's app
}

func newDamagedHost(t *testing.T) *damagedHost {
	h := &damagedHost{harness: newHarness(t)}
	h.config = func(c *keeper.Config) { c.Journal = h.journal }
	h.open()
	h.host.ExitAtOnce("done", "once", 0)
	h.begin()
	for _, tag := range []string{"6", "7"} {
		h.applyTagged(tag)
	}
	h.mustApply("quiet.hcl", quiet)
	h.mustApply("quiet.hcl", edited(quiet, "once:1", "once:2"))
	h.mustApply("done.hcl", done)
	h.mustApply("done.hcl", edited(done, "once:1", "once:2"))
	h.wait(time.Second)
	if _, err := h.stop("quiet"); err != nil {
		t.Fatal(err)
	}
	h.host.ForgetOperations()
	h.web = regexp.MustCompile(`container shop.web .*`).FindString(h.host.String())
	return h
}

func (h *damagedHost) open() {
	h.t.Helper()
	var err error
	if h.journal, err = journal.Open(journal.Config{Layout: h.layout}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *damagedHost) applyTagged(tag string) {
	h.t.Helper()
	b := bundles("shop.hcl", tagged)
	b[0].Vars = map[string]string{"tag": tag}
	if err := h.keeper.Apply(context.Background(), b, nil); err != nil {
		h.t.Fatalf("apply: %v", err)
	}
	synctest.Wait()
}

// restart ends the keeper and begins the next one. A boot comes between, or not.
func (h *damagedHost) restart(boot bool, between func()) {
	h.t.Helper()
	h.end()
	if err := h.journal.Close(); err != nil {
		h.t.Fatal(err)
	}
	between()
	if boot {
		h.host.Reboot()
	}
	h.open()
	h.begin()
	h.wait(time.Minute)
}

// files returns the files below the state folder that match a pattern. "**" matches all.
func (h *damagedHost) files(pattern string) (all []string) {
	h.t.Helper()
	err := filepath.WalkDir(h.layout.StateDir, func(path string, d os.DirEntry, err error) error {
		name := strings.TrimPrefix(path, h.layout.StateDir+"/")
		if ok, _ := filepath.Match(pattern, name); err == nil && !d.IsDir() && (ok || pattern == "**") {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// told returns all that an operator reads about damage: problems, errors of groups, events.
func (h *damagedHost) told() (all []string) {
	h.t.Helper()
	for _, p := range h.keeper.Problems() {
		all = append(all, fmt.Sprintf("%s: %v", p.Path, p.Err))
	}
	groups, err := h.keeper.Status("")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, st := range groups {
		if st.Error != "" {
			all = append(all, st.Error+"; "+st.Hint)
		}
	}
	err = h.journal.Events(context.Background(), group.EventQuery{Kinds: []group.EventKind{group.EventMended}}, func(e group.Event) error {
		all = append(all, e.Group+": "+e.Text)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// checkGroups compares the three groups with what they were before the damage.
func (h *damagedHost) checkGroups(when string) {
	h.t.Helper()
	for name, want := range map[string]string{"shop": "running 2", "quiet": "stopped 2", "done": "completed 2"} {
		if st := h.status(name); fmt.Sprintf("%s %d", st.State, st.Generation) != want {
			h.t.Errorf("%s: %s is %s %d, want %s; error %q\n%s", when, name, st.State, st.Generation, want, st.Error, h.host)
		}
	}
	if !strings.Contains(h.host.String(), h.web) || h.host.Running("quiet")+h.host.Running("done") > 0 {
		h.t.Errorf("%s:\n%s", when, h.host)
	}
}

// typeIn does what an operator is told to type.
func (h *damagedHost) typeIn(told []string) {
	h.t.Helper()
	for _, text := range told {
		if m := regexp.MustCompile(`rm -r (\S+)`).FindStringSubmatch(text); m != nil {
			if err := os.RemoveAll(m[1]); err != nil {
				h.t.Error(err)
			}
		}
		if m := regexp.MustCompile(`"sallyport start (\S+)" starts`).FindStringSubmatch(text); m != nil {
			if err := h.start(m[1]); err != nil {
				h.t.Errorf("start %s: %v", m[1], err)
			}
			synctest.Wait()
		}
	}
}

// The files of each kind below the state folder are damaged in each way, while no daemon runs,
// before a boot, and under a running daemon. Groups that run go on, and those that are stopped stay
// so. The damage is reported once, what the report says to type mends it, and the generations that
// follow get numbers of their own.
func TestDamagedState(t *testing.T) {
	var files []string
	synctest.Test(t, func(t *testing.T) {
		h := newDamagedHost(t)
		files = h.files("**")
		h.end()
	})
	patterns := []string{
		"applied/*.json", "wanted/*.json", "stopped/*.json", "history/*.json", "generations/*.1.json", "generations/*.2.json", "ended/*.json",
		"lives/*.json", "events/*.jsonl",
	}
	for _, file := range files {
		if !slices.ContainsFunc(patterns, func(p string) bool { ok, _ := filepath.Match(p, file); return ok }) {
			t.Errorf("no damage is done to %s", file)
		}
	}
	for _, pattern := range patterns {
		for _, what := range slices.Sorted(maps.Keys(damages)) {
			for _, how := range []string{"restarted", "booted", "running"} {
				if what == "newer" && pattern == "events/*.jsonl" {
					continue // see journal
				}
				t.Run(pattern+" "+what+" "+how, func(t *testing.T) {
					t.Parallel() // most of its time it waits for the disk
					synctest.Test(t, func(t *testing.T) { testDamage(t, pattern, what, how) })
				})
			}
		}
	}
}

func testDamage(t *testing.T, pattern, what, how string) {
	h := newDamagedHost(t)
	damage := func() {
		files := h.files(pattern)
		if len(files) == 0 {
			t.Fatal("there is no such file")
		}
		for _, file := range files {
			if err := damages[what](filepath.Join(h.layout.StateDir, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if how == "running" {
		damage()
		h.notice()
		h.wait(time.Minute)
		h.checkGroups("under a running daemon")
		h.restart(false, func() {})
	} else {
		h.restart(how == "booted", damage)
	}
	for _, op := range h.host.Operations() {
		if how != "booted" && op != "release" && !strings.HasPrefix(op, "image ") {
			t.Errorf("the groups were changed: %s", op)
		}
	}
	h.checkGroups("the next daemon")
	told := h.told()
	silent := what == "newer" || pattern == "generations/*.2.json" && (what == "missing" || what == "empty") // nothing is lost
	silent = silent || slices.Contains([]string{"events/*.jsonl", "stopped/*.json", "lives/*.json"}, pattern)
	if len(told) == 0 && !silent {
		t.Error("nothing is told")
	}
	if len(told) > 0 && what == "newer" {
		t.Errorf("a newer file: %q", told)
	}
	for _, text := range told {
		if n := len(slices.DeleteFunc(slices.Clone(told), func(o string) bool { return o != text })); n > 1 {
			t.Errorf("told %d times: %q", n, text)
		}
	}
	h.typeIn(told)
	if left := h.keeper.Problems(); len(left) > 0 {
		t.Errorf("what was told does not mend it: %v", left)
	}
	h.restart(false, func() {})
	h.checkGroups("the daemon after that")
	for _, p := range h.keeper.Problems() {
		t.Errorf("told again: %s: %v", p.Path, p.Err)
	}

	h.applyTagged("8")
	h.mustApply("quiet.hcl", edited(quiet, "once:1", "once:3"))
	for _, name := range []string{"shop", "quiet"} {
		if st := h.status(name); st.Generation != 3 || st.Error != "" {
			t.Errorf("the next apply of %s makes generation %d, error %q", name, st.Generation, st.Error)
		}
		all, err := h.keeper.History(context.Background(), name)
		if err != nil || len(all) == 0 || all[0].Number != 3 {
			t.Errorf("history of %s: %v, %v", name, all, err)
		}
	}
	if h.host.Running("quiet") > 0 {
		t.Errorf("an apply started the stopped group:\n%s", h.host)
	}
	if _, err := h.keeper.Definition(context.Background(), "shop", 2); err != nil {
		t.Errorf("generation 2 of shop: %v", err)
	}
	if err := h.keeper.Remove(context.Background(), "shop", nil); err != nil {
		t.Errorf("rm: %v", err)
	}
	h.end()
	if err := h.journal.Close(); err != nil {
		t.Fatal(err)
	}
	if v := h.host.Violations(); len(v) > 0 {
		t.Errorf("the promise was broken:\n%s", strings.Join(v, "\n"))
	}
}

// An apply fails while another one of the same text, with other variables, is accepted. That one
// counts.
func TestAnApplyWithOtherVariablesIsNotTakenBack(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("job.hcl", job)
		apply := func(tag string, progress func(string)) error {
			b := bundles("shop.hcl", tagged)
			b[0].Vars = map[string]string{"tag": tag}
			return h.keeper.Apply(t.Context(), b, progress)
		}
		h.host.FailNext("create web", errBoom)
		var second error
		begun := false
		first := apply("1", func(line string) {
			if !begun && strings.Contains(line, "create") {
				begun = true
				synctest.Wait() // the creation has failed
				second = apply("2", nil)
			}
		})
		if !begun || !errors.Is(first, errBoom) || second != nil {
			t.Errorf("the first apply: %v; the second: %v", first, second)
		}
		st, err := h.keeper.Status("shop")
		if err != nil || len(st) != 1 || !strings.HasSuffix(st[0].Containers[len(st[0].Containers)-1].Image, "web:2") {
			t.Errorf("status %+v, %v", st, err)
		}
	})
}
