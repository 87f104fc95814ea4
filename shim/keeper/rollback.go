package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/reach"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// History returns the generations of a group, the newest first. The error for an unknown group is
// ErrNoGroup.
func (k *Keeper) History(ctx context.Context, name string) ([]group.Generation, error) {
	release, err := k.lockKnown(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if k.knownRun(name) != nil {
		return nil, errRun(name, "looked up in a history, since it has none")
	}
	if _, err := k.Status(name); err != nil {
		return nil, err
	}
	all, err := k.config.Store.History(name)
	w, parts := k.wantedNow(name), k.sensitiveNow(name)
	for i := range all { // what is recorded may have become sensitive since
		all[i].Differs = diff.Hide(all[i].Differs, parts, &w.Group)
		all[i].Values = group.HideValues(all[i].Values, parts)
	}
	return all, err
}

// sensitiveNow returns what is sensitive in the file that a group is in now, by
// [spec.SensitiveParts].
func (k *Keeper) sensitiveNow(name string) map[string]bool {
	installed, _ := k.config.Store.Installed(k.wantedNow(name).File)
	return spec.SensitiveParts(installed.HCL)
}

// Definition returns what a generation of a group was made from, without the values of its
// sensitive variables. The error is ErrNoGroup or ErrNoGeneration if there is no such group or
// generation.
func (k *Keeper) Definition(ctx context.Context, name string, number int) (group.Definition, error) {
	release, err := k.lockKnown(ctx)
	if err != nil {
		return group.Definition{}, err
	}
	defer release()
	if k.knownRun(name) != nil {
		return group.Definition{}, errRun(name, "looked up in a history, since it has none")
	}
	if _, err := k.Status(name); err != nil {
		return group.Definition{}, err
	}
	d, err := k.definition(name, number)
	sensitive := spec.SensitiveParts(d.Bundle.HCL)
	maps.Copy(sensitive, k.sensitiveNow(name))
	for v := range d.Bundle.Vars { // d is a value of its own
		if sensitive["var."+v] {
			d.Bundle.Vars[v] = diff.Hidden
		}
	}
	return d, err
}

// Rollback replaces the installed file with that of an earlier generation, as Apply would: as a new
// generation, with all checks of Apply, and with the images of the earlier one. to is its number. 0
// means the last generation that proved itself and differs from the one that runs. The replaced
// text stays in the history. Rollback refuses if other groups of the file would change too. If the
// earlier generation equals what is wanted, it reports that and does nothing.
func (k *Keeper) Rollback(ctx context.Context, name string, to int, progress func(line string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return err
	}
	if k.knownRun(name) != nil {
		return errRun(name, "rolled back")
	}
	e, err := k.earlier(ctx, name, to)
	if err != nil {
		return err
	}
	if e.wanted {
		progress(fmt.Sprintf("%s: generation %d is wanted already: there is nothing to go back to", name, e.number))
		return nil
	}
	progress(fmt.Sprintf("%s: back to generation %d", name, e.number))
	for _, text := range slices.Concat(k.describeDiffers(e.groups), k.describeOpened(e.groups)) {
		progress(text)
	}
	err = k.apply(ctx, []group.Bundle{e.bundle}, group.Origin{By: group.ByRollback, ImageDigests: e.digests}, progress)
	if errors.Is(err, host.ErrImageGone) { // the installed file differs, and does not bring the image back
		return &hint.Error{
			Err:  err,
			Hint: fmt.Sprintf("apply what \"sallyport history %s --file %d\" prints: its image names then mean what they mean now", name, e.number),
		}
	}
	return err
}

// An earlier holds a generation to go back to.
type earlier struct {
	number  int
	bundle  group.Bundle // replaces the installed file
	groups  []spec.Group // that it defines
	digests map[string]group.ImageDigests
	wanted  bool // it is wanted already: nothing would change
}

// earlier returns the file that replaces the installed one.
func (k *Keeper) earlier(ctx context.Context, name string, to int) (e earlier, err error) {
	w, d, err := k.earlierDefinition(ctx, name, to, &e.number)
	if err != nil {
		return e, err
	}
	e.bundle = d.Bundle
	t, err := k.config.Store.Read(ctx, e.bundle)
	if err != nil {
		return e, err
	}
	e.groups = t.Groups
	release, err := k.lock(ctx)
	if err != nil {
		return e, err
	}
	defer release()
	if others := k.alsoChanged(w.File, e.groups, name); len(others) > 0 {
		return e, &hint.Error{
			Err:  fmt.Errorf("file %s has more groups, which would change too: %s", w.File, strings.Join(others, ", ")),
			Hint: fmt.Sprintf("take what group %s was from \"sallyport history %s --file %d\", and apply that", name, name, e.number),
		}
	}
	if e.digests, err = k.digestsFor(e.groups, name, e.number); err != nil {
		return e, err
	}
	now, ok := k.config.Store.Installed(w.File)
	e.wanted = ok && d.Group.Digest == w.Group.Digest && !e.digests[name].Differ(w.Pins) && string(now.HCL) == string(e.bundle.HCL)
	return e, nil
}

// earlierDefinition returns what is wanted of a group, after edits of its file, and the definition
// of the earlier generation. It sets its number.
func (k *Keeper) earlierDefinition(ctx context.Context, name string, to int, number *int) (w store.Wanted, d group.Definition, err error) {
	read, release, err := k.lockGroup(ctx, name)
	if err != nil {
		return w, d, err
	}
	defer release()
	broken := k.recordEdits(read, k.wantedNow(name).File)
	w = k.wantedNow(name)
	switch {
	case w.Group.Name == "":
		return w, d, group.ErrNoGroup
	case broken != nil:
		return w, d, broken
	}
	if *number = to; to == 0 {
		*number, d, err = k.config.Store.RollbackTarget(name, w.Group.Digest)
	} else {
		d, err = k.config.Store.Definition(name, to)
	}
	d.Bundle.Name = w.File
	return w, d, k.explainMissing(err, name, to)
}

// recordEdits loads what was read of installed files before they are replaced, so that an edit that
// was not loaded yet goes into the history. The error is for a file that cannot be used: its text
// cannot be kept there. The caller holds the right to the store.
func (k *Keeper) recordEdits(r store.Reading, files ...string) error {
	_ = k.load(loading{reading: r}) // logged, and kept for Problems
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.wanted {
		if slices.Contains(files, w.File) && w.Broken != nil {
			return &hint.Error{
				Err:  fmt.Errorf("file %s can't be used as it is, and would be lost", w.File),
				Hint: "keep a copy of it elsewhere, or mend it; then apply a file that is right",
			}
		}
	}
	return nil
}

// describeDiffers returns what differs from the definitions that are wanted, as lines like "shop:
// differs web: image: ...".
func (k *Keeper) describeDiffers(groups []spec.Group) (lines []string) {
	for i := range groups {
		for _, c := range diff.Groups(k.wantedGroup(groups[i].Name), &groups[i]) {
			lines = append(lines, groups[i].Name+": differs "+c.String())
		}
	}
	return lines
}

// describeOpened returns what may pass the border with these groups and could not before, as lines
// like "shop: opens ...".
func (k *Keeper) describeOpened(groups []spec.Group) (lines []string) {
	for i := range groups {
		opens, _ := reach.Difference(k.wantedGroup(groups[i].Name), &groups[i])
		for _, text := range opens {
			lines = append(lines, groups[i].Name+": opens "+text)
		}
	}
	return lines
}

// alsoChanged returns the groups, other than the given one, that would change, come or go if the
// installed file were replaced by one with these groups.
func (k *Keeper) alsoChanged(file string, groups []spec.Group, group string) []string {
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
		if name != group && w.File == file && !defines {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return others
}
