// Package store keeps what is wanted on disk. A change of the folder of group files happens wholly
// or not at all, even if the machine loses power. Only Ended, KnowsEnd, SetEnded, Restarts and
// SetRestarts are safe while another method runs.
package store

import (
	"context"
	"crypto/rand"
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
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// A Store keeps what is wanted, on disk:
//
//	GroupsDir/<file>.hcl          the operator's; only Install, Remove and RemoveFile change it
//	StateDir/applied/<file>.json  an applied: what a file was applied with
//	StateDir/wanted/<group>.json  a Wanted: the last good definition of a group
//	StateDir/stopped/<group>.json a mark that it is stopped, for when its Wanted is lost
//	StateDir/history/<group>.json []group.Generation: those with an outcome, the newest first
//	StateDir/ended/<group>.json   a group.Ended: how it has ended by itself
//	StateDir/lives/<group>.json   a restart.Records: how its containers have ended
//	StateDir/generations/<group>.<number>.json  a definition of one generation
//	StateDir/install.json         an intent, only during an installation. Load carries it out
//	StateDir/**.damaged           a file that could not be read, see mend
//
// An apply syncs eight times: install.json, the file and its applied record with their folders, the
// Wanted and, when the group has proved itself, the history. A power cut may undo the last two and
// the definition. The next daemon makes them again from the file and its record, and the group
// proves itself again.
//
// Its methods are not safe for concurrent use. The keeper calls one at a time. The methods for
// ended and lives are safe: only the group's runner writes those files, and Load does not touch
// them.
type Store struct {
	// Begin and End are called for each file that is written or removed, with a text such as
	// "write wanted" or "remove install.json". Optional.
	Begin, End func(change string)
	// Disk writes all files.
	Disk disk.Disk
	// RemovalDelay is how long a group must be missing from files that were removed or edited by
	// hand before it is gone. An editor or a copy may be replacing its file. It does not hold for
	// the first Load, which may be that of a host that has booted. Optional: 0 means no delay.
	RemovalDelay time.Duration
	// Parse reads a group file. New sets it to spec.Parse.
	Parse func(spec.Source) ([]spec.Group, hcl.Diagnostics)

	layout    layout.Layout
	conflicts func([]spec.Group) hcl.Diagnostics
	now       func() time.Time
	loaded    bool                 // Load was called. The first has removed the temporary files of an earlier daemon
	missing   map[string]time.Time // by group: since when it is missing from the files
	pending   []intent             // accepted changes that are not whole in the folder yet, the oldest first
	mended    []Mended             // since the last Load
	newID     func() string        // of an installation
}

// New returns the store in the layout's GroupsDir and StateDir. It reads and writes neither.
func New(l layout.Layout) *Store {
	return &Store{layout: l, Parse: spec.Parse, conflicts: spec.Conflicts, now: time.Now, newID: rand.Text}
}

// Layout returns the layout that New was given.
func (s *Store) Layout() layout.Layout { return s.layout }

// Conflicts returns the reasons why the groups can't be on one host together.
func (s *Store) Conflicts(groups []spec.Group) hcl.Diagnostics { return s.conflicts(groups) }

// A Wanted is a group that is to exist.
type Wanted struct {
	Group spec.Group `json:"group"`
	// File is the base name under GroupsDir. Empty: the group is uninstalled, but not gone yet.
	File string `json:"file"`
	// Generation is 1 at first. Another Group.Digest or another of the Pins makes it one more.
	Generation int                `json:"generation"`
	Stopped    bool               `json:"stopped,omitempty"` // by an operator: nothing of it runs, also after a boot
	By         group.Cause        `json:"by,omitempty"`      // what made the generation
	Proved     bool               `json:"proved,omitempty"`  // all of the generation was ready, once
	Setback    *group.Reversion   `json:"setback,omitempty"` // the generation that was taken back for this one
	Pins       group.ImageDigests `json:"pins,omitempty"`    // the digests of its image references in this generation
	Purge      bool               `json:"purge,omitempty"`   // uninstalled, and its persistent volumes go with it
	// Install is the ID of the installation that the group was last accepted from. It is empty for
	// a file that was put into the folder by hand, and in a file of an older daemon.
	Install string `json:"install,omitempty"`
	// Record is the generation's entry in the history, until it has an outcome there. It is nil in
	// a file of an older daemon, which wrote the history at once.
	Record *group.Generation `json:"record,omitempty"`
	stub   bool              // its definition is lost, and only what else is known of it is here
	// Missing reports that no file defines the group now. It is gone if that lasts.
	Missing bool `json:"-"`
	// Broken is not nil if the file is unusable now. Group is the last good definition then.
	Broken error `json:"-"`
}

// Read parses a bundle. The error is a [*FileError] if the text is wrong.
func (s *Store) Read(b group.Bundle) ([]spec.Group, error) {
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	if b.Path == "" {
		return s.readAs(s.filePath(b.Name), b, s.filesOf(b))
	}
	return s.readAs(b.Path, b, s.filesOf(b))
}

// readInstalled parses a file of the folder. Its diagnostics name the file in the folder, since
// that is the one to correct, not the one it was applied from. read has the files that it names.
func (s *Store) readInstalled(b group.Bundle) (groups []spec.Group, read map[string][]byte, err error) {
	readFile := s.filesOf(b)
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
	groups, diags := s.Parse(spec.Source{Name: name, Dir: s.dirOf(b), Bytes: b.HCL, Vars: b.Vars, ReadFile: readFile, Stop: group.StopEvaluation(context.Background())})
	if diags.HasErrors() {
		return nil, &FileError{Diags: diags, Files: map[string][]byte{name: b.HCL}}
	}
	return groups, nil
}

// dirOf returns the folder to which the paths of the bundle are relative.
func (s *Store) dirOf(b group.Bundle) string {
	if b.Path == "" {
		return s.layout.GroupsDir
	}
	return filepath.Dir(b.Path)
}

// filesOf returns a function that reads the files that the bundle was applied with. A file that was
// put into the folder by hand was applied with none, and an edited one may name more. These are
// read from the disk.
func (s *Store) filesOf(b group.Bundle) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if content, ok := b.Files[path]; ok {
			return content, nil
		}
		return hostfile.Read(context.Background(), s.dirOf(b), path, spec.MaxPlacedFile)
	}
}

