package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/prune"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// An ImageStore has the images of the host, and removes them. Implemented by ctrd.Client.
type ImageStore interface {
	// Images returns all images. Groups has those with a container of it, or a generation that
	// retains it. Unused has the last mark.
	Images(ctx context.Context) (host.Images, error)
	// ImageName returns the name that an image of this reference has. It is empty for text that is
	// no reference.
	ImageName(ref string) string
	// MarkUnused notes since when no group uses an image. A zero time deletes the note.
	MarkUnused(ctx context.Context, digest string, since time.Time) error
	// RemoveImage removes an image, unless it is held (see [runner.ImageKeeper]) or unless reports
	// true. A hold that begins after unless was called waits for the removal. With names, it
	// removes those alone, and the image goes with its last one.
	RemoveImage(ctx context.Context, digest string, names []string, unless func() bool) (removed bool, err error)
	// CollectImages frees what was removed. It returns when that is done, or has taken a minute.
	CollectImages(ctx context.Context) error
	// LoadImages makes the images of an archive present, under the names that they have there.
	// After an error it has named none.
	LoadImages(ctx context.Context, req host.LoadRequest) (host.LoadedImages, error)
}

const (
	// pruneDelay is how long after a change the images are looked at, so that one look is enough
	// for several changes.
	pruneDelay = 30 * time.Second
	// diskLooks is how often the disk of the images is looked at between two looks at all images.
	diskLooks = 12
	// slack is by how much a mark on an image may differ from what the keeper knows. Each mark is a
	// write to the disk.
	slack = time.Minute
)

// pruning holds what a Keeper remembers of the images of its host.
type pruning struct {
	soon chan struct{}
	turn chan struct{} // its holder looks at the images and removes some

	mu     sync.Mutex
	limits prune.Limits
	path   string // the folder of the images, "" if it is not known

	// begun has the reading of a clock that can't be set, and so do the times after it since when
	// each image is unused, by digest. Only the holder of turn has them. They are negative for what
	// an earlier daemon has marked. The marks outlive the daemon, but are by the clock of the host.
	begun     time.Time
	since     map[string]time.Duration
	clock     time.Duration // by how much the host's clock was ahead of the other one. Only watchImages has it
	collected bool          // what an earlier daemon removed is freed
}

// SetImageLimits puts limits of images in force.
func (k *Keeper) SetImageLimits(l prune.Limits) {
	k.pruning.mu.Lock()
	k.pruning.limits = l
	k.pruning.mu.Unlock()
	k.pruneSoon()
}

// pruneSoon has the images looked at after pruneDelay.
func (k *Keeper) pruneSoon() {
	select {
	case k.pruning.soon <- struct{}{}:
	default:
	}
}

// watchImages looks at the images until ctx ends: after the start, after each change, and once in
// an interval. In between it looks at nothing but their disk, and at that only if there is a limit
// for it.
func (k *Keeper) watchImages(ctx context.Context) error {
	select {
	case <-k.observed:
	case <-ctx.Done():
		return nil
	}
	next, soon := time.NewTimer(pruneDelay), true
	defer next.Stop()
	disk := time.NewTicker(k.config.PruneInterval / diskLooks)
	defer disk.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.pruning.soon:
			if !soon {
				next.Reset(pruneDelay)
				soon = true
			}
		case <-disk.C:
			// Marks by the clock from before would be wrong for the next daemon.
			if wasSet := (k.clockAhead() - k.pruning.clock).Abs() > slack; wasSet || k.diskNearlyFull() {
				next.Reset(0)
			}
		case <-next.C:
			k.pruning.clock = k.clockAhead()
			if err := k.pruneByLimits(ctx); err != nil && ctx.Err() == nil {
				k.config.Log.Warn("images are not looked at for now: " + hint.OneLine(err.Error()))
			}
			next.Reset(k.config.PruneInterval)
			soon = false
		}
	}
}

// clockAhead returns by how much the host's clock is ahead of the one that can't be set.
func (k *Keeper) clockAhead() time.Duration {
	up := time.Since(k.pruning.begun)
	return k.config.Now().Round(0).Sub(k.pruning.begun.Round(0)) - up
}

// diskNearlyFull reports whether images are to give way to a disk that is nearly full.
func (k *Keeper) diskNearlyFull() bool {
	p := &k.pruning
	p.mu.Lock()
	path, limits := p.path, p.limits
	p.mu.Unlock()
	return limits.Total > 0 && path != "" && prune.Lack(k.imageDisk(path)) > 0
}

// imageDisk returns the disk of the images. The zero value is not nearly full.
func (k *Keeper) imageDisk(path string) host.Disk {
	if k.config.ImageDisk == nil || path == "" {
		return host.Disk{}
	}
	return k.config.ImageDisk(path)
}

