package keeper_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/prune"
	"github.com/sallyport/sallyport/shim/runner"
)

// A shelf has the images of a host in memory. An image "web:1" has the digest "sha256:web:1" and
// takes 100 MiB. What a container has or a generation retains is not known to it, so that only what
// the keeper knows keeps an image.
type shelf struct {
	host *hosttest.Host

	mu       sync.Mutex
	images   map[string]time.Time // by name: the mark
	kept     map[string]string
	also     map[string][]string // further names
	marks    int
	looks    int
	collects int
	before   func() // called before each removal
	pull     func() // called before each image is made present
	failure  error
}

// A pullingRuntime is a runtime on which a pull takes as long as a test wants.
type pullingRuntime struct {
	runner.Runtime
	shelf *shelf
}

func (r pullingRuntime) Image(ctx context.Context, ref string) (host.Image, error) {
	if pull := get(r.shelf, &r.shelf.pull); pull != nil {
		pull()
	}
	return r.Runtime.Image(ctx, ref)
}

func newShelf(h *hosttest.Host, names ...string) *shelf {
	s := &shelf{host: h, images: map[string]time.Time{}, kept: map[string]string{}, also: map[string][]string{}}
	for _, name := range names {
		s.images[name] = time.Time{}
	}
	return s
}

func (s *shelf) Images(context.Context) (host.Images, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	found := host.Images{Path: "/images", Sizes: map[string]uint64{}}
	for _, name := range slices.Sorted(maps.Keys(s.images)) {
		found.All = append(found.All, host.ImageUsage{
			Names: append([]string{name}, s.also[name]...), Digest: "sha256:" + name, Own: 100 << 20, Parts: []string{name}, Unused: s.images[name], Kept: s.kept[name],
		})
		found.Sizes[name] = 100 << 20
	}
	return found, s.failure
}

func (s *shelf) ImageName(ref string) string { return ref }

func (s *shelf) MarkUnused(_ context.Context, digest string, since time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks++
	s.images[strings.TrimPrefix(digest, "sha256:")] = since
	return nil
}

func (s *shelf) RemoveImage(_ context.Context, digest string, names []string, unless func() bool) (bool, error) {
	name := strings.TrimPrefix(digest, "sha256:")
	if before := get(s, &s.before); before != nil {
		before()
	}
	if s.host.Held(name) || s.host.Held(digest) || unless() {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(names) > 0 {
		s.also[name] = slices.DeleteFunc(s.also[name], func(n string) bool { return slices.Contains(names, n) })
		return true, nil
	}
	delete(s.images, name)
	return true, nil
}

// LoadImages loads the images whose names the path has, separated by commas.
func (s *shelf) LoadImages(_ context.Context, req host.LoadRequest) (loaded host.LoadedImages, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range strings.SplitSeq(req.Path, ",") {
		s.images[name], s.kept[name] = time.Time{}, host.KeptByHand
		loaded.Images = append(loaded.Images, host.LoadedImage{Image: name, Digest: "sha256:new:" + name})
	}
	return loaded, nil
}

func (s *shelf) CollectImages(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collects++
	return nil
}

// with runs f while nothing else uses the shelf.
func (s *shelf) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// get returns a value of the shelf.
func get[T any](s *shelf, value *T) (v T) {
	s.with(func() { v = *value })
	return v
}

func (s *shelf) mark(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.images[name]
}

func (s *shelf) has(t *testing.T, when string, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := slices.Sorted(maps.Keys(s.images)); !slices.Equal(got, want) {
		t.Errorf("%s: images %q, want %q", when, got, want)
	}
}

// withShelf runs a test with a harness whose host has these images, and these limits.
func withShelf(t *testing.T, limits prune.Limits, names []string, do func(t *testing.T, h *harness, s *shelf)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		s := newShelf(h.host, names...)
		h.config = func(c *keeper.Config) { c.ImageStore, c.Runtime = s, pullingRuntime{c.Runtime, s} }
		h.begin()
		h.keeper.SetImageLimits(limits)
		do(t, h, s)
		h.end()
	})
}

const web = `group "shop" {
  egress = "none"
  app "web" { image = "web:%d" }
}`