// Bundle returns a file of the folder with what it was applied with. Path is empty for a file that
// was put there by hand.
func (s *Store) Bundle(name string) (group.Bundle, error) {
	i, err := s.bundle(name)
	return i.Bundle, err
}

// An installed is a file of the folder, with what it was applied with.
type installed struct {
	group.Bundle
	group.Origin
	applied bool   // there is a record of what it was applied with
	id      string // of the installation that brought this very text. Empty: it was edited by hand, or an older daemon installed it
}

// bundle returns a file as it is wanted: a pending change counts already.
func (s *Store) bundle(name string) (installed, error) {
	for _, in := range slices.Backward(s.pending) {
		if i := slices.IndexFunc(in.Put, func(b group.Bundle) bool { return b.Name == name }); i >= 0 {
			return installed{in.Put[i], in.Origin, true, in.ID}, nil
		}
		if slices.Contains(in.Delete, name) {
			return installed{}, fmt.Errorf("%s: %w", s.filePath(name), fs.ErrNotExist)
		}
	}
	a, err := s.readApplied(name)
	recorded := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		a.Used = true
	} else if err != nil {
		return installed{}, fmt.Errorf("read what %s was applied with: %w", name, err)
	}
	a.Name = name
	a.HCL, err = hostfile.Read(context.Background(), s.layout.GroupsDir, s.filePath(name), spec.MaxGroupFile)
	if a.Text != textSum(a.HCL) {
		a.Origin = group.Origin{By: group.ByFile, Used: a.Used || a.ID != ""}
		a.ID = ""
	}
	return installed{a.Bundle, a.Origin, recorded, a.ID}, err
}

// originFor returns the origin of a file for one of its groups. It is used if that group was
// accepted from this very installation.
func (i installed) originFor(w Wanted) group.Origin {
	o := i.Origin
	if i.id != "" && w.Install == i.id {
		o.Used, o.ImageDigests = true, nil
	}
	return o
}

