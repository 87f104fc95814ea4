package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/spec"
)

// A Store keeps what is wanted, on disk:
//
//	GroupsDir/<file>.hcl          the operator's; ours to write only in Install and Remove
//	StateDir/applied/<file>.json  what a file was applied with: a Bundle without HCL
//	StateDir/wanted/<group>.json  the last good definition of each group: a Wanted
//	StateDir/install.json         only while an installation is under way; Load finishes it
//
// Its methods are not safe for use at the same time; the Keeper sees to that.
type Store struct {
	layout    Layout
	parse     func(spec.Source) ([]spec.Group, hcl.Diagnostics)
	conflicts func([]spec.Group) hcl.Diagnostics
}

// NewStore returns the store in the layout's GroupsDir and StateDir. It touches neither.
func NewStore(l Layout) *Store {
	return &Store{layout: l, parse: spec.Parse, conflicts: spec.Conflicts}
}

// A Wanted is a group that is to exist.
type Wanted struct {
	Group      spec.Group `json:"group"`
	File       string     `json:"file"`              // base name under GroupsDir; empty: uninstalled, and not yet gone
	Generation int        `json:"generation"`        // 1 at first, one more with every other Group.Digest
	Stopped    bool       `json:"stopped,omitempty"` // an operator stopped it: nothing of it is to run, whatever boots
	Broken     error      `json:"-"`                 // not nil: the file can't be used as it is now, and Group is the last good definition
}

// Read parses a bundle. The error is a [*FileError] where the text is at fault.
func (s *Store) Read(b Bundle) ([]spec.Group, error) {
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	if b.Path == "" {
		return s.readAs(s.filePath(b.Name), b)
	}
	return s.readAs(b.Path, b)
}

// readInstalled is Read of a file in the folder: that one is to be mended, wherever it came from.
func (s *Store) readInstalled(b Bundle) ([]spec.Group, error) { return s.readAs(s.filePath(b.Name), b) }

func (s *Store) readAs(name string, b Bundle) ([]spec.Group, error) {
	dir := filepath.Dir(name)
	if b.Path != "" {
		dir = filepath.Dir(b.Path)
	}
	groups, diags := s.parse(spec.Source{Name: name, Dir: dir, Bytes: b.HCL, Vars: b.Vars, ReadFile: b.readFile})
	if diags.HasErrors() {
		return nil, &FileError{Diags: diags, Files: map[string][]byte{name: b.HCL}}
	}
	return groups, nil
}

// readFile serves what the file was applied with. A file put into the folder by hand was applied with nothing, and an edited
// one may name more than it was applied with: those are read from the disk.
func (b Bundle) readFile(path string) ([]byte, error) {
	if content, ok := b.Files[path]; ok {
		return content, nil
	}
	return os.ReadFile(path)
}

