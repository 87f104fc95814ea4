package shim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// History returns the generations of a group, the newest first. An unknown group is ErrNoGroup.
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

// Definition returns what a generation of a group was made from. ErrNoGroup and ErrNoGeneration tell what there is not.
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

// Rollback puts the file of an earlier generation in the place of the installed one, as Apply would: as a new generation, with all
// that Apply checks, and with the images that the earlier one had. to is its number; 0 is the last that proved itself and is another
// than what runs. The text that is replaced stays in the history. It refuses where other groups of the file would change too. With
// one that is just what is wanted it does nothing, and says so.
func (k *Keeper) Rollback(ctx context.Context, group string, to int, progress func(line string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	e, err := k.earlier(ctx, group, to)
	if err != nil {
		return err
	}
	if e.wanted {
		progress(fmt.Sprintf("%s: generation %d is what is wanted already: there is nothing to go back to", group, e.number))
		return nil
	}
	progress(fmt.Sprintf("%s: back to generation %d", group, e.number))
	for _, text := range k.describeOpened(e.bundle) {
		progress(text)
	}
	err = k.apply(ctx, []Bundle{e.bundle}, Origin{By: ByRollback, Pins: e.pins}, progress)
	if errors.Is(err, ErrImageGone) { // the installed file is another one, and doesn't bring it back
		return &Problem{
			Err:  err,
			Hint: fmt.Sprintf("apply what \"sallyport history %s --file %d\" prints: what its image names mean now is taken then", group, e.number),
		}
	}
	return err
}

// An earlier is a generation to go back to.
type earlier struct {
	number int
	bundle Bundle // to be put in the place of the installed file
	pins   map[string]ImageDigests
	wanted bool // nothing would change
}

// earlier returns what to put in the place of the installed file.
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

// keepEdit comes before another text is put in the place of an installed file: an edit that nobody has noticed yet goes into the
// history. The error is of a text that can't be kept there, since it can't be used as it is.
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

// opens says what may leave or enter with a file that could not before, each "shop: opens ...".
func (k *Keeper) describeOpened(b Bundle) (lines []string) {
	groups, _ := k.config.Store.Read(b) // that it can't be read is told by who installs it
	for i := range groups {
		opens, _ := difference(k.wantedGroup(groups[i].Name), &groups[i])
		for _, text := range opens {
			lines = append(lines, groups[i].Name+": opens "+text)
		}
	}
	return lines
}

// alsoChanged names the groups other than the one that a file in the place of the installed one of its name would change, make or
// take away.
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

// notKept says of a generation that is not there what to do. number 0 is the one before, whichever it is.
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