// markUsed records that the wanted groups follow the origin of a file that an older daemon has
// installed. It drops the digests of the origin, which the wanted groups have from now on. A later
// reader would get outdated ones if another daemon had kept the group in between.
func (s *Store) markUsed(name string) error {
	a, err := s.readApplied(name)
	if err != nil {
		return fmt.Errorf("read what %s was applied with: %w", name, err)
	}
	a.Used, a.ImageDigests = true, nil
	return s.writeJSON(s.appliedPath(name), a, durable)
}

// An applied is kept for each file that the store put into the folder: its bundle without HCL, and
// its origin.
type applied struct {
	group.Bundle
	group.Origin
	Text string `json:"text,omitempty"` // sum of the file as it was put there. Another sum: it was edited by hand since
	ID   string `json:"id,omitempty"`   // of the installation. Empty: an older daemon's, whose Origin has Used
}

// Forget removes all records of a group that is gone from the host.
func (s *Store) Forget(group string) error {
	return errors.Join(s.forgetHistory(group), s.drop(s.endedPath(group), durable), s.SetRestarts(group, nil), s.drop(s.stoppedPath(group), durable), s.drop(s.wantedPath(group), durable))
}

// dropApplied removes the applied records of all files but the named ones. The record of a file
// that is missing for a moment has its variables. So that file has to be among the named ones.
func (s *Store) dropApplied(names []string) error {
	return s.dropMatching(s.appliedPath("*"), func(path string) bool {
		return slices.Contains(names, strings.TrimSuffix(filepath.Base(path), ".json"))
	})
}

// dropUnfinished removes the temporary files of a daemon that was killed while it wrote one. Only
// the first Load does this. A later one would remove the files that runners are writing. In the
// folder of group files, nothing but a file with our prefix and digits is ours. In the other
// folders, an earlier version has left files with other names.
func (s *Store) dropUnfinished() (err error) {
	const temporary = disk.TempPrefix + "[0-9]*"
	for _, pattern := range []string{
		s.appliedPath(".*") + "*", s.wantedPath(".*") + "*", s.historyPath(".*") + "*", s.endedPath(".*") + "*",
		s.restartsPath(".*") + "*", filepath.Join(s.generationsDir(), ".*"),
		filepath.Join(filepath.Dir(s.appliedPath("x")), temporary), filepath.Join(filepath.Dir(s.wantedPath("x")), temporary),
		filepath.Join(filepath.Dir(s.historyPath("x")), temporary), filepath.Join(filepath.Dir(s.endedPath("x")), temporary),
		filepath.Join(filepath.Dir(s.restartsPath("x")), temporary), filepath.Join(filepath.Dir(s.stoppedPath("x")), temporary),
		filepath.Join(s.layout.StateDir, ".install.json*"), filepath.Join(s.layout.StateDir, temporary), s.filePath(temporary),
	} {
		err = errors.Join(err, s.dropMatching(pattern, func(string) bool { return false }))
	}
	return err
}

// makeFolders makes the missing folders. It does not make the folder of group files if there are
// wanted groups: an empty folder would mean that they are to be removed.
func (s *Store) makeFolders() error {
	for _, dir := range []string{
		filepath.Dir(s.appliedPath("x")), filepath.Dir(s.wantedPath("x")), filepath.Dir(s.stoppedPath("x")),
		filepath.Dir(s.historyPath("x")), s.generationsDir(),
	} {
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			if err := s.setAside(dir, "", "a folder belongs there"); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, known := range []string{s.wantedPath("*"), s.historyPath("*")} {
		if paths, err := filepath.Glob(known + "*"); err != nil || len(paths) > 0 {
			return err
		}
	}
	return os.MkdirAll(s.layout.GroupsDir, 0o755)
}

// checkName refuses a name that would lie outside the folder, or that Load would not read.
func checkName(name string) error {
	if spec.IsGroupFile(name) && filepath.Base(name) == name {
		return nil
	}
	return &hint.Error{
		Err:  fmt.Errorf("%q can't be the name of a group file", name),
		Hint: "give the file a name that ends in .hcl and does not begin with a dot",
	}
}