// images returns the images on the host with all groups that use them: those that name them in what
// is wanted or in a generation that can be gone back to, too.
func (k *Keeper) images(ctx context.Context) (host.Images, error) {
	found, err := k.config.ImageStore.Images(ctx)
	if err != nil {
		return found, err
	}
	named, err := k.imageUsers(ctx)
	if err != nil {
		return found, err
	}
	for i := range found.All {
		image := &found.All[i]
		for _, key := range append([]string{image.Digest}, image.Names...) {
			image.Groups = append(image.Groups, named[key]...)
		}
		slices.Sort(image.Groups)
		image.Groups = slices.Compact(image.Groups)
		if len(image.Groups) > 0 {
			image.Kept = ""
		}
	}
	found.CanFree = prune.Frees(prune.Unused(found, false))
	return found, nil
}

// ListImages returns the images on the host, who uses them, and since when those are unused that no
// group uses.
func (k *Keeper) ListImages(ctx context.Context) (host.Images, error) {
	found, err := k.images(ctx)
	for i := range found.All {
		if len(found.All[i].Groups) > 0 {
			found.All[i].Unused = time.Time{}
		}
	}
	return found, err
}

// leaveImages notes what a definition names that is not wanted any more. Between two looks at the
// images it may have come and gone. The caller holds mu.
func (k *Keeper) leaveImages(w store.Wanted) {
	if k.config.ImageStore == nil {
		return
	}
	if k.left == nil {
		k.left = map[string]bool{}
	}
	for i := range w.Group.Containers {
		k.left[k.config.ImageStore.ImageName(w.Group.Containers[i].Image)] = true
	}
	for _, digest := range w.Pins {
		k.left[digest] = true
	}
}

// takeLeft returns what leaveImages has noted since the last call.
func (k *Keeper) takeLeft() map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	left := k.left
	k.left = nil
	return left
}

