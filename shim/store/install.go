package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// Install puts the files into the folder, all or none, even if the machine loses power meanwhile,
// or the disk is full. With an error, none of them counts, now or later. Without one, all of them
// count, even if they are not in the folder yet: Accept then has a problem.
//
// undo has, by file name, a function that restores the file as it was before. Its argument is the
// reason for the revert.
func (s *Store) Install(files []group.Bundle, o group.Origin) (undo map[string]func(why string) error, err error) {
	undo = map[string]func(string) error{}
	for _, b := range files {
		var before intent
		old, err := s.installedNow(b.Name)
		if err == nil && !old.recorded || errors.Is(err, disk.ErrDamaged) {
			if lost := s.restoreLost(b.Name); lost != nil {
				undo[b.Name] = func(string) error { return lost }
				continue
			}
			old, err = s.installedNow(b.Name)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			before.Delete = []string{b.Name}
		case err != nil:
			return nil, fmt.Errorf("install %s: %w", b.Name, err)
		default:
			before.Put = []group.Bundle{old.bundle}
			if before.Origin.ImageDigests, err = s.digestsIn(b.Name); err != nil {
				return nil, fmt.Errorf("install %s: %w", b.Name, err)
			}
		}
		undo[b.Name] = func(why string) error {
			before.Origin.By, before.Origin.Why = group.ByRevert, why
			return s.insist(before)
		}
	}
	return undo, s.carryOut(intent{Put: files, Origin: o})
}

// restoreLost makes the applied record of a file again, if it had one.
func (s *Store) restoreLost(file string) error {
	known, err := s.mend()
	if err != nil {
		return err
	}
	_, _, err = s.restoreApplied(file, known)
	return err
}

// Remove removes the file of a group. It refuses if the file has other groups too. With purge the
// group's persistent volumes are removed as well. The error is [group.ErrNoGroup] if no known file
// has the group.
func (s *Store) Remove(groupName string, purge bool) error {
	known, err := s.mend()
	if err != nil {
		return err
	}
	w, ok := known[groupName]
	if !ok || w.File == "" {
		return group.ErrNoGroup
	}
	for name, other := range known {
		if name != groupName && other.File == w.File {
			return &hint.Error{
				Err: fmt.Errorf("file %s defines group %s too", s.filePath(w.File), name),
				Hint: fmt.Sprintf("\"sallyport rm %s\" removes them all; for %s alone, delete its block from the file and apply that again",
					w.File, groupName),
			}
		}
	}
	return s.insist(intent{Delete: []string{w.File}, Purge: purge})
}

// RemoveFile removes a file with all its groups, and returns their names. With purge their
// persistent volumes are removed as well. It is an error if no known group is defined in the file.
func (s *Store) RemoveFile(file string, purge bool) (groups []string, err error) {
	known, err := s.mend()
	if err != nil {
		return nil, err
	}
	for name, w := range known {
		if w.File == file {
			groups = append(groups, name)
		}
	}
	if len(groups) == 0 {
		return nil, &hint.Error{
			Err:  fmt.Errorf("no group is defined in file %s", file),
			Hint: "\"sallyport status GROUP\" shows the file of a group",
		}
	}
	slices.Sort(groups)
	return groups, s.insist(intent{Delete: []string{file}, Purge: purge})
}

// An intent is a change of the folder that is carried out wholly or not at all:
//
//	refused ◄── install.json can't be written
//	   ▲
//	 carryOut ──► accepted: install.json is on disk ──► in the folder ──► install.json is removed
//	                   │                                   ▲
//	                   └──► pending: the disk is full ─────┘ with the next Accept or change
//
// An accepted change counts, whether or not it is in the folder. No installation is begun while a
// change is pending. A removal is, and so is going back to what was before: each replaces what is
// pending for the same files. So no two pending changes are about the same file, and a removal,
// which needs no space, waits for none. install.json has all that are pending.
type intent struct {
	ID     string         `json:"id,omitempty"` // empty: an older daemon's
	Put    []group.Bundle `json:"put,omitempty"`
	Delete []string       `json:"delete,omitempty"`
	Origin group.Origin   `json:"origin,omitzero"` // of the files in Put
	Purge  bool           `json:"purge,omitempty"` // also the persistent volumes of the files in Delete
	Then   []intent       `json:"then,omitempty"`  // the other pending changes
	// Over has the sums of the texts that Put replaces, by file. It is empty for a file that is not
	// there. Another text was put there by hand since, and stays. An older daemon has none.
	Over map[string]string `json:"over,omitempty"`
}

