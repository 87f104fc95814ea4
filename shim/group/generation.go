package group

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// A Generation is one accepted version of a group's definition, as the history has it. Its JSON is part of the control socket's
// protocol.
type Generation struct {
	Number       int          `json:"number"`
	Digest       string       `json:"digest"` // of the group
	File         string       `json:"file"`   // base name under GroupsDir
	At           time.Time    `json:"at"`     // when it was accepted, by the host's clock: nothing goes by it
	By           Cause        `json:"by"`
	Outcome      Outcome      `json:"outcome"`
	Why          string       `json:"why,omitempty"`    // of an Outcome that is not as hoped: one line
	Text         string       `json:"text,omitempty"`   // sum of the file it came from, so that an edit that changes nothing is kept too
	Change       string       `json:"change,omitempty"` // sum of the file that brought it: groups of the same one were changed together
	Kept         bool         `json:"kept"`             // its definition is still on disk: Rollback can go back to it
	ImageDigests ImageDigests `json:"pins,omitempty"`   // what its images were: those that Rollback goes back to
}

// A Cause is what made a generation.
type Cause string

const (
	ByApply    Cause = "apply"
	ByFile     Cause = "file"     // the file in the folder was changed by hand
	ByRollback Cause = "rollback" // an operator went back to it
	ByRevert   Cause = "revert"   // the generation before it could not be had, or did not prove itself
)

// An Outcome is what became of a generation:
//
//	on trial ──► proved (for good)
//	   │  ▲
//	   ▼  └────────┐
//	not ready ─────┘ proves itself later
//
//	on trial, not ready ──► taken back  (the one before runs again, as a new generation)
//	on trial, not ready ──► replaced    (another one came first)
type Outcome string

const (
	OnTrial   Outcome = "on trial"
	Proved    Outcome = "proved"    // all of it was ready, once
	NotReady  Outcome = "not ready" // not within its update block's health_timeout
	TakenBack Outcome = "taken back"
	Replaced  Outcome = "replaced" // before it had proved itself
)

// An Origin says what put a file into the folder.
type Origin struct {
	By  Cause  `json:"by,omitempty"`
	Why string `json:"why,omitempty"` // of ByRevert
	// ImageDigests are, by group, what the file's image references are to mean. Of a reference that is not in it, nothing changes.
	ImageDigests map[string]ImageDigests `json:"pins,omitempty"`
	// Used: what is wanted has come to be as this says, so that whatever changes from here on is by hand.
	Used bool `json:"used,omitempty"`
}

// A Definition is all it takes to have a generation again.
type Definition struct {
	Group  spec.Group `json:"group"`
	Bundle Bundle     `json:"bundle"` // with every file that was read for it, and a Path
}

// A Reversion is a generation that was taken back.
type Reversion struct {
	Generation int    `json:"generation"`
	Why        string `json:"why"`
}

// Problem is what an operator is told of a setback for as long as nothing else is put in the file.
func (s Reversion) Problem(group string) error {
	return &hint.Error{
		Err:  fmt.Errorf("generation %d was taken back: %s", s.Generation, s.Why),
		Hint: fmt.Sprintf("mend the file and apply it again; \"sallyport history %s --file %d\" prints the one that failed", group, s.Generation),
	}
}
