package shim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// History returns the generations of a group, the newest first. The error for an unknown group is
// ErrNoGroup.
func (k *Keeper) History(ctx context.Context, group string) ([]Generation, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := k.Status(group); err != nil {
		return nil, err
	}
	return k.config.Store.History(group)
}

// Definition returns what a generation of a group was made from. The error is ErrNoGroup or
// ErrNoGeneration if there is no such group or generation.
func (k *Keeper) Definition(ctx context.Context, group string, number int) (Definition, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return Definition{}, err
	}
	defer release()
	if _, err := k.Status(group); err != nil {
		return Definition{}, err
	}
	d, err := k.config.Store.Definition(group, number)
	return d, explainMissing(err, group, number)
}

// Rollback replaces the installed file with that of an earlier generation, as Apply would: as a new
// generation, with all checks of Apply, and with the images of the earlier one. to is its number. 0
// means the last generation that proved itself and differs from the one that runs. The replaced
// text stays in the history. Rollback refuses if other groups of the file would change too. If the
// earlier generation equals what is wanted, it reports that and does nothing.
func (k *Keeper) Rollback(ctx context.Context, group string, to int, progress func(line string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	e, err := k.earlier(ctx, group, to)
	if err != nil {
		return err
	}
	if e.wanted {
		progress(fmt.Sprintf("%s: generation %d is wanted already: there is nothing to go back to", group, e.number))
		return nil
	}
	progress(fmt.Sprintf("%s: back to generation %d", group, e.number))
	for _, text := range k.describeOpened(e.bundle) {
		progress(text)
	}
	err = k.apply(ctx, []Bundle{e.bundle}, Origin{By: ByRollback, Pins: e.pins}, progress)
	if errors.Is(err, ErrImageGone) { // the installed file differs, and does not bring the image back
		return &Problem{
			Err:  err,
			Hint: fmt.Sprintf("apply what \"sallyport history %s --file %d\" prints: its image names then mean what they mean now", group, e.number),
		}
	}
	return err
}

// An earlier is a generation to go back to.
type earlier struct {
	number int
	bundle Bundle // replaces the installed file
	pins   map[string]ImageDigests
	wanted bool // it is wanted already: nothing would change
}

// earlier returns the file that replaces the installed one.
func (k *Keeper) earlier(ctx context.Context, group string, to int) (e earlier, err error) {
	release, err := k.lock(ctx)
	if err != nil {
		return e, err
	}
	defer release()
	broken := k.recordEdits(k.wantedNow(group).File)
	w := k.wantedNow(group)
	switch {
	case w.Group.Name == "":
		return e, ErrNoGroup
	case broken != nil:
		return e, broken
	}
	var d Definition
	if e.number = to; to == 0 {
		e.number, d, err = k.config.Store.Before(group, w.Group.Digest)
	} else {
		d, err = k.config.Store.Definition(group, to)
	}
	if err != nil {
		return e, explainMissing(err, group, to)
	}
	d.Bundle.Name = w.File
	e.bundle = d.Bundle
	others, err := k.alsoChanged(e.bundle, group)
	if err != nil {
		return e, err
	}
	if len(others) > 0 {
		return e, &Problem{
			Err:  fmt.Errorf("file %s has more groups, which would change too: %s", w.File, strings.Join(others, ", ")),
			Hint: fmt.Sprintf("take what group %s was from \"sallyport history %s --file %d\", and apply that", group, group, e.number),
		}
	}
	if e.pins, err = k.digestsFor(e.bundle, group, e.number); err != nil {
		return e, err
	}
	now, err := k.config.Store.Bundle(w.File)
	e.wanted = err == nil && d.Group.Digest == w.Group.Digest && !e.pins[group].differ(w.Pins) && string(now.HCL) == string(e.bundle.HCL)
	return e, nil
}

// recordEdits loads the store before an installed file is replaced, so that an edit that was not
// loaded yet goes into the history. The error is for a file that cannot be used: its text cannot be
// kept there.
func (k *Keeper) recordEdits(file string) error {
	_ = k.load(nil, nil) // logged, and kept for Problems
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.wanted {
		if w.File == file && w.Broken != nil {
			return &Problem{
				Err:  fmt.Errorf("file %s can't be used as it is, and would be lost", file),
				Hint: "keep a copy of it elsewhere, or mend it; then apply a file that is right",
			}
		}
	}
	return nil
}

// describeOpened returns what may pass the border with this file and could not before, as lines
// like "shop: opens ...".
func (k *Keeper) describeOpened(b Bundle) (lines []string) {
	groups, _ := k.config.Store.Read(b) // an unreadable file is reported by the installation
	for i := range groups {
		opens, _ := Difference(k.wantedGroup(groups[i].Name), &groups[i])
		for _, text := range opens {
			lines = append(lines, groups[i].Name+": opens "+text)
		}
	}
	return lines
}

// alsoChanged returns the groups, other than the given one, that the file would change, add or
// remove if it replaced the installed file of its name.
func (k *Keeper) alsoChanged(b Bundle, group string) ([]string, error) {
	groups, err := k.config.Store.Read(b)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var others []string
	for _, g := range groups {
		if w, ok := k.wanted[g.Name]; g.Name != group && (!ok || w.Group.Digest != g.Digest) {
			others = append(others, g.Name)
		}
	}
	for name, w := range k.wanted {
		defines := slices.ContainsFunc(groups, func(g spec.Group) bool { return g.Name == name })
		if name != group && w.File == b.Name && !defines {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return others, nil
}

// explainMissing adds to the error for a missing generation what to do. number 0 means the
// generation before the wanted one.
func explainMissing(err error, group string, number int) error {
	if !errors.Is(err, ErrNoGeneration) {
		return err
	}
	if number == 0 {
		return &Problem{
			Err:  fmt.Errorf("group %s has no generation to go back to: none but what runs has proved itself, or is kept: %w", group, err),
			Hint: fmt.Sprintf("\"sallyport history %s\" shows them; apply a file instead", group),
		}
	}
	return &Problem{
		Err:  fmt.Errorf("group %s: generation %d is not kept: %w", group, number, err),
		Hint: fmt.Sprintf("\"sallyport history %s\" shows those that are", group),
	}
}
