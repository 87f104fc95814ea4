package group

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A RunRequest asks for a run: a group that is made from a template, runs once and is removed when
// its app has ended. Its JSON is part of the control socket's protocol.
type RunRequest struct {
	// ID is the name of the run and of its group, as NewRunID makes it. The caller chooses it, so
	// that a request that is sent twice runs once.
	ID     string `json:"id"`
	Bundle Bundle `json:"bundle"` // the template
	// Group is the group of the template. Empty: it has one group.
	Group string `json:"group,omitempty"`
	// Args are in the place of the app's args. Nil keeps those of the file.
	Args  []string          `json:"args,omitempty"`
	Env   map[string]string `json:"env,omitempty"`   // added to the app's
	Files map[string][]byte `json:"files,omitempty"` // by absolute path in the app, added to the app's
	// Timeout ends the run. Zero is the file's, or none.
	Timeout time.Duration `json:"timeout,omitempty"`
	Detach  bool          `json:"detach,omitempty"` // it goes on without its caller
	Keep    bool          `json:"keep,omitempty"`   // what it has made stays until its removal
	Stdin   bool          `json:"stdin,omitempty"`  // its app reads standard input. False: it reads the end of it at once
}

// A RunState is the state of a run:
//
//	queued ──► starting ──► running ──► ended
//	   │           │           │
//	   └───────────┤           │
//	               ▼           │ after a boot
//	            not run        └──► lost
//
// A run that was lost while it was starting is lost too: its app may have run.
type RunState string

const (
	RunQueued   RunState = "queued"   // it waits for its turn
	RunStarting RunState = "starting" // its app has not run yet
	RunRunning  RunState = "running"
	RunEnded    RunState = "ended"   // its app has run, and ended or was ended
	RunNotRun   RunState = "not run" // its app has never run
	RunLost     RunState = "lost"    // its app may have run, and how it ended is not known
)

// Over reports whether nothing of the run is going on any more.
func (s RunState) Over() bool { return s == RunEnded || s == RunNotRun || s == RunLost }

// A Run has all that is known of one run. Its JSON is part of the control socket's protocol, and is
// kept on disk.
type Run struct {
	ID    string   `json:"id"`
	Group string   `json:"group"` // of the template
	File  string   `json:"file"`  // base name of the template's file
	App   string   `json:"app"`   // the name of its app
	State RunState `json:"state"`
	// Place is its place in the queue. The next one to start has 1. Zero: it is not queued.
	Place int `json:"place,omitempty"`
	// ExitStatus is that of its app, of the last end. Nil: it has not ended by itself, or that is
	// not known.
	ExitStatus *uint32 `json:"exit_status,omitempty"`
	OOMKilled  bool    `json:"oom_killed,omitempty"`
	TimedOut   bool    `json:"timed_out,omitempty"` // its timeout has ended it
	// Error is why it was not run, or why it was ended before its app's own end, on one line. Hint
	// has a next step. Both are empty if its app has ended by itself.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
	// Code is RunNoProgram or RunCannotRun if its app's program is not there, or can't be run.
	Code     string    `json:"code,omitempty"`
	By       string    `json:"by"` // "uid 1000", or "schedule GROUP"
	Detached bool      `json:"detached,omitempty"`
	Kept     bool      `json:"kept,omitempty"` // what it has made stays after the end of its app, until "rm ID"
	Queued   time.Time `json:"queued"`
	Started  time.Time `json:"started,omitzero"` // when its app began to run
	Ended    time.Time `json:"ended,omitzero"`   // when its app ended, or the run was given up
	Denied   uint64    `json:"denied,omitempty"` // packets
}

// The codes of a run whose program did not run.
const (
	RunNoProgram = "no_program"
	RunCannotRun = "cannot_run"
)

// RunCounts has how many runs there are, and how often runs have ended since the daemon started.
type RunCounts struct {
	Active, Queued                            int
	Succeeded, Failed, TimedOut, NotRun, Lost uint64 // over: with status 0, with another or an error, and so on
	Refused                                   uint64 // the queue was full
}

// Add counts a run that is over.
func (n *RunCounts) Add(r *Run) {
	switch {
	case r.TimedOut:
		n.TimedOut++
	case r.State == RunNotRun:
		n.NotRun++
	case r.State == RunLost:
		n.Lost++
	case r.ExitCode() == 0:
		n.Succeeded++
	default:
		n.Failed++
	}
}

// The exit statuses of a command that has no exit status of a program to return. See ExitCode.
const (
	ExitTimedOut  = 124
	ExitFailed    = 125
	ExitCannotRun = 126
	ExitNoProgram = 127
)

// ExitCode returns the exit status of a command that waits for the run. It is that of the app, 124
// after a timeout, 127 without such a program, 126 for one that can't be run, and 125 for a run
// that has failed otherwise. It makes sense for a run that is over.
func (r *Run) ExitCode() int {
	switch {
	case r.TimedOut:
		return ExitTimedOut
	case r.Code == RunNoProgram:
		return ExitNoProgram
	case r.Code == RunCannotRun:
		return ExitCannotRun
	case r.State == RunEnded && r.ExitStatus != nil:
		return int(*r.ExitStatus)
	}
	return ExitFailed
}

// A RunNotice is something that happened to a run, for its caller. Its JSON is part of the control
// socket's protocol. Each has what is new.
type RunNotice struct {
	ID    string   `json:"id"`
	State RunState `json:"state,omitempty"`
	Place int      `json:"place,omitempty"` // of a queued run
	Line  string   `json:"line,omitempty"`  // a line of progress: "create work (app)"
	// Dropped is how many bytes of Stream, "stdout" or "stderr", were deleted before the caller
	// could get them, since they are more than the output's bound. They come at this place.
	Dropped int64  `json:"dropped,omitempty"`
	Stream  string `json:"stream,omitempty"`
}

var (
	// ErrNoRun is the error for a run that is not known, or not any more.
	ErrNoRun = errors.New("no such run")

	// ErrQueueFull is the error for a run that is refused since too many wait.
	ErrQueueFull = errors.New("the queue of runs is full")
)

// The lengths of a run's ID. A group's name has at most 40 characters.
const (
	runIDLetters  = 8
	runIDTemplate = 40 - 1 - runIDLetters
)

const runIDAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

// NewRunID returns a new ID for a run of a group: its name, cut if it is long, and eight random
// letters and digits.
func NewRunID(template string) string {
	id := make([]byte, 0, runIDLetters)
	for len(id) < runIDLetters {
		var random [runIDLetters]byte
		_, _ = rand.Read(random[:]) // never fails
		for _, b := range random {
			if most := byte(256 / len(runIDAlphabet) * len(runIDAlphabet)); b < most && len(id) < runIDLetters { // each as often
				id = append(id, runIDAlphabet[int(b)%len(runIDAlphabet)])
			}
		}
	}
	return runID(template, id)
}

// ScheduledRunID returns the ID of the run that a group's schedule has at a due time. It is always
// the same for a seed, so that a daemon that is started again begins no second run.
func ScheduledRunID(template, seed string, due time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", template, seed, due.Unix()))
	id := make([]byte, runIDLetters)
	for i := range id {
		id[i] = runIDAlphabet[int(sum[i])%len(runIDAlphabet)]
	}
	return runID(template, id)
}

func runID(template string, letters []byte) string {
	return strings.TrimRight(template[:min(len(template), runIDTemplate)], "-") + "-" + string(letters)
}
