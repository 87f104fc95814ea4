package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// A Store keeps what is wanted, on disk:
//
//	GroupsDir/<file>.hcl          the operator's; ours to write only in Install and Remove
//	StateDir/applied/<file>.json  what a file was applied with: an applied
//	StateDir/wanted/<group>.json  the last good definition of each group: a Wanted
//	StateDir/history/<group>.json its generations, the newest first
//	StateDir/ended/<group>.json   how a group has ended of its own accord: an Ended
//	StateDir/lives/<group>.json   how its containers have ended: a History
//	StateDir/generations/<group>.<number>.json  what some of them were made from: a Definition
//	StateDir/install.json         only while an installation is under way; Load finishes it
//
// Its methods are not safe for use at the same time; the Keeper sees to that. Those of ended and lives are: each group's files have
// one who writes them, its runner, and Load lets them be.
type Store struct {
	// Begin and End are told of each file that is written or removed, as "write wanted" or "remove install.json". Optional.
	Begin, End func(change string)
	// Parse reads a group file. New sets it to spec.Parse.
	Parse func(spec.Source) ([]spec.Group, hcl.Diagnostics)

	layout    layout.Layout
	conflicts func([]spec.Group) hcl.Diagnostics
	now       func() time.Time
	swept     bool // of files that a daemon before was killed over; what is unfinished now is being written
}

// New returns the store in the layout's GroupsDir and StateDir. It touches neither.
func New(l layout.Layout) *Store {
	return &Store{layout: l, Parse: spec.Parse, conflicts: spec.Conflicts, now: time.Now}
}

// Layout returns where the store's files are.
func (s *Store) Layout() layout.Layout { return s.layout }

// Conflicts returns what keeps the groups from being had together on one host.
func (s *Store) Conflicts(groups []spec.Group) hcl.Diagnostics { return s.conflicts(groups) }

// A Wanted is a group that is to exist.
type Wanted struct {
	Group      spec.Group         `json:"group"`
	File       string             `json:"file"`              // base name under GroupsDir; empty: uninstalled, and not yet gone
	Generation int                `json:"generation"`        // 1 at first, one more with every other Group.Digest, or where one of Pins is another
	Stopped    bool               `json:"stopped,omitempty"` // an operator stopped it: nothing of it is to run, whatever boots
	By         group.Cause        `json:"by,omitempty"`      // what made the generation
	Proved     bool               `json:"proved,omitempty"`  // all of the generation was ready, once
	Setback    *group.Reversion   `json:"setback,omitempty"` // the generation before, where it was taken back and this one put in its place
	Pins       group.ImageDigests `json:"pins,omitempty"`    // what its image references mean to the generation
	Purge      bool               `json:"purge,omitempty"`   // uninstalled, and its persistent volumes are to go with it
	Broken     error              `json:"-"`                 // not nil: the file can't be used as it is now, and Group is the last good definition
}

// Read parses a bundle. The error is a [*FileError] where the text is at fault.
func (s *Store) Read(b group.Bundle) ([]spec.Group, error) {
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	if b.Path == "" {
		return s.readAs(s.filePath(b.Name), b, filesOf(b))
	}
	return s.readAs(b.Path, b, filesOf(b))
}

// readInstalled is Read of a file in the folder: that one is to be mended, wherever it came from. read has the files it names.
func (s *Store) readInstalled(b group.Bundle) (groups []spec.Group, read map[string][]byte, err error) {
	readFile := filesOf(b)
	groups, err = s.readAs(s.filePath(b.Name), b, func(path string) ([]byte, error) {
		content, err := readFile(path)
		if err != nil {
			return nil, err
		}
		if read == nil {
			read = map[string][]byte{}
		}
		read[path] = content
		return content, nil
	})
	return groups, read, err
}

func (s *Store) readAs(name string, b group.Bundle, readFile func(string) ([]byte, error)) ([]spec.Group, error) {
	dir := filepath.Dir(name)
	if b.Path != "" {
		dir = filepath.Dir(b.Path)
	}
	groups, diags := s.Parse(spec.Source{Name: name, Dir: dir, Bytes: b.HCL, Vars: b.Vars, ReadFile: readFile})
	if diags.HasErrors() {
		return nil, &FileError{Diags: diags, Files: map[string][]byte{name: b.HCL}}
	}
	return groups, nil
}