// imageUsers returns the groups that name an image, by its name and by its digest.
func (k *Keeper) imageUsers(ctx context.Context) (map[string][]string, error) {
	release, err := k.lockKnown(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	users := map[string][]string{}
	use := func(name string, g *spec.Group, digests group.ImageDigests) {
		add := func(key string) {
			if key != "" && !slices.Contains(users[key], name) {
				users[key] = append(users[key], name)
			}
		}
		for i := range g.Containers {
			add(k.config.ImageStore.ImageName(g.Containers[i].Image))
		}
		for _, digest := range digests {
			add(digest)
		}
	}
	for name, g := range k.runDefinitions() {
		use(name, &g, nil)
	}
	for name, w := range k.allWanted() {
		use(name, &w.Group, w.Pins)
		all, err := k.config.Store.History(name)
		if err != nil {
			return nil, err
		}
		for _, g := range all {
			if !g.Kept || g.Number == w.Generation {
				continue
			}
			d, err := k.config.Store.Definition(name, g.Number)
			if err != nil && len(g.ImageDigests) == 0 {
				return nil, err // its images are not known
			}
			use(name, &d.Group, g.ImageDigests)
		}
	}
	return users, nil
}

// pruneByLimits looks at the images once. It notes which are unused since when, and removes those
// that the limits remove.
func (k *Keeper) pruneByLimits(ctx context.Context) error {
	release, err := k.pruneTurn(ctx)
	if err != nil {
		return err
	}
	defer release()
	k.pruning.mu.Lock()
	limits := k.pruning.limits
	k.pruning.mu.Unlock()
	plan := func() ([]host.ImageRemoval, uint64, error) {
		loads := k.loadCount()
		found, err := k.images(ctx)
		if err != nil {
			return nil, 0, err
		}
		k.pruning.mu.Lock()
		k.pruning.path = found.Path
		k.pruning.mu.Unlock()
		k.noteUnused(ctx, &found)
		if found.Other > 0 && !k.pruning.collected {
			_ = k.config.ImageStore.CollectImages(ctx) // containerd does it by itself, too, but later
		}
		k.pruning.collected = true
		return prune.Plan(found, limits, k.imageDisk(found.Path), k.config.Now()), loads, nil
	}
	removals, _, err := plan()
	if err != nil || len(removals) == 0 {
		return err
	}
	if err := k.loadAll(ctx); err != nil {
		return err
	}
	select {
	case <-k.pruning.soon: // by this load, as a rule, and otherwise what follows knows the change
	default:
	}
	removals, loads, err := plan()
	if err != nil {
		return err
	}
	again, err := k.removeImages(ctx, removals, nil, loads, func(host.ImageRemoval) {})
	if again {
		k.pruneSoon()
	}
	return err
}

// loadAll reads the group files again, since one that was just put into the folder may name an
// image. It fails while one can't be used: which images it names is not known.
func (k *Keeper) loadAll(ctx context.Context) error {
	err := k.Load(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	k.mu.Lock()
	complete := k.loaded.Complete()
	k.mu.Unlock()
	switch {
	case err != nil:
		return &hint.Error{
			Err:  fmt.Errorf("a group file can't be used, and it may name any image: %w", err),
			Hint: "mend the file or take it out of the folder; \"sallyport ps --all\" lists them",
		}
	case !complete:
		return &hint.Error{Err: errors.New("group files were changed while they were read"), Hint: "try again"}
	}
	return nil
}

// pruneTurn waits until nothing else looks at the images.
func (k *Keeper) pruneTurn(ctx context.Context) (release func(), err error) {
	select {
	case k.pruning.turn <- struct{}{}:
		return func() { <-k.pruning.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// noteUnused sets since when each image is unused, and marks it where that is news. The caller has
// the turn.
func (k *Keeper) noteUnused(ctx context.Context, found *host.Images) {
	now, up := k.config.Now(), time.Since(k.pruning.begun)
	known, left := map[string]time.Duration{}, k.takeLeft()
	var failed error // the first, since all fail on a full disk
	mark := func(i *host.ImageUsage, since time.Time) {
		failed = cmp.Or(failed, k.config.ImageStore.MarkUnused(ctx, i.Digest, since))
	}
	for n := range found.All {
		i := &found.All[n]
		if len(i.Groups) > 0 {
			if !i.Unused.IsZero() {
				mark(i, time.Time{})
			}
			i.Unused = time.Time{}
			continue
		}
		since, ok := k.pruning.since[i.Digest]
		switch {
		case left[i.Digest], slices.ContainsFunc(i.Names, func(name string) bool { return left[name] }), !ok && i.Unused.IsZero():
			since = up
		case !ok:
			since = up - max(0, now.Sub(i.Unused)) // less than 0: the clock was ahead
		}
		known[i.Digest] = since
		byClock := now.Add(since - up)
		if i.Unused.IsZero() || i.Unused.Sub(byClock).Abs() > slack {
			mark(i, byClock)
		}
		i.Unused = byClock
	}
	k.pruning.since = known
	if failed != nil && ctx.Err() == nil {
		k.config.Log.Warn(hint.OneLine(failed.Error()))
	}
}

// removeImages removes the images and frees their room. It ends early, and reports that, when
// something else is wanted than at the load that the removals are of. each is called after each
// removal. only has, by digest, the names that are to go instead of all. The caller has the turn.
func (k *Keeper) removeImages(ctx context.Context, removals []host.ImageRemoval, only map[string][]string, loads uint64, each func(host.ImageRemoval)) (again bool, err error) {
	changed := func() bool { return k.loadCount() != loads }
	n := 0
	for _, r := range removals {
		removed, failed := k.config.ImageStore.RemoveImage(ctx, r.Digest, only[r.Digest], changed)
		if removed {
			n++
			name := r.Digest
			if len(r.Names) > 0 {
				name = r.Names[0]
			}
			k.config.Log.Info("image removed", "image", name, "digest", r.Digest, "frees", spec.FormatSize(int64(r.Frees)), "why", r.Why)
			k.config.Record(group.Event{Kind: group.EventImage, Text: fmt.Sprintf("image %s is removed, which frees %s: %s", name, spec.FormatSize(int64(r.Frees)), r.Why)})
			each(r)
		}
		if err = failed; err != nil {
			break
		}
		if again = changed(); again {
			break
		}
	}
	if n == 0 {
		return again, err
	}
	if failed := k.config.ImageStore.CollectImages(ctx); err == nil {
		err = failed
	}
	return again, err
}

// A PruneRequest is a request to remove all images that nothing uses.
type PruneRequest struct {
	DryRun bool
	ByHand bool // those too that others have brought and no group has used yet
}

// PruneImages removes the images that nothing uses. each is called after each removal, or with each
// that would be. It refuses while a group file can't be used, which may name any of them.
func (k *Keeper) PruneImages(ctx context.Context, req PruneRequest, each func(host.ImageRemoval)) error {
	release, err := k.pruneTurn(ctx)
	if err != nil {
		return err
	}
	defer release()
	for range pruneTries {
		again, err := k.pruneOnce(ctx, req, each)
		if err != nil || !again {
			return err
		}
	}
	return groupsChange()
}

// pruneTries is how often an operator's prune begins again because something else is wanted.
const pruneTries = 10

// pruneOnce is PruneImages until something else is wanted, which it reports. The caller has the
// turn.
func (k *Keeper) pruneOnce(ctx context.Context, req PruneRequest, each func(host.ImageRemoval)) (again bool, err error) {
	if err := k.loadAll(ctx); err != nil {
		return false, err
	}
	loads := k.loadCount()
	found, err := k.images(ctx)
	if err != nil {
		return false, err
	}
	removals := prune.Unused(found, req.ByHand)
	if req.DryRun {
		for _, r := range removals {
			each(r)
		}
		return false, nil
	}
	return k.removeImages(ctx, removals, nil, loads, each)
}

// loadCount returns how often something was loaded. While it stays, the same is wanted.
func (k *Keeper) loadCount() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.loads
}
