// Package store keeps what is wanted on disk. A change of the folder of group files happens wholly
// or not at all, even if the machine loses power.
//
// What must succeed on a full disk is kept under the run folder until it can be written: that a
// group is stopped or removed, what became of an accepted change, and how a group has ended. A
// power cut before that loses it.
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
//	StateDir/timeouts/<group>.json a restart.Run: how long the run of a job has taken
//	StateDir/generations/<group>.<number>.json  a definition of one generation
//	StateDir/install.json         the pending intents. Accept carries them out
//	StateDir/**.damaged           a file that could not be read, see mend
//	RunDir/unwritten/             files of StateDir that could not be written yet, see unwritten
//
// An apply syncs eight times: install.json, the file and its applied record with their folders, the
// Wanted and, when the group has proved itself, the history. A power cut may undo the last two and
// the definition. The next daemon makes them again from the file and its record, and the group
// proves itself again.
//
// Group files are read and parsed apart from the rest, since a file system may not answer and a
// file may take long to evaluate. Read, ReadFolder, ReadFiles and Probe do that, and are safe while
// any method runs. Accept takes what they have read.
//
// The other methods are not safe for concurrent use. The keeper calls one at a time. The methods
// for ended, lives and runs are safe: only the group's runner writes those files, and Accept does
// not touch them. WriteUnwritten and Unwritten are safe too.
type Store struct {
	// Begin and End are called for each file that is written or removed, with a text such as
	// "write wanted" or "remove install.json". Optional.
	Begin, End func(change string)
	// Disk writes all files.
	Disk disk.Disk
	// RemovalDelay is how long a group must be missing from files that were removed or edited by
	// hand before it is gone. An editor or a copy may be replacing its file. It does not hold for
	// the first Accept, which may be that of a host that has booted. Optional: 0 means no delay.
	RemovalDelay time.Duration
	// Parse reads a group file. New sets it to spec.Parse.
	Parse func(spec.Source) ([]spec.Group, hcl.Diagnostics)

	unwritten unwritten
	layout    layout.Layout
	now       func() time.Time
	loaded    bool                 // Accept was called
	missing   map[string]time.Time // by group: since when it is missing from the files
	mended    []Mended             // since the last Accept
	proved    map[string]int       // by group: the generation that the history has as proved
	stubs     map[string]bool      // the groups whose definition is lost, which mended has had
	newID     func() string        // of an installation

	clock atomic.Int64 // counts readings and changes, see Reading
	mu    sync.Mutex   // held for a moment, never while anything is read, written or parsed
	folder
	pending    []intent // accepted changes that are not whole in the folder yet, the oldest first
	recent     []*Text  // that were parsed, the newest last
	recentSize int      // of those, in bytes

	wantedFiles map[string]wantedFile // by path, as they were read
}

// New returns the store in the layout's GroupsDir and StateDir. It reads and writes neither.
func New(l layout.Layout) *Store {
	return &Store{
		layout: l, Parse: spec.Parse, now: time.Now, newID: rand.Text, proved: map[string]int{}, stubs: map[string]bool{},
		folder:    folder{files: map[string]*file{}, at: map[string]int64{}},
		unwritten: unwritten{dir: l.UnwrittenDir(), stateDir: l.StateDir, some: make(chan struct{}, 1)},
	}
}

// Layout returns the layout that New was given.
func (s *Store) Layout() layout.Layout { return s.layout }

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
	// A run has these. Keep means that the end of its app leaves it as it is. Input is the
	// container whose standard input is open. Empty means that none is.
	Keep  bool   `json:"-"`
	Input string `json:"-"`
	stub  bool   // its definition is lost, and only what else is known of it is here
	// Missing reports that no file defines the group now. It is gone if that lasts.
	Missing bool `json:"-"`
	// Broken is not nil if the file is unusable now. Group is the last good definition then.
	Broken error `json:"-"`
}

// An installed is a file of the folder, with what it was applied with.
type installed struct {
	bundle   group.Bundle
	origin   group.Origin
	recorded bool   // there is a record of what it was applied with
	id       string // of the installation that brought this very text. Empty: it was edited by hand, or an older daemon installed it
}

// installedNow reads a file of the folder while the store is changed. The caller has called
// Probe or ReadFiles before, so this does not wait.
func (s *Store) installedNow(name string) (installed, error) {
	ctx, cancel := soon()
	defer cancel()
	return s.bundle(ctx, name)
}