// carryOut writes the intent down first. With an error, the change does not happen.
func (s *Store) carryOut(in intent) error {
	if err := s.begin(); err != nil {
		return err
	}
	in.ID, in.Over = s.newID(), s.over(in)
	if err := s.writeIntent(in); err != nil {
		return fmt.Errorf("write the intent of an installation: %w", err)
	}
	s.accepted([]intent{in}, in)
	_ = s.finishIntents() // it counts already. Accept tries again, and reports what is in the way
	return nil
}

// insist carries out an intent that a full disk can't refuse: a removal frees space, and for a
// change that is taken back, only what was before is left. It is written down first, or kept under
// the run folder, together with what is pending for other files.
func (s *Store) insist(in intent) error {
	if err := s.makeFolders(); err != nil && !disk.Unwritable(err) {
		return err
	}
	if err := s.finishIntents(); err != nil && len(s.pending) == 0 {
		return err // what an earlier daemon has left can't be read
	}
	in.ID, in.Over = s.newID(), s.over(in)
	all := append(without(s.pending, in.names()), in)
	if err := s.keepJSON(s.intentPath(), chain(all), durable); err != nil && !s.hasIntent(in.ID) {
		return fmt.Errorf("write the intent of an installation: %w", err)
	}
	s.accepted(all, in)
	_ = s.finishIntents()
	return nil
}

// over returns the sums of the texts that the intent replaces, as far as they can be read.
func (s *Store) over(in intent) map[string]string {
	ctx, cancel := soon()
	defer cancel()
	sums := map[string]string{}
	for _, b := range in.Put {
		text, err := hostfile.Read(ctx, s.layout.GroupsDir, s.filePath(b.Name), spec.MaxGroupFile)
		switch {
		case err == nil:
			sums[b.Name] = textSum(text)
		case errors.Is(err, fs.ErrNotExist):
			sums[b.Name] = ""
		}
	}
	return sums
}

// accepted makes changes count, and all that are pending now. From now on a reading has their files
// as they want them, whether or not they are in the folder.
func (s *Store) accepted(pending []intent, changes ...intent) {
	s.setPending(pending)
	for _, in := range changes {
		for _, b := range in.Put {
			s.notePut(installed{b, in.Origin, true, in.ID})
		}
		for _, name := range in.Delete {
			s.noteRemoved(name)
		}
	}
}

func (s *Store) setPending(all []intent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = all
}

// pendingNow returns the pending changes. It is safe for concurrent use.
func (s *Store) pendingNow() []intent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending
}

// chain returns the intents as one, for install.json.
func chain(all []intent) intent {
	first := all[0]
	first.Then = all[1:]
	return first
}

// without returns the intents without what they do to the named files.
func without(all []intent, names []string) (left []intent) {
	for _, in := range all {
		in.Put = slices.DeleteFunc(slices.Clone(in.Put), func(b group.Bundle) bool { return slices.Contains(names, b.Name) })
		in.Delete = slices.DeleteFunc(slices.Clone(in.Delete), func(name string) bool { return slices.Contains(names, name) })
		if len(in.Put)+len(in.Delete) > 0 {
			left = append(left, in)
		}
	}
	return left
}

// names returns the files of the intent.
func (in intent) names() []string {
	names := slices.Clone(in.Delete)
	for _, b := range in.Put {
		names = append(names, b.Name)
	}
	return names
}

// begin makes sure that no change is pending, and that the disk has what install.json is.
func (s *Store) begin() error {
	if err := s.makeFolders(); err != nil {
		return err
	}
	err := s.finishIntents()
	if err == nil {
		err = s.writeIfUnwritten(s.intentPath())
	}
	if err != nil {
		return &hint.Error{
			Err:  fmt.Errorf("the change before is not in %s yet: %w", s.layout.GroupsDir, err),
			Hint: "free space on its disk and on that of " + s.layout.StateDir + ", and try again",
		}
	}
	return nil
}

// writeIntent writes the intent, or leaves none. If the write fails and the file can't be removed,
// a later daemon would carry it out. So it is accepted then.
func (s *Store) writeIntent(in intent) error {
	err := s.writeJSON(s.intentPath(), in, durable)
	if err == nil {
		return nil
	}
	if dropErr := s.drop(s.intentPath(), durable); dropErr == nil {
		return err
	}
	if s.hasIntent(in.ID) {
		return nil
	}
	return err
}

