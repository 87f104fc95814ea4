package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// Install puts the files into the folder, all or none, even if the machine loses power meanwhile.
// undo has, by file name, a function that restores the file as it was before. Its argument is the
// reason for the revert.
func (s *Store) Install(files []group.Bundle, o group.Origin) (undo map[string]func(why string) error, err error) {
	undo = map[string]func(string) error{}
	for _, b := range files {
		var before intent
		old, err := s.Bundle(b.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			before.Delete = []string{b.Name}
		case err != nil:
			return nil, fmt.Errorf("install %s: %w", b.Name, err)
		default:
			before.Put = []group.Bundle{old}
			if before.Origin.Pins, err = s.digestsIn(b.Name); err != nil {
				return nil, fmt.Errorf("install %s: %w", b.Name, err)
			}
		}
		undo[b.Name] = func(why string) error {
			before.Origin.By, before.Origin.Why = group.ByRevert, why
			return s.carryOut(before)
		}
	}
	return undo, s.carryOut(intent{Put: files, Origin: o})
}

// Remove removes the file of a group. It refuses if the file has other groups too. With purge the
// group's persistent volumes are removed as well. The error is [group.ErrNoGroup] if no known file
// has the group.
func (s *Store) Remove(groupName string, purge bool) error {
	known, err := s.readWanted()
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
	return s.carryOut(intent{Delete: []string{w.File}, Purge: purge})
}

// RemoveFile removes a file with all its groups, and returns their names. With purge their
// persistent volumes are removed as well. It is an error if no known group is defined in the file.
func (s *Store) RemoveFile(file string, purge bool) (groups []string, err error) {
	known, err := s.readWanted()
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
	return groups, s.carryOut(intent{Delete: []string{file}, Purge: purge})
}

// An intent is a change of the folder that is carried out wholly or not at all.
type intent struct {
	Put    []group.Bundle `json:"put,omitempty"`
	Delete []string       `json:"delete,omitempty"`
	Origin group.Origin   `json:"origin,omitzero"` // of the files in Put
	Purge  bool           `json:"purge,omitempty"` // also the persistent volumes of the files in Delete
}

// carryOut writes the intent down first, so that Load can finish it after a power cut.
func (s *Store) carryOut(in intent) error {
	if err := s.makeFolders(); err != nil {
		return err
	}
	if err := s.writeJSON(s.intentPath(), in); err != nil {
		return fmt.Errorf("write the intent of an installation: %w", err)
	}
	return s.finishIntent()
}

// finishIntent carries out the intent on disk, if there is one.
func (s *Store) finishIntent() error {
	in, err := disk.ReadJSON[intent](s.intentPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the intent of an installation: %w", err)
	}
	for _, b := range in.Put {
		if err := s.put(b, in.Origin); err != nil {
			return fmt.Errorf("install %s: %w", b.Name, err)
		}
	}
	for _, name := range in.Delete {
		if err := errors.Join(s.markUninstalled(name, in.Purge), s.drop(s.filePath(name)), s.drop(s.appliedPath(name))); err != nil {
			return fmt.Errorf("uninstall %s: %w", name, err)
		}
	}
	return s.drop(s.intentPath())
}

// markUninstalled records that a file's groups are in no file any more. Without this record, Load
// would keep them if there is a broken file, which may be theirs under another name.
func (s *Store) markUninstalled(name string, purge bool) error {
	known, err := s.readWanted()
	if err != nil {
		return err
	}
	for group, w := range known {
		if w.File != name {
			continue
		}
		w.File, w.Purge = "", purge
		if err := s.writeJSON(s.wantedPath(group), w); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) put(b group.Bundle, o group.Origin) error {
	text := b.HCL
	b.HCL = nil
	if err := s.writeJSON(s.appliedPath(b.Name), applied{Bundle: b, Origin: o, Text: textSum(text)}); err != nil {
		return err
	}
	return s.write(s.filePath(b.Name), text)
}