// soon returns a context for what is read while the store is changed.
func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.Background(), time.Second, errors.New("the file system gives no answer"))
}

// bundle reads a file as it is wanted: a pending change counts already, until its file is there.
// Path is empty for a file that was put into the folder by hand. If only the record of what it was
// applied with is damaged, the error is ErrDamaged, and its text is there. It is safe for
// concurrent use.
func (s *Store) bundle(ctx context.Context, name string) (installed, error) {
	pending := s.pendingNow()
	a, recordErr := s.readApplied(name)
	for _, in := range slices.Backward(pending) {
		if i := slices.IndexFunc(in.Put, func(b group.Bundle) bool { return b.Name == name }); i >= 0 && (in.ID == "" || a.ID != in.ID) {
			return installed{in.Put[i], in.Origin, true, in.ID}, nil
		}
		if slices.Contains(in.Delete, name) {
			return installed{}, fmt.Errorf("%s: %w", s.filePath(name), fs.ErrNotExist)
		}
	}
	text, err := hostfile.Read(ctx, s.layout.GroupsDir, s.filePath(name), spec.MaxGroupFile)
	switch {
	case err != nil:
	case errors.Is(recordErr, fs.ErrNotExist):
		a.Used = true
	case recordErr != nil:
		a, err = applied{}, fmt.Errorf("read what %s was applied with: %w", name, recordErr)
	}
	a.Name = name
	if err == nil && recordErr != nil {
		a.Locked, err = s.lockedInFolder(ctx)
	}
	return a.with(text, recordErr == nil), err
}

// with returns the file that has the record and this text. recorded is false if there is no record.
func (a applied) with(text []byte, recorded bool) installed {
	a.HCL = text
	if a.Text != textSum(text) {
		a.Origin = group.Origin{By: group.ByFile, Used: a.Used || a.ID != ""}
		a.ID = ""
	}
	return installed{a.Bundle, a.Origin, recorded, a.ID}
}

// originFor returns the origin of a file for one of its groups. It is used if that group was
// accepted from this very installation.
func (i installed) originFor(w Wanted) group.Origin {
	if i.id != "" && w.Install == i.id {
		return used(i.origin)
	}
	return i.origin
}

// markUsed records that the wanted groups follow the origin of a file that an older daemon has
// installed. It drops the digests of the origin, which the wanted groups have from now on. A later
// reader would get outdated ones if another daemon had kept the group in between.
func (s *Store) markUsed(name string) error {
	a, err := s.readApplied(name)
	if err != nil {
		return fmt.Errorf("read what %s was applied with: %w", name, err)
	}
	a.Origin = used(a.Origin)
	return s.writeJSON(s.appliedPath(name), a, durable)
}

// used returns the origin of a file that has become what is wanted.
func used(o group.Origin) group.Origin {
	o.Used, o.ImageDigests = true, nil
	return o
}

// An applied is kept for each file that the store put into the folder: its bundle without HCL, and
// its origin.
type applied struct {
	group.Bundle
	group.Origin
	Text string `json:"text,omitempty"` // sum of the file as it was put there. Another sum: it was edited by hand since
	ID   string `json:"id,omitempty"`   // of the installation. Empty: an older daemon's, whose Origin has Used
}

// Forget removes all records of a group that is gone from the host. What is wanted of it goes last:
// without that, the others would bring it back.
func (s *Store) Forget(group string) error {
	delete(s.proved, group)
	delete(s.stubs, group)
	err := errors.Join(s.forgetHistory(group), s.drop(s.endedPath(group), durable), s.SetRestarts(group, nil), s.SetRun(group, nil), s.SetSchedule(group, nil), s.drop(s.stoppedPath(group), durable))
	if err != nil {
		return err
	}
	if err := s.forgetApplied(group); err != nil {
		return err
	}
	return s.drop(s.wantedPath(group), durable)
}

// forgetApplied removes the applied record of a group's file, if the file is gone and no other
// group was in it.
func (s *Store) forgetApplied(group string) error {
	all, err := s.readWanted()
	if err != nil {
		return nil // the next load of the whole folder removes it
	}
	file := all[group].File
	if file == "" || s.Has(file) {
		return nil
	}
	for name, w := range all {
		if name != group && w.File == file {
			return nil
		}
	}
	return s.drop(s.appliedPath(file), durable)
}

