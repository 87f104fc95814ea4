package keeper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// imageTimeout limits the preparation of a generation that is put back. Its images are usually on
// the host.
const imageTimeout = time.Minute

// Revert implements [runner.Owner]. It replaces the file of a generation that did not become ready
// with that of the generation before, so that all groups of the file go back. The waiters for the
// failed generation get the reason when that is done. Revert starts nothing that it cannot finish:
// it first makes sure of ports, volumes and images.
func (k owner) Revert(ctx context.Context, r *runner.Runner, w store.Wanted, why error) error {
	b, number, digests, err := k.revertTarget(ctx, w)
	if err != nil {
		return err
	}
	c, err := k.read(ctx, []group.Bundle{b})
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, imageTimeout)
	defer cancel()
	defer c.releaseImages()
	err = c.prepare(limited, digests)
	if errors.Is(err, host.ErrImageGone) {
		return &hint.Error{Err: err, Hint: "mend the file and apply it again"}
	}
	if err != nil {
		return err
	}
	read, release, err := k.lockRead(ctx, w.File)
	if err != nil {
		return err
	}
	defer release()
	broken := k.recordEdits(read, w.File)
	if now := k.wantedNow(w.Group.Name); now.Generation != w.Generation {
		return nil
	}
	if broken != nil {
		return broken
	}
	if err := c.check(); err != nil {
		return err
	}
	text := hint.OneLine(why.Error())
	if _, err := k.config.Store.Install(c.files, group.Origin{By: group.ByRevert, Why: text, ImageDigests: k.recordedDigests(c.images, nil)}); err != nil {
		return err
	}
	setback := group.Reversion{Generation: w.Generation, Why: text}
	r.FailWaiters(setback.Problem(w.Group.Name))
	k.config.Log.Warn(fmt.Sprintf("generation %d is taken back to %d: %s", w.Generation, number, text), "group", w.Group.Name)
	_ = k.load(loading{texts: c.texts, images: c.images}) // logged, and kept for Problems
	return nil
}

// revertTarget returns the file of the generation to go back to, its number, and the digests of its
// images.
func (k owner) revertTarget(ctx context.Context, w store.Wanted) (group.Bundle, int, map[string]group.ImageDigests, error) {
	name := w.Group.Name
	number, d, err := k.rollbackTarget(ctx, name, w.Group.Digest)
	if errors.Is(err, group.ErrNoGeneration) {
		return group.Bundle{}, 0, nil, &hint.Error{Err: errors.New("there is no generation before it that proved itself"), Hint: "mend the file and apply it again"}
	}
	if err != nil {
		return group.Bundle{}, 0, nil, err
	}
	d.Bundle.Name = w.File
	t, err := k.config.Store.Read(ctx, d.Bundle)
	if err != nil {
		return group.Bundle{}, 0, nil, err
	}
	release, err := k.lock(ctx)
	if err != nil {
		return group.Bundle{}, 0, nil, err
	}
	defer release()
	others := k.alsoChanged(w.File, t.Groups, name)
	change, err := k.config.Store.ChangeSum(name)
	if err != nil {
		return group.Bundle{}, 0, nil, err
	}
	var apart []string
	for _, other := range others {
		if k.wantedGroup(other) == nil {
			continue // removed by the same change
		}
		if c, err := k.config.Store.ChangeSum(other); err != nil || c == "" || c != change {
			apart = append(apart, other)
		}
	}
	if len(apart) > 0 {
		return group.Bundle{}, 0, nil, &hint.Error{
			Err:  fmt.Errorf("its file has groups that were changed at another time and would go back too: %s", strings.Join(apart, ", ")),
			Hint: "mend the file and apply it again",
		}
	}
	if job := k.completedOf(others); job != "" {
		return group.Bundle{}, 0, nil, &hint.Error{
			Err:  fmt.Errorf("its file has a job that has completed and would go back too: %s", job),
			Hint: "mend the file and apply it again",
		}
	}
	digests, err := k.digestsFor(t.Groups, name, number)
	return d.Bundle, number, digests, err
}

// rollbackTarget returns the generation to go back to.
func (k *Keeper) rollbackTarget(ctx context.Context, name, digest string) (int, group.Definition, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return 0, group.Definition{}, err
	}
	defer release()
	return k.config.Store.RollbackTarget(name, digest)
}

// completedOf returns the first of the groups that has completed. It is empty if none has.
func (k *Keeper) completedOf(groups []string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range groups {
		if r := k.runners[name]; r != nil && r.Status().State == group.Completed {
			return name
		}
	}
	return ""
}

// digestsFor returns the image digests for the groups of a file that is put back because of one
// generation of one group. That group gets the digests of that generation. Other groups get those
// that they last had with the definition in the file.
func (k *Keeper) digestsFor(groups []spec.Group, name string, number int) (map[string]group.ImageDigests, error) {
	store := k.config.Store
	digests := map[string]group.ImageDigests{}
	for _, g := range groups {
		var err error
		if g.Name == name {
			digests[g.Name], err = store.DigestsAt(name, number)
		} else {
			digests[g.Name], err = store.DigestsWith(g.Name, g.Digest)
		}
		if err != nil {
			return nil, err
		}
	}
	return digests, nil
}
