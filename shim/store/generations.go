package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

const (
	maxGenerations = 32 // generations of a group in its history
	maxDefinitions = 4  // definitions of them that stay on disk, besides the rollback target
	maxDiffers     = 32 // changes that the history has of a generation
)

// A definition is a file of a generation.
type definition struct {
	group.Definition
	// Record is the generation as it was accepted. It is nil in a file of an older daemon.
	Record *group.Generation `json:"record,omitempty"`
}

// History returns the generations of a group, the newest first. It is empty for an unknown group.
func (s *Store) History(name string) ([]group.Generation, error) {
	w, err := s.readWantedFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, disk.ErrDamaged) {
		return nil, fmt.Errorf("read the history of group %s: %w", name, err)
	}
	return s.history(name, w)
}

// history is History with the wanted generation at hand.
func (s *Store) history(name string, w Wanted) ([]group.Generation, error) {
	all, err := s.readHistoryFile(name)
	if errors.Is(err, disk.ErrDamaged) || errors.Is(err, fs.ErrNotExist) && w.Generation > 1 {
		all, err = s.mendHistory(name, w)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the history of group %s: %w", name, err)
	}
	return bounded(withNewest(all, w)), nil
}

// withNewest returns the history with the record of the wanted generation. What the generation is
// comes from there, and its outcome from the history. A generation that another one followed has
// had no outcome before that, if the history has none.
func withNewest(all []group.Generation, w Wanted) []group.Generation {
	if w.Record == nil || len(all) > 0 && all[0].Number > w.Record.Number {
		return all
	}
	newest := *w.Record
	if len(all) > 0 && all[0].Number == newest.Number {
		newest.Outcome, newest.Why = all[0].Outcome, all[0].Why
		all = all[1:]
	}
	return append([]group.Generation{newest}, all...)
}

// Definition returns what a generation was made from. The error is [group.ErrNoGeneration] if it is
// not kept.
func (s *Store) Definition(name string, number int) (group.Definition, error) {
	d, err := s.readDefinition(name, number)
	if errors.Is(err, fs.ErrNotExist) {
		return d.Definition, group.ErrNoGeneration
	}
	if errors.Is(err, disk.ErrDamaged) {
		return d.Definition, &hint.Error{
			Err:  fmt.Errorf("generation %d of group %s is lost: %w", number, name, err),
			Hint: fmt.Sprintf("\"sallyport history %s\" shows the others", name),
		}
	}
	if err != nil {
		return d.Definition, fmt.Errorf("read generation %d of group %s: %w", number, name, err)
	}
	return d.Definition, nil
}

// RollbackTarget returns the number and the definition of the generation to go back to from the one
// with that digest. It is the last proved generation with another digest, or with other images than
// the newest. The error is [group.ErrNoGeneration] if there is none.
func (s *Store) RollbackTarget(name, digest string) (int, group.Definition, error) {
	all, err := s.History(name)
	if err != nil {
		return 0, group.Definition{}, err
	}
	number := rollbackTarget(all, digest)
	if number == 0 {
		return 0, group.Definition{}, group.ErrNoGeneration
	}
	d, err := s.Definition(name, number)
	return number, d, err
}

// rollbackTarget returns the number of the generation to go back to. It is 0 if there is none.
func rollbackTarget(all []group.Generation, digest string) int {
	i := slices.IndexFunc(all, func(g group.Generation) bool {
		return g.Outcome == group.Proved && g.Kept && (g.Digest != digest || g.ImageDigests.Differ(all[0].ImageDigests))
	})
	if i < 0 {
		return 0
	}
	return all[i].Number
}