// hasIntent reports whether install.json has the intent of that ID, so that a later daemon would
// carry it out.
func (s *Store) hasIntent(id string) bool {
	now, err := readJSON[intent](s, s.intentPath())
	return err == nil && (now.ID == id || slices.ContainsFunc(now.Then, func(in intent) bool { return in.ID == id }))
}

// finishIntents carries out the pending changes, and those that an earlier daemon has left.
func (s *Store) finishIntents() error {
	if len(s.pending) == 0 {
		in, err := readJSON[intent](s, s.intentPath())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, disk.ErrDamaged):
			return s.setAside(s.intentPath(), "", "a change that was being installed is lost: apply its files again")
		case err != nil:
			return fmt.Errorf("read the intent of an installation: %w", err)
		}
		all := append([]intent{in}, in.Then...)
		all[0].Then = nil
		s.accepted(all, all...)
	}
	var left []intent
	var errs []error
	for _, in := range s.pending {
		if err := s.finish(in); err != nil {
			left, errs = append(left, in), append(errs, err)
		}
	}
	err := hint.Join(errs)
	switch {
	case len(left) == 0:
		err = s.dropIntents()
	case len(left) < len(s.pending): // one that is carried out must not be carried out again
		err = errors.Join(err, s.keepJSON(s.intentPath(), chain(left), durable))
	}
	if len(left) > 0 || err == nil {
		s.setPending(left)
	}
	return err
}

// dropIntents removes the intents of changes that are whole in the folder. A power cut may bring
// them back. That does nothing if they only put files there, since each has the ID by then.
func (s *Store) dropIntents() error {
	if slices.ContainsFunc(s.pending, func(in intent) bool { return in.ID == "" || len(in.Delete) > 0 }) {
		return s.keepDrop(s.intentPath(), durable)
	}
	return s.keepDrop(s.intentPath(), whole)
}

// finish makes the folder as the intent wants it. It does nothing to a file that has its ID.
// It is an error if the folder's file system gives no answer.
func (s *Store) finish(in intent) error {
	ctx, cancel := soon()
	defer cancel()
	if err := s.ProbeFolder(ctx); err != nil {
		return err
	}
	for _, b := range in.Put {
		if a, err := s.readApplied(b.Name); err == nil && in.ID != "" && a.ID == in.ID {
			continue
		}
		if err := s.put(b, in); err != nil {
			return fmt.Errorf("install %s: %w", b.Name, err)
		}
	}
	for _, name := range in.Delete {
		if err := errors.Join(s.markUninstalled(name, in.Purge), s.drop(s.filePath(name), durable), s.drop(s.appliedPath(name), durable)); err != nil {
			return fmt.Errorf("uninstall %s: %w", name, err)
		}
	}
	return nil
}

// markUninstalled records that a file's groups are in no file any more. Without this record, Accept
// would keep them if there is a broken file, which may be theirs under another name.
func (s *Store) markUninstalled(name string, purge bool) error {
	known, err := s.mend()
	if err != nil {
		return err
	}
	for group, w := range known {
		if w.File != name {
			continue
		}
		w.File, w.Purge = "", purge
		if err := s.keepJSON(s.wantedPath(group), w, durable); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file, and then its applied record: with that, the file is installed. A file that was
// edited by hand since the change was accepted stays, as an edit of that change.
func (s *Store) put(b group.Bundle, in intent) error {
	text := b.HCL
	ctx, cancel := soon()
	defer cancel()
	now, err := hostfile.Read(ctx, s.layout.GroupsDir, s.filePath(b.Name), spec.MaxGroupFile)
	same := err == nil && bytes.Equal(now, text)
	over, noted := in.Over[b.Name]
	edited := err == nil && !same && noted && textSum(now) != over
	if !same && !edited {
		if err := s.write(s.filePath(b.Name), text, durable); err != nil {
			return err
		}
	}
	b.HCL = nil
	a := applied{Bundle: b, Origin: in.Origin, Text: textSum(text), ID: in.ID}
	if err := s.writeJSON(s.appliedPath(b.Name), a, durable); err != nil {
		return err
	}
	if edited {
		s.notePut(a.with(now, true))
	}
	return nil
}