// What a generation that can be gone back to names stays, and so does what a stopped group names,
// however long. The rest goes when it is unused for long enough, over a start of the daemon.
func TestImagesUnusedForLongAreRemoved(t *testing.T) {
	limits := prune.Limits{Unused: 7 * time.Hour}
	withShelf(t, limits, []string{"old:1", "web:1", "web:2", "web:3", "web:4", "web:5", "web:6"}, func(t *testing.T, h *harness, s *shelf) {
		for i := 1; i <= 6; i++ {
			h.mustApply("shop.hcl", fmt.Sprintf(web, i))
		}
		h.wait(4 * time.Hour)
		s.has(t, "after 4 hours", "old:1", "web:1", "web:2", "web:3", "web:4", "web:5", "web:6")
		h.end()
		h.begin()
		h.keeper.SetImageLimits(limits)
		if err := h.keeper.Stop(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		h.wait(2 * time.Hour)
		s.has(t, "after 6 hours", "old:1", "web:1", "web:2", "web:3", "web:4", "web:5", "web:6")
		h.wait(2 * time.Hour)
		s.has(t, "after 8 hours", "web:3", "web:4", "web:5", "web:6")
		h.wait(30 * time.Hour)
		s.has(t, "after 38 hours", "web:3", "web:4", "web:5", "web:6")
		h.remove("shop.hcl")
		h.wait(6 * time.Hour)
		s.has(t, "6 hours after the removal of its group", "web:3", "web:4", "web:5", "web:6")
		h.wait(2 * time.Hour)
		s.has(t, "8 hours after it")
	})
}

func TestImagesStayWithoutLimits(t *testing.T) {
	withShelf(t, prune.Limits{}, []string{"old:1"}, func(t *testing.T, h *harness, s *shelf) {
		h.wait(40 * time.Hour)
		s.has(t, "after 40 hours", "old:1")
		if n := get(s, &s.marks); n != 1 {
			t.Errorf("%d marks are written, want one", n)
		}
		found, err := h.keeper.ListImages(t.Context())
		if err != nil || found.CanFree != 100<<20 || time.Since(found.All[0].Unused) < 39*time.Hour {
			t.Errorf("%+v, error %v", found, err)
		}
	})
}

// Over the total the least recently used goes first, soon after the limit is set, and no more than
// needed. An image that was used again has the time of its last use.
func TestImagesOverTheTotalAreRemoved(t *testing.T) {
	withShelf(t, prune.Limits{}, []string{"a:1", "b:1", "web:1", "web:2"}, func(t *testing.T, h *harness, s *shelf) {
		h.wait(time.Hour)
		h.mustApply("shop.hcl", strings.ReplaceAll(fmt.Sprintf(web, 1), "web:1", "a:1"))
		h.wait(time.Hour)
		h.remove("shop.hcl")
		h.wait(time.Hour)
		h.keeper.SetImageLimits(prune.Limits{Total: 200 << 20})
		h.wait(time.Minute)
		s.with(func() {
			if _, stays := s.images["a:1"]; !stays || len(s.images) != 2 {
				t.Errorf("left are %v, want two, with the one that was used last", s.images)
			}
		})
	})
}

func TestImagesGiveWayToAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		s := newShelf(h.host, "a:1", "web:1")
		var mu sync.Mutex
		disk := host.Disk{Size: 100 << 30, Free: 50 << 30}
		h.config = func(c *keeper.Config) {
			c.ImageStore = s
			c.ImageDisk = func(path string) host.Disk {
				mu.Lock()
				defer mu.Unlock()
				if path != "/images" {
					t.Errorf("asked for the disk of %q", path)
				}
				return disk
			}
		}
		h.begin()
		h.keeper.SetImageLimits(prune.Limits{Total: 10 << 30})
		h.mustApply("shop.hcl", fmt.Sprintf(web, 1))
		h.wait(time.Hour)
		s.has(t, "with room", "a:1", "web:1")
		mu.Lock()
		disk.Free = 1 << 30
		mu.Unlock()
		h.wait(10 * time.Minute)
		s.has(t, "on a disk that is nearly full", "web:1")
		h.end()
	})
}