// filesOf returns a function that reads the files that the bundle was applied with. A file put into the folder by hand was
// applied with none, and an edited one may name more: those are read from the disk.
func filesOf(b group.Bundle) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if content, ok := b.Files[path]; ok {
			return content, nil
		}
		return os.ReadFile(path)
	}
}

// Bundle returns a file of the folder with what it was applied with. Of a file that was put there by hand, Path is empty.
func (s *Store) Bundle(name string) (group.Bundle, error) {
	b, _, err := s.bundle(name)
	return b, err
}

// bundle is Bundle, and what put the file there.
func (s *Store) bundle(name string) (group.Bundle, group.Origin, error) {
	a, err := disk.ReadJSON[applied](s.appliedPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		a.Used = true
	} else if err != nil {
		return a.Bundle, a.Origin, fmt.Errorf("read what %s was applied with: %w", name, err)
	}
	a.Name = name
	a.HCL, err = os.ReadFile(s.filePath(name))
	if a.Text != textSum(a.HCL) {
		a.Origin = group.Origin{By: group.ByFile, Used: a.Used}
	}
	return a.Bundle, a.Origin, err
}

// use notes that what is wanted is as the file's origin says. What its images were to mean is in what is wanted from now on: whoever
// asked here later, when another daemon has had the group meanwhile, would be told of the past.
func (s *Store) use(name string) error {
	a, err := disk.ReadJSON[applied](s.appliedPath(name))
	if err != nil {
		return fmt.Errorf("read what %s was applied with: %w", name, err)
	}
	a.Used, a.ImageDigests = true, nil
	return s.writeJSON(s.appliedPath(name), a)
}

// An applied is what is kept beside a file that we put into the folder: its bundle without HCL, and why it is there.
type applied struct {
	group.Bundle
	group.Origin
	Text string `json:"text,omitempty"` // sum of the file as it was put there; another one was edited by hand since
}

// Install puts the files into the folder, all or none, even when the machine loses power meanwhile. undo has, by the name of
// each file, what puts back what was there before; it is told why.
func (s *Store) Install(files []group.Bundle, o group.Origin) (undo map[string]func(why string) error, err error) {
	undo = map[string]func(string) error{}
	for _, b := range files {
		var before installation
		old, err := s.Bundle(b.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			before.Delete = []string{b.Name}
		case err != nil:
			return nil, fmt.Errorf("install %s: %w", b.Name, err)
		default:
			before.Put = []group.Bundle{old}
			if before.Origin.ImageDigests, err = s.digestsIn(b.Name); err != nil {
				return nil, fmt.Errorf("install %s: %w", b.Name, err)
			}
		}
		undo[b.Name] = func(why string) error {
			before.Origin.By, before.Origin.Why = group.ByRevert, why
			return s.install(before)
		}
	}
	return undo, s.install(installation{Put: files, Origin: o})
}

// Remove removes the file of a group. It refuses if the file has other groups too. With purge the
// group's persistent volumes are removed as well. The error is [group.ErrNoGroup] if no known file
// has the group.
func (s *Store) Remove(groupName string, purge bool) error {
	known, err := s.known()
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
				Err:  fmt.Errorf("file %s defines group %s too", s.filePath(w.File), name),
				Hint: fmt.Sprintf("\"sallyport rm %s\" removes them all; for %s alone, delete its block from the file and apply that again", w.File, groupName),
			}
		}
	}
	return s.install(installation{Delete: []string{w.File}, Purge: purge})
}

// RemoveFile takes a file away, with all the groups that it has, and returns their names. With purge their persistent volumes are to
// go too. A file that has no group that is known is an error.
func (s *Store) RemoveFile(file string, purge bool) (groups []string, err error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	for name, w := range known {
		if w.File == file {
			groups = append(groups, name)
		}
	}
	if len(groups) == 0 {
		return nil, &hint.Error{Err: fmt.Errorf("no group is by a file %s", file), Hint: "\"sallyport status GROUP\" shows the file of a group"}
	}
	slices.Sort(groups)
	return groups, s.install(installation{Delete: []string{file}, Purge: purge})
}

