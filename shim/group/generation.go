package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// A Generation is one accepted version of a group's definition, in the group's history. Its JSON is
// part of the control socket's protocol.
type Generation struct {
	Number  int       `json:"number"`
	Digest  string    `json:"digest"` // of the group
	File    string    `json:"file"`   // base name under GroupsDir
	At      time.Time `json:"at"`     // when it was accepted, by the host's clock; for display only
	By      Cause     `json:"by"`
	Outcome Outcome   `json:"outcome"`
	Why     string    `json:"why,omitempty"` // one line, for a NotReady, TakenBack or Replaced one

	// Text is the checksum of the file that the group came from. It keeps an edit that changes
	// nothing of the group.
	Text string `json:"text,omitempty"`
	// Change is the checksum of the file that brought the generation. Groups with the same one were
	// changed together.
	Change string `json:"change,omitempty"`
	// Kept means that the definition is still on disk, so that Rollback can go back to it.
	Kept bool `json:"kept"`
	// ImageDigests are the digests that a Rollback uses again.
	ImageDigests ImageDigests `json:"pins,omitempty"`

	// Differs has the differences from the generation before. nil means that they are not recorded:
	// there was none, or an older daemon recorded the generation. More counts those left out.
	Differs []diff.Change `json:"differs,omitzero"`
	More    int           `json:"differs_more,omitempty"`
	// Values are the values of the variables that the group refers to. nil means that they are not
	// recorded.
	Values []Value `json:"values,omitzero"`
}

// A Value is the value of a variable that a generation was applied with. The value of a sensitive
// one is not recorded.
type Value struct {
	spec.Variable
	From string `json:"from,omitempty"` // one of the words below, or a file; empty: not recorded
}

// Where the value of a variable comes from. The name of a file is another answer: it is in the
// folder of the group file, and was read without being named.
const (
	FromFlag        = "--var"
	FromFile        = "--var-file"
	FromEnvironment = "environment"
	FromDefault     = "default"
)

// ValuesOf returns the values of the variables that a group of the bundle refers to. It is never
// nil.
func (b Bundle) ValuesOf(g *spec.Group) []Value {
	values := []Value{}
	for _, v := range g.Variables {
		from := b.From[v.Name]
		if v.Default {
			from = FromDefault
		}
		values = append(values, Value{v, from})
	}
	return values
}

// HideValues returns the values without those of variables that are sensitive by
// [spec.SensitiveParts].
func HideValues(values []Value, parts map[string]bool) []Value {
	plain := slices.Clone(values)
	for i, v := range plain {
		if parts["var."+v.Name] {
			plain[i] = Value{spec.Variable{Name: v.Name, Sensitive: true}, v.From}
		}
	}
	return plain
}

// A Cause is the reason why there is a generation.
type Cause string

const (
	ByApply    Cause = "apply"
	ByFile     Cause = "file"     // the file in the folder was changed by hand
	ByRollback Cause = "rollback" // an operator went back to it
	ByPull     Cause = "pull"     // the images of the file were asked for again
	ByRun      Cause = "run"      // it is the only one of a run
	ByRevert   Cause = "revert"   // the generation before it could not be started, or did not prove itself
)

// An Outcome is the result of a generation:
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
	Proved    Outcome = "proved"    // all of it was ready, and stayed so for a moment
	NotReady  Outcome = "not ready" // not by its update block: too late, or a container kept ending
	TakenBack Outcome = "taken back"
	Replaced  Outcome = "replaced" // before it had proved itself
)

// An Origin is the reason why a file was put into the folder.
type Origin struct {
	By  Cause  `json:"by,omitempty"`
	Why string `json:"why,omitempty"` // for ByRevert
	// ImageDigests are the digests for the file's image references, by group. A reference that is
	// missing here keeps its digest.
	ImageDigests map[string]ImageDigests `json:"pins,omitempty"`
	// Used means that the file has become what is wanted. A later change of it is by hand.
	Used bool `json:"used,omitempty"`
}

// A Definition is everything that it takes to run a generation again.
type Definition struct {
	Group  spec.Group `json:"group"`
	Bundle Bundle     `json:"bundle"` // with a Path, and with every file that was read for it
}

// A Bundle is one group file with everything that it takes to read it again. "apply" sends it and
// the store keeps it. Vars and Files are those that the file was applied with, so the daemon reads
// it the same after a restart, from wherever it came.
type Bundle struct {
	Name  string            `json:"name"` // base name under the groups folder: "checkout.hcl"
	Path  string            `json:"path"` // the operator's absolute path; relative names are relative to its folder
	HCL   []byte            `json:"hcl,omitempty"`
	Vars  map[string]string `json:"vars,omitempty"`
	Files map[string][]byte `json:"files,omitempty"` // the files that it names, by absolute path
	From  map[string]string `json:"from,omitempty"`  // where the Vars come from: FromFlag and the like
	// Locked are the digests of the lock file beside the group file, by reference as its groups
	// have them. A reference that is missing here is resolved.
	Locked ImageDigests `json:"locked,omitempty"`
}

// A Reversion records that a generation was taken back.
type Reversion struct {
	Generation int    `json:"generation"`
	Why        string `json:"why"`
}

// Problem returns the error that is shown until the file has another content.
func (r Reversion) Problem(group string) error {
	return &hint.Error{
		Err:  fmt.Errorf("generation %d was taken back: %s", r.Generation, r.Why),
		Hint: fmt.Sprintf("mend the file and apply it again; \"sallyport history %s --file %d\" prints the one that failed", group, r.Generation),
	}
}
