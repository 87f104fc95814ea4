package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
)

const (
	maxGenerations = 32 // generations of a group in its history
	maxDefinitions = 4  // definitions of them that stay on disk, besides the rollback target
)

// History returns the generations of a group, the newest first. It is empty for an unknown group.
func (s *Store) History(name string) ([]group.Generation, error) {
	all, err := disk.ReadJSON[[]group.Generation](s.historyPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of group %s: %w", name, err)
	}
	return all, nil
}

// Definition returns what a generation was made from. The error is [group.ErrNoGeneration] if it is
// not kept.
func (s *Store) Definition(name string, number int) (group.Definition, error) {
	d, err := disk.ReadJSON[group.Definition](s.definitionPath(name, number))
	if errors.Is(err, fs.ErrNotExist) {
		return d, group.ErrNoGeneration
	}
	if err != nil {
		return d, fmt.Errorf("read generation %d of group %s: %w", number, name, err)
	}
	return d, nil
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
		return g.Outcome == group.Proved && g.Kept && (g.Digest != digest || g.Pins.Differ(all[0].Pins))
	})
	if i < 0 {
		return 0
	}
	return all[i].Number
}

// recordGeneration adds a new generation to the history. If only the text of the file has changed,
// it updates the newest one. It is called before the wanted group is written: if the daemon is
// killed in between, the next one does the same again. It also completes a RecordOutcome or a Pin,
// if the daemon was killed between their two writes.
func (s *Store) recordGeneration(w *Wanted, f file) error {
	all, err := s.History(w.Group.Name)
	if err != nil {
		return err
	}
	text := textSum(f.bundle.HCL)
	newest := len(all) > 0 && all[0].Number == w.Generation
	same := newest && all[0].Digest == w.Group.Digest
	if same {
		w.Proved = w.Proved || all[0].Outcome == group.Proved
		w.Pins = w.Pins.Merge(&w.Group, all[0].Pins)
	}
	if same && all[0].Text == text && maps.Equal(all[0].Pins, w.Pins) {
		return s.dropDefinitions(w.Group.Name, all)
	}
	d := group.Definition{Group: w.Group, Bundle: s.fullBundle(f)}
	if err := s.writeJSON(s.definitionPath(w.Group.Name, w.Generation), d); err != nil {
		return err
	}
	g := group.Generation{
		Number: w.Generation, Digest: w.Group.Digest, File: w.File, At: s.now(), By: w.By, Outcome: group.OnTrial,
		Text: text, Change: text, Kept: true, Pins: w.Pins,
	}
	if same {
		g.At, g.Change, g.By, g.Outcome, g.Why = all[0].At, all[0].Change, all[0].By, all[0].Outcome, all[0].Why
	}
	if newest {
		all = all[1:]
	} else if len(all) > 0 && all[0].Outcome != group.Proved {
		all[0].Outcome = group.Replaced
		if w.Setback != nil {
			all[0].Outcome, all[0].Why = group.TakenBack, w.Setback.Why
		}
	}
	return s.writeHistory(w.Group.Name, append([]group.Generation{g}, all...))
}

// fullBundle returns a file's bundle with every file that was read for it. The bundle of a file
// that was put into the folder by hand has no Path: it gets the one in the folder, to which its
// names are relative.
func (s *Store) fullBundle(f file) group.Bundle {
	b := f.bundle
	b.Files = f.read
	if b.Path == "" {
		b.Path = s.filePath(b.Name)
	}
	return b
}

// writeHistory writes the history without the generations and definitions that are too old.
func (s *Store) writeHistory(name string, all []group.Generation) error {
	back := rollbackTarget(all, all[0].Digest)
	var left []group.Generation
	for i, g := range all {
		needed := i < maxDefinitions || g.Number == back
		g.Kept = g.Kept && needed
		if i < maxGenerations || needed {
			left = append(left, g)
		}
	}
	if err := s.writeJSON(s.historyPath(name), left); err != nil {
		return err
	}
	return s.dropDefinitions(name, left)
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
	if err := s.writeHistory(name, all); err != nil || o != group.Proved {
		return err
	}
	w, err := disk.ReadJSON[Wanted](s.wantedPath(name))
	if err != nil || w.Generation != number {
		return err
	}
	w.Proved = true
	return s.writeJSON(s.wantedPath(name), w)
}

// forgetHistory removes all generations of a group. The history goes first, so that it never has a
// generation whose definition is gone.
func (s *Store) forgetHistory(group string) error {
	return errors.Join(s.drop(s.historyPath(group)), s.dropDefinitions(group, nil))
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
func (w Wanted) Revertible() bool { return w.By == group.ByApply || w.By == group.ByFile }