// Forget drops the last good definition, and those before it, of a group that is gone from the host.
func (s *Store) Forget(group string) error {
	return errors.Join(s.forgetHistory(group), s.SetEnded(group, nil), s.SetRestarts(group, nil), s.drop(s.wantedPath(group)))
}

// An installation is a change of the folder that is done wholly or not at all.
type installation struct {
	Put    []group.Bundle `json:"put,omitempty"`
	Delete []string       `json:"delete,omitempty"`
	Origin group.Origin   `json:"origin,omitzero"` // of what is put
	Purge  bool           `json:"purge,omitempty"` // the persistent volumes of what is deleted, too
}

func (s *Store) install(in installation) error {
	if err := s.makeFolders(); err != nil {
		return err
	}
	if err := s.writeJSON(s.intentPath(), in); err != nil {
		return fmt.Errorf("note the installation: %w", err)
	}
	return s.finish()
}

// finish does what the journal says, if there is one.
func (s *Store) finish() error {
	in, err := disk.ReadJSON[installation](s.intentPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the note of an installation: %w", err)
	}
	for _, b := range in.Put {
		if err := s.put(b, in.Origin); err != nil {
			return fmt.Errorf("install %s: %w", b.Name, err)
		}
	}
	for _, name := range in.Delete {
		if err := errors.Join(s.disown(name, in.Purge), s.drop(s.filePath(name)), s.drop(s.appliedPath(name))); err != nil {
			return fmt.Errorf("uninstall %s: %w", name, err)
		}
	}
	return s.drop(s.intentPath())
}

// disown notes of a file's groups that they are in none any more, for sure: not even in one that can't be read.
func (s *Store) disown(name string, purge bool) error {
	known, err := s.known()
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

// sweep removes what files that are gone were applied with.
func (s *Store) sweep(names []string) error {
	applied, err := filepath.Glob(s.appliedPath("*"))
	if err != nil {
		return err
	}
	for _, path := range applied {
		if !slices.Contains(names, strings.TrimSuffix(filepath.Base(path), ".json")) {
			err = errors.Join(err, s.drop(path))
		}
	}
	return err
}

// sweepUnfinished removes the temporary files of a daemon that was killed while it wrote one. Only the first load may: later ones
// would take away what a runner is writing.
func (s *Store) sweepUnfinished() (err error) {
	if s.swept {
		return nil
	}
	s.swept = true
	for _, pattern := range []string{
		s.appliedPath(".*") + "*", s.wantedPath(".*") + "*", s.historyPath(".*") + "*", s.endedPath(".*") + "*", s.livesPath(".*") + "*",
		filepath.Join(s.generationsDir(), ".*"), filepath.Join(filepath.Dir(s.intentPath()), ".install.json*"), s.filePath(".*.hcl[0-9]*"),
	} {
		unfinished, globErr := filepath.Glob(pattern)
		err = errors.Join(err, globErr)
		for _, path := range unfinished {
			err = errors.Join(err, s.drop(path))
		}
	}
	return err
}

func (s *Store) filePath(name string) string { return filepath.Join(s.layout.GroupsDir, name) }

func (s *Store) appliedPath(name string) string {
	return filepath.Join(s.layout.StateDir, "applied", name+".json")
}

func (s *Store) wantedPath(group string) string {
	return filepath.Join(s.layout.StateDir, "wanted", group+".json")
}

func (s *Store) intentPath() string { return filepath.Join(s.layout.StateDir, "install.json") }

// makeFolders makes what is missing. A folder of group files that has vanished from under known groups is not made again:
// empty, it would say that they are to go.
func (s *Store) makeFolders() error {
	for _, dir := range []string{filepath.Dir(s.appliedPath("x")), filepath.Dir(s.wantedPath("x")), filepath.Dir(s.historyPath("x")), s.generationsDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if known, err := s.known(); err != nil || len(known) > 0 {
		return err
	}
	return os.MkdirAll(s.layout.GroupsDir, 0o755)
}

// checkName refuses what would lie outside the folder or would not be read in it.
func checkName(name string) error {
	if spec.IsGroupFile(name) && filepath.Base(name) == name {
		return nil
	}
	return &hint.Error{
		Err:  fmt.Errorf("%q can't be the name of a group file", name),
		Hint: "give the file a name that ends in .hcl and does not begin with a dot",
	}
}
