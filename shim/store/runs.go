package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// A Runs keeps runs:
//
//	RunDir/runs/<id>.json        a RunRecord: a run that is queued, goes on, or is kept
//	RunDir/runs/<id>.group.json  the definition of its group
//	StateDir/finished/<id>.json  a group.Run: what is known of it after that, and after a boot
//
// A boot forgets the run folder, and so the runs. No write waits for the disk. It is safe for
// concurrent use.
type Runs struct {
	Disk   disk.Disk // writes all files
	layout layout.Layout

	mu  sync.Mutex
	all map[string]*RunRecord
}

// A RunRecord is all that a daemon has to know of a run to go on with it.
type RunRecord struct {
	Run   group.Run `json:"run"`
	Input bool      `json:"input,omitempty"` // its app has a standard input
	Keep  bool      `json:"keep,omitempty"`  // the end of its app leaves it as it is
	// Removing means that it is to be removed, whether or not its app has ended.
	Removing bool            `json:"removing,omitempty"`
	Ended    *group.Ended    `json:"ended,omitempty"`
	Restarts restart.Records `json:"restarts,omitempty"`
	Taken    *restart.Run    `json:"taken,omitempty"` // how long it has taken
	// Locked are the digests of the lock file beside its group file.
	Locked group.ImageDigests `json:"locked,omitempty"`

	Group spec.Group `json:"-"`
}

// NewRuns returns the runs in the layout's RunDir and StateDir. It reads and writes neither.
func NewRuns(l layout.Layout) *Runs { return &Runs{layout: l, all: map[string]*RunRecord{}} }

func (s *Runs) recordPath(id string) string { return filepath.Join(s.layout.RunsDir(), id+".json") }

func (s *Runs) groupPath(id string) string {
	return filepath.Join(s.layout.RunsDir(), id+".group.json")
}

func (s *Runs) finishedPath(id string) string {
	return filepath.Join(s.layout.FinishedDir(), id+".json")
}

// Open reads the runs that an earlier daemon has left. An error names those that can't be read,
// and are forgotten.
func (s *Runs) Open() (records []RunRecord, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids, err := idsIn(s.layout.RunsDir())
	for _, id := range ids {
		r, readErr := disk.ReadJSON[RunRecord](s.recordPath(id))
		if readErr == nil {
			r.Group, readErr = disk.ReadJSON[spec.Group](s.groupPath(id))
		}
		if readErr != nil {
			err = errors.Join(err, fmt.Errorf("read what is known of run %s: %w", id, readErr), s.drop(id))
			continue
		}
		records = append(records, r)
		s.all[id] = &r
	}
	return records, err
}

// Add keeps a run.
func (s *Runs) Add(r RunRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := os.MkdirAll(s.layout.RunsDir(), 0o700)
	if err == nil {
		err = s.write(s.groupPath(r.Run.ID), r.Group)
	}
	if err == nil {
		err = s.write(s.recordPath(r.Run.ID), r) // last: it makes the run known
	}
	if err != nil {
		return fmt.Errorf("keep run %s: %w", r.Run.ID, errors.Join(err, s.drop(r.Run.ID)))
	}
	s.all[r.Run.ID] = &r
	return nil
}

// Update changes what is kept of a run. It does nothing for a run that is not kept.
func (s *Runs) Update(id string, change func(*RunRecord)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.all[id]
	if r == nil {
		return nil
	}
	change(r)
	if err := s.write(s.recordPath(id), r); err != nil {
		return fmt.Errorf("keep run %s: %w", id, err)
	}
	return nil
}

// Get returns what is kept of a run, and whether it is kept.
func (s *Runs) Get(id string) (r RunRecord, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.all[id]; kept != nil {
		return *kept, true
	}
	return r, false
}

// Drop forgets a run. What Finish has written stays.
func (s *Runs) Drop(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
	return s.drop(id)
}

func (s *Runs) drop(id string) error {
	return errors.Join(s.Disk.Remove(s.recordPath(id)), s.Disk.Remove(s.groupPath(id)))
}

func (s *Runs) write(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Disk.WriteUnsynced(path, data)
}

// Finish writes down what is known of a run, for the time when it is over.
func (s *Runs) Finish(r group.Run) error {
	err := os.MkdirAll(s.layout.FinishedDir(), 0o700)
	if err == nil {
		err = s.write(s.finishedPath(r.ID), r)
	}
	if err != nil {
		return fmt.Errorf("write down what became of run %s: %w", r.ID, err)
	}
	return nil
}

// Finished returns what Finish has written. Of a file that a power cut has damaged it returns the
// ID.
func (s *Runs) Finished() (all []group.Run, err error) {
	ids, err := idsIn(s.layout.FinishedDir())
	for _, id := range ids {
		r, readErr := disk.ReadJSON[group.Run](s.finishedPath(id))
		if readErr != nil || r.ID != id {
			r = group.Run{ID: id, State: group.RunLost, Error: "what became of it is not known: its record is damaged"}
		}
		all = append(all, r)
	}
	return all, err
}

// Forget removes what Finish has written.
func (s *Runs) Forget(id string) error { return s.Disk.Remove(s.finishedPath(id)) }

// idsIn returns the runs that have a file in a folder, and removes what was left half written.
func idsIn(dir string) (ids []string, err error) {
	entries, err := hostfile.ReadDir(context.Background(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		switch {
		case strings.HasPrefix(e.Name(), disk.TempPrefix):
			err = errors.Join(err, disk.Remove(filepath.Join(dir, e.Name())))
		case ok && !strings.Contains(id, "."):
			ids = append(ids, id)
		}
	}
	return ids, err
}

// Ended implements [runner.RecordStore]. A run has one generation.
func (s *Runs) Ended(id string, _ int) (*group.Ended, error) {
	r, _ := s.Get(id)
	return r.Ended, nil
}

// KnowsEnd implements [runner.RecordStore].
func (s *Runs) KnowsEnd(string) bool { return true }

// SetEnded implements [runner.RecordStore].
func (s *Runs) SetEnded(id string, e *group.Ended) error {
	return s.Update(id, func(r *RunRecord) { r.Ended = e })
}

// Run implements [runner.RecordStore].
func (s *Runs) Run(id string) (*restart.Run, error) {
	r, _ := s.Get(id)
	return r.Taken, nil
}

// SetRun implements [runner.RecordStore].
func (s *Runs) SetRun(id string, taken *restart.Run) error {
	return s.Update(id, func(r *RunRecord) { r.Taken = taken })
}

// Restarts implements [runner.RecordStore].
func (s *Runs) Restarts(id string) (restart.Records, error) {
	r, _ := s.Get(id)
	return r.Restarts, nil
}

// SetRestarts implements [runner.RecordStore].
func (s *Runs) SetRestarts(id string, h restart.Records) error {
	return s.Update(id, func(r *RunRecord) { r.Restarts = h })
}
