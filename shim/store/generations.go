package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
)

const (
	recorded = 32 // generations of a group that its history has
	kept     = 4  // of which the definitions stay on disk; and that which Rollback goes back to
)

// History returns the generations of a group, the newest first. Of one that nobody knows it is empty.
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

// Definition returns what a generation was made from, or ErrNoGeneration.
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

// Before returns the number and the definition of the generation to go back to from the one of that digest: the last of another
// digest, or of other images than the newest, that proved itself. It is ErrNoGeneration where there is none.
func (s *Store) Before(name, digest string) (int, group.Definition, error) {
	all, err := s.History(name)
	if err != nil {
		return 0, group.Definition{}, err
	}
	number := before(all, digest)
	if number == 0 {
		return 0, group.Definition{}, group.ErrNoGeneration
	}
	d, err := s.Definition(name, number)
	return number, d, err
}

func before(all []group.Generation, digest string) int {
	i := slices.IndexFunc(all, func(g group.Generation) bool {
		return g.Outcome == group.Proved && g.Kept && (g.Digest != digest || g.ImageDigests.Differ(all[0].ImageDigests))
	})
	if i < 0 {
		return 0
	}
	return all[i].Number
}

// generate writes a new generation down, or the newest once more where only the text it comes from has changed. It comes before
// what is wanted is written: a daemon that is killed between the two does the same again. So does Conclude, and one that was killed
// there is made up for here.
func (s *Store) generate(w *Wanted, f file) error {
	all, err := s.History(w.Group.Name)
	if err != nil {
		return err
	}
	text := textSum(f.bundle.HCL)
	newest := len(all) > 0 && all[0].Number == w.Generation
	if newest && all[0].Digest == w.Group.Digest && all[0].Outcome == group.Proved {
		w.Proved = true
	}
	if newest && all[0].Digest == w.Group.Digest {
		w.Pins = w.Pins.Merge(&w.Group, all[0].ImageDigests)
	}
	if newest && all[0].Text == text && all[0].Digest == w.Group.Digest && maps.Equal(all[0].ImageDigests, w.Pins) {
		return s.tidy(w.Group.Name, all)
	}
	if err := s.writeJSON(s.definitionPath(w.Group.Name, w.Generation), group.Definition{Group: w.Group, Bundle: s.whole(f)}); err != nil {
		return err
	}
	g := group.Generation{
		Number: w.Generation, Digest: w.Group.Digest, File: w.File, At: s.now(), By: w.By, Outcome: group.OnTrial, Text: text, Change: text, Kept: true,
		ImageDigests: w.Pins,
	}
	if newest {
		if all[0].Digest == g.Digest {
			g.At, g.Change, g.By, g.Outcome, g.Why = all[0].At, all[0].Change, all[0].By, all[0].Outcome, all[0].Why
		}
		all = all[1:]
	} else if len(all) > 0 && all[0].Outcome != group.Proved {
		all[0].Outcome = group.Replaced
		if w.Setback != nil {
			all[0].Outcome, all[0].Why = group.TakenBack, w.Setback.Why
		}
	}
	return s.writeHistory(w.Group.Name, append([]group.Generation{g}, all...))
}

// whole is a file's bundle with everything that was read for it. A path makes the files count, also of one that was put into the
// folder by hand.
func (s *Store) whole(f file) group.Bundle {
	b := f.bundle
	b.Files = f.read
	if b.Path == "" {
		b.Path = s.filePath(b.Name)
	}
	return b
}

// writeHistory lets go of what is too old.
func (s *Store) writeHistory(name string, all []group.Generation) error {
	back := before(all, all[0].Digest)
	var left []group.Generation
	for i, g := range all {
		needed := i < kept || g.Number == back
		g.Kept = g.Kept && needed
		if i < recorded || needed {
			left = append(left, g)
		}
	}
	if err := s.writeJSON(s.historyPath(name), left); err != nil {
		return err
	}
	return s.tidy(name, left)
}

// tidy removes the definitions that the history of a group keeps no more, also those of which a daemon that was killed has only
// written that.
func (s *Store) tidy(name string, all []group.Generation) error {
	definitions, err := s.definitions(name)
	for _, path := range definitions {
		if !slices.ContainsFunc(all, func(g group.Generation) bool { return g.Kept && s.definitionPath(name, g.Number) == path }) {
			err = errors.Join(err, s.drop(path))
		}
	}
	return err
}

// Conclude writes down what became of a generation, where it is still the newest.
func (s *Store) Conclude(name string, number int, o group.Outcome, why string) error {
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

// forgetHistory drops all generations of a group. The history goes first: what it has no more can't be asked for.
func (s *Store) forgetHistory(group string) error {
	err := s.drop(s.historyPath(group))
	definitions, globErr := s.definitions(group)
	err = errors.Join(err, globErr)
	for _, path := range definitions {
		err = errors.Join(err, s.drop(path))
	}
	return err
}

func (s *Store) historyPath(group string) string {
	return filepath.Join(s.layout.StateDir, "history", group+".json")
}

// definitions are the files of all that are there of a group.
func (s *Store) definitions(group string) ([]string, error) {
	return filepath.Glob(filepath.Join(s.generationsDir(), group+".*.json"))
}

// definitionPath relies on a group's name having no dot.
func (s *Store) definitionPath(group string, number int) string {
	return filepath.Join(s.generationsDir(), group+"."+strconv.Itoa(number)+".json")
}

func (s *Store) generationsDir() string { return filepath.Join(s.layout.StateDir, "generations") }

func textSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Change is the sum of the file that brought the newest generation of a group. It tells groups that were changed together from others,
// also where a daemon was killed between them; of a daemon that knew no such sum it is empty.
func (s *Store) Change(group string) (string, error) {
	all, err := s.History(group)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0].Change, nil
}

// Revertible says that there is a point in going back: what an operator went back to, or was put back, is no news.
func (w Wanted) Revertible() bool { return w.By == group.ByApply || w.By == group.ByFile }