// dropApplied removes the applied records of all files but the named ones. The record of a file
// that is missing for a moment has its variables. So that file has to be among the named ones.
func (s *Store) dropApplied(names []string) error {
	return s.dropMatching(s.appliedPath("*"), func(path string) bool {
		return slices.Contains(names, strings.TrimSuffix(filepath.Base(path), ".json"))
	})
}

// dropUnfinished removes the temporary files of a daemon that was killed while it wrote one. Only
// Open does this. Later, it would remove the files that runners are writing. In the folder of group
// files, nothing but a file with our prefix and digits is ours. In the other folders, an earlier
// version has left files with other names.
func (s *Store) dropUnfinished() (err error) {
	const temporary = disk.TempPrefix + "[0-9]*"
	for _, pattern := range []string{
		s.appliedPath(".*") + "*", s.wantedPath(".*") + "*", s.historyPath(".*") + "*", s.endedPath(".*") + "*",
		s.restartsPath(".*") + "*", filepath.Join(s.generationsDir(), ".*"),
		filepath.Join(filepath.Dir(s.appliedPath("x")), temporary), filepath.Join(filepath.Dir(s.wantedPath("x")), temporary),
		filepath.Join(filepath.Dir(s.historyPath("x")), temporary), filepath.Join(filepath.Dir(s.endedPath("x")), temporary),
		filepath.Join(filepath.Dir(s.restartsPath("x")), temporary), filepath.Join(filepath.Dir(s.stoppedPath("x")), temporary),
		filepath.Join(filepath.Dir(s.runPath("x")), temporary), filepath.Join(filepath.Dir(s.schedulePath("x")), temporary),
		filepath.Join(s.layout.StateDir, ".install.json*"), filepath.Join(s.layout.StateDir, temporary),
		filepath.Join(s.layout.ProofsDir(), temporary),
	} {
		err = errors.Join(err, s.dropMatching(pattern, func(string) bool { return false }))
	}
	ctx, cancel := soon()
	defer cancel()
	entries, _ := hostfile.ReadDir(ctx, s.layout.GroupsDir) // the first reading reports the error
	for _, e := range entries {
		if ours, _ := filepath.Match(temporary, e.Name()); ours {
			err = errors.Join(err, s.drop(s.filePath(e.Name()), whole))
		}
	}
	return err
}

// makeFolders makes the missing folders. It does not make the folder of group files if there are
// wanted groups: an empty folder would mean that they are to be removed. It does not wait for the
// file system of that folder.
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
		if mayMatch(known + "*") {
			return nil
		}
	}
	ctx, cancel := soon()
	defer cancel()
	if _, err := hostfile.Stat(ctx, s.layout.GroupsDir); !errors.Is(err, fs.ErrNotExist) {
		return nil // it is there, or the reading of it reports the error
	}
	return os.MkdirAll(s.layout.GroupsDir, 0o755)
}

// mayMatch reports whether there may be a file that the pattern matches: there is one, or the
// folder can't be read. It looks at no more names than it needs.
func mayMatch(pattern string) bool {
	folder, err := os.Open(filepath.Dir(pattern))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer folder.Close()
	for {
		names, err := folder.Readdirnames(namesAtOnce)
		for _, name := range names {
			if ok, _ := filepath.Match(filepath.Base(pattern), name); ok {
				return true
			}
		}
		if err != nil {
			return err != io.EOF
		}
	}
}

// lstat looks at a file by its name. Tests count that.
var lstat = os.Lstat

// namesAtOnce is how many names of a folder are read at once.
const namesAtOnce = 64

// isGroupFile reports whether a file of the folder is a group file. One that an earlier daemon has
// installed is one still, although its name is that of a file with values of variables by now.
func (s *Store) isGroupFile(name string) bool {
	if spec.IsVarsFile(name) && filepath.Ext(name) == ".hcl" {
		_, err := lstat(s.appliedPath(name))
		return !errors.Is(err, fs.ErrNotExist)
	}
	return spec.IsGroupFile(name)
}

// checkName refuses a name that would lie outside the folder, or that is not read.
func (s *Store) checkName(name string) error {
	switch {
	case filepath.Base(name) == name && s.isGroupFile(name):
		return nil
	case spec.IsVarsFile(name):
		return &hint.Error{
			Err:  fmt.Errorf("%q is the name of a file with values for variables, and can't be that of a group file", name),
			Hint: "rename the group file",
		}
	}
	return &hint.Error{
		Err:  fmt.Errorf("%q can't be the name of a group file", name),
		Hint: "give the file a name that ends in .hcl or .hcl.json and does not begin with a dot",
	}
}