// Bundle returns a file of the folder with what it was applied with. Of a file that was put there by hand, Path is empty.
func (s *Store) Bundle(name string) (Bundle, error) {
	b, err := readJSON[Bundle](s.appliedPath(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("read what %s was applied with: %w", name, err)
	}
	b.Name = name
	b.HCL, err = os.ReadFile(s.filePath(name))
	return b, err
}

// Install puts the files into the folder, all or none, even when the machine loses power meanwhile. undo has, by the name of
// each file, what puts back what was there before.
func (s *Store) Install(files []Bundle) (undo map[string]func() error, err error) {
	undo = map[string]func() error{}
	for _, b := range files {
		var before installation
		old, err := s.Bundle(b.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			before.Delete = []string{b.Name}
		case err != nil:
			return nil, fmt.Errorf("install %s: %w", b.Name, err)
		default:
			before.Put = []Bundle{old}
		}
		undo[b.Name] = func() error { return s.install(before) }
	}
	return undo, s.install(installation{Put: files})
}

// Remove takes a group's file away. It refuses when the file has other groups too. The error is [ErrNoGroup] where no file
// is known to have the group.
func (s *Store) Remove(group string) error {
	known, err := s.known()
	if err != nil {
		return err
	}
	w, ok := known[group]
	if !ok || w.File == "" {
		return ErrNoGroup
	}
	for name, other := range known {
		if name != group && other.File == w.File {
			return &Problem{
				Err:  fmt.Errorf("file %s defines group %s too", s.filePath(w.File), name),
				Hint: "delete the block of group " + group + " from that file and apply it again",
			}
		}
	}
	return s.install(installation{Delete: []string{w.File}})
}

// Forget drops the last good definition of a group that is gone from the host.
func (s *Store) Forget(group string) error { return remove(s.wantedPath(group)) }

// An installation is a change of the folder that is done wholly or not at all.
type installation struct {
	Put    []Bundle `json:"put,omitempty"`
	Delete []string `json:"delete,omitempty"`
}

func (s *Store) install(in installation) error {
	if err := s.makeFolders(); err != nil {
		return err
	}
	if err := writeJSON(s.journalPath(), in); err != nil {
		return fmt.Errorf("note the installation: %w", err)
	}
	return s.finish()
}

// finish does what the journal says, if there is one.
func (s *Store) finish() error {
	in, err := readJSON[installation](s.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the note of an installation: %w", err)
	}
	for _, b := range in.Put {
		if err := s.put(b); err != nil {
			return fmt.Errorf("install %s: %w", b.Name, err)
		}
	}
	for _, name := range in.Delete {
		if err := errors.Join(s.disown(name), remove(s.filePath(name)), remove(s.appliedPath(name))); err != nil {
			return fmt.Errorf("uninstall %s: %w", name, err)
		}
	}
	return remove(s.journalPath())
}

// disown notes of a file's groups that they are in none any more, for sure: not even in one that can't be read.
func (s *Store) disown(name string) error {
	known, err := s.known()
	if err != nil {
		return err
	}
	for group, w := range known {
		if w.File != name {
			continue
		}
		w.File = ""
		if err := writeJSON(s.wantedPath(group), w); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) put(b Bundle) error {
	text := b.HCL
	b.HCL = nil
	if b.Path == "" {
		if err := remove(s.appliedPath(b.Name)); err != nil {
			return err
		}
	} else if err := writeJSON(s.appliedPath(b.Name), b); err != nil {
		return err
	}
	return writeFile(s.filePath(b.Name), text)
}

// sweep removes what nobody wants any more: what files that are gone were applied with, and the temporary files of a daemon
// that was killed while it wrote one.
func (s *Store) sweep(names []string) error {
	applied, err := filepath.Glob(s.appliedPath("*"))
	if err != nil {
		return err
	}
	for _, path := range applied {
		if !slices.Contains(names, strings.TrimSuffix(filepath.Base(path), ".json")) {
			err = errors.Join(err, remove(path))
		}
	}
	for _, pattern := range []string{s.appliedPath(".*") + "*", s.wantedPath(".*") + "*", filepath.Join(filepath.Dir(s.journalPath()), ".install.json*"), s.filePath(".*.hcl[0-9]*")} {
		unfinished, globErr := filepath.Glob(pattern)
		err = errors.Join(err, globErr)
		for _, path := range unfinished {
			err = errors.Join(err, remove(path))
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

func (s *Store) journalPath() string { return filepath.Join(s.layout.StateDir, "install.json") }

// makeFolders makes what is missing. A folder of group files that has vanished from under known groups is not made again:
// empty, it would say that they are to go.
func (s *Store) makeFolders() error {
	for _, dir := range []string{filepath.Dir(s.appliedPath("x")), filepath.Dir(s.wantedPath("x"))} {
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
	if isGroupFile(name) && filepath.Base(name) == name {
		return nil
	}
	return &Problem{
		Err:  fmt.Errorf("%q can't be the name of a group file", name),
		Hint: "give the file a name that ends in .hcl and does not begin with a dot",
	}
}

// isGroupFile leaves out what editors and package tools leave beside a file: .x.hcl.swp, x.hcl~, #x.hcl#, .#x.hcl.
func isGroupFile(name string) bool {
	return strings.HasSuffix(name, ".hcl") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#")
}

// The files may hold what an operator would not show everyone.
const fileMode = 0o600

func writeFile(path string, data []byte) error {
	return renameio.WriteFile(path, data, fileMode, renameio.WithTempDir(filepath.Dir(path)))
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, data)
}

func readJSON[T any](path string) (v T, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