// recordGeneration gives w the record of its generation, and writes the definition. If only the
// text of the file has changed, it updates the record. The record goes into the history with its
// outcome, or when another generation follows. It is called before the wanted group is written: if
// the daemon is killed in between, the next one does the same again.
func (s *Store) recordGeneration(w *Wanted, before Wanted, f *file) error {
	all, err := s.history(w.Group.Name, before)
	if err != nil {
		return err
	}
	text := textSum(f.bundle.HCL)
	newest := len(all) > 0 && all[0].Number == w.Generation
	same := newest && all[0].Digest == w.Group.Digest
	if same {
		s.noteProved(w.Group.Name, all[0])
		w.Proved = s.isProved(*w)
		w.Pins = w.Pins.Merge(&w.Group, all[0].ImageDigests)
	}
	values := f.bundle.ValuesOf(&w.Group)
	if same && all[0].Text == text && maps.Equal(all[0].ImageDigests, w.Pins) && (all[0].Values == nil || reflect.DeepEqual(all[0].Values, values)) {
		if _, err := lstat(s.definitionPath(w.Group.Name, w.Generation)); errors.Is(err, fs.ErrNotExist) {
			return s.writeDefinition(*w, f, all[0])
		}
		return s.dropDefinitions(w.Group.Name, all)
	}
	g := group.Generation{
		Number: w.Generation, Digest: w.Group.Digest, File: w.File, At: s.now(), By: w.By, Outcome: group.OnTrial,
		Text: text, Change: text, Kept: true, ImageDigests: w.Pins, Values: values,
	}
	switch {
	case same:
		g.Differs, g.More = all[0].Differs, all[0].More
		g.At, g.Change, g.By, g.Outcome, g.Why = all[0].At, all[0].Change, all[0].By, all[0].Outcome, all[0].Why
	case before.Group.Digest != "" && !before.stub:
		changes := diff.Groups(&before.Group, &w.Group)
		g.Differs = append([]diff.Change{}, changes[:min(len(changes), maxDiffers)]...)
		g.More = len(changes) - len(g.Differs)
	}
	if err := s.writeDefinition(*w, f, g); err != nil {
		return err
	}
	ended := !newest && len(all) > 0 && all[0].Outcome != group.Proved
	switch {
	case newest:
		all = all[1:]
	case ended && w.Setback != nil:
		all[0].Outcome, all[0].Why = group.TakenBack, w.Setback.Why
	case ended:
		all[0].Outcome = group.Replaced
	}
	all = bounded(append([]group.Generation{g}, all...))
	if ended {
		if err := s.writeJSON(s.historyPath(w.Group.Name), all[1:], durable); err != nil {
			return err
		}
	}
	w.Record = &g
	return s.dropDefinitions(w.Group.Name, all)
}

// writeDefinition writes the definition of the newest generation. It is lazy, since the file in the
// folder has the same text. If it is missing, the next Accept writes it.
func (s *Store) writeDefinition(w Wanted, f *file, g group.Generation) error {
	d := definition{group.Definition{Group: w.Group, Bundle: s.fullBundle(f)}, &g}
	return s.writeJSON(s.definitionPath(w.Group.Name, w.Generation), d, lazy)
}

// fullBundle returns a file's bundle with every file that was read for it. The bundle of a file
// that was put into the folder by hand has no Path: it gets the one in the folder, to which its
// names are relative.
func (s *Store) fullBundle(f *file) group.Bundle {
	b := f.bundle
	b.Files = f.text.files()
	if b.Path == "" {
		b.Path = s.filePath(b.Name)
	}
	return b
}

// bounded returns the history without the generations that are too old, and marks the definitions
// that are kept.
func bounded(all []group.Generation) (left []group.Generation) {
	if len(all) == 0 {
		return nil
	}
	back := rollbackTarget(all, all[0].Digest)
	for i, g := range all {
		needed := i < maxDefinitions || g.Number == back
		g.Kept = g.Kept && needed
		if i < maxGenerations || needed {
			left = append(left, g)
		}
	}
	return left
}

// dropDefinitions removes the definitions that the history no longer keeps. A daemon that was
// killed may have written the history and left some.
func (s *Store) dropDefinitions(name string, all []group.Generation) error {
	return s.dropMatching(s.definitionsPattern(name), func(path string) bool {
		return slices.ContainsFunc(all, func(g group.Generation) bool { return g.Kept && s.definitionPath(name, g.Number) == path })
	})
}

// RecordOutcome records the outcome of a generation, if it is still the newest.
func (s *Store) RecordOutcome(name string, number int, o group.Outcome, why string) error {
	all, err := s.History(name)
	if err != nil || len(all) == 0 || all[0].Number != number {
		return err
	}
	all[0].Outcome, all[0].Why = o, why
	all = bounded(all)
	if err := s.writeJSON(s.historyPath(name), all, whole); err != nil {
		return err
	}
	s.noteProved(name, all[0])
	return s.dropDefinitions(name, all)
}

// noteProved notes whether the newest generation of a group has proved itself. Only the history has
// that on disk, and Accept does not read it again for a group that is as it was.
func (s *Store) noteProved(name string, newest group.Generation) {
	if newest.Outcome == group.Proved {
		s.proved[name] = newest.Number
	} else {
		delete(s.proved, name)
	}
}

// isProved reports whether the generation of a group has proved itself, as far as is known.
func (s *Store) isProved(w Wanted) bool {
	return w.Proved || s.proved[w.Group.Name] == w.Generation
}

// forgetHistory removes all generations of a group. The history goes first, so that it never has a
// generation whose definition is gone.
func (s *Store) forgetHistory(group string) error {
	return errors.Join(s.drop(s.historyPath(group), durable), s.dropDefinitions(group, nil))
}

func textSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// ChangeSum returns the sum of the file that brought the newest generation of a group. Groups with
// equal sums were changed together, even if a daemon was killed in between. It is empty if the
// generation is of a daemon that recorded no sums.
func (s *Store) ChangeSum(group string) (string, error) {
	all, err := s.History(group)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0].Change, nil
}

// Revertible reports whether a failed rollout of w is to be reverted. A rollback or a revert is
// not: its definition is not new.
func (w Wanted) Revertible() bool {
	return w.By == group.ByApply || w.By == group.ByFile || w.By == group.ByPull
}
