package shim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// imagesTime bounds the wait for the images of a generation that is to be put back. They are on the host, as a rule.
const imageTimeout = time.Minute

// revert puts the file of the generation before in the place of the one that did not prove itself, and has all of its groups made
// as they were. Whoever waits for the one that failed is told why when that is done. nil also where something else is wanted by
// now. What it can't have for sure, it does not begin with.
func (k *Keeper) revert(ctx context.Context, r *Runner, w Wanted, why error) error {
	b, number, pins, err := k.revertTarget(ctx, w)
	if err != nil {
		return err
	}
	c, err := k.read([]Bundle{b})
	if err != nil {
		return err
	}
	if err := k.checkPorts(c); err != nil {
		return err
	}
	if err := k.checkVolumes(ctx, c); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, imageTimeout)
	defer cancel()
	images, err := k.resolveImages(bounded, c, pins)
	if errors.Is(err, ErrImageGone) {
		return &Problem{Err: err, Hint: "mend the file and apply it again"}
	}
	if err != nil {
		return err
	}
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	broken := k.recordEdits(w.File)
	if now := k.wantedNow(w.Group.Name); now.Generation != w.Generation {
		return nil
	}
	if broken != nil {
		return broken
	}
	if err := k.check(&c); err != nil {
		return err
	}
	text := oneLine(why.Error())
	if _, err := k.config.Store.Install(c.files, Origin{By: ByRevert, Why: text, Pins: k.recordedDigests(images, nil)}); err != nil {
		return err
	}
	setback := Setback{Generation: w.Generation, Why: text}
	r.FailWaiters(setback.problem(w.Group.Name))
	k.config.Log.Warn(fmt.Sprintf("generation %d is taken back to %d: %s", w.Generation, number, text), "group", w.Group.Name)
	_ = k.load(images, nil) // logged, and kept for Problems
	return nil
}

// toPutBack returns the file of the generation to go back to, and what its images were.
func (k *Keeper) revertTarget(ctx context.Context, w Wanted) (Bundle, int, map[string]ImageDigests, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return Bundle{}, 0, nil, err
	}
	defer release()
	store, group := k.config.Store, w.Group.Name
	number, d, err := store.Before(group, w.Group.Digest)
	if errors.Is(err, ErrNoGeneration) {
		return Bundle{}, 0, nil, &Problem{Err: errors.New("there is no generation before it that proved itself"), Hint: "mend the file and apply it again"}
	}
	if err != nil {
		return Bundle{}, 0, nil, err
	}
	d.Bundle.Name = w.File
	others, err := k.alsoChanged(d.Bundle, group)
	if err != nil {
		return Bundle{}, 0, nil, err
	}
	change, err := store.change(group)
	if err != nil {
		return Bundle{}, 0, nil, err
	}
	var apart []string
	for _, other := range others {
		if k.wantedGroup(other) == nil {
			continue // taken away together with the change
		}
		if c, err := store.change(other); err != nil || c == "" || c != change {
			apart = append(apart, other)
		}
	}
	if len(apart) > 0 {
		return Bundle{}, 0, nil, &Problem{
			Err:  fmt.Errorf("its file has groups that were changed at another time and would go back too: %s", strings.Join(apart, ", ")),
			Hint: "mend the file and apply it again",
		}
	}
	pins, err := k.digestsFor(d.Bundle, group, number)
	return d.Bundle, number, pins, err
}

// pinsBack are what the images of a file are to be that is put back for the sake of one generation of one group: of that group as
// they were in it, of another one as they last were with the definition that it has in the file.
func (k *Keeper) digestsFor(b Bundle, group string, number int) (map[string]ImageDigests, error) {
	store := k.config.Store
	groups, err := store.Read(b)
	if err != nil {
		return nil, err
	}
	pins := map[string]ImageDigests{}
	for _, g := range groups {
		var err error
		if g.Name == group {
			pins[g.Name], err = store.digestsAt(group, number)
		} else {
			pins[g.Name], err = store.digestsWith(g.Name, g.Digest)
		}
		if err != nil {
			return nil, err
		}
	}
	return pins, nil
}

func (k *Keeper) wantedNow(group string) Wanted {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wanted[group]
}
