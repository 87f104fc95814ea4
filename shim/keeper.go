// Package shim keeps every group as its definition says: observe, plan (pure), apply; one runner per group.
//
// (state machine picture here)
//
// What bites: ...
package shim

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A Config is what a Keeper works with.
type Config struct {
	Runtime Runtime          // required
	Network Network          // required
	Volumes Volumes          // required
	Store   *Store           // required
	Watcher Watcher          // optional: without it only timers and calls cause a look
	Log     *slog.Logger     // optional: nil discards
	Now     func() time.Time // optional: nil is time.Now
}

// New validates and starts nothing.
func New(c Config) (*Keeper, error) { panic("not written yet") }

// Run loads the store, adopts what runs, removes orphans, and keeps every group until ctx ends. Groups run on after it.
func (k *Keeper) Run(ctx context.Context) error { panic("not written yet") }

// Load reads the groups' files again and makes what they say the wanted state. Called by Run, on a change of the folder, and on SIGHUP.
func (k *Keeper) Load(ctx context.Context) error { panic("not written yet") }

// Preview says what Apply would do, changing nothing. One entry per group the sources define.
func (k *Keeper) Preview(ctx context.Context, files []Bundle) ([]Preview, error) {
	panic("not written yet")
}

// Apply validates, makes the images present, installs the files, and waits until every group in them is running, has completed,
// or ctx ends; progress (may be nil) is called with one line at a time, e.g. "checkout: start proxy (ambassador)".
// On bad input, an image that can't be had or a port already taken, nothing has changed.
func (k *Keeper) Apply(ctx context.Context, files []Bundle, progress func(line string)) error {
	panic("not written yet")
}

// Remove uninstalls a group's file and waits until the group is gone.
func (k *Keeper) Remove(ctx context.Context, group string, progress func(line string)) error {
	panic("not written yet")
}

// Restart stops and starts one container, or with "" the whole group's containers in order, and waits until they run.
func (k *Keeper) Restart(ctx context.Context, group, container string, progress func(line string)) error {
	panic("not written yet")
}

// Status returns one group's status, or every group's, by name, when group is "". An unknown group is ErrNoGroup.
func (k *Keeper) Status(group string) ([]GroupStatus, error) { panic("not written yet") }

// A Preview is what would be done to one group.
type Preview struct {
	Group  string   `json:"group"`
	Steps  []string `json:"steps"`           // each step's text; empty: nothing to do
	Opens  []string `json:"opens,omitempty"` // what may leave or enter that could not before
	Closes []string `json:"closes,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// A Bundle is one group file with everything needed to read it again: what `apply` sends and the store keeps. Vars and Files
// are what the file was applied with, so that the daemon reads it the same after a restart, wherever it came from.
type Bundle struct {
	Name  string            `json:"name"` // base name under the groups folder: "checkout.hcl"
	Path  string            `json:"path"` // where the operator had it, absolute; relative names are relative to its folder
	HCL   []byte            `json:"hcl"`
	Vars  map[string]string `json:"vars,omitempty"`
	Files map[string][]byte `json:"files,omitempty"` // files it names, by absolute path
}

// Plan returns the steps from what is to what should be, in the order they are to be done. It is pure.
// want nil: the group is to be gone.
func Plan(in PlanInput) []Step { panic("not written yet") }

// A PlanInput is what Plan looks at.
type PlanInput struct{ Want *spec.Group }

// A Step is one thing to do; String is the line that plan, log and goldens share.
type Step struct{}

// A Keeper keeps groups.
type Keeper struct{}

// A Store keeps what is wanted.
type Store struct{}
