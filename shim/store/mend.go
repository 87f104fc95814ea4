package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// A file of the state folder may be damaged by the disk or by a hand. It is set aside, and made
// again from the others:
//
//	wanted      from the newest definition and the history; stopped from its mark
//	history     from the definitions and the wanted generation
//	generations the newest one from the file in the folder
//	applied     from the newest definition of one of the file's groups
//
// A lost file is made again the same way. Where that can't be done, the group stays as it is, and
// the error says what to type. The files ended and lives stay as they are here. What they had
// decides whether a job runs again: the runner asks the journal, or the operator has to. Without
// its file in runs, the time of a job's run begins anew.

// ErrDamaged is the error for a file that can't be read and never will be.
var ErrDamaged = disk.ErrDamaged

// A Mended is something of a group that was damaged or lost, and what became of it.
type Mended struct {
	Group string // empty: it is about no single group
	Text  string // one line
}

// setAside gives a damaged file another name, and records that for the next Accept. A damaged copy
// under the run folder goes, and the file counts.
func (s *Store) setAside(path, group, text string) error {
	if copied, ok := s.unwritten.forget(path); ok {
		s.mended = append(s.mended, Mended{group, fmt.Sprintf("%s was damaged and is removed: %s counts", copied, path)})
		return nil
	}
	aside, err := s.Disk.SetAside(path)
	if err != nil {
		return &hint.Error{Err: fmt.Errorf("set the damaged %s aside: %w", path, err), Hint: "take it away: mv " + path + " " + path + disk.AsideSuffix}
	}
	s.mended = append(s.mended, Mended{group, fmt.Sprintf("%s was damaged and is %s now: %s", path, filepath.Base(aside), text)})
	return nil
}

// Aside returns the damaged files that were set aside, each with what to do. They are in use for
// nothing. It only reads the disk.
func (s *Store) Aside() (all []group.FileProblem) {
	for _, pattern := range []string{"*", "*/*"} {
		paths, _ := filepath.Glob(filepath.Join(s.layout.StateDir, pattern+disk.AsideSuffix+"*"))
		for _, path := range paths {
			if filepath.Base(filepath.Dir(path)) == "containerd" {
				continue
			}
			all = append(all, group.FileProblem{Path: path, Err: fmt.Errorf(
				"it was damaged and set aside. \"sallyport events\" has what was done. When you have looked at it, type: rm -r %s", path)})
		}
	}
	return all
}

// mend returns the last good definitions, by group, and makes damaged and lost files again. Only
// the first call looks at every file.
func (s *Store) mend() (map[string]Wanted, error) {
	known, _, err := s.mendWith()
	return known, err
}

// mendWith is mend. It also returns the names of the files of definitions, as definitionNumbers.
func (s *Store) mendWith() (known map[string]Wanted, files map[string]bool, err error) {
	numbers, files, numbersErr := s.definitionNumbers()
	if !s.loaded {
		s.setDefinitionsAside(numbers)
	}
	known, err = s.readWanted()
	if err != nil {
		s.setWantedAside()
		known, err = s.readWanted()
	}
	if err = errors.Join(err, numbersErr); numbersErr != nil {
		return known, files, err
	}
	for _, name := range s.traces(numbers) {
		if _, ok := known[name]; ok || s.exists(s.wantedPath(name)) {
			continue
		}
		if w, ok := s.restoreWanted(name, numbers[name]); ok {
			known[name] = w
		}
	}
	if !s.loaded {
		err = errors.Join(err, s.mendHistories(known))
	}
	for name, w := range known {
		w.Proved = s.isProved(w)
		known[name] = w
	}
	return known, files, err
}

// mendHistories looks at the history of each group.
func (s *Store) mendHistories(known map[string]Wanted) (err error) {
	for name, w := range known {
		all, readErr := s.history(name, w)
		if readErr == nil && len(all) > 0 {
			s.noteProved(name, all[0])
			readErr = s.markLost(name, all)
		}
		err = errors.Join(err, readErr)
	}
	return err
}