// Images that a group file may name stay while the file can't be used, and for as long as an apply
// is at work that has found them on the host.
func TestImagesStayWhileTheyMayBeNeeded(t *testing.T) {
	limits := prune.Limits{Unused: time.Hour}
	t.Run("a broken file", func(t *testing.T) {
		withShelf(t, limits, []string{"old:1"}, func(t *testing.T, h *harness, s *shelf) {
			h.put("broken.hcl", `group "x" { app "a" { image = "old:1"`)
			h.wait(5 * time.Hour)
			s.has(t, "beside a broken file", "old:1")
			if err := h.keeper.PruneImages(t.Context(), keeper.PruneRequest{}, func(host.ImageRemoval) {}); err == nil || !strings.Contains(err.Error(), "it may name any image") {
				t.Errorf("prune by hand: %v", err)
			}
			if err := os.Remove(filepath.Join(h.layout.GroupsDir, "broken.hcl")); err != nil {
				t.Fatal(err)
			}
			h.notice()
			h.wait(2 * time.Hour)
			s.has(t, "without it")
		})
	})
	t.Run("a file that is not read yet", func(t *testing.T) {
		withShelf(t, prune.Limits{}, []string{"web:1"}, func(t *testing.T, h *harness, s *shelf) {
			h.wait(2 * time.Hour)
			if err := os.WriteFile(filepath.Join(h.layout.GroupsDir, "shop.hcl"), []byte(fmt.Sprintf(web, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			h.keeper.SetImageLimits(limits)
			h.wait(time.Minute)
			s.has(t, "with a new file", "web:1")
		})
	})
	t.Run("an apply at work", func(t *testing.T) {
		withShelf(t, limits, []string{"web:1"}, func(t *testing.T, h *harness, s *shelf) {
			h.wait(59 * time.Minute)
			waiting, goOn := make(chan struct{}), make(chan struct{})
			s.with(func() { s.pull = func() { close(waiting); <-goOn } })
			applied := make(chan error, 1)
			go func() {
				_, err := h.apply("shop.hcl", fmt.Sprintf(web, 1))
				applied <- err
			}()
			<-waiting
			time.Sleep(5 * time.Hour)
			s.has(t, "during the apply", "web:1")
			s.with(func() { s.pull = nil })
			close(goOn)
			if err := <-applied; err != nil {
				t.Fatal(err)
			}
			h.wait(time.Hour)
			s.has(t, "after it", "web:1")
			if h.host.Held("web:1") || h.host.Held("") || h.host.Held("sha256:web:1") {
				t.Error("it is held for ever")
			}
		})
	})
	t.Run("a group that comes meanwhile", func(t *testing.T) {
		withShelf(t, prune.Limits{}, []string{"old:1", "web:1"}, func(t *testing.T, h *harness, s *shelf) {
			h.wait(2 * time.Hour)
			once := sync.OnceFunc(func() { h.mustApply("shop.hcl", fmt.Sprintf(web, 1)) })
			s.with(func() { s.before = once })
			h.keeper.SetImageLimits(limits)
			h.wait(time.Minute)
			s.with(func() { s.before = nil })
			h.wait(time.Minute)
			s.has(t, "with a group that was not there when the removal was planned", "web:1")
		})
	})
	t.Run("what can't be read", func(t *testing.T) {
		withShelf(t, limits, []string{"old:1"}, func(t *testing.T, h *harness, s *shelf) {
			h.wait(30 * time.Minute)
			s.with(func() { s.failure = errBoom })
			h.wait(2 * time.Hour)
			s.has(t, "without an answer", "old:1")
		})
	})
}

// A clock that is set changes nothing of how long an image is unused.
func TestAClockThatIsSetRemovesNoImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		s := newShelf(h.host, "old:1")
		clock := &wallClock{} // as of a host without a battery, right when the network is there
		h.config = func(c *keeper.Config) { c.ImageStore, c.Now = s, clock.now }
		h.begin()
		h.keeper.SetImageLimits(prune.Limits{Unused: 7 * time.Hour})
		h.wait(time.Hour)
		clock.ahead.Store(int64(20 * 365 * 24 * time.Hour))
		h.wait(5 * time.Hour)
		s.has(t, "after 6 hours", "old:1")
		if mark := s.mark("old:1"); clock.now().Sub(mark) > 7*time.Hour {
			t.Errorf("the mark is %s, by the clock from before", mark)
		}
		h.wait(2 * time.Hour)
		s.has(t, "after 8 hours")
		h.end()
	})
}

// The next daemon has only the marks. So they follow a clock that is set, before the next look at
// all images.
func TestAClockThatIsSetBeforeARestartRemovesNoImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		s := newShelf(h.host, "web:1")
		clock := &wallClock{}
		h.config = func(c *keeper.Config) { c.ImageStore, c.Now = s, clock.now }
		begin := func() {
			h.begin()
			h.keeper.SetImageLimits(prune.Limits{Unused: 7 * time.Hour})
		}
		begin()
		h.mustApply("shop.hcl", fmt.Sprintf(web, 1))
		h.remove("shop.hcl")
		h.wait(10 * time.Minute)
		clock.ahead.Store(int64(20 * 365 * 24 * time.Hour))
		h.wait(6 * time.Minute)
		h.end()
		begin()
		h.wait(6 * time.Hour)
		s.has(t, "6 hours after its use", "web:1")
		h.wait(2 * time.Hour)
		s.has(t, "8 hours after it")
		h.end()
	})
}

// A group that comes and goes between two looks uses its image as well.
func TestAShortUseIsAUse(t *testing.T) {
	limits := prune.Limits{Unused: 7 * time.Hour}
	withShelf(t, limits, []string{"old:1", "web:1"}, func(t *testing.T, h *harness, s *shelf) {
		h.wait(6 * time.Hour)
		looks := get(s, &s.looks)
		h.mustApply("shop.hcl", fmt.Sprintf(web, 1))
		h.remove("shop.hcl")
		if n := get(s, &s.looks); n != looks {
			t.Fatalf("it was not short: %d looks", n-looks)
		}
		h.wait(2 * time.Hour)
		s.has(t, "2 hours after the use", "web:1")
		h.wait(4 * time.Hour)
		s.has(t, "6 hours after the use", "web:1")
		h.wait(2 * time.Hour)
		s.has(t, "8 hours after the use")
	})
}