// markLost records in the history which earlier generations have lost their definition.
func (s *Store) markLost(name string, all []group.Generation) error {
	var lost []string
	for i, g := range all {
		if i > 0 && g.Kept && !s.exists(s.definitionPath(name, g.Number)) {
			all[i].Kept = false
			lost = append(lost, strconv.Itoa(g.Number))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	s.mended = append(s.mended, Mended{name, fmt.Sprintf("generation %s is lost, and can't be rolled back to: \"sallyport history %s\" shows the others", strings.Join(lost, ", "), name)})
	return s.writeJSON(s.historyPath(name), all, whole)
}

// definitionNumbers returns the generations that have a file, by group, the newest first. A damaged
// one counts: its number was given. files has the names of all files there.
func (s *Store) definitionNumbers() (numbers map[string][]int, files map[string]bool, err error) {
	entries, err := hostfile.ReadDir(context.Background(), s.generationsDir())
	numbers, files = map[string][]int{}, map[string]bool{}
	for _, e := range entries {
		files[e.Name()] = true
		parts := strings.Split(e.Name(), ".")
		if len(parts) < 3 || parts[2] != "json" {
			continue
		}
		if n, err := strconv.Atoi(parts[1]); err == nil && !slices.Contains(numbers[parts[0]], n) {
			numbers[parts[0]] = append(numbers[parts[0]], n)
		}
	}
	for _, all := range numbers {
		slices.SortFunc(all, func(a, b int) int { return b - a })
	}
	return numbers, files, err
}

// traces returns the groups that have a definition, a history or the mark of a stopped one.
func (s *Store) traces(numbers map[string][]int) (names []string) {
	for name := range numbers {
		names = append(names, name)
	}
	for _, path := range []string{s.historyPath("x"), s.stoppedPath("x")} {
		found, _ := s.namesIn(filepath.Dir(path))
		names = append(names, found...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// setDefinitionsAside sets the damaged definitions aside. An empty one comes from a power cut, and
// goes: acceptGroup writes the newest again.
func (s *Store) setDefinitionsAside(numbers map[string][]int) {
	for name, all := range numbers {
		for _, n := range all {
			path := s.definitionPath(name, n)
			if _, err := s.readDefinition(name, n); !errors.Is(err, disk.ErrDamaged) {
				continue
			}
			if info, err := lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == 0 && n == all[0] {
				_ = s.drop(path, whole)
				continue
			}
			_ = s.setAside(path, name, fmt.Sprintf("it had generation %d", n))
		}
	}
}

func (s *Store) setWantedAside() {
	names, _ := s.namesIn(filepath.Dir(s.wantedPath("x")))
	for _, name := range names {
		if _, err := s.readWantedFile(name); errors.Is(err, disk.ErrDamaged) {
			_ = s.setAside(s.wantedPath(name), name, "what is wanted of the group is taken from its generations and its file")
		}
	}
}

// restoreWanted makes what is wanted of a group again, from its generations. Without a definition,
// it returns a stub: the group's number and digest, for a usable file that defines it.
func (s *Store) restoreWanted(name string, numbers []int) (Wanted, bool) {
	all, err := s.readHistoryFile(name)
	marked := s.marked(name)
	damaged, _ := filepath.Glob(s.wantedPath(name) + disk.AsideSuffix + "*")
	if err != nil && !marked && len(damaged) == 0 && (len(numbers) == 0 || numbers[0] == 1) {
		return Wanted{}, false // it is new: a daemon was killed before it wrote what is wanted
	}
	w := Wanted{Group: spec.Group{Name: name}, Stopped: marked, stub: true}
	if len(all) > 0 {
		w = wantedOf(w, all[0])
		if all[0].By == group.ByRevert && len(all) > 1 && all[1].Outcome == group.TakenBack {
			w.Setback = &group.Reversion{Generation: all[1].Number, Why: all[1].Why}
		}
	}
	if len(numbers) > 0 && numbers[0] >= w.Generation {
		w.Generation = numbers[0]
		if d, err := s.readDefinition(name, numbers[0]); err == nil {
			w.Group, w.File, w.stub = d.Group, d.Bundle.Name, false
			if d.Record != nil {
				w = wantedOf(w, *d.Record)
				w.Record = d.Record
			}
		} else if len(all) == 0 || all[0].Number != w.Generation {
			w.Group.Digest = "" // nothing is known of it but its number
		}
	}
	text := fmt.Sprintf("what is wanted of the group was lost, and is that of generation %d", w.Generation)
	switch {
	case w.stub && s.stubs[name]:
		return w, true
	case w.stub:
		s.stubs[name] = true
		text = fmt.Sprintf("what is wanted of the group was lost, and so was generation %d: its file counts", w.Generation)
	default:
		if err := s.keepJSON(s.wantedPath(name), w, durable); err != nil {
			text += ", which can't be written now: " + err.Error()
		}
	}
	if marked {
		text += "; it stays stopped"
	}
	s.mended = append(s.mended, Mended{name, text})
	return w, true
}

// wantedOf sets what a generation's record has.
func wantedOf(w Wanted, g group.Generation) Wanted {
	w.Generation, w.File, w.By, w.Pins, w.Group.Digest = g.Number, g.File, g.By, g.ImageDigests, g.Digest
	w.Proved = g.Outcome == group.Proved
	return w
}

// mendHistory makes the history of a group again. Which of its earlier generations had proved
// themselves is lost.
func (s *Store) mendHistory(name string, w Wanted) ([]group.Generation, error) {
	path := s.historyPath(name)
	if s.exists(path) {
		if err := s.setAside(path, name, "the history is made again from the generations that are kept"); err != nil {
			return nil, err
		}
	}
	numbers, _, err := s.definitionNumbers()
	if err != nil {
		return nil, err
	}
	var all []group.Generation
	for _, n := range numbers[name] {
		d, err := s.readDefinition(name, n)
		if err != nil || n > w.Generation {
			continue
		}
		g := group.Generation{Number: n, Digest: d.Group.Digest, File: d.Bundle.Name, By: group.ByFile, Text: textSum(d.Bundle.HCL)}
		if d.Record != nil {
			g = *d.Record
		}
		g.Kept, g.Outcome = true, group.Replaced
		if n == w.Generation {
			g.By, g.ImageDigests, g.Outcome = w.By, w.Pins, group.OnTrial
			if w.Proved {
				g.Outcome = group.Proved
			}
		}
		all = append(all, g)
	}
	if len(all) == 0 {
		return nil, nil
	}
	s.mended = append(s.mended, Mended{name, fmt.Sprintf(
		"its history was lost, and with it which generations had proved themselves: \"sallyport rollback --to N %s\" takes any that \"sallyport history %s\" shows", name, name)})
	return all, s.writeJSON(path, all, whole)
}

// restoreApplied makes the applied record of a file again, from the newest definition of one of its
// groups. restored is false for a file that needs none, since it was put into the folder by hand.
// The error is for a file that was applied with what is not known any more.
func (s *Store) restoreApplied(name string, known map[string]Wanted) (a applied, restored bool, err error) {
	path := s.appliedPath(name)
	if s.exists(path) {
		if err := s.setAside(path, "", "what the file was applied with is taken from the generations of its groups"); err != nil {
			return a, false, err
		}
	}
	aside, _ := filepath.Glob(path + disk.AsideSuffix + "*")
	lost := len(aside) > 0
	var from Wanted
	var newest definition
	for g, w := range known {
		if w.File != name {
			continue
		}
		lost = lost || w.Install != ""
		if w.Install == "" && s.loaded && len(aside) == 0 {
			continue // put there by hand: nothing is missing
		}
		d, err := s.readDefinition(g, w.Generation)
		if err != nil || d.Bundle.Name != name || d.Bundle.Path == s.filePath(name) {
			continue
		}
		if newest.Bundle.Name == "" || newest.Record == nil || d.Record != nil && d.Record.At.After(newest.Record.At) {
			from, newest = w, d
		}
	}
	if newest.Bundle.Name == "" {
		if !lost {
			return a, false, nil
		}
		return a, false, &hint.Error{
			Err:  fmt.Errorf("the variables and files that %s was applied with are lost", name),
			Hint: "apply it again, with its variables; until then its groups stay as they are",
		}
	}
	a = applied{Bundle: newest.Bundle, Origin: group.Origin{By: from.By, Used: true}, Text: textSum(newest.Bundle.HCL), ID: from.Install}
	a.HCL = nil
	s.mended = append(s.mended, Mended{from.Group.Name, fmt.Sprintf("what %s was applied with was lost, and is that of generation %d", name, from.Generation)})
	return a, true, s.writeJSON(path, a, durable)
}

// notInFolder explains why an accepted change is not in the folder.
func (s *Store) notInFolder(err error) error {
	return &hint.Error{
		Err:  fmt.Errorf("a change counts, but is not in %s yet: %w", s.layout.GroupsDir, err),
		Hint: "free space; the daemon tries again",
	}
}

func (s *Store) readHistoryFile(name string) ([]group.Generation, error) {
	all, err := readJSON[[]group.Generation](s, s.historyPath(name))
	for i, g := range all {
		if g.Number < 1 || i > 0 && g.Number >= all[i-1].Number {
			return nil, disk.Damaged(s.historyPath(name), "its generations are in no order")
		}
	}
	if err == nil && len(all) == 0 {
		err = disk.Damaged(s.historyPath(name), "it has no generation")
	}
	return all, err
}

func (s *Store) readDefinition(name string, number int) (definition, error) {
	path := s.definitionPath(name, number)
	d, err := readJSON[definition](s, path)
	if err == nil && (d.Group.Name != name || len(d.Group.Containers) == 0 || d.Record != nil && d.Record.Number != number) {
		return definition{}, disk.Damaged(path, fmt.Sprintf("it is not generation %d of group %s", number, name))
	}
	return d, err
}

func (s *Store) readApplied(file string) (applied, error) {
	a, err := readJSON[applied](s, s.appliedPath(file))
	if err == nil && a.Name != file {
		return applied{}, disk.Damaged(s.appliedPath(file), "it is not about "+file)
	}
	return a, err
}

// marked reports whether the group has the mark of a stopped one.
func (s *Store) marked(group string) bool { return s.exists(s.stoppedPath(group)) }