func TestPruneByHand(t *testing.T) {
	withShelf(t, prune.Limits{}, []string{"mine:1", "old:1", "web:1"}, func(t *testing.T, h *harness, s *shelf) {
		s.with(func() { s.kept["mine:1"] = host.KeptByHand })
		h.mustApply("shop.hcl", fmt.Sprintf(web, 1))
		prune := func(req keeper.PruneRequest) (removed []string) {
			t.Helper()
			err := h.keeper.PruneImages(t.Context(), req, func(r host.ImageRemoval) { removed = append(removed, r.Names[0]) })
			if err != nil {
				t.Error(err)
			}
			return removed
		}
		if got := prune(keeper.PruneRequest{DryRun: true}); !slices.Equal(got, []string{"old:1"}) {
			t.Errorf("would remove %q", got)
		}
		s.has(t, "after a dry run", "mine:1", "old:1", "web:1")
		if got := prune(keeper.PruneRequest{}); !slices.Equal(got, []string{"old:1"}) || get(s, &s.collects) != 1 {
			t.Errorf("removed %q, collected %d times", got, get(s, &s.collects))
		}
		if got := prune(keeper.PruneRequest{ByHand: true}); !slices.Equal(got, []string{"mine:1"}) {
			t.Errorf("removed of what others brought %q", got)
		}
		if got := prune(keeper.PruneRequest{}); len(got) > 0 || get(s, &s.collects) != 2 {
			t.Errorf("removed %q, collected %d times", got, get(s, &s.collects))
		}
		s.has(t, "in the end", "web:1")

		// Another group comes in between, and names one of them.
		other := strings.NewReplacer("shop", "other", "web:1", "later:1").Replace(fmt.Sprintf(web, 1))
		s.with(func() {
			for _, name := range []string{"api:1", "later:1", "old:1"} {
				s.images[name] = time.Time{}
			}
			s.before = sync.OnceFunc(func() { h.mustApply("other.hcl", other) })
		})
		if got := prune(keeper.PruneRequest{}); !slices.Equal(got, []string{"api:1", "old:1"}) {
			t.Errorf("removed %q", got)
		}
		s.has(t, "with another group", "later:1", "web:1")

		// Something is applied without an end.
		n := 2
		s.with(func() {
			s.images["old:1"] = time.Time{}
			s.before = func() {
				n++
				h.mustApply("shop.hcl", fmt.Sprintf(web, n))
			}
		})
		err := h.keeper.PruneImages(t.Context(), keeper.PruneRequest{}, func(host.ImageRemoval) {})
		if err == nil || !strings.Contains(err.Error(), "groups change all the time") {
			t.Errorf("with groups that change all the time: %v", err)
		}
	})
}

// Each removal is an event, and a line of the log.
func TestRemovalsAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		s := newShelf(h.host, "old:1")
		events, err := journal.Open(journal.Config{Layout: h.layout})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = events.Close() }()
		var log bytes.Buffer
		h.config = func(c *keeper.Config) {
			c.ImageStore, c.Journal, c.Log = s, events, slog.New(slog.NewTextHandler(&log, nil))
		}
		h.begin()
		h.keeper.SetImageLimits(prune.Limits{Unused: 2 * time.Hour})
		h.wait(3 * time.Hour)
		var texts []string
		err = events.Events(t.Context(), group.EventQuery{Kinds: []group.EventKind{group.EventImage}}, func(e group.Event) error {
			texts = append(texts, e.Group+e.Text)
			return nil
		})
		want := []string{"image old:1 is removed, which frees 100MiB: unused for 2h0m"}
		if diff := cmp.Diff(want, texts); diff != "" || err != nil {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
		h.end()
		if !strings.Contains(log.String(), `msg="image removed" image=old:1 digest=sha256:old:1 frees=100MiB why="unused for 2h0m"`) {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// At rest the images are looked at once an hour.
func TestImagesAreLookedAtSeldom(t *testing.T) {
	withShelf(t, prune.Limits{Unused: 100 * time.Hour}, []string{"web:1", "old:1"}, func(t *testing.T, h *harness, s *shelf) {
		h.mustApply("shop.hcl", fmt.Sprintf(web, 1))
		h.wait(time.Hour)
		looks, marks := get(s, &s.looks), get(s, &s.marks)
		h.wait(8 * time.Hour)
		if n := get(s, &s.looks) - looks; n != 8 {
			t.Errorf("looked %d times in 8 hours", n)
		}
		if later := get(s, &s.marks) - marks; later != 0 || marks > 2 {
			t.Errorf("marked %d times, and %d times later", marks, later)
		}
	})
}
